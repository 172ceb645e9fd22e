"""The status list: what is signed opens and nothing else does; an older one never replaces a newer one."""

import base64
import json
import random
import zlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import cbor2
import cwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.errors import InvalidInput
from foundation.wire import status_list as wire
from foundation.wire.cose import deterministic_map, sign1
from foundation.wire.credential import KeySet, SigningKey
from foundation.wire.status_list import (
    ENTRIES,
    MEDIA_TYPE,
    ListRefused,
    StatusList,
    StatusLists,
    StatusValue,
    empty,
    open_list,
    put,
    sign_list,
)

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("credential_vectors.json").read_text("utf-8"))
KEY = SigningKey.generate("sample")
KEYS = KeySet([KEY.public])
URI = "https://licences.example.gov.sa/v1/status-lists/0"
AT = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)


def content(values: Mapping[int, int] | None = None, entries: int = 64, **change: Any) -> StatusList:
    packed = empty(entries)
    put(packed, (values or {}).items())
    made = StatusList(URI, "sample", 3, AT, AT + timedelta(days=7), timedelta(hours=12), bytes(packed))
    return replace(made, **change)


TOKEN = sign_list(content({5: 1, 6: 2, 7: 3}), KEY)


def test_what_is_signed_opens_with_the_public_key_alone() -> None:
    opened = open_list(TOKEN, KeySet.from_json(KEYS.to_json()), URI)
    assert opened == content({5: 1, 6: 2, 7: 3})
    assert [opened.value(index) for index in range(4, 9)] == [0, 1, 2, 3, 0]


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.integers(0, 1023), st.sampled_from(StatusValue)))
def test_every_place_holds_what_was_put_there_and_nothing_else(values: dict[int, StatusValue]) -> None:
    opened = open_list(sign_list(content(values, 1024), KEY), KEYS)
    assert [opened.value(index) for index in range(1024)] == [values.get(index, 0) for index in range(1024)]


def test_a_place_can_be_put_again() -> None:
    packed = empty(8)
    put(packed, [(0, 3), (1, 3), (1, 1), (0, 0), (7, 2)])
    assert bytes(packed) == bytes([0b0100, 0b10_00_00_00])


def test_beyond_its_ends_a_list_says_nothing() -> None:
    assert content().value(64) is None
    assert content().value(-1) is None


def test_a_reader_that_knows_only_the_standards_finds_the_same() -> None:
    key = cwt.COSEKey.new(KEY.public.cose.to_dict())
    claims: Any = cwt.decode(TOKEN, key)
    protected = cbor2.loads(cbor2.loads(TOKEN).value[0])
    assert protected[16] == "application/statuslist+cwt"
    assert claims[2] == URI
    assert (claims[6], claims[4], claims[65534]) == (AT.timestamp(), AT.timestamp() + 7 * 86400, 43200)
    assert claims[65533]["bits"] == 2
    # Four a byte, the first in the lowest bits: section 4.1 of the draft.
    raw = zlib.decompress(claims[65533]["lst"])
    assert raw[1] == 1 << 2 | 2 << 4 | 3 << 6


def test_the_layout_is_that_of_the_drafts_own_example() -> None:
    # Section 4.1, the example of two bits: twelve statuses in three bytes.
    statuses = [1, 2, 0, 3, 0, 1, 0, 1, 1, 2, 3, 3]
    packed = empty(12)
    put(packed, enumerate(statuses))
    assert bytes(packed) == bytes([0xC9, 0x44, 0xF9])


@pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in VECTORS["status_lists"]])
def test_every_vector_is_refused_by_its_name(case: dict[str, Any]) -> None:
    token, keys = base64.b64decode(case["token"]), KeySet.from_json(json.dumps(VECTORS["keys"]))
    if case["refusal"] is None:
        assert open_list(token, keys).value(5) is StatusValue.REVOKED
        return
    with pytest.raises(ListRefused) as caught:
        open_list(token, keys)
    assert type(caught.value).__name__ == case["refusal"]
    assert caught.value.remedy
    assert caught.value.message_ar


def test_a_list_of_another_name_is_refused_where_one_is_asked_for() -> None:
    with pytest.raises(wire.AnotherList):
        open_list(TOKEN, KEYS, URI.replace("/0", "/1"))


def test_a_token_larger_than_any_list_is_refused_unread() -> None:
    with pytest.raises(wire.OversizedList):
        open_list(TOKEN + bytes(wire.MAX_TOKEN), KEYS)


