"""The contract of the interface, version by version: its files at addresses that stay, and what answers say.

A version's files are those that were released, byte by byte; only the WSDL names the address of this server.
No token is needed: who writes a client has none yet.
"""

import hashlib
from typing import Any

from fastapi import APIRouter, Request, Response
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from foundation.http import PROBLEMS
from integrations.contracts import wsdl
from integrations.contracts.versions import FILES, HEADER, PLACE, file_of, headers, versions
from integrations.entrypoints.soap.contract_files import address_of

_KEPT = {"Cache-Control": "public, max-age=300"}


def router(public_url: str | None) -> APIRouter:
    """The versions and their files.

    Args:
        public_url: under which others reach the platform; None takes what each request says.
    """
    routes = APIRouter(responses=PROBLEMS)

    @routes.get(PLACE)
    def list_versions() -> dict[str, Any]:
        """Every version of the interface, its files, and when it will end if that is known."""
        return {"versions": [_listed(number) for number in versions()]}

    described: dict[int | str, dict[str, Any]] = {
        200: {"description": "As it was released.", "content": {kind: {} for kind in FILES.values()}},
        304: {"description": "It is the one of If-None-Match."},
    }

    @routes.get(PLACE + "/{version}/{name}", response_class=Response, responses=described)
    def get_file(version: int, name: str, request: Request) -> Response:
        """A file of a version: its OpenAPI, WSDL or XSD."""
        octets = file_of(version, name).read_bytes()
        if name == wsdl.LICENSING_WSDL.name:
            scope = {**request.scope, "path": f"/v{version}/soap"}
            octets = wsdl.addressed(octets, address_of(scope, request.headers, public_url))
        etag = f'"{hashlib.sha256(octets).hexdigest()[:32]}"'
        said = {**_KEPT, "ETag": etag, HEADER: str(version)}
        if etag in (each.strip() for each in request.headers.get("if-none-match", "").split(",")):
            return Response(status_code=304, headers=said)
        return Response(octets, media_type=f"{FILES[name]}; charset=utf-8", headers=said)

    return routes


class Versioned:
    """Says on every answer below `/vN` which version of the interface it is of, and when that will end.

    Args:
        app: answers.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._said = {f"/v{number}/": headers(number) for number in versions()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection of ASGI."""
        path: str = scope.get("path", "")
        said = self._said.get(path[: path.find("/", 1) + 1])
        if said is None:
            await self._app(scope, receive, send)
            return

        async def say(message: Message) -> None:
            if message["type"] == "http.response.start":
                sent = MutableHeaders(scope=message)
                for name, value in said.items():
                    sent.append(name, value)
            await send(message)

        await self._app(scope, receive, say)


def _listed(number: int) -> dict[str, Any]:
    version = versions()[number]
    return {
        "version": number,
        "rest": f"/v{number}",
        "soap": f"/v{number}/soap",
        "deprecated": version.deprecated and version.deprecated.isoformat(),
        "sunset": version.sunset and version.sunset.isoformat(),
        "files": [f"{PLACE}/{number}/{name}" for name in FILES],
    }
