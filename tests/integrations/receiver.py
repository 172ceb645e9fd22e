"""A receiver of webhooks: a real HTTP server in a thread that answers as it is told and keeps what it got."""

import contextlib
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass(frozen=True)
class Received:
    """One request: its headers in lower case, and its body."""

    headers: dict[str, str]
    body: bytes

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
    """

    url: str = ""
    status: int = 204
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    received: list[Received] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)

    @property
    def ids(self) -> list[str]:
        """The webhook-ids received, in order."""
        return [each.id for each in self.received]


@contextlib.contextmanager
def receiving(context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """A receiver on loopback; with `context` it speaks TLS."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.received.append(Received({n.lower(): v for n, v in self.headers.items()}, body))
            if receiver.status == 0:
                receiver.release.wait(30)
                return
            # Whoever sent may have gone meanwhile.
            with contextlib.suppress(OSError):
                self.send_response(receiver.status)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                while receiver.body == b"drip" and not receiver.release.wait(0.05):
                    self.wfile.write(b".")
                self.wfile.write(receiver.body)

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
