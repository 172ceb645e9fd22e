"""Signs what we send by WS-Security: a Timestamp, our certificate, and a Signature over Body and Timestamp.

Source: OASIS SOAP Message Security 1.1.1; X.509 Certificate Token Profile 1.1.1; W3C XML Signature 1.1.
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from lxml import etree

from foundation.errors import InvalidInput
from integrations.ws_security import names
from integrations.ws_security.canonical import octets

HOLDS = timedelta(seconds=300)
"""How long a message says that it holds."""

_SHA256 = "http://www.w3.org/2001/04/xmlenc#sha256"
_RSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#rsa-sha256"
_ECDSA_SHA256 = "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha256"
_HALF = 32  # octets of each number of a signature by P-256
_PREFIXES = {"wsse": names.WSSE, "wsu": names.WSU, "ds": names.DS}
_BODY, _TIME, _TOKEN = "body", "time", "token"


@dataclass(frozen=True)
class SigningKey:
    """Our key and its certificate.

    Args:
        key: P-256, or RSA of 2048 bits or more.
        certificate: DER.
    """

    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = field(repr=False)
    certificate: bytes = field(repr=False)

    @property
    def algorithm(self) -> str:
        """Identifier of the algorithm that it signs by."""
        return _RSA_SHA256 if isinstance(self.key, rsa.RSAPrivateKey) else _ECDSA_SHA256

    def sign(self, message: bytes) -> bytes:
        """The octets of SignatureValue."""
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(message, padding.PKCS1v15(), SHA256())
        numbers = decode_dss_signature(self.key.sign(message, ec.ECDSA(SHA256())))
        return b"".join(number.to_bytes(_HALF, "big") for number in numbers)


def read_key(pem: str, place: str) -> SigningKey:
    """Our key and the certificate behind it.

    Args:
        pem: first the key, unencrypted, then the certificate.
        place: for errors.

    Raises:
        InvalidInput: they cannot be read, do not go together, or are of a kind that is not taken.
    """
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
        certificate = x509.load_pem_x509_certificate(pem.encode())
    except (ValueError, TypeError) as error:
        raise _wrong_key("it holds no key and certificate in PEM", place) from error
    if isinstance(key, ec.EllipticCurvePrivateKey):
        known = isinstance(key.curve, ec.SECP256R1)
    else:
        known = isinstance(key, rsa.RSAPrivateKey) and key.key_size >= 2048
    if not known or not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise _wrong_key("its key is neither P-256 nor RSA of 2048 bits", place)
    if certificate.public_key() != key.public_key():
        raise _wrong_key("its certificate is of another key", place)
    return SigningKey(key, certificate.public_bytes(serialization.Encoding.DER))


def _wrong_key(why: str, place: str) -> InvalidInput:
    return InvalidInput(
        f"The key that questions are signed by cannot be used: {why}.",
        place=place,
        remedy="Keep a secret with the key and then its certificate, both in PEM.",
    )


def sign(envelope: etree._Element, key: SigningKey, at: datetime) -> None:
    """Sign a message where it stands; nothing of it may change after that.

    Args:
        envelope: SOAP 1.1, with a Body and no Security header.
        at: the present moment, aware, in UTC.
    """
    soap = f"{{{names.SOAP_11}}}"
    body = envelope.find(f"{soap}Body")
    assert body is not None, "a message has a Body"
    header = envelope.find(f"{soap}Header")
    if header is None:
        header = etree.Element(f"{soap}Header")
        envelope.insert(0, header)
    security = etree.SubElement(header, names.SECURITY, nsmap=_PREFIXES)
    security.set(f"{soap}mustUnderstand", "1")
    # Ids that nothing else in the message has.
    suffix = secrets.token_hex(8)
    ids = {part: f"{part}-{suffix}" for part in (_BODY, _TIME, _TOKEN)}
    body.set(names.WSU_ID, ids[_BODY])
    time = _timestamp(security, at, ids[_TIME])
    token = etree.SubElement(security, names.BINARY_TOKEN)
    token.set(names.WSU_ID, ids[_TOKEN])
    token.set("ValueType", names.X509_V3)
    token.set("EncodingType", names.BASE64)
    token.text = base64.b64encode(key.certificate).decode()
    _signature(security, key, {ids[_BODY]: body, ids[_TIME]: time}, ids[_TOKEN])


def _timestamp(security: etree._Element, at: datetime, identifier: str) -> etree._Element:
    element = etree.SubElement(security, names.TIMESTAMP)
    element.set(names.WSU_ID, identifier)
    for name, moment in (("Created", at), ("Expires", at + HOLDS)):
        text = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        etree.SubElement(element, f"{{{names.WSU}}}{name}").text = text
    return element


def _signature(
    security: etree._Element, key: SigningKey, covered: dict[str, etree._Element], token: str
) -> None:
    signature = etree.SubElement(security, names.SIGNATURE)
    info = _child(signature, "SignedInfo")
    _child(info, "CanonicalizationMethod", Algorithm=names.EXCLUSIVE)
    _child(info, "SignatureMethod", Algorithm=key.algorithm)
    for identifier, element in covered.items():
        reference = _child(info, "Reference", URI=f"#{identifier}")
        _child(_child(reference, "Transforms"), "Transform", Algorithm=names.EXCLUSIVE)
        _child(reference, "DigestMethod", Algorithm=_SHA256)
        digest = hashlib.sha256(octets(element)).digest()
        _child(reference, "DigestValue").text = base64.b64encode(digest).decode()
    value = _child(signature, "SignatureValue")
    reference = etree.SubElement(_child(signature, "KeyInfo"), names.TOKEN_REFERENCE)
    direct = etree.SubElement(reference, f"{{{names.WSSE}}}Reference")
    direct.set("URI", f"#{token}")
    direct.set("ValueType", names.X509_V3)
    # Last: its canonical octets depend on where it stands.
    value.text = base64.b64encode(key.sign(octets(info))).decode()


def _child(parent: etree._Element, name: str, **attributes: str) -> etree._Element:
    return etree.SubElement(parent, f"{{{names.DS}}}{name}", attributes)
