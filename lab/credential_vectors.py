"""Licence codes with the answer that each must get: they hold the phone's page to what the program says.

`python -m lab.credential_vectors FILE` makes them anew, with new keys, whose private parts are forgotten. The
suite reads `tests/foundation/credential_vectors.json`; so does the page's own test.
"""

import base64
import json
import sys
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import base45  # type: ignore[import-untyped] # it ships no types
import cbor2

from foundation.definitions import Bilingual
from foundation.wire.cose import deterministic_map, sign1
from foundation.wire.credential import PREFIX, KeySet, LicenceClaims, SigningKey, seal
from foundation.wire.status_list import (
    MEDIA_TYPE,
    StatusList,
    StatusReference,
    StatusValue,
    empty,
    put,
    sign_list,
)
from foundation.wire.verdict_words import WORDS, age_words
from integrations.licences.sealing import code_of_test

_NOW = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
_URI = "https://licences.example.gov.sa/v1/status-lists/0"
_SECOND, _HOUR, _WEEK = timedelta(seconds=1), timedelta(hours=1), timedelta(days=7)
_CLAIMS = LicenceClaims(
    number="SC-2026-004512",
    service="shop_licence",
    title=Bilingual(ar="رخصة محل تجاري", en="Shop licence"),
    municipality="sample",
    valid_from=date(2026, 11, 22),
    valid_to=date(2027, 11, 21),
    issued_at=datetime(2026, 11, 22, 9, 30, tzinfo=UTC),
    public={"trade_name": "مخبز الأحمدي للحلويات"},
    status=StatusReference(4, _URI),
)
_AGES = (None, 0, 3599, 3600, 7200, 10_800, 39_600, 172_800, 259_200, 864_000, 950_400, 8_640_000, 8_899_200)


@dataclass(frozen=True)
class _Keys:
    """The municipality's key, one of another, one that was revoked, one not yet in use, one nobody knows."""

    own: SigningKey
    other: SigningKey
    revoked: SigningKey
    later: SigningKey
    unknown: SigningKey

    def public(self) -> KeySet:
        return KeySet(
            [
                self.own.public,
                self.other.public,
                replace(self.revoked.public, revoked_at=_NOW - 24 * _HOUR),
                replace(self.later.public, not_before=_NOW),
            ]
        )


def main() -> None:
    """Write the vectors to the file that is named."""
    text = json.dumps(made(), ensure_ascii=False, indent=1) + "\n"
    Path(sys.argv[1]).write_text(text, encoding="utf-8")


def made() -> dict[str, Any]:
    """The vectors: keys, lists by name, words by answer, sentences of ages, codes and lists with answers."""
    keys = _Keys(*(SigningKey.generate(of) for of in ("sample", "other", "sample", "sample", "sample")))
    lists = _lists(keys)
    return {
        "keys": json.loads(keys.public().to_json()),
        "lists": {name: _base64(token) for name, token in lists.items()},
        "words": {
            answer.value: {
                "title": words.title.model_dump(),
                "sentence": words.sentence.model_dump(),
                "remedy": words.remedy.model_dump(),
            }
            for answer, words in WORDS.items()
        },
        "ages": [
            {"seconds": age, **age_words(None if age is None else timedelta(seconds=age)).model_dump()}
            for age in _AGES
        ],
        "codes": _codes(keys),
        "status_lists": _list_cases(keys, lists["current"]),
    }


