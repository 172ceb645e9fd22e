"""The desk for cases: applications one by one and in bulk, procedures on licences, lists, what they cost."""

from pathlib import Path

import pytest
from sqlalchemy import event

from foundation.database import Database
from foundation.errors import Conflict, InvalidInput, Malformed, NotFound, PermissionDenied
from foundation.identity import Caller
from tests.integrations.desk import (
    APPLICANT,
    CENTRE,
    FORM,
    OTHER_APPLICANT,
    REVIEWED,
    Desk,
    message,
    open_desk,
)

# Of submitting, quoting, billing and paying, all four.
MOST_STATEMENTS = 33


def test_the_list_of_cases_is_read_page_by_page_without_loss(desk: Desk) -> None:
    numbers = [desk.submit() for _ in range(5)]
    seen: list[str] = []
    after = None
    while True:
        page = desk.licensing.cases.cases(CENTRE, after, 2)
        seen += [case["number"] for case in page["items"]]
        after = page["next"]
        if after is None:
            break
        # What is opened meanwhile stands before the page and shifts nothing.
        desk.submit()
    assert seen == list(reversed(numbers))


@pytest.mark.parametrize("cursor", ["x", "%%%", "Y2FzZTp4", "é", "Y2FzZTo5OTk5OTk5OTk5OTk5OTk5OTk5OTk"])
def test_a_cursor_that_is_none_of_ours_is_refused(desk: Desk, cursor: str) -> None:
    with pytest.raises(Malformed):
        desk.licensing.cases.cases(CENTRE, cursor)


def test_an_application_with_wrong_fields_names_each_in_both_languages(desk: Desk) -> None:
    form = {**FORM, "area_m2": 6000, "postal_code": "1", "colour": "red"}
    del form["street"]
    with pytest.raises(InvalidInput) as caught:
        desk.do.submit(CENTRE, message(form, applicant={**APPLICANT, "identifier": "1058529941"}))
    told = {field.pointer: (field.detail, field.detail_ar) for field in caught.value.fields}
    assert told["/form/area_m2"] == ("Area must be at most 5000.", "يجب ألا يزيد «المساحة» على 5000.")
    assert told["/form/postal_code"][1] == "الرمز البريدي خمسة أرقام."
    assert told["/form/street"] == ("Street is missing.", "«الشارع» مطلوب.")
    assert told["/form/colour"][0] == "The service has no such field."
    assert "check digit" in told["/applicant/identifier"][0]
    assert desk.count("case_file") == 0


def test_a_bulk_submission_stops_at_no_row_that_is_refused(desk: Desk) -> None:
    rows = [
        message(),
        message({**FORM, "years": 9}),
        {**message(), "service": "shop"},
        {**message(), "colour": "red"},
        message(REVIEWED),
    ]
    answer = desk.licensing.cases.submit_many(CENTRE, rows, "bulk-1")
    told = answer.body["rows"]
    assert [row["status"] for row in told] == [201, 422, 404, 400, 201]
    assert [told[n]["body"]["number"] for n in (0, 4)] == ["SC-2026-000001", "SC-2026-000002"]
    assert told[1]["problem"]["errors"][0]["pointer"] == "/form/years"
    assert "مدة الرخصة" in told[1]["problem"]["errors"][0]["detail_ar"]
    # The same key again gives the same rows, and opens nothing anew.
    assert desk.licensing.cases.submit_many(CENTRE, rows, "bulk-1").body == answer.body
    assert desk.count("case_file") == 2


@pytest.mark.parametrize("rows", [0, 201])
def test_a_bulk_submission_has_one_to_two_hundred_rows(desk: Desk, rows: int) -> None:
    with pytest.raises(Malformed, match=f"not {rows}"):
        desk.licensing.cases.submit_many(CENTRE, [message()] * rows, "bulk-1")
    with pytest.raises(Malformed, match="Idempotency-Key"):
        desk.licensing.cases.submit_many(CENTRE, [message()], None)


