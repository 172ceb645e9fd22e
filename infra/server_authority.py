"""The authority of our own servers: certifies keys that the servers made, for names that we say.

Apart from the authority of the centres: who trusts a database's certificate need not trust every centre's,
and the other way round. Its key lies sealed in the secrets file; no database is needed, so that a certificate
can be renewed while the platform is down.

Source: RFC 5280 (profile), RFC 2986 (requests), RFC 6125, section 6.4 (names of servers).
"""

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from foundation.errors import InvalidInput, Malformed, SettingsError
from foundation.secret import Secret, SecretFile

AUTHORITY = "server-authority"
"""Name of the authority's key and certificate in the secrets file; one secret, so that they stay together."""

LONGEST = 397
"""Days of a server's certificate at most."""

_YEARS = 10  # of the authority's own
# Clocks of servers may be behind ours.
_BACKDATED = timedelta(minutes=5)
_LONGEST_REQUEST = 16_384  # characters
_LONGEST_NAME = 64  # RFC 5280, appendix A.1: ub-organization-name, ub-common-name
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)
_DNS = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


class ServerAuthority:
    """The authority of one municipality's servers; made on first use.

    Args:
        municipality: its code, and its name in English; they stand in the authority's own name.
        secrets: the platform's secrets file.
    """

    def __init__(self, municipality: tuple[str, str], secrets: SecretFile) -> None:
        self._municipality = municipality
        self._secrets = secrets

    def certificate_pem(self) -> str:
        """The authority's own certificate, which others trust; it holds nothing secret.

        Raises:
            SettingsError: the secrets file cannot be used, or what it holds for the authority is damaged.
        """
        return self._kept.certificate.public_bytes(Encoding.PEM).decode()

    def certify(self, request: str, names: Sequence[str], days: int, at: datetime) -> str:
        """A server's certificate and the authority's, PEM, the server's first.

        Nothing of the request counts but its key: a server does not say itself what it is called.

        Args:
            request: PKCS #10 in PEM, as `openssl req -new` writes it.
            names: host names and addresses that the server is reached under; at least one.
            days: until it ends; from 1 to `LONGEST`, but never after the authority's own end.
            at: the moment of issue, aware.

        Raises:
            Malformed: it is no request, or its signature does not hold, so its sender need not have the key.
            InvalidInput: a name or the days cannot be certified, or the key is of a kind that is not taken.
            SettingsError: the authority cannot be used.

        Source: RFC 5280, section 4.2.
        """
        if not 1 <= days <= LONGEST:
            raise InvalidInput(f"A certificate lasts from 1 to {LONGEST} days, not {days}.", place="days")
        subject = x509.SubjectAlternativeName(_alternative(names))
        key, authority = _requested(request), self._kept
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:_LONGEST_NAME])]))
            .issuer_name(authority.certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(at - _BACKDATED)
            .not_valid_after(min(at + timedelta(days=days), authority.certificate.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(subject, critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
            )
        )
        issued = builder.sign(authority.key, hashes.SHA256())
        return issued.public_bytes(Encoding.PEM).decode() + self.certificate_pem()

    @cached_property
    def _kept(self) -> "_Kept":
        kept = self._secrets.get_or_make(AUTHORITY, self._made).reveal()
        try:
            key = serialization.load_pem_private_key(kept.encode(), password=None)
            certificate = x509.load_pem_x509_certificate(kept.encode())
        except ValueError as error:
            raise _damaged() from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or certificate.public_key() != key.public_key():
            raise _damaged()
        return _Kept(key, certificate)

    def _made(self) -> Secret:
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
        code, title = self._municipality
        # Unlike any that this municipality had before: readers find an authority by its name.
        mark = identifier.digest.hex()[:8]
        # Some count its 64 characters in bytes.
        organisation = title.encode()[:_LONGEST_NAME].decode(errors="ignore")
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.COUNTRY_NAME, "SA"),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
                x509.NameAttribute(NameOID.COMMON_NAME, f"Rakeeza servers {code[:32]} {mark}"),
            ]
        )
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now.replace(year=now.year + _YEARS, day=min(now.day, 28)))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(authority=True), critical=True)
            .add_extension(identifier, critical=False)
            .sign(key, hashes.SHA256())
        )
        form = (Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        return Secret(certificate.public_bytes(Encoding.PEM).decode() + key.private_bytes(*form).decode())


@dataclass(frozen=True)
class _Kept:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def _requested(pem: str) -> ec.EllipticCurvePublicKey:
    try:
        if len(pem) > _LONGEST_REQUEST:
            raise ValueError("length")
        request = x509.load_pem_x509_csr(pem.encode())
        key = request.public_key()
        held = isinstance(request.signature_hash_algorithm, _HASHES) and request.is_signature_valid
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
        raise _no_request() from error
    if not held:
        raise _no_request()
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    raise InvalidInput(
        "The request is for a key that is not taken.", place="request", remedy="Make one on the curve P-256."
    )


def _alternative(names: Sequence[str]) -> list[x509.GeneralName]:
    found: list[x509.GeneralName] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            if not _DNS.fullmatch(name):
                raise InvalidInput(
                    f"{name!r} is no name of a server.",
                    place="name",
                    remedy="Give host names in small letters, or addresses; no wildcards, no ports.",
                ) from None
            found.append(x509.DNSName(name))
    if not found:
        raise InvalidInput("A server's certificate needs a name.", place="name")
    return found


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _no_request() -> Malformed:
    return Malformed(
        "This is no request for a certificate, or its signature does not hold.",
        place="request",
        remedy="Make one with: openssl req -new -key KEY -subj /CN=NAME",
        message_ar="هذا ليس طلب شهادة صحيحًا، أو أن توقيعه غير صحيح.",
    )


def _damaged() -> SettingsError:
    return SettingsError(
        "The authority of the servers is damaged.",
        place=f"secret {AUTHORITY}",
        remedy="Restore secrets.json and secrets.key from one backup.",
    )
