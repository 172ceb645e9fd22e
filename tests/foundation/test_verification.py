"""One answer for every licence code, the same as in the vectors that the phone's page is held to."""

import base64
import json
import tracemalloc
import zlib
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import base45  # type: ignore[import-untyped] # it ships no types
import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.wire.cose import sign1
from foundation.wire.credential import PREFIX, KeySet, SigningKey, seal
from foundation.wire.status_list import (
    StatusList,
    StatusLists,
    StatusReference,
    StatusValue,
    empty,
    open_list,
    put,
)
from foundation.wire.verdict_words import BY_REGISTER, LAPSED, UNDECIDED, WORDS, Answer, age_words
from foundation.wire.verification import verify, verify_by
from lab.credential_vectors import made, packed, unpacked
from tests.foundation.test_credential import CLAIMS as UNLISTED

VECTORS: dict[str, Any] = json.loads(Path(__file__).with_name("credential_vectors.json").read_text("utf-8"))
KEYS = KeySet.from_json(json.dumps(VECTORS["keys"]))
URI = "https://licences.example.gov.sa/v1/status-lists/0"
NOW = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
KEY = SigningKey.generate("sample")
TRUSTED = KeySet([KEY.public])
CLAIMS = replace(UNLISTED, status=StatusReference(7, URI))
TEXT = seal(CLAIMS, KEY)


def listed(value: StatusValue = StatusValue.VALID, at: datetime = NOW - timedelta(hours=1)) -> StatusLists:
    statuses = empty(64)
    put(statuses, [(7, value)])
    held = StatusList(URI, "sample", 1, at, at + timedelta(days=7), timedelta(hours=12), bytes(statuses))
    return StatusLists([held])


