"""Messages of a centre, signed by programs that are not ours: zeep with xmlsec, Debian's xmlsec1, signxml."""

import base64
import hashlib
import secrets
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from lxml import etree
from signxml.algorithms import CanonicalizationMethod, SignatureConstructionMethod
from signxml.signer import SignatureReference, XMLSigner
from xmlsec import constants
from zeep.wsse.signature import BinarySignature, Signature
from zeep.wsse.username import UsernameToken
from zeep.wsse.utils import WSU as WSU_MAKER

from integrations.ws_security import names
from integrations.ws_security.faults import SecurityFault
from integrations.ws_security.keys import (
    ByCertificate,
    BySerial,
    BySubjectKey,
    ByThumbprint,
    KeyReference,
)
from integrations.ws_security.verification import verify

NOW = datetime(2026, 3, 1, 8, 30, tzinfo=UTC)
SECRET = "8f1c0b6e2d7a4f93"
NS = {"s": names.SOAP_11, "s12": names.SOAP_12, "wsse": names.WSSE, "wsu": names.WSU, "ds": names.DS}
PARSER = etree.XMLParser(resolve_entities=False, no_network=True, remove_comments=False)

PAYLOAD = (
    '<l:TakeAction xmlns:l="urn:rakeeza:licensing:1"><l:case>2026-004512</l:case>'
    "<l:action>approve</l:action><l:note>رخصة محل، المبلغ ١٠٠ ريال</l:note></l:TakeAction>"
)
EXCLUSIVE = '<ds:Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>'


@dataclass(frozen=True)
class Signer:
    """A centre's key and certificate, also as files.

    Args:
        folder: holds key.pem and cert.pem.
        key: the private key.
        certificate: signed by a CA of the tests.
    """

    folder: Path
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @property
    def der(self) -> bytes:
        """The certificate in DER."""
        return self.certificate.public_bytes(serialization.Encoding.DER)

    @property
    def key_file(self) -> str:
        """Path of the key in PEM."""
        return str(self.folder / "key.pem")

    @property
    def certificate_file(self) -> str:
        """Path of the certificate in PEM."""
        return str(self.folder / "cert.pem")

    def lookup(self, reference: KeyReference) -> bytes | None:
        """A register that knows this certificate alone."""
        subject_key = x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()).digest
        known = {
            ByCertificate: reference == ByCertificate(hashlib.sha256(self.der).digest()),
            ByThumbprint: reference == ByThumbprint(hashlib.sha1(self.der).digest()),
            BySubjectKey: reference == BySubjectKey(subject_key),
            BySerial: isinstance(reference, BySerial) and reference.serial == self.certificate.serial_number,
        }
        return self.der if known[type(reference)] else None


def make_signer(
    folder: Path,
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    *,
    begins: datetime = NOW - timedelta(days=1),
    ends: datetime = NOW + timedelta(days=396),
) -> Signer:
    """A centre's certificate for a key, with both in files of a folder."""
    authority = ec.generate_private_key(ec.SECP256R1())
    issuer = x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "SA"),
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Rakeeza, Tests"),
            x509.NameAttribute(NameOID.COMMON_NAME, "Centres"),
        ]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "centre-7")]))
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(authority, hashes.SHA256())
    )
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.TraditionalOpenSSL,
            serialization.NoEncryption(),
        )
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    return Signer(folder, key, certificate)


def parsed(message: bytes | str) -> etree._Element:
    """Root of a message, read as the SOAP face would."""
    return etree.fromstring(message.encode() if isinstance(message, str) else message, PARSER)


def again(envelope: etree._Element) -> etree._Element:
    """A message as it arrives after it was written and read."""
    return parsed(etree.tostring(envelope))