def test_a_full_list_that_cannot_be_packed_still_is_within_the_limit() -> None:
    packed = random.Random(4).randbytes(ENTRIES // 4)
    token = sign_list(content(packed=packed), KEY)
    assert len(token) <= wire.MAX_TOKEN
    assert open_list(token, KEYS).packed == packed


def test_what_a_bomb_would_unpack_to_is_not_made() -> None:
    lst = zlib.compress(bytes(200_000_000), 9)
    claims = cbor2.loads(cbor2.loads(TOKEN).value[2])
    bomb = sign1(deterministic_map({**claims, 65533: {"lst": lst, "bits": 2}}), KEY, {16: MEDIA_TYPE})
    assert len(bomb) < wire.MAX_TOKEN
    with pytest.raises(wire.OversizedList):
        open_list(bomb, KEYS)


@pytest.mark.parametrize(
    "change", [{"municipality": "other"}, {"packed": b""}, {"packed": bytes(ENTRIES // 4 + 1)}]
)
def test_what_a_key_must_not_sign_is_not_signed(change: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        sign_list(content(**change), KEY)


@settings(max_examples=300, deadline=None)
@given(st.integers(0, len(TOKEN) * 8 - 1))
def test_no_flipped_bit_is_accepted(bit: int) -> None:
    changed = bytearray(TOKEN)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ListRefused):
        open_list(bytes(changed), KEYS)


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(TOKEN) - 1), st.binary(max_size=5))
def test_no_cut_or_lengthened_list_is_accepted(length: int, more: bytes) -> None:
    for changed in (TOKEN[:length], TOKEN[:length] + more, TOKEN + more + b"\0"):
        if changed != TOKEN:
            with pytest.raises(ListRefused):
                open_list(changed, KEYS)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_anything_under_a_right_signature_is_a_list_or_a_named_refusal(payload: bytes) -> None:
    with pytest.raises(ListRefused):
        open_list(sign1(payload, KEY, {16: MEDIA_TYPE}), KEYS)


claim = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.text(max_size=5),
    st.binary(max_size=40),
    st.floats(),
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([2, 4, 6, 65533, 65534, -70002]), st.one_of(claim, st.lists(claim, max_size=3)))
def test_any_claim_of_another_kind_is_a_named_refusal(number: int, value: Any) -> None:
    claims = cbor2.loads(cbor2.loads(TOKEN).value[2])
    token = sign1(deterministic_map({**claims, number: value}), KEY, {16: MEDIA_TYPE})
    try:
        opened = open_list(token, KEYS)
    except ListRefused:
        return
    # A time or a name may be another, as long as it is one.
    assert number in (2, 4, 6, 65534)
    assert sign_list(opened, KEY)[:40] == token[:40]


def resigned(payload: bytes) -> bytes:
    return sign1(payload, KEY, {16: MEDIA_TYPE})


PAYLOAD: bytes = cbor2.loads(TOKEN).value[2]
CONTENT: dict[int, Any] = cbor2.loads(PAYLOAD)


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(cbor2.dumps(dict(reversed(CONTENT.items()))), id="claims out of order"),
        pytest.param(b"\xbf" + PAYLOAD[1:] + b"\xff", id="a map without a length"),
        pytest.param(bytes([PAYLOAD[0] + 1]) + PAYLOAD + b"\x06\x01", id="a claim twice"),
        pytest.param(PAYLOAD + b"\0", id="a byte after it"),
        pytest.param(deterministic_map({**CONTENT, 6: float(CONTENT[6])}), id="a time as a fraction"),
        pytest.param(deterministic_map({**CONTENT, 4: cbor2.CBORTag(1, CONTENT[4])}), id="a time as a date"),
        pytest.param(deterministic_map({**CONTENT, 4: 2**600}), id="an end without a size"),
        pytest.param(deterministic_map({**CONTENT, 6: -1}), id="made before 1970"),
        pytest.param(deterministic_map({**CONTENT, 65534: True}), id="a truth for a time"),
        pytest.param(deterministic_map({**CONTENT, -70002: {1: 3, 2: True}}), id="a truth for a size"),
        pytest.param(deterministic_map({**CONTENT, -70002: {1: 3, 2: 63}}), id="no whole bytes"),
        pytest.param(deterministic_map({**CONTENT, -70002: {2: 64, 1: 3}}), id="a size before a version"),
        pytest.param(deterministic_map({**CONTENT, 2: "x" * 501}), id="a name without an end"),
        pytest.param(deterministic_map({**CONTENT, 2: ""}), id="no name"),
    ],
)
def test_a_list_of_another_form_is_damaged_whoever_signed_it(payload: bytes) -> None:
    assert open_list(resigned(PAYLOAD), KEYS) == content({5: 1, 6: 2, 7: 3})
    with pytest.raises(wire.DamagedList):
        open_list(resigned(payload), KEYS)


