"""Signing what is posted to programs of others, so that they can tell who sent it, and when.

What is signed is the id, the moment of the attempt and the body, joined by full stops; the key is 32 random
bytes of this one receiver. While a secret is being replaced, both sign.

Source: Standard Webhooks 1.0.0, "Signature scheme", "Webhook headers".
"""

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime

from foundation.errors import SettingsError
from foundation.secret import Secret

_PREFIX = "whsec_"
# Bytes of a key: what the convention asks of one.
_SHORTEST, _LONGEST = 24, 64


def new_secret() -> str:
    """A new secret as it is given out: "whsec_" and 32 random bytes in base64."""
    return _PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def check_secret(secret: Secret, name: str) -> None:
    """Refuse a secret that a person wrote down and that cannot sign.

    Args:
        name: under which it is kept.

    Raises:
        SettingsError: it is not "whsec_" and 24 to 64 bytes in base64.
    """
    text = secret.reveal()
    try:
        raw = base64.b64decode(text.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if not text.startswith(_PREFIX) or not _SHORTEST <= len(raw) <= _LONGEST:
        raise SettingsError(
            "This secret cannot sign webhooks.",
            place=name,
            remedy=f"Make it of whsec_ and 32 random bytes in base64; then: rakeeza secret set {name}",
            message_ar="لا يصلح هذا السر لتوقيع الإشعارات.",
        )


def headers(id: str, body: bytes, keys: Sequence[str], at: datetime) -> dict[str, str]:
    """The headers of an attempt.

    Args:
        id: of the message, the same at each attempt.
        keys: secrets that sign, as they are given out ("whsec_…").
        at: the moment of the attempt.
    """
    stamp = str(int(at.timestamp()))
    signed = f"{id}.{stamp}.".encode() + body
    return {
        "content-type": "application/json",
        "webhook-id": id,
        "webhook-timestamp": stamp,
        "webhook-signature": " ".join(f"v1,{_signature(key, signed)}" for key in keys),
    }


def _signature(key: str, signed: bytes) -> str:
    raw = base64.b64decode(key.removeprefix(_PREFIX))
    return base64.b64encode(hmac.new(raw, signed, hashlib.sha256).digest()).decode()
