"""Plays by REST: playbooks, runs, what people decide of them, and a run's events as they happen."""

import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from foundation import events
from foundation.errors import DefinitionError
from foundation.events import StoredEvent
from foundation.http import Answer, authenticated, fingerprint, once, server_sent, still_bears
from foundation.identity import Caller, Identity, Role
from infra.plays import decisions
from infra.plays.definition import Playbook
from infra.plays.plays import Plays
from infra.plays.records import PlayChange, PlayHostResult, PlayRun, changes_of, get_run, host_results

_RUNS = 50

Reason = Annotated[str, Field(min_length=1, max_length=1_000)]


class RunRequest(BaseModel):
    """A run to be performed.

    Args:
        playbook: its name.
        limit: hosts and groups, separated by commas; without it all that the playbook may run on.
        parameters: the playbook's parameters.
        check: change nothing.
        diff: show how files change.
        not_before: it does not begin before this moment.
        emergency: why it may run outside of change windows and in a freeze; then it needs an approval.
    """

    model_config = ConfigDict(extra="forbid")

    playbook: str = Field(max_length=100)
    limit: str | None = Field(None, min_length=1, max_length=10_000)
    parameters: dict[str, bool | int | float | str] = Field(default_factory=dict)
    check: bool = False
    diff: bool = False
    not_before: AwareDatetime | None = None
    emergency: Reason | None = None


class Approval(BaseModel):
    """An approval of exactly one plan, by its digest."""

    model_config = ConfigDict(extra="forbid")

    plan: str = Field(pattern=r"^[0-9a-f]{64}$")
    comment: Reason | None = None


