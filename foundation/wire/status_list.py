"""Token Status Lists: how each of a million licences stands, in one signed message of two bits each.

::

    two bits a credential -> zlib -> CBOR (CWT) -> COSE_Sign1 (ES256), typed "application/statuslist+cwt"

A credential names its list and its place in it (`StatusReference`); whoever holds the list and the public
keys can judge it without a network. The reader is strict: a list has one form, a bound, a type, a name and a
key of its municipality, and whatever differs is refused by a named error.

Source: draft-ietf-oauth-status-list, sections 4 (list), 5.2 (CWT), 6.3 (reference), 7 (values).
"""

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from typing import NoReturn

import cbor2

from foundation.errors import Damaged, InvalidInput
from foundation.wire.cose import deterministic_map, sign1
from foundation.wire.cose_reader import NotInOneForm, NotSigned, SignedMessage, read_sign1
from foundation.wire.credential_keys import KeySet, PublicKey, Signer

MEDIA_TYPE = "application/statuslist+cwt"
"""Of a list, in its header and where it is served."""

LIST_BITS = 20
ENTRIES = 1 << LIST_BITS
"""Credentials of one list; the list of a credential is its number shifted by `LIST_BITS`."""

MAX_TOKEN = 300_000
"""Bytes of the largest list read: what cannot be packed at all, its zlib frame, claims and signature."""

CLOCK_TOLERANCE = timedelta(minutes=10)
"""How far ahead of the verifier's clock something may have been made."""

_TYP = 16  # header parameter "typ" (RFC 9596)
_SUB, _EXP, _IAT, _STATUS_LIST, _TTL = 2, 4, 6, 65533, 65534
# Below -65536 a claim key is for private use (RFC 8392, section 9.1.1).
_ISSUE = -70002
_VERSION, _SIZE = 1, 2
_BITS, _LST = "bits", "lst"
_WIDTH, _PER_BYTE, _MASK = 2, 4, 0b11
_MAX_URI = 500
_LATEST = int(datetime(9999, 1, 1, tzinfo=UTC).timestamp())


class StatusValue(IntEnum):
    """How a credential stands. Source: section 7.1; 3 is the issuer's own to say."""

    VALID = 0
    REVOKED = 1
    SUSPENDED = 2
    REPLACED = 3


@dataclass(frozen=True)
class StatusReference:
    """Where a credential's status is found.

    Args:
        index: its place in the list, 0 to `ENTRIES` - 1.
        uri: name of the list, and the address it is had from.
    """

    index: int
    uri: str


class ListRefused(Damaged):
    """A status list is not accepted."""


class NotAStatusList(ListRefused):
    """The bytes are no status list of this kind."""


class DamagedList(ListRefused):
    """Bytes of the list are missing, changed or too many, or it is not in its one form."""


class OversizedList(ListRefused):
    """The list is larger than one can be, or than it says it is."""


class UnknownListKey(ListRefused):
    """The list names a key that is not in the key set."""


class WithdrawnListKey(ListRefused):
    """The list is signed by a key that was withdrawn, or made when its key was not in use."""


class WrongListSignature(ListRefused):
    """The signature does not belong to the list."""


class AnotherList(ListRefused):
    """A right list, and not the one that was asked for."""


class OlderList(ListRefused):
    """The list was made before one that is held already."""


