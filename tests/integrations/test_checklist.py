"""The checklist says what is missing before an action refuses, and asks for no papers that nobody reads."""

from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import event

from foundation.database import Database
from foundation.errors import Conflict
from integrations.cases import checklist
from integrations.cases.conditions import Condition, Facts
from tests.integrations.desk import (
    APPLICANT,
    CENTRE,
    FORM,
    OTHER_APPLICANT,
    PRIVACY,
    REVIEWED,
    REVIEWER,
    Desk,
    new_key,
    open_desk,
)

ALWAYS = {"lease_or_deed", "shopfront_photo", "building_permit"}


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    return open_desk(database, tmp_path)


def _needed(desk: Desk, number: str) -> set[str]:
    return {each["code"] for each in desk.licensing.files.list(CENTRE, number) if each["needed"]}


def _missing(desk: Desk, number: str) -> list[dict[str, Any]]:
    items = desk.licensing.files.list(CENTRE, number)
    return [each for each in items if each["needed"] and not each["present"]]


def test_what_the_checklist_says_is_missing_is_what_the_approval_refuses(desk: Desk) -> None:
    number = desk.submit(REVIEWED)
    assert _needed(desk, number) == {*ALWAYS, "safety_report"}

    while missing := _missing(desk, number):
        with pytest.raises(Conflict) as refused:
            desk.do.take(REVIEWER, number, "approve")
        named = refused.value.message.partition("lacks: ")[2].rstrip(".").split(", ")
        assert named == [each["title"]["en"] for each in missing]
        desk.do.put(CENTRE, number, missing[0]["code"])

    desk.do.take(REVIEWER, number, "approve")
    assert _needed(desk, number) == set()
    assert {each["code"] for each in desk.licensing.files.list(CENTRE, number) if each["present"]} == {
        *ALWAYS,
        "safety_report",
    }


def test_an_immediate_activity_needs_no_papers_at_any_step(desk: Desk) -> None:
    number = desk.submit(FORM)

    assert _needed(desk, number) == set()
    desk.do.quote(CENTRE, number)
    desk.do.invoice(CENTRE, number)
    assert _needed(desk, number) == set()


def test_a_condition_is_judged_on_the_form_as_it_stands(desk: Desk) -> None:
    number = desk.submit({**REVIEWED, "activity": "473001", "area_m2": 90})
    assert "safety_report" in _needed(desk, number)

    desk.do.take(REVIEWER, number, "send_back", comment="صحّح النشاط.")
    assert "safety_report" in _needed(desk, number)
    desk.do.take(CENTRE, number, "resubmit", form={"activity": "107101", "area_m2": 499.99})
    assert _needed(desk, number) == set()


def test_a_procedure_asks_for_its_own_papers_alone(desk: Desk) -> None:
    _, licence = desk.issued()
    changed = {"trade_name": "مخبز الفجر", "activity": "107101"}

    small = desk.submit({**changed, "area_m2": 120}, procedure="amend", licence=licence)
    assert _needed(desk, small) == {"shopfront_photo"}
    desk.do.take(REVIEWER, small, "reject", comment="الاسم محجوز.")
    large = desk.submit({**changed, "area_m2": 700}, procedure="amend", licence=licence)
    assert _needed(desk, large) == {"shopfront_photo", "safety_report"}


def test_a_procedure_without_papers_and_a_closed_case_need_none(desk: Desk) -> None:
    _, licence = desk.issued()
    party = {key: value for key, value in OTHER_APPLICANT.items() if key in APPLICANT}
    transfer = desk.submit({"new_holder": party}, procedure="transfer", licence=licence)
    assert _needed(desk, transfer) == {"transfer_deed"}
    desk.do.take(REVIEWER, transfer, "reject", comment="لا صفة للمتقدم.")
    assert _needed(desk, transfer) == set()

    copy = desk.submit({}, procedure="copy", licence=licence)
    assert desk.licensing.files.list(CENTRE, copy) == []


def test_an_erased_case_needs_nothing_and_still_says_what_was_there(desk: Desk) -> None:
    number = desk.submit(REVIEWED)
    desk.do.put(CENTRE, number, "lease_or_deed")
    desk.do.take(REVIEWER, number, "reject")
    desk.licensing.people.erase(PRIVACY, number, "طلب صاحب البيانات.", new_key())

    assert _needed(desk, number) == set()
    (lease,) = [each for each in desk.licensing.files.list(CENTRE, number) if each["present"]]
    assert (lease["code"], lease["document"]["erased"]) == ("lease_or_deed", True)


def test_a_document_that_comes_while_the_checklist_is_read_is_in_it_whole_or_not_at_all(desk: Desk) -> None:
    number, came = desk.submit(REVIEWED), list[str]()

    def come(*said: Any) -> None:
        if "FROM case_document" in said[2] and not came:
            came.append(number)
            desk.do.put(CENTRE, number, "lease_or_deed")

    event.listen(desk.database.engine, "after_cursor_execute", come)
    items = desk.licensing.files.list(CENTRE, number)
    event.remove(desk.database.engine, "after_cursor_execute", come)

    assert came == [number]
    assert [each["document"] for each in items if each["present"]] == []
    (lease,) = [each for each in desk.licensing.files.list(CENTRE, number) if each["present"]]
    assert lease["document"]["name"] == "lease_or_deed.png"


# Two fields of the form, a fact that changes, an action and a back-end's answer.
_LEAVES = st.sampled_from(
    [
        {"field": "area_m2", "at_least": 500},
        {"field": "activity.immediate", "equals": True},
        {"field": "quote.free", "equals": True},
        {"done": "approve"},
        {"check": "register", "is": "passed"},
    ]
)
_CONDITIONS = st.recursive(
    _LEAVES,
    lambda inner: st.one_of(
        inner.map(lambda part: {"not": part}),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"all": parts}),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"any": parts}),
    ),
    max_leaves=6,
)
_FORMS = st.fixed_dictionaries({"area_m2": st.sampled_from([None, 20, 500]), "immediate": st.booleans()})


def _futures(form: dict[str, Any], edited: bool) -> Iterator[Facts]:
    areas = [None, 20, 500] if edited else [form["area_m2"]]
    immediates = [True, False] if edited else [form["immediate"]]
    for area, immediate, free, done, said in product(
        areas, immediates, [True, False], [frozenset({"approve"}), frozenset[str]()], ["passed", "failed"]
    ):
        fields = {"area_m2": area, "activity.immediate": immediate, "quote.free": free}
        yield Facts(fields, done, {"register": said})


@given(said=_CONDITIONS, form=_FORMS, edited=st.booleans())
def test_no_truth_that_a_condition_can_come_to_is_ruled_out(
    said: dict[str, Any], form: dict[str, Any], edited: bool
) -> None:
    condition = Condition.model_validate(said)
    known = Facts({"area_m2": form["area_m2"], "activity.immediate": form["immediate"], "quote.free": False})

    possible = checklist._possible(condition, known, edited)

    assert {condition.holds(future) for future in _futures(form, edited)} <= possible
    # What rests on the form alone is known exactly.
    if not edited and not {"quote.free", "done", "check"} & set(_words(said)):
        assert possible == {condition.holds(known)}


def _words(said: Any) -> Iterator[str]:
    if isinstance(said, dict):
        for key, value in said.items():
            yield from (key, *_words(value))
    elif isinstance(said, list):
        for each in said:
            yield from _words(each)
    elif isinstance(said, str):
        yield said
