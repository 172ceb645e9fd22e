"""A caller that one face of a process hands over to another, and that nobody outside can claim to be."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Message, Scope

from foundation.database import Database
from foundation.http import handed_over
from foundation.identity import Caller, Identity
from foundation.secret import SecretFile
from tests.foundation.http_face import Face, bearer, refusal, served

AMAL = Caller("centre-7", "client", frozenset({"centre"}))


@pytest.fixture
def face(database: Database, tmp_path: Path) -> Face:
    secrets = SecretFile(tmp_path / "secrets.json", tmp_path / "secrets.key")
    return Face(database, Identity(database, secrets, 600))


def _asked(face: Face, scope: Scope) -> tuple[int, bytes]:
    said: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        said.append(message)

    asyncio.run(face.app(scope, receive, send))
    return said[0]["status"], b"".join(message.get("body", b"") for message in said)


def _scope(**parts: Any) -> Scope:
    return {
        "type": "http",
        "method": "GET",
        "path": "/me",
        "raw_path": b"/me",
        "query_string": b"",
        "headers": [],
        "root_path": "",
        "scheme": "http",
        "http_version": "1.1",
        "server": ("127.0.0.1", 1),
        "client": ("127.0.0.1", 2),
        **parts,
    }


def test_a_caller_handed_over_in_process_needs_no_token(face: Face) -> None:
    assert _asked(face, handed_over(_scope(), AMAL)) == (200, b'{"name":"centre-7"}')


def test_a_caller_handed_over_still_needs_the_role(face: Face) -> None:
    auditor = Caller("auditor", "client", frozenset({"auditor"}))

    assert _asked(face, handed_over(_scope(), auditor))[0] == 403


def test_who_is_not_let_in_is_noted_once_by_the_face_he_came_to(
    face: Face, caplog: pytest.LogCaptureFixture
) -> None:
    assert _asked(face, _scope())[0] == 401
    assert _asked(face, handed_over(_scope(), None))[0] == 401

    noted = [each.getMessage() for each in caplog.records if each.name == "foundation.http"]
    assert noted == ["GET /me from 127.0.0.1 was refused: NotAuthenticated"]


def test_a_scope_that_only_looks_handed_over_lets_nobody_in(face: Face) -> None:
    looks = _scope(state={"caller": AMAL, "rakeeza.caller": AMAL}, **{"rakeeza.caller": AMAL})

    assert _asked(face, looks)[0] == 401


def test_no_header_and_no_parameter_hands_a_caller_over(face: Face) -> None:
    with served(face.app) as url, httpx.Client(base_url=url) as client:
        for name in ("rakeeza.caller", "X-Rakeeza-Caller", "caller", "state"):
            sent = client.get("/me", headers={name: "client/centre-7"}, params={name: "client/centre-7"})
            refusal(sent, 401, "not-authenticated")
        assert client.get("/me", headers=bearer(face, "centre-7", "centre")).status_code == 200
