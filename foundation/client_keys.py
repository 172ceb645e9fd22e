"""The keys that machines prove themselves with: client certificates that our own authority issued.

A certificate counts because its row says so. What an X.509 check says of it (the chain, the dates) comes on
top, in TLS; the list of revocations is for others.

Source: RFC 5280 (certificates), RFC 7638 (thumbprint of a key), RFC 8705, section 3.1 (of a certificate).
"""

import base64
import hashlib
import ssl
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from sqlalchemy import DateTime, ForeignKey, LargeBinary, Text, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from foundation.chain import canonical
from foundation.database import Base

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey

_COORDINATE = 32  # bytes, on P-256


class State(StrEnum):
    """How a client certificate stands at a moment."""

    EARLY = "early"  # its time has not come
    ACTIVE = "active"
    EXPIRED = "expired"
    REVOKED = "revoked"


class ClientCertificate(Base):
    """A certificate that our authority issued to an API client.

    Its `thumbprint` is the SHA-256 of the certificate, 64 hexadecimal digits; `key_thumbprint` is that of its
    key (RFC 7638), in base64url.
    """

    __tablename__ = "client_certificate"

    serial: Mapped[str] = mapped_column(Text, primary_key=True)
    client_id: Mapped[str] = mapped_column(Text, ForeignKey("api_client.client_id"))
    thumbprint: Mapped[str] = mapped_column(Text)
    key_thumbprint: Mapped[str] = mapped_column(Text)
    certificate: Mapped[bytes] = mapped_column(LargeBinary)
    not_before: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    not_after: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    issued_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    issued_by: Mapped[str] = mapped_column(Text)
    renews: Mapped[str | None] = mapped_column(Text)
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    revoked_because: Mapped[str | None] = mapped_column(Text)
    warned_days: Mapped[int | None]

    def state(self, at: datetime) -> State:
        """How it stands at a moment; once revoked it stays so, whatever the moment."""
        if self.revoked_at is not None:
            return State.REVOKED
        if at < self.not_before:
            return State.EARLY
        return State.ACTIVE if at <= self.not_after else State.EXPIRED

    def public_key(self) -> PublicKey:
        """The key that it is of."""
        return public_key_of(self.certificate)

    def to_pem(self) -> str:
        """The certificate as a file has it."""
        return ssl.DER_cert_to_PEM_cert(self.certificate)


@dataclass(frozen=True)
class Held:
    """A key that a client holds now, as the row of its certificate says.

    Args:
        thumbprint: of the certificate: SHA-256, hexadecimal.
        key_thumbprint: of the key: RFC 7638, base64url.
        not_after: the last moment of the certificate.
        certificate: DER.
    """

    thumbprint: str
    key_thumbprint: str
    not_after: datetime
    certificate: bytes

    @property
    def x5t(self) -> str:
        """The certificate's thumbprint as tokens carry it: base64url (RFC 8705, section 3.1)."""
        return base64url(bytes.fromhex(self.thumbprint))


def certificate_for(session: Session, thumbprint: str) -> ClientCertificate | None:
    """The certificate of a thumbprint, whatever its state; None if we issued no such.

    Args:
        thumbprint: SHA-256 of the certificate (DER), hexadecimal.
    """
    found = select(ClientCertificate).where(ClientCertificate.thumbprint == thumbprint.lower())
    return session.scalars(found).one_or_none()


def held(session: Session, client_id: str, at: datetime | None = None) -> list[Held]:
    """The keys that a client may prove itself with at a moment; the latest certificate first.

    Args:
        client_id: of the API client; a centre's code is its client id.
        at: aware; the database's own present without it.
    """
    row = ClientCertificate
    moment = func.clock_timestamp() if at is None else at
    found = (
        select(row.thumbprint, row.key_thumbprint, row.not_after, row.certificate)
        .where(row.client_id == client_id, row.revoked_at.is_(None))
        .where(row.not_before <= moment, row.not_after >= moment)
        .order_by(row.not_after.desc(), row.serial)
    )
    return [Held(*each) for each in session.execute(found)]


def thumbprint(certificate: bytes) -> str:
    """The thumbprint of a certificate (DER): SHA-256, hexadecimal."""
    return hashlib.sha256(certificate).hexdigest()


def public_key_of(certificate: bytes) -> PublicKey:
    """The key of a certificate (DER) that our authority issued."""
    key = x509.load_der_x509_certificate(certificate).public_key()
    assert isinstance(key, (ec.EllipticCurvePublicKey, rsa.RSAPublicKey))
    return key


def key_thumbprint(key: PublicKey) -> str:
    """The thumbprint of a key: SHA-256 over the members of its JWK that make it, in base64url.

    Source: RFC 7638, section 3.2; RFC 7518, sections 6.2.1 and 6.3.1.
    """
    return base64url(hashlib.sha256(canonical(_jwk(key))).digest())


def base64url(data: bytes) -> str:
    """Base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _jwk(key: PublicKey) -> dict[str, Any]:
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        return {"e": _number(numbers.e), "kty": "RSA", "n": _number(numbers.n)}
    point = key.public_numbers()
    x, y = (base64url(number.to_bytes(_COORDINATE, "big")) for number in (point.x, point.y))
    return {"crv": "P-256", "kty": "EC", "x": x, "y": y}


def _number(value: int) -> str:
    return base64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))
