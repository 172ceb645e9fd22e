"""The file of keys that a machine verifies by: brought up to date, whole, and never less strict."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from foundation.errors import Malformed, SettingsError
from foundation.wire.credential_keys import KeySet, PublicKey, SigningKey, read_keys
from foundation.wire.key_file import keep_keys, write_keys

MOMENT = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)


def public(municipality: str = "sample") -> PublicKey:
    return SigningKey.generate(municipality).public


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "platform" / "keys.json"


def test_the_file_says_what_is_known_and_of_others_what_it_said(file: Path) -> None:
    ours, others = public(), public("other")
    assert keep_keys(file, lambda: [ours])
    assert set(read_keys(file)) == {ours}
    write_keys(file, KeySet([ours, others]))
    ended = replace(ours, not_after=MOMENT)
    later = replace(public(), not_before=MOMENT)
    assert keep_keys(file, lambda: [ended, later])
    assert set(read_keys(file)) == {ended, later, others}


def test_a_file_that_says_it_all_is_left_alone(file: Path) -> None:
    keys = [public(), public()]
    keep_keys(file, lambda: keys)
    before = file.stat()
    assert not keep_keys(file, lambda: reversed(keys))
    assert file.stat().st_ino == before.st_ino


def test_where_there_is_no_key_no_file_is_made(file: Path) -> None:
    assert not keep_keys(file, list)
    assert not file.exists()


def test_what_an_old_database_has_forgotten_stays_revoked(file: Path) -> None:
    key = public()
    revoked = replace(key, revoked_at=MOMENT)
    keep_keys(file, lambda: [revoked])
    assert not keep_keys(file, lambda: [key])
    assert set(read_keys(file)) == {revoked}
    # Which end its period has, the table knows best.
    ended = replace(key, not_after=MOMENT)
    assert keep_keys(file, lambda: [ended])
    assert set(read_keys(file)) == {replace(ended, revoked_at=MOMENT)}


def test_of_writers_together_none_writes_what_it_read_before_another_wrote(file: Path) -> None:
    table: list[PublicKey] = []
    gate = threading.Barrier(8)

    def rotate(_number: int) -> None:
        key = public()
        gate.wait()
        table.append(key)
        keep_keys(file, lambda: list(table))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(rotate, range(8)))
    assert set(read_keys(file)) == set(table)
    assert [entry.name for entry in file.parent.iterdir()] == [file.name]


def test_a_broken_file_is_named_and_left_as_it_is(file: Path) -> None:
    file.parent.mkdir()
    file.write_text("{}")
    with pytest.raises(Malformed, match=str(file)):
        keep_keys(file, lambda: [public()])
    assert file.read_text() == "{}"


def test_a_fault_of_whoever_reads_the_keys_leaves_the_file_and_the_way_free(file: Path) -> None:
    key = public()
    keep_keys(file, lambda: [key])

    def failing() -> Iterator[PublicKey]:
        raise RuntimeError("the database is away")

    with pytest.raises(RuntimeError):
        keep_keys(file, failing)
    assert not keep_keys(file, lambda: [key])


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "platform").write_text("")
    below = tmp_path / "platform" / "keys.json"
    with pytest.raises(SettingsError, match="cannot be written"):
        keep_keys(below, lambda: [public()])
    with pytest.raises(SettingsError, match="cannot be written"):
        write_keys(below, KeySet([public()]))
