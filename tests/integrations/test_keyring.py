"""The ring of signing keys: who signs at which moment, rotation, retirement, and all that comes between."""

import contextlib
import random
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from foundation import audit, events
from foundation.database import Database
from foundation.definitions import Bilingual
from foundation.errors import Conflict, InvalidInput, NotFound
from foundation.wire.credential import KeyOutOfPeriod, LicenceClaims, open_credential, seal
from foundation.wire.credential_keys import LICENCE_KEY, SigningKey
from integrations.licences.keyring import PUBLISHED, RETIRED, NoKeySigns
from integrations.licences.signing_keys import State
from tests.integrations.keyring_house import DAY, HOUR, SECOND, START, House, house_of


@pytest.fixture
def house(database: Database, tmp_path: Path) -> House:
    return house_of(database, tmp_path)


def test_the_key_that_signed_before_there_was_a_table_goes_on_signing(house: House) -> None:
    before = SigningKey.generate("sample")
    house.secrets.set(LICENCE_KEY, before.to_pem())
    assert house.listed() == []
    assert house.kid() == before.public.kid.hex()
    (key,) = house.listed()
    assert (key.store, key.label, key.made_by) == ("file", LICENCE_KEY, "system")
    # What it signed years ago verifies.
    house.opens(START - 900 * DAY)
    assert house.secrets.names() == [LICENCE_KEY]


def test_the_first_key_is_made_once_whoever_asks_first(house: House) -> None:
    gate = threading.Barrier(8)

    def ask(number: int) -> str:
        ring = house.another(cache_s=1)
        gate.wait()
        if number % 2:
            return house.signer(ring=ring).public.kid.hex()
        with house.database.transaction() as session:
            (key,) = ring.published(session)
        return key.kid.hex()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(ask, range(8)))) == 1
    assert len(house.listed()) == 1
    assert house.secrets.names() == [LICENCE_KEY]


def test_a_first_key_whose_transaction_failed_is_not_believed(house: House) -> None:
    ring = house.another(cache_s=1000)

    def failing() -> None:
        with house.database.transaction() as session:
            ring.signer(session, house.now)
            raise RuntimeError("the action fails after it")

    with pytest.raises(RuntimeError):
        failing()
    assert house.listed() == []
    signer = house.signer(ring=ring)
    assert [key.kid for key in house.listed()] == [signer.public.kid.hex()]


def test_a_new_key_is_published_at_once_and_signs_after_the_overlap(house: House) -> None:
    first = house.kid()
    key = house.rotate(24 * HOUR)
    assert key.public.not_before == START + DAY
    assert {one.kid.hex() for one in house.published()} == {first, key.kid}
    assert house.states() == {first: "signing", key.kid: "next"}
    assert house.kid() == first
    house.now += DAY
    assert house.kid() == key.kid
    assert house.states() == {first: "old", key.kid: "signing"}
    # What the old one signed in its time verifies on.
    assert house.kid(START) == first
    assert f"{LICENCE_KEY}/{key.kid}" in house.secrets.names()


@pytest.mark.parametrize("microseconds", [-1_000_000, -500_000, -1, 0, 1, 500_000, 1_000_000])
def test_no_moment_around_a_change_of_keys_signs_what_is_refused(house: House, microseconds: int) -> None:
    house.kid()
    house.now += timedelta(microseconds=123_456)
    key = house.rotate(HOUR)
    start = key.public.not_before
    assert start is not None
    assert start.microsecond == 0
    moment = start + timedelta(microseconds=microseconds)
    assert (house.kid(moment) == key.kid) is (microseconds >= 0)
    house.opens(moment)


def test_the_old_key_signs_nothing_new(house: House) -> None:
    old = house.signer()
    house.rotate(HOUR)
    claims = LicenceClaims(
        "L-1", "s", Bilingual(ar="ر", en="l"), "sample", date(2026, 1, 1), date(2028, 1, 1), START + 2 * HOUR
    )
    with pytest.raises(KeyOutOfPeriod):
        open_credential(seal(claims, old), house.published(), today=date(2026, 12, 1))


def test_an_overlap_of_nothing_still_lets_every_process_know_first(house: House) -> None:
    first = house.kid()
    key = house.rotate(timedelta(0))
    assert key.public.not_before == START + 10 * SECOND
    assert house.kid(START + 9 * SECOND) == first
    assert house.kid(START + 10 * SECOND) == key.kid


@pytest.mark.parametrize("overlap", [-SECOND, 91 * DAY])
def test_an_overlap_that_nobody_means_is_refused(house: House, overlap: timedelta) -> None:
    with pytest.raises(InvalidInput, match="overlap"):
        house.rotate(overlap)
    assert house.listed() == []


