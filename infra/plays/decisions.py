"""What people decide of a run: to approve what a check showed, to reject it, to end it."""

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from foundation.errors import Conflict, InvalidInput, PermissionDenied, Stale
from infra.plays.records import TO_BEGIN, PlayRun, get_run
from infra.plays.states import finish, note, performed

# Of the plan's digest, what a person has to give: nobody finds another plan that begins so.
LEAST = 12
_LONGEST_REASON = 1_000


def approve(session: Session, run_id: int, *, by: str, plan: str, comment: str | None = None) -> PlayRun:
    """Approve exactly what a check showed.

    Args:
        session: the run is to be put before the workers in the same transaction.
        run_id: the run.
        by: who approves; not who asked for it.
        plan: the digest of what he looked at, or its beginning of 12 characters or more.
        comment: what he says to it.

    Raises:
        NotFound: there is no such run.
        Conflict: it awaits no approval.
        PermissionDenied: he asked for it himself, or is a program.
        InvalidInput: the digest is too short.
        Stale: what he looked at is not what would be done now.
    """
    run = get_run(session, run_id, lock=True)
    _expect(run, "approve")
    if same_person(by, run.requested_by):
        raise PermissionDenied(
            f"{by} asked for run {run.id} and cannot approve it.",
            place=run.subject,
            remedy="Another engineer has to look at it and approve it.",
        )
    if by.startswith("client/"):
        # Whoever holds its secret would be two people at once.
        raise PermissionDenied(
            f"{by} is a program; what a change does is approved by a person.",
            place=run.subject,
            remedy="Sign in and approve it yourself.",
        )
    if len(plan) < LEAST:
        raise InvalidInput(
            f"The plan's digest is given by its first {LEAST} characters at least.",
            place=run.subject,
            remedy=f"Look at it with: rakeeza play show {run.id} --changes",
        )
    assert run.plan is not None
    if not run.plan.startswith(plan.lower()):
        raise Stale(
            f"The plan of run {run.id} is {run.plan[:LEAST]} and not {plan[:LEAST]}.",
            place=run.subject,
            remedy=f"Look at what it would do now: rakeeza play show {run.id} --changes",
        )
    run.approved_at = session.scalar(select(func.clock_timestamp()))
    run.state, run.approved_by, run.approved_plan = "approved", by, run.plan
    run.decided_reason = _checked(comment)
    note(session, run, "approved", by, {"plan": run.plan, "playbook": run.playbook, "comment": comment})
    return run


def reject(session: Session, run_id: int, *, by: str, reason: str) -> PlayRun:
    """Reject what a check showed; the run ends.

    Raises:
        NotFound: there is no such run.
        Conflict: it awaits no approval.
        InvalidInput: there is no reason.
    """
    run = get_run(session, run_id, lock=True)
    _expect(run, "reject")
    said = _checked(reason)
    if not said:
        raise InvalidInput("A rejection needs its reason.", place=run.subject, remedy="Give --reason.")
    run.decided_reason = said
    note(session, run, "rejected", by, {"plan": run.plan, "playbook": run.playbook, "reason": said})
    finish(session, run, "rejected", f"{by} rejected it: {said}", actor=by)
    return run


def cancel(session: Session, run_id: int, *, by: str, reason: str | None = None) -> PlayRun:
    """End a run: at once where nobody performs it; else who performs it is told, and ends Ansible.

    Raises:
        NotFound: there is no such run.
        Conflict: it has ended.
    """
    run = get_run(session, run_id, lock=True)
    if not run.under_way:
        raise Conflict(f"Run {run.id} has ended already: it is {run.state}.", place=run.subject)
    said = _checked(reason)
    why = f" ({said})" if said else ""
    if run.cancelled_by is None:
        run.cancelled_by, run.cancel_reason = by, said
        note(session, run, "cancel_requested", by, {"playbook": run.playbook, "reason": said})
    if not performed(run):
        finish(session, run, "cancelled", f"It was cancelled by {by}{why}. Nothing was changed.", actor=by)
    return run


def same_person(one: str, other: str) -> bool:
    """Whether two actors may be one person: `cli/sara` and `person/sara` are."""
    return _name(one) == _name(other)


def waiting_on(session: Session, targets: list[str], site: str | None) -> list[PlayRun]:
    """The runs that may be able to begin now that these devices, and a place at this site, are free."""
    waits = PlayRun.waits_for.in_(("device", "turn")) & PlayRun.targets.overlap(targets)
    rooms = (PlayRun.waits_for == "site") & PlayRun.site.is_not_distinct_from(site)
    query = select(PlayRun).where(PlayRun.state.in_(TO_BEGIN), waits | rooms).order_by(PlayRun.id)
    return list(session.scalars(query.with_for_update(skip_locked=True)))


def _expect(run: PlayRun, what: str) -> None:
    if run.state != "awaiting_approval":
        raise Conflict(
            f"There is nothing to {what}: run {run.id} is {run.state.replace('_', ' ')}.",
            place=run.subject,
            remedy=f"See: rakeeza play show {run.id}",
        )


def _checked(text: str | None) -> str | None:
    said = (text or "").strip()
    if len(said) > _LONGEST_REASON:
        raise InvalidInput(f"A reason has at most {_LONGEST_REASON} characters.", remedy="Say it shorter.")
    return said or None


def _name(actor: str) -> str:
    # Of names that differ only in their case one is soon taken for the other.
    name = actor.rpartition("/")[2].casefold()
    return name.removeprefix("cli-")
