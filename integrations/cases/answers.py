"""Answers to a case's checks: asked on entering a state, given by back-ends later and by parties' actions."""

from foundation.chain import JSON
from integrations.cases import calls, journal, periods
from integrations.cases.case import Work
from integrations.flow import Action


def ask(work: Work, *, missing: bool = False) -> None:
    """Ask the back-ends what the case's state asks; a party finds the case in its inbox.

    Args:
        missing: only what has no answer.
    """
    for name in work.flow.states[work.case.state].checks:
        check = work.service.checks[name]
        if check.backend is not None and not (missing and name in work.case.checks):
            calls.ask(work, name, check)


def forget(work: Work) -> None:
    """Forget what the case's state asks: an answer to an earlier form is none to what is asked now."""
    case, asked = work.case, work.flow.states[work.case.state].checks
    case.checks = {name: said for name, said in case.checks.items() if name not in asked}


def give(work: Work, action: Action) -> dict[str, JSON]:
    """Note what a party answers with an action, in place of what it answered before.

    An action that is taken by itself answers for who is not concerned, and for nobody who has answered.

    Returns:
        What the journal says of it.
    """
    case, himself = work.case, action.taker == "role"
    said = {
        name: answer for name, answer in (action.answers or {}).items() if himself or name not in case.checks
    }
    if not said:
        return {}
    case.checks = {**case.checks, **said}
    periods.answer_in_person(case, said)
    return {"answers": dict(said)}


def deem(work: Work, name: str) -> None:
    """Write down what a party's silence says, now that its period is over."""
    case, silence = work.case, work.service.checks[name].silence
    assert silence is not None, "who has a period has something that silence says"
    case.checks = {**case.checks, name: silence}
    periods.answer_by_silence(case, name)
    case.changed_at = work.at
    journal.noted(work, "deemed", journal.DEEMED, {"answers": {name: silence}})
