"""The small certificate authority of the centres: it certifies keys, and lists what it revoked.

Its key is made on first use and lies in the secrets file, or in a hardware token where the keys of licences
do. It certifies keys that others made, and never sees a private one of theirs.

Source: RFC 5280 (profile), RFC 2986 (requests), CA/Browser Forum Baseline Requirements 6.1.1 (RSA keys).
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from foundation.client_keys import PublicKey
from foundation.errors import InvalidInput, Malformed, NotFound, SettingsError
from foundation.pkcs11 import Token, token_of
from foundation.secret import Secret, SecretFile
from foundation.settings import Settings
from integrations.licences.certificate import SignerKey

AUTHORITY_KEY = "centre-authority-key"
"""Name of the authority's key in the secrets file."""
AUTHORITY_CERTIFICATE = "centre-authority-certificate"
"""Name of its certificate there; that of a key in a token has a name that begins so."""
TOKEN_LABEL = "rakeeza-centre-authority-key"
"""Name of the authority's key in a hardware token."""
SERVER_KEY = "api-server-key"
"""Name of the key and certificate of the API itself, where no file is set for it."""

CRL_PATH = "/.well-known/rakeeza-centres.crl"
CERTIFICATE_PATH = "/.well-known/rakeeza-centres.cer"

LIFETIME = timedelta(days=397)
"""Of a client's certificate."""
_YEARS = 10  # of the authority's own
# Clocks of centres may be behind ours.
_BACKDATED = timedelta(minutes=5)
CRL_HOLDS = timedelta(hours=24)
"""After which others should have fetched the list of revocations again."""

_LONGEST_REQUEST = 16_384  # characters
_RSA_BITS = (2048, 8192)
_LONGEST_NAME = 64  # RFC 5280, appendix A.1: ub-organization-name, ub-common-name
_HASHES = (hashes.SHA256, hashes.SHA384, hashes.SHA512)

REASONS = {
    "unspecified": x509.ReasonFlags.unspecified,
    "key_compromise": x509.ReasonFlags.key_compromise,
    "affiliation_changed": x509.ReasonFlags.affiliation_changed,
    "superseded": x509.ReasonFlags.superseded,
    "cessation_of_operation": x509.ReasonFlags.cessation_of_operation,
    "privilege_withdrawn": x509.ReasonFlags.privilege_withdrawn,
}
"""Why a certificate may be revoked (RFC 5280, section 5.3.1)."""


@dataclass(frozen=True)
class Revoked:
    """A line of the list of revocations.

    Args:
        serial: of the certificate.
        at: when it was revoked, aware.
        reason: of `REASONS`.
    """

    serial: int
    at: datetime
    reason: str


def requested_key(pem: str) -> PublicKey:
    """The key that a request for a certificate is for; nothing else in the request counts.

    Args:
        pem: PKCS #10, as `openssl req -new` writes it.

    Raises:
        Malformed: it is no request, or its signature does not hold, so that its sender need not have the key.
        InvalidInput: the key is of a kind or size that is not taken.

    Source: RFC 2986.
    """
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
    least, most = _RSA_BITS
    if (
        isinstance(key, rsa.RSAPublicKey)
        and least <= key.key_size <= most
        and key.public_numbers().e >= 65537
    ):
        return key
    raise InvalidInput(
        "The request is for a key that is not taken.",
        place="request",
        remedy=f"Make one on P-256, or RSA of {least} to {most} bits with exponent 65537.",
        message_ar="نوع المفتاح غير مقبول؛ استخدم P-256 أو RSA بطول 2048 بت على الأقل.",
    )


