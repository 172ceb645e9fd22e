"""The licence credential: what is sealed opens, and nothing else does."""

import random
import zlib
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import base45  # type: ignore[import-untyped] # it ships no types
import cbor2
import cwt
import jwt
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.definitions import Bilingual
from foundation.errors import InvalidInput, RakeezaError, TooLarge
from foundation.wire import credential as wire
from foundation.wire.credential import (
    KeySet,
    LicenceClaims,
    SigningKey,
    Status,
    open_credential,
    seal,
)
from lab.credential_vectors import packed, unpacked

KEY = SigningKey.generate("sample")
KEYS = KeySet([KEY.public])
DAY = date(2026, 12, 1)
CLAIMS = LicenceClaims(
    number="2026-004512",
    service="shop_licence",
    title=Bilingual(ar="رخصة محل تجاري", en="Shop licence"),
    municipality="sample",
    valid_from=date(2026, 11, 22),
    valid_to=date(2027, 11, 21),
    issued_at=datetime(2026, 11, 22, 9, 30, tzinfo=UTC),
    public={"trade_name": "مخبز الأحمدي للحلويات"},
)
TEXT = seal(CLAIMS, KEY)
REFUSALS = (
    wire.NotOurs,
    wire.DamagedText,
    wire.Oversized,
    wire.UnknownKey,
    wire.WrongSignature,
    wire.AnotherMunicipality,
    wire.KeyOutOfPeriod,
    wire.MalformedClaims,
)


def signed(content: Any, key: SigningKey = KEY) -> str:
    """Any content under a right signature, made by the COSE library alone."""
    header = {1: -7, 4: key.public.kid}
    payload = content if isinstance(content, bytes) else cbor2.dumps(content)
    message = cwt.COSE.new().encode_and_sign(payload, key.cose, header, {})
    assert isinstance(message, bytes)
    return packed(message)


def contents() -> dict[int, Any]:
    content: dict[int, Any] = cbor2.loads(cbor2.loads(unpacked(TEXT)).value[2])
    return content


def test_what_is_sealed_opens_with_the_public_key_alone() -> None:
    published = KeySet.from_json(KEYS.to_json())
    opened = open_credential(TEXT, published, today=DAY)
    assert opened.claims == CLAIMS
    assert opened.status is Status.VALID
    assert opened.key == KEY.public


def test_a_reader_that_knows_only_the_standards_finds_the_same_claims() -> None:
    (jwk,) = jwt.PyJWKSet.from_json(KEYS.to_json()).keys
    pem = jwk.key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    decoded = cwt.decode(unpacked(TEXT), cwt.COSEKey.from_pem(pem, kid=KEY.public.kid))
    assert isinstance(decoded, dict)
    assert decoded[1] == "sample"
    assert decoded[2] == "2026-004512"
    # The end is the midnight after the last day, in the kingdom's time.
    assert datetime.fromtimestamp(decoded[4], UTC) == datetime(2027, 11, 21, 21, 0, tzinfo=UTC)


def test_the_signature_is_over_the_structure_of_rfc_9052_section_4_4() -> None:
    protected, _, payload, signature = cbor2.loads(unpacked(TEXT)).value
    (jwk,) = jwt.PyJWKSet.from_json(KEYS.to_json()).keys
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    structure = cbor2.dumps(["Signature1", protected, b"", payload])
    key, whole = jwk.key, encode_dss_signature(r, s)
    assert key.verify(whole, structure, ec.ECDSA(hashes.SHA256())) is None
    with pytest.raises(InvalidSignature):
        key.verify(whole, structure + b"\0", ec.ECDSA(hashes.SHA256()))


def test_the_key_is_named_in_the_signed_header() -> None:
    protected, unprotected, _, _ = cbor2.loads(unpacked(TEXT)).value
    assert cbor2.loads(protected) == {1: -7, 4: KEY.public.kid}
    assert unprotected == {}


@pytest.mark.parametrize(
    ("day", "status"),
    [
        (date(2026, 11, 21), Status.NOT_YET_VALID),
        (date(2026, 11, 22), Status.VALID),
        (date(2027, 11, 21), Status.VALID),
        (date(2027, 11, 22), Status.EXPIRED),
    ],
)
def test_the_first_and_the_last_day_are_valid(day: date, status: Status) -> None:
    assert open_credential(TEXT, KEYS, today=day).status is status


names = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "Zs", "S")), max_size=40)
arabic = st.text(st.characters(min_codepoint=0x0620, max_codepoint=0x065F), min_size=1, max_size=40)


