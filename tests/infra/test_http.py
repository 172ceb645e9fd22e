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
from foundation.secret import Secret, SecretFile
from infra.plays import http as plays_http
from lab.sshd import SshServer
from tests.foundation.http_face import served
from tests.infra.conftest import WritePlaybook
from tests.infra.test_approvals import needs_approval
from tests.infra.test_plays import PING, World
from tests.processes import PATIENCE

WORDS = Secret("three long words")


@pytest.fixture
def world(database: Database, tmp_path: Path, write_playbook: WritePlaybook, server: SshServer) -> World:
    needs_approval(
        write_playbook("risky", '- {ansible.builtin.copy: {dest: "~/risky", content: "{{ word }}"}}')
    )
    made = World(database, tmp_path / "platform", write_playbook("ping", PING).parent)
    made.add("good", server.attributes())
    return made


@pytest.fixture
def api(world: World, tmp_path: Path) -> Iterator[httpx.Client]:
    identity = Identity(world.database, SecretFile(tmp_path / "secrets.json", tmp_path / "secrets.key"), 600)
    with world.database.transaction() as session:
        secrets = {
            role: identity.add_client(session, f"{role}-1", [role], str(role))
            for role in (Role.ENGINEER, Role.CENTRE, Role.AUDITOR)
        }
        for name in ("sara", "omar"):
            identity.add_person(session, name, WORDS, [Role.ENGINEER])
    app = create_app("test", max_body=10_000)
    app.include_router(plays_http.router(world.plays, identity))
    with served(app) as url, httpx.Client(base_url=url, timeout=PATIENCE) as client:
        for role, secret in secrets.items():
            token = identity.token(f"{role}-1", secret).token.reveal()
            client.headers[f"x-{role}"] = f"Bearer {token}"
        for name in ("sara", "omar"):
            token = identity.person_token(identity.sign_in(name, WORDS)).token.reveal()
            client.headers[f"x-{name}"] = f"Bearer {token}"
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


def decide(api: httpx.Client, who: str, path: str, key: str, **body: Any) -> httpx.Response:
    headers = {"Authorization": api.headers[f"x-{who}"], "Idempotency-Key": key}
    return api.post(f"/v1/plays/runs{path}", json=body, headers=headers)


@pytest.fixture
def planned(api: httpx.Client, world: World) -> dict[str, Any]:
    """A run that Sara asked for, checked, that awaits its approval."""
    asked = decide(api, "sara", "", "ask", playbook="risky", parameters={"word": f"w{id(api)}"})
    assert (asked.status_code, asked.json()["requested_by"]) == (201, "person/sara")
    world.plays.perform(asked.json()["id"])
    run: dict[str, Any] = api.get(f"/v1/plays/runs/{asked.json()['id']}").json()
    assert run["state"] == "awaiting_approval", run["reason"]
    return run


def assert_problem(answer: httpx.Response, status: int, words: str) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert words in answer.json()["detail"]


