"""Closures: kept, audited, told; and what bears on a deadline."""

from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from foundation import audit
from foundation.closures import ADDED, CHAIN, ENDED, WITHDRAWN, Closures
from foundation.database import Database
from foundation.definitions import Bilingual
from foundation.errors import Conflict, InvalidInput, NotFound
from foundation.events import read
from foundation.working_time import DEFAULT, WorkingTime, load_calendars

CALENDAR = load_calendars().get(DEFAULT)
WHY = Bilingual(ar="عطل", en="Outage")


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Asia/Riyadh"))


def test_closures_are_kept_audited_and_told(database: Database) -> None:
    closures = Closures()
    with database.transaction() as session:
        storm = closures.add(
            session,
            starts_at=local("2026-11-23T10:00"),
            ends_at=local("2026-11-23T12:00"),
            title=Bilingual(ar="أمطار", en="Rain"),
            actor="cli/a",
            place="north",
        )
        down = closures.add(
            session, starts_at=local("2026-11-23T11:00"), title=WHY, actor="cli/a", outage=True
        )
    with database.transaction() as session:
        now = local("2026-11-24T09:00")
        since = local("2026-11-23T11:30")
        north = closures.bearing(session, since=since, place="north", now=now)
        south = closures.bearing(session, since=since, place="south", now=now)
        # What still holds counts until now: nobody knows how long it will.
        assert [(one.title.en, one.until, one.ours) for one in south] == [("Outage", now, True)]
        assert [one.title.en for one in north] == ["Rain", "Outage"]
        assert [row.id for row in closures.list(session, open_only=True)] == [down.id]
        later = closures.bearing(session, since=local("2026-11-23T12:00"), place="north", now=now)
        assert later == south
    with database.transaction() as session:
        closures.end(session, down.id, at=local("2026-11-24T10:00"), actor="cli/b")
    with database.transaction() as session:
        assert closures.list(session, open_only=True) == []
        (ended,) = closures.bearing(session, since=since, place=None, now=local("2027-01-01T00:00"))
        assert ended.until == local("2026-11-24T10:00")
        entries = audit.entries(session, CHAIN)
        assert [(entry.actor, entry.action) for entry in entries] == [
            ("cli/a", "added"),
            ("cli/a", "added"),
            ("cli/b", "ended"),
        ]
        assert entries[0].details["title"] == {"ar": "أمطار", "en": "Rain"}
    with database.transaction() as session:
        assert audit.verify(session) == []
    with database.transaction() as session:
        told = read(session, after=None, subject=CHAIN)
    assert [(event.kind, event.payload["id"]) for event in told] == [
        (ADDED, storm.id),
        (ADDED, down.id),
        (ENDED, down.id),
    ]
    assert told[-1].payload == {
        "id": down.id,
        "place": None,
        "starts_at": "2026-11-23T08:00:00Z",
        "ends_at": "2026-11-24T07:00:00Z",
        "outage": True,
    }


def test_a_planned_outage_without_an_end_closes_nothing_yet(database: Database) -> None:
    closures, now = Closures(), local("2026-11-23T09:00")
    with database.transaction() as session:
        closures.add(session, starts_at=local("2026-11-24T07:30"), title=WHY, actor="cli/a", outage=True)
        bearing = closures.bearing(session, since=now, place=None, now=now)
    assert WorkingTime(CALENDAR, bearing).is_working_day(date(2026, 11, 24))


def test_a_closure_that_cannot_be_is_refused(database: Database) -> None:
    closures, begins = Closures(), local("2026-11-23T10:00")
    with database.transaction() as session:
        for until in (begins, begins - timedelta(hours=1)):
            with pytest.raises(InvalidInput, match="cannot end at") as refused:
                closures.add(session, starts_at=begins, ends_at=until, title=WHY, actor="cli/a")
            assert refused.value.message_ar
        for title, place in ((Bilingual(ar=" ", en="x"), None), (WHY, " ")):
            with pytest.raises(InvalidInput, match="a reason in both languages"):
                closures.add(session, starts_at=begins, title=title, place=place, actor="cli/a")
        with pytest.raises(ValueError, match="aware"):
            closures.add(session, starts_at=datetime(2026, 11, 23), title=WHY, actor="cli/a")
        row = closures.add(session, starts_at=begins, title=WHY, actor="cli/a")
        with pytest.raises(InvalidInput, match="cannot end at"):
            closures.end(session, row.id, at=begins, actor="cli/a")
        closures.end(session, row.id, at=begins + timedelta(hours=1), actor="cli/a")
        with pytest.raises(Conflict, match="has ended at 2026-11-23T08:00:00Z"):
            closures.end(session, row.id, at=begins + timedelta(hours=2), actor="cli/a")
        for number in (row.id + 1, 0, 2**80):
            with pytest.raises(NotFound, match="no closure"):
                closures.end(session, number, at=begins, actor="cli/a")


def test_a_closure_that_was_withdrawn_counts_no_more_and_stays_on_record(database: Database) -> None:
    closures, now = Closures(), local("2026-11-24T09:00")
    with database.transaction() as session:
        row = closures.add(session, starts_at=local("2026-11-23T07:00"), title=WHY, actor="cli/a")
        closures.withdraw(session, row.id, actor="cli/b")
        assert closures.list(session) == []
        assert closures.bearing(session, since=local("2026-11-01T00:00"), place=None, now=now) == ()
        with pytest.raises(Conflict, match="was withdrawn") as refused:
            closures.withdraw(session, row.id, actor="cli/b")
        assert "أُلغي تسجيل الإغلاق" in refused.value.message_ar
        with pytest.raises(Conflict, match="was withdrawn"):
            closures.end(session, row.id, at=now, actor="cli/b")
        with pytest.raises(NotFound, match="no closure"):
            closures.withdraw(session, row.id + 1, actor="cli/b")
        assert [(entry.actor, entry.action) for entry in audit.entries(session, CHAIN)] == [
            ("cli/a", "added"),
            ("cli/b", "withdrawn"),
        ]
    with database.transaction() as session:
        assert [event.kind for event in read(session, after=None, subject=CHAIN)] == [ADDED, WITHDRAWN]


def test_what_binds_the_office_is_reckoned_without_its_own_outages(database: Database) -> None:
    closures, now = Closures(), local("2026-12-24T09:00")
    with database.transaction() as session:
        for day, outage in (("2026-11-23", True), ("2026-11-24", False)):
            closures.add(
                session,
                starts_at=local(f"{day}T07:00"),
                ends_at=local(f"{day}T16:00"),
                title=WHY,
                actor="cli/a",
                outage=outage,
            )
        time = WorkingTime(
            CALENDAR, closures.bearing(session, since=now - timedelta(60), place=None, now=now)
        )
    sunday = local("2026-11-22T09:00")
    assert time.after_working_days(sunday, 1) == local("2026-11-25T14:30")
    bound = time.despite_outages
    assert bound.after_working_days(sunday, 1) == local("2026-11-23T14:30")
    assert not bound.is_working_day(date(2026, 11, 24))
    assert bound.despite_outages is bound
