"""Verifies one message: who signed which element objects."""

from dataclasses import dataclass
from datetime import datetime

from lxml import etree

from integrations.ws_security.keys import Lookup
from integrations.ws_security.timestamp import Timestamp
from integrations.ws_security.username_token import UsernameToken


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
    raise NotImplementedError
