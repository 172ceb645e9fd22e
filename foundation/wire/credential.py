"""The licence credential: a signed text, small enough for one QR code, that proves itself without a network.

The layers, from the inside out::

    claims -> CBOR (CWT) -> COSE_Sign1 (ES256) -> zlib -> base45 -> "RKZ1:" + text

A QR code stores base45 in its dense alphanumeric mode. The libraries do the layers; what is ours is their
order, the claims, and a strict reader: whatever is not exactly so is refused by a named error.

Source: RFC 8392 (CWT), RFC 9052 section 4.2 (COSE_Sign1), RFC 1950 (zlib), RFC 9285 (base45);
draft-ietf-oauth-status-list, section 6.3 (where its status is found).
"""

import zlib
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

import base45  # type: ignore[import-untyped] # it ships no types
import cbor2

from foundation.errors import Damaged, InvalidInput, TooLarge
from foundation.wire.cose import sign1
from foundation.wire.cose_reader import NotInOneForm, NotSigned, SignedMessage, read_sign1
from foundation.wire.credential_claims import LicenceClaims as LicenceClaims
from foundation.wire.credential_claims import MalformedClaims as MalformedClaims
from foundation.wire.credential_claims import from_cwt, to_cwt
from foundation.wire.credential_keys import LICENCE_KEY as LICENCE_KEY
from foundation.wire.credential_keys import KeySet as KeySet
from foundation.wire.credential_keys import PublicKey as PublicKey
from foundation.wire.credential_keys import Signer as Signer
from foundation.wire.credential_keys import SigningKey as SigningKey
from foundation.wire.credential_keys import licence_key as licence_key
from foundation.wire.status_list import StatusReference as StatusReference

PREFIX = "RKZ1:"
MAX_CHARACTERS = 970
"""Longest text sealed: what one QR code of version 20, level M holds (ISO/IEC 18004, table 7)."""

_MAX_QR = 4296  # characters of the largest QR code there is, version 40-L
_MAX_PLAIN = 4096  # bytes after decompression


class NotOurs(InvalidInput):
    """The text is no credential of Rakeeza."""


class DamagedText(Damaged):
    """The text is broken: characters are missing, changed or too many."""


class Oversized(Damaged):
    """The text, or what it unpacks to, is larger than a credential can be."""


class UnknownKey(Damaged):
    """The credential names a key that is not in the key set."""


class RevokedKey(Damaged):
    """The credential's key was revoked: somebody else may have had it."""


class WrongSignature(Damaged):
    """The signature does not belong to what it signs."""


class AnotherMunicipality(Damaged):
    """A municipality's key signed a licence of another municipality."""


class KeyOutOfPeriod(Damaged):
    """The credential was issued when its key was not in use."""


REFUSALS = (
    NotOurs,
    DamagedText,
    Oversized,
    UnknownKey,
    RevokedKey,
    WrongSignature,
    AnotherMunicipality,
    KeyOutOfPeriod,
    MalformedClaims,
)
"""Every answer of `open_credential` that is a no."""


class Status(StrEnum):
    """What a credential's dates say on a day."""

    VALID = "valid"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"


@dataclass(frozen=True)
class Credential:
    """A credential whose signature holds.

    Args:
        claims: what it says.
        status: what its dates say on the day it was opened. Revocation is not part of it.
        key: the public key that verified it.
    """

    claims: LicenceClaims
    status: Status
    key: PublicKey


def seal(claims: LicenceClaims, key: Signer) -> str:
    """The claims as signed text.

    Args:
        claims: of the municipality that the key is of.
        key: the municipality's signing key.

    Returns:
        "RKZ1:" and base45, at most `MAX_CHARACTERS` characters.

    Raises:
        InvalidInput: the claims contradict themselves, or are another municipality's.
        TooLarge: they do not fit into one QR code that is easily read.
    """
    if claims.municipality != key.municipality:
        raise InvalidInput(
            f"The licence is of {claims.municipality!r}, the key of {key.municipality!r}.",
            place=claims.number,
            remedy="Sign it with the key of the municipality that issues it.",
        )
    signed = sign1(cbor2.dumps(to_cwt(claims)), key)
    text: str = PREFIX + base45.b45encode(zlib.compress(signed, 9)).decode("ascii")
    if len(text) > MAX_CHARACTERS:
        raise TooLarge(
            f"The credential has {len(text)} characters, over the {MAX_CHARACTERS} of a readable QR code.",
            place=claims.number,
            remedy="Put fewer or shorter public fields into it.",
        )
    return text


