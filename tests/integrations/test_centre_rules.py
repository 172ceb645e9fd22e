"""Every rule of a centre's contract, its refusal by name, and what is left of a refused act: nothing."""

import hashlib
import json
import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import event, text

from foundation.chain import canonical
from foundation.errors import Conflict, PermissionDenied, RakeezaError, problem
from foundation.identity import Caller
from integrations.centres.refusals import (
    REFUSALS,
    BranchNotAllowed,
    CentreKeyRevoked,
    CentreSuspended,
    ClerkKeyRevoked,
    ClerkNotAllowed,
    ContractNotInForce,
    DeviceNotAllowed,
    ProofMissing,
    QuotaExhausted,
    ServiceNotDelegated,
    ShiftNotOpen,
)
from tests.integrations.centre_office import CentreOffice, certify, contract, details, open_centre, riyadh
from tests.integrations.desk import CENTRE, FORM, OTHER_CENTRE, SYSTEM, Desk, message, new_key
from tests.integrations.test_concurrency import together
from tests.processes import ROOT


def submit(office: CentreOffice, caller: Caller | None = None) -> str:
    """Open a case as a clerk of the centre; its number."""
    return str(office.desk.do.submit(caller or office.caller(), message()).body["number"])


def test_a_clerk_of_a_centre_with_a_contract_takes_an_application_to_its_licence(desk: Desk) -> None:
    office = open_centre(desk)
    number = submit(office)
    desk.do.quote(office.caller(), number)
    bill = desk.do.invoice(office.caller(), number).body
    desk.pay(bill["bill_number"], bill["amount"])
    assert desk.case(number)["licence"] is not None
    assert desk.breaks() == []


def test_a_counter_of_the_municipality_goes_on_as_before(desk: Desk) -> None:
    open_centre(desk)
    number = desk.submit()
    assert desk.state(number) == "submitted"
    assert "clerk" not in details(desk, number, "submit")
    assert desk.count("act_proof") == 0
    assert desk.count("centre_application") == 0


def _suspended(office: CentreOffice) -> Caller:
    office.desk.licensing.centres.suspend(SYSTEM, office.code, "a complaint")
    return office.caller()


def _ended(office: CentreOffice) -> Caller:
    office.desk.licensing.centres.end(SYSTEM, office.code, "the contract was broken")
    return office.caller()


def _stopped_clerk(office: CentreOffice) -> Caller:
    office.desk.licensing.centres.enable_clerk(SYSTEM, office.code, "amal", active=False)
    return office.caller()


def _revoked_key(office: CentreOffice) -> Caller:
    office.desk.licensing.centres.revoke_key(SYSTEM, office.code, "amal", office.keys["amal"])
    return office.caller()


def _revoked_certificate(office: CentreOffice) -> Caller:
    before = office.caller()
    certify(office, revoke_others=True)
    return before


def _stopped_device(office: CentreOffice) -> Caller:
    office.desk.licensing.centres.enable_device(SYSTEM, office.code, "pc-1", active=False)
    return office.caller(device="pc-1")


@pytest.mark.parametrize(
    ("comes", "refusal"),
    [
        (_suspended, CentreSuspended),
        (_ended, CentreSuspended),
        (lambda office: office.unsigned(), ProofMissing),
        (lambda office: office.unsigned("amal"), ProofMissing),
        (lambda office: office.caller(clerk=None), ProofMissing),
        (lambda office: office.caller(centre="centre-8"), ProofMissing),
        (lambda office: office.caller("amal", clerk_signature=None), ProofMissing),
        (lambda office: office.caller(centre_signature=None), ProofMissing),
        (lambda office: office.caller("amal", clerk_key=None, clerk_signature=None), ProofMissing),
        (lambda office: office.caller("dana", clerk_key="0" * 64), ClerkNotAllowed),
        (_stopped_clerk, ClerkNotAllowed),
        (lambda office: office.caller("amal", clerk_key=office.keys["badr"]), ClerkKeyRevoked),
        (_revoked_key, ClerkKeyRevoked),
        (lambda office: office.caller(centre_key="0" * 64), CentreKeyRevoked),
        (lambda office: office.caller(centre_key=None), CentreKeyRevoked),
        (_revoked_certificate, CentreKeyRevoked),
        (lambda office: office.caller(device="pc-9"), DeviceNotAllowed),
        (_stopped_device, DeviceNotAllowed),
    ],
)
def test_who_may_not_act_is_told_why_and_nothing_is_done(
    desk: Desk, comes: Callable[[CentreOffice], Caller], refusal: type[RakeezaError]
) -> None:
    office = open_centre(desk)
    caller = comes(office)
    with pytest.raises(refusal):
        submit(office, caller)
    for table in ("case_file", "act_proof", "centre_quota_use", "idempotency"):
        assert desk.count(table) == 0, table
    with desk.database.transaction() as session:
        (kept,) = session.execute(text("SELECT centre, day::text, kind, clerk, times FROM centre_refusal"))
    assert tuple(kept) == ("centre-7", "2026-11-22", refusal.__name__, caller.clerk or "", 1)


