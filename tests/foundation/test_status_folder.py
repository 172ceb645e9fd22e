"""Status lists kept as files: the newest stays, whoever writes, and what is broken is as none."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from foundation.errors import SettingsError
from foundation.wire.credential import KeySet, SigningKey
from foundation.wire.status_folder import keep, read_lists
from foundation.wire.status_list import (
    AnotherList,
    DamagedList,
    OlderList,
    StatusList,
    UnknownListKey,
    WithdrawnListKey,
    empty,
    sign_list,
)

KEY = SigningKey.generate("sample")
KEYS = KeySet([KEY.public])
URI = "https://licences.example.gov.sa/v1/status-lists/0"
AT = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)


def token(version: int = 1, key: SigningKey = KEY, **change: Any) -> bytes:
    at = AT + timedelta(hours=version)
    made = StatusList(
        URI, key.municipality, version, at, at + timedelta(days=7), timedelta(hours=12), bytes(empty(64))
    )
    return sign_list(replace(made, **change), key)


def versions(folder: Path, keys: KeySet = KEYS) -> list[int]:
    return [each.version for each in read_lists(folder, keys)[0]]


def test_what_is_kept_is_read_and_a_newer_one_takes_its_place(tmp_path: Path) -> None:
    folder = tmp_path / "lists"
    assert versions(folder) == []
    for version in (1, 2):
        assert keep(folder, token(version), KEYS, URI).version == version
        assert versions(folder) == [version]
    assert len(list(folder.iterdir())) == 1


def test_an_older_one_or_another_is_refused_and_leaves_what_is_kept(tmp_path: Path) -> None:
    keep(tmp_path, token(2), KEYS)
    for refused, kind in (
        (token(1), OlderList),
        (token(3) + b"x", DamagedList),
        (token(3, uri=URI + "1"), AnotherList),
        (token(3, SigningKey.generate("sample")), UnknownListKey),
    ):
        with pytest.raises(kind):
            keep(tmp_path, refused, KEYS, URI)
        assert versions(tmp_path) == [2]


def test_a_torn_or_forged_file_is_named_and_hides_no_other(tmp_path: Path) -> None:
    keep(tmp_path, token(1), KEYS)
    keep(tmp_path, token(1, uri=URI + "1"), KEYS)
    torn = sorted(tmp_path.iterdir())[0]
    torn.write_bytes(torn.read_bytes()[:100])
    (tmp_path / "empty.cwt").write_bytes(b"")
    (tmp_path / "forged.cwt").write_bytes(token(9, SigningKey.generate("sample")))
    lists, unused = read_lists(tmp_path, KEYS)
    assert len(lists) == 1
    assert {each.place.name for each in unused} == {torn.name, "empty.cwt", "forged.cwt"}
    # A torn one is as none: what is fetched next takes its place, whatever it is.
    for uri in (URI, URI + "1"):
        keep(tmp_path, token(1, uri=uri), KEYS)
    assert len(read_lists(tmp_path, KEYS)[0]) == 2


def test_a_list_whose_key_was_revoked_meanwhile_is_as_none(tmp_path: Path) -> None:
    keep(tmp_path, token(5), KEYS)
    other = SigningKey.generate("sample")
    keys = KeySet([replace(KEY.public, revoked_at=AT), other.public])
    lists, (unused,) = read_lists(tmp_path, keys)
    assert len(lists) == 0
    assert isinstance(unused.refusal, WithdrawnListKey)
    assert keep(tmp_path, token(1, other), keys).version == 1


def test_of_several_who_write_at_once_the_newest_stays(tmp_path: Path) -> None:
    def work(numbers: range) -> None:
        for version in numbers:
            try:
                keep(tmp_path, token(version), KEYS)
            except OlderList:
                continue

    writers = [threading.Thread(target=work, args=(range(first, 25, 3),)) for first in (1, 2, 3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert versions(tmp_path) == [24]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_draft_that_a_power_cut_left_is_no_list(tmp_path: Path) -> None:
    keep(tmp_path, token(1), KEYS)
    (file,) = tmp_path.iterdir()
    (tmp_path / f".{file.name}.0123.new").write_bytes(token(2)[:50])
    lists, unused = read_lists(tmp_path, KEYS)
    assert ([each.version for each in lists], unused) == ([1], [])


def test_after_a_clock_that_ran_wild_the_right_time_is_kept_again(tmp_path: Path) -> None:
    wild = AT + timedelta(days=3_000)
    keep(tmp_path, token(7, issued_at=wild, expires_at=wild + timedelta(days=7)), KEYS)
    with pytest.raises(OlderList):
        keep(tmp_path, token(8), KEYS)
    keep(tmp_path, token(8), KEYS, now=AT + timedelta(hours=8))
    assert versions(tmp_path) == [8]


def test_a_place_that_is_no_folder_is_named(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"")
    with pytest.raises(SettingsError, match="file") as caught:
        keep(file, token(), KEYS)
    assert caught.value.remedy
    (tmp_path / "folder.cwt").mkdir()
    with pytest.raises(SettingsError):
        read_lists(tmp_path, KEYS)
