"""What is told to others and asked of them: events, webhooks, calls to back-ends."""

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from foundation.http import authenticated, server_sent, still_bears
from foundation.identity import Caller, Identity, Role
from integrations.contracts import promised
from integrations.entrypoints.rest.messages import (
    After,
    Id,
    Key,
    LastEvent,
    Limit,
    Number,
    Replay,
    Subscription,
)
from integrations.licensing import Licensing


def add(routes: APIRouter, licensing: Licensing, identity: Identity) -> None:
    """Add the routes."""
    anyone = Depends(authenticated(identity))
    centre = Depends(authenticated(identity, Role.CENTRE))
    mender = Depends(authenticated(identity, Role.REVIEWER, Role.ADMINISTRATOR))
    watcher = Depends(authenticated(identity, Role.REVIEWER, Role.ADMINISTRATOR, Role.AUDITOR))

    @routes.get("/events", response_class=Response, **promised("events"))
    def events(request: Request, last_event: LastEvent, caller: Caller = anyone) -> Response:
        """Events of the cases that the caller may see, as they happen (server-sent events)."""
        # Where it begins is settled now: what happens until the stream is read is in it.
        start = last_event or licensing.outside.newest()
        following = licensing.outside.events(caller, start)
        return server_sent(following, holds=still_bears(request, identity))

    @routes.post("/webhooks", **promised("subscribe"))
    def subscribe(body: Subscription, caller: Caller = centre, key: Key = None) -> JSONResponse:
        """Be told of events; the answer holds the secret that signs them."""
        return licensing.outside.subscribe(caller, body.url, body.kinds, key).response()

    @routes.get("/webhooks", **promised("list_webhooks"))
    def list_webhooks(caller: Caller = centre) -> JSONResponse:
        """The caller's webhooks."""
        return JSONResponse({"items": licensing.outside.webhooks(caller)})

    @routes.delete("/webhooks/{webhook}", response_class=Response, **promised("unsubscribe"))
    def unsubscribe(webhook: Id, caller: Caller = centre) -> Response:
        """Be told no more."""
        licensing.outside.unsubscribe(caller, webhook)
        return Response(status_code=204)

    @routes.post("/webhooks/{webhook}/replay", **promised("replay_webhook"))
    def replay_webhook(webhook: Id, body: Replay, caller: Caller = centre, key: Key = None) -> JSONResponse:
        """Be told again, from an event or a moment on; a paused webhook goes on."""
        return licensing.outside.replay(caller, webhook, body.after, body.since, key).response()

    @routes.post("/webhooks/{webhook}/pause", **promised("pause_webhook"))
    def pause_webhook(webhook: Id, caller: Caller = centre, key: Key = None) -> JSONResponse:
        """Be told nothing until it is resumed."""
        return licensing.outside.pause(caller, webhook, key).response()

    @routes.post("/webhooks/{webhook}/resume", **promised("resume_webhook"))
    def resume_webhook(webhook: Id, caller: Caller = centre, key: Key = None) -> JSONResponse:
        """Be told again, from where it stopped."""
        return licensing.outside.unpause(caller, webhook, key).response()

    @routes.post("/webhooks/{webhook}/secret", **promised("rotate_webhook_secret"))
    def rotate_webhook_secret(webhook: Id, caller: Caller = centre, key: Key = None) -> JSONResponse:
        """Take a new secret; for a day messages are signed with both."""
        return licensing.outside.rotate_secret(caller, webhook, key).response()

    @routes.get("/cases/{number}/calls", **promised("list_calls"))
    def list_calls(number: Number, caller: Caller = anyone) -> JSONResponse:
        """The calls of a case to back-ends."""
        return JSONResponse({"items": licensing.outside.calls(caller, number)})

    @routes.get("/calls/parked", **promised("list_parked_calls"))
    def list_parked_calls(caller: Caller = watcher, after: After = None, limit: Limit = 50) -> JSONResponse:
        """Calls to back-ends that were given up, with the reason."""
        return JSONResponse(licensing.outside.parked(caller, after=after, limit=limit))

    @routes.post("/calls/{call}/retry", **promised("retry_call"))
    def retry_call(call: Id, caller: Caller = mender, key: Key = None) -> JSONResponse:
        """Let a parked call be tried again."""
        return licensing.outside.retry(caller, call, key).response()