def test_every_write_is_judged_and_not_the_first_alone(desk: Desk) -> None:
    office = open_centre(desk)
    number = submit(office)
    desk.do.quote(office.caller(), number)
    _suspended(office)
    writes: list[Callable[[Caller], object]] = [
        lambda caller: desk.do.quote(caller, number),
        lambda caller: desk.do.invoice(caller, number),
        lambda caller: desk.do.take(caller, number, "withdraw"),
        lambda caller: desk.do.put(caller, number, "shopfront_photo"),
        lambda caller: desk.licensing.inbox.comment(caller, number, "-", new_key()),
        lambda caller: desk.licensing.people.end_delegation(caller, 1, new_key()),
    ]
    version = desk.case(number)["version"]
    for write in writes:
        with pytest.raises(CentreSuspended):
            write(office.caller())
    assert desk.case(number)["version"] == version


def test_a_repetition_by_a_suspended_centre_gets_no_answer_either(desk: Desk) -> None:
    office = open_centre(desk)
    assert desk.do.submit(office.caller(), message(), "key-1").status == 201
    assert desk.do.submit(office.caller(), message(), "key-1").replayed
    _suspended(office)
    with pytest.raises(CentreSuspended):
        desk.do.submit(office.caller(), message(), "key-1")
    desk.licensing.centres.resume(SYSTEM, office.code, "the complaint was wrong")
    assert desk.do.submit(office.caller(), message(), "key-1").replayed


def test_a_service_that_is_not_delegated_is_refused_before_anything_is_read(desk: Desk) -> None:
    office = open_centre(desk)
    said = message({"anything": 1}, service="sign_permit", licence="XX-2026-000001")
    with pytest.raises(ServiceNotDelegated):
        desk.do.submit(office.caller(), said)


def test_a_procedure_that_is_not_delegated_is_refused(desk: Desk) -> None:
    services = {"shop_licence": {"procedures": ["issue"]}}
    office = open_centre(desk, contract(services=services))
    assert submit(office)
    with pytest.raises(ServiceNotDelegated):
        desk.do.submit(office.caller(), message({}, procedure="renew", licence="SL-2026-000001"))


def test_a_service_is_delegated_at_its_branches_alone(desk: Desk) -> None:
    services = {"shop_licence": {"branches": ["port"]}}
    office = open_centre(desk, contract(services=services))
    with pytest.raises(BranchNotAllowed):
        submit(office, office.caller("amal"))
    assert submit(office, office.caller("badr"))
    # It is done where the device stands, wherever its clerk belongs.
    assert submit(office, office.caller("amal", device="pc-2"))


def test_a_branch_that_the_contract_in_force_does_not_name_is_closed(desk: Desk) -> None:
    office = open_centre(desk, contract(last_day="2026-11-22"))
    mall = {"mall": {"ar": "المجمع", "en": "Mall"}}
    later = contract(reference="2", first_day="2026-11-23", branches=mall)
    desk.licensing.centres.agree(SYSTEM, office.code, later)
    assert submit(office, office.caller("badr"))
    desk.later(days=1)
    with pytest.raises(BranchNotAllowed):
        submit(office, office.caller("badr"))
    assert submit(office, office.caller("amal"))


def test_a_contract_ends_at_midnight_in_riyadh(desk: Desk) -> None:
    office = open_centre(desk, contract(first_day="2026-11-22", last_day="2026-11-23"))
    for moment, inside in (
        (riyadh(21, 23, 59, 59), False),
        (riyadh(22, 0), True),
        (riyadh(23, 23, 59, 59), True),
        (riyadh(24, 0), False),
    ):
        desk.now.append(moment)
        if inside:
            assert submit(office, office.caller(centre_key=_valid_at(office)))
        else:
            with pytest.raises(ContractNotInForce) as refused:
                submit(office)
            assert re.search("begins on 2026-11-22|ended with 2026-11-23", refused.value.message)


