"""A file is whole or not there."""

import threading
from pathlib import Path

import pytest

from foundation.whole_file import write_whole


def test_what_was_there_is_replaced_and_nothing_else_is_left(tmp_path: Path) -> None:
    file = tmp_path / "file"
    write_whole(file, b"first, and longer")
    write_whole(file, b"second")
    assert file.read_bytes() == b"second"
    assert list(tmp_path.iterdir()) == [file]


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    (place / "inside").write_bytes(b"kept")
    # A file cannot take the place of a folder that holds something.
    with pytest.raises(OSError, match="place"):
        write_whole(place, b"new")
    assert (place / "inside").read_bytes() == b"kept"
    assert list(tmp_path.iterdir()) == [place]


def test_a_reader_never_sees_half_of_what_several_write(tmp_path: Path) -> None:
    file, wholes = tmp_path / "file", [bytes([letter]) * 200_000 for letter in b"abc"]
    write_whole(file, wholes[0])

    def write(whole: bytes) -> None:
        for _ in range(20):
            write_whole(file, whole)

    writers = [threading.Thread(target=write, args=(whole,)) for whole in wholes]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        seen.add(file.read_bytes())
    for writer in writers:
        writer.join()
    assert seen <= set(wholes)
    assert list(tmp_path.iterdir()) == [file]