class Authority:
    """The authority of one municipality; its key and certificate are made on first use.

    Args:
        settings: who issues, and under which address the list of revocations is found.
        secrets: the platform's secrets file.
    """

    def __init__(self, settings: Settings, secrets: SecretFile) -> None:
        self._settings = settings
        self._secrets = secrets
        self._in_token = settings.licences.key_store == "pkcs11"
        url = settings.http.public_url
        self._crl_url = url.rstrip("/") + CRL_PATH if url else None

    @property
    def certificate(self) -> x509.Certificate:
        """The authority's own certificate.

        Raises:
            SettingsError: key or certificate cannot be used, or the certificate is of another key.
            DeviceUnreachable: the token that holds the key does not answer.
        """
        return self._made.certificate

    def certificate_pem(self) -> str:
        """The authority's own certificate, as a file has it."""
        return self.certificate.public_bytes(Encoding.PEM).decode()

    def certify(self, key: PublicKey, client_id: str, at: datetime) -> x509.Certificate:
        """A certificate for a client's key.

        Args:
            key: as `requested_key` gave it.
            client_id: of the client; a centre's code is its client id.
            at: the moment of issue, aware.

        Source: RFC 5280, section 4.2; RFC 8141 (URN).
        """
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, client_id)])
        uri = x509.UniformResourceIdentifier(f"urn:rakeeza:centre:{client_id}")
        builder = self._builder(key, name, at)
        builder = builder.add_extension(x509.SubjectAlternativeName([uri]), critical=False)
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        return self._signed(builder)

    def server_pem(self, names: Sequence[str], at: datetime) -> Secret:
        """Certificate and key of the API's own TLS, where its operator has set none; PEM.

        Made on first use, and anew when a third of its time is left or its names have changed.

        Args:
            names: host names and addresses that it is reached under; at least one.
            at: the present moment, aware.
        """
        issuer = self.certificate
        kept = self._secrets.get_or_make(SERVER_KEY, lambda: self._server(names, at))
        present = x509.load_pem_x509_certificate(kept.reveal().encode())
        left = present.not_valid_after_utc - at
        named = present.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        if left > LIFETIME / 3 and named == _alternative(names) and present.issuer == issuer.subject:
            return kept
        made = self._server(names, at)
        self._secrets.set(SERVER_KEY, made)
        return made

    def crl(self, revoked: Iterable[Revoked], at: datetime) -> bytes:
        """The list of revocations, DER.

        Args:
            revoked: certificates whose own time has not ended.
            at: the moment of the list, aware; of two lists the later has the greater number.

        Source: RFC 5280, section 5.
        """
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(at)
            .next_update(at + CRL_HOLDS)
            .add_extension(x509.CRLNumber(int(at.timestamp() * 1_000)), critical=False)
            .add_extension(self._key_identifier(), critical=False)
        )
        for each in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(each.serial).revocation_date(each.at)
            if each.reason != "unspecified":
                # RFC 5280, section 5.3.1: "unspecified" is said by saying nothing.
                entry = entry.add_extension(x509.CRLReason(REASONS[each.reason]), critical=False)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(self._made.key, hashes.SHA256()).public_bytes(Encoding.DER)

    @cached_property
    def _made(self) -> "_Made":
        if self._in_token:
            # Under one lock, so that of two processes that begin together one makes both.
            kept = self._secrets.get_or_make(
                f"{AUTHORITY_CERTIFICATE}-token", lambda: self._self_signed(self._token_key(make=True))
            )
            key = self._token_key(make=False)
        else:
            key = self._file_key()
            kept = self._secrets.get_or_make(AUTHORITY_CERTIFICATE, lambda: self._self_signed(key))
        try:
            certificate = x509.load_pem_x509_certificate(kept.reveal().encode())
        except ValueError as error:
            raise _unusable("is damaged") from error
        if certificate.public_key() != key.public_key():
            raise _unusable("is of another key")
        return _Made(key, certificate)

    def _file_key(self) -> ec.EllipticCurvePrivateKey:
        made = self._secrets.get_or_make(AUTHORITY_KEY, lambda: Secret(_pem(_new_key())))
        try:
            key = serialization.load_pem_private_key(made.reveal().encode(), password=None)
        except ValueError as error:
            raise _unusable("has a damaged key") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise _unusable("has a key of another kind")
        return key

    def _token_key(self, *, make: bool) -> ec.EllipticCurvePrivateKey:
        token, municipality = self._token, self._settings.platform.municipality
        try:
            return SignerKey(token.signer(TOKEN_LABEL, municipality))
        except NotFound:
            if not make:
                raise
            return SignerKey(token.make_key(TOKEN_LABEL, municipality))

    @cached_property
    def _token(self) -> Token:
        return token_of(self._settings, self._secrets)

    def _self_signed(self, key: ec.EllipticCurvePrivateKey) -> Secret:
        now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
        platform = self._settings.platform
        # Unlike any that this municipality had before: readers find an authority by its name.
        mark = x509.SubjectKeyIdentifier.from_public_key(key.public_key()).digest.hex()[:8]
        name = x509.Name(
            [
                x509.NameAttribute(NameOID.COUNTRY_NAME, "SA"),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, _shortened(platform.name_en)),
                x509.NameAttribute(
                    NameOID.COMMON_NAME, f"Rakeeza centres {platform.municipality[:32]} {mark}"
                ),
            ]
        )
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now.replace(year=now.year + _YEARS, day=min(now.day, 28)))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_usage(authority=True), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        return Secret(builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode())

    def _builder(self, key: PublicKey, name: x509.Name, at: datetime) -> x509.CertificateBuilder:
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self.certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(at - _BACKDATED)
            .not_valid_after(min(at + LIFETIME, self.certificate.not_valid_after_utc))
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(authority=False), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(self._key_identifier(), critical=False)
        )
        if self._crl_url is None:
            return builder
        place = x509.DistributionPoint([x509.UniformResourceIdentifier(self._crl_url)], None, None, None)
        return builder.add_extension(x509.CRLDistributionPoints([place]), critical=False)

    def _signed(self, builder: x509.CertificateBuilder) -> x509.Certificate:
        return builder.sign(self._made.key, hashes.SHA256())

    def _key_identifier(self) -> x509.AuthorityKeyIdentifier:
        own = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own)

    def _server(self, names: Sequence[str], at: datetime) -> Secret:
        key = _new_key()
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:_LONGEST_NAME])])
        builder = self._builder(key.public_key(), name, at)
        builder = builder.add_extension(_alternative(names), critical=False)
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False
        )
        chain = self._signed(builder).public_bytes(Encoding.PEM).decode() + self.certificate_pem()
        return Secret(chain + _pem(key))


@dataclass(frozen=True)
class _Made:
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _pem(key: ec.EllipticCurvePrivateKey) -> str:
    form = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.private_bytes(Encoding.PEM, *form).decode()


def _shortened(name: str) -> str:
    # Some count its 64 characters in bytes.
    return name.encode()[:_LONGEST_NAME].decode(errors="ignore")


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


def _alternative(names: Sequence[str]) -> x509.SubjectAlternativeName:
    found: list[x509.GeneralName] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_address(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return x509.SubjectAlternativeName(found)


def _no_request() -> Malformed:
    return Malformed(
        "This is no request for a certificate, or its signature does not hold.",
        place="request",
        remedy="Make one with: openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes",
        message_ar="هذا ليس طلب شهادة صحيحًا، أو أن توقيعه غير صحيح.",
    )


def _unusable(reason: str) -> SettingsError:
    return SettingsError(
        f"The authority of the centres {reason}.",
        place=f"secrets {AUTHORITY_KEY}, {AUTHORITY_CERTIFICATE}",
        remedy="Restore both from one backup of secrets.json and secrets.key.",
    )