def cases(name: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("case", [pytest.param(case, id=case["name"]) for case in VECTORS[name]])


@cases("codes")
def test_every_vector_gets_its_answer(case: dict[str, Any]) -> None:
    tokens = [base64.b64decode(VECTORS["lists"][name]) for name in case["lists"]]
    lists = StatusLists(open_list(token, KEYS) for token in tokens)
    verdict = verify(case["text"], KEYS, lists, datetime.fromisoformat(case["now"]))
    assert verdict.answer == case["answer"]
    if "age_seconds" in case:
        assert verdict.list_age == timedelta(seconds=case["age_seconds"])


def test_the_vectors_have_every_answer_and_its_present_words() -> None:
    assert {case["answer"] for case in VECTORS["codes"]} == set(Answer) - BY_REGISTER
    fresh = made()
    for part in ("words", "ages"):
        assert VECTORS[part] == fresh[part], "make them again: python -m lab.credential_vectors FILE"
    for part in ("codes", "status_lists"):
        assert [case["name"] for case in VECTORS[part]] == [case["name"] for case in fresh[part]]


def test_every_answer_has_its_own_words_in_both_languages() -> None:
    assert set(WORDS) == set(Answer)
    for part in ("title", "sentence"):
        for language in ("ar", "en"):
            told = [getattr(words, part).in_language(language) for words in WORDS.values()]
            assert len(set(told)) == len(told)
    for words in WORDS.values():
        for text in (words.title, words.sentence, words.remedy):
            assert any("\u0600" <= letter <= "\u06ff" for letter in text.ar)
            assert text.en.isascii()


def test_an_answer_is_of_one_kind_only() -> None:
    assert not LAPSED & UNDECIDED
    assert Answer.VALID not in LAPSED | UNDECIDED
    not_accepted = {Answer.WRONG_SIGNATURE, Answer.REVOKED_KEY, Answer.DAMAGED, *BY_REGISTER}
    assert not_accepted.isdisjoint(LAPSED | UNDECIDED)


@pytest.mark.parametrize(
    ("age", "en", "ar"),
    [
        (timedelta(minutes=59), "less than an hour old", "أقل من ساعة"),
        (timedelta(hours=1), "1 hour old", "ساعة واحدة"),
        (timedelta(hours=2), "2 hours old", "ساعتان"),
        (timedelta(hours=10), "10 hours old", "10 ساعات"),
        (timedelta(hours=11), "11 hours old", "11 ساعة"),
        (timedelta(days=2), "2 days old", "يومان"),
        (timedelta(days=3), "3 days old", "3 أيام"),
        (timedelta(days=11), "11 days old", "11 يومًا"),
        (timedelta(days=100), "100 days old", "100 يوم"),
        (timedelta(days=103), "103 days old", "103 أيام"),
        (timedelta(days=111), "111 days old", "111 يومًا"),
    ],
)
def test_the_age_of_the_list_is_a_sentence_in_both_languages(age: timedelta, en: str, ar: str) -> None:
    told = age_words(age)
    assert told.en.endswith(f"is {en}.")
    assert told.ar.endswith(f" {ar}.")


def test_without_a_list_that_is_said_and_no_age_is_made_up() -> None:
    verdict = verify(TEXT, TRUSTED, StatusLists(), NOW)
    assert verdict.answer is Answer.LIST_MISSING
    assert verdict.list_age is None
    told = verdict.to_json()
    assert told["list"] is None
    assert told["list_age"]["en"].startswith("No list")


@pytest.mark.parametrize(
    ("value", "answer"),
    [
        (StatusValue.VALID, Answer.VALID),
        (StatusValue.REVOKED, Answer.REVOKED),
        (StatusValue.SUSPENDED, Answer.SUSPENDED),
        (StatusValue.REPLACED, Answer.REPLACED),
    ],
)
def test_the_list_decides_how_a_genuine_licence_stands(value: StatusValue, answer: Answer) -> None:
    verdict = verify(TEXT, TRUSTED, listed(value), NOW)
    assert verdict.answer is answer
    assert verdict.valid is (answer is Answer.VALID)
    assert verdict.claims == CLAIMS
    assert verdict.to_json()["list"]["age_seconds"] == 3600


def test_a_list_that_its_own_municipality_did_not_sign_says_nothing() -> None:
    (own,) = listed(StatusValue.VALID)
    foreign = replace(own, municipality="other")
    assert verify(TEXT, TRUSTED, StatusLists([foreign]), NOW).answer is Answer.LIST_MISSING


def test_what_the_register_never_issued_is_not_accepted_though_its_signature_is_right() -> None:
    verdict = verify_by(TEXT, TRUSTED, lambda _: None, NOW)
    assert (verdict.answer, verdict.claims, verdict.key) == (Answer.NOT_REGISTERED, None, KEY.public)
    # What is not even signed is told first.
    assert verify_by(TEXT[:-1], TRUSTED, lambda _: None, NOW).answer is Answer.DAMAGED


def test_what_is_refused_names_no_licence() -> None:
    verdict = verify(TEXT[:-3], TRUSTED, listed(), NOW)
    assert verdict.claims is None
    assert verdict.to_json()["licence"] is None


def test_a_credential_without_a_place_in_a_list_still_opens_and_is_not_called_valid() -> None:
    verdict = verify(seal(replace(CLAIMS, status=None), KEY), TRUSTED, listed(), NOW)
    assert verdict.answer is Answer.LIST_MISSING
    assert verdict.claims == replace(CLAIMS, status=None)


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_no_flipped_bit_of_the_message_is_ever_valid(data: st.DataObject) -> None:
    message = bytearray(unpacked(TEXT))
    bit = data.draw(st.integers(0, len(message) * 8 - 1))
    message[bit // 8] ^= 1 << bit % 8
    verdict = verify(packed(bytes(message)), TRUSTED, listed(), NOW)
    assert verdict.answer in {Answer.DAMAGED, Answer.WRONG_SIGNATURE, Answer.UNKNOWN_KEY}


@settings(max_examples=200, deadline=None)
@given(st.integers(0, len(TEXT) - 1), st.integers(0x20, 0x7E))
def test_no_changed_or_missing_character_makes_another_message_valid(place: int, code: int) -> None:
    changed = TEXT[:place] + chr(code) + TEXT[place + 1 :]
    # Some bits that fill up the last byte of packed data say nothing: then nothing was changed.
    if verify(changed, TRUSTED, listed(), NOW).valid:
        assert unpacked(changed) == unpacked(TEXT)
    assert not verify(TEXT[:place], TRUSTED, listed(), NOW).valid


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.text(max_size=200), st.binary(max_size=300).map(packed)))
def test_any_text_gets_a_named_answer(text: str) -> None:
    assert verify(text, TRUSTED, listed(), NOW).answer in set(Answer) - {Answer.VALID}


def signed(payload: bytes) -> str:
    """A code of the municipality's own key, with anything in it."""
    return packed(sign1(payload, KEY))


PAYLOAD: bytes = cbor2.loads(unpacked(TEXT)).value[2]
CONTENT: dict[int, Any] = cbor2.loads(PAYLOAD)
LICENCE: dict[int, Any] = CONTENT[-70001]


