"""The office that the machine drives: real desks on a real database, a clock of ours, back-ends that obey."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation.caller import Caller, Role
from foundation.database import Database
from foundation.settings import Backend
from integrations.backend import BackendRejection, BackendUnavailable, Question, Reply
from integrations.cases.calling import Calling
from integrations.licensing import Licensing
from tests.integrations.desk import open_desk
from tests.integrations.machine.forms import PLACES
from tests.integrations.machine.terms import Terms
from tests.integrations.machine.world import Bill, Case

HERE = Path(__file__).parents[1]
DEFINITIONS = (HERE / "definitions", HERE / "engine_definitions")
AUDITOR = Caller("auditor", "person", frozenset({"auditor"}))

_OF_CASE = "JOIN case_file f ON f.id = {}.case_id WHERE f.number = :number"
_TOTAL = text(f"SELECT q.total FROM case_quote q {_OF_CASE.format('q')} ORDER BY q.id DESC LIMIT 1")
_BILL = text(
    f"SELECT i.bill_number, i.amount, i.due FROM case_invoice i {_OF_CASE.format('i')} "
    "ORDER BY i.id DESC LIMIT 1"
)
_LICENCE = text(
    "SELECT l.number, l.valid_to FROM licence l JOIN case_file f ON f.licence_id = l.id "
    "WHERE f.number = :number"
)
_CALLS = text(
    f"SELECT c.id, c.key, c.attempts, c.state FROM case_call c {_OF_CASE.format('c')} "
    "AND c.name = :check AND c.kind = 'check' ORDER BY c.id DESC LIMIT 1"
)
_ASLEEP = text("UPDATE case_file SET timer_at = NULL WHERE timer_at IS NOT NULL")


class Oracle:
    """A back-end that answers what it was told to."""

    def __init__(self) -> None:
        self.says: Callable[[Question], Reply] = self.silent
        self.asked: list[Question] = []

    def ask(self, question: Question) -> Reply:
        """The port's one method."""
        self.asked.append(question)
        return self.says(question)

    def yes(self, _question: Question) -> Reply:
        """Passed."""
        return Reply(True, datetime.now(UTC), "found")

    def no(self, _question: Question) -> Reply:
        """Failed."""
        return Reply(False, datetime.now(UTC), "unknown")

    def silent(self, _question: Question) -> Reply:
        """No answer now."""
        raise BackendUnavailable("It is away.", reason="timeout")

    def refusing(self, _question: Question) -> Reply:
        """No answer ever."""
        raise BackendRejection("It does not understand.", reason="bad_question")


@dataclass
class Office:
    """All that the machine acts on.

    Args:
        now: the clock; its last moment is the present one.
        terms: every definition, by its code.
        callers: somebody of each role, and some of two roles or of one place.
    """

    licensing: Licensing
    database: Database
    now: list[datetime]
    terms: dict[str, Terms]
    callers: tuple[Caller, ...]
    oracle: Oracle
    calling: Calling

    @property
    def at(self) -> datetime:
        """The present moment."""
        return self.now[-1]

    def transaction(self) -> AbstractContextManager[Session]:
        """A transaction of ours, to look at what lies in the tables."""
        return self.database.transaction()

    def rows(self, query: str, **words: Any) -> list[Mapping[str, Any]]:
        """What a query finds."""
        with self.transaction() as session:
            return [dict(row) for row in session.execute(text(query), words).mappings()]

    def begin(self, opens: datetime) -> None:
        """A new life: the clocks of all earlier cases stand still, and ours is set."""
        with self.transaction() as session:
            session.execute(_ASLEEP)
        self.now[:] = [opens]

    def total(self, case: Case) -> Decimal:
        """The newest quote of a case."""
        return Decimal(self._one(_TOTAL, case)[0])

    def bill(self, case: Case) -> Bill:
        """The newest bill of a case, as it was when it was made."""
        number, amount, due = self._one(_BILL, case)
        return Bill(number, case.number, amount, due)

    def licence(self, case: Case) -> tuple[str, date]:
        """The licence of a case: number and last day."""
        number, last = self._one(_LICENCE, case)
        return number, last

    def call(self, number: str, check: str) -> Mapping[str, Any]:
        """The newest call of a case's check: id, key, attempts made, state."""
        with self.transaction() as session:
            return dict(session.execute(_CALLS, {"number": number, "check": check}).mappings().one())

    def _one(self, query: Any, case: Case) -> Any:
        with self.transaction() as session:
            row = session.execute(query, {"number": case.number}).one_or_none()
        assert row is not None, f"{case.number} has not what the model looks for: {query}"
        return row


@dataclass(frozen=True)
class Guess:
    """Sight of what did not happen: a refused action has no quote to look up.

    Args:
        free: whether its quote would have come to nothing.
    """

    free: bool

    def total(self, case: Case) -> Decimal:  # noqa: ARG002 -- as every sight
        """Something, or nothing."""
        return Decimal(0) if self.free else Decimal(1)

    def bill(self, case: Case) -> Bill:
        """A bill that is not there."""
        return Bill("guessed", case.number, Decimal(1), date.max)

    def licence(self, case: Case) -> tuple[str, date]:  # noqa: ARG002 -- as every sight
        """A licence that is not there."""
        return "guessed", date.max


def open_office(database: Database, folder: Path, definitions: tuple[Path, ...] = DEFINITIONS) -> Office:
    """The office with every definition of the product and of some folders."""
    backends = {"messages": Backend(url="http://127.0.0.1:9/")}
    desk = open_desk(database, folder, definitions, backends=backends)
    licensing = desk.licensing
    # Its centres are counters, which open nothing of a test.
    terms = {each.code: Terms(each) for each in licensing.services.items() if not each.is_test}
    oracle = Oracle()
    checks = [check for each in terms.values() for check in each.content["checks"].values()]
    # The others are put to parties, who answer by actions.
    asked = {check["backend"] for check in checks if check.get("backend") is not None}
    inner = licensing.desk
    calling = Calling(
        database,
        inner.definitions,
        inner.engine,
        inner.office,
        dict.fromkeys(sorted(asked), oracle),
        inner.clock,
    )
    return Office(licensing, database, desk.now, terms, _callers(terms), oracle, calling)


def _callers(terms: Mapping[str, Terms]) -> tuple[Caller, ...]:
    roles = sorted(
        {*(str(role) for role in Role), *(role for each in terms.values() for role in each.roles())}
    )
    pool = [_caller(f"{role}-1", role) for role in roles]
    pool += [_caller(f"{role}-2", role) for role in ("centre", "reviewer", "inspector", "finance", "payment")]
    # Whoever takes a service's money in has the bank's role and the service's own.
    settling = {
        role
        for each in terms.values()
        for flow in each.content["flows"].values()
        for action in flow["actions"]
        if action.get("effect") == "settle"
        for role in action["roles"]
        if role != "payment"
    }
    pool += [_caller(f"till-{role}", "payment", role) for role in sorted(settling)]
    pool.append(_caller("officer", "reviewer", "inspector"))
    pool.append(Caller("reviewer-here", "person", frozenset({"reviewer"}), frozenset(PLACES[:1])))
    return tuple(pool)


def _caller(name: str, *roles: str) -> Caller:
    machine = {"centre", "kiosk", "payment"} & set(roles)
    return Caller(name, "client" if machine else "person", frozenset(roles))
