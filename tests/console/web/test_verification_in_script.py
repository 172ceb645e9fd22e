"""The page's verifier and the platform's say the same of everything: vectors, changed bytes, bombs."""

import base64
import json
import random
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import base45  # type: ignore[import-untyped] # it ships no types
import pytest
from playwright.sync_api import Browser, Page

from foundation.wire.credential import PREFIX, KeySet
from foundation.wire.status_list import StatusLists
from foundation.wire.verdict_words import WORDS
from foundation.wire.verification import verify
from lab.credential_vectors import packed, unpacked
from tests.console.web.phone import imported, opened, phone
from tests.console.web.town import Town, running_town
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
def town() -> Iterator[Town]:
    with running_town() as running:
        yield running


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
    now = datetime.now(UTC)
    keys = KeySet.from_json(town.keys().to_json())
    given: dict[str, Any] = {
        "keys": json.loads(keys.to_json()),
        "lists": {},
        "codes": [{"text": each, "lists": [], "now": now.isoformat()} for each in texts],
    }
    told = imported(page, _VERIFY, given)
    answers = set()
    for each, verdict in zip(texts, told, strict=True):
        expected = verify(each, keys, StatusLists(), now)
        assert verdict["answer"] == expected.answer.value, each
        answers.add(verdict["answer"])
    assert {"damaged", "wrong_signature", "not_ours", "unknown_key"} <= answers


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
