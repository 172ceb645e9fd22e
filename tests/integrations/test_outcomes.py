"""Every outcome of a procedure, through the real engine on a real database."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, text

from foundation.calendar import add_years
from foundation.database import Database
from foundation.definitions import Bilingual, parse_yaml
from foundation.errors import Conflict, InvalidInput
from foundation.wire.credential import Status, open_credential, read_claims
from foundation.working_time import Closure
from integrations.cases.case import Work
from integrations.cases.definitions import Definitions
from integrations.cases.engine import Engine
from integrations.licences import outcomes
from integrations.licences.licence import Licence, status_on, versions
from integrations.service import Service
from tests.integrations.licence_office import (
    BUYER,
    CENTRE,
    FORMS,
    KEEPER,
    OWNER,
    STALL,
    LicenceOffice,
    definition,
    open_licence_office,
)


@pytest.fixture
def office(database: Database, tmp_path: Path) -> LicenceOffice:
    return open_licence_office(database, tmp_path)


def opened(office: LicenceOffice, licence: Licence) -> dict[str, Any]:
    assert licence.personal is not None
    return office.office.vault.open(licence.personal, licence.context)


def rows(office: LicenceOffice, licence: Licence) -> list[Any]:
    with office.database.transaction() as session:
        return list(versions(session, licence))


def test_an_issue_writes_the_licence_its_version_its_credential_and_orders_the_paper(
    office: LicenceOffice,
) -> None:
    stall = office.do("stall", "issue")
    assert stall.number == "STL-2026-000001"
    assert (stall.version, stall.copies, stall.status, stall.excused) == (1, 0, "valid", False)
    assert stall.valid_from == office.day
    assert stall.valid_to == add_years(office.day, 1, "umm_al_qura") - timedelta(days=1)
    assert stall.calendar == "umm_al_qura"
    credential = open_credential(stall.credential, office.keys(), today=office.day)
    assert (credential.status, credential.claims.number) == (Status.VALID, stall.number)
    assert credential.claims.public == {"name": "بسطة الندى"}
    assert [line["value"]["ar"] for line in stall.lines] == ["بسطة الندى"]
    held = opened(office, stall)
    assert held["holder"] == OWNER
    assert held["form"] == {"keeper": KEEPER}
    assert [line["value"]["ar"] for line in held["lines"]] == [OWNER["name"], KEEPER]
    assert stall.subject == office.office.vault.subject("national_id", OWNER["identifier"])
    (row,) = rows(office, stall)
    assert (row.version, row.outcome, row.credential, row.personal) == (
        1,
        "issue",
        stall.credential,
        stall.personal,
    )
    (event,) = office.events(stall.context)
    assert event[0] == "licence.issued"
    assert event[1] == {
        "number": stall.number,
        "case": "STC-2026-000001",
        "service": "stall",
        "version": 1,
        "valid_from": stall.valid_from.isoformat(),
        "valid_to": stall.valid_to.isoformat(),
        "status": "valid",
    }
    assert office.journal("STC-2026-000001")["licence"] == stall.number


def test_nothing_of_a_person_lies_open_in_what_an_issue_wrote(office: LicenceOffice) -> None:
    office.do("stall", "issue")
    with office.database.transaction() as session:
        for table in ("licence", "licence_version", "event", "audit", "procrastinate_jobs"):
            written = "\n".join(
                str(row) for row in session.execute(text(f"SELECT t::text FROM {table} t")).scalars()
            )
            for secret in (OWNER["identifier"], OWNER["name"], OWNER["mobile"], KEEPER):
                assert secret not in written, table


def test_a_case_is_fulfilled_once(office: LicenceOffice) -> None:
    stall = office.do("stall", "issue")
    (row,) = rows(office, stall)
    with pytest.raises(Conflict), office.database.transaction() as session:
        session.execute(
            text(
                "INSERT INTO licence_version SELECT case_id, licence_id, 2, copy, outcome, status, subject, "
                "valid_from, valid_to, NULL, NULL, NULL, NULL, made_at FROM licence_version"
            )
        )
    assert rows(office, stall) == [row]


def test_a_renewal_counts_from_the_old_end_and_leaves_no_day_uncovered(office: LicenceOffice) -> None:
    stall = office.do("stall", "issue")
    office.pass_days((stall.valid_to - office.day).days - 30)
    renewed = office.on(stall, "renew", form={"years": 2})
    assert renewed.number == stall.number
    assert renewed.valid_from == office.day
    next_day = stall.valid_to + timedelta(days=1)
    assert renewed.valid_to == add_years(next_day, 2, "umm_al_qura") - timedelta(days=1)
    assert renewed.version == 2
    assert renewed.form["name"] == "بسطة الندى"
    assert opened(office, renewed)["holder"] == OWNER
    credential = open_credential(renewed.credential, office.keys(), today=office.day)
    assert (credential.status, credential.claims.valid_to) == (Status.VALID, renewed.valid_to)
    assert office.events(stall.context)[-1][0] == "licence.renewed"


def test_who_renews_late_gains_no_day_by_it(office: LicenceOffice) -> None:
    stall = office.do("stall", "issue")
    office.pass_days((stall.valid_to - office.day).days + 40)
    assert status_on(stall, office.day) == "expired"
    renewed = office.on(stall, "renew", form={"years": 1})
    next_day = stall.valid_to + timedelta(days=1)
    assert renewed.valid_from == next_day
    assert renewed.valid_to == add_years(next_day, 1, "umm_al_qura") - timedelta(days=1)


def test_what_lapsed_by_our_own_fault_is_renewed_from_the_day_it_is_granted_and_without_a_limit(
    office: LicenceOffice,
) -> None:
    stall = office.do("stall", "issue")
    office.pass_days((stall.valid_to - office.day).days + 120)
    assert "was possible until" in str(office.refused(stall, "renew", form={"years": 1}))
    excused = office.on(stall, "excuse")
    assert (excused.excused, excused.version) == (True, 1)
    renewed = office.on(stall, "renew", form={"years": 1})
    assert renewed.valid_from == office.day
    assert renewed.valid_to == add_years(office.day, 1, "umm_al_qura") - timedelta(days=1)
    assert renewed.excused is False


def test_a_renewal_is_refused_before_its_window_opens(office: LicenceOffice) -> None:
    stall = office.do("stall", "issue")
    first = stall.valid_to - timedelta(days=30)
    office.pass_days((first - office.day).days - 1)
    error = office.refused(stall, "renew", form={"years": 1})
    assert f"from {first.day} " in error.message
    office.pass_days(1)
    assert office.on(stall, "renew", form={"years": 1}).version == 2


def test_our_outage_prolongs_the_window_of_a_renewal(office: LicenceOffice) -> None:
    stall = office.do("stall", "issue")
    limit = stall.valid_to + timedelta(days=90)
    office.pass_days((limit - office.day).days + 2)
    office.refused(stall, "renew", form={"years": 1})
    starts = datetime(limit.year, limit.month, limit.day, tzinfo=UTC) - timedelta(days=14)
    office.closures.append(
        Closure(starts, starts + timedelta(days=7), Bilingual(ar="عطل", en="Outage"), ours=True)
    )
    assert office.on(stall, "renew", form={"years": 1}).version == 2


def test_an_amendment_keeps_number_and_validity_and_seals_anew(office: LicenceOffice) -> None:
    stall = office.do("stall", "issue")
    office.pass_days(10)
    amended = office.on(stall, "amend", form={"name": "بسطة الورد"})
    assert (amended.number, amended.valid_from, amended.valid_to) == (
        stall.number,
        stall.valid_from,
        stall.valid_to,
    )
    assert amended.version == 2
    assert amended.form == {"name": "بسطة الورد", "years": 1}
    claims = open_credential(amended.credential, office.keys(), today=office.day).claims
    assert claims.public == {"name": "بسطة الورد"}
    assert opened(office, amended)["form"] == {"keeper": KEEPER}
    first, second = rows(office, stall)
    assert first.shown["lines"][0]["value"]["ar"] == "بسطة الندى"
    assert second.shown["lines"][0]["value"]["ar"] == "بسطة الورد"


def test_a_correction_by_the_office_corrects_also_what_is_personal(office: LicenceOffice) -> None:
    stall = office.do("stall", "issue")
    corrected = office.on(stall, "correct", form={"name": "بسطة الندى", "keeper": "فهد العتيبي"})
    assert opened(office, corrected)["form"] == {"keeper": "فهد العتيبي"}
    assert opened(office, corrected)["holder"] == OWNER
    assert office.events(stall.context)[-1][0] == "licence.corrected"


def test_after_a_transfer_the_old_holder_stands_only_in_the_old_version(office: LicenceOffice) -> None:
    stall = office.do("stall", "issue")
    office.pass_days(5)
    moved = office.on(stall, "transfer", form={"new_holder": BUYER})
    kept = opened(office, moved)
    assert OWNER["name"] not in str(kept.pop("paper"))
    assert kept == {
        "holder": BUYER,
        "lines": [
            {
                "label": {"ar": "صاحب الرخصة", "en": "Holder"},
                "value": {"ar": BUYER["name"], "en": BUYER["name"]},
            }
        ],
        "form": {},
    }
    assert moved.subject == office.office.vault.subject("national_id", BUYER["identifier"])
    first, second = rows(office, stall)
    assert office.office.vault.open(first.personal, stall.context)["holder"] == OWNER
    assert (first.subject, second.subject) == (stall.subject, moved.subject)
    ((action, details),) = office.chain(stall)
    assert (action, details["version"]) == ("transferred", 2)
    assert BUYER["name"] not in str(details)


def test_a_copy_has_a_code_of_its_own_that_says_the_same(office: LicenceOffice) -> None:
    stall = office.do("stall", "issue")
    copied = office.on(stall, "copy")
    again = office.on(stall, "copy")
    assert (copied.copies, again.copies) == (1, 2)
    assert again.version == 1
    first, second, third = (read_claims(each.credential) for each in (stall, copied, again))
    assert len({each.status for each in (first, second, third)}) == 3
    assert replace(third, issued_at=first.issued_at, status=first.status) == first
    assert [row.credential for row in rows(office, stall)] == [
        stall.credential,
        copied.credential,
        again.credential,
    ]
    assert [row.copy for row in rows(office, stall)] == [0, 1, 2]
    amended = office.on(stall, "amend", form={"name": "بسطة"})
    assert (amended.version, amended.copies) == (2, 0)


def test_a_licence_is_void_only_on_the_day_of_its_issue(office: LicenceOffice) -> None:
    stall, other = office.do("stall", "issue"), office.do("stall", "issue")
    void = office.on(stall, "void")
    assert (void.status, void.status_reason) == ("void", "STC-2026-000003")
    assert "has to be valid" in office.refused(stall, "suspend").message
    office.pass_days(1)
    assert "the day of its issue" in office.refused(other, "void").message


def test_a_suspension_ends_by_reinstatement_and_tells_since_when(office: LicenceOffice) -> None:
    stall = office.do("stall", "issue")
    office.pass_days(3)
    suspended = office.on(stall, "suspend")
    assert (suspended.status, suspended.status_since) == ("suspended", office.now[-1])
    assert suspended.credential == stall.credential
    assert "it is suspended since 25 November 2026" in office.refused(stall, "copy").message
    office.pass_days(3)
    back = office.on(stall, "reinstate")
    assert (back.status, back.status_since) == ("valid", office.now[-1])
    assert [action for action, _ in office.chain(stall)] == ["suspended", "reinstated"]
    assert "has to be suspended" in office.refused(stall, "reinstate").message


@pytest.mark.parametrize("fall", ["suspend", "revoke"])
def test_an_objection_that_is_granted_restores_what_was_before(office: LicenceOffice, fall: str) -> None:
    stall = office.do("stall", "issue")
    before = office.standing(stall)
    office.pass_days(3)
    office.on(stall, fall)
    office.pass_days(60)
    office.on(stall, "uphold")
    assert office.standing(stall) == before


def test_an_objection_to_a_revocation_leaves_the_suspension_that_was_before_it(office: LicenceOffice) -> None:
    stall = office.do("stall", "issue")
    office.on(stall, "suspend")
    before = office.standing(stall)
    office.pass_days(1)
    office.on(stall, "revoke")
    assert office.on(stall, "uphold").status == "suspended"
    assert office.standing(stall) == before


def test_an_objection_is_heard_for_sixty_days_and_those_that_our_outage_took(office: LicenceOffice) -> None:
    stall = office.do("stall", "issue")
    office.on(stall, "revoke")
    limit = office.day + timedelta(days=60)
    office.pass_days(61)
    assert f"until {limit.day} January 2027" in office.refused(stall, "uphold").message
    # A holiday is no outage of ours.
    starts = datetime(2027, 1, 10, tzinfo=UTC)
    title = Bilingual(ar="إغلاق", en="Closure")
    office.closures.append(Closure(starts, starts + timedelta(days=3), title, ours=False))
    office.refused(stall, "uphold")
    office.closures.append(Closure(starts, starts + timedelta(days=3), title, ours=True))
    assert office.on(stall, "uphold").status == "valid"


def test_who_closes_or_loses_his_licence_cannot_do_anything_with_it(office: LicenceOffice) -> None:
    for end, status in (("close", "closed"), ("revoke", "revoked")):
        stall = office.do("stall", "issue")
        assert office.on(stall, end).status == status
        for procedure in ("renew", "amend", "copy", "suspend", "reinstate", "close"):
            form = {"renew": {"years": 1}, "amend": {"name": "x"}}.get(procedure, {})
            office.refused(stall, procedure, form=form)
    assert [action for action, _ in office.chain(stall)] == ["revoked"]


def test_the_last_door_does_not_trust_that_the_fees_are_paid(database: Database, tmp_path: Path) -> None:
    office = open_licence_office(database, tmp_path)
    service = parse_yaml(STALL, "test.yaml", Service)
    paid = service.procedures["issue"].model_copy(update={"fees": ("fee",)})
    # What no file can say, for it would be refused: fees in a flow that asks for none.
    broken = service.model_copy(update={"procedures": {**service.procedures, "issue": paid}})
    with database.transaction() as session:
        application = office.reader.application(broken, "issue", OWNER, FORMS["stall"])
        with pytest.raises(Conflict, match="are not paid") as caught:
            office.engine.open(session, broken, "issue", CENTRE, application, office.now[-1])
    assert "لم تسدَّد" in caught.value.message_ar
    assert office.count("licence") == 0


def test_a_renewal_that_counts_from_its_day_is_refused_where_it_would_shorten_the_licence(
    database: Database, tmp_path: Path
) -> None:
    written = definition("stall", "ST", validity="{years: years, calendar: gregorian, renew_from: day}")
    office = open_licence_office(database, tmp_path, written.replace("from_days_before_end: 30, ", ""))
    stall = office.do("stall", "issue", form={**FORMS["stall"], "years": 3})
    office.pass_days(100)
    assert "would end on" in office.refused(stall, "renew", form={"years": 1}).message
    renewed = office.on(stall, "renew", form={"years": 3})
    assert (renewed.valid_from, renewed.valid_to) == (
        office.day,
        add_years(office.day, 3) - timedelta(days=1),
    )


def test_an_application_beyond_the_calendars_table_is_refused_when_it_is_made(office: LicenceOffice) -> None:
    with pytest.raises(InvalidInput, match="Umm al-Qura") as caught:
        office.do("stall", "issue", form={**FORMS["stall"], "years": 60})
    assert "أم القرى" in caught.value.message_ar
    assert office.count("case_file") == 0


def test_an_issue_costs_three_statements_here(office: LicenceOffice) -> None:
    said: list[str] = []
    engine = office.database.engine
    real = outcomes.fulfil

    def counted(work: Work) -> Any:
        def note(_c: Any, _u: Any, statement: str, *_: Any) -> None:
            said.append(statement)

        event.listen(engine, "before_cursor_execute", note)
        try:
            return real(work)
        finally:
            event.remove(engine, "before_cursor_execute", note)

    # The keys are read once a moment, and not by each issue: made, and then read.
    office.keys()
    office.keys()
    # The first licence of a list writes the list too.
    office.do("stall", "issue")
    office.engine = Engine(Definitions(office.services), office.office, {"fulfil": counted}, office.reader)
    office.do("stall", "issue")
    written = [re.findall(r"INSERT INTO (\w+)", statement) for statement in said]
    assert written == [["case_counter"], ["licence"], ["licence_version"]]