def written(at: datetime) -> str:
    """A time in UTC."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def envelope(payload: str = PAYLOAD, soap: str = names.SOAP_11) -> etree._Element:
    """A message with no security yet."""
    return parsed(
        f'<soap:Envelope xmlns:soap="{soap}"><soap:Header/><soap:Body>{payload}</soap:Body></soap:Envelope>'
    )


def by_zeep(
    signer: Signer,
    payload: str = PAYLOAD,
    *,
    soap: str = names.SOAP_11,
    username: bool = True,
    binary: bool = True,
    method: object = constants.TransformRsaSha256,
    digest: object = constants.TransformSha256,
    at: datetime = NOW,
) -> etree._Element:
    """A message as zeep sends it: UsernameToken with digest, Timestamp, Signature and certificate."""
    message = envelope(payload, soap)
    made = WSU_MAKER.Timestamp(
        WSU_MAKER.Created(written(at)), WSU_MAKER.Expires(written(at + timedelta(seconds=300)))
    )
    # zeep's classes have no types.
    token_class: Any = UsernameToken
    token = token_class(
        "amal@centre-7",
        SECRET,
        use_digest=True,
        timestamp_token=made,
        created=at,
        nonce=secrets.token_hex(16),
    )
    token.apply(message, {})
    sign: Any = BinarySignature if binary else Signature
    sign(signer.key_file, signer.certificate_file, None, method, digest).apply(message, {})
    if not username:
        clerk = message.find(".//wsse:UsernameToken", NS)
        assert clerk is not None
        clerk.getparent().remove(clerk)  # type: ignore[union-attr]  # it is a child
    return again(message)


def binary_token(signer: Signer) -> str:
    """The certificate as a token, and what refers to it."""
    return (
        f'<wsse:BinarySecurityToken wsu:Id="token" ValueType="{names.X509_V3}" EncodingType="{names.BASE64}">'
        f"{base64.b64encode(signer.der).decode()}</wsse:BinarySecurityToken>"
    )


DIRECT = (
    f'<wsse:SecurityTokenReference><wsse:Reference URI="#token" ValueType="{names.X509_V3}"/>'
    "</wsse:SecurityTokenReference>"
)


SERIAL = (
    "<wsse:SecurityTokenReference><ds:X509Data><ds:X509IssuerSerial><ds:X509IssuerName>{}</ds:X509IssuerName>"
    "<ds:X509SerialNumber>{}</ds:X509SerialNumber></ds:X509IssuerSerial></ds:X509Data>"
    "</wsse:SecurityTokenReference>"
)
IDENTIFIER = (
    '<wsse:SecurityTokenReference><wsse:KeyIdentifier ValueType="{}" EncodingType="{}">{}'
    "</wsse:KeyIdentifier></wsse:SecurityTokenReference>"
)


def identified(signer: Signer, kind: str) -> str:
    """A reference to a certificate that does not come along."""
    if kind == "serial":
        certificate = signer.certificate
        return SERIAL.format(certificate.issuer.rfc4514_string(), certificate.serial_number)
    if kind == "subject key":
        octets = x509.SubjectKeyIdentifier.from_public_key(signer.key.public_key()).digest
        return IDENTIFIER.format(names.SUBJECT_KEY, names.BASE64, base64.b64encode(octets).decode())
    octets = hashlib.sha1(signer.der).digest()
    return IDENTIFIER.format(names.THUMBPRINT, names.BASE64, base64.b64encode(octets).decode())


def username_token(at: datetime = NOW, nonce: bytes = b"0123456789abcdef", secret: str = SECRET) -> str:
    """A clerk's token."""
    made = hashlib.sha1(nonce + written(at).encode() + secret.encode()).digest()
    return (
        '<wsse:UsernameToken wsu:Id="clerk"><wsse:Username>amal@centre-7</wsse:Username>'
        f'<wsse:Password Type="{names.PASSWORD_DIGEST}">{base64.b64encode(made).decode()}</wsse:Password>'
        f"<wsse:Nonce>{base64.b64encode(nonce).decode()}</wsse:Nonce>"
        f"<wsu:Created>{written(at)}</wsu:Created></wsse:UsernameToken>"
    )


def reference(identifier: str, transforms: str = EXCLUSIVE, digest: str = "xmlenc#sha256") -> str:
    """A Reference without its value."""
    return (
        f'<ds:Reference URI="{identifier}"><ds:Transforms>{transforms}</ds:Transforms>'
        f'<ds:DigestMethod Algorithm="http://www.w3.org/2001/04/{digest}"/><ds:DigestValue/></ds:Reference>'
    )


