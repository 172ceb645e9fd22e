"""The engine's rules, each on a service that shows them: `engine_definitions/engine_probe.yaml`."""

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from foundation.database import Database
from foundation.errors import Conflict, InvalidInput, NotFound, PermissionDenied, Stale
from foundation.identity import Caller
from tests.integrations.desk import (
    APPLICANT,
    AUDITOR,
    CENTRE,
    KIOSK,
    OTHER_APPLICANT,
    OTHER_CENTRE,
    REVIEWER,
    Desk,
    message,
    open_desk,
)
from tests.integrations.engine_probing import CHIEF, CLERK, PROBE, answer, judged, kinds, names, opened


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    """An office with the engine's own service."""
    return open_desk(database, tmp_path, (Path(__file__).parent / "engine_definitions",))


def test_a_case_shows_each_caller_what_he_may_do(desk: Desk) -> None:
    number = opened(desk)
    assert names(desk.licensing.cases.case(REVIEWER, number)) == ["send_back"]
    assert names(desk.licensing.cases.case(CENTRE, number)) == []
    answer(desk, number, "passed")
    assert names(desk.licensing.cases.case(REVIEWER, number)) == ["judge", "send_back"]
    assert names(desk.licensing.cases.case(CHIEF, number)) == ["send_back", "refuse"]
    assert names(desk.licensing.cases.case(AUDITOR, number)) == []


def test_an_answer_that_fails_moves_the_case_by_itself(desk: Desk) -> None:
    number = opened(desk)
    answer(desk, number, "failed")
    case = desk.case(number)
    assert (case["state"], case["final"], case["actions"]) == ("refused", True, [])
    assert [(entry["action"], entry["actor"]) for entry in case["journal"]] == [
        ("file", CENTRE.actor),
        ("answered", "system/backends"),
        ("refuse_unknown", "system/engine"),
    ]
    assert case["journal"][1]["details"] == {"check": "register", "answer": "failed", "detail": "R-1"}
    assert kinds(desk, number) == ["case.submitted", "case.answered", "case.moved"]
    assert desk.breaks() == []


def test_an_action_waits_for_the_answer_that_it_needs(desk: Desk) -> None:
    number = opened(desk)
    desk.do.put(CENTRE, number, "drawing")
    with pytest.raises(Conflict, match="does not allow 'Judge'"):
        desk.do.take(REVIEWER, number, "judge")
    answer(desk, number, "passed")
    assert desk.do.take(REVIEWER, number, "judge").body["state"] == "judged"


def test_the_checklist_has_to_be_complete_and_what_lacks_is_named_in_both_languages(desk: Desk) -> None:
    number = opened(desk)
    answer(desk, number, "passed")
    with pytest.raises(Conflict, match="lacks: Drawing") as caught:
        desk.do.take(REVIEWER, number, "judge")
    assert "المخطط" in caught.value.message_ar
    desk.do.put(CENTRE, number, "drawing")
    desk.do.take(REVIEWER, number, "judge")
    assert desk.state(number) == "judged"


def test_who_opened_a_case_does_not_judge_it(desk: Desk) -> None:
    number = opened(desk, CLERK)
    answer(desk, number, "passed")
    desk.do.put(CLERK, number, "drawing")
    with pytest.raises(PermissionDenied, match="not for who opened") as caught:
        desk.do.take(CLERK, number, "judge")
    assert "شخص آخر" in caught.value.message_ar
    assert "judge" not in names(desk.licensing.cases.case(CLERK, number))
    desk.do.take(REVIEWER, number, "judge")


@pytest.mark.parametrize("comment", [None, "", "   "])
def test_an_action_that_needs_a_reason_is_refused_without_one(desk: Desk, comment: str | None) -> None:
    number = opened(desk)
    with pytest.raises(InvalidInput) as caught:
        desk.do.take(REVIEWER, number, "send_back", comment=comment)
    assert caught.value.fields[0].pointer == "/comment"
    assert "السبب" in caught.value.message_ar
    assert desk.state(number) == "filed"


def test_a_reason_is_kept_and_the_journal_holds_only_its_digest(desk: Desk) -> None:
    number = opened(desk)
    desk.do.take(REVIEWER, number, "send_back", comment="اسم الحارس ناقص")
    case = desk.case(number)
    assert case["comments"] == 1
    assert len(case["journal"][-1]["details"]["comment"]) == 64
    assert "الحارس" not in str(case["journal"])


def test_the_applicant_changes_only_what_the_action_lets_him(desk: Desk) -> None:
    number = opened(desk)
    desk.do.take(REVIEWER, number, "send_back", comment="المساحة")
    with pytest.raises(InvalidInput) as caught:
        desk.do.take(CENTRE, number, "refile", form={"zone": "حي الملز"})
    assert caught.value.fields[0].pointer == "/form/zone"
    with pytest.raises(InvalidInput) as caught:
        desk.do.take(CENTRE, number, "refile", form={"size_m2": 0})
    assert [(f.pointer, f.detail) for f in caught.value.fields] == [
        ("/form/size_m2", "Size must be at least 1.")
    ]
    desk.do.take(CENTRE, number, "refile", form={"size_m2": 20.25, "keeper": None, "subject": "مظلة جديدة"})
    case = desk.case(number)
    assert case["form"] == {"subject": "مظلة جديدة", "zone": PROBE["zone"], "size_m2": 20.25}
    assert case["intact"]
    # What was changed is as much a part of the journal as what was submitted.
    with desk.database.transaction() as session:
        session.execute(text("UPDATE case_file SET form = jsonb_set(form, '{size_m2}', '12.5')"))
    assert not desk.case(number)["intact"]


