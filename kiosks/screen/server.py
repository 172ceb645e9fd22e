"""Serves the screen to the terminal's own browser, on loopback and to nobody else.

Each page is whole and works without script; a small script only turns it when the visit goes on.
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import get_args

import uvicorn
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from foundation.errors import SettingsError
from foundation.wire.verdict_words import age_words
from kiosks.agent import Agent, Press
from kiosks.licence import dates, pieces
from kiosks.words import words

HOST = "127.0.0.1"
_FOLDER = Path(__file__).parent
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    # A browser that keeps no page cannot show the last citizen's.
    "cache-control": "no-store",
}
_STILL_THERE = 15.0


def screen_app(agent: Agent) -> Starlette:
    """The screen of one agent as an ASGI application."""
    templates = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["bidi"] = _bidi

    async def page(_: Request) -> Response:
        visit = agent.visit
        state = "out_of_order" if not (agent.can_read or visit.licence) else visit.state
        html = templates.get_template("page.html").render(
            agent=agent,
            visit=visit,
            state=state,
            language=visit.language,
            direction="rtl" if visit.language == "ar" else "ltr",
            words=lambda key: words(key, visit.language),
            other_language="en" if visit.language == "ar" else "ar",
            other_words=lambda key: words(key, "en" if visit.language == "ar" else "ar"),
            dates=lambda day: dates(day, visit.language),
            age_words=age_words,
        )
        return HTMLResponse(html)

    async def press(request: Request) -> Response:
        # Another page in the same browser must not press our buttons.
        if request.headers.get("sec-fetch-site", "same-origin") != "same-origin":
            raise HTTPException(403, "Only this screen presses its buttons.")
        button = request.path_params["button"]
        if button not in get_args(Press):
            raise HTTPException(404, "There is no such button.")
        agent.press(button)
        return RedirectResponse("/", status_code=303)

    async def events(_: Request) -> Response:
        return StreamingResponse(_turns(agent), media_type="text/event-stream")

    return Starlette(
        routes=[
            Route("/", page),
            Route("/press/{button}", press, methods=["POST"]),
            Route("/events", events),
            Mount("/static", StaticFiles(directory=_FOLDER / "static")),
        ],
        middleware=[
            Middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"]),
            Middleware(_StrictHeaders),
        ],
    )


@contextmanager
def listening(port: int) -> Iterator[socket.socket]:
    """The screen's listening socket.

    Raises:
        SettingsError: the port is taken.
    """
    try:
        server = socket.create_server((HOST, port))
    except OSError as error:
        raise SettingsError(
            f"The screen's port is taken or not allowed ({error.strerror}).",
            place=f"{HOST}:{port}",
            remedy="Set another port under [screen] in terminal.toml; 0 takes a free one.",
        ) from error
    with server:
        yield server


async def serve_screen(agent: Agent, server: socket.socket) -> None:
    """Serve until cancelled."""
    config = uvicorn.Config(
        screen_app(agent),
        lifespan="off",
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=1,
    )
    web = _Server(config)
    try:
        await web.serve(sockets=[server])
    finally:
        web.should_exit = True


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # Ctrl-C belongs to the terminal as a whole: devices are closed before the screen.
        yield


class _StrictHeaders:
    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def strict(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await self._app(scope, receive, strict)


async def _turns(agent: Agent) -> AsyncIterator[str]:
    # Each event is only a number: the page itself is fetched, so nothing private waits in a stream.
    version: int | None = agent.version
    while version is not None:
        yield f"event: page\ndata: {version}\n\n"
        turned = asyncio.ensure_future(agent.next_version(version))
        try:
            while not (await asyncio.wait({turned}, timeout=_STILL_THERE))[0]:
                yield ": still here\n\n"
            version = turned.result()
        finally:
            # A browser that leaves must not leave a waiter behind.
            turned.cancel()


def _bidi(text: str) -> Markup:
    # Numbers and Latin names run left to right wherever they stand.
    parts = [
        Markup('<bdi dir="ltr">{}</bdi>').format(piece) if ltr else escape(piece)
        for piece, ltr in pieces(text)
    ]
    return Markup("").join(parts)
