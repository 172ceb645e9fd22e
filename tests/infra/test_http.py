"""Plays by REST, served by uvicorn and read by httpx."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from foundation.database import Database
from foundation.http import create_app
from foundation.identity import Identity, Role
from foundation.secret import SecretFile
from infra.plays import http as plays_http
from lab.sshd import SshServer
from tests.foundation.http_face import served
from tests.infra.conftest import WritePlaybook
from tests.infra.test_plays import PING, World
from tests.processes import PATIENCE


@pytest.fixture
def world(database: Database, tmp_path: Path, write_playbook: WritePlaybook, server: SshServer) -> World:
    made = World(database, tmp_path / "platform", write_playbook("ping", PING).parent)
    made.add("good", server.attributes())
    return made


@pytest.fixture
def api(world: World, tmp_path: Path) -> Iterator[httpx.Client]:
    identity = Identity(world.database, SecretFile(tmp_path / "secrets.json", tmp_path / "secrets.key"), 600)
    with world.database.transaction() as session:
        secrets = {
            role: identity.add_client(session, f"{role}-1", [role], str(role))
            for role in (Role.ENGINEER, Role.CENTRE)
        }
    app = create_app("test", max_body=10_000)
    app.include_router(plays_http.router(world.plays, identity))
    with served(app) as url, httpx.Client(base_url=url, timeout=PATIENCE) as client:
        for role, secret in secrets.items():
            token = identity.token(f"{role}-1", secret).token.reveal()
            client.headers[f"x-{role}"] = f"Bearer {token}"
        client.headers["Authorization"] = client.headers["x-engineer"]
        yield client


def ask(api: httpx.Client, key: str, **body: Any) -> httpx.Response:
    return api.post("/v1/plays/runs", json=body, headers={"Idempotency-Key": key})


def test_a_run_is_asked_for_once_and_its_events_end_with_it(api: httpx.Client, world: World) -> None:
    first = ask(api, "one", playbook="ping", limit="good")
    assert first.status_code == 201
    again = ask(api, "one", playbook="ping", limit="good")
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    run_id = first.json()["id"]
    assert [run["id"] for run in api.get("/v1/plays").json()["runs"]] == [run_id]
    assert first.json()["requested_by"] == "client/engineer-1"

    performer = threading.Thread(target=world.plays.perform, args=(run_id,))
    lines: list[str] = []
    with api.stream("GET", f"/v1/plays/runs/{run_id}/events") as stream:
        # The reader is there before anything happens, so what it reads is live.
        performer.start()
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines += stream.iter_lines()
    performer.join()
    kinds = [line.removeprefix("event: ") for line in lines if line.startswith("event: ")]
    assert kinds == ["play.requested", "play.started", "play.task_started", "play.host_ok", "play.finished"]

    run = api.get(f"/v1/plays/runs/{run_id}").json()
    assert (run["state"], run["hosts"][0]["host"], run["hosts"][0]["ok"]) == ("successful", "good", 1)
    cursors = [line.removeprefix("id: ") for line in lines if line.startswith("id: ")]
    with api.stream(
        "GET", f"/v1/plays/runs/{run_id}/events", headers={"Last-Event-ID": cursors[-2]}
    ) as stream:
        rest = [line for line in stream.iter_lines() if line.startswith("event: ")]
    assert rest == ["event: play.finished"]
    done = api.get(f"/v1/plays/runs/{run_id}/events", params={"after": cursors[-1]})
    assert done.status_code == 204


def test_playbooks_are_described_with_their_parameters_and_faults(api: httpx.Client, world: World) -> None:
    (world.settings.plays.folders[0] / "broken.yml").write_text("- [", encoding="utf-8")
    entries = {entry["name"]: entry for entry in api.get("/v1/plays").json()["playbooks"]}
    assert entries["ping"]["title"]["ar"] == "اختبار"
    assert entries["ping"]["parameters"][0]["value"] == "a whole number of s from 0 to 600, without the unit"
    assert "not YAML" in entries["broken"]["error"]


@pytest.mark.parametrize(
    ("body", "status", "pointer"),
    [
        ({"playbook": "ping", "parameters": {"seconds": "soon"}}, 422, "/parameters/seconds"),
        ({"playbook": "ping", "parameters": {"minutes": 1}}, 422, "/parameters/minutes"),
        ({"playbook": "ping", "limit": "nobody"}, 422, None),
        ({"playbook": "ping", "host": "good"}, 422, "/host"),
        ({"playbook": "pong"}, 404, None),
    ],
)
def test_a_wrong_request_is_a_problem_with_its_place(
    api: httpx.Client, body: dict[str, Any], status: int, pointer: str | None
) -> None:
    answer = ask(api, "key", **body)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    if pointer:
        assert answer.json()["errors"][0]["pointer"] == pointer
    assert api.get("/v1/plays").json()["runs"] == []


def test_a_request_without_a_key_is_refused(api: httpx.Client) -> None:
    answer = api.post("/v1/plays/runs", json={"playbook": "ping"})
    assert answer.status_code == 400
    assert "Idempotency-Key" in answer.json()["detail"]


@pytest.mark.parametrize("path", ["/v1/plays", "/v1/plays/runs/1", "/v1/plays/runs/1/events"])
def test_only_engineers_see_plays(api: httpx.Client, path: str) -> None:
    assert api.get(path, headers={"Authorization": ""}).status_code == 401
    assert api.get(path, headers={"Authorization": api.headers["x-centre"]}).status_code == 403


@pytest.mark.parametrize("path", ["/v1/plays/runs/999", "/v1/plays/runs/999/events"])
def test_an_unknown_run_is_not_found(api: httpx.Client, path: str) -> None:
    assert api.get(path).status_code == 404
