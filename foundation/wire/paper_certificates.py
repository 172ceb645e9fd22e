"""The certificates that papers of licences are signed with, as anyone may hold them.

They are named one by one. A chain that ends at a national authority says who a signer is, and not that he may
issue licences: so a paper is trusted by its signer's own certificate, for one municipality.
"""

import base64
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from foundation.errors import Malformed

CERTIFICATES_FILE = "rakeeza-certificates.json"
"""Name of the file of trusted certificates, in the platform's folder and under `/.well-known/`."""

_MOST = 1_000


@dataclass(frozen=True)
class PaperCertificate:
    """One certificate and the municipality whose papers it signs.

    Args:
        municipality: code, as in the credential.
        chain: the signer's certificate first, then those above it, if it has any; DER.

    Its `fingerprint` is the SHA-256 of the signer's certificate.

    Raises:
        ValueError: what stands first is no certificate.
    """

    municipality: str
    chain: tuple[bytes, ...]

    leaf: x509.Certificate = field(init=False, repr=False, compare=False)
    fingerprint: bytes = field(init=False)

    def __post_init__(self) -> None:
        leaf = x509.load_der_x509_certificate(self.chain[0])
        object.__setattr__(self, "leaf", leaf)
        object.__setattr__(self, "fingerprint", leaf.fingerprint(hashes.SHA256()))

    def covers(self, moment: datetime) -> bool:
        """Whether a paper may be signed with it at this moment, aware."""
        return self.leaf.not_valid_before_utc <= moment <= self.leaf.not_valid_after_utc

    def to_pem(self) -> str:
        """The chain as PEM, the signer's certificate first."""
        chain = [x509.load_der_x509_certificate(one) for one in self.chain]
        return "".join(one.public_bytes(Encoding.PEM).decode() for one in chain)


class PaperCertificates:
    """Certificates by fingerprint.

    Args:
        certificates: the certificates; of equal ones the first is kept.
    """

    def __init__(self, certificates: Iterable[PaperCertificate] = ()) -> None:
        self._known: dict[bytes, PaperCertificate] = {}
        for one in certificates:
            self._known.setdefault(one.fingerprint, one)

    def __iter__(self) -> Iterator[PaperCertificate]:
        return iter(self._known.values())

    def __len__(self) -> int:
        return len(self._known)

    def get(self, fingerprint: bytes) -> PaperCertificate | None:
        """The certificate with this SHA-256, if it is trusted."""
        return self._known.get(fingerprint)

    def to_json(self) -> str:
        """The set as `/.well-known/rakeeza-certificates.json` has it; `x5c` as in a JWK.

        Source: RFC 7517, section 4.7.
        """
        rows = [
            {"iss": one.municipality, "x5c": [base64.b64encode(each).decode() for each in one.chain]}
            for one in self
        ]
        return json.dumps({"certificates": rows}, ensure_ascii=False, indent=2)

    @classmethod
    def from_json(cls, text: str, place: str = "certificates") -> "PaperCertificates":
        """The set from its JSON form.

        Args:
            text: JSON.
            place: what errors call it.

        Raises:
            Malformed: it is damaged, or holds no certificate.
        """
        try:
            rows = json.loads(text)["certificates"][:_MOST]
            found = [
                PaperCertificate(_code(row["iss"]), tuple(base64.b64decode(one) for one in row["x5c"]))
                for row in rows
            ]
        except (ValueError, KeyError, IndexError, TypeError, RecursionError) as error:
            raise Malformed(
                "This is no usable set of certificates.",
                place=place,
                remedy=f"Get it again from /.well-known/{CERTIFICATES_FILE} of the municipality.",
            ) from error
        if not found:
            raise Malformed(
                "No certificate is in it.",
                place=place,
                remedy=f"Get it again from /.well-known/{CERTIFICATES_FILE} of the municipality.",
            )
        return cls(found)


def _code(value: object) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("iss")
    return value
