"""An application with a route for each thing that foundation.http does, on a real server and database."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any

import httpx
import uvicorn
from fastapi import Depends, Header, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import text
from starlette.types import ASGIApp

from foundation import errors
from foundation.database import Database
from foundation.events import StoredEvent
from foundation.http import Answer, authenticated, create_app, fingerprint, once, server_sent
from foundation.http_tokens import token_router
from foundation.identity import Caller, Identity
from foundation.secret import Secret

PROBLEM = "application/problem+json"
LIMIT = 2_000
FILE_LIMIT = 10_000


@contextmanager
def served(app: ASGIApp) -> Iterator[str]:
    """The application on a port of its own; its URL."""
    server = uvicorn.Server(
        uvicorn.Config(app, port=0, loop="uvloop", http="httptools", log_config=None, server_header=False)
    )
    listening = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


class Shop(BaseModel):
    model_config = ConfigDict(extra="forbid")

    name: str
    areas: dict[str, Annotated[int, Field(gt=0)]]


class Streams:
    """What the event stream's source went through."""

    def __init__(self) -> None:
        self.closed = threading.Event()

    async def events(self, count: int) -> AsyncIterator[StoredEvent]:
        """Some events, then silence."""
        try:
            for number in range(count):
                at = datetime(2026, 11, 22, tzinfo=UTC)
                payload = {"number": number, "note": "سطر\nسطر"}
                yield StoredEvent(f"7-{number}", "play.host_ok", "play/1", payload, at)
            if count == 3:
                return
            await asyncio.sleep(3600)
        finally:
            # What a real source does when it ends: it waits for its connection to close.
            await asyncio.sleep(0.01)
            self.closed.set()


class Face:
    """An application with one route for each thing to be shown, on a real server."""

    def __init__(self, database: Database, identity: Identity) -> None:
        self.database, self.identity, self.streams = database, identity, Streams()
        self.fail_next = False
        self.app = create_app("Test", max_body=LIMIT, max_file=FILE_LIMIT)
        self.app.include_router(token_router(identity))
        self._routes()

    def _routes(self) -> None:
        app, centre = self.app, Depends(authenticated(self.identity, "centre", "kiosk"))

        @app.post("/shops")
        def shop(body: Shop, limit: int = 1) -> dict[str, Any]:
            return {"name": body.name, "limit": limit}

        @app.put("/shops")
        async def plan(request: Request) -> dict[str, int]:
            return {"size": len(await request.body())}

        @app.get("/raise/{kind}")
        def fail(kind: str) -> None:
            if kind == "Unforeseen":
                raise KeyError("password=swordfish")
            raise getattr(errors, kind)("It broke.", remedy="Mend it.")

        @app.get("/cached")
        def cached() -> Response:
            return Response("x", headers={"Cache-Control": "max-age=60", "Server": "mine"})

        @app.get("/me")
        def me(caller: Caller = centre) -> dict[str, Any]:
            return {"name": caller.name}

        @app.get("/events")
        def events(count: int) -> Response:
            return server_sent(self.streams.events(count), heartbeat=0.05)

        @app.post("/notes")
        def note(
            body: dict[str, Any],
            caller: Caller = centre,
            key: Annotated[str | None, Header(alias="Idempotency-Key")] = None,
        ) -> JSONResponse:
            with self.database.transaction() as session:

                def act() -> Answer:
                    session.execute(text("INSERT INTO note (words) VALUES (:w)"), {"w": body["words"]})
                    session.execute(text("SELECT pg_sleep(0.05)"))
                    if self.fail_next:
                        self.fail_next = False
                        raise errors.Conflict("Not now.")
                    number = session.scalar(text("SELECT count(*) FROM note"))
                    return Answer(201, {"number": number, "a": body["words"], "النص": "نعم"})

                asked = fingerprint("POST", "/notes", body)
                return once(session, caller, key, asked, act).response()


def new_secret(face: Face, client_id: str, *roles: str) -> Secret:
    """The secret of a new client."""
    with face.database.transaction() as session:
        return face.identity.add_client(session, client_id, roles, client_id)


def bearer(face: Face, client_id: str, *roles: str) -> dict[str, str]:
    """The header of a new client with these roles."""
    token = face.identity.token(client_id, new_secret(face, client_id, *roles)).token.reveal()
    return {"Authorization": f"Bearer {token}"}


def refusal(response: httpx.Response, status: int, kind: str) -> dict[str, Any]:
    """The document of a refusal of this status and kind."""
    assert (response.status_code, response.headers["content-type"]) == (status, PROBLEM)
    document: dict[str, Any] = response.json()
    assert document["type"] == f"urn:rakeeza:problem:{kind}"
    assert document["status"] == status
    assert document["title_ar"]
    return document
