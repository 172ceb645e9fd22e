"""What goes out over HTTP: a reply and its headers."""

from collections.abc import Sequence
from dataclasses import dataclass

from starlette.types import Send

# The reply to one caller is nobody else's, and no browser's to guess at.
_DEFAULTS = (
    (b"x-content-type-options", b"nosniff"),
    (b"content-language", b"en, ar"),
)


@dataclass(frozen=True)
class Reply:
    """A reply.

    Args:
        status: of HTTP.
        content_type: of its body.
        headers: further ones, names in small letters.
        stored: whether a cache may keep it.
    """

    status: int
    content_type: str
    body: bytes
    headers: Sequence[tuple[str, str]] = ()
    stored: bool = False


async def sent(reply: Reply, send: Send, *, head: bool = False) -> None:
    """Send a reply, or what a HEAD request gets of it."""
    length = str(len(reply.body))
    headers = [("content-type", reply.content_type), ("content-length", length), *reply.headers]
    if not reply.stored:
        headers.append(("cache-control", "no-store"))
    written = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    start = {"type": "http.response.start", "status": reply.status, "headers": [*written, *_DEFAULTS]}
    await send(start)
    await send({"type": "http.response.body", "body": b"" if head else reply.body})
