"""A relay before PostgreSQL that can act at one statement's boundary: before the server has it, or after it
has answered and before the client hears of it. The program under test knows nothing of it.

Source: PostgreSQL 18 manual, chapter 54 (frontend/backend protocol).
"""

import contextlib
import hashlib
import re
import socket
import struct
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

When = Literal["before", "after"]

_STARTUP = 196608
_ENDS = ("COMMIT", "ROLLBACK")
# What ends a message to the server: a query, a batch, a copy.
_WHOLE = (b"Q", b"S", b"H", b"c", b"f")
_READS = re.compile(r"(?i)(?!.*( for update|defer_jobs))(select|show) ")
_VALUES = re.compile(r"\((?:\$?\d+(?:::\w+)?|'[^']*')(?:, *(?:\$?\d+(?:::\w+)?|'[^']*'))*\)")


def is_read(statement: str) -> bool:
    """Whether a statement writes nothing and locks nothing."""
    return _READS.match(statement) is not None


def fingerprint(sql: str) -> str:
    """A statement without what differs from one call to the next."""
    return re.sub(r"\s+", " ", _VALUES.sub("(…)", sql)).strip()[:160]


@dataclass(frozen=True)
class Boundary:
    """A statement as it stands in its transaction: the same one after others is another boundary.

    Args:
        application: application_name of the connection.
        path: digest of what the transaction wrote and locked before, and of the statement: what was only read
            depends on what a process still believes, and changes nothing.
    """

    application: str
    path: str


Watch = Callable[[Boundary, str, When, Callable[[], bool]], bool]
"""What is asked at each boundary, with its statement, before the server has it and after it answered, and
with what tells whether the sender still lives. What it does is done before anything goes further; if it did
something, what was before goes no further at all."""


class Relay:
    """Listens on a Unix socket and passes everything on to a server.

    Args:
        folder: of the socket; libpq's `host`.
        server: path of the server's own socket.

    `seen` has the boundaries met so far with their statements, `often` how many times each was met.
    """

    def __init__(self, folder: Path, server: str) -> None:
        self._server = server
        self._watch: Watch | None = None
        self.seen: dict[Boundary, str] = {}
        self.often: Counter[Boundary] = Counter()
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        path = folder / ".s.PGSQL.5432"
        path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        path.chmod(0o777)
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def set(self, watch: Watch | None) -> None:
        """Let this be asked in place of what was before."""
        self._watch = watch

    def close(self) -> None:
        """Take no more connections."""
        # Closing alone would not wake the thread that waits for one.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=self._relay, args=(client,), daemon=True).start()

    def _relay(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        try:
            server.connect(self._server)
        except OSError:
            client.close()
            return
        _Connection(self, client, server).run()

    def reached(self, boundary: Boundary, when: When, lives: Callable[[], bool]) -> bool:
        """Ask what watches; whether it did something."""
        watch = self._watch
        return watch is not None and watch(boundary, self.seen[boundary], when, lives)


class _Connection:
    def __init__(self, relay: Relay, client: socket.socket, server: socket.socket) -> None:
        self._relay, self._client, self._server = relay, client, server
        self._application = ""
        self._prepared: dict[bytes, str] = {}
        self._bound = self._current = ""
        self._steps: list[str] = []
        self._waiting: Boundary | None = None

    def run(self) -> None:
        back = threading.Thread(target=self._answers, daemon=True)
        back.start()
        with contextlib.suppress(OSError):
            self._questions()
        self._close()
        back.join()

    def _questions(self) -> None:
        while True:
            head = _exactly(self._client, 4)
            body = _exactly(self._client, struct.unpack("!I", head)[0] - 4)
            self._server.sendall(head + body)
            if struct.unpack("!I", body[:4])[0] == _STARTUP:
                words = body[4:].split(b"\0")
                told = dict(zip(words[::2], words[1::2], strict=False))
                self._application = told.get(b"application_name", b"").decode()
                break
        buffer = b""
        while True:
            kind = _exactly(self._client, 1)
            head = _exactly(self._client, 4)
            body = _exactly(self._client, struct.unpack("!I", head)[0] - 4)
            buffer += kind + head + body
            self._note(kind, body)
            if kind in _WHOLE:
                if kind != b"H" and self._current:
                    boundary = self._reached(self._current)
                    self._current = ""
                    if self._relay.reached(boundary, "before", self._lives):
                        return
                    self._waiting = boundary
                self._server.sendall(buffer)
                buffer = b""
            elif kind == b"X":
                self._server.sendall(buffer)
                return

    def _reached(self, statement: str) -> Boundary:
        if statement == "BEGIN":
            self._steps = [statement]
        path = hashlib.sha256("\n".join([*self._steps, statement]).encode()).hexdigest()[:16]
        if statement in _ENDS:
            self._steps = []
        elif self._steps and statement not in self._steps and not is_read(statement):
            self._steps.append(statement)
        boundary = Boundary(self._application, path)
        self._relay.seen.setdefault(boundary, statement)
        self._relay.often[boundary] += 1
        return boundary

    def _note(self, kind: bytes, body: bytes) -> None:
        if kind == b"Q":
            self._current = fingerprint(body.rstrip(b"\0").decode(errors="replace"))
        elif kind == b"P":
            name, sql, _ = body.split(b"\0", 2)
            self._prepared[name] = fingerprint(sql.decode(errors="replace"))
        elif kind == b"B":
            _, name, _ = body.split(b"\0", 2)
            self._bound = self._prepared.get(name, "")
        elif kind == b"E":
            # To prepare is not yet to do.
            self._current = self._bound

    def _answers(self) -> None:
        held = b""
        with contextlib.suppress(OSError):
            while data := self._server.recv(65536):
                held += data
                # Ready for query: the statement is done, and the client does not know it yet.
                if self._waiting is not None and _is_ready(held):
                    boundary, self._waiting = self._waiting, None
                    self._relay.reached(boundary, "after", self._lives)
                if self._waiting is None:
                    self._client.sendall(held)
                    held = b""
        self._close()

    def _lives(self) -> bool:
        try:
            return self._client.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
        except BlockingIOError:
            return True
        except OSError:
            return False

    def _close(self) -> None:
        for each in (self._client, self._server):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


def _is_ready(held: bytes) -> bool:
    place = 0
    while place + 5 <= len(held):
        length = struct.unpack("!I", held[place + 1 : place + 5])[0]
        if held[place : place + 1] == b"Z" and place + 1 + length <= len(held):
            return True
        place += 1 + length
    return False


def _exactly(source: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = source.recv(count - len(data))
        if not more:
            raise ConnectionError("the client has gone")
        data += more
    return data