def open_credential(text: str, keys: KeySet, *, today: date) -> Credential:
    """The credential in a text, its signature verified.

    Args:
        text: exactly what the QR code holds.
        keys: the public keys that are trusted.
        today: the day to judge validity on, in the kingdom's legal time.

    Returns:
        The claims and their status. Expired and not yet valid are answers, not errors.

    Raises:
        NotOurs: it does not begin as ours do.
        DamagedText: base45, zlib or CBOR is broken, or not in the one form that we write.
        Oversized: it is longer, or unpacks to more, than a credential can.
        UnknownKey: its key is not among `keys`.
        WrongSignature: it was changed, or signed by someone else.
        RevokedKey: its key was revoked, whenever it says that it was signed.
        AnotherMunicipality: its key belongs to another municipality than its issuer.
        KeyOutOfPeriod: its key was not in use on its day of issue.
        MalformedClaims: a right signature on something that is no licence.
    """
    if not text.startswith(PREFIX):
        raise NotOurs(
            "This is no licence code of Rakeeza.",
            remedy=f"Scan the code on the licence; its text begins with {PREFIX}",
            message_ar="هذا الرمز ليس رمز رخصة صادرة عن ركيزة.",
        )
    message = _message(_unpack(text.removeprefix(PREFIX)))
    key = keys.get(message.kid)
    if key is None:
        raise UnknownKey(
            f"The key that signed it ({message.kid.hex()}) is not in the key set.",
            remedy="Get the municipality's newest keys; if it is still unknown, the licence is forged.",
            message_ar="المفتاح الذي وقع هذه الرخصة غير معروف.",
        )
    if not message.is_signed_by(key):
        raise WrongSignature(
            "The signature does not hold: the licence was changed or forged.",
            remedy="Do not accept it; ask the municipality by the licence number.",
            message_ar="التوقيع غير صحيح: الرخصة معدلة أو مزورة.",
        )
    if key.revoked_at is not None:
        raise RevokedKey(
            f"The key that signed it was revoked on {key.revoked_at.date()}; anybody may have used it.",
            remedy="Do not accept it; ask the municipality by the licence number for a new paper.",
            message_ar="أُلغي المفتاح الذي وقع هذه الرخصة فلا يعتد بتوقيعه.",
        )
    claims = from_cwt(message.payload)
    if claims.municipality != key.municipality:
        raise AnotherMunicipality(
            f"The key of {key.municipality!r} signed a licence of {claims.municipality!r}.",
            remedy="Do not accept it; tell both municipalities.",
            message_ar="الرخصة موقعة بمفتاح جهة أخرى.",
        )
    if not key.covers(claims.issued_at):
        raise KeyOutOfPeriod(
            f"It was issued at {claims.issued_at.isoformat()}, when its key was not in use.",
            remedy="Do not accept it; ask the municipality by the licence number.",
            message_ar="صدرت الرخصة في وقت لم يكن فيه مفتاح التوقيع مستعملًا.",
        )
    return Credential(claims, status_on(claims, today), key)


def read_claims(text: str) -> LicenceClaims:
    """What a credential says, without asking who signed it: for what we sealed and kept ourselves.

    Raises as `open_credential` does, save what comes of keys.
    """
    return from_cwt(_message(_unpack(text.removeprefix(PREFIX))).payload)


def status_on(claims: LicenceClaims, today: date) -> Status:
    """What the dates say on a day; the first and the last day count as valid."""
    if today < claims.valid_from:
        return Status.NOT_YET_VALID
    return Status.EXPIRED if today > claims.valid_to else Status.VALID


def _damaged(reason: str) -> DamagedText:
    return DamagedText(
        f"The licence code is damaged: {reason}.",
        remedy="Scan it again, in better light and flat.",
        message_ar="رمز الرخصة تالف أو ناقص.",
    )


def _oversized(reason: str) -> Oversized:
    return Oversized(
        reason, remedy="Scan the code on the licence again.", message_ar="الرمز أكبر من أن يكون رمز رخصة."
    )


def _unpack(body: str) -> bytes:
    if len(PREFIX) + len(body) > _MAX_QR:
        raise _oversized(f"No QR code holds {len(PREFIX) + len(body)} characters.")
    try:
        # As bytes: from a text the library would drop a line end silently.
        packed = base45.b45decode(body.encode("ascii"))
    except ValueError as error:
        raise _damaged("it is not base45") from error
    unpacking = zlib.decompressobj()
    try:
        plain = unpacking.decompress(packed, _MAX_PLAIN + 1)
    except zlib.error as error:
        raise _damaged("it does not unpack") from error
    if len(plain) > _MAX_PLAIN:
        raise _oversized(f"It unpacks to more than {_MAX_PLAIN} bytes.")
    if not unpacking.eof or unpacking.unused_data:
        raise _damaged("its end is missing or has something after it")
    return plain


def _message(data: bytes) -> SignedMessage:
    try:
        message = read_sign1(data)
    except NotSigned as error:
        raise _damaged("it is no signed message") from error
    except NotInOneForm as error:
        raise _damaged(f"it is not in its one form ({error})") from error
    if message.typ is not None:
        raise _damaged("it is signed as something else")
    return message
