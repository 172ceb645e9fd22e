"""The REST client against the recorded headquarters and against servers that misbehave."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from foundation.errors import (
    NotAuthenticated,
    NotFound,
    PermissionDenied,
    RakeezaError,
    Refused,
    Unavailable,
)
from foundation.guard import Guard, free_port
from foundation.secret import Secret
from kiosks.headquarters import Headquarters
from kiosks.licence import Licence
from tests.kiosks.conftest import start_headquarters
from tests.kiosks.recorded_headquarters import CLIENT_ID, SECRET
from tests.processes import PATIENCE


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with Guard() as guard:
        yield start_headquarters(guard, tmp_path, free_port())


def ask(
    url: str,
    question: Callable[[Headquarters], Coroutine[Any, Any, Any]],
    secret: str = SECRET,
    timeout: float = PATIENCE,
) -> Any:
    async def work() -> Any:
        async with Headquarters(url, CLIENT_ID, Secret(secret), timeout=timeout) as peer:
            return await question(peer)

    return asyncio.run(work())


def test_a_licence_is_had_by_its_number(url: str, licence: Licence) -> None:
    assert ask(url, lambda peer: peer.licence(licence.number)) == licence


def test_one_token_serves_many_questions(url: str, licence: Licence) -> None:
    async def many(peer: Headquarters) -> None:
        for _ in range(5):
            await peer.licence(licence.number)

    ask(url, many)
    assert httpx.post(f"{url}/mood", json={}, timeout=PATIENCE).json()["tokens_given"] == 1


def test_the_keys_are_kept_until_fresh_ones_are_wanted(url: str) -> None:
    async def twice(peer: Headquarters) -> bool:
        first = await peer.keys()
        return (await peer.keys()) is first and (await peer.keys(fresh=True)) is not first

    assert ask(url, twice)


def test_an_unknown_number_is_not_found(url: str) -> None:
    with pytest.raises(NotFound):
        ask(url, lambda peer: peer.licence("SL-2026-000000"))


def test_a_number_cannot_leave_its_place_in_the_path(url: str) -> None:
    with pytest.raises(NotFound):
        ask(url, lambda peer: peer.licence("../../.well-known/rakeeza-keys.json"))


def test_a_wrong_secret_is_named_and_never_shown(url: str) -> None:
    with pytest.raises(NotAuthenticated) as caught:
        ask(url, lambda peer: peer.licence("SL-1-1"), secret="hunter2")
    assert "hunter2" not in str(caught.value)
    assert "client_id" in str(caught.value)


def test_nobody_there_is_unavailable() -> None:
    with pytest.raises(Unavailable):
        ask(f"http://127.0.0.1:{free_port()}", lambda peer: peer.licence("SL-1-1"))


@pytest.mark.parametrize("name", ["..", "a" * 70 + ".example"])
def test_a_name_that_cannot_be_asked_for_is_unavailable(name: str) -> None:
    with pytest.raises(Unavailable):
        ask(f"http://{name}", lambda peer: peer.licence("SL-1-1"))


def test_an_answer_that_never_comes_is_given_up(url: str) -> None:
    httpx.post(f"{url}/mood", json={"held": True}, timeout=PATIENCE)
    with pytest.raises(Unavailable, match="ReadTimeout"):
        ask(url, lambda peer: peer.licence("SL-1-1"), timeout=2)
    httpx.post(f"{url}/mood", json={"held": False}, timeout=PATIENCE)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, NotAuthenticated),
        (401, NotAuthenticated),
        (403, PermissionDenied),
        (404, NotFound),
        (422, NotFound),
        (429, Unavailable),
        (500, Unavailable),
        (502, Unavailable),
        (503, Unavailable),
        (302, Refused),
        (418, Refused),
        (204, Refused),
    ],
)
def test_every_status_is_an_error_of_ours(status: int, kind: type[RakeezaError]) -> None:
    with pytest.raises(RakeezaError) as caught:
        answered(f"HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n".encode())
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1000001\r\n\r\n" + b" " * 1_000_001,
        b"\x00\x01garbage\r\n\r\n",
    ],
)
def test_every_broken_answer_is_an_error_of_ours(answer: bytes) -> None:
    with pytest.raises((Unavailable, Refused)):
        answered(answer)


def answered(answer: bytes) -> None:
    """Ask for the keys at a server that answers these bytes."""

    async def work() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(answer)
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with (
            server,
            Headquarters(f"http://127.0.0.1:{port}", "kiosk", Secret("s"), timeout=PATIENCE) as peer,
        ):
            await peer.keys()

    asyncio.run(work())
