"""A receiver of webhooks that notes what it gets in a file, and sometimes refuses it."""

import contextlib
import json
import random
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

# Share of the messages that are refused, so that each of these has to come again. Each costs its subscription
# the five seconds of the first wait: more of them, and the campaign would measure nothing but waiting.
_REFUSED = 0.001


@contextlib.contextmanager
def receiving(told: Path) -> Iterator[str]:
    """A receiver on loopback.

    Args:
        told: file that gets a JSON line for each message accepted, before the sender is answered.

    Returns:
        Its URL.
    """
    lock = threading.Lock()
    chance = random.Random(2026)

    class Handler(BaseHTTPRequestHandler):
        # Connections are kept, as those of a receiver in earnest are.
        protocol_version = "HTTP/1.1"

        def handle(self) -> None:
            # A sender that was killed leaves its connection as it is.
            with contextlib.suppress(OSError):
                super().handle()

        def do_POST(self) -> None:
            length = int(self.headers["content-length"])
            body = self.rfile.read(length)
            # Of a sender that was killed meanwhile half a message may have come.
            refused = len(body) < length or chance.random() < _REFUSED
            if not refused:
                line = json.dumps({"id": self.headers["webhook-id"], "body": json.loads(body)})
                with lock, told.open("a", encoding="utf-8") as file:
                    file.write(line + "\n")
            self.send_response(503 if refused else 204)
            if refused:
                self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/events"
        finally:
            server.shutdown()
            thread.join()
