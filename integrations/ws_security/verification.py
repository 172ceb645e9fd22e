"""Verifies one message: who signed which element objects."""

import hashlib
from dataclasses import dataclass
from datetime import datetime

from lxml import etree

from integrations.ws_security import algorithms, header, keys, names, signature, timestamp, username_token
from integrations.ws_security.canonical import check_type, octets
from integrations.ws_security.faults import InvalidSecurity
from integrations.ws_security.keys import Lookup
from integrations.ws_security.strict_xml import called
from integrations.ws_security.timestamp import Timestamp
from integrations.ws_security.username_token import UsernameToken

_TYPE = f"{{{names.XSI}}}type"
_INCLUDE = f"{{{names.XOP}}}Include"
_KEPT_NAMES = frozenset(
    [
        f"{{{soap}}}{name}"
        for soap in (names.SOAP_11, names.SOAP_12)
        for name in ("Envelope", "Header", "Body")
    ]
    + [names.SECURITY, names.TIMESTAMP, names.SIGNATURE, names.USERNAME_TOKEN, names.BINARY_TOKEN]
)


@dataclass(frozen=True)
class Verified:
    """What a message's signature proves.

    Only `body` and `timestamp` are signed for certain; other SOAP headers are never. Whoever executes the
    message takes `body`, this very object, and looks for nothing again.

    Args:
        body: the envelope's Body that was verified.
        timestamp: the Timestamp that was verified.
        certificate: DER of the certificate that signed, as the look-up gave it.
        signature: octets of SignatureValue.
        signed_info: canonical octets that the signature is over; with `signature` and `certificate` the
            evidence can be verified again without the message.
        digest: SHA-256 of `signed_info`. It is what a replay is known by: whoever has an ECDSA signature can
            write a second one that holds as well, but not for other octets.
        username_token: the clerk's, not checked yet; None if there is none.
        username_signed: whether the signature covers it.
    """

    body: etree._Element
    timestamp: Timestamp
    certificate: bytes
    signature: bytes
    signed_info: bytes
    digest: bytes
    username_token: UsernameToken | None
    username_signed: bool


@dataclass(frozen=True)
class Announced:
    """What a message's header proves before its Body is looked at: by whom its SignedInfo is signed.

    Nothing else of the message is proven by it, and nothing may be carried out for it.

    Args:
        parts: the message's own, by their places.
        timestamp: lately made, by what it says.
        covers: what the signature says it covers.
        certificate: DER of the certificate that signed, as the look-up gave it.
        signature: octets of SignatureValue.
        signed_info: canonical octets that the signature is over.
        username_token: the clerk's, not checked yet; None if there is none.
    """

    parts: header.Parts
    timestamp: Timestamp
    covers: list[signature.Cover]
    certificate: bytes
    signature: bytes
    signed_info: bytes
    username_token: UsernameToken | None

    @property
    def username_signed(self) -> bool:
        """Whether the signature says that it covers the clerk's token."""
        return any(cover.element is self.parts.username_token for cover in self.covers)


def announced(envelope: etree._Element, lookup: Lookup, now: datetime) -> Announced:
    """Verify what the header alone can prove, so that nobody has to wait for a stranger's attachments.

    Args:
        envelope: as `verify`; attachments need not be in their places.
        lookup: knows the centres' certificates.
        now: aware.

    Raises:
        SecurityFault: as `verify`.
    """
    parts = header.read(envelope)
    made = timestamp.read(parts.timestamp)
    timestamp.check(made, now)
    clerk = None if parts.username_token is None else username_token.read(parts.username_token)
    signed = signature.read(parts.signature)
    covers = signature.covered(parts, signed)
    reference = keys.read(signed.key_info, parts.binary_token)
    certificate = keys.find(reference, lookup, now)
    algorithms.check_key(signed.method, certificate.key)
    signed_info = octets(signed.signed_info, signed.prefixes)
    algorithms.check_signature(signed.method, certificate.key, signed.octets, signed_info)
    return Announced(parts, made, covers, certificate.der, signed.octets, signed_info, clerk)


def verify(envelope: etree._Element, lookup: Lookup, now: datetime) -> Verified:
    """Verify a message's Security header and signature.

    Nothing is believed because it was found by an id or a path: Body and Timestamp are taken from their own
    places, and the signature's references must mean these. Cheap checks come first: form, time, algorithms,
    the certificate, the signature over SignedInfo; only then is the message read as a whole.

    Whether the message was seen before is not asked here (see `integrations.centres.replay`).

    Args:
        envelope: root of the parsed message; it is not changed. Attachments (XOP) are already in their
            places as text.
        lookup: knows the centres' certificates.
        now: aware.

    Raises:
        SecurityFault: one of its classes, see `integrations.ws_security.faults`.
    """
    said = announced(envelope, lookup, now)
    _check_whole(said.parts, said.covers)
    for cover in said.covers:
        signature.check_digest(cover)
    return Verified(
        body=said.parts.body,
        timestamp=said.timestamp,
        certificate=said.certificate,
        signature=said.signature,
        signed_info=said.signed_info,
        digest=hashlib.sha256(said.signed_info).digest(),
        username_token=said.username_token,
        username_signed=said.username_signed,
    )


def _check_whole(parts: header.Parts, covers: list[signature.Cover]) -> None:
    envelope = parts.envelope
    # No comment is canonical, but it would cut a text in two for whoever reads it.
    if next(envelope.iter(etree.Comment, etree.ProcessingInstruction, etree.Entity), None) is not None:
        raise InvalidSecurity(
            "no-element",
            "A message has no comments, processing instructions or entities.",
            "لا يجوز أن تحتوي الرسالة على تعليقات أو تعليمات معالجة أو كيانات (entities).",
        )
    if (include := next(envelope.iter(_INCLUDE), None)) is not None:
        raise InvalidSecurity(
            "attachment-outside",
            "An attachment stands outside what was signed.",
            "يوجد مرفق خارج ما وُقّع.",
            place=called(include),
        )
    places = parts.places()
    for node in envelope.iter(*_KEPT_NAMES):
        if not any(node is place for place in places):
            raise InvalidSecurity(
                "out-of-place",
                "An element with this name stands where it does not belong.",
                "يوجد عنصر بهذا الاسم في غير موضعه.",
                place=f"{called(node)}, line {node.sourceline}",
            )
    identifiers: list[tuple[str, etree._Element]] = []
    for node in envelope.iter():
        for name, value in node.items():
            if signature.is_id(str(name)):
                identifiers.append((str(value), node))
            elif name == _TYPE:
                _check_type(node, covers)
    signature.check_ids(identifiers)


def _check_type(node: etree._Element, covers: list[signature.Cover]) -> None:
    for cover in covers:
        if node is cover.element or any(parent is cover.element for parent in node.iterancestors()):
            check_type(node, cover.element, cover.reference.prefixes)
