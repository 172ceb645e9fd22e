"""Personal data at rest: it opens where it was sealed and nowhere else, and nothing shows through."""

import hashlib
import json
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation import personal
from foundation.chain import JSON
from foundation.errors import Damaged, InvalidInput
from foundation.personal import Vault
from foundation.secret import SecretFile

_CASE = "case/SC-2026-000001"
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_VALUES = st.dictionaries(st.text(max_size=10), _JSON, max_size=4)
_CANONICAL = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=8,
)


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> SecretFile:
    return _secrets(tmp_path_factory.mktemp("secrets"))


@pytest.fixture(scope="module")
def vault(secrets: SecretFile) -> Vault:
    return Vault(secrets)


def _secrets(folder: Path) -> SecretFile:
    return SecretFile(folder / "secrets.json", folder / "secrets.key")


@given(values=_VALUES, context=st.text())
def test_values_come_back_as_they_were_sealed(vault: Vault, values: dict[str, object], context: str) -> None:
    assert vault.open(vault.seal(values, context), context) == values


@given(content=st.binary(max_size=300))
def test_a_document_comes_back_as_it_was_sealed(vault: Vault, content: bytes) -> None:
    blob = vault.seal_bytes(content, _CASE)
    assert vault.open_bytes(blob, _CASE) == content
    assert len(blob) == len(content) + 1 + 2 + 12 + 48 + 12 + 16


