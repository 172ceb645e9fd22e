"""The page's verifier and the platform's say the same of everything: vectors, changed bytes, bombs."""

import base64
import json
import random
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import base45  # type: ignore[import-untyped] # it ships no types
import cbor2
import pytest
from playwright.sync_api import Browser, Page

from foundation.wire.cose import sign1
from foundation.wire.credential import PREFIX, KeySet
from foundation.wire.status_list import StatusLists
from foundation.wire.verdict_words import WORDS
from foundation.wire.verification import verify
from lab.credential_vectors import packed, unpacked
from tests.console.web.phone import imported, opened, phone
from tests.console.web.town import Town
from tests.processes import ROOT

VECTORS = json.loads((ROOT / "tests/foundation/credential_vectors.json").read_text(encoding="utf-8"))
_VERIFY = """async (m, given) => {
  const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const keys = await m.keySet(JSON.stringify(given.keys));
  const lists = {};
  for (const [name, token] of Object.entries(given.lists)) lists[name] = await m.openList(bytes(token), keys);
  const told = [];
  for (const { text, lists: names, now } of given.codes) {
    const held = new m.StatusLists(names.map((name) => lists[name]));
    const { answer, listAge, claims } = await m.verify(text, keys, held, Date.parse(now));
    told.push({ answer, age: listAge, number: claims?.number ?? null });
  }
  return told;
}"""
_LISTS = """async (m, given) => {
  const keys = await m.keySet(JSON.stringify(given.keys));
  const told = [];
  for (const { token } of given.status_lists) {
    const bytes = Uint8Array.from(atob(token), (letter) => letter.charCodeAt(0));
    told.push(await m.openList(bytes, keys).then(() => null, (error) => error.reason));
  }
  return told;
}"""


@pytest.fixture(scope="module")
def town(standing_town: Town) -> Town:
    """One for all tests here: they only read it."""
    return standing_town


@pytest.fixture(scope="module")
def page(browser: Browser, town: Town) -> Page:
    return opened(phone(browser), town.url)


def test_every_vector_gets_its_answer(page: Page) -> None:
    told = imported(page, _VERIFY, VECTORS)
    for case, verdict in zip(VECTORS["codes"], told, strict=True):
        assert verdict["answer"] == case["answer"], case["name"]
        if "age_seconds" in case:
            assert verdict["age"] == case["age_seconds"], case["name"]


def test_every_list_is_accepted_or_refused_alike(page: Page) -> None:
    told = imported(page, _LISTS, VECTORS)
    for case, refusal in zip(VECTORS["status_lists"], told, strict=True):
        # To the page what is no list is a damaged one: it says neither.
        wanted = "DamagedList" if case["refusal"] == "NotAStatusList" else case["refusal"]
        assert refusal == wanted, case["name"]


def test_answers_and_ages_are_told_in_the_same_words(page: Page) -> None:
    told = imported(page, "async (m) => m.ANSWERS")
    assert list(told) == [answer.value for answer in WORDS]
    for answer, words in WORDS.items():
        for language in ("ar", "en"):
            for part in ("title", "sentence", "remedy"):
                said = getattr(words, part).in_language(language)
                assert told[answer.value][language][part] == said
    for case in VECTORS["ages"]:
        for language in ("ar", "en"):
            said = imported(page, "async (m, [s, l]) => m.ageWords(s, l)", [case["seconds"], language])
            assert said == case[language]


def test_changed_codes_get_the_same_answer_from_both(page: Page, town: Town) -> None:
    text, chance = town.licence(), random.Random(4)
    texts = [*_changed_texts(text, chance), *_changed_messages(unpacked(text), chance)]
    answers = _both(page, town, texts)
    assert {"damaged", "wrong_signature", "not_ours", "unknown_key"} <= set(answers)
    assert "valid" not in answers


def _changed_texts(text: str, chance: random.Random) -> Iterator[str]:
    for _ in range(150):
        at = chance.randrange(len(text))
        yield text[:at] + chance.choice("A0 :%aé") + text[at + 1 :]
        yield text[:at] + text[at + 1 :]
        yield text[:at]


def _changed_messages(message: bytes, chance: random.Random) -> Iterator[str]:
    # Packed anew, so that it is not zlib's own check that finds it.
    for _ in range(250):
        at, bit = chance.randrange(len(message)), 1 << chance.randrange(8)
        yield packed(message[:at] + bytes([message[at] ^ bit]) + message[at + 1 :])
        yield packed(message[:at] + message[at + 1 :])