@dataclass(frozen=True)
class StatusList:
    """A status list.

    Args:
        uri: its name.
        municipality: code of the municipality whose key signed it.
        version: counts up with every list of this name.
        issued_at: when it was made; aware, kept to the second.
        expires_at: when it is too old to be relied on.
        ttl: how long it is kept before a newer one is asked for.
        packed: four statuses a byte, the first in the lowest bits.
        kid: the key that verified it; None of one that was not opened.
    """

    uri: str
    municipality: str
    version: int
    issued_at: datetime
    expires_at: datetime
    ttl: timedelta
    packed: bytes
    kid: bytes | None = field(default=None, compare=False)

    @property
    def entries(self) -> int:
        """How many credentials it speaks of."""
        return len(self.packed) * _PER_BYTE

    def value(self, index: int) -> StatusValue | None:
        """How a credential stands; None beyond the end of the list."""
        if not 0 <= index < self.entries:
            return None
        return StatusValue(self.packed[index // _PER_BYTE] >> index % _PER_BYTE * _WIDTH & _MASK)

    def is_before(self, other: "StatusList") -> bool:
        """Whether it was made before another of the same name.

        The time goes first: a municipality that restored its database from a backup counts its versions on
        from there, and its lists are newer all the same.
        """
        return (self.issued_at, self.version) < (other.issued_at, other.version)


def empty(entries: int = ENTRIES) -> bytearray:
    """The statuses of a list in which all is valid.

    Args:
        entries: a multiple of four.
    """
    return bytearray(entries // _PER_BYTE)


def put(packed: bytearray, values: Iterable[tuple[int, int]]) -> None:
    """Set statuses in a list, whatever they were.

    Args:
        values: each credential's place and status.
    """
    for index, value in values:
        place, shift = index // _PER_BYTE, index % _PER_BYTE * _WIDTH
        packed[place] = packed[place] & ~(_MASK << shift) | value << shift


def sign_list(content: StatusList, signer: Signer) -> bytes:
    """The list as a signed message.

    Args:
        content: of the municipality that the key is of.
        signer: the municipality's key.

    Raises:
        InvalidInput: it is another municipality's, or larger than a list can be.
    """
    if content.municipality != signer.municipality or not 0 < content.entries <= ENTRIES:
        raise InvalidInput(
            f"The list is of {content.municipality!r} with {content.entries} entries; "
            f"the key of {signer.municipality!r} signs its own, to {ENTRIES} entries.",
            place=content.uri,
            remedy="Sign it with the key of the municipality that makes it.",
        )
    return sign1(_to_cwt(content, zlib.compress(content.packed, 9)), signer, {_TYP: MEDIA_TYPE})


def open_list(token: bytes, keys: KeySet, uri: str | None = None) -> StatusList:
    """The list in a message, its signature verified.

    Whether it is too old is not asked here: an old list is better than none, as long as its age is told.

    Args:
        token: the message.
        keys: the public keys that are trusted.
        uri: name of the list that is wanted; None takes any.

    Raises:
        NotAStatusList: it is no signed message, or one of another type.
        DamagedList: its bytes are broken or not in the one form that we write.
        OversizedList: it is, or unpacks to, more than a list can be or than it says.
        UnknownListKey: its key is not among `keys`.
        WithdrawnListKey: its key was withdrawn, or not in use when it was made.
        WrongListSignature: it was changed, or signed by someone else.
        AnotherList: it has another name than `uri`.
    """
    if len(token) > MAX_TOKEN:
        raise _refused(OversizedList, f"no list has {len(token)} bytes")
    message = _message(token)
    key = keys.get(message.kid)
    if key is None:
        named = message.kid.hex()[:64]
        raise _refused(UnknownListKey, f"the key that signed it ({named}) is not in the key set")
    if not message.is_signed_by(key):
        raise _refused(WrongListSignature, "the signature does not hold")
    if key.revoked_at is not None:
        raise _refused(WithdrawnListKey, "its key was revoked")
    content = _from_cwt(message.payload, key)
    if not key.covers(content.issued_at):
        raise _refused(WithdrawnListKey, "its key was not in use when it was made")
    if uri is not None and content.uri != uri:
        raise _refused(AnotherList, f"it is the list {content.uri[:100]!r}, not {uri[:100]!r}")
    return content


class StatusLists:
    """The lists that a verifier holds, of each name the newest.

    Args:
        lists: in any order.
    """

    def __init__(self, lists: Iterable[StatusList] = ()) -> None:
        self._held: dict[tuple[str, str], StatusList] = {}
        for each in lists:
            held = self.find(each.municipality, each.uri)
            if held is None or held.is_before(each):
                self.hold(each)

    def __len__(self) -> int:
        return len(self._held)

    def __iter__(self) -> Iterator[StatusList]:
        return iter(self._held.values())

    def find(self, municipality: str, uri: str) -> StatusList | None:
        """The list of a name that a municipality signed, if it is held."""
        return self._held.get((municipality, uri))

    def trusted_by(self, keys: KeySet) -> "StatusLists":
        """Those whose key is in the set and not revoked: a thief signs lists as well as licences."""

        def trusted(each: StatusList) -> bool:
            key = None if each.kid is None else keys.get(each.kid)
            return key is not None and key.revoked_at is None

        return StatusLists(filter(trusted, self))

    def hold(self, newer: StatusList, now: datetime | None = None) -> None:
        """Hold a list in place of the one of its name.

        Args:
            newer: the list.
            now: the present moment, aware. A list that is held and was made after it stands in nobody's way:
                its maker's clock was wrong then, and every list that he makes at the right time is older.
                None: there is no present to go by.

        Raises:
            OlderList: the one held was made later; somebody plays an old list back.
        """
        held = self.find(newer.municipality, newer.uri)
        early = held is not None and now is not None and held.issued_at > now + CLOCK_TOLERANCE
        if held is not None and newer.is_before(held) and not early:
            raise _refused(
                OlderList,
                f"one of {held.issued_at.isoformat()} is held, and it is of {newer.issued_at.isoformat()}",
            )
        self._held[newer.municipality, newer.uri] = newer


def _refused(kind: type[ListRefused], reason: str) -> ListRefused:
    return kind(
        f"The list of suspended and revoked licences is not accepted: {reason}.",
        remedy="Get it again from /.well-known/rakeeza-status.json of the municipality, and its newest keys.",
        message_ar="قائمة حالات الرخص غير مقبولة؛ نزّلها من جديد من موقع الجهة المصدرة.",
    )


def _message(token: bytes) -> SignedMessage:
    try:
        message = read_sign1(token)
    except NotSigned as error:
        raise _refused(NotAStatusList, "it is no signed message") from error
    except NotInOneForm as error:
        raise _refused(DamagedList, "it is not in its one form") from error
    if message.typ != MEDIA_TYPE:
        raise _refused(NotAStatusList, f"its type is not {MEDIA_TYPE}")
    return message


def _to_cwt(content: StatusList, lst: bytes) -> bytes:
    return deterministic_map(
        {
            _SUB: content.uri,
            _EXP: int(content.expires_at.timestamp()),
            _IAT: int(content.issued_at.timestamp()),
            _TTL: int(content.ttl.total_seconds()),
            _STATUS_LIST: {_LST: lst, _BITS: _WIDTH},
            _ISSUE: {_VERSION: content.version, _SIZE: content.entries},
        }
    )


def _from_cwt(payload: bytes, key: PublicKey) -> StatusList:
    try:
        claims = cbor2.loads(payload)
    except Exception as error:
        # Any: a hostile tag makes the decoder call date, regular expression and other constructors.
        raise _refused(DamagedList, "it is not CBOR") from error
    match claims:
        case {
            2: str(uri),
            4: int(exp),
            6: int(iat),
            65533: {"lst": bytes(lst), "bits": 2},
            65534: int(ttl),
            -70002: {1: int(version), 2: int(entries)},
        }:
            pass
        case _:
            _damaged("a claim is missing or of the wrong kind")
    if not (0 <= iat < exp <= _LATEST and 0 < ttl <= exp - iat and version > 0 and 0 < len(uri) <= _MAX_URI):
        _damaged("a claim is out of range")
    if entries % _PER_BYTE or entries <= 0:
        _damaged("its number of entries is no number of bytes")
    content = StatusList(
        uri=uri,
        municipality=key.municipality,
        version=version,
        issued_at=datetime.fromtimestamp(iat, UTC),
        expires_at=datetime.fromtimestamp(exp, UTC),
        ttl=timedelta(seconds=ttl),
        packed=_unpack(lst, entries),
        kid=key.kid,
    )
    # A key given twice, a boolean for a number or a further claim does not come out as it went in.
    if _to_cwt(content, lst) != payload:
        _damaged("it is not in its one form")
    return content


def _unpack(lst: bytes, entries: int) -> bytes:
    if entries > ENTRIES:
        raise _refused(OversizedList, f"no list has {entries} entries")
    size = entries // _PER_BYTE
    unpacking = zlib.decompressobj()
    try:
        # Never more than one byte over what it says: what a bomb would unpack to is not made.
        plain = unpacking.decompress(lst, size + 1)
    except zlib.error as error:
        raise _refused(DamagedList, "it does not unpack") from error
    if len(plain) > size:
        raise _refused(OversizedList, f"it unpacks to more than the {entries} entries that it says")
    if len(plain) < size or not unpacking.eof or unpacking.unused_data:
        _damaged("its end is missing or has something after it")
    return plain


def _damaged(reason: str) -> NoReturn:
    raise _refused(DamagedList, reason)
