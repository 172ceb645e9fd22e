"""What must hold whatever was done, read from the tables by SQL of our own."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any

from foundation import audit
from tests.integrations.machine import steps
from tests.integrations.machine.forms import Person
from tests.integrations.machine.office import AUDITOR, Office
from tests.integrations.machine.world import Case, World

# Each finds what must not be of the cases, licences, bills and payments of one life.
_NEVER = {
    "a licence without its fees": """
        SELECT f.number FROM case_file f JOIN licence_version v ON v.case_id = f.id
        JOIN case_definition d ON d.fingerprint = f.definition
        WHERE f.number = ANY(:cases)
          AND jsonb_array_length(d.content #> ARRAY['procedures', f.procedure, 'fees']) > 0
          AND NOT f.quote_free AND NOT EXISTS (SELECT FROM case_invoice i WHERE i.case_id = f.id
              AND i.id = (SELECT max(id) FROM case_invoice WHERE case_id = f.id)
              AND (i.state = 'settled' OR i.state = 'void' AND i.settled_at IS NOT NULL AND EXISTS (
                  SELECT FROM licence l WHERE l.id = f.licence_id AND l.status = 'void')))
    """,
    "a free quote that is none": """
        SELECT f.number FROM case_file f WHERE f.number = ANY(:cases) AND f.quote_free AND coalesce(
            (SELECT total FROM case_quote q WHERE q.case_id = f.id ORDER BY q.id DESC LIMIT 1), 1) <> 0
    """,
    "a case that made two licences or two of their versions": """
        SELECT f.number FROM case_file f JOIN licence_version v ON v.case_id = f.id
        WHERE f.number = ANY(:cases) GROUP BY f.number HAVING count(*) > 1
    """,
    "a licence that no case made, or two": """
        SELECT l.number FROM licence l
        LEFT JOIN licence_version v ON v.licence_id = l.id AND v.outcome = 'issue'
        WHERE l.number = ANY(:licences) GROUP BY l.number HAVING count(v.case_id) <> 1
    """,
    "a child that stands without its parent": """
        SELECT c.number FROM licence c JOIN licence p ON p.id = c.parent_id
        WHERE c.number = ANY(:licences) AND (c.status = 'valid' AND p.status <> 'valid'
           OR c.status = 'suspended' AND p.status IN ('revoked', 'closed', 'void'))
    """,
    "a licence that ends before it begins": """
        SELECT number FROM licence WHERE number = ANY(:licences) AND valid_to < valid_from
    """,
    "a payment whose refunds are not what it owes back": """
        SELECT p.reference FROM case_payment p WHERE p.reference = ANY(:payments) AND p.refunding <>
            (SELECT coalesce(sum(amount), 0) FROM case_refund r
             WHERE r.payment_id = p.id AND r.state <> 'failed')
    """,
    "a bill whose payments are not what is credited to it": """
        SELECT i.bill_number FROM case_invoice i JOIN case_file f ON f.id = i.case_id
        WHERE f.number = ANY(:cases) AND (i.credited <>
            (SELECT coalesce(sum(credited), 0) FROM case_payment p WHERE p.invoice_id = i.id)
           OR (i.state = 'settled') <> (i.credited = i.amount))
    """,
    "a final case that still waits": """
        SELECT number FROM case_file WHERE number = ANY(:cases) AND closed_at IS NOT NULL
          AND (desk IS NOT NULL OR timer_at IS NOT NULL)
    """,
    "a final case whose bill is open": """
        SELECT f.number FROM case_file f JOIN case_invoice i ON i.case_id = f.id
        WHERE f.number = ANY(:cases) AND f.closed_at IS NOT NULL AND i.state = 'open'
    """,
}
# And of all lives together: read once, at their end.
_NEVER_AT_ALL = {
    "a gap in the numbers of cases": """
        SELECT c.series, c.year FROM case_counter c JOIN (
            SELECT split_part(number, '-', 1) AS series, CAST(split_part(number, '-', 2) AS integer) AS year,
                   count(*) AS given, max(CAST(split_part(number, '-', 3) AS integer)) AS last
            FROM (SELECT number FROM case_file UNION ALL SELECT number FROM licence) AS all_numbers
            GROUP BY 1, 2) n USING (series, year)
        WHERE NOT (c.last = n.given AND c.last = n.last)
    """,
    "a counter of numbers that nothing has": """
        SELECT c.series FROM case_counter c WHERE NOT EXISTS (SELECT FROM (
            SELECT number FROM case_file UNION ALL SELECT number FROM licence) AS all_numbers
            WHERE number LIKE c.series || '-' || c.year || '-%')
    """,
    "a posting that does not balance": """
        SELECT transaction FROM case_ledger GROUP BY transaction HAVING sum(debit) <> sum(credit)
    """,
    "a bank account that is not what came in less what went out": """
        SELECT 1 WHERE (SELECT coalesce(sum(debit - credit), 0) FROM case_ledger WHERE account = 'bank') <>
            (SELECT coalesce(sum(amount), 0) FROM case_payment WHERE status = 'paid')
          - (SELECT coalesce(sum(amount), 0) FROM case_refund WHERE state IN ('sent', 'confirmed'))
    """,
    "a suspense account that is not what waits": """
        SELECT 1 WHERE (SELECT coalesce(sum(credit - debit), 0) FROM case_ledger
                        WHERE account = 'suspense') <>
            (SELECT coalesce(sum(amount - credited - refunding), 0) FROM case_payment WHERE status = 'paid')
    """,
    "refunds payable that are not the refunds that are due": """
        SELECT 1 WHERE (SELECT coalesce(sum(credit - debit), 0) FROM case_ledger
                        WHERE account = 'refunds_payable') <>
            (SELECT coalesce(sum(amount), 0) FROM case_refund WHERE state IN ('due', 'approved'))
    """,
    "a receivable that is not what open bills still need": """
        SELECT 1 WHERE (SELECT coalesce(sum(debit - credit), 0) FROM case_ledger
                        WHERE account = 'receivable') <>
            (SELECT coalesce(sum(amount - credited), 0) FROM case_invoice WHERE state = 'open')
    """,
}
_STILL = frozenset({"answered", "deemed", "escalated", "commented"})
# Entries with a version that no action of a flow made.
_BESIDE = frozenset({"document", "assigned", "migrated", "erased"})


def nothing_forbidden(office: Office, world: World) -> None:
    """No row of a life is there that must never be."""
    own = {"cases": [*world.cases], "licences": [*world.licences], "payments": [*world.payments]}
    for what, query in _NEVER.items():
        words = {name: value for name, value in own.items() if f":{name}" in query}
        found = office.rows(query, **words)
        assert found == [], f"{what}: {found}"
    for terms in office.terms.values():
        if terms.content.get("parent", {}).get("ends_with_parent"):
            outliving = office.rows(
                "SELECT c.number FROM licence c JOIN licence p ON p.id = c.parent_id "
                "WHERE c.service = :code AND c.valid_to > p.valid_to AND c.number = ANY(:own)",
                code=terms.code,
                own=[*world.licences],
            )
            assert outliving == [], "a child outlives the parent that it ends with"


def books_are(office: Office) -> None:
    """All lives together: numbers without a gap, accounts that say what payments, refunds and bills say."""
    for what, query in _NEVER_AT_ALL.items():
        assert office.rows(query) == [], what
    with office.transaction() as session:
        assert audit.verify(session) == []


def cases_are(office: Office, world: World) -> None:
    """Each case is where the model has it; and what the model does not reckon, it takes over."""
    rows = office.rows(
        "SELECT number, state, version, done, checks, periods, quote_free, escalated, timer_at, changed_at, "
        "entered_at, due, closed_at, (SELECT number FROM licence WHERE id = licence_id) AS licence "
        "FROM case_file WHERE number = ANY(:own)",
        own=[*world.cases],
    )
    assert {row["number"] for row in rows} == set(world.cases)
    for row in rows:
        case = world.cases[row["number"]]
        seen = (row["state"], row["version"], set(row["done"]), row["checks"], row["quote_free"])
        known = (case.state, case.version, set(case.done), case.checks, case.free)
        assert seen == known, f"{case.number} is {seen}, the model has {known}"
        assert (row["escalated"], row["licence"]) == (case.escalated, case.licence), row
        assert (row["closed_at"] is not None) == case.final, row
        assert (row["changed_at"], row["entered_at"]) == (case.changed_at, case.entered_at), row
        case.timer_at, case.due = row["timer_at"], row["due"]
        _periods_are(case, row["periods"])
        _deadline_is(case, row)
        if not case.final:
            assert world.moved_by(case), f"{case.number} is stuck in {case.state}"


def licences_are(office: Office, world: World) -> None:
    """Each licence stands as the model has it."""
    for row in office.rows(
        "SELECT number, status, status_since, with_parent, excused, version, valid_to, issued_at, form, "
        "(SELECT number FROM licence p WHERE p.id = l.parent_id) AS parent "
        "FROM licence l WHERE number = ANY(:own)",
        own=[*world.licences],
    ):
        known = world.licences[row["number"]]
        status, since, fell = world.status(known)
        seen = (row["status"], row["status_since"], row["with_parent"], row["excused"], row["version"])
        assert seen == (status, since, fell, known.excused, known.version), f"{known.number}: {seen}"
        assert (row["valid_to"], row["issued_at"], row["parent"]) == (
            known.valid_to,
            known.issued_at,
            known.parent,
        )
        assert row["form"] == known.form, known.number


def money_is(office: Office, world: World) -> None:
    """Each payment and bill is where the model has it."""
    for row in office.rows(
        "SELECT reference, amount, status, credited, refunding FROM case_payment WHERE reference = ANY(:own)",
        own=[*world.payments],
    ):
        known = world.payments[row["reference"]]
        assert (row["credited"], row["refunding"]) == (known.credited, known.owed), row
        if row["status"] == "paid":
            assert known.credited + known.owed + known.waiting == known.amount == row["amount"]
    for row in office.rows(
        "SELECT bill_number, state, credited FROM case_invoice WHERE bill_number = ANY(:own)",
        own=[*world.bills],
    ):
        bill = world.bills[row["bill_number"]]
        assert (row["state"], row["credited"]) == (bill.state, bill.credited), row


def journals_are(office: Office, world: World) -> None:
    """Versions count the steps of the journal, events are the steps, and forms are what the journal says."""
    chains = [f"case/{number}" for number in world.cases]
    entries = office.rows(
        "SELECT chain, action, details FROM audit WHERE chain = ANY(:own) ORDER BY chain, position",
        own=chains,
    )
    events = office.rows(
        "SELECT subject, payload FROM event WHERE subject = ANY(:own) "
        "AND kind IN ('case.submitted', 'case.moved') "
        "ORDER BY id",
        own=chains,
    )
    for number, case in world.cases.items():
        chain = f"case/{number}"
        version, state, made, given = 0, "", [], []
        for entry in (each for each in entries if each["chain"] == chain and "version" in each["details"]):
            details, action = entry["details"], entry["action"]
            counts = action not in _STILL
            assert details["version"] == version + counts, (
                f"{number}: {action} {details} after version {version}"
            )
            version = details["version"]
            if counts and action != "erased":
                assert details["from"] == state, f"{number}: {action} {details} after {state}"
                state = details["to"]
            if "answers" in details:
                given.append((action, details["answers"]))
            if counts and action not in _BESIDE:
                made.append((action, details["from"], details["to"], details["version"]))
        seen, known = (version, state), (case.version, case.state)
        assert seen == known, f"{number}: its journal ends at {seen}, the model at {known}"
        assert given == case.given, f"{number}: its journal has the answers {given}, the model {case.given}"
        told = [each["payload"] for each in events if each["subject"] == chain]
        steps = [(e["action"], e["from"], e["to"], e["version"]) for e in told]
        assert steps == made, f"{number}: events tell {steps}, the journal {made}"
        assert office.licensing.cases.case(AUDITOR, number)["intact"], (
            f"{number}: its form is not the journal's"
        )


def checklists_are(office: Office, world: World) -> None:
    """The checklist tells of each paper before an action refuses for want of it, and of none for nothing."""
    for number, case in world.cases.items():
        told = office.licensing.cases.case(AUDITOR, number)["documents"]
        assert {each["code"] for each in told if each["present"]} == case.documents, f"{number}: {told}"
        needed = {each["code"] for each in told if each["needed"]}
        leaving = case.terms.leaving(case.procedure, case.state)
        able = world.possible(case, [each for each in leaving if each["complete"]], case.changed_at)
        least = set(world.wanted(case)) if able else set()
        most = set(world.wanted(case)) if case.terms.wants_papers(case.procedure, case.state) else set()
        assert least <= needed <= most, f"{number} in {case.state} tells {needed}, not {least} to {most}"


def nothing_personal(
    office: Office, world: World, people: Iterable[Person], mark: str, started: datetime, jobs: int
) -> None:
    """No name, identifier, number or personal text of a life lies in clear anywhere.

    Args:
        started: when the life began, by the clock of the machine.
        jobs: the last one before it.
    """
    words = [mark, *(each.identifier for each in people), *(each.mobile for each in people)]
    told = {
        "pattern": "|".join(re.escape(word) for word in words),
        "started": started,
        "jobs": jobs,
        "delegations": min((each.id for each in world.delegations), default=1) - 1,
        "cases": [*world.cases],
        "licences": [*world.licences],
        "subjects": [f"case/{number}" for number in world.cases],
    }
    of_cases = "case_id IN (SELECT id FROM case_file WHERE number = ANY(:cases))"
    for table, its in (
        ("audit", "at >= :started"),
        ("event", "at >= :started"),
        ("idempotency", "at >= :started"),
        ("procrastinate_jobs", "id > :jobs"),
        ("case_file", "number = ANY(:cases)"),
        ("case_quote", of_cases),
        ("case_call", of_cases),
        ("case_comment", of_cases),
        ("case_document", of_cases),
        ("case_ledger", "subject = ANY(:subjects)"),
        ("licence", "number = ANY(:licences)"),
        ("licence_version", of_cases),
        ("delegation", "id > :delegations"),
    ):
        query = (
            f"SELECT said FROM (SELECT row_to_json(t)::text AS said FROM {table} t WHERE {its}) AS rows "
            "WHERE said ~ :pattern LIMIT 3"
        )
        found = office.rows(query, **{name: value for name, value in told.items() if f":{name}" in query})
        assert found == [], f"{table}: {json.dumps(found, ensure_ascii=False)[:600]}"


def parties_are_told_nothing_personal(office: Office, world: World, people: Iterable[Person]) -> None:
    """Who has no other role than a party's reads a case without applicant and personal fields."""
    for number, case in world.cases.items():
        for caller in office.callers:
            if not caller.roles <= case.terms.parties() or not steps.sees(case, caller):
                continue
            told = json.dumps(office.licensing.cases.case(caller, number), ensure_ascii=False, default=str)
            private = {name for name in case.form if case.terms.personal(name)}
            words = [str(case.form[name]) for name in private]
            words += [word for each in people for word in (each.identifier, each.mobile, each.name)]
            found = [word for word in words if word in told]
            assert found == [], f"{number} tells {caller.actor} of {found}"


def answers_are_kept(office: Office, told: Mapping[tuple[str, str], Mapping[str, Any]]) -> None:
    """What lies under each key is what was told."""
    rows = office.rows(
        "SELECT caller, key, body FROM idempotency WHERE key = ANY(:own)", own=[key for _, key in told]
    )
    assert {(row["caller"], row["key"]): row["body"] for row in rows} == dict(told)


def _periods_are(case: Case, rows: Mapping[str, Mapping[str, Any]]) -> None:
    seen = {name: (row["extended"], row["deemed"]) for name, row in rows.items()}
    known = {name: (period.extended, period.deemed) for name, period in case.periods.items()}
    assert seen == known, f"{case.number} has the periods {seen}, the model {known}"
    for name, row in rows.items():
        case.periods[name].until = datetime.fromisoformat(row["until"])


def _deadline_is(case: Case, row: Mapping[str, Any]) -> None:
    deadline = case.terms.state(case.procedure, case.state).get("deadline")
    ends = {name: period.until for name, period in case.periods.items() if period.until is not None}
    if deadline is not None and "periods" in deadline:
        assert row["due"] == max(ends.values(), default=None), row
        return
    assert (row["due"] is not None) == (deadline is not None), row
    if deadline is None:
        assert row["timer_at"] == min((ends[name] for name in case.awaited), default=None), row
    elif "hours" in deadline:
        assert row["due"] == row["entered_at"] + timedelta(hours=deadline["hours"]), row
    else:
        days = deadline["working_days"]
        assert timedelta(days=days - 1) < row["due"] - row["entered_at"] < timedelta(days=2 * days + 30), row
