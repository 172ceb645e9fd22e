"""A client that costs little: requests as octets over kept connections, timed; and the CPU of a process."""

import os
import re
import socket
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TICKS = os.sysconf("SC_CLK_TCK")


class Connection:
    """One kept connection.

    Args:
        port: of the loopback.
        host: that the connection comes from.
    """

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._port, self._host = port, host
        self._socket: socket.socket | None = None

    def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of an answer.

        Raises:
            OSError: the server has gone away.
        """
        if self._socket is None:
            self._socket = socket.create_connection(("127.0.0.1", self._port), 60, (self._host, 0))
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.sendall(request)
        got = b""
        while (end := got.find(b"\r\n\r\n")) < 0:
            got += self._more()
        head = got[:end]
        length = _LENGTH.search(head)
        if length is None:
            raise OSError("an answer without a length")
        whole = end + 4 + int(length[1])
        while len(got) < whole:
            got += self._more()
        if b"\r\nconnection: close" in head.lower():
            self.close()
        return int(head[9:12]), got[end + 4 :]

    def _more(self) -> bytes:
        assert self._socket is not None
        part = self._socket.recv(65_536)
        if not part:
            self.close()
            raise ConnectionResetError("the server closed the connection")
        return part

    def close(self) -> None:
        """Close it; it opens again by itself."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def request(path: str, body: bytes, headers: dict[str, str], port: int, method: str = "POST") -> bytes:
    """A request as octets."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def together(connections: int, work: Callable[[int], None]) -> float:
    """Seconds that several threads need, each with its number.

    Raises:
        RuntimeError: one of them failed.
    """
    faults: list[str] = []

    def run(number: int) -> None:
        try:
            work(number)
        except Exception as error:  # noqa: BLE001 -- told by the main thread
            faults.append(repr(error))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(connections)]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise RuntimeError(faults[0])
    return time.perf_counter() - start


def cpu_of(process: int) -> float:
    """Seconds of CPU that a process and those that it started have used."""
    found = 0.0
    for number in [process, *_children(process)]:
        try:
            fields = Path(f"/proc/{number}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        except OSError:
            continue
        found += (int(fields[11]) + int(fields[12])) / _TICKS
    return found


def _children(process: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{process}/task").iterdir():
        for child in (task / "children").read_text(encoding="ascii").split():
            found += [int(child), *_children(int(child))]
    return found


def percentile(times: Sequence[float], share: float) -> float:
    """Milliseconds under which a share of the times (in seconds) are."""
    ordered = sorted(times)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)] * 1000


def load_now() -> str:
    """The load of the machine: what a figure was measured beside."""
    return " ".join(f"{each:.1f}" for each in os.getloadavg())
