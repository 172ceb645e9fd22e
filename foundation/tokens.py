"""Short-lived signed tokens: JSON Web Tokens under one key of the platform.

Source: RFC 7519 (JWT), RFC 7518 section 3.4 (ES256), RFC 8725 (best practice: one algorithm, pinned),
RFC 7800 (what a token is bound to).
"""

import hashlib
import threading
import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from foundation.client_keys import key_thumbprint
from foundation.confirmation import BY_CERTIFICATE, BY_KEY, Confirmation
from foundation.errors import NotAuthenticated
from foundation.secret import Secret, SecretFile

ISSUER = AUDIENCE = "rakeeza"
ALGORITHM = "ES256"
LEEWAY = 5
"""Seconds by which the clocks of two machines of one platform may differ."""

_KEY_NAME = "token-signing-key"
_REQUIRED = ["iss", "aud", "sub", "roles", "iat", "exp", "jti"]
# Tokens whose signature was found good are believed until they expire: checking one costs 100 us of a CPU.
_MOST_VERIFIED = 10_000
_ASK_AGAIN = "Ask for a new one at /v1/oauth/token."
_ASK_AGAIN_AR = "اطلب رمزًا جديدًا."
_MALFORMED_AR = "تعذّرت قراءة رمز الدخول"


@dataclass(frozen=True)
class AccessToken:
    """A token, for the `Authorization: Bearer` header.

    Args:
        token: the signed text.
        expires_in: seconds it holds.
        roles: what its bearer may do.
    """

    token: Secret
    expires_in: int
    roles: tuple[str, ...]


@dataclass(frozen=True)
class Claims:
    """What a token says.

    Args:
        subject: whom it names.
        roles: what its bearer may do at most.
        bound_to: whose holder its bearer has to be; None lets any bearer in.
    """

    subject: str
    roles: frozenset[str]
    bound_to: Confirmation | None = None


class Tokens:
    """Issues tokens and reads them.

    Args:
        secrets: holds the signing key, which is made on first use.
        lifetime_s: seconds that a token holds.
    """

    def __init__(self, secrets: SecretFile, lifetime_s: int) -> None:
        self._secrets = secrets
        self._lifetime = lifetime_s
        # By hash: what lies in memory for long should let nobody in.
        self._verified: dict[bytes, tuple[float, Claims]] = {}
        self._lock = threading.Lock()

    def issue(self, subject: str, roles: Iterable[str], bound_to: Confirmation | None = None) -> AccessToken:
        """A new token.

        Args:
            subject: whom it names: "client/centre-7", "person/amal".
            roles: what its bearer may do.
            bound_to: the certificate or key without which nobody may use it.

        Source: RFC 7800, section 3.1; RFC 8705, section 3.1.
        """
        now = int(time.time())
        named = sorted(roles)
        claims: dict[str, Any] = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": subject,
            "roles": named,
            "iat": now,
            "exp": now + self._lifetime,
            "jti": uuid.uuid4().hex,
        }
        if bound_to is not None:
            claims["cnf"] = {bound_to.kind: bound_to.value}
        key, kid = self._key
        signed = jwt.encode(claims, key, algorithm=ALGORITHM, headers={"kid": kid})
        return AccessToken(Secret(signed), self._lifetime, tuple(named))

    def read(self, token: str) -> Claims:
        """What a token says, its signature and times checked.

        Raises:
            NotAuthenticated: it is malformed, expired, signed by another key or made for something else; the
                sentence says which.
        """
        if not token.isascii():
            raise _refused("is malformed", _MALFORMED_AR)
        known = self.verified(token)
        if known is not None:
            return known
        claims = self._checked(token)
        subject, roles = claims["sub"], claims["roles"]
        if not isinstance(roles, list) or not all(isinstance(role, str) for role in roles):
            raise _refused("is malformed", _MALFORMED_AR)
        found = Claims(str(subject), frozenset(roles), _bound_to(claims))
        self._remember(token, int(claims["exp"]) + LEEWAY, found)
        return found

    def verified(self, token: str) -> Claims | None:
        """What a token says that was read before and has not expired; None for any other."""
        ends, known = self._verified.get(_digest(token), (0.0, None))
        return known if time.time() < ends else None

    def _remember(self, token: str, ends: float, claims: Claims) -> None:
        with self._lock:
            if len(self._verified) >= _MOST_VERIFIED:
                now = time.time()
                left = {each: kept for each, kept in self._verified.items() if now < kept[0]}
                self._verified = left if len(left) < _MOST_VERIFIED else {}
            self._verified[_digest(token)] = (ends, claims)

    def _checked(self, token: str) -> dict[str, Any]:
        key, kid = self._key
        try:
            named = jwt.get_unverified_header(token).get("kid")
            if named != kid:
                raise jwt.InvalidSignatureError
            claims: dict[str, Any] = jwt.decode(
                token,
                key.public_key(),
                algorithms=[ALGORITHM],
                issuer=ISSUER,
                audience=AUDIENCE,
                leeway=LEEWAY,
                options={"require": _REQUIRED},
            )
            return claims
        except jwt.ExpiredSignatureError as error:
            # Its signature held, or another error would have come first.
            unchecked = jwt.decode(token, options={"verify_signature": False})
            at = datetime.fromtimestamp(unchecked["exp"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            raise _refused(f"expired at {at}", f"انتهت صلاحية رمز الدخول في {at}") from error
        except jwt.ImmatureSignatureError as error:
            raise NotAuthenticated(
                "The token was issued in the future.",
                remedy="Set the clocks of all machines right.",
                message_ar="رمز الدخول صادر بوقت لم يأتِ بعد؛ اضبط ساعات الأجهزة.",
            ) from error
        except jwt.InvalidSignatureError as error:
            raise _refused("was not signed by this platform", "رمز الدخول ليس بتوقيع هذه المنصة") from error
        except (jwt.InvalidAlgorithmError, jwt.InvalidAudienceError, jwt.InvalidIssuerError) as error:
            raise _refused("is not one of this platform", "رمز الدخول ليس لهذه المنصة") from error
        except jwt.InvalidTokenError as error:
            raise _refused("is malformed", _MALFORMED_AR) from error

    @cached_property
    def _key(self) -> tuple[ec.EllipticCurvePrivateKey, str]:
        pem = self._secrets.get_or_make(_KEY_NAME, _new_signing_key).reveal()
        key = serialization.load_pem_private_key(pem.encode(), password=None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return key, key_thumbprint(key.public_key())


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode(errors="replace")).digest()


def _new_signing_key() -> Secret:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Secret(pem.decode())


def _bound_to(claims: Mapping[str, Any]) -> Confirmation | None:
    if "cnf" not in claims:
        return None
    # One that cannot be read binds the token to what nobody holds; it must not bind it to nothing.
    for kind in (BY_CERTIFICATE, BY_KEY):
        if isinstance(claims["cnf"], dict) and list(claims["cnf"]) == [kind]:
            return Confirmation(kind, str(claims["cnf"][kind]))
    raise _refused("is malformed", _MALFORMED_AR)


def _refused(reason: str, arabic: str) -> NotAuthenticated:
    return NotAuthenticated(
        f"The token {reason}.", remedy=_ASK_AGAIN, message_ar=f"{arabic}؛ {_ASK_AGAIN_AR}"
    )
