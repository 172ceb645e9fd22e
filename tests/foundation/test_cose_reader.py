"""The frame of a signed message is read without a decoder, and has one form."""

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.wire.cose import sign1
from foundation.wire.cose_reader import NotInOneForm, NotSigned, SignedMessage, read_sign1
from foundation.wire.credential_keys import SigningKey

KEY = SigningKey.generate("sample")
KID = KEY.public.kid
MESSAGE = sign1(b"payload", KEY)
TYPED = sign1(b"payload", KEY, {16: "application/x"})
PROTECTED, _, PAYLOAD, SIGNATURE = cbor2.loads(MESSAGE).value
TYPED_HEADER = cbor2.loads(TYPED).value[0]


def wrapped(*parts: object, tag: int = 18) -> bytes:
    return cbor2.dumps(cbor2.CBORTag(tag, list(parts)))


@pytest.mark.parametrize("size", [0, 1, 23, 24, 255, 256, 65535, 65536, 250_000])
def test_what_was_signed_is_read_at_every_size(size: int) -> None:
    payload = bytes(size)
    for headers, typ in (({}, None), ({16: "application/statuslist+cwt"}, "application/statuslist+cwt")):
        message = read_sign1(sign1(payload, KEY, headers))
        assert (message.kid, message.typ, message.payload) == (KID, typ, payload)
        assert message.is_signed_by(KEY.public)
        assert not message.is_signed_by(SigningKey.generate("sample").public)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xd2",
        MESSAGE[1:],
        wrapped(PROTECTED, {}, PAYLOAD, SIGNATURE, tag=98),
        wrapped(PROTECTED, {}, PAYLOAD),
        wrapped(PROTECTED, {}, PAYLOAD, SIGNATURE, b""),
        wrapped(PROTECTED, {}, "payload", SIGNATURE),
        wrapped(PROTECTED, {}, None, SIGNATURE),
        wrapped(PROTECTED, {}, PAYLOAD, 7),
        wrapped([], {}, PAYLOAD, SIGNATURE),
        b"\xd2\x9f" + MESSAGE[2:] + b"\xff",
        b"\xd2\x84\x5f\x41\xa0\xff" + MESSAGE[2:],
        b"\xd2\x84\x5b\x7f\xff\xff\xff\xff\xff\xff\xff",
        b"\x81" * 300_000,
    ],
    # Each run has keys of its own, and the workers of one run must agree on names.
    ids=lambda data: f"{len(data)}-bytes",
)
def test_what_is_no_message_of_four_parts_is_not_signed(data: bytes) -> None:
    with pytest.raises(NotSigned):
        read_sign1(data)


@pytest.mark.parametrize(
    "data",
    [
        MESSAGE + b"\0",
        wrapped(PROTECTED, {4: b"x"}, PAYLOAD, SIGNATURE),
        wrapped(b"", {1: -7, 4: KID}, PAYLOAD, SIGNATURE),
        wrapped(cbor2.dumps({4: KID, 1: -7}), {}, PAYLOAD, SIGNATURE),
        wrapped(cbor2.dumps({1: -35, 4: KID}), {}, PAYLOAD, SIGNATURE),
        wrapped(cbor2.dumps({1: -7, 4: KID, 5: b""}), {}, PAYLOAD, SIGNATURE),
        wrapped(cbor2.dumps({1: -7, 4: KID, 16: "x", 17: 1}), {}, PAYLOAD, SIGNATURE),
        wrapped(PROTECTED + b"\0", {}, PAYLOAD, SIGNATURE),
        wrapped(TYPED_HEADER + b"\0", {}, PAYLOAD, SIGNATURE),
        wrapped(b"\xa2\x01\x26\x04\x58\x08" + KID, {}, PAYLOAD, SIGNATURE),
        MESSAGE.replace(b"\x47payload", b"\x58\x07payload"),
        MESSAGE.replace(b"\x47payload", b"\x59\x00\x07payload"),
        MESSAGE.replace(b"\x47payload", b"\x5a\x00\x00\x00\x07payload"),
    ],
    ids=lambda data: f"{len(data)}-bytes",
)
def test_another_form_of_the_same_is_refused(data: bytes) -> None:
    with pytest.raises(NotInOneForm):
        read_sign1(data)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_what_is_read_is_written_so_byte_for_byte(data: st.DataObject) -> None:
    changed = bytearray(data.draw(st.sampled_from([MESSAGE, TYPED])))
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try:
        message = read_sign1(bytes(changed))
    except (NotSigned, NotInOneForm):
        return
    assert wrapped(message.protected, {}, message.payload, message.signature) == bytes(changed)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(TYPED) - 1))
def test_a_message_that_breaks_off_is_never_read(length: int) -> None:
    with pytest.raises((NotSigned, NotInOneForm)):
        read_sign1(TYPED[:length])


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=140))
def test_any_bytes_in_the_place_of_a_signature_are_only_wrong(signature: bytes) -> None:
    message = SignedMessage(KID, None, PROTECTED, PAYLOAD, signature)
    assert message.is_signed_by(KEY.public) is (signature == SIGNATURE)