@settings(deadline=None)
@given(
    title=st.builds(Bilingual, ar=arabic, en=names),
    public=st.dictionaries(st.sampled_from(["trade_name", "activity"]), arabic | names),
    first=st.dates(date(1976, 1, 1), date(2999, 1, 1)),
    days=st.integers(0, 3000),
)
def test_every_licence_comes_back_as_it_was(
    title: Bilingual, public: dict[str, str], first: date, days: int
) -> None:
    claims = replace(
        CLAIMS, title=title, public=public, valid_from=first, valid_to=first + timedelta(days=days)
    )
    assert open_credential(seal(claims, KEY), KEYS, today=DAY).claims == claims


def is_refused_or_tells_the_same(text: str) -> bool:
    try:
        opened = open_credential(text, KEYS, today=DAY)
    except REFUSALS:
        return True
    # The layers outside the signature have spare bits (the padding of deflate); a change of those alone
    # may pass, and then not one signed byte may differ.
    return opened.claims == CLAIMS and unpacked(text) == unpacked(TEXT)


@settings(deadline=None)
@given(st.integers(0, len(TEXT) - 1), st.integers(0, 7))
def test_a_flipped_bit_in_the_text_never_forges(place: int, bit: int) -> None:
    data = bytearray(TEXT.encode())
    data[place] ^= 1 << bit
    assert is_refused_or_tells_the_same(data.decode("latin-1"))


@settings(deadline=None)
@given(st.integers(0, len(TEXT) - 1))
def test_a_truncated_text_is_refused(length: int) -> None:
    with pytest.raises(REFUSALS):
        open_credential(TEXT[:length], KEYS, today=DAY)


@settings(deadline=None)
@given(st.integers(0, len(TEXT)), st.text(min_size=1, max_size=5))
def test_an_insertion_never_forges(place: int, more: str) -> None:
    assert is_refused_or_tells_the_same(TEXT[:place] + more + TEXT[place:])


def test_no_single_bit_of_the_signed_message_can_change() -> None:
    message = unpacked(TEXT)
    for place in range(len(message) * 8):
        changed = bytearray(message)
        changed[place // 8] ^= 1 << place % 8
        with pytest.raises(REFUSALS):
            open_credential(packed(bytes(changed)), KEYS, today=DAY)


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_in_our_wrapping_give_only_named_errors(message: bytes) -> None:
    with pytest.raises(REFUSALS) as caught:
        open_credential(packed(message), KEYS, today=DAY)
    assert caught.value.remedy


nested = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.binary(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.integers(-3, 6) | st.text(), inner),
    max_leaves=12,
)


@settings(deadline=None)
@given(nested | st.dictionaries(st.sampled_from([1, 2, 4, 5, 6, -70001]), nested))
def test_a_right_signature_on_anything_else_is_malformed_claims(content: Any) -> None:
    with pytest.raises(wire.MalformedClaims):
        open_credential(signed(content), KEYS, today=DAY)


@pytest.mark.parametrize(
    "change",
    [
        {4: 2**63},
        {4: -(2**63)},
        {6: 10**40},
        {4: True},
        {5: contents()[5] + 1},
        {4: contents()[5]},
        {1: 7},
        {-70001: {1: "s", 2: ["ar"], 3: {}}},
        {-70001: {1: "s", 2: ["ar", "en"], 3: {"trade_name": 5}}},
    ],
)
def test_a_wrong_claim_under_a_right_signature_is_named(change: dict[int, Any]) -> None:
    with pytest.raises(wire.MalformedClaims):
        open_credential(signed({**contents(), **change}), KEYS, today=DAY)


def test_a_payload_that_is_no_cbor_is_named() -> None:
    with pytest.raises(wire.MalformedClaims, match="not CBOR"):
        open_credential(signed(b"\x81"), KEYS, today=DAY)


@pytest.mark.parametrize("text", ["", "HC1:NCF", "rkz1:NCF", "https://example.org/v1/verify/1", " " + TEXT])
def test_a_text_of_someone_else_is_not_ours(text: str) -> None:
    with pytest.raises(wire.NotOurs, match="RKZ1:"):
        open_credential(text, KEYS, today=DAY)


@pytest.mark.parametrize("body", ["abc", "ÀÉ", "A", "ZZZ", "", TEXT.removeprefix("RKZ1:") + "\n", "رخصة"])
def test_what_is_no_base45_or_no_zlib_is_damaged(body: str) -> None:
    with pytest.raises(wire.DamagedText):
        open_credential("RKZ1:" + body, KEYS, today=DAY)


def test_a_zip_bomb_is_stopped_at_four_kilobytes() -> None:
    # 1500 bytes that unpack to a million, within the length of a QR code.
    bomb = packed(bytes(1_000_000))
    assert len(bomb) < 4296
    with pytest.raises(wire.Oversized, match="4096 bytes"):
        open_credential(bomb, KEYS, today=DAY)


