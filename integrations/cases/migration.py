"""Moves open cases from one version of a definition to today's: explicitly, each by itself, in the journal.

A case keeps the definition that it was opened under. Whoever changes a rule that open cases must follow says
so here, with the new name of each state that has one. What the new version does not know is refused, not
guessed. A quote or bill that a case has stays what it is: it names the version it was reckoned by.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.orm import Session

from foundation.definitions import Bilingual
from foundation.errors import Conflict, RakeezaError
from integrations.cases.case import Case
from integrations.cases.case_store import CASES
from integrations.cases.numbers import is_test
from integrations.service import Service

_OPEN = (
    select(CASES.c.number)
    .where(CASES.c.definition == bindparam("definition"), CASES.c.closed_at.is_(None))
    .order_by(CASES.c.id)
)


@dataclass(frozen=True)
class Plan:
    """Which cases are to be moved, and how.

    Args:
        service: code.
        from_version: of the definition they run under.
        states: new name of each state that is called otherwise in today's version.
        number: only this case.
        dry_run: say what would become of each, and write nothing.
    """

    service: str
    from_version: int
    states: Mapping[str, str]
    number: str | None = None
    dry_run: bool = False


def candidates(session: Session, old: Service, number: str | None) -> Sequence[str]:
    """Numbers of the open cases of a definition; of one case only, if it is named and is one of them."""
    found: Sequence[str] = session.execute(_OPEN, {"definition": old.fingerprint}).scalars().all()
    return [each for each in found if number in (None, each)]


def target(new: Service, case: Case, private: Mapping[str, Any], states: Mapping[str, str]) -> str:
    """The state that a case has under the new definition.

    Args:
        private: the personal fields of its form.

    Raises:
        Conflict: the new definition does not know its procedure, its state or a field of its form.
    """
    if new.is_test != is_test(case.number):
        kind = "a test" if is_test(case.number) else "real"
        raise Conflict(
            f"The case {case.number} is {kind}, and {new.code} is not.",
            remedy="Let it end under the definition that it has.",
            message_ar=f"لا تنتقل المعاملة {case.number} بين التجريبي والحقيقي.",
        )
    if case.procedure not in new.procedures:
        raise _unknown(case, Bilingual(ar="الإجراء", en="procedure"), case.procedure)
    state = states.get(case.state, case.state)
    known = new.flow_of(case.procedure).states
    if state not in known:
        raise _unknown(case, Bilingual(ar="الحالة", en="state"), state)
    if known[state].final:
        raise Conflict(
            f"The case {case.number} is open, and {state!r} is a final state.",
            remedy="Name a state that it can go on from.",
            message_ar=f"المعاملة {case.number} مفتوحة، والحالة {state} نهائية.",
        )
    for name in (*case.form, *private):
        if name not in new.form_of(case.procedure):
            raise _unknown(case, Bilingual(ar="الحقل", en="field"), name)
    return state


def row(number: str, before: str, after: str | None, error: RakeezaError | None = None) -> dict[str, Any]:
    """What became of a case, in the report."""
    return {
        "number": number,
        "from": before,
        "to": after,
        "refused": str(error) if error is not None else None,
    }


def _unknown(case: Case, what: Bilingual, name: str) -> Conflict:
    return Conflict(
        f"The case {case.number} has the {what.en} {name!r}, which the new version does not know.",
        remedy="Give the new version one that takes it up, or map the state to another.",
        message_ar=f"في المعاملة {case.number} {what.ar} «{name}» ولا يعرفها الإصدار الجديد.",
    )
