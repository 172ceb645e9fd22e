"""What stands between a client and the API and means well: it calls every message plain XML."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

from foundation.secret import Secret
from foundation.tls import Material, server_context
from tests.integrations.clients.counter import Counter
from tests.processes import PATIENCE

_NOT_PASSED_ON = frozenset({"connection", "content-length", "transfer-encoding", "date", "server"})


@contextmanager
def relayed(counter: Counter) -> Iterator[str]:
    """The API behind such a relay, over TLS by the same authority; its URL."""
    trusted = counter.platform.authority.certificate_pem()
    own: Secret = counter.platform.authority.server_pem(("localhost", "127.0.0.1"), datetime.now(UTC))
    api, context = counter.environment["API"], ssl.create_default_context(cadata=trusted)
    with httpx.Client(verify=context, timeout=PATIENCE, trust_env=False) as http:

        class Relay(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self._pass_on("GET", b"")

            def do_POST(self) -> None:
                self._pass_on("POST", self.rfile.read(int(self.headers["Content-Length"])))

            def _pass_on(self, method: str, content: bytes) -> None:
                # The name that the client asked for, so that the contract says it too.
                headers = {"Host": self.headers["Host"], "Content-Type": "application/xml"}
                answer = http.request(method, api + self.path, content=content, headers=headers)
                self.send_response(answer.status_code)
                for name, value in answer.headers.items():
                    if name.lower() not in _NOT_PASSED_ON:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            def log_message(self, format: str, *args: object) -> None:
                """Nothing is written anywhere."""

        with ThreadingHTTPServer(("127.0.0.1", 0), Relay) as server:
            server.socket = server_context(Material(own, trusted, "the relay")).wrap_socket(
                server.socket, server_side=True
            )
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield f"https://localhost:{server.server_address[1]}"
            finally:
                server.shutdown()
                thread.join()