def _valid_at(office: CentreOffice) -> str:
    # Certificates are backdated by minutes only; what is tried here is the contract.
    with office.desk.database.transaction() as session:
        session.execute(text("UPDATE client_certificate SET not_before = '2026-01-01'"))
    return office.certificate


def test_the_quota_of_a_day_and_of_a_month_end_with_them(desk: Desk) -> None:
    office = open_centre(desk, contract(quota={"day": 2, "month": 3}))
    assert submit(office)
    assert submit(office)
    with pytest.raises(QuotaExhausted, match="2 applications of 2026-11-22"):
        submit(office)
    desk.now.append(riyadh(23, 0))
    assert submit(office)
    with pytest.raises(QuotaExhausted, match="3 applications of 2026-11 "):
        submit(office)
    desk.now.append(riyadh(1, 0, month=12))
    assert submit(office)
    used = desk.licensing.centres.own(office.caller())["contract"]["used"]
    assert used == {
        "day": {"period": "2026-12-01", "used": 1, "quota": 2},
        "month": {"period": "2026-12", "used": 1, "quota": 3},
    }


def test_an_application_that_is_refused_uses_no_quota(desk: Desk) -> None:
    office = open_centre(desk, contract(quota={"day": 1}))
    with pytest.raises(RakeezaError):
        desk.do.submit(office.caller(), message({**FORM, "area_m2": -1}))
    assert submit(office)


def test_of_eight_clerks_at_once_exactly_the_quota_is_opened(desk: Desk) -> None:
    office = open_centre(desk, contract(quota={"day": 5}))
    results = together(8, lambda _: submit(office))
    refused = [each for each in results if isinstance(each, QuotaExhausted)]
    assert len(refused) == 3
    assert [each for each in results if not isinstance(each, str | QuotaExhausted)] == []
    assert desk.count("case_file") == 5
    assert desk.licensing.centres.own(office.caller())["contract"]["used"]["day"]["used"] == 5
    with desk.database.transaction() as session:
        assert session.scalar(text("SELECT times FROM centre_refusal")) == 3


def test_where_the_contract_asks_for_shifts_nothing_is_done_without_one(desk: Desk) -> None:
    office = open_centre(desk, contract(shifts=True))
    with pytest.raises(DeviceNotAllowed):
        submit(office, office.caller())
    with pytest.raises(ShiftNotOpen):
        submit(office, office.caller(device="pc-1"))
    shift = desk.licensing.shifts.open(office.caller(device="pc-1"), Decimal("0.00"), new_key()).body["id"]
    number = submit(office, office.caller(device="pc-1"))
    # Of this clerk, on this device.
    with pytest.raises(ShiftNotOpen):
        submit(office, office.caller("badr", device="pc-1"))
    with pytest.raises(ShiftNotOpen):
        submit(office, office.caller(device="pc-2"))
    desk.licensing.shifts.close(office.caller(device="pc-1"), shift, Decimal("0.00"), "", new_key())
    with pytest.raises(ShiftNotOpen):
        desk.do.quote(office.caller(device="pc-1"), number)
    with desk.database.transaction() as session:
        assert session.scalar(text("SELECT shift_id FROM centre_application")) == shift


def test_a_clerk_is_known_by_his_secret_on_the_soap_face(desk: Desk) -> None:
    office = open_centre(desk)
    said = {"face": "soap", "clerk_key": None, "clerk_signature": None}
    assert submit(office, office.caller("amal", None, **said))
    with pytest.raises(ClerkNotAllowed):
        submit(office, office.caller("dana", None, **said))


def test_every_entry_of_an_act_names_its_clerk_and_the_hash_of_its_proof(desk: Desk) -> None:
    office = open_centre(desk)
    caller = office.caller()
    assert caller.proof is not None
    number = submit(office, caller)
    digest = hashlib.sha256(canonical(caller.proof)).hexdigest()
    said = details(desk, number, "submit")
    assert (said["clerk"], said["proof"]) == ("amal", digest)
    with desk.database.transaction() as session:
        (kept,) = session.execute(text("SELECT encode(digest, 'hex'), caller, clerk, proof FROM act_proof"))
    assert tuple(kept) == (digest, "client/centre-7", "amal", dict(caller.proof))
    # Another act has a proof of its own, and an act without a proof none.
    desk.do.quote(office.caller(), number)
    assert details(desk, number, "quote")["proof"] != digest
    assert desk.breaks() == []