def _codes(keys: _Keys) -> list[dict[str, Any]]:
    own = keys.own
    text = seal(_CLAIMS, own)
    message = unpacked(text)
    cases = [
        _code("valid", text, "valid", age=_HOUR),
        _code("packed otherwise", PREFIX + base45.b45encode(zlib.compress(message, 0)).decode(), "valid",
              age=_HOUR),
        _code("a Latin trade name", _sealed(own, public={"trade_name": "ACME 24/7"}), "valid", age=_HOUR),
        _code("valid when just made", text, "valid", lists=["first"],
              now=_CLAIMS.issued_at - timedelta(minutes=9)),
        _code("valid in the last minute of its last day", text, "valid", now=_last_minute(), lists=["late"]),
        _code("expired a minute later", text, "expired", now=_last_minute() + _HOUR / 60, lists=["late"]),
        _code("expired, and no list is needed", text, "expired", now=_last_minute() + _HOUR, lists=[]),
        _code("not yet valid", _sealed(own, valid_from=date(2026, 12, 2)), "not_yet_valid", age=_HOUR),
        *(
            _code(f"listed as {word}", _sealed(own, status=StatusReference(index, _URI)), word, age=_HOUR)
            for index, word in ((5, "revoked"), (6, "suspended"), (7, "replaced"), (1_048_575, "revoked"))
        ),
        _code("revoked goes before expired", _sealed(own, status=StatusReference(5, _URI)), "revoked",
              now=_last_minute() + _HOUR, lists=["late"]),
        _code("beyond the list", _sealed(own, status=StatusReference(1_048_576, _URI)), "list_missing"),
        _code("no list", text, "list_missing", lists=[]),
        _code("a list of another name", text, "list_missing", lists=["another"]),
        _code("a list of that name by another municipality", text, "list_missing", lists=["foreign"]),
        _code("a credential from before there were lists", _sealed(own, status=None), "list_missing"),
        _code("the list's last second", text, "valid", now=_NOW - _HOUR + _WEEK, age=_WEEK),
        _code("the list a second too old", text, "list_too_old", now=_NOW - _HOUR + _WEEK + _SECOND,
              age=_WEEK + _SECOND),
        _code("the newer of two lists counts", _sealed(own, status=StatusReference(6, _URI)), "suspended",
              lists=["first", "current"], age=_HOUR),
        _code("a clock behind the licence", text, "clock_wrong",
              now=_CLAIMS.issued_at - timedelta(minutes=11), lists=[]),
        _code("a clock behind the list", text, "clock_wrong", now=_NOW - _HOUR - timedelta(minutes=11)),
        _code("a clock a little behind the list", text, "valid", now=_NOW - _HOUR - timedelta(minutes=10),
              age=timedelta()),
        _code("an unknown key", seal(_CLAIMS, keys.unknown), "unknown_key"),
        _code("a revoked key", seal(_CLAIMS, keys.revoked), "revoked_key"),
        _code("a key that was not in use", seal(_CLAIMS, keys.later), "key_out_of_period"),
        _code("the key of another municipality", _foreign(keys), "other_municipality"),
    ]  # fmt: skip
    return cases + _broken(keys, text, message)


