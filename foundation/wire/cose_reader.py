"""Signed messages, read: COSE_Sign1 with ES256, in the one form that `cose.sign1` writes.

What is not verified yet is a stranger's. A general decoder of CBOR would build whatever it asks for: maps
whose keys collide, fractions of long numbers, regular expressions. So its few bytes of frame are read here,
and the payload is decoded by others once the signature holds.

Source: RFC 9052, section 4.2 (COSE_Sign1); RFC 8949, section 4.2.1 (deterministic form); RFC 9596 ("typ").
"""

from dataclasses import dataclass

import cbor2
from cwt import COSE, CWTError

from foundation.wire.cose import SIGN1
from foundation.wire.credential_keys import PublicKey

_COSE = COSE.new()
_FRAME = b"\xd2\x84"  # tag 18, an array of four
_EMPTY_MAP = b"\xa0"
# Header parameters 1 (ES256), 4 (the key, which follows), and of three 16 (a type) after it.
_TWO, _THREE = b"\xa2\x01\x26\x04", b"\xa3\x01\x26\x04"
_BYTES, _TEXT = 0x40, 0x60
_TYP = b"\x10"


class NotSigned(ValueError):
    """The bytes are no signed message, or break off."""


class NotInOneForm(ValueError):
    """The message has another form than the one that its content has, or something follows it."""


@dataclass(frozen=True)
class SignedMessage:
    """A signed message; nothing of it is believed before `is_signed_by`.

    Args:
        kid: identifier of the key that it names.
        typ: what its header says it is; None where that is not said.
        protected: its header as it stands.
        payload: what is signed, as it is carried.
        signature: over both.
    """

    kid: bytes
    typ: str | None
    protected: bytes
    payload: bytes
    signature: bytes

    def is_signed_by(self, key: PublicKey) -> bool:
        """Whether a key made the signature."""
        parts = [self.protected, {}, self.payload, self.signature]
        try:
            _COSE.decode(cbor2.CBORTag(SIGN1, parts), key.cose)
        except (CWTError, ValueError):
            return False
        return True


def read_sign1(data: bytes) -> SignedMessage:
    """The parts of a signed message.

    Args:
        data: the message, of anybody.

    Raises:
        NotSigned: it is none, or not whole.
        NotInOneForm: its header is not as ours are, or something stands behind or between.
    """
    if not data.startswith(_FRAME):
        raise NotSigned("another frame")
    protected, at = _string(data, len(_FRAME), _BYTES)
    if data[at : at + 1] != _EMPTY_MAP:
        # A header outside the signature could say anything.
        raise NotInOneForm("a header outside the signature")
    payload, at = _string(data, at + 1, _BYTES)
    signature, at = _string(data, at, _BYTES)
    if at != len(data):
        raise NotInOneForm("something follows")
    return SignedMessage(*_header(protected), protected, payload, signature)


def _header(protected: bytes) -> tuple[bytes, str | None]:
    if not protected.startswith((_TWO, _THREE)):
        raise NotInOneForm("another header")
    kid, at = _string(protected, len(_TWO), _BYTES)
    typ: str | None = None
    if protected.startswith(_THREE):
        if protected[at : at + 1] != _TYP:
            raise NotInOneForm("another header")
        text, at = _string(protected, at + 1, _TEXT)
        typ = text.decode("utf-8", errors="replace")
    if at != len(protected):
        raise NotInOneForm("another header")
    return kid, typ


def _string(data: bytes, at: int, kind: int) -> tuple[bytes, int]:
    # A byte or text string of definite length in its shortest form, and where it ends.
    first = data[at] - kind if at < len(data) else -1
    if 0 <= first < 24:
        start, size = at + 1, first
    elif 24 <= first <= 26:
        start = at + 1 + (1 << first - 24)
        size = int.from_bytes(data[at + 1 : start], "big")
        if start <= len(data) and size < (24, 0x100, 0x10000)[first - 24]:
            raise NotInOneForm("a length longer than it has to be")
    else:
        raise NotSigned("another kind")
    end = start + size
    if end > len(data):
        raise NotSigned("it breaks off")
    return data[start:end], end
