"""A receiver of webhooks: a real HTTP server in a thread that answers as it is told and keeps what it got."""

import contextlib
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Received:
    """One request: its headers in lower case, its body, and the sender's port, one for each connection."""

    headers: dict[str, str]
    body: bytes
    port: int = 0

    @property
    def id(self) -> str:
        """Its webhook-id."""
        return self.headers["webhook-id"]


@dataclass
class Receiver:
    """What it answers next, and what it received.

    Args:
        status: of the answers; 0 keeps the sender waiting until `release` is set.
        headers: of the answers.
        body: of the answers; "drip" sends without end, a byte at a time.
        hold_at: which request, counted from 1, is answered only when `release` is set.
        hangs_up: whether it closes the connection after each answer, without having said so in it.
        drops: how many requests from now on end with the connection instead of an answer.
        unasked: sent after each answer, once `release` is set.
        said: whether it was sent.
    """

    url: str = ""
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    hold_at: int = 0
    hangs_up: bool = False
    drops: int = 0
    unasked: bytes = b""
    said: bool = False
    received: list[Received] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)

    @property
    def ids(self) -> list[str]:
        """The webhook-ids received, in order."""
        return [each.id for each in self.received]

    @property
    def connections(self) -> int:
        """On how many connections they came."""
        return len({each.port for each in self.received})


@contextlib.contextmanager
def receiving(context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver on loopback; with `context` it speaks TLS."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle(self) -> None:
            # Whoever sent may have gone meanwhile.
            with contextlib.suppress(OSError):
                super().handle()

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            names = {name.lower(): value for name, value in self.headers.items()}
            receiver.received.append(Received(names, body, self.client_address[1]))
            if receiver.status == 0 or len(receiver.received) == receiver.hold_at:
                receiver.release.wait(30)
            if receiver.status == 0 or receiver.drops > 0:
                receiver.drops -= 1
                self.close_connection = True
            else:
                self._answer()

        def _answer(self) -> None:
            # The test may change what comes next as soon as it has been answered.
            body, unasked = receiver.body, receiver.unasked
            drips = body == b"drip"
            self.close_connection = receiver.hangs_up or drips
            self.send_response(receiver.status)
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            if not drips and receiver.status != 204:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            while drips and not receiver.release.wait(0.05):
                self.wfile.write(b".")
            self.wfile.write(body)
            if unasked:
                receiver.release.wait(30)
                self.wfile.write(unasked)
                receiver.said = True

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        port = server.server_address[1]
        receiver.url = f"{'https' if context else 'http'}://127.0.0.1:{port}/hook?from=rakeeza"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.release.set()
            server.shutdown()
            thread.join()