def _broken(keys: _Keys, text: str, message: bytes) -> list[dict[str, Any]]:
    tag = cbor2.loads(message)
    protected, _, payload, signature = tag.value
    flipped = bytes([signature[0] ^ 1]) + signature[1:]
    changed = payload.replace(b"004512", b"004513")
    forged = sign1(payload, keys.unknown).replace(keys.unknown.public.kid, keys.own.public.kid)
    revoked = cbor2.loads(sign1(payload, keys.revoked)).value

    def wrapped(*parts: Any) -> str:
        return packed(cbor2.dumps(cbor2.CBORTag(18, list(parts))))

    damaged = {
        "a character is missing": text[:-1],
        "its second half is missing": text[: len(text) // 2],
        "a character too many": text + "0",
        "a line end too many": text + "\n",
        "a letter that base45 has not": text[:20] + "a" + text[21:],
        "nothing after its mark": PREFIX,
        "no zlib": PREFIX + base45.b45encode(message).decode(),
        "the code of a test": code_of_test("TESTL-2026-000001"),
        "bytes after the packed ones": PREFIX + base45.b45encode(zlib.compress(message) + b"x").decode(),
        "bytes after the message": packed(message + b"\0"),
        "no CBOR": packed(b"\xff" * 40),
        "without its tag": packed(message[1:]),
        "three parts": wrapped(protected, {}, payload),
        "a header outside the signature": wrapped(protected, {4: b"x"}, payload, signature),
        "a header twice": wrapped(b"\xa3" + protected[1:] + protected[1:3], {}, payload, signature),
        "a number not in its shortest form": packed(b"\xd8\x12" + message[1:]),
        "another algorithm": wrapped(protected.replace(b"\x01\x26", b"\x01\x27"), {}, payload, signature),
        "a further header": packed(sign1(payload, keys.own, {16: "x"})),
        "a status list in the place of a licence": packed(_token(keys.own, _list(keys.own, _NOW - _HOUR))),
        "signed, and no licence": packed(sign1(cbor2.dumps({1: "sample"}), keys.own)),
        "signed, and no CBOR": packed(sign1(b"\xff", keys.own)),
        **{f"signed, and {name}": packed(sign1(odd, keys.own)) for name, odd in _odd(payload).items()},
    }  # fmt: skip
    wrong = {
        "a bit of the signature": wrapped(protected, {}, payload, flipped),
        "a digit of the number": wrapped(protected, {}, changed, signature),
        "no signature": wrapped(protected, {}, payload, b""),
        "a signature of zeros": wrapped(protected, {}, payload, bytes(64)),
        "signed by one key in the name of another": packed(forged),
        "a wrong signature in the name of a revoked key": wrapped(*revoked[:3], signature),
    }
    return [
        *(_code(name, broken, "damaged") for name, broken in damaged.items()),
        *(_code(name, broken, "wrong_signature") for name, broken in wrong.items()),
        _code("another code", "https://example.com/", "not_ours"),
        _code("nothing", "", "not_ours"),
        _code("the mark in small letters", "rkz1:" + text.removeprefix(PREFIX), "not_ours"),
        _code("a zip bomb", packed(bytes(100_000)), "oversized"),
        _code("longer than any code", PREFIX + "0" * 5_000, "oversized"),
    ]


def _odd(payload: bytes) -> dict[str, bytes]:
    """The claims in other forms than the one they have: what a careless reader takes for the same."""
    claims: dict[int, Any] = cbor2.loads(payload)

    def changed(number: int, value: Any) -> bytes:
        return cbor2.dumps({**claims, number: value})

    return {
        "a claim twice": bytes([payload[0] + 1]) + payload[1:] + cbor2.dumps(4) + cbor2.dumps(claims[4]),
        "without a length": bytes([0xBF]) + payload[1:] + b"\xff",
        "a length not in its shortest form": payload.replace(b"\x66sample", b"\x78\x06sample"),
        "a byte after it": payload + b"\0",
        "a day as a fraction": changed(4, float(claims[4])),
        "a day as a tagged date": changed(5, cbor2.CBORTag(1, claims[5])),
        "a day as a long number": changed(4, cbor2.CBORTag(2, claims[4].to_bytes(4, "big"))),
        "a day after all days": changed(4, 2**63),
        "a truth for a time": changed(6, True),
        "nothing for its place in a list": changed(65535, None),
    }


def _code(
    name: str,
    text: str,
    answer: str,
    *,
    now: datetime = _NOW,
    lists: list[str] | None = None,
    age: timedelta | None = None,
) -> dict[str, Any]:
    told = {"name": name, "text": text, "now": now.isoformat(), "answer": answer}
    told["lists"] = ["current"] if lists is None else lists  # type: ignore[assignment]
    return told if age is None else {**told, "age_seconds": int(age.total_seconds())}


def _lists(keys: _Keys) -> dict[str, bytes]:
    own = keys.own
    return {
        "current": _token(own, _list(own, _NOW - _HOUR)),
        "first": _token(own, replace(_list(own, datetime(2026, 11, 22, 9, 0, tzinfo=UTC)), version=1)),
        "late": _token(own, _list(own, _last_minute() - 24 * _HOUR)),
        "another": _token(own, replace(_list(own, _NOW - _HOUR), uri=_URI.replace("/0", "/1"))),
        "foreign": _token(keys.other, _list(keys.other, _NOW - _HOUR)),
    }


def _list_cases(keys: _Keys, current: bytes) -> list[dict[str, Any]]:
    own = keys.own
    content = _list(own, _NOW - _HOUR)
    protected, _, payload, signature = cbor2.loads(current).value
    claims: dict[int, Any] = cbor2.loads(payload)
    bomb = zlib.compress(bytes(5_000_000))

    def signed(change: Mapping[int, Any]) -> bytes:
        return sign1(deterministic_map({**claims, **change}), own, {16: MEDIA_TYPE})

    def listed(lst: bytes, bits: int = 2) -> bytes:
        return signed({65533: {"lst": lst, "bits": bits}})

    cases = {
        "a right list": (current, None),
        "a bit of its signature": (
            cbor2.dumps(
                cbor2.CBORTag(18, [protected, {}, payload, signature[:-1] + bytes([signature[-1] ^ 1])])
            ),
            "WrongListSignature",
        ),
        "half of it": (current[: len(current) // 2], "NotAStatusList"),
        "a byte after it": (current + b"\0", "DamagedList"),
        "another type": (sign1(payload, own, {16: "application/cwt"}), "NotAStatusList"),
        "no type": (sign1(payload, own), "NotAStatusList"),
        "a licence": (unpacked(seal(_CLAIMS, own)), "NotAStatusList"),
        "an unknown key": (sign_list(content, keys.unknown), "UnknownListKey"),
        "a revoked key": (sign_list(content, keys.revoked), "WithdrawnListKey"),
        "a key that was not in use": (sign_list(content, keys.later), "WithdrawnListKey"),
        "a bomb": (listed(bomb), "OversizedList"),
        "too few entries": (listed(zlib.compress(bytes(1_000))), "DamagedList"),
        "bytes after the packed ones": (listed(claims[65533]["lst"] + b"x"), "DamagedList"),
        "no zlib": (listed(b"x" * 100), "DamagedList"),
        "one bit an entry": (listed(claims[65533]["lst"], bits=1), "DamagedList"),
        "more entries than a list has": (signed({-70002: {1: 3, 2: 1 << 22}}), "OversizedList"),
        "a time to live below zero": (signed({65534: -1}), "DamagedList"),
        "its end before its making": (signed({4: claims[6] - 1}), "DamagedList"),
        "a version below one": (signed({-70002: {1: 0, 2: 1 << 20}}), "DamagedList"),
        "a claim twice": (
            sign1(
                bytes([payload[0] + 1]) + payload[1:] + cbor2.dumps(65534) + cbor2.dumps(1),
                own,
                {16: MEDIA_TYPE},
            ),
            "DamagedList",
        ),
        "a further claim": (signed({-70003: 1}), "DamagedList"),
    }
    return [
        {"name": name, "token": _base64(token), "refusal": refusal}
        for name, (token, refusal) in cases.items()
    ]


def _list(key: SigningKey, at: datetime) -> StatusList:
    packed_values = empty()
    put(packed_values, [(5, StatusValue.REVOKED), (6, StatusValue.SUSPENDED), (7, StatusValue.REPLACED)])
    put(packed_values, [(1_048_575, StatusValue.REVOKED)])
    return StatusList(
        uri=_URI,
        municipality=key.municipality,
        version=3,
        issued_at=at,
        expires_at=at + timedelta(days=7),
        ttl=timedelta(hours=12),
        packed=bytes(packed_values),
    )


def _token(key: SigningKey, content: StatusList) -> bytes:
    return sign_list(content, key)


def _sealed(key: SigningKey, **change: Any) -> str:
    return seal(replace(_CLAIMS, **change), key)


def _foreign(keys: _Keys) -> str:
    payload = cbor2.loads(unpacked(seal(_CLAIMS, keys.own))).value[2]
    return packed(sign1(payload, keys.other))


def _last_minute() -> datetime:
    # Midnight in Riyadh is 21:00 in UTC.
    return datetime(2027, 11, 21, 20, 59, 30, tzinfo=UTC)


def unpacked(text: str) -> bytes:
    """The signed message in a code."""
    return zlib.decompress(base45.b45decode(text.removeprefix(PREFIX)))


def packed(message: bytes) -> str:
    """A code with any message in it."""
    return PREFIX + str(base45.b45encode(zlib.compress(message, 9)).decode("ascii"))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


if __name__ == "__main__":
    main()