def test_a_second_key_waits_for_the_first_to_sign(house: House) -> None:
    house.kid()
    key = house.rotate()
    with pytest.raises(Conflict, match=f"{key.kid} is published and signs from 2026-11-23T09:00:00Z"):
        house.rotate()
    house.now += DAY
    house.rotate()
    assert list(house.states().values()) == ["old", "signing", "next"]


def test_with_a_clock_that_was_set_back_nothing_is_rotated_and_all_that_is_signed_verifies(
    house: House,
) -> None:
    first = house.kid()
    key = house.rotate(HOUR)
    house.now += 2 * HOUR
    assert house.kid() == key.kid
    house.now -= 400 * DAY
    assert house.kid() == first
    house.opens(house.now)
    with pytest.raises(Conflict, match="if the clock is wrong, set it"):
        house.rotate()


_ROTATES = """
import sys
from pathlib import Path
from console.cli.main import main
sys.argv = ["rakeeza", "keys", "rotate", "--overlap", "1"]
main()
"""


def test_of_rotations_at_once_from_threads_and_programs_one_has_effect(
    house: House, database_url: str, tmp_path: Path
) -> None:
    first = house.kid()
    house.now = datetime.now(UTC)
    environment = {"RAKEEZA_PLATFORM_FOLDER": str(tmp_path), "RAKEEZA_DATABASE_URL": database_url}
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", _ROTATES], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        for _ in range(2)
    ]

    def rotate(_number: int) -> bool:
        try:
            with house.database.transaction() as session:
                house.another(1).rotate(session, actor="cli/tester", overlap=HOUR)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        mine = list(pool.map(rotate, range(6)))
    ended = [(program.communicate(timeout=60), program.returncode) for program in programs]
    theirs = [code == 0 for _, code in ended]
    assert sum(mine) + sum(theirs) == 1, ended
    assert [code for _, code in ended if code] == [65] * theirs.count(False)
    assert len(house.listed()) == 2
    assert len(house.published()) == 2
    assert house.states()[first] == "signing"


def test_another_process_follows_a_rotation_without_a_restart(house: House) -> None:
    other = house.another(cache_s=0.2)
    first = house.signer(ring=other).public.kid
    key = house.rotate(timedelta(0))
    later = START + DAY
    until = time.monotonic() + 10
    while house.signer(later, other).public.kid == first:
        assert time.monotonic() < until
        time.sleep(0.02)
    assert house.signer(later, other).public.kid.hex() == key.kid


def test_what_was_read_is_believed_for_its_moment(house: House) -> None:
    believing = house.another(cache_s=1000)
    first = house.signer(ring=believing).public.kid
    house.signer(ring=believing)
    house.rotate(timedelta(0))
    assert house.signer(START + DAY, believing).public.kid == first


def test_a_stolen_key_that_signs_gives_way_at_once_to_the_one_that_waits(house: House) -> None:
    stolen = house.kid()
    key = house.rotate(24 * HOUR)
    house.now += HOUR
    retired = house.retire(stolen)
    assert retired.public.revoked_at == house.now
    assert house.states() == {stolen: "retired", key.kid: "signing"}
    # Actions under way, and a machine whose clock is behind, go on without a pause.
    for moment in (house.now - 59 * SECOND, house.now, house.now + 30 * DAY):
        assert house.kid(moment) == key.kid
        house.opens(moment)
    # It stays in the set, revoked: left out, it would be called unknown.
    known = house.published().get(bytes.fromhex(stolen))
    assert known is not None
    assert known.revoked_at == house.now


def test_a_key_whose_overlap_is_not_over_is_retired_and_the_present_one_goes_on(house: House) -> None:
    first = house.kid()
    key = house.rotate(24 * HOUR)
    house.retire(key.kid)
    assert house.states() == {first: "signing", key.kid: "retired"}
    assert house.kid(START + 30 * DAY) == first
    house.opens(START + 30 * DAY)
    # And another may be published in its place.
    again = house.rotate(24 * HOUR)
    assert house.kid(START + 2 * DAY) == again.kid
    house.opens(START + 2 * DAY)


def test_an_old_key_is_retired_and_nothing_else_changes(house: House) -> None:
    first = house.kid()
    key = house.rotate(HOUR)
    house.now += DAY
    house.retire(first)
    assert house.states() == {first: "retired", key.kid: "signing"}
    assert house.kid() == key.kid


def test_the_only_key_is_not_retired(house: House) -> None:
    first = house.kid()
    with pytest.raises(Conflict, match=r"No other key could sign.*rakeeza keys rotate --overlap 0"):
        house.retire(first)
    key = house.rotate(timedelta(0))
    house.retire(first)
    with pytest.raises(Conflict, match="No other key could sign"):
        house.retire(key.kid)
    assert house.kid() == key.kid