def test_the_proof_of_a_message_with_many_applications_is_kept_once(desk: Desk) -> None:
    office = open_centre(desk)
    answer = desk.licensing.cases.submit_many(office.caller(), [message()] * 3, new_key())
    assert [row["status"] for row in answer.body["rows"]] == [201, 201, 201]
    assert (desk.count("act_proof"), desk.count("centre_application")) == (1, 3)


def test_what_an_act_writes_of_a_licence_names_its_clerk_too(desk: Desk) -> None:
    office = open_centre(desk)
    number = submit(office)
    desk.do.put(office.caller(), number, "shopfront_photo")
    assert details(desk, number, "document")["clerk"] == "amal"
    desk.licensing.inbox.comment(office.caller(), number, "-", new_key())
    assert details(desk, number, "commented")["clerk"] == "amal"


def test_other_centres_wait_for_nothing_and_are_stopped_by_nothing(desk: Desk) -> None:
    seven, eight = open_centre(desk), open_centre(desk, code="centre-8")
    _suspended(seven)
    assert submit(eight)
    assert desk.do.submit(OTHER_CENTRE, message()).status == 201
    with pytest.raises(ProofMissing):
        submit(
            eight,
            Caller("centre-8", "client", frozenset({"centre"}), clerk="amal", proof=seven.caller().proof),
        )


def test_a_counter_without_a_record_costs_no_statement_more_nor_does_anybody_else(desk: Desk) -> None:
    seen: list[str] = []
    event.listen(
        desk.database.engine,
        "before_cursor_execute",
        lambda *given: seen.append(given[2]),
    )
    desk.do.submit(CENTRE, message())
    (asked,) = [each for each in seen if "centre_" in each]
    # The statement that takes the key, which every write sends.
    assert "INSERT INTO idempotency" in asked
    assert sum("INSERT INTO idempotency" in each for each in seen) == 1
    number = desk.submit()
    seen.clear()
    desk.licensing.inbox.comment(Caller("amal", "person", frozenset({"reviewer"})), number, "-", new_key())
    assert [each for each in seen if "centre_" in each or "act_proof" in each] == []


def test_the_contract_of_the_page_is_one_that_can_be_kept(desk: Desk) -> None:
    page = (ROOT / "docs" / "contracts.md").read_text(encoding="utf-8")
    written = page.partition("```yaml\n")[2].partition("```")[0]
    office = open_centre(desk, contract(written))
    kept = desk.licensing.centres.show(SYSTEM, office.code)["contract"]
    assert kept["services"] == [
        {
            "service": "shop_licence",
            "percent": "12.50",
            "fixed": "5.00",
            "procedures": ["issue", "renew"],
            "branches": ["mall"],
        }
    ]
    assert (kept["quota"], kept["shifts"]) == ({"day": 200, "month": 4000}, True)
    for kind in REFUSALS[: REFUSALS.index(ShiftNotOpen) + 1]:
        name = re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()
        assert f"`{name}`" in page


@pytest.mark.parametrize("kind", REFUSALS, ids=lambda kind: kind.__name__)
def test_every_refusal_has_a_type_a_title_and_a_sentence_in_arabic(kind: type[RakeezaError]) -> None:
    given = {
        "ContractNotInForce": ("centre-7", None, None),
        "ServiceNotDelegated": ("centre-7", "a", "b"),
        "QuotaExhausted": ("centre-7", "2026-11", 3),
        "ShiftClosed": (7,),
        "DrawerShort": (7, "1.00"),
        "CentreSuspended": ("centre-7",),
        "CentreKeyRevoked": ("centre-7",),
        "ProofMissing": ("centre-7",),
        "CentreIsTest": ("centre-7",),
        "ServiceIsTest": ("shop_licence",),
    }.get(kind.__name__, ("centre-7", "amal"))
    make: Any = kind
    error = make(*given)
    told = problem(error)
    name = re.sub(r"(?<!^)(?=[A-Z])", "-", kind.__name__).lower()
    assert told["type"] == f"urn:rakeeza:problem:{name}"
    assert told["status"] == (403 if issubclass(kind, PermissionDenied) else 409)
    assert issubclass(kind, PermissionDenied | Conflict)
    assert error.remedy
    for arabic in (told["title_ar"], told["detail_ar"]):
        assert re.search("[؀-ۿ]", arabic)
    assert json.dumps(told)
