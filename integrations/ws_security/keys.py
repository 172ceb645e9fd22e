"""How a signature names its certificate, and the question to whoever keeps the certificates."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class ByCertificate:
    """The certificate itself came with the message.

    Args:
        sha256: of its DER encoding, 32 bytes.
    """

    sha256: bytes


@dataclass(frozen=True)
class BySerial:
    """Issuer and serial number.

    Args:
        issuer: distinguished name as the message writes it (RFC 4514).
        serial: as in the certificate.
    """

    issuer: str
    serial: int


@dataclass(frozen=True)
class BySubjectKey:
    """Subject key identifier.

    Args:
        identifier: the octets of the extension's value.
    """

    identifier: bytes


@dataclass(frozen=True)
class ByThumbprint:
    """Thumbprint by SHA-1, which only chooses among certificates that are known.

    Args:
        sha1: of the DER encoding, 20 bytes.
    """

    sha1: bytes


KeyReference = ByCertificate | BySerial | BySubjectKey | ByThumbprint


class Lookup(Protocol):
    """Knows the centres' certificates."""

    def __call__(self, reference: KeyReference, /) -> bytes | None:
        """The one certificate that a reference means, trusted and not revoked.

        Returns:
            Its DER encoding; None if there is none, or more than one.
        """