class Rejection(BaseModel):
    """Why a plan is rejected."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason


class Cancellation(BaseModel):
    """Why a run is ended."""

    model_config = ConfigDict(extra="forbid")

    reason: Reason | None = None


class Retry(BaseModel):
    """A run once more: on the hosts that were not well, or on all."""

    model_config = ConfigDict(extra="forbid")

    failed: bool = True


RunId = Annotated[int, Path(alias="id", ge=1, lt=1 << 63)]
Key = Annotated[str | None, Header(alias="Idempotency-Key")]


def router(plays: Plays, identity: Identity) -> APIRouter:
    """The routes of plays, for engineers."""
    routes = APIRouter(prefix="/v1/plays")
    engineer = Depends(authenticated(identity, Role.ENGINEER))
    reader = Depends(authenticated(identity, Role.ENGINEER, Role.AUDITOR))

    def write(
        caller: Caller,
        key: str | None,
        what: str,
        body: BaseModel,
        action: Callable[[Session], int],
        code: int,
    ) -> JSONResponse:
        mark = fingerprint("POST", f"/v1/plays/runs{what}", body.model_dump(mode="json"))
        with plays.database.transaction() as session:
            return once(
                session, caller, key, mark, lambda: Answer(code, _run(get_run(session, action(session))))
            ).response()

    @routes.get("", dependencies=[reader])
    def list_plays() -> dict[str, Any]:
        """The playbooks, and the latest runs, newest first."""
        plays.reconcile()
        with plays.database.transaction() as session:
            runs = [_run(run) for run in plays.runs(session, _RUNS)]
        return {"playbooks": [_entry(*item) for item in plays.playbooks().items()], "runs": runs}

    @routes.post("/runs", status_code=201)
    def request_run(body: RunRequest, caller: Caller = engineer, key: Key = None) -> JSONResponse:
        """Ask for a run; a worker performs it, after an approval where its playbook needs one."""

        def ask(session: Session) -> int:
            return plays.request(
                session,
                body.playbook,
                requested_by=caller.actor,
                limit=body.limit,
                parameters=body.parameters,
                check=body.check,
                diff=body.diff,
                not_before=body.not_before,
                emergency=body.emergency,
            )

        return write(caller, key, "", body, ask, 201)

    @routes.post("/runs/{id}/approve")
    def approve(run_id: RunId, body: Approval, caller: Caller = engineer, key: Key = None) -> JSONResponse:
        """Approve exactly the plan that was looked at; not one's own."""

        def decide(session: Session) -> int:
            return plays.approve(session, run_id, by=caller.actor, plan=body.plan, comment=body.comment).id

        return write(caller, key, f"/{run_id}/approve", body, decide, 200)

    @routes.post("/runs/{id}/reject")
    def reject(run_id: RunId, body: Rejection, caller: Caller = engineer, key: Key = None) -> JSONResponse:
        """Reject what a check showed; the run ends."""

        def decide(session: Session) -> int:
            return decisions.reject(session, run_id, by=caller.actor, reason=body.reason).id

        return write(caller, key, f"/{run_id}/reject", body, decide, 200)

    @routes.post("/runs/{id}/cancel")
    def cancel(run_id: RunId, body: Cancellation, caller: Caller = engineer, key: Key = None) -> JSONResponse:
        """End a run; Ansible and all it started are ended with it."""

        def decide(session: Session) -> int:
            return decisions.cancel(session, run_id, by=caller.actor, reason=body.reason).id

        return write(caller, key, f"/{run_id}/cancel", body, decide, 200)

    @routes.post("/runs/{id}/retry", status_code=201)
    def retry(run_id: RunId, body: Retry, caller: Caller = engineer, key: Key = None) -> JSONResponse:
        """Ask for a run once more, by default on the hosts that were not well."""

        def ask(session: Session) -> int:
            return plays.retry(session, run_id, requested_by=caller.actor, failed=body.failed)

        return write(caller, key, f"/{run_id}/retry", body, ask, 201)

    @routes.get("/runs/{id}", dependencies=[reader])
    def get_one(run_id: RunId) -> dict[str, Any]:
        """A run, with the result of each host."""
        plays.reconcile()
        with plays.database.transaction() as session:
            run = get_run(session, run_id)
            return {**_run(run), "hosts": [_host(result) for result in host_results(session, run_id)]}

    @routes.get("/runs/{id}/changes", dependencies=[reader])
    def get_changes(run_id: RunId) -> dict[str, Any]:
        """What the last check of a run showed: the plan that an approval binds to."""
        with plays.database.transaction() as session:
            run = get_run(session, run_id)
            changes = [_change(change) for change in changes_of(session, run_id)]
            return {"id": run.id, "state": run.state, "plan": run.plan, "changes": changes}

    @routes.get("/runs/{id}/events", dependencies=[reader], response_class=Response)
    def follow(
        request: Request,
        run_id: RunId,
        after: Annotated[str | None, Query(description="Cursor of the last event seen.")] = None,
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> Response:
        """A run's events from the first, then those to come, as server-sent events; ends with the run."""
        cursor = last_event_id or after
        with plays.database.transaction() as session:
            run = get_run(session, run_id)
            rest = events.read(session, after=cursor, subject=run.subject, limit=1)
        if not run.under_way and not rest:
            # 204 tells a browser that it need not connect again (WHATWG HTML, section 9.2).
            return Response(status_code=204)
        following = _until_finished(plays, run.subject, cursor)
        return server_sent(following, holds=still_bears(request, identity))

    return routes


async def _until_finished(plays: Plays, subject: str, after: str | None) -> AsyncIterator[StoredEvent]:
    async with contextlib.aclosing(events.afollow(plays.database, after=after, subject=subject)) as following:
        async for event in following:
            yield event
            if event.kind == "play.finished":
                return


def _entry(name: str, entry: Playbook | DefinitionError) -> dict[str, Any]:
    if isinstance(entry, DefinitionError):
        return {"name": name, "error": str(entry)}
    about = entry.about.model_dump(mode="json")
    parameters = [
        {"name": key, "value": parameter.bounds, **about["parameters"][key]}
        for key, parameter in entry.about.parameters.items()
    ]
    return {"name": name, "revision": entry.revision, **about, "parameters": parameters}


def _run(run: PlayRun) -> dict[str, Any]:
    times = {column.key: getattr(run, column.key) for column in PlayRun.__table__.columns}
    return {
        "id": run.id,
        "playbook": run.playbook,
        "revision": run.revision,
        "parameters": run.parameters,
        "limit": run.target_limit,
        "targets": run.targets,
        "site": run.site,
        "risk": run.risk,
        "check": run.check_mode,
        "diff": run.diff,
        "requested_by": run.requested_by,
        "approval_needed": run.approval_needed,
        "plan": run.plan,
        "approved_by": run.approved_by,
        "approved_plan": run.approved_plan,
        "emergency": run.emergency,
        "waits_for": run.waits_for,
        "waiting": run.waiting,
        "cancelled_by": run.cancelled_by,
        "retry_of": run.retry_of,
        "schedule": run.schedule,
        "state": run.state,
        "reason": run.reason,
        "at": run.at,
        "statistics": run.statistics,
        **{
            name: _moment(value)
            for name, value in times.items()
            if name.endswith("_at") or name == "not_before"
        },
    }


def _moment(value: datetime | None) -> str | None:
    return value.isoformat().replace("+00:00", "Z") if value else None


def _host(result: PlayHostResult) -> dict[str, Any]:
    return {
        column.key: getattr(result, column.key)
        for column in PlayHostResult.__table__.columns
        if column.key != "run_id"
    }


def _change(change: PlayChange) -> dict[str, Any]:
    return {name: getattr(change, name) for name in ("host", "number", "task", "item", "diff", "digest")}
