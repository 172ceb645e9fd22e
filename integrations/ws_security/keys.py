"""How a signature names its certificate, and the question to whoever keeps the certificates.

Source: X.509 Certificate Token Profile 1.1.1, section 3; SOAP Message Security 1.1.1, section 7.
"""

import functools
import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm as UnknownAlgorithm
from lxml import etree

from integrations.ws_security import names
from integrations.ws_security.faults import (
    FailedAuthentication,
    InvalidSecurity,
    InvalidSecurityToken,
    SecurityTokenUnavailable,
    UnsupportedSecurityToken,
)
from integrations.ws_security.strict_xml import (
    called,
    elements,
    exactly,
    in_base64,
    octets,
    only_attributes,
    text,
)

LONGEST_CERTIFICATE = 8192
"""Octets of a certificate in DER."""

_REFERENCE = f"{{{names.WSSE}}}Reference"
_KEY_IDENTIFIER = f"{{{names.WSSE}}}KeyIdentifier"
_TOKEN_TYPE = f"{{{names.WSSE_11}}}TokenType"
_X509_DATA = f"{{{names.DS}}}X509Data"
_CERTIFICATE = f"{{{names.DS}}}X509Certificate"
_ISSUER_SERIAL = f"{{{names.DS}}}X509IssuerSerial"
_ISSUER, _SERIAL = f"{{{names.DS}}}X509IssuerName", f"{{{names.DS}}}X509SerialNumber"
# RFC 5280, section 4.1.2.2: twenty octets.
_LONGEST_SERIAL = 49
_LONGEST_KEY_IDENTIFIER = 64


@dataclass(frozen=True)
class ByCertificate:
    """The certificate itself came with the message.

    Args:
        sha256: of its DER encoding, 32 octets.
    """

    sha256: bytes


@dataclass(frozen=True)
class BySerial:
    """Issuer and serial number.

    Args:
        issuer: distinguished name as the message writes it (RFC 4514).
        serial: as in the certificate.
        sha256: of the certificate's DER encoding, where it came along; it must agree.
    """

    issuer: str
    serial: int
    sha256: bytes | None = None


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
        sha1: of the DER encoding, 20 octets.
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


@dataclass(frozen=True)
class Known:
    """A certificate that the look-up gave.

    Args:
        der: its encoding.
        key: its public key.
    """

    der: bytes
    key: object


def read(key_info: etree._Element, binary_token: etree._Element | None) -> KeyReference:
    """Which certificate a signature says it is by.

    Args:
        key_info: the signature's.
        binary_token: the message's one BinarySecurityToken; it must be what the signature refers to.

    Raises:
        InvalidSecurity: the reference is not written as it must be, or there are several.
        InvalidSecurityToken: the token is not written as it must be.
        SecurityTokenUnavailable: it refers to a token that is not in its place.
        UnsupportedSecurityToken: it refers in another way, or to another kind of token.
    """
    only_attributes(key_info, "Id")
    (reference,) = exactly(key_info, names.TOKEN_REFERENCE)
    only_attributes(reference, names.WSU_ID, _TOKEN_TYPE)
    if reference.get(_TOKEN_TYPE, names.X509_V3) != names.X509_V3:
        raise _other_kind(reference)
    children = elements(reference)
    kind = children[0].tag if len(children) == 1 else None
    if kind == _REFERENCE:
        return _direct(children[0], binary_token)
    if binary_token is not None:
        raise InvalidSecurity(
            "token-not-used",
            "The message has a BinarySecurityToken that its signature does not refer to.",
            "في الرسالة BinarySecurityToken لا يشير إليه التوقيع.",
            place=called(binary_token),
        )
    if kind == _X509_DATA:
        return _issuer_serial(children[0])
    if kind == _KEY_IDENTIFIER:
        return _key_identifier(children[0])
    raise _other_kind(reference)


def find(reference: KeyReference, lookup: Lookup, now: datetime) -> Known:
    """The certificate that a reference means.

    Raises:
        FailedAuthentication: it is not known, not what the reference says, or not valid at this time.
    """
    der = lookup(reference)
    if der is None:
        raise FailedAuthentication(
            "certificate-not-known",
            "The certificate is not known here, or was revoked.",
            "الشهادة غير معروفة لدينا أو أُلغيت.",
            place="ds:KeyInfo",
            remedy="Sign with the certificate that was issued to the centre, and that is still valid.",
        )
    certificate, key = _parsed(der)
    if not _means(reference, certificate, der):
        raise FailedAuthentication(
            "another-certificate",
            "The certificate that is known is not the one that the message names.",
            "الشهادة المعروفة لدينا ليست الشهادة المذكورة في الرسالة.",
            place="ds:KeyInfo",
        )
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        raise FailedAuthentication(
            "certificate-not-valid",
            "The certificate is not valid at this time.",
            "الشهادة غير سارية في هذا الوقت.",
            place="ds:KeyInfo",
            remedy="Renew it.",
        )
    return Known(der, key)


