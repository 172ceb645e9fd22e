"""A small headquarters that serves recorded answers, for a terminal that is tried without the platform.

    python -m tests.kiosks.recorded_headquarters --port 8099 --answers FOLDER

FOLDER holds `licence.json` (GET /v1/licences/{number}) and `keys.json`. What it serves was recorded; nothing
is computed here. A POST to /mood changes how it behaves: `{"away": true}` answers 503, `{"revoke": true}`
forgets every token it gave, `{"held": true}` answers when that is false again, `{"garbage": true}` answers
no licence.
"""

import argparse
import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

CLIENT_ID = "kiosk"
SECRET = "recorded"


class Headquarters:
    """The recorded headquarters.

    Args:
        answers: folder of the recordings.
    """

    def __init__(self, answers: Path) -> None:
        self._licence: dict[str, Any] = json.loads((answers / "licence.json").read_text(encoding="utf-8"))
        self._keys = (answers / "keys.json").read_bytes()
        self._tokens: set[str] = set()
        self._given = 0
        self._mood: dict[str, Any] = {}
        self.app = Starlette(
            routes=[
                Route("/v1/oauth/token", self._token, methods=["POST"]),
                Route("/v1/licences/{number}", self._one),
                Route("/.well-known/rakeeza-keys.json", self._public),
                Route("/mood", self._change, methods=["POST"]),
            ]
        )

    async def _token(self, request: Request) -> Response:
        login = base64.b64encode(f"{CLIENT_ID}:{SECRET}".encode()).decode()
        if self._mood.get("away"):
            return Response(status_code=503)
        if request.headers.get("authorization") != f"Basic {login}":
            return JSONResponse({"error": "invalid_client"}, 401)
        self._given += 1
        self._tokens.add(f"token-{self._given}")
        return JSONResponse(
            {"access_token": f"token-{self._given}", "token_type": "Bearer", "expires_in": 600}
        )

    async def _one(self, request: Request) -> Response:
        while self._mood.get("held"):
            await asyncio.sleep(0.02)
        if self._mood.get("away"):
            return Response(status_code=503)
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self._tokens:
            return Response(status_code=401)
        if self._mood.get("garbage"):
            return JSONResponse({"number": 1})
        if request.path_params["number"] != self._licence["number"]:
            return Response(status_code=404)
        # Told how the licence stands now, headquarters says so of the recorded one.
        return JSONResponse({**self._licence, **self._mood.get("licence", {})})

    async def _public(self, _: Request) -> Response:
        return Response(self._keys, media_type="application/json")

    async def _change(self, request: Request) -> Response:
        self._mood.update(await request.json())
        if self._mood.pop("revoke", False):
            self._tokens.clear()
        return JSONResponse({"tokens_given": self._given})


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--answers", type=Path, required=True)
    arguments = parser.parse_args()
    application = Headquarters(arguments.answers).app
    uvicorn.run(application, host="127.0.0.1", port=arguments.port, log_level="warning")