def test_a_bomb_nobody_signed_is_never_unpacked_or_decoded() -> None:
    # Keys of one remainder all fall into one place of a table: a decoder would compare each with each.
    prime = 2**61 - 1
    keys = b"".join(b"\xc2\x4a" + (prime * n).to_bytes(10, "big") + b"\x00" for n in range(1, 20_000))
    message = cbor2.loads(TOKEN).value
    for payload in (b"\xb9\x4e\x1f" + keys, b"\x81" * 200_000, zlib.compress(bytes(10**8))):
        token = cbor2.dumps(cbor2.CBORTag(18, [message[0], {}, payload, message[3]]))
        with pytest.raises(wire.WrongListSignature):
            open_list(token, KEYS)


def test_a_list_signed_by_another_key_in_its_name_is_refused() -> None:
    thief = SigningKey.generate("sample")
    forged = sign_list(content(), thief).replace(thief.public.kid, KEY.public.kid)
    with pytest.raises(wire.WrongListSignature):
        open_list(forged, KEYS)


def test_an_old_list_played_back_is_refused_and_the_newer_one_stays() -> None:
    older = content({5: 0}, version=2, issued_at=AT - timedelta(hours=6))
    held = StatusLists([content({5: 1})])
    with pytest.raises(wire.OlderList):
        held.hold(older)
    kept = held.find("sample", URI)
    assert kept is not None
    assert kept.value(5) is StatusValue.REVOKED


def test_of_two_lists_of_one_second_the_higher_version_counts() -> None:
    held = StatusLists([content(version=4)])
    with pytest.raises(wire.OlderList):
        held.hold(content(version=3))
    held.hold(content(version=4))
    held.hold(content(version=5))
    assert [each.version for each in held] == [5]


def test_after_a_restored_backup_a_list_made_later_is_newer_whatever_its_version() -> None:
    held = StatusLists([content(version=900)])
    held.hold(content(version=850, issued_at=AT + timedelta(hours=1)))
    assert [each.version for each in held] == [850]


def test_of_lists_given_together_the_newest_is_held_in_any_order() -> None:
    newer, older = content(version=4), content(version=3, issued_at=AT - timedelta(days=1))
    for lists in ([newer, older], [older, newer]):
        assert list(StatusLists(lists)) == [newer]


def test_lists_of_two_municipalities_of_one_name_stand_beside_each_other() -> None:
    held = StatusLists([content({5: 1}), content({5: 2}, municipality="other")])
    assert len(held) == 2
    found = held.find("other", URI)
    assert found is not None
    assert found.value(5) is StatusValue.SUSPENDED


def test_after_a_clock_that_ran_wild_the_right_time_is_held_again() -> None:
    wild = content(version=9, issued_at=AT + timedelta(days=3_000), expires_at=AT + timedelta(days=3_007))
    held = StatusLists([wild])
    right = content(version=10)
    with pytest.raises(wire.OlderList):
        held.hold(right)
    # Whoever knows what time it is does not let a list from the future stand in the way.
    held.hold(right, now=AT + timedelta(minutes=1))
    assert list(held) == [right]
    with pytest.raises(wire.OlderList):
        held.hold(content(version=8, issued_at=AT - timedelta(minutes=1)), now=AT - timedelta(minutes=10))


def test_what_a_revoked_or_unknown_key_signed_is_held_no_longer() -> None:
    other = SigningKey.generate("other")
    keys = KeySet([KEY.public, other.public])
    held = StatusLists(
        open_list(sign_list(content(municipality=key.municipality), key), keys) for key in (KEY, other)
    )
    assert len(held.trusted_by(keys)) == 2
    revoked = KeySet([replace(KEY.public, revoked_at=AT), other.public])
    assert [each.municipality for each in held.trusted_by(revoked)] == ["other"]
    assert len(held.trusted_by(KeySet([]))) == 0
    # What was never verified is not trusted by anybody.
    assert len(StatusLists([content()]).trusted_by(keys)) == 0
