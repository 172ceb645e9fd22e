"""A client that proves who it is by a signed assertion: a JSON Web Token under the key of its certificate.

Source: RFC 7521, section 4.2; RFC 7523, sections 2.2 and 3; RFC 8725 (best practice).
"""

import hashlib
import time
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import DateTime, LargeBinary, Text, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from foundation.client_keys import Held, PublicKey, public_key_of
from foundation.database import Base
from foundation.errors import NotAuthenticated

ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ALGORITHMS = ("ES256", "PS256", "RS256")
LONGEST = 300
"""Seconds that an assertion may still hold when it comes."""

_LEEWAY = 5  # seconds by which the client's clock may differ
# Beyond its end, so that no difference between our clock and the database's lets it in again.
_KEPT = 120
_LONGEST_TEXT = 8_192
_LONGEST_JTI = 256
_REQUIRED = ["iss", "sub", "aud", "exp", "jti"]
_FORGET = text(
    """
    DELETE FROM client_assertion WHERE ctid IN (
        SELECT ctid FROM client_assertion WHERE expires < clock_timestamp() LIMIT 100 FOR UPDATE SKIP LOCKED
    )
    """
)


class Used(Base):
    """An assertion that was used, until it would not hold any more."""

    __tablename__ = "client_assertion"

    client_id: Mapped[str] = mapped_column(Text, primary_key=True)
    jti: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    expires: Mapped[datetime] = mapped_column(DateTime(timezone=True))


def client_of(assertion: str) -> str:
    """The client that an assertion names; nothing of it is checked yet.

    Raises:
        NotAuthenticated: it is malformed, or of an algorithm that is not taken.
    """
    try:
        if len(assertion) > _LONGEST_TEXT or not assertion.isascii():
            raise jwt.DecodeError
        header = jwt.get_unverified_header(assertion)
        named = jwt.decode(assertion, options={"verify_signature": False}).get("sub")
    except jwt.InvalidTokenError as error:
        raise _refused("is malformed") from error
    # An extension that must be understood and is not (RFC 7515, section 4.1.11).
    if header.get("alg") not in ALGORITHMS or "crit" in header:
        raise _refused(f"is not signed as it must be ({', '.join(ALGORITHMS)})")
    if not isinstance(named, str) or not (named.isascii() and named.isprintable()):
        raise _refused("is malformed")
    return named


def check(
    session: Session, assertion: str, client_id: str, keys: Sequence[Held], endpoints: Collection[str]
) -> Held:
    """The key that an assertion is signed with; it holds, and is used up with this transaction.

    Args:
        assertion: as `client_of` read it.
        client_id: of the client that it names.
        keys: that the client holds now.
        endpoints: URLs of the token endpoint.

    Raises:
        NotAuthenticated: the signature is by none of the keys, or what it says does not hold; the sentence
            says which.
    """
    key, claims = _verified(assertion, keys)
    if claims["iss"] != client_id or claims["sub"] != client_id:
        raise _refused("names another issuer than its subject")
    _check_audience(claims["aud"], endpoints)
    ends, now = claims["exp"], time.time()
    # The library takes a number in quotes too (RFC 7519, section 2: NumericDate is a number).
    if not isinstance(ends, int | float):
        raise _refused("is malformed")
    if ends > now + LONGEST + _LEEWAY:
        raise _refused(f"holds for more than {LONGEST} seconds")
    _use(session, client_id, claims["jti"], ends)
    return key


def _verified(assertion: str, keys: Sequence[Held]) -> tuple[Held, dict[str, Any]]:
    header = jwt.get_unverified_header(assertion)
    algorithm, named = header["alg"], header.get("kid")
    for key in keys:
        public = public_key_of(key.certificate)
        if not _fits(public, algorithm) or named not in (None, key.key_thumbprint, key.x5t, key.thumbprint):
            continue
        try:
            # The audience is judged by ourselves: the library takes one that is right among others.
            options: Any = {"require": _REQUIRED, "verify_aud": False}
            claims = jwt.decode(assertion, public, algorithms=[algorithm], leeway=_LEEWAY, options=options)
        except jwt.InvalidSignatureError:
            continue
        except jwt.ExpiredSignatureError as error:
            raise _refused("has expired") from error
        except jwt.ImmatureSignatureError as error:
            raise _refused("is of the future") from error
        except jwt.MissingRequiredClaimError as error:
            raise _refused(f"lacks {error.claim}") from error
        except jwt.InvalidTokenError as error:
            raise _refused("is malformed") from error
        return key, claims
    raise _refused("is not signed by a key of this client that counts now")


def _fits(key: PublicKey, algorithm: str) -> bool:
    # The key decides, never the header alone.
    return algorithm == "ES256" if isinstance(key, ec.EllipticCurvePublicKey) else algorithm != "ES256"


def _check_audience(named: Any, endpoints: Collection[str]) -> None:
    # One only: an assertion that is for others too could be used here by them.
    audience = named[0] if isinstance(named, list) and len(named) == 1 else named
    if not isinstance(audience, str) or audience not in endpoints:
        raise _refused("is not for this token endpoint alone")


def _use(session: Session, client_id: str, jti: str, ends: float) -> None:
    if not 1 <= len(jti) <= _LONGEST_JTI:
        raise _refused(f"has no jti of 1 to {_LONGEST_JTI} characters")
    session.execute(_FORGET)
    row = {
        "client_id": client_id,
        "jti": hashlib.sha256(jti.encode(errors="surrogatepass")).digest(),
        "expires": datetime.fromtimestamp(ends + _KEPT, UTC),
    }
    first = insert(Used).values(row).on_conflict_do_nothing().returning(Used.client_id)
    if session.execute(first).scalar_one_or_none() is None:
        raise _refused("was used before")


def _refused(reason: str) -> NotAuthenticated:
    return NotAuthenticated(
        f"The client assertion {reason}.",
        remedy=f"Make a new one: iss and sub the client id, aud the token endpoint, a new jti, exp within "
        f"{LONGEST} s.",
        message_ar="إثبات هوية الجهة (client assertion) غير صالح؛ أنشئ إثباتًا جديدًا.",
    )