@pytest.mark.parametrize(
    "wrong", [{"licence": 7}, {"parent": ["SL"]}, {"procedure": {}}, {"service": None}, {"colour": "red"}]
)
def test_a_message_that_is_none_is_malformed(desk: Desk, wrong: dict[str, object]) -> None:
    with pytest.raises(Malformed):
        desk.do.submit(CENTRE, {**message(), **wrong})


def test_the_office_suspends_a_licence_without_an_applicant_and_only_it(desk: Desk) -> None:
    _, licence = desk.issued()
    grounds = {"grounds": "لم يُعرض المحل للمعاينة في موعده."}
    said = message(grounds, applicant=None, procedure="suspend", licence=licence)
    with pytest.raises(PermissionDenied):
        desk.do.submit(CENTRE, said)
    opener = desk.licensing.services.get("shop_licence").flow_of("suspend").opening
    officer = Caller("officer", "person", frozenset(opener.roles))
    with pytest.raises(InvalidInput, match="begins this procedure"):
        desk.do.submit(officer, {**said, "applicant": APPLICANT})
    case = desk.case(str(desk.do.submit(officer, said).body["number"]))
    assert (case["licence"], case["procedure"], case["place"]) == (licence, "suspend", FORM["district"])
    assert case["applicant"]["identifier"] == APPLICANT["identifier"]
    with pytest.raises(Conflict, match=case["number"]):
        desk.do.submit(officer, said)


def test_a_procedure_on_a_licence_names_one_and_one_that_makes_it_names_none(desk: Desk) -> None:
    _, licence = desk.issued()
    for wrong in (
        message({}, procedure="copy"),
        {**message(), "licence": licence},
        {**message(), "parent": licence},
    ):
        with pytest.raises(InvalidInput):
            desk.do.submit(CENTRE, wrong)
    with pytest.raises(NotFound, match="no such procedure"):
        desk.do.submit(CENTRE, message(procedure="bless"))
    number = desk.submit({}, procedure="copy", licence=licence)
    assert desk.case(number)["licence"] == licence


def test_nobody_acts_on_anothers_licence(desk: Desk) -> None:
    _, licence = desk.issued()
    with pytest.raises(PermissionDenied, match="another's"):
        desk.do.submit(CENTRE, message({}, applicant=OTHER_APPLICANT, procedure="copy", licence=licence))


def test_the_list_of_cases_is_filtered(desk: Desk) -> None:
    number, licence = desk.issued()
    other, _ = desk.submit(REVIEWED), desk.submit({}, procedure="copy", licence=licence)
    found = desk.licensing.cases.cases(CENTRE, state="under_review")["items"]
    assert [case["number"] for case in found] == [other]
    of_licence = desk.licensing.cases.cases(CENTRE, licence=licence)["items"]
    assert [case["procedure"] for case in of_licence] == ["copy", "issue"]
    assert of_licence[1]["number"] == number
    assert desk.licensing.cases.cases(CENTRE, service="exam_card")["items"] == []


def test_an_immediate_licence_costs_few_statements(database: Database, tmp_path: Path) -> None:
    desk = open_desk(database, tmp_path, cache_s=60.0)
    # The first licence of a list begins the list.
    desk.issued(reference="ref-0")
    desk.billed()
    seen: list[str] = []
    event.listen(database.engine, "before_cursor_execute", lambda *said: seen.append(said[2]))
    number = desk.submit()
    desk.do.quote(CENTRE, number)
    bill = desk.do.invoice(CENTRE, number).body
    desk.pay(bill["bill_number"], bill["amount"])
    assert len(seen) <= MOST_STATEMENTS, "\n".join(seen)
    assert desk.state(number) == "issued"


def test_the_round_of_the_worker_does_what_is_due(desk: Desk) -> None:
    number = desk.submit()
    desk.later(days=60)
    desk.licensing.rounds()
    assert desk.state(number) == "lapsed"
