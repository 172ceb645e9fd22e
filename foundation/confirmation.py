"""The keys that the sender of a request has shown to hold: by TLS, or by signing this very request.

What says so stands in the ASGI scope and has types of this process: no header, body or connection can make
one. A token that is bound to a key is believed only where that key was shown.

Source: RFC 7800 (confirmation of possession), RFC 8705, section 3.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from starlette.types import Scope

from foundation.client_keys import key_thumbprint, public_key_of, thumbprint

BY_CERTIFICATE: Literal["x5t#S256"] = "x5t#S256"
"""RFC 8705, section 3.1: the token is bound to a certificate."""
BY_KEY: Literal["jkt"] = "jkt"
"""RFC 9449, section 6.1: the token is bound to a key."""

_SIGNED = "rakeeza.signed"
# A connection shows the same certificate at each of its requests, and reading its key takes 20 us.
_MOST_READ = 4_096


@dataclass(frozen=True)
class Confirmation:
    """What a token is bound to.

    Args:
        kind: a certificate or a key.
        value: its thumbprint, base64url.
    """

    kind: Literal["x5t#S256", "jkt"]
    value: str


@dataclass(frozen=True)
class Shown:
    """What a request was sent with.

    Args:
        certificate: thumbprint of the TLS client certificate (SHA-256, hexadecimal); None without one.
        key: thumbprint (RFC 7638, base64url) of that certificate's key.
        signed_by: thumbprint of the key that signed the request itself; None where none did.
    """

    certificate: str | None = None
    key: str | None = None
    signed_by: str | None = None


NOTHING = Shown()


@dataclass(frozen=True)
class _Signed:
    key: str


def show_signature(scope: Scope, key: str) -> None:
    """Note that a request was signed, and the signature holds for all of it.

    Args:
        scope: of the request; it is changed.
        key: thumbprint of the key that signed (RFC 7638, base64url).
    """
    scope[_SIGNED] = _Signed(key)


def shown(scope: Scope) -> Shown:
    """What a request was sent with.

    Args:
        scope: of ASGI, as `foundation.tls.Protocol` and `show_signature` have left it.
    """
    tls = scope.get("extensions", {}).get("tls", {})
    given = tls.get("client_certificate")
    by_tls = _read(given) if given else NOTHING
    signed = scope.get(_SIGNED)
    if isinstance(signed, _Signed):
        return Shown(by_tls.certificate, by_tls.key, signed.key)
    return by_tls


@lru_cache(_MOST_READ)
def _read(certificate: bytes) -> Shown:
    return Shown(thumbprint(certificate), key_thumbprint(public_key_of(certificate)))