@pytest.mark.parametrize("kid", ["", "0011223344556677", "../x", "نص"])
def test_a_key_that_is_not_there_is_not_retired(house: House, kid: str) -> None:
    house.kid()
    with pytest.raises(NotFound, match="rakeeza keys list"):
        house.retire(kid)


def test_retiring_makes_no_first_key(house: House) -> None:
    with pytest.raises(NotFound):
        house.retire("0011223344556677")
    assert house.listed() == []
    assert house.secrets.names() == []


def test_a_key_is_retired_once_and_with_a_reason(house: House) -> None:
    first = house.kid()
    house.rotate()
    for because in ("", "  ", "x" * 501):
        with pytest.raises(InvalidInput, match="reason"):
            house.retire(first, because)
    house.retire(first.upper())
    with pytest.raises(Conflict, match="is retired since 2026-11-22T09:00:00Z"):
        house.retire(first)
    assert [key.retired_because for key in house.listed()] == ["The disk was stolen.", None]


def test_of_retirements_at_once_one_key_is_left_to_sign(house: House) -> None:
    kids = [house.kid(), house.rotate(timedelta(0)).kid]
    gate = threading.Barrier(2)

    def retire(kid: str) -> bool:
        gate.wait()
        try:
            house.retire(kid)
        except Conflict:
            return False
        return True

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(retire, kids)) == [False, True]
    assert sorted(house.states().values()) == ["retired", "signing"]
    house.opens(house.now + DAY)


def test_a_clock_before_every_key_is_named_and_nothing_is_signed(house: House) -> None:
    first = house.kid()
    house.rotate(HOUR)
    house.retire(first)
    with pytest.raises(NoKeySigns, match="Set the clock") as caught:
        house.signer(START - DAY)
    assert caught.value.retryable
    assert caught.value.message_ar


def test_the_trail_and_the_events_tell_what_became_of_each_key(house: House) -> None:
    first = house.kid()
    key = house.rotate(24 * HOUR)
    house.retire(first)
    with house.database.transaction() as session:
        told = {
            kid: [
                (entry.actor, entry.action, entry.details)
                for entry in audit.entries(session, f"key/{kid}", 10)
            ]
            for kid in (first, key.kid)
        }
        published = events.read(session, after=None, kind_prefix="key.")
    start = "2026-11-23T09:00:00Z"
    assert told[first] == [
        ("system", "published", {"store": "file", "signs_from": None}),
        ("cli/tester", "succeeded", {"by": key.kid, "until": start}),
        ("cli/tester", "retired", {"because": "The disk was stolen.", "signs": key.kid}),
    ]
    assert told[key.kid] == [
        ("cli/tester", "published", {"store": "file", "signs_from": start}),
        ("cli/tester", "widened", {"not_before": "2026-11-22T08:59:00Z"}),
    ]
    assert [(event.kind, event.subject, event.payload) for event in published] == [
        (PUBLISHED, f"key/{first}", {"kid": first, "signs_from": None}),
        (PUBLISHED, f"key/{key.kid}", {"kid": key.kid, "signs_from": start}),
        (RETIRED, f"key/{first}", {"kid": first, "because": "The disk was stolen.", "signs": key.kid}),
    ]


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_done_in_whatever_order_what_is_signed_verifies(house: House, seed: int) -> None:
    rng = random.Random(seed)
    house.kid()
    for _ in range(25):
        match rng.choice(["rotate", "retire", "forward", "back"]):
            case "rotate":
                waits = State.NEXT in {key.state(house.now) for key in house.listed()}
                refused = pytest.raises(Conflict) if waits else contextlib.nullcontext()
                with refused:
                    house.rotate(rng.choice([timedelta(0), HOUR, DAY]))
            case "retire":
                key = rng.choice(house.listed())
                with contextlib.suppress(Conflict):
                    house.retire(key.kid)
            case "forward":
                house.now += rng.choice([SECOND, HOUR, DAY, 3 * DAY])
            case "back":
                house.now -= rng.choice([SECOND, HOUR])
        left = [key for key in house.listed() if key.public.revoked_at is None]
        assert len([key for key in left if key.public.not_after is None]) == 1
        assert len({key.public.not_before for key in left}) == len(left)
        for moment in (house.now, house.now + HOUR, house.now + 5 * DAY):
            try:
                signer = house.signer(moment)
            except NoKeySigns:
                # Only where the clock was set back behind the key that took over.
                assert all(key.public.not_before and moment < key.public.not_before for key in left[-1:])
                continue
            known = house.published().get(signer.public.kid)
            assert known is not None
            assert known.revoked_at is None
            assert known.covers(moment.replace(microsecond=0))