def test_a_plan_is_shown_approved_by_another_person_once_and_done(
    api: httpx.Client, world: World, planned: dict[str, Any]
) -> None:
    number, plan = planned["id"], planned["plan"]
    auditor = {"Authorization": api.headers["x-auditor"]}
    shown = api.get(f"/v1/plays/runs/{number}/changes", headers=auditor).json()
    assert (shown["plan"], len(shown["changes"]), shown["changes"][0]["host"]) == (plan, 1, "good")

    place = f"/{number}/approve"
    assert_problem(decide(api, "sara", place, "a", plan=plan), 403, "person/sara asked for run")
    # Whoever holds a program's secret would be two people at once.
    assert_problem(decide(api, "engineer", place, "a", plan=plan), 403, "is a program")
    for role in ("auditor", "centre"):
        assert decide(api, role, place, "a", plan=plan).status_code == 403
    assert_problem(decide(api, "omar", place, "a", plan="0" * 64), 412, "and not 000000000000")
    assert decide(api, "omar", place, "b", plan=plan[:12]).status_code == 422
    assert api.get(f"/v1/plays/runs/{number}").json()["state"] == "awaiting_approval"

    first = decide(api, "omar", place, "c", plan=plan, comment="Looked at")
    assert (first.status_code, first.json()["approved_by"]) == (200, "person/omar")
    again = decide(api, "omar", place, "c", plan=plan, comment="Looked at")
    assert (again.json(), again.headers["idempotency-replayed"]) == (first.json(), "true")
    assert_problem(decide(api, "omar", place, "d", plan=plan), 409, "is approved")
    # The same key for something else is no repetition.
    assert decide(api, "omar", place, "c", plan=plan, comment="Another").status_code in (409, 422)
    world.plays.perform(number)
    run = api.get(f"/v1/plays/runs/{number}").json()
    assert (run["state"], run["approved_plan"]) == ("successful", plan)
    assert [event.kind for event in world.events(number)].count("play.approved") == 1


def test_a_plan_is_rejected_with_a_reason_and_retried_whole(
    api: httpx.Client, planned: dict[str, Any]
) -> None:
    number = planned["id"]
    assert decide(api, "omar", f"/{number}/reject", "a").status_code == 422
    assert decide(api, "auditor", f"/{number}/reject", "a", reason="no").status_code == 403
    assert_problem(
        decide(api, "sara", f"/{number}/retry", "a"), 409, "is awaiting approval and can be retried"
    )
    ended = decide(api, "omar", f"/{number}/reject", "b", reason="Not this week")
    assert (ended.status_code, ended.json()["state"]) == (200, "rejected")
    assert_problem(decide(api, "omar", f"/{number}/approve", "c", plan=planned["plan"]), 409, "is rejected")
    assert_problem(decide(api, "omar", f"/{number}/cancel", "d"), 409, "has ended already")
    # It was only checked, so that no host is done, however well the check went.
    again = decide(api, "sara", f"/{number}/retry", "e")
    assert (again.status_code, again.json()["retry_of"], again.json()["targets"]) == (201, number, ["good"])
    assert decide(api, "sara", f"/{number}/retry", "e").json() == again.json()
    assert again.json()["parameters"] == planned["parameters"]


def test_a_run_is_cancelled_by_name_and_by_engineers_only(api: httpx.Client, planned: dict[str, Any]) -> None:
    place = f"/{planned['id']}/cancel"
    for role in ("auditor", "centre"):
        assert decide(api, role, place, "a", reason="no").status_code == 403
    ended = decide(api, "engineer", place, "b", reason="mistaken")
    assert (ended.status_code, ended.json()["state"]) == (200, "cancelled")
    assert ended.json()["cancelled_by"] == "client/engineer-1"
    assert "client/engineer-1 (mistaken)" in ended.json()["reason"]


@pytest.mark.parametrize("what", ["approve", "reject", "cancel", "retry"])
def test_nothing_is_decided_of_a_run_that_is_not_there_or_without_a_key(api: httpx.Client, what: str) -> None:
    body = {"approve": {"plan": "0" * 64}, "reject": {"reason": "no"}}.get(what, {})
    assert decide(api, "omar", f"/999/{what}", "a", **body).status_code == 404
    answer = api.post(f"/v1/plays/runs/999/{what}", json=body)
    assert_problem(answer, 400, "Idempotency-Key")
    assert api.post(f"/v1/plays/runs/999/{what}", json=body, headers={"Authorization": ""}).status_code == 401


def test_only_engineers_and_auditors_see_changes(api: httpx.Client, planned: dict[str, Any]) -> None:
    path = f"/v1/plays/runs/{planned['id']}/changes"
    assert api.get(path, headers={"Authorization": api.headers["x-centre"]}).status_code == 403
    assert api.get("/v1/plays/runs/999/changes").status_code == 404