def test_a_text_longer_than_any_qr_code_is_not_even_decoded() -> None:
    with pytest.raises(wire.Oversized, match="characters"):
        open_credential("RKZ1:" + "0" * 10_000_000, KEYS, today=DAY)


@pytest.mark.parametrize("opening", [b"\x81", b"\xd8\x1c", b"\xa1\x00", b"\xd2", b"\x9f", b"\xd8\x1d\x00"])
def test_deep_and_hostile_cbor_is_damaged(opening: bytes) -> None:
    with pytest.raises(wire.DamagedText):
        open_credential(packed(opening * (4000 // len(opening))), KEYS, today=DAY)


def test_bytes_behind_the_message_are_damage() -> None:
    with pytest.raises(wire.DamagedText, match="one form"):
        open_credential(packed(unpacked(TEXT) + b"\x00"), KEYS, today=DAY)
    hidden = base45.b45encode(zlib.compress(unpacked(TEXT)) + b"more").decode()
    with pytest.raises(wire.DamagedText, match="after it"):
        open_credential(wire.PREFIX + hidden, KEYS, today=DAY)


def test_the_same_message_in_a_longer_form_is_damage() -> None:
    message = unpacked(TEXT)
    assert message[:2] == b"\xd2\x84"
    with pytest.raises(wire.DamagedText, match="no signed message"):
        open_credential(packed(b"\xd2\x98\x04" + message[2:]), KEYS, today=DAY)


def test_nothing_may_stand_in_the_unsigned_header() -> None:
    tag = cbor2.loads(unpacked(TEXT))
    tag.value[1][4] = b"other"
    with pytest.raises(wire.DamagedText, match="header"):
        open_credential(packed(cbor2.dumps(tag)), KEYS, today=DAY)


def test_a_key_outside_the_set_is_unknown() -> None:
    other = SigningKey.generate("sample")
    with pytest.raises(wire.UnknownKey, match=other.public.kid.hex()):
        open_credential(seal(CLAIMS, other), KEYS, today=DAY)


def test_a_forger_who_names_a_known_key_has_the_wrong_signature() -> None:
    forger = SigningKey.generate("sample")
    header = {1: -7, 4: KEY.public.kid}
    message = cwt.COSE.new().encode_and_sign(cbor2.dumps(contents()), forger.cose, header, {})
    assert isinstance(message, bytes)
    with pytest.raises(wire.WrongSignature, match="changed or forged"):
        open_credential(packed(message), KEYS, today=DAY)


def test_a_key_speaks_only_for_its_own_municipality() -> None:
    other = SigningKey.generate("other")
    forged = signed(contents(), other)
    with pytest.raises(wire.AnotherMunicipality, match="'other'"):
        open_credential(forged, KeySet([KEY.public, other.public]), today=DAY)


def test_a_key_signs_only_in_its_period() -> None:
    late = replace(KEY.public, not_before=CLAIMS.issued_at + timedelta(seconds=1))
    gone = replace(KEY.public, not_after=CLAIMS.issued_at - timedelta(seconds=1))
    for key in (late, gone):
        with pytest.raises(wire.KeyOutOfPeriod):
            open_credential(TEXT, KeySet.from_json(KeySet([key]).to_json()), today=DAY)
    exact = replace(KEY.public, not_before=CLAIMS.issued_at, not_after=CLAIMS.issued_at)
    assert open_credential(TEXT, KeySet.from_json(KeySet([exact]).to_json()), today=DAY)


def test_sealing_refuses_what_could_not_be_opened() -> None:
    with pytest.raises(InvalidInput, match="key of 'sample'"):
        seal(replace(CLAIMS, municipality="other"), KEY)
    with pytest.raises(InvalidInput, match="before it begins"):
        seal(replace(CLAIMS, valid_to=date(2020, 1, 1)), KEY)
    with pytest.raises(InvalidInput, match="zone"):
        seal(replace(CLAIMS, issued_at=datetime(2026, 1, 1)), KEY)
    with pytest.raises(InvalidInput, match="last day"):
        seal(replace(CLAIMS, valid_to=date.max), KEY)
    # Random letters, because repeated ones would pack into nothing.
    long = "".join(random.Random(1).choices("ابتثجحخدذرزسشصضطظعغفقكلمنهوي", k=900))
    with pytest.raises(TooLarge, match="readable QR code"):
        seal(replace(CLAIMS, public={"trade_name": long}), KEY)


def test_every_refusal_is_one_of_the_platforms_errors() -> None:
    for refusal in REFUSALS:
        assert issubclass(refusal, RakeezaError)
        assert not refusal.retryable
