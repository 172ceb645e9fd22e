"""The inbox on a real database: whose cases, in which order, by which plan; assignment and comments."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import text

from foundation.database import Database
from foundation.errors import Conflict, InvalidInput, Malformed, NotFound, PermissionDenied, Stale
from integrations.cases import inbox
from integrations.cases.inbox import Spot, Wanted
from tests.integrations.desk import (
    AUDITOR,
    CENTRE,
    OTHER_CENTRE,
    OWNER,
    REVIEWED,
    REVIEWER,
    REVIEWER_ELSEWHERE,
    REVIEWER_HERE,
    SUPERVISOR,
    SYSTEM,
    Desk,
    new_key,
)

ROWS = 20_000
DESKS = ("reviewer", "inspector", "centre", "finance", "centre+reviewer", "reviewer+supervisor")
# Every part of the order occurs: escalated or not, with and without a deadline, many with the same one.
GENERATE = text(
    """
    INSERT INTO case_file (number, service, procedure, definition, state, version, centre, subject, form,
        done, checks, quote_free, desk, place, assignee, due, escalated, entered_at, submitted_at, changed_at)
    SELECT 'TT-2026-' || lpad(CAST(n AS text), 6, '0'), 'service_' || n % 5, 'issue', 'generated',
        'waiting', 1, 'client/centre-' || n % 7, decode(md5(CAST(n AS text)), 'hex'), '{}', '[]', '{}', false,
        (CAST(:desks AS text[]))[1 + n % :kinds],
        CASE WHEN n % 10 = 0 THEN NULL ELSE 'place-' || n * 7 % 50 END,
        CASE WHEN n % 400 = 0 THEN 'person/reviewer' END,
        CASE WHEN n % 5 > 0 THEN CAST(:start AS timestamptz) + make_interval(mins => n * 7919 % 5000) END,
        n % 97 = 0, :start, :start, :start
    FROM generate_series(1, :rows) AS n
    """
)


@pytest.fixture
def many(database: Database) -> Database:
    """A database with many open cases."""
    with database.transaction() as session:
        session.execute(text("INSERT INTO case_definition VALUES ('generated', 'generated', 1, '{}', now())"))
        start = datetime(2026, 11, 22, tzinfo=UTC)
        words = {"rows": ROWS, "desks": list(DESKS), "kinds": len(DESKS), "start": start}
        session.execute(GENERATE, words)
        session.execute(text("ANALYZE case_file"))
    return database


def _walked(database: Database, wanted: Wanted, limit: int = 500) -> list[str]:
    numbers: list[str] = []
    spot = None
    while True:
        with database.transaction() as session:
            page = inbox.cases(session, wanted, spot, limit)
        if not page:
            return numbers
        numbers += [case.number for case in page]
        spot = Spot.read(Spot.of(page[-1]).cursor())


def _sorted(database: Database, condition: str) -> list[str]:
    query = f"SELECT number FROM case_file WHERE {condition} ORDER BY escalated DESC, due NULLS LAST, id"
    with database.transaction() as session:
        return list(session.scalars(text(query)))


EVERYWHERE = Wanted("person/reviewer", frozenset({"reviewer"}))
HERE = Wanted("person/reviewer", frozenset({"reviewer", "finance"}), frozenset({"place-3", "place-7"}))
A_CENTRE = Wanted("client/centre-3", frozenset({"centre"}))
BOTH = Wanted("client/centre-3", frozenset({"centre", "reviewer"}), frozenset({"place-3"}))
OF_REVIEWERS = "desk IN ('reviewer', 'centre+reviewer', 'reviewer+supervisor')"
OF_CENTRE_3 = "centre = 'client/centre-3' AND desk IN ('centre', 'centre+reviewer')"


@pytest.mark.parametrize(
    ("wanted", "condition"),
    [
        (EVERYWHERE, OF_REVIEWERS),
        (HERE, f"({OF_REVIEWERS} OR desk = 'finance') AND place IN ('place-3', 'place-7')"),
        (A_CENTRE, OF_CENTRE_3),
        (BOTH, f"{OF_REVIEWERS} AND place = 'place-3' OR {OF_CENTRE_3}"),
        (Wanted(**{**vars(EVERYWHERE), "place": "place-9"}), f"{OF_REVIEWERS} AND place = 'place-9'"),
        (Wanted(**{**vars(HERE), "place": "place-9"}), "false"),
        (Wanted(**{**vars(EVERYWHERE), "service": "service_4"}), f"{OF_REVIEWERS} AND service = 'service_4'"),
        (Wanted(**{**vars(EVERYWHERE), "whose": "mine"}), f"{OF_REVIEWERS} AND assignee = 'person/reviewer'"),
        (Wanted(**{**vars(EVERYWHERE), "whose": "unassigned"}), f"{OF_REVIEWERS} AND assignee IS NULL"),
        (Wanted("system/rakeeza", frozenset(), everything=True), "true"),
        (Wanted("person/nobody", frozenset({"engineer"})), "false"),
    ],
)
def test_its_pages_are_the_cases_of_the_caller_in_order_each_once(
    many: Database, wanted: Wanted, condition: str
) -> None:
    expected = _sorted(many, condition)

    assert _walked(many, wanted) == expected
    with many.transaction() as session:
        assert inbox.counted(session, wanted) == min(len(expected), inbox.MOST_COUNTED + 1)


@pytest.mark.parametrize(
    "wanted", [EVERYWHERE, HERE, A_CENTRE, Wanted(**{**vars(EVERYWHERE), "service": "service_4"})]
)
@pytest.mark.parametrize("paged", [False, True])
def test_a_page_sorts_nothing_and_reads_no_row_that_it_does_not_show(
    many: Database, wanted: Wanted, paged: bool
) -> None:
    limit = 51
    with many.transaction() as session:
        first = inbox.cases(session, wanted, None, 300)
        after = Spot.of(first[-1]) if paged else None
        query, values = inbox.statement(wanted, inbox.desks(session), after, limit)
        assert query is not None
        explained = session.execute(text(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}"), values).scalar_one()

    nodes = list(_nodes(explained[0]["Plan"]))
    scans = [node for node in nodes if node.get("Relation Name") == "case_file"]
    assert scans
    assert {node["Node Type"] for node in scans} == {"Index Scan"}
    assert not [node for node in nodes if "Sort" in node["Node Type"]]
    # Each branch is asked for its first row, and then only for those that are shown.
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in scans) <= limit + len(scans)
    assert not [node for node in scans if node.get("Rows Removed by Filter")]


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for part in plan.get("Plans", ()):
        yield from _nodes(part)


@pytest.mark.parametrize("cursor", ["", "x", "aW5ib3g6MTotOjk", "🙂", "aW5ib3g6Mjo1OjU", "A" * 500])
def test_what_is_no_cursor_is_refused(desk: Desk, cursor: str) -> None:
    # One of these is a true cursor whose padding was cut: it is read as it was given out.
    if cursor == "aW5ib3g6MTotOjk":
        assert Spot.read(cursor) == Spot(True, None, 9)
        return
    with pytest.raises(Malformed):
        desk.licensing.inbox.page(REVIEWER, after=cursor)


def test_a_cursor_keeps_the_microsecond() -> None:
    spot = Spot(False, datetime(2026, 11, 22, 7, 0, 0, 123457, tzinfo=UTC), 42)

    assert Spot.read(spot.cursor()) == spot


def _numbers(page: dict[str, Any]) -> list[str]:
    return [item["number"] for item in page["items"]]


def test_a_case_waits_for_whoever_can_act_on_it_where_it_is(desk: Desk) -> None:
    mine, reviewed = desk.submit(), desk.submit(REVIEWED)
    inboxes = desk.licensing.inbox

    assert _numbers(inboxes.page(REVIEWER)) == [reviewed]
    assert _numbers(inboxes.page(REVIEWER_HERE)) == [reviewed]
    assert _numbers(inboxes.page(REVIEWER_ELSEWHERE)) == []
    assert _numbers(inboxes.page(CENTRE)) == [mine]
    assert _numbers(inboxes.page(OTHER_CENTRE)) == []
    assert _numbers(inboxes.page(AUDITOR)) == []
    assert set(_numbers(inboxes.page(SYSTEM))) == {mine, reviewed}
    desk.show_all(reviewed)
    desk.do.take(REVIEWER, reviewed, "approve")
    assert _numbers(inboxes.page(REVIEWER)) == []
    assert set(_numbers(inboxes.page(CENTRE))) == {mine, reviewed}


def test_a_page_says_where_it_goes_on_and_how_many_wait(desk: Desk) -> None:
    numbers = [desk.submit(REVIEWED) for _ in range(3)]

    first = desk.licensing.inbox.page(REVIEWER, limit=2, count=True)
    second = desk.licensing.inbox.page(REVIEWER, after=first["next"], limit=2)

    assert _numbers(first) + _numbers(second) == numbers
    assert first["count"] == "3"
    assert second["next"] is None


def test_an_escalated_case_comes_first(desk: Desk) -> None:
    late = desk.submit(REVIEWED)
    desk.later(days=20)
    fresh = desk.submit(REVIEWED)
    assert _numbers(desk.licensing.inbox.page(REVIEWER)) == [late, fresh]

    with desk.database.transaction() as session:
        session.execute(text("UPDATE case_file SET escalated = true WHERE number = :n"), {"n": fresh})

    assert _numbers(desk.licensing.inbox.page(REVIEWER)) == [fresh, late]


def test_of_two_who_take_a_case_at_once_the_second_is_told(desk: Desk) -> None:
    number = desk.submit(REVIEWED)
    seen = desk.case(number)["version"]

    taken = desk.licensing.inbox.assign(REVIEWER, number, REVIEWER.actor, new_key(), seen).body

    assert taken["assignee"] == "person/reviewer"
    with pytest.raises(Stale):
        desk.licensing.inbox.assign(REVIEWER_HERE, number, REVIEWER_HERE.actor, new_key(), seen)
    assert _numbers(desk.licensing.inbox.page(REVIEWER, mine=True)) == [number]
    assert _numbers(desk.licensing.inbox.page(REVIEWER_HERE, mine=True)) == []
    assert _numbers(desk.licensing.inbox.page(REVIEWER_HERE, unassigned=True)) == []
    assert [entry["action"] for entry in desk.case(number)["journal"]][-1] == "assigned"
    assert desk.count(f"event WHERE kind = 'case.assigned' AND subject = 'case/{number}'") == 1


def test_an_assignment_is_given_back_and_repeats_under_its_key(desk: Desk) -> None:
    number, key = desk.submit(REVIEWED), new_key()
    desk.licensing.inbox.assign(REVIEWER, number, REVIEWER.actor, new_key())

    first = desk.licensing.inbox.assign(REVIEWER, number, None, key)
    again = desk.licensing.inbox.assign(REVIEWER, number, None, key)

    assert first.body["assignee"] is None
    assert again.replayed
    assert again.body == first.body


def test_a_case_is_assigned_only_to_who_can_work_on_it(desk: Desk, database: Database) -> None:
    number = desk.submit(REVIEWED)
    with database.transaction() as session:
        for name, roles, places in (
            ("able", ["reviewer"], []),
            ("elsewhere", ["reviewer"], ["حي الملز"]),
            ("other", ["finance"], []),
        ):
            session.execute(
                text(
                    "INSERT INTO person (username, password_hash, roles, places, enabled, created) "
                    "VALUES (:name, 'x', :roles, :places, true, now())"
                ),
                {"name": name, "roles": roles, "places": places},
            )

    for to in ("person/elsewhere", "person/other", "person/nobody", "able", "system/engine"):
        with pytest.raises(InvalidInput):
            desk.licensing.inbox.assign(REVIEWER, number, to, new_key())
    assert desk.licensing.inbox.assign(REVIEWER, number, "person/able", new_key()).body["assignee"] == (
        "person/able"
    )


def test_nobody_assigns_what_waits_for_another_desk(desk: Desk) -> None:
    number = desk.submit(REVIEWED)

    with pytest.raises(PermissionDenied):
        desk.licensing.inbox.assign(CENTRE, number, CENTRE.actor, new_key())
    with pytest.raises(NotFound):
        desk.licensing.inbox.assign(OTHER_CENTRE, number, OTHER_CENTRE.actor, new_key())
    with pytest.raises(NotFound):
        desk.licensing.inbox.assign(REVIEWER_ELSEWHERE, number, REVIEWER_ELSEWHERE.actor, new_key())
    desk.do.take(REVIEWER, number, "reject")
    with pytest.raises(Conflict):
        desk.licensing.inbox.assign(REVIEWER, number, REVIEWER.actor, new_key())


def test_a_comment_is_sealed_and_its_chain_holds_a_hash_of_it(desk: Desk) -> None:
    number = desk.submit(REVIEWED)
    said = f"اتصلت بـ {OWNER}\nوستحضر الأصل."

    answer = desk.licensing.inbox.comment(REVIEWER, number, said, new_key())

    assert [each["text"] for each in desk.licensing.inbox.comments(REVIEWER, number)] == [said]
    entry = desk.case(number)["journal"][-1]
    assert entry["action"] == "commented"
    assert len(entry["details"]["comment"]) == 64
    with desk.database.transaction() as session:
        for table in ("case_comment", "audit", "event", "idempotency"):
            for row in session.scalars(text(f"SELECT CAST({table} AS text) FROM {table}")):
                assert OWNER not in row
                assert OWNER.encode().hex() not in row
    assert OWNER not in json.dumps(answer.body, ensure_ascii=False)


def test_a_centre_sees_why_its_case_came_back_and_not_what_officers_say_among_themselves(desk: Desk) -> None:
    number = desk.submit(REVIEWED)
    desk.licensing.inbox.comment(REVIEWER, number, "Is this the shop of the last complaint?", new_key())
    desk.licensing.inbox.comment(CENTRE, number, "The owner waits here.", new_key())
    desk.do.take(REVIEWER, number, "send_back", comment="The photograph shows another street.")

    seen = [each["text"] for each in desk.licensing.inbox.comments(CENTRE, number)]

    assert seen == ["The owner waits here.", "The photograph shows another street."]
    assert len(desk.licensing.inbox.comments(SUPERVISOR, number)) == 3


def test_who_only_reads_says_nothing(desk: Desk) -> None:
    number = desk.submit(REVIEWED)

    with pytest.raises(PermissionDenied):
        desk.licensing.inbox.comment(AUDITOR, number, "I was here.", new_key())
    with pytest.raises(NotFound):
        desk.licensing.inbox.comment(OTHER_CENTRE, number, "I was here.", new_key())
    for said in ("", "  ", "x" * 2_001, "turned \u202e round"):
        with pytest.raises(InvalidInput):
            desk.licensing.inbox.comment(REVIEWER, number, said, new_key())


def test_mine_and_nobodys_are_not_asked_together(desk: Desk) -> None:
    with pytest.raises(InvalidInput):
        desk.licensing.inbox.page(REVIEWER, mine=True, unassigned=True)
