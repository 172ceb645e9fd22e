"""The certificate that a municipality signs its papers with: made on first use, or issued by an authority.

It is for a key of its own, not for the key of the credentials: one key signs one kind of thing. Both lie in
the secrets file. The certificate is not secret; it lies there to be made once, by whoever comes first.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from itertools import pairwise
from typing import Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, ExtensionOID, NameOID

from foundation.definitions import Bilingual
from foundation.errors import Conflict, Malformed, NotFound, SettingsError
from foundation.pkcs11 import Token, token_of
from foundation.secret import Secret, SecretFile
from foundation.settings import Settings
from foundation.wire.credential_keys import Signer, SigningKey
from foundation.wire.paper_certificates import CERTIFICATES_FILE, PaperCertificate, PaperCertificates

PAPER_KEY = "paper-signing-key"
"""Name of the key of papers in the secrets file."""

PAPER_CERTIFICATE = "paper-certificate"
"""Name of its certificate there, with those above it; PEM, the signer's first. That of a key in a token, and
those that signed before, have names that begin so."""

TOKEN_LABEL = "rakeeza-paper-signing-key"
"""Name of the key of papers in a hardware token."""

# As long as the longest licence: a paper is judged by the day it was signed, so it need not outlive more.
_YEARS = 10
_LONGEST_NAME = 64  # RFC 5280, appendix A.1: ub-organization-name, ub-common-name
_DOCUMENT_SIGNING = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.36")  # RFC 9336
_MOST = 10  # certificates in a chain


@dataclass(frozen=True)
class PaperKey:
    """What papers are signed with.

    Args:
        signer: holds the private key.
        certificate: the signer's certificate, and those above it.
    """

    signer: Signer
    certificate: PaperCertificate


class PaperKeys:
    """The key of one municipality's papers, and its certificate.

    Args:
        secrets: the platform's secrets file.
        municipality: code of the municipality that issues.
        name: of the municipality; stands in the certificate in both languages.
        clock: the present moment, aware.
        token: gives the key where a hardware token holds it, and makes it if told to; None keeps it in the
            secrets file.
    """

    def __init__(
        self,
        secrets: SecretFile,
        municipality: str,
        name: Bilingual,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        token: Callable[[bool], Signer] | None = None,
    ) -> None:
        self._secrets = secrets
        self._municipality = municipality
        self._name = name
        self._clock = clock
        self._token = token
        self._kept = f"{PAPER_CERTIFICATE}-token" if token else PAPER_CERTIFICATE

    def current(self) -> PaperKey:
        """Key and certificate, both made on first use; the certificate is then signed with its own key.

        Raises:
            SettingsError: what is kept cannot be used, or the certificate is of another key.
        """
        if self._token is None:
            signer = self._in_file()
            kept = self._secrets.get_or_make(self._kept, lambda: Secret(self._self_signed(signer)))
        else:
            token = self._token
            # Under one lock, so that of two processes that begin together one makes both.
            kept = self._secrets.get_or_make(self._kept, lambda: Secret(self._self_signed(token(True))))
            signer = token(False)
        try:
            certificate = _certificate(kept.reveal(), self._municipality)
        except ValueError as error:
            raise _unusable("it is damaged") from error
        if not _same_key(certificate.leaf, signer):
            raise _unusable("it is of another key")
        return PaperKey(signer, certificate)

    def request(self) -> str:
        """A request for a certificate of this key, for an authority; PEM.

        Source: RFC 2986 (PKCS #10).
        """
        builder = x509.CertificateSigningRequestBuilder().subject_name(self._subject())
        for extension, critical in _uses():
            builder = builder.add_extension(extension, critical)
        return builder.sign(SignerKey(self._signer()), hashes.SHA256()).public_bytes(Encoding.PEM).decode()

    def install(self, pem: str) -> PaperKey:
        """Take a certificate that an authority made, and sign with it from now on.

        The one before stays trusted here, and is published: papers that it signed are still good.

        Args:
            pem: the certificate, then those above it.

        Raises:
            Malformed: this is no chain of certificates, one above the other.
            Conflict: it is of another key, not valid now, or not for signing documents.
        """
        try:
            chain = x509.load_pem_x509_certificates(pem.encode())
            certificate = _certificate(pem, self._municipality)
            for below, above in pairwise(chain):
                below.verify_directly_issued_by(above)
            self._check(certificate)
        except (
            ValueError,
            TypeError,
            InvalidSignature,
            UnsupportedAlgorithm,
            x509.DuplicateExtension,
        ) as error:
            raise Malformed(
                "This is no chain of certificates.",
                place="certificate",
                remedy="Give PEM: the municipality's certificate first, then each one above it in turn.",
            ) from error
        before = self._before()
        if before is not None and before.fingerprint != certificate.fingerprint:
            former = f"{PAPER_CERTIFICATE}-former-{before.fingerprint.hex()[:16]}"
            self._secrets.set(former, Secret(before.to_pem()))
        self._secrets.set(self._kept, Secret(certificate.to_pem()))
        return self.current()

    def _check(self, certificate: PaperCertificate) -> None:
        leaf = certificate.leaf
        if not _same_key(leaf, self._signer()):
            raise Conflict(
                "The certificate is of another key.",
                place="certificate",
                remedy="Ask the authority for one of the request that `rakeeza certificate request` writes.",
            )
        if not certificate.covers(self._clock()):
            raise Conflict(
                f"The certificate holds from {leaf.not_valid_before_utc:%Y-%m-%d} "
                f"to {leaf.not_valid_after_utc:%Y-%m-%d}, and not now.",
                place="certificate",
                remedy="Ask the authority for a new one.",
            )
        try:
            usage = leaf.extensions.get_extension_for_oid(ExtensionOID.KEY_USAGE).value
        except x509.ExtensionNotFound:
            return
        assert isinstance(usage, x509.KeyUsage)
        if not (usage.digital_signature or usage.content_commitment):
            raise Conflict(
                "The certificate is not for signing documents.",
                place="certificate",
                remedy="Ask for the key usage digitalSignature or nonRepudiation.",
            )

    def _before(self) -> PaperCertificate | None:
        try:
            return _certificate(self._secrets.get(self._kept).reveal(), self._municipality)
        except (NotFound, ValueError):
            return None

    def _signer(self) -> Signer:
        if self._token is None:
            return self._in_file()
        try:
            return self._token(False)
        except NotFound:
            return self.current().signer

    def _in_file(self) -> Signer:
        made = self._secrets.get_or_make(PAPER_KEY, lambda: SigningKey.generate(self._municipality).to_pem())
        return SigningKey.from_pem(made, self._municipality)

    def _subject(self) -> x509.Name:
        # Source: ETSI EN 319 412-3, section 4.2.1 (legal persons); EN 319 412-1, section 5.1.4 (identifier).
        return x509.Name(
            [
                x509.NameAttribute(NameOID.COUNTRY_NAME, "SA"),
                x509.NameAttribute(NameOID.ORGANIZATION_NAME, self._name.ar[:_LONGEST_NAME]),
                x509.NameAttribute(NameOID.ORGANIZATION_IDENTIFIER, f"MU:SA-{self._municipality}"),
                # Some count its 64 characters in bytes.
                x509.NameAttribute(
                    NameOID.COMMON_NAME, self._name.en.encode()[:_LONGEST_NAME].decode(errors="ignore")
                ),
            ]
        )

    def _self_signed(self, signer: Signer) -> str:
        now = self._clock().replace(minute=0, second=0, microsecond=0)
        key = SignerKey(signer)
        builder = (
            x509.CertificateBuilder()
            .subject_name(self._subject())
            .issuer_name(self._subject())
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            # A time-stamp server may be a little behind us.
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now.replace(year=now.year + _YEARS, day=min(now.day, 28)))
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        )
        for extension, critical in _uses():
            builder = builder.add_extension(extension, critical)
        return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def paper_keys(settings: Settings, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> PaperKeys:
    """The key of papers of the municipality that the settings name, in file or token; nothing is made yet."""
    platform, secrets = settings.platform, settings.secrets()
    name = Bilingual(ar=platform.name_ar, en=platform.name_en)
    token = None
    if settings.licences.key_store == "pkcs11":
        token = partial(_in_token, cache(partial(token_of, settings, secrets)), platform.municipality)
    return PaperKeys(secrets, platform.municipality, name, clock, token)


def _in_token(token: Callable[[], Token], municipality: str, make: bool) -> Signer:
    try:
        return token().signer(TOKEN_LABEL, municipality)
    except NotFound:
        if not make:
            raise
        return token().make_key(TOKEN_LABEL, municipality)


def own_certificates(secrets: SecretFile, municipality: str) -> PaperCertificates:
    """The certificates that this municipality's papers are or were signed with; nothing is made by asking.

    Raises:
        SettingsError: the secrets, or a certificate in them, cannot be used.
    """
    names = secrets.names() if secrets.exists() else []
    kept = [secrets.get(name).reveal() for name in names if name.startswith(PAPER_CERTIFICATE)]
    try:
        return PaperCertificates(_certificate(pem, municipality) for pem in kept)
    except ValueError as error:
        raise _unusable("it is damaged") from error


def trusted_certificates(settings: Settings) -> PaperCertificates:
    """The certificates this machine trusts: its own, and those of the file in the platform's folder.

    Nothing is made by asking.

    Raises:
        Malformed: the file is no set of certificates.
        SettingsError: file or secrets cannot be read.
    """
    file = settings.platform.folder / CERTIFICATES_FILE
    found = list(own_certificates(settings.secrets(), settings.platform.municipality))
    if file.exists():
        try:
            found += PaperCertificates.from_json(file.read_text(encoding="utf-8"), str(file))
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"The certificates cannot be read ({error}).", place=str(file), remedy="Get them again."
            ) from error
    return PaperCertificates(found)


def _certificate(pem: str, municipality: str) -> PaperCertificate:
    chain = x509.load_pem_x509_certificates(pem.encode())
    if len(chain) > _MOST:
        raise ValueError("chain")
    return PaperCertificate(municipality, tuple(one.public_bytes(Encoding.DER) for one in chain))


def _same_key(certificate: x509.Certificate, signer: Signer) -> bool:
    public = certificate.public_key()
    form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return public.public_bytes(*form) == SignerKey(signer).public_key().public_bytes(*form)


def _uses() -> tuple[tuple[x509.ExtensionType, bool], ...]:
    # Source: RFC 5280, sections 4.2.1.3 and 4.2.1.9; ETSI EN 319 412-2, section 4.3.2 (type B).
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=True,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    purposes = x509.ExtendedKeyUsage([_DOCUMENT_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION])
    return ((x509.BasicConstraints(ca=False, path_length=None), True), (usage, True), (purposes, False))


def _unusable(reason: str) -> SettingsError:
    return SettingsError(
        f"The certificate of papers cannot be used: {reason}.",
        place=f"secret {PAPER_CERTIFICATE}",
        remedy="Install the right one with: rakeeza certificate install FILE",
    )


class SignerKey(ec.EllipticCurvePrivateKey):
    """A signer as the library of certificates wants its keys: it gives signatures, and never itself."""

    def __init__(self, signer: Signer) -> None:
        self._signer = signer

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        assert isinstance(signature_algorithm.algorithm, hashes.SHA256)
        return der_signature(self._signer.sign(bytes(data)))

    def public_key(self) -> ec.EllipticCurvePublicKey:
        public = self._signer.public
        numbers = ec.EllipticCurvePublicNumbers(
            int.from_bytes(public.x, "big"), int.from_bytes(public.y, "big"), self.curve
        )
        return numbers.public_key()

    @property
    def curve(self) -> ec.EllipticCurve:
        return ec.SECP256R1()

    @property
    def key_size(self) -> int:
        return 256

    def exchange(self, algorithm: ec.ECDH, peer_public_key: ec.EllipticCurvePublicKey) -> bytes:
        raise NotImplementedError

    def private_numbers(self) -> ec.EllipticCurvePrivateNumbers:
        raise NotImplementedError

    def private_bytes(self, encoding: Any, format: Any, encryption_algorithm: Any) -> bytes:
        raise NotImplementedError

    def __copy__(self) -> "SignerKey":
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> "SignerKey":
        return self


def der_signature(raw: bytes) -> bytes:
    """A signature as certificates and CMS have it, of its r and s, 32 bytes each.

    Source: RFC 3279, section 2.2.3.
    """
    return encode_dss_signature(int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big"))