# A centre signs thousands of messages with one certificate, and reading it costs more than what it is for.
@functools.lru_cache(maxsize=512)
def _parsed(der: bytes) -> tuple[x509.Certificate, object]:
    try:
        certificate = x509.load_der_x509_certificate(der)
        return certificate, certificate.public_key()
    except (ValueError, UnknownAlgorithm) as error:
        raise FailedAuthentication(
            "certificate-unreadable",
            "The certificate cannot be read.",
            "تعذّرت قراءة الشهادة.",
            place="ds:KeyInfo",
        ) from error


def _means(reference: KeyReference, certificate: x509.Certificate, der: bytes) -> bool:
    match reference:
        case ByCertificate(sha256):
            return hashlib.sha256(der).digest() == sha256
        case ByThumbprint(sha1):
            return hashlib.sha1(der, usedforsecurity=False).digest() == sha1
        case BySerial(issuer, serial, sha256):
            agrees = sha256 is None or hashlib.sha256(der).digest() == sha256
            return agrees and certificate.serial_number == serial and _name(issuer) == certificate.issuer
        case BySubjectKey(identifier):
            return _subject_key(certificate) == identifier


def _name(issuer: str) -> x509.Name | None:
    try:
        return x509.Name.from_rfc4514_string(issuer)
    except ValueError:
        return None


def _subject_key(certificate: x509.Certificate) -> bytes | None:
    try:
        return certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    except x509.ExtensionNotFound:
        return None


def _direct(reference: etree._Element, token: etree._Element | None) -> ByCertificate:
    only_attributes(reference, "URI", "ValueType")
    identifier = token.get(names.WSU_ID) if token is not None else None
    if token is None or not identifier or reference.get("URI") != f"#{identifier}":
        raise SecurityTokenUnavailable(
            "token-elsewhere",
            "The signature does not refer to the BinarySecurityToken of this Security header.",
            "لا يشير التوقيع إلى BinarySecurityToken الموجود في ترويسة الأمان.",
            place=called(reference),
        )
    only_attributes(token, names.WSU_ID, "ValueType", "EncodingType")
    # The profile makes the type optional here; where it stands it must agree.
    if reference.get("ValueType", names.X509_V3) != names.X509_V3 or token.get("ValueType") != names.X509_V3:
        raise _other_kind(token)
    in_base64(token)
    return ByCertificate(hashlib.sha256(_certificate(token)).digest())


def _certificate(element: etree._Element) -> bytes:
    try:
        return octets(element, LONGEST_CERTIFICATE)
    except InvalidSecurity as error:
        raise InvalidSecurityToken(
            "certificate-encoding",
            "It does not hold a certificate in base64.",
            "لا يحتوي على شهادة بترميز Base64.",
            place=called(element),
        ) from error


def _issuer_serial(data: etree._Element) -> KeyReference:
    only_attributes(data)
    found = {child.tag: child for child in elements(data)}
    if (
        len(found) != len(data)
        or _ISSUER_SERIAL not in found
        or not found.keys() <= {_ISSUER_SERIAL, _CERTIFICATE}
    ):
        raise _other_kind(data)
    issuer, serial = exactly(found[_ISSUER_SERIAL], _ISSUER, _SERIAL)
    number = text(serial, _LONGEST_SERIAL)
    if not (number.isascii() and number.isdigit()):
        raise InvalidSecurityToken(
            "serial",
            "The serial number must be written in digits.",
            "يجب أن يُكتب الرقم التسلسلي بالأرقام.",
            place=called(serial),
        )
    came = found.get(_CERTIFICATE)
    sha256 = None if came is None else hashlib.sha256(_certificate(came)).digest()
    return BySerial(text(issuer, 1024), int(number), sha256)


def _key_identifier(identifier: etree._Element) -> KeyReference:
    only_attributes(identifier, "ValueType", "EncodingType")
    in_base64(identifier)
    found = octets(identifier, _LONGEST_KEY_IDENTIFIER)
    if identifier.get("ValueType") == names.SUBJECT_KEY:
        return BySubjectKey(found)
    if identifier.get("ValueType") == names.THUMBPRINT:
        return ByThumbprint(found)
    raise _other_kind(identifier)


def _other_kind(element: etree._Element) -> UnsupportedSecurityToken:
    return UnsupportedSecurityToken(
        "key-reference",
        "The signature's key must be named by a SecurityTokenReference to an X509v3 certificate.",
        "يجب أن يُذكر مفتاح التوقيع بعنصر SecurityTokenReference يشير إلى شهادة X509v3.",
        place=called(element),
        remedy="Send the certificate as BinarySecurityToken, or its issuer and serial number.",
    )