def test_what_is_signed_and_no_licence_is_damaged_to_both(page: Page, town: Town) -> None:
    right: dict[int, Any] = cbor2.loads(cbor2.loads(unpacked(town.licence())).value[2])
    licence = right[-70001]
    wrong: list[Any] = [
        {**right, 1: 7},
        {**right, 2: b"SC"},
        {**right, 4: "late"},
        {**right, 4: right[5]},
        {**right, 5: right[5] + 1},
        {**right, 6: 1 << 50},
        {**right, 4: 1 << 60},
        {**right, 65535: 7},
        {**right, 65535: {"status_list": {"idx": -1, "uri": "x"}}},
        {**right, 65535: {"status_list": {"idx": 1, "uri": ""}}},
        {**right, 65535: {"status_list": {"idx": "1", "uri": "x"}}},
        {**right, -70001: []},
        *(
            {**right, -70001: {**licence, 2: title}}
            for title in ("ab", 7, ["a"], ["a", "b", "c"], {"a": "b"})
        ),
        *({**right, -70001: {**licence, 3: given}} for given in ("ab", 7, [["a", "b"]], {"a": 1}, {1: "a"})),
        {key: value for key, value in right.items() if key != 6},
        [1, 2],
        "text",
        7,
        cbor2.CBORTag(61, right),
    ]
    texts = [packed(sign1(cbor2.dumps(each), town.key)) for each in wrong]
    assert _both(page, town, texts) == ["damaged"] * len(texts)


def test_hostile_cbor_is_damaged_to_both(page: Page, town: Town) -> None:
    hostile = {
        "deep": b"\x81" * 4000 + b"\x00",
        "deep tags": b"\xd2" * 4000 + b"\x00",
        "an endless list": b"\xd2\x9f" + b"\x00" * 4000,
        "a list of 2^53 - 1": b"\xd2\x9b\x00\x1f" + b"\xff" * 6 + b"\x00" * 4000,
        "a list of 2^64 - 1": b"\xd2\x9b" + b"\xff" * 8,
        "bytes of 2^53 - 1": b"\xd2\x84\x5b\x00\x1f" + b"\xff" * 6,
        "text of 4 GB": b"\xd2\x84\x7a" + b"\xff" * 4,
        "a map of 2^32 - 1": b"\xd2\x84\xba" + b"\xff" * 4 + b"\x00" * 4000,
        "a map with lists for keys": b"\xd2\xa1\x80\x00",
        "numbers only": b"\xd2\x99\x0f\xa0" + b"\x00" * 4000,
        "no number": b"\xd2\x84\xf9\x7e\x00\xa0\x40\x40",
        "nothing": b"",
    }
    assert _both(page, town, [packed(each) for each in hostile.values()]) == ["damaged"] * len(hostile)


def _both(page: Page, town: Town, texts: list[str]) -> list[str]:
    """What the page answers to codes; the platform answers the same."""
    now = datetime.now(UTC)
    keys = KeySet.from_json(town.keys().to_json())
    given: dict[str, Any] = {
        "keys": json.loads(keys.to_json()),
        "lists": {},
        "codes": [{"text": each, "lists": [], "now": now.isoformat()} for each in texts],
    }
    told = [verdict["answer"] for verdict in imported(page, _VERIFY, given)]
    for each, answer in zip(texts, told, strict=True):
        assert answer == verify(each, keys, StatusLists(), now).answer.value, each
    return told


def test_a_bomb_is_refused_before_it_has_gone_off(page: Page) -> None:
    bomb = zlib.compress(bytes(200_000_000), 9)
    # Past any code's length: the limit of characters is one, that of the unpacked bytes the other.
    assert len(bomb) > 100_000
    body = base45.b45encode(zlib.compress(bytes(2_000_000), 9)).decode()
    assert len(PREFIX + body) < 4296
    grown = imported(
        page,
        """async (m, given) => {
          const named = (error) => error.constructor.name;
          const outcome = (bytes, limit) => m.inflated(bytes, limit).then(() => "plain", named);
          const bytes = Uint8Array.from(atob(given.bomb), (letter) => letter.charCodeAt(0));
          const { answer } = await m.verify(given.text, new Map(), new m.StatusLists(), 0);
          return [await outcome(bytes, 4096), await outcome(bytes, 1 << 18), answer];
        }""",
        {"bomb": _base64(bomb), "text": PREFIX + body},
    )
    assert grown == ["TooMany", "TooMany", "oversized"]


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.mark.parametrize(
    "change",
    [
        {"kid": "AAAAAAAAAAA"},
        {"x": "AAAA"},
        {"y": "A" * 43},
        {"iss": ""},
        {"nbf": -1},
        {"exp": 1.5},
        {"revoked_at": "soon"},
        {"kty": "RSA"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_damaged_key_set_is_refused_by_both(page: Page, change: dict[str, Any]) -> None:
    keys = {"keys": [{**VECTORS["keys"]["keys"][0], **change}]}
    with pytest.raises(Exception, match="key"):
        KeySet.from_json(json.dumps(keys))
    told = imported(
        page,
        "async (m, keys) => m.keySet(keys).then(() => 'keys', (e) => e.constructor.name)",
        json.dumps(keys),
    )
    assert told == "BadKeys"