@dataclass(frozen=True)
class Template:
    """A message that xmlsec1 is to sign; every part can be written otherwise.

    Args:
        signer: whose certificate it carries.
    """

    signer: Signer
    payload: str = PAYLOAD
    soap: str = names.SOAP_11
    declared: str = ""
    method: str = "xmldsig-more#rsa-sha256"
    canonical: str = '<ds:CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>'
    references: str = reference("#body") + reference("#time")
    key_info: str = DIRECT
    tokens: str | None = None
    at: datetime = NOW

    def text(self) -> str:
        """The message without digests and signature."""
        tokens = binary_token(self.signer) if self.tokens is None else self.tokens
        expires = written(self.at + timedelta(seconds=300))
        return (
            f'<soap:Envelope xmlns:soap="{self.soap}" xmlns:wsse="{names.WSSE}" xmlns:wsu="{names.WSU}" '
            f'xmlns:ds="{names.DS}" {self.declared}><soap:Header><wsse:Security soap:mustUnderstand="1">'
            f'{tokens}<wsu:Timestamp wsu:Id="time"><wsu:Created>{written(self.at)}</wsu:Created>'
            f"<wsu:Expires>{expires}</wsu:Expires></wsu:Timestamp><ds:Signature><ds:SignedInfo>"
            f"{self.canonical}"
            f'<ds:SignatureMethod Algorithm="http://www.w3.org/2001/04/{self.method}"/>{self.references}'
            f"</ds:SignedInfo><ds:SignatureValue/><ds:KeyInfo>{self.key_info}</ds:KeyInfo></ds:Signature>"
            f'</wsse:Security></soap:Header><soap:Body wsu:Id="body">{self.payload}</soap:Body>'
            "</soap:Envelope>"
        )


def by_xmlsec1(
    template: Template,
    text: str | None = None,
    body_id: str = "Id",
    extra_ids: tuple[tuple[str, str], ...] = (),
) -> etree._Element:
    """A message as Debian's xmlsec1 signs it.

    Args:
        text: the template's, changed.
        body_id: what the Body's identifier is called.
        extra_ids: names of further identifiers, each with its element as "NAMESPACE:NAME".
    """
    unsigned = template.signer.folder / f"{secrets.token_hex(8)}.xml"
    unsigned.write_text(text or template.text(), encoding="utf-8")
    named = [*extra_ids, (body_id, f"{template.soap}:Body"), ("Id", f"{names.WSU}:Timestamp")]
    named += [("Id", f"{names.WSSE}:{token}") for token in ("UsernameToken", "BinarySecurityToken")]
    arguments = [part for name, node in named for part in (f"--id-attr:{name}", node)]
    done = subprocess.run(
        ["xmlsec1", "--sign", "--privkey-pem", template.signer.key_file, *arguments, str(unsigned)],
        capture_output=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 0, done.stderr.decode()
    return parsed(done.stdout)


def by_signxml(template: Template, algorithm: str = "rsa-sha256", digest: str = "sha256") -> etree._Element:
    """A message as signxml signs it; of the template only tokens, KeyInfo and payload are used."""
    message = parsed(template.text())
    security = message.find(".//wsse:Security", NS)
    old = message.find(".//ds:Signature", NS)
    assert security is not None
    assert old is not None
    key_info = old.find("ds:KeyInfo", NS)
    security.remove(old)
    signer = XMLSigner(
        method=SignatureConstructionMethod.detached,
        signature_algorithm=algorithm,
        digest_algorithm=digest,
        c14n_algorithm=names.EXCLUSIVE,
    )
    security.append(
        signer.sign(
            message,
            key=template.signer.key,
            key_info=key_info,
            reference_uri=[
                SignatureReference(
                    URI="body", c14n_method=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0
                ),
                SignatureReference(
                    URI="time", c14n_method=CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0
                ),
            ],
        )
    )
    return again(message)


def one(message: etree._Element, path: str) -> etree._Element:
    """The first element of a path."""
    found = message.find(path, NS)
    assert found is not None
    return found


def security(message: etree._Element) -> etree._Element:
    """The message's Security header."""
    return one(message, "s:Header/wsse:Security")


def refusal(message: etree._Element, centre: Signer) -> SecurityFault:
    """How a message is refused, as it arrives."""
    with pytest.raises(SecurityFault) as caught:
        verify(again(message), centre.lookup, NOW)
    return caught.value


def retyped(message: etree._Element, old: str, new: str) -> etree._Element:
    """A message with one text of it written otherwise."""
    text = etree.tostring(message, encoding="unicode")
    assert text.count(old) == 1
    return parsed(text.replace(old, new))
