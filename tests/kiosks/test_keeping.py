"""What a terminal keeps through a power cut, and what it does not believe of what it finds."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from foundation.errors import Refused, Unavailable
from foundation.guard import free_port
from foundation.secret import Secret
from foundation.wire.credential import KeySet, SigningKey, seal
from foundation.wire.status_list import StatusValue, sign_list
from foundation.wire.verification import Answer
from kiosks.codes import licence_number, offline_verdict
from kiosks.headquarters import Headquarters
from kiosks.keeping import Keeping
from kiosks.licence import Licence
from tests.foundation.http_face import served
from tests.kiosks.conftest import Town as RunningTown
from tests.kiosks.test_status_lists import CLAIMS, KEY, NOW, TEXT, URI, Town, listed
from tests.processes import PATIENCE

SECRET = Secret("of the terminal")
# One address throughout: what another headquarters said does not count.
URL = f"http://127.0.0.1:{free_port()}"


def keeping(folder: Path, secret: Secret = SECRET, url: str = URL) -> Keeping:
    return Keeping(folder / "state", secret, url)


def terminal(folder: Path, url: str, kept: Keeping | None = None) -> Headquarters:
    """A terminal at an address; what it keeps is kept under `URL`."""
    return Headquarters(url, "kiosk", SECRET, PATIENCE, kept or keeping(folder), lambda: NOW)


def lived(folder: Path, town: Town) -> None:
    """A terminal ran here, saw its headquarters, and lost its power."""

    async def work(url: str) -> None:
        async with terminal(folder, url) as peer:
            await peer.refresh_lists()

    with served(town.app()) as url:
        asyncio.run(work(url))


def answer(folder: Path, kept: Keeping | None = None, code: str = TEXT) -> Answer | None:
    """What a terminal that starts now, its headquarters away, says of a code."""
    peer = terminal(folder, URL, kept)
    verdict = offline_verdict(code, peer.known_keys, peer.lists, NOW)
    return None if verdict is None else verdict.answer


def test_after_a_power_cut_with_headquarters_away_a_code_is_judged_as_before(tmp_path: Path) -> None:
    assert answer(tmp_path) is None
    lived(tmp_path, Town())
    assert answer(tmp_path) is Answer.VALID
    lived(tmp_path, Town(listed(2, StatusValue.SUSPENDED)))
    assert answer(tmp_path) is Answer.SUSPENDED
    assert answer(tmp_path, code=seal(CLAIMS, SigningKey.generate("sample"))) is None
    assert sorted(file.suffix for file in (tmp_path / "state").iterdir()) == [".cwt", ".sealed"]


def test_a_number_is_read_from_a_code_with_the_keys_that_were_kept(tmp_path: Path) -> None:
    lived(tmp_path, Town())

    async def work() -> str:
        async with terminal(tmp_path, URL) as peer:
            number = await licence_number(TEXT, lambda fresh: peer.keys(fresh=fresh))
            with pytest.raises(Unavailable):
                await peer.refresh_lists()
            # It held on to what it had.
            assert len(peer.lists) == 1
            return number

    assert asyncio.run(work()) == CLAIMS.number


def test_a_revocation_outlasts_the_power_cut_too(tmp_path: Path) -> None:
    town = Town()
    lived(tmp_path, town)
    town.keys = [replace(KEY.public, revoked_at=NOW), SigningKey.generate("sample").public]

    async def work(url: str) -> None:
        async with terminal(tmp_path, url) as peer:
            await peer.keys(fresh=True)

    with served(town.app()) as url:
        asyncio.run(work(url))
    assert answer(tmp_path) is None
    assert len(keeping(tmp_path).lists(KeySet(town.keys))) == 0


def changed(file: Path, change: Callable[[bytes], bytes]) -> None:
    file.write_bytes(change(file.read_bytes()))


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:0],
        lambda data: data[:40],
        lambda data: data[:-1],
        lambda data: data.partition(b"\n")[2],
        lambda data: b"\n" + data,
        lambda data: data.replace(b"sample", b"simple"),
        lambda data: bytes([data[0] ^ 1]) + data[1:],
        lambda data: data.partition(b"\n")[0] + b"\n" + _thief().encode(),
        lambda data: data + b" " * 1_000_000,
    ],
    ids=["empty", "torn", "a byte less", "no seal", "a line more", "a letter", "a bit", "forged", "swollen"],
)
def test_torn_or_forged_keys_are_as_none(tmp_path: Path, change: Callable[[bytes], bytes]) -> None:
    lived(tmp_path, Town())
    changed(tmp_path / "state" / "keys.sealed", change)
    assert keeping(tmp_path).keys() is None
    assert answer(tmp_path) is None
    assert answer(tmp_path, code=seal(CLAIMS, THIEF)) is None
    # Once headquarters is back, all is as before.
    lived(tmp_path, Town())
    assert answer(tmp_path) is Answer.VALID


THIEF = SigningKey.generate("sample")


def _thief() -> str:
    return KeySet([THIEF.public]).to_json()


def test_keys_that_were_sealed_elsewhere_are_as_none(tmp_path: Path) -> None:
    lived(tmp_path, Town())
    assert keeping(tmp_path, secret=Secret("of another")).keys() is None
    assert keeping(tmp_path, url="http://elsewhere.example").keys() is None
    keeping(tmp_path, secret=Secret("of a thief")).keep_keys(KeySet([THIEF.public]))
    assert answer(tmp_path, code=seal(CLAIMS, THIEF)) is None


@pytest.mark.parametrize(
    "token",
    [b"", sign_list(listed(9), KEY)[:-9], sign_list(listed(9, StatusValue.VALID), THIEF)],
    ids=["empty", "torn", "forged"],
)
def test_a_torn_or_forged_list_is_as_none(tmp_path: Path, token: bytes) -> None:
    lived(tmp_path, Town(listed(2, StatusValue.REVOKED)))
    (file,) = (tmp_path / "state").glob("*.cwt")
    file.write_bytes(token)
    assert answer(tmp_path) is Answer.LIST_MISSING
    lived(tmp_path, Town(listed(2, StatusValue.REVOKED)))
    assert answer(tmp_path) is Answer.REVOKED


def test_a_list_played_back_after_the_power_cut_is_refused(tmp_path: Path) -> None:
    lived(tmp_path, Town(listed(3, StatusValue.REVOKED)))

    async def work(url: str) -> None:
        async with terminal(tmp_path, url) as peer:
            with pytest.raises(Refused, match="is held, and it is of"):
                await peer.refresh_lists()

    with served(Town(listed(2)).app()) as url:
        asyncio.run(work(url))
    assert answer(tmp_path) is Answer.REVOKED


def test_where_nothing_can_be_kept_the_terminal_works_from_memory(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"a file in the place of the folder")
    town = Town(listed(1, uri=URI))

    async def work(url: str) -> None:
        async with terminal(tmp_path, url) as peer:
            assert await peer.refresh_lists() == 1
            verdict = offline_verdict(TEXT, peer.known_keys, peer.lists, NOW)
            assert verdict is not None
            assert verdict.answer is Answer.VALID

    with served(town.app()) as url:
        asyncio.run(work(url))
    assert answer(tmp_path) is None


def test_a_terminal_that_starts_while_headquarters_is_away_judges_by_what_it_kept(
    town: RunningTown, licence: Licence, tmp_path: Path
) -> None:
    town.kiosk.scan(licence.credential)
    town.kiosk.wait_for("shown")
    again = replace(town.kiosk, log=tmp_path / "again.log")
    town.restart_agent(again.log, lambda: town.guard.stop("headquarters"))
    again.wait_for("reader")
    again.scan(licence.credential)
    # Its headquarters publishes no list: only the keys were kept.
    assert again.wait_for("judged_offline")["answer"] == "list_missing"
