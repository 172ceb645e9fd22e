"""Freezes that somebody declares: what is kept, told and audited, and what is refused."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from foundation import audit, events
from foundation.assets import Asset, Assets, Kind
from foundation.database import Database
from foundation.definitions import Bilingual
from foundation.errors import Conflict, InvalidInput, NotFound
from infra.changes.freezes import ADDED, CHAIN, ENDED, FreezeRow, Freezes
from infra.changes.verdict import verdict
from tests.infra.change_calendars import small

VISIT = Bilingual(ar="زيارة رسمية", en="Official visit")
HOUR = timedelta(hours=1)


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


@pytest.fixture
def freezes(database: Database) -> Freezes:
    assets = Assets()
    with database.transaction() as session:
        for name in ("north", "south"):
            assets.add(session, Asset(name, Kind.SITE, Bilingual(ar=name, en=name)), actor="test")
    return Freezes(assets)


def declare(freezes: Freezes, session: Session, **how: object) -> FreezeRow:
    whole = {"reason": VISIT, "actor": "person/sara", "starts_at": now() - HOUR, **how}
    return freezes.add(session, **whole)  # type: ignore[arg-type] # what a test gives is right


def test_a_freeze_is_kept_told_audited_and_shuts_what_it_names(database: Database, freezes: Freezes) -> None:
    begins, ends = now() - HOUR, now() + HOUR
    with database.transaction() as session:
        row = declare(freezes, session, starts_at=begins, ends_at=ends, sites=["north"], risks=["high"])
    with database.transaction() as session:
        held = freezes.holding(session, now())
        told = events.read(session, after=None, subject=CHAIN)
        trail = [(entry.actor, entry.action) for entry in audit.entries(session, CHAIN)]
    assert [event.kind for event in told] == [ADDED]
    assert told[0].payload == {
        "id": row.id,
        "sites": ["north"],
        "risks": ["high"],
        "starts_at": begins.isoformat().replace("+00:00", "Z"),
        "ends_at": ends.isoformat().replace("+00:00", "Z"),
        "reason": {"ar": "زيارة رسمية", "en": "Official visit"},
    }
    assert trail == [("person/sara", ADDED)]

    def is_open(site: str, risk: str) -> bool:
        found = verdict(small(), held, site=site, risk=risk, window="always", moment=now())  # type: ignore[arg-type]
        assert found.open or found.opens_at == ends
        assert found.open or "Official visit (freeze 1, declared by person/sara)" in (found.reason or "")
        assert found.open or "زيارة رسمية (التجميد رقم 1، أعلنه person/sara)" in (found.reason_ar or "")
        return found.open

    assert not is_open("north", "high")
    assert is_open("north", "medium")
    assert is_open("south", "high")


def test_freezes_may_overlap_and_each_is_ended_by_itself(database: Database, freezes: Freezes) -> None:
    with database.transaction() as session:
        first, second = declare(freezes, session), declare(freezes, session, ends_at=now() + HOUR)
    with database.transaction() as session:
        freezes.end(session, first.id, actor="person/omar")
    with database.transaction() as session:
        assert [row.id for row in freezes.list(session, since=now() + timedelta(seconds=2))] == [second.id]
        assert [row.id for row in freezes.list(session)] == [first.id, second.id]
        ended = session.get_one(FreezeRow, first.id)
        assert (ended.ended_by, ended.ends_at is not None) == ("person/omar", True)
        assert [event.kind for event in events.read(session, after=None, subject=CHAIN)] == [
            ADDED,
            ADDED,
            ENDED,
        ]


def test_a_freeze_that_is_ended_before_it_begins_never_holds(database: Database, freezes: Freezes) -> None:
    begins = now() + HOUR
    with database.transaction() as session:
        row = declare(freezes, session, starts_at=begins, ends_at=begins + HOUR)
        freezes.end(session, row.id, actor="person/omar")
    with database.transaction() as session:
        assert freezes.holding(session, now()) == ()
        assert freezes.holding(session, begins - timedelta(minutes=1)) == ()


def test_an_end_is_brought_forward_and_never_put_off_or_into_the_past(
    database: Database, freezes: Freezes
) -> None:
    with database.transaction() as session:
        row = declare(freezes, session, ends_at=now() + 3 * HOUR)
    with database.transaction() as session:
        assert freezes.end(session, row.id, actor="x", at=now() + 2 * HOUR).ends_at == row.ends_at - HOUR  # type: ignore[operator]
    for at, kind in ((now() + 3 * HOUR, Conflict), (now() - HOUR, InvalidInput)):
        with pytest.raises(kind) as caught, database.transaction() as session:
            freezes.end(session, row.id, actor="x", at=at)
        assert caught.value.message_ar
    with database.transaction() as session:
        freezes.end(session, row.id, actor="x")
    with pytest.raises(Conflict, match="already"), database.transaction() as session:
        freezes.end(session, row.id, actor="x")


@pytest.mark.parametrize("number", [0, 7, 1 << 63, 1 << 70])
def test_an_unknown_freeze_is_not_found(database: Database, freezes: Freezes, number: int) -> None:
    with pytest.raises(NotFound, match=f"no freeze {number}"), database.transaction() as session:
        freezes.end(session, number, actor="x")


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"ends_at": now() - 2 * HOUR}, "cannot end at"),
        ({"starts_at": now() - 3 * HOUR, "ends_at": now() - 2 * HOUR}, "holds nothing back"),
        ({"reason": Bilingual(ar=" ", en="Visit")}, "reason in both languages"),
        ({"reason": Bilingual(ar="\u202e", en="Visit")}, "reason in both languages"),
        ({"sites": ["noth"]}, "no site 'noth'"),
        ({"sites": []}, "No site is named"),
        ({"risks": ["reads"]}, "not of reads"),
        ({"risks": []}, "not of none"),
    ],
)
def test_a_freeze_that_makes_no_sense_is_refused(
    database: Database, freezes: Freezes, how: dict[str, object], said: str
) -> None:
    with pytest.raises(InvalidInput, match=said) as caught, database.transaction() as session:
        declare(freezes, session, **how)
    assert caught.value.message_ar
    with database.transaction() as session:
        assert freezes.list(session) == []


def test_a_reason_cannot_turn_the_sentence_round_or_break_its_line(
    database: Database, freezes: Freezes
) -> None:
    with database.transaction() as session:
        row = declare(
            freezes, session, reason=Bilingual(ar="زيارة\nرسمية", en="Visit\u202e\x1b[31m" + "x" * 900)
        )
    assert row.reason_ar == "زيارة رسمية"
    assert row.reason_en.startswith("Visit [31mxxx")
    assert len(row.reason_en) == 300
