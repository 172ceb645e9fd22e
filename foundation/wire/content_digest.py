"""Content-Digest: what a message's body hashes to, told in a header that can be signed.

Source: RFC 9530, sections 2 and 5.
"""

import hashlib
import hmac
from collections.abc import Callable

from foundation.errors import Damaged, Malformed
from foundation.wire.structured_field import Item, read_dictionary, write_dictionary

_HASHES: dict[str, Callable[[bytes], bytes]] = {
    "sha-256": lambda body: hashlib.sha256(body).digest(),
    "sha-512": lambda body: hashlib.sha512(body).digest(),
}


class WrongDigest(Damaged):
    """The body is not the one whose digest the header tells."""

    titles = ("The body does not match its digest", "محتوى الطلب لا يطابق بصمته")


def content_digest(body: bytes, algorithm: str = "sha-256") -> str:
    """The header's value for a body.

    Args:
        algorithm: `sha-256` or `sha-512`.
    """
    return write_dictionary({algorithm: Item(_HASHES[algorithm](body))})


def check_digest(value: str, body: bytes) -> None:
    """Hold a body against its header.

    Every digest of an algorithm known here has to be right, and there has to be one; others say nothing.

    Args:
        value: of the header; of several lines, joined by ", ".
        body: as it was received, content coding and all.

    Raises:
        Malformed: the header cannot be read, or has no digest by sha-256 or sha-512.
        WrongDigest: the body is another one.
    """
    members = read_dictionary(value)
    known = {name: member for name, member in members.items() if name in _HASHES}
    if not known:
        raise Malformed(
            "Content-Digest has no digest by sha-256 or sha-512.",
            remedy="Send one of these.",
            message_ar="لا تحتوي الترويسة Content-Digest بصمة بخوارزمية sha-256 أو sha-512.",
        )
    for name, member in known.items():
        if not isinstance(member, Item) or not isinstance(member.value, bytes) or member.parameters:
            raise Malformed(
                f"The digest {name} in Content-Digest is no byte sequence.",
                remedy="Write it between colons, in base64.",
                message_ar="بصمة المحتوى في الترويسة Content-Digest غير مقروءة.",
            )
        if not hmac.compare_digest(member.value, _HASHES[name](body)):
            raise WrongDigest(
                f"The body is not the one whose {name} digest Content-Digest tells.",
                remedy="Reckon it over the bytes that are sent.",
                message_ar="محتوى الطلب تغيّر بعد حساب بصمته.",
            )
