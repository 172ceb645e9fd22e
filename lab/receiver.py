"""A service centre's own system that is told by webhook: a real HTTP server that believes only signatures.

The check is written from the text of Standard Webhooks, and uses nothing of what signs.
"""

import base64
import contextlib
import hashlib
import hmac
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from foundation.errors import NotAuthenticated

_TOLERANCE = 300
_LARGEST = 1_000_000


@dataclass(frozen=True)
class Message:
    """One message as it came.

    Args:
        headers: names in small letters.
    """

    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> dict[str, Any]:
        """The event in it."""
        event: dict[str, Any] = json.loads(self.body)
        return event


@dataclass
class Receiver:
    """What came in, in order; `receiving()` makes one.

    Args:
        url: to be told at.
    """

    url: str
    messages: list[Message] = field(default_factory=list)

    def about(self, kind: str, subject: str) -> Message | None:
        """The first message of a kind about a subject, as licence/SL-2026-000001."""
        return next(
            (
                each
                for each in list(self.messages)
                if each.told["type"] == kind and each.told["data"]["subject"] == subject
            ),
            None,
        )


def verify(message: Message, secret: str) -> None:
    """Believe a message only if the holder of the secret signed it lately.

    Raises:
        NotAuthenticated: the signature or the moment does not hold.

    Source: Standard Webhooks 1.0.0, "Verifying signatures".
    """
    id, stamp = message.headers["webhook-id"], message.headers["webhook-timestamp"]
    if abs(time.time() - int(stamp)) > _TOLERANCE:
        raise NotAuthenticated("The message is of another time.", place=id)
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    wanted = hmac.new(key, f"{id}.{stamp}.".encode() + message.body, hashlib.sha256).digest()
    for signature in message.headers["webhook-signature"].split():
        version, _, given = signature.partition(",")
        if version == "v1" and hmac.compare_digest(given, base64.b64encode(wanted).decode()):
            return
    raise NotAuthenticated("The message is not signed by who holds the secret.", place=id)


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver on loopback; ended with the block."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(min(_LARGEST, int(self.headers.get("content-length", "0"))))
            names = {name.lower(): value for name, value in self.headers.items()}
            receiver.messages.append(Message(names, body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the screen is the story's."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver = Receiver(f"http://127.0.0.1:{server.server_address[1]}/events")
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