def test_an_action_that_takes_no_changes_refuses_them(desk: Desk) -> None:
    with pytest.raises(InvalidInput, match="not changed by this action"):
        desk.do.take(REVIEWER, opened(desk), "send_back", comment="انظر", form={"subject": "سور"})


def test_what_was_answered_of_an_earlier_form_is_asked_again(desk: Desk) -> None:
    number = opened(desk)
    answer(desk, number, "passed")
    desk.do.take(REVIEWER, number, "send_back", comment="المساحة")
    desk.do.take(CENTRE, number, "refile", form={"size_m2": 20})
    assert [check["answer"] for check in desk.case(number)["checks"]] == [None]
    assert desk.count("case_call") == 2
    desk.do.put(CENTRE, number, "drawing")
    with pytest.raises(Conflict):
        desk.do.take(REVIEWER, number, "judge")


def test_the_role_is_asked_before_anything_of_the_state_is_told(desk: Desk) -> None:
    number = opened(desk)
    for version in (None, 1, 7):
        with pytest.raises(PermissionDenied):
            desk.do.take(CENTRE, number, "judge", version=version)
    with pytest.raises(PermissionDenied):
        desk.do.take(REVIEWER, number, "grant")
    with pytest.raises(Conflict):
        desk.do.take(CHIEF, number, "grant")


@pytest.mark.parametrize("action", ["refuse_unknown", "expire", "deem", "file", "bless"])
def test_nobody_takes_what_the_engine_or_the_clock_takes(desk: Desk, action: str) -> None:
    everybody = Caller("all", "person", frozenset({"reviewer", "chief", "centre", "administrator"}))
    with pytest.raises(NotFound):
        desk.do.take(everybody, opened(desk), action)


def test_a_version_that_was_overtaken_is_refused_after_the_role(desk: Desk) -> None:
    number = opened(desk)
    with pytest.raises(Stale, match="at version 1, not 2"):
        desk.do.take(REVIEWER, number, "send_back", version=2, comment="المخطط")
    desk.do.take(REVIEWER, number, "send_back", version=1, comment="المخطط")


def test_an_application_by_another_channel_is_refused_and_told_where(desk: Desk) -> None:
    kiosk = Caller("kiosk-1", "client", frozenset({"kiosk", "reviewer"}))
    with pytest.raises(PermissionDenied, match="not offered at a kiosk") as caught:
        desk.do.submit(kiosk, message(PROBE, "engine_probe"))
    assert "مراكز الخدمة" in caught.value.message_ar
    with pytest.raises(PermissionDenied):
        desk.do.submit(KIOSK, message(PROBE, "engine_probe"))
    assert desk.count("case_file") == 0


def test_an_agent_without_a_delegation_opens_nothing(desk: Desk) -> None:
    actor = {name: OTHER_APPLICANT[name] for name in ("kind", "identifier", "name")}
    applicant = {**APPLICANT, "capacity": "agent", "actor": actor}
    with pytest.raises(PermissionDenied):
        desk.do.submit(CENTRE, message(PROBE, "engine_probe", applicant))
    assert desk.count("case_file") == 0


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"capacity": "agent"}, "/applicant/actor"),
        (
            {"actor": {"kind": "national_id", "identifier": "1001244019", "name": "عبدالله"}},
            "/applicant/actor",
        ),
        ({"capacity": "guardian"}, "/applicant/capacity"),
        (
            {"capacity": "agent", "actor": {"kind": "iqama", "identifier": "1001244019", "name": "عبدالله"}},
            "/applicant/actor/identifier",
        ),
        (
            {
                "capacity": "agent",
                "actor": {"kind": "unified_number", "identifier": "7001244019", "name": "شركة"},
            },
            "/applicant/actor/kind",
        ),
    ],
)
def test_who_acts_for_whom_has_to_be_said_rightly(desk: Desk, change: dict[str, Any], pointer: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        desk.do.submit(CENTRE, message(PROBE, "engine_probe", {**APPLICANT, **change}))
    assert [field.pointer for field in caught.value.fields] == [pointer]


def test_a_case_of_another_place_or_centre_is_not_seen(desk: Desk) -> None:
    number = opened(desk)
    here = Caller("here", "person", frozenset({"reviewer"}), frozenset({PROBE["zone"]}))
    elsewhere = Caller("there", "person", frozenset({"reviewer"}), frozenset({"حي الملز"}))
    assert desk.licensing.cases.case(here, number)["place"] == PROBE["zone"]
    for caller in (elsewhere, OTHER_CENTRE, KIOSK):
        with pytest.raises(NotFound):
            desk.licensing.cases.case(caller, number)
        assert desk.licensing.cases.cases(caller)["items"] == []
        with pytest.raises(NotFound):
            desk.do.take(caller, number, "send_back", comment="انظر")
    assert [row["number"] for row in desk.licensing.cases.cases(here)["items"]] == [number]


def test_what_says_something_of_a_person_lies_sealed_and_nowhere_else(desk: Desk) -> None:
    number = judged(desk)
    desk.do.take(CHIEF, number, "grant")
    with desk.database.transaction() as session:
        tables = session.execute(
            text(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename <> 'procrastinate'"
            )
        ).scalars()
        rows = [
            str(
                session.execute(
                    text(f"SELECT coalesce(json_agg(t), '[]') FROM \"{table}\" AS t")
                ).scalar_one()
            )
            for table in tables
        ]
    written = " ".join(rows)
    for marker in (APPLICANT["identifier"], APPLICANT["mobile"], APPLICANT["name"], PROBE["keeper"]):
        assert marker not in written
    assert PROBE["subject"] in written
