"""zeep, PHP's SoapClient, node's soap and gSOAP at the real API: each issues, and is told each fault."""

import base64
import io
import random

import pytest
from PIL import Image
from sqlalchemy import text

from integrations.contracts.names import OTHER_PROBLEM, by_element, fault_elements
from tests.integrations.clients.counter import Counter
from tests.integrations.clients.faults import FAULTS, application, write
from tests.integrations.clients.programs import INTERPRETED, Outcome, Program
from tests.integrations.desk import PERSONAL, PNG, REVIEWED
from tests.integrations.signed_town import AMAL, CODE, DEVICE, OTHER

MOST_IN_A_MESSAGE = 1_000_000


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


@pytest.fixture(scope="module")
def large_paper() -> bytes:
    """A picture that no message holds: noise is not made smaller by any compression."""
    side = 1_200
    noise = random.Random(5).randbytes(side * side)
    out = io.BytesIO()
    Image.frombytes("L", (side, side), noise).save(out, "PNG")
    assert len(out.getvalue()) > MOST_IN_A_MESSAGE
    return out.getvalue()


@pytest.mark.parametrize("name", INTERPRETED)
def test_a_client_hands_in_a_paper_beside_the_message_and_gets_it_so(
    name: str, told: dict[str, str], counter: Counter, large_paper: bytes
) -> None:
    program, beside = INTERPRETED[name], {**told, "MTOM": "1"}
    number = str(done(program.ask(beside, "Submit", application(REVIEWED)))["number"])
    code = next(each["code"] for each in counter.town.desk.case(number)["documents"] if each["required"])
    content = base64.b64encode(large_paper).decode()

    paper = write(number, code=code, name="لوحة.png", content=content)
    kept = done(program.ask(beside, "PutDocument", paper))
    given = done(program.ask(beside, "GetHandedDocument", {"number": number, "code": code}))

    assert int(str(kept["size"])) == len(large_paper)
    assert given["content"] == content
    assert given["contentType"] == "image/png"
    # In the message itself it is too much: it really came beside it.
    assert program.ask(told, "PutDocument", {**paper, "idempotencyKey": "other"}).fault == "TooLarge"
    # What is told beside no document is told as before.
    assert program.ask(beside, "Invoice", write(number)).fault == "Conflict"


def test_a_client_names_a_paper_that_was_handed_in_before(
    program: Program, told: dict[str, str], counter: Counter
) -> None:
    first, second = (
        str(done(program.ask(told, "Submit", application(REVIEWED)))["number"]) for _ in range(2)
    )
    code = next(each["code"] for each in counter.town.desk.case(first)["documents"] if each["required"])
    content = base64.b64encode(PNG).decode()
    handed = done(program.ask(told, "PutDocument", write(first, code=code, name="a.png", content=content)))

    named = write(second, code=code, name="a.png", contentId=f"{first}/{code}")
    assert done(program.ask(told, "PutDocument", named))["size"] == handed["size"]


# gSOAP 2.8 writes such a signature in DER, which XML Signature does not have: its centre holds an RSA key.
@pytest.mark.parametrize("version", ["1.1", "1.2"])
@pytest.mark.parametrize("name", INTERPRETED)
def test_a_centre_with_an_elliptic_key_signs_with_it(name: str, version: str, counter: Counter) -> None:
    told = {**counter.elliptic, "SOAP": version}
    number = str(done(INTERPRETED[name].ask(told, "Submit", application()))["number"])

    (opened, *_) = counter.town.desk.case(number)["journal"]
    assert (opened["actor"], opened["details"]["clerk"]) == (f"client/{OTHER}", AMAL)


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
