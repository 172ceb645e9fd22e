"""zeep, PHP's SoapClient, node's soap and gSOAP at the real API: each issues, and is told each fault."""

import base64

import pytest
from sqlalchemy import text

from integrations.contracts.names import OTHER_PROBLEM, by_element, fault_elements
from tests.integrations.clients.counter import Counter
from tests.integrations.clients.faults import FAULTS, application, write
from tests.integrations.clients.programs import Outcome, Program
from tests.integrations.desk import PERSONAL, PNG, REVIEWED
from tests.integrations.signed_town import AMAL, CODE, DEVICE


def done(outcome: Outcome) -> dict[str, object]:
    """The answer of a request that succeeded."""
    assert outcome.fault == "", outcome.content
    return outcome.content


def test_a_client_issues_a_licence_and_fetches_its_paper(
    program: Program, told: dict[str, str], counter: Counter
) -> None:
    desk = counter.town.desk
    number = str(done(program.ask(told, "Submit", application(REVIEWED)))["number"])
    for asked in desk.case(number)["documents"]:
        if asked["required"]:
            paper = write(number, code=asked["code"], name="صورة.png", content=base64.b64encode(PNG).decode())
            done(program.ask(told, "PutDocument", paper))
    counter.approve(number)
    done(program.ask(told, "Quote", write(number)))
    bill = done(program.ask(told, "Invoice", write(number)))
    counter.pay(str(bill["bill_number"]), str(bill["amount"]))
    case = done(program.ask(told, "GetCase", {"number": number}))
    licence = done(program.ask(told, "GetLicence", {"number": case["licence"]}))
    document = done(program.ask(told, "GetDocument", {"number": case["licence"]}))

    assert (case["state"], licence["number"]) == ("issued", case["licence"])
    assert base64.b64decode(str(document["content"])).startswith(b"%PDF-")
    assert document["contentType"] == "application/pdf"
    assert desk.case(number)["form"]["trade_name"] == REVIEWED["trade_name"]
    acts = [each["details"] for each in desk.case(number)["journal"] if each["actor"] == f"client/{CODE}"]
    assert {each["clerk"] for each in acts} == {AMAL}
    with desk.database.transaction() as session:
        signed = "SELECT encode(digest, 'hex') FROM act_proof WHERE proof ->> 'face' = 'soap'"
        assert {each["proof"] for each in acts} <= set(session.execute(text(signed)).scalars())
    assert desk.breaks() == []


def test_a_clerk_at_a_device_says_which_under_the_signature(
    program: Program, told: dict[str, str], counter: Counter
) -> None:
    at_device = {**told, "CLERK": f"{told['CLERK']}/{DEVICE}"}
    number = str(done(program.ask(at_device, "Submit", application()))["number"])

    (opened, *_) = counter.town.desk.case(number)["journal"]
    with counter.platform.database.transaction() as session:
        kept = text("SELECT proof ->> 'device' FROM act_proof WHERE encode(digest, 'hex') = :proof")
        assert session.execute(kept, {"proof": opened["details"]["proof"]}).scalar_one() == DEVICE


@pytest.mark.parametrize("fault", FAULTS)
def test_a_client_is_told_each_fault_by_its_name_and_in_both_languages(
    program: Program, told: dict[str, str], counter: Counter, fault: str
) -> None:
    provoked = FAULTS[fault]
    number = str(done(program.ask(told, "Submit", application()))["number"])
    with provoked.meanwhile(counter) as more:
        now_told = {**told, **provoked.told, **(more or {})}
        outcome = program.ask(now_told, provoked.operation, provoked.request(number))

    problem = outcome.content
    assert outcome.fault == fault, problem
    assert problem["type"] == f"urn:rakeeza:problem:{provoked.type}"
    assert int(problem["status"]) == provoked.status
    assert problem["title"]
    assert problem["title_ar"]
    assert problem["detail"]
    assert problem["detail_ar"]
    assert not any(each in str(problem) for each in PERSONAL)
    # What was refused or failed is over: the next request is answered.
    done(program.ask(told, "GetCase", {"number": number}))


def test_there_is_a_way_to_each_fault_that_the_contract_declares() -> None:
    assert set(FAULTS) == set(fault_elements())
    for fault, provoked in FAULTS.items():
        operation = by_element()[provoked.operation]
        assert operation.fault(provoked.status) == fault
        assert fault == OTHER_PROBLEM or fault in {each.element for each in operation.faults}