def test_what_the_oddities_below_are_made_of_is_valid_itself() -> None:
    assert cbor2.dumps(CONTENT) == PAYLOAD
    assert verify(signed(PAYLOAD), TRUSTED, listed(), NOW).valid


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(bytes([PAYLOAD[0] + 1]) + PAYLOAD[1:] + b"\x04\x1a\xff\xff\xff\xff", id="a claim twice"),
        pytest.param(b"\xbf" + PAYLOAD[1:] + b"\xff", id="a map without a length"),
        pytest.param(PAYLOAD.replace(b"\x66sample", b"\x7f\x63sam\x63ple\xff"), id="a text in parts"),
        pytest.param(
            PAYLOAD.replace(b"\x66sample", b"\x78\x06sample"), id="a length longer than it has to be"
        ),
        pytest.param(PAYLOAD + b"\0", id="a byte after it"),
        pytest.param(cbor2.dumps(cbor2.CBORTag(55799, CONTENT)), id="tagged as CBOR"),
        pytest.param(cbor2.dumps({**CONTENT, 4: float(CONTENT[4])}), id="a day as a fraction"),
        pytest.param(cbor2.dumps({**CONTENT, 6: float("nan")}), id="a time that is no number"),
        pytest.param(cbor2.dumps({**CONTENT, 5: cbor2.CBORTag(1, CONTENT[5])}), id="a day as a date"),
        pytest.param(
            cbor2.dumps({**CONTENT, 4: cbor2.CBORTag(2, b"\x70\0\0\0")}), id="a day as a long number"
        ),
        pytest.param(cbor2.dumps({**CONTENT, 4: 2**63}), id="a day after all days"),
        pytest.param(cbor2.dumps({**CONTENT, 5: -(2**63)}), id="a day before all days"),
        pytest.param(cbor2.dumps({**CONTENT, 4: 2**600}), id="a number without a size"),
        pytest.param(cbor2.dumps({**CONTENT, 6: True}), id="a truth for a time"),
        pytest.param(cbor2.dumps({**CONTENT, 65535: None}), id="nothing for a place"),
        pytest.param(
            cbor2.dumps({**CONTENT, 65535: {"status_list": {"idx": True, "uri": URI}}}), id="a truth"
        ),
        pytest.param(cbor2.dumps({**CONTENT, 65535: {"status_list": {"idx": -1, "uri": URI}}}), id="below 0"),
        pytest.param(cbor2.dumps({**CONTENT, 65535: {"status_list": {"idx": 7, "uri": ""}}}), id="no name"),
        pytest.param(cbor2.dumps({**CONTENT, -70001: {**LICENCE, 2: "ab"}}), id="a text for two titles"),
        pytest.param(
            cbor2.dumps({**CONTENT, -70001: {**LICENCE, 3: {"name": 1}}}), id="a field that is no text"
        ),
        pytest.param(
            cbor2.dumps({**CONTENT, -70001: {**LICENCE, 3: {1: "name"}}}), id="a field without a name"
        ),
        pytest.param(b"\xd8\x1c\xa1\x01\xd8\x1d\x00", id="a map that holds itself"),
        pytest.param(b"\x81" * 2_000 + b"\x00", id="a thousand boxes in each other"),
    ],
)
def test_what_has_another_form_is_damaged_whoever_signed_it(payload: bytes) -> None:
    verdict = verify(signed(payload), TRUSTED, listed(), NOW)
    assert (verdict.answer, verdict.claims) == (Answer.DAMAGED, None)


def test_a_place_beyond_all_lists_is_not_known_and_not_valid() -> None:
    for index in (64, 1 << 20, 1 << 62):
        text = signed(cbor2.dumps({**CONTENT, 65535: {"status_list": {"idx": index, "uri": URI}}}))
        assert verify(text, TRUSTED, listed(), NOW).answer is Answer.LIST_MISSING


def test_a_genuine_code_that_was_packed_otherwise_says_the_same() -> None:
    again = PREFIX + base45.b45encode(zlib.compress(unpacked(TEXT), 0)).decode()
    assert again != TEXT
    verdict = verify(again, TRUSTED, listed(StatusValue.SUSPENDED), NOW)
    assert (verdict.answer, verdict.claims) == (Answer.SUSPENDED, CLAIMS)


@pytest.mark.parametrize("size", [4_097, 1_000_000, 2_700_000])
def test_what_a_zip_bomb_would_unpack_to_is_not_made(size: int) -> None:
    bomb = packed(bytes(size))
    assert len(bomb) <= 4_296, "it would fit into a QR code"
    tracemalloc.start()
    try:
        verdict = verify(bomb, TRUSTED, listed(), NOW)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert verdict.answer is Answer.OVERSIZED
    assert most < 200_000


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=140))
def test_no_other_signature_is_ever_believed(signature: bytes) -> None:
    protected, _, payload, own = cbor2.loads(unpacked(TEXT)).value
    message = cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature]))
    if signature != own:
        assert verify(packed(message), TRUSTED, listed(), NOW).answer is Answer.WRONG_SIGNATURE


value = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(),
        st.text(max_size=6),
        st.binary(max_size=6),
        st.dates(),
        st.datetimes(timezones=st.just(UTC)),
        st.builds(cbor2.CBORTag, st.integers(0, 300), st.binary(max_size=8)),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(st.integers(-5, 5), st.text(max_size=3)), inner, max_size=3),
    ),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([1, 2, 4, 5, 6, 65535, -70001]), value)
def test_any_claim_of_another_kind_gets_a_named_answer(number: int, changed: Any) -> None:
    verdict = verify(signed(cbor2.dumps({**CONTENT, number: changed})), TRUSTED, listed(), NOW)
    # A name or a time may be another, as long as it is one.
    if verdict.answer is not Answer.DAMAGED:
        assert type(changed) is (str if number in (1, 2) else int)
