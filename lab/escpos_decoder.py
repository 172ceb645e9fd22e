"""What an ESC/POS printer does with the bytes it gets: rows of dots on a roll, cuts, and answers.

Written from the command reference, not from a driver. A real-time command (DLE …) is obeyed when it arrives,
also inside a picture, and stays part of the picture; everything else waits in the receive buffer, and waits
on while the printer cannot print.

Source: Epson ESC/POS command reference.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from PIL import Image

EOT, ENQ, HT, LF, CR, DLE, DC4, CAN, ESC, FS, GS = b"\x04\x05\x09\x0a\x0d\x10\x14\x18\x1b\x1c\x1d"
_CLEAR = bytes((DLE, DC4, 8, 1, 3, 20, 1, 6, 2, 8))
_CLEARED = bytes((0x37, 0x25, 0x00))
# Bytes after ESC or GS of commands that only set what a picture printer does not use.
_ESC_SETTINGS = dict.fromkeys(b"!-EGMRrtU{=a V3T", 1) | dict.fromkeys(b"2LS", 0) | {ord("c"): 2, ord("p"): 3}
_GS_SETTINGS = dict.fromkeys(b"!BHbfhwI", 1) | {ord("W"): 2}


@dataclass
class Condition:
    """What is wrong with the printer now; a script changes it while it runs.

    Args:
        paper: "full", "low" or "out".
        cover_open: the cover is open.
        cutter_jams: the next cut fails.
        cutter_error: it has failed, until an error recovery is asked for.
        head_hot: the print head cools down.
        broken: an unrecoverable error.
        rows_left: rows until the paper ends; None is a full roll.
    """

    paper: str = "full"
    cover_open: bool = False
    cutter_jams: bool = False
    cutter_error: bool = False
    head_hot: bool = False
    broken: bool = False
    rows_left: int | None = None

    @property
    def prints(self) -> bool:
        """Whether it can print now."""
        faults = (self.cover_open, self.cutter_error, self.head_hot, self.broken)
        return self.paper != "out" and not any(faults)


@dataclass
class EscPosDecoder:
    """The inside of a printer.

    Args:
        cut: called with each piece of paper that is cut off.
        width: dots across.
        dpi: dots an inch; the paper moves in half dots, as the default motion unit does.
    """

    cut: Callable[[Image.Image], None]
    width: int = 576
    dpi: int = 203
    condition: Condition = field(default_factory=Condition)
    answers: bytearray = field(default_factory=bytearray)
    unknown: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._buffer = bytearray()
        self._tail = b""
        self._rows: list[bytes] = []
        self._stored: tuple[int, int, bytes] | None = None
        self._reset()

    @property
    def waiting(self) -> int:
        """Bytes in the receive buffer."""
        return len(self._buffer)

    @property
    def rows(self) -> int:
        """Rows printed since the last cut."""
        return len(self._rows)

    def receive(self, data: bytes) -> None:
        """Take bytes from the wire; real-time commands are obeyed now."""
        for byte in data:
            self._buffer.append(byte)
            self._tail = (self._tail + bytes([byte]))[-len(_CLEAR) :]
            self._real_time()

    def work(self, most: int = 1_000_000) -> int:
        """Obey buffered commands, until one is incomplete, the printer stops or `most` bytes are reached.

        Returns:
            Bytes done; the last command may go beyond `most`.
        """
        done = 0
        while self._buffer and self.condition.prints and done < most:
            used = self._command()
            if not used:
                break
            del self._buffer[:used]
            done += used
        return done

    def picture(self) -> Image.Image:
        """The paper since the last cut."""
        if not self._rows:
            return Image.new("1", (self.width, 1), 1)
        dots = b"".join(bytes(255 - byte for byte in row) for row in self._rows)
        return Image.frombytes("1", (self.width, len(self._rows)), dots)

    # -- real time --------------------------------------------------------------------------------

    def _real_time(self) -> None:
        if self._tail.endswith(_CLEAR):
            self._forget()
            self.answers += _CLEARED
        elif len(self._tail) >= 3 and self._tail[-3] == DLE and self._tail[-2] == EOT:
            if 1 <= self._tail[-1] <= 4:
                self.answers.append(self._status(self._tail[-1]))
        elif len(self._tail) >= 3 and self._tail[-3] == DLE and self._tail[-2] == ENQ:
            if self._tail[-1] == 2 and self.condition.cutter_error:
                self._forget()
            if self._tail[-1] in (1, 2):
                self.condition.cutter_error = False

    def _forget(self) -> None:
        self._buffer.clear()
        self._tail = b""
        self._reset()

    def _status(self, number: int) -> int:
        now = self.condition
        error = now.cutter_error or now.broken or now.head_hot
        byte = 0x12
        if number == 1:
            byte |= 0x08 * (not now.prints)
        elif number == 2:
            byte |= 0x04 * now.cover_open | 0x20 * (now.paper == "out") | 0x40 * error
        elif number == 3:
            byte |= 0x08 * now.cutter_error | 0x20 * now.broken | 0x40 * now.head_hot
        else:
            byte |= 0x0C * (now.paper != "full") | 0x60 * (now.paper == "out")
        return byte

    # -- commands in their order ------------------------------------------------------------------

    def _reset(self) -> None:
        self._units = (self.dpi, self.dpi * 2)
        self._left = 0
        self._margin = 0
        self._half_rows = 0

    def _command(self) -> int:
        # Bytes used; 0 asks for more.
        data = self._buffer
        first = data[0]
        if first in (ESC, GS, DLE, FS) and len(data) < 2:
            return 0
        if first == ESC:
            return self._escape(data)
        if first == GS:
            return self._group(data)
        if first == DLE:
            return self._passed_real_time(data)
        if first == LF:
            self._feed(30 * 2)
        elif first not in (0, CR, HT, CAN):
            self.unknown.append(f"text {first:02x}")
        return 1

    def _passed_real_time(self, data: bytearray) -> int:
        # Obeyed on arrival already; here it only takes its place.
        if data[1] in (EOT, ENQ):
            return 3 if len(data) >= 3 else 0
        if data[1] == DC4:
            if len(data) < 3:
                return 0
            length = {1: 5, 2: 5, 3: 7, 7: 4, 8: 10}.get(data[2], 3)
            return length if len(data) >= length else 0
        self.unknown.append(f"DLE {data[1]:02x}")
        return 2

    def _escape(self, data: bytearray) -> int:
        code = data[1]
        if code == ord("@"):
            self._reset()
            return 2
        if code in _ESC_SETTINGS:
            length = 2 + _ESC_SETTINGS[code]
            return length if len(data) >= length else 0
        if code in b"Jd":
            if len(data) < 3:
                return 0
            self._feed(data[2] * 60 if code == ord("d") else self._half_dots(data[2]))
            return 3
        if code == ord("$"):
            if len(data) < 4:
                return 0
            self._left = round(int.from_bytes(data[2:4], "little") * self.dpi / self._units[0])
            return 4
        self.unknown.append(f"ESC {code:02x}")
        return 2

    def _group(self, data: bytearray) -> int:
        code = data[1]
        if code in _GS_SETTINGS:
            length = 2 + _GS_SETTINGS[code]
            return length if len(data) >= length else 0
        if code in b"PL":
            if len(data) < 4:
                return 0
            if code == ord("P"):
                self._units = (data[2] or self.dpi, data[3] or self.dpi * 2)
            else:
                self._margin = round(int.from_bytes(data[2:4], "little") * self.dpi / self._units[0])
            return 4
        if code in b"ar":
            if len(data) < 3:
                return 0
            if code == ord("r") and data[2] in (1, 49):
                self.answers.append(0x03 if self.condition.paper == "low" else 0x00)
            return 3
        if code == ord("v"):
            return self._raster(data)
        if code in b"(8":
            return self._graphics(data)
        if code == ord("V"):
            return self._cut(data)
        self.unknown.append(f"GS {code:02x}")
        return 2

    def _raster(self, data: bytearray) -> int:
        # GS v 0 m xL xH yL yH d1…dk
        if len(data) < 8:
            return 0
        width, height = int.from_bytes(data[4:6], "little"), int.from_bytes(data[6:8], "little")
        if len(data) < 8 + width * height:
            return 0
        self._print(width, bytes(data[8 : 8 + width * height]))
        return 8 + width * height

    def _graphics(self, data: bytearray) -> int:
        # GS ( L pL pH …  and  GS 8 L p1 p2 p3 p4 …: function 112 stores a picture, 50 (or 2) prints it.
        head = 5 if data[1] == ord("(") else 7
        if len(data) < head:
            return 0
        length = head + int.from_bytes(data[3:head], "little")
        if len(data) < length:
            return 0
        function = data[head + 1] if length > head + 1 else 0
        if data[2] != ord("L"):
            self.unknown.append(f"GS ( {data[2]:02x}")
        elif function == 112:
            dots = int.from_bytes(data[head + 6 : head + 8], "little")
            rows = int.from_bytes(data[head + 8 : head + 10], "little")
            self._stored = ((dots + 7) // 8, rows, bytes(data[head + 10 : length]))
        elif function in (2, 50) and self._stored is not None:
            width, _, dots_data = self._stored
            self._print(width, dots_data)
            self._stored = None
        return length

    def _cut(self, data: bytearray) -> int:
        if len(data) < 3:
            return 0
        length = 4 if data[2] in (65, 66, 97, 98, 103, 104) else 3
        if len(data) < length:
            return 0
        if self.condition.cutter_jams:
            self.condition.cutter_jams, self.condition.cutter_error = False, True
            return length
        if self._rows:
            paper = self.picture()
            self._rows.clear()
            self.cut(paper)
        return length

    # -- paper ------------------------------------------------------------------------------------

    def _half_dots(self, units: int) -> int:
        return round(units * self.dpi * 2 / self._units[1])

    def _feed(self, half_dots: int) -> None:
        self._half_rows += half_dots
        while self._half_rows >= 2:
            self._half_rows -= 2
            self._row(bytes(self.width // 8))
        self._left = 0

    def _print(self, width: int, data: bytes) -> None:
        shift = self._margin + self._left
        for start in range(0, len(data), width):
            # The row as one number, moved right by the print position and cut at the edge of the paper.
            bits = int.from_bytes(data[start : start + width], "big") << self.width >> shift
            row = bits >> (width * 8) if width * 8 else 0
            self._row((row & ((1 << self.width) - 1)).to_bytes(self.width // 8, "big"))
        self._left = 0

    def _row(self, row: bytes) -> None:
        now = self.condition
        if now.rows_left is not None:
            if now.rows_left <= 0:
                now.paper = "out"
                return
            now.rows_left -= 1
        self._rows.append(row)