@given(
    bit=st.integers(min_value=0),
    values=st.dictionaries(st.text(max_size=5), st.text(max_size=20), max_size=2),
)
@settings(max_examples=300)
def test_any_flipped_bit_is_found(vault: Vault, bit: int, values: dict[str, str]) -> None:
    blob = bytearray(vault.seal(values, _CASE))
    blob[bit // 8 % len(blob)] ^= 1 << bit % 8
    with pytest.raises(Damaged):
        vault.open(bytes(blob), _CASE)


def test_every_bit_of_one_record_counts_also_when_two_keys_are_there(tmp_path: Path) -> None:
    secrets = _secrets(tmp_path)
    personal.rotate(secrets)
    personal.rotate(secrets)
    vault = Vault(secrets)
    blob = vault.seal({"id": "1058529940"}, _CASE)
    for bit in range(len(blob) * 8):
        changed = bytearray(blob)
        changed[bit // 8] ^= 1 << bit % 8
        with pytest.raises(Damaged, match="does not open"):
            vault.open(bytes(changed), _CASE)


@given(length=st.integers(0, 200))
def test_a_record_cut_short_or_prolonged_is_found(vault: Vault, length: int) -> None:
    blob = vault.seal({"name": "أمل", "note": "x" * 100}, _CASE)
    with pytest.raises(Damaged):
        vault.open(blob[: min(length, len(blob) - 1)], _CASE)
    with pytest.raises(Damaged):
        vault.open(blob + bytes(length + 1), _CASE)


@given(other=st.text())
def test_a_record_opens_in_no_other_place(vault: Vault, other: str) -> None:
    blob = vault.seal({"name": "أمل"}, _CASE)
    if other != _CASE:
        with pytest.raises(Damaged) as caught:
            vault.open(blob, other)
        assert caught.value.place == other
        assert caught.value.message_ar
        with pytest.raises(Damaged):
            vault.rewrap(blob, other)


def test_values_are_no_document_and_a_document_no_values(vault: Vault) -> None:
    with pytest.raises(Damaged):
        vault.open_bytes(vault.seal({}, _CASE), _CASE)
    with pytest.raises(Damaged):
        vault.open(vault.seal_bytes(b"{}", _CASE), _CASE)


def test_a_record_under_another_platforms_key_does_not_open(vault: Vault, tmp_path: Path) -> None:
    other = Vault(_secrets(tmp_path))
    with pytest.raises(Damaged):
        other.open(vault.seal({"name": "أمل"}, _CASE), _CASE)


def test_nothing_shows_through_and_no_two_are_alike(vault: Vault) -> None:
    first, second = (vault.seal({"id": "1058529940"}, _CASE) for _ in range(2))
    assert b"1058529940" not in first
    # After the header: nonce and wrapped key, nonce and data. None of them repeats.
    for start, end in ((3, 15), (15, 63), (63, 75), (75, len(first))):
        assert first[start:end] != second[start:end]


@pytest.mark.parametrize("values", [{"x": float("nan")}, {"x": b"1"}, {"x": "\ud800"}])
def test_what_is_no_json_is_refused(vault: Vault, values: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="cannot be written as JSON"):
        vault.seal(values, _CASE)


def test_after_a_rotation_old_records_open_and_new_ones_use_the_new_key(tmp_path: Path) -> None:
    secrets = _secrets(tmp_path)
    running = Vault(secrets)
    old = running.seal({"n": 1}, _CASE)
    document = running.seal_bytes(b"%PDF", _CASE)
    assert personal.rotate(secrets) == 2
    new = Vault(secrets).seal({"n": 2}, _CASE)
    assert (old[:3], new[:3]) == (b"\x01\x00\x01", b"\x01\x00\x02")
    # The process that ran meanwhile learns of the key by the record, and uses it from then on.
    assert running.open(new, _CASE) == {"n": 2}
    assert running.open(old, _CASE) == {"n": 1}
    assert running.seal({}, _CASE)[:3] == new[:3]
    again = running.rewrap(old, _CASE)
    assert (again[:3], again[63:]) == (new[:3], old[63:])
    assert running.open(again, _CASE) == {"n": 1}
    assert running.open_bytes(running.rewrap(document, _CASE), _CASE) == b"%PDF"
    # Then the old key may go.
    secrets.remove("personal-data-key-1")
    alone = Vault(secrets)
    assert alone.open(again, _CASE) == {"n": 1}
    with pytest.raises(Damaged):
        alone.open(old, _CASE)
    assert personal.rotate(secrets) == 3


def test_the_index_is_the_same_for_one_person_and_for_nobody_else(
    vault: Vault, secrets: SecretFile, tmp_path: Path
) -> None:
    found = vault.subject("national-id", "1058529940")
    assert len(found) == 32
    assert Vault(secrets).subject("national-id", " ١٠٥٨٥٢٩٩٤٠ ") == found
    assert vault.subject("national-id", "1058529941") != found
    assert vault.subject("iqama", "1058529940") != found
    assert Vault(_secrets(tmp_path)).subject("national-id", "1058529940") != found
    # Where the kind ends is no matter of luck.
    assert vault.subject("a", "b c") != vault.subject("a b", "c")


def test_a_keyed_digest_lasts_and_is_one_platforms_own(
    vault: Vault, secrets: SecretFile, tmp_path: Path
) -> None:
    digest = hashlib.sha256(b"1058529940").digest()
    kept = vault.keyed(digest)
    assert len(kept) == 32
    # Every process of the platform knows it again, also after it was started anew.
    assert Vault(secrets).keyed(digest) == kept
    assert kept not in (digest, vault.keyed(bytes(32)), Vault(_secrets(tmp_path)).keyed(digest))


@given(value=_CANONICAL, other=_CANONICAL)
def test_a_salted_hash_is_of_its_value_alone(value: JSON, other: JSON) -> None:
    salt, digest = personal.salted(value)
    assert personal.matches(value, salt, digest)
    assert personal.matches(other, salt, digest) == (json.dumps(other) == json.dumps(value))
    assert not personal.matches(value, bytes(16), digest)
    assert len(salt) == 16
    assert personal.salted(value)[1] != digest


def test_a_salted_hash_can_be_checked_by_anybody_with_the_salt() -> None:
    salt, digest = personal.salted({"name": "أمل", "id": "1058529940"})
    assert digest == hashlib.sha256(salt + '{"id":"1058529940","name":"أمل"}'.encode()).hexdigest()
    with pytest.raises(InvalidInput, match="float"):
        personal.salted({"fee": 1.5})  # type: ignore[dict-item]  # the mistake is the point


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("1058529940", "10******40"),
        ("+966501234567", "+9*********67"),
        ("١٠٥٨٥٢٩٩٤٠", "١٠******٤٠"),
        ("1234", "****"),
        ("Amal Saleh", "A*** S****"),
        ("أمل صالح", "أ** ص***"),
        ("amal@example.sa", "a**************"),
        ("", ""),
    ],
)
def test_a_masked_text_shows_its_ends_or_its_first_letters(text: str, shown: str) -> None:
    assert personal.masked(text) == shown


@given(st.from_regex(re.compile(r"[12]\d{9}", re.ASCII), fullmatch=True))
def test_a_masked_number_never_shows_its_middle(number: str) -> None:
    shown = personal.masked(f"holder {number}").split()[1]
    assert shown == f"{number[:2]}******{number[-2:]}"
