"""Plays by REST: playbooks, runs, and a run's events as they happen."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path, Query, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from foundation import events
from foundation.errors import DefinitionError
from foundation.events import StoredEvent
from foundation.http import Answer, authenticated, fingerprint, once, server_sent
from foundation.identity import Caller, Identity, Role
from infra.plays.definition import Playbook
from infra.plays.plays import Plays
from infra.plays.records import PlayHostResult, PlayRun, get_run, host_results

_RUNS = 50


class RunRequest(BaseModel):
    """A run to be performed.

    Args:
        playbook: its name.
        limit: hosts and groups, separated by commas; without it all that the playbook may run on.
        parameters: the playbook's parameters.
        check: change nothing.
        diff: show how files change.
    """

    model_config = ConfigDict(extra="forbid")

    playbook: str = Field(max_length=100)
    limit: str | None = Field(None, min_length=1, max_length=10_000)
    parameters: dict[str, bool | int | float | str] = Field(default_factory=dict)
    check: bool = False
    diff: bool = False


RunId = Annotated[int, Path(alias="id", ge=1, lt=1 << 63)]


def router(plays: Plays, identity: Identity) -> APIRouter:
    """The routes of plays, for engineers."""
    routes = APIRouter(prefix="/v1/plays")
    engineer = Depends(authenticated(identity, Role.ENGINEER))
    reader = Depends(authenticated(identity, Role.ENGINEER, Role.AUDITOR))

    @routes.get("", dependencies=[reader])
    def list_plays() -> dict[str, Any]:
        """The playbooks, and the latest runs, newest first."""
        plays.reconcile()
        with plays.database.transaction() as session:
            runs = [_run(run) for run in plays.runs(session, _RUNS)]
        return {"playbooks": [_entry(*item) for item in plays.playbooks().items()], "runs": runs}

    @routes.post("/runs", status_code=201)
    def request_run(
        body: RunRequest,
        caller: Caller = engineer,
        key: Annotated[str | None, Header(alias="Idempotency-Key")] = None,
    ) -> JSONResponse:
        """Ask for a run; a worker performs it."""
        mark = fingerprint("POST", "/v1/plays/runs", body.model_dump())
        with plays.database.transaction() as session:
            return once(session, caller, key, mark, lambda: _request(session, caller, body)).response()

    def _request(session: Session, caller: Caller, body: RunRequest) -> Answer:
        run_id = plays.request(
            session,
            body.playbook,
            requested_by=caller.actor,
            limit=body.limit,
            parameters=body.parameters,
            check=body.check,
            diff=body.diff,
        )
        return Answer(201, _run(get_run(session, run_id)))

    @routes.get("/runs/{id}", dependencies=[reader])
    def get_one(run_id: RunId) -> dict[str, Any]:
        """A run, with the result of each host."""
        plays.reconcile()
        with plays.database.transaction() as session:
            run = get_run(session, run_id)
            return {**_run(run), "hosts": [_host(result) for result in host_results(session, run_id)]}

    @routes.get("/runs/{id}/events", dependencies=[reader], response_class=Response)
    def follow(
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
        return server_sent(_until_finished(plays, run.subject, cursor))

    return routes


async def _until_finished(plays: Plays, subject: str, after: str | None) -> AsyncIterator[StoredEvent]:
    async for event in events.afollow(plays.database, after=after, subject=subject):
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
    times = {name: getattr(run, name) for name in ("requested_at", "started_at", "finished_at")}
    return {
        "id": run.id,
        "playbook": run.playbook,
        "revision": run.revision,
        "parameters": run.parameters,
        "limit": run.target_limit,
        "check": run.check_mode,
        "diff": run.diff,
        "requested_by": run.requested_by,
        "state": run.state,
        "reason": run.reason,
        "at": run.at,
        "statistics": run.statistics,
        **{name: time.isoformat().replace("+00:00", "Z") if time else None for name, time in times.items()},
    }


def _host(result: PlayHostResult) -> dict[str, Any]:
    return {
        column.key: getattr(result, column.key)
        for column in PlayHostResult.__table__.columns
        if column.key != "run_id"
    }
