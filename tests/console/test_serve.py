"""`rakeeza serve` as a process, and what it does when its parts die."""

import os
import signal
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from lab.case_story import APPLICATION
from tests.console.serving import Served, at_work_in, served
from tests.processes import PATIENCE, until


@pytest.fixture(scope="module")
def centre(platform: Served) -> Iterator[httpx.Client]:
    with platform.client("serve-centre", "centre") as client:
        yield client


def submit(centre: httpx.Client, key: str) -> httpx.Response:
    return centre.post("/v1/cases", json=APPLICATION, headers={"Idempotency-Key": key})


def test_everything_it_serves_answers(platform: Served) -> None:
    collector, prometheus = (
        f"http://127.0.0.1:{platform.ports[name]}" for name in ("collector", "prometheus")
    )
    assert httpx.get(f"{platform.api}/healthz", timeout=PATIENCE).json()["status"] == "ok"
    assert httpx.get(f"{collector}/targets", timeout=PATIENCE).json() == []
    until(lambda: httpx.get(f"{prometheus}/-/ready", timeout=PATIENCE).is_success)


def test_the_api_answers_by_tls_under_a_certificate_of_our_authority(
    platform: Served, tmp_path: Path
) -> None:
    found = httpx.get(f"{platform.api}/.well-known/rakeeza-centres.cer", timeout=PATIENCE)
    (tmp_path / "authority.pem").write_text(ssl.DER_cert_to_PEM_cert(found.content))
    url = f"https://localhost:{platform.ports['tls']}"
    assert f"API by TLS  {url}\n" in platform.log.read_text()
    known = ssl.create_default_context(cafile=str(tmp_path / "authority.pem"))
    assert httpx.get(f"{url}/healthz", verify=known, timeout=PATIENCE).json()["status"] == "ok"
    with pytest.raises(httpx.ConnectError, match="certificate verify failed"):
        httpx.get(f"{url}/healthz", timeout=PATIENCE)


def test_a_second_serve_in_the_same_folder_is_refused_in_one_sentence(platform: Served) -> None:
    done = platform.run("serve")
    assert done.returncode == 65
    assert done.stderr.count("\n") == 1
    assert f"process {platform.process.pid}" in done.stderr


def test_a_killed_role_is_started_again(platform: Served) -> None:
    before = platform.processes("--roles api")
    assert len(before) == min(len(os.sched_getaffinity(0)), 4)
    os.kill(before[0], signal.SIGKILL)

    def whole_again() -> bool:
        now = platform.processes("--roles api")
        return len(now) == len(before) and before[0] not in now

    until(whole_again)
    until(lambda: _answers(platform))


def test_each_process_of_the_api_is_measured(platform: Served) -> None:
    count = min(len(os.sched_getaffinity(0)), 4)
    url = f"http://127.0.0.1:{platform.ports['prometheus']}/api/v1/query"

    def seen() -> list[str]:
        found = httpx.get(url, params={"query": 'up{job="api"}'}, timeout=PATIENCE).json()["data"]["result"]
        return [each["value"][1] for each in found]

    until(lambda: "0" not in seen() and len(seen()) >= count)
    assert seen() == ["1"] * count


def test_nothing_accepted_is_lost_when_the_database_is_killed(platform: Served, centre: httpx.Client) -> None:
    accepted = submit(centre, "before-the-kill")
    assert accepted.status_code == 201, accepted.text
    number = accepted.json()["number"]

    postmaster = platform.folder / "platform" / "postgres"
    (pid,) = [int(path.read_text().split()[0]) for path in postmaster.rglob("postmaster.pid")]
    os.kill(pid, signal.SIGKILL)
    answers: list[httpx.Response] = []

    def comes_back() -> bool:
        answers.append(submit(centre, "after-the-kill"))
        return answers[-1].status_code == 201

    until(comes_back)
    for refused in answers[:-1]:
        assert refused.status_code == 503
        assert refused.headers["content-type"].startswith("application/problem+json")
        assert "Retry-After" in refused.headers
        assert refused.json()["type"] == "urn:rakeeza:problem:database-unavailable"
    assert centre.get(f"/v1/cases/{number}").json()["state"] == "submitted"
    replayed = submit(centre, "before-the-kill")
    assert replayed.json() == accepted.json()
    # The key that met the dead database was done once, however often it was tried.
    numbers = [case["number"] for case in centre.get("/v1/cases").json()["items"]]
    assert numbers == [answers[-1].json()["number"], number]
    # The worker came back as well: it makes the paper of a licence that is issued now.
    assert _issue(platform, centre, number).startswith(b"%PDF")


def test_an_occupied_port_is_named_with_the_setting_that_changes_it() -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with (
            pytest.raises(AssertionError, match=rf"127\.0\.0\.1:{port}.*http\.port"),
            served({"http": {"port": port}}),
        ):
            pass


def test_killing_serve_ends_everything_it_started() -> None:
    with served() as platform:
        assert len(at_work_in(platform.folder)) > 5
        platform.process.kill()
        platform.process.wait()
        until(lambda: not at_work_in(platform.folder))


def _issue(platform: Served, centre: httpx.Client, number: str) -> bytes:
    def post(client: httpx.Client, path: str, body: dict[str, str]) -> dict[str, str]:
        answer = client.post(path, json=body, headers={"Idempotency-Key": path.replace("/", "-")})
        assert answer.status_code == 201, answer.text
        done: dict[str, str] = answer.json()
        return done

    post(centre, f"/v1/cases/{number}/quote", {})
    bill = post(centre, f"/v1/cases/{number}/invoice", {})
    notice = {key: bill[key] for key in ("bill_number", "amount")}
    with platform.client("serve-bank", "payment") as bank:
        post(bank, "/v1/payments", {**notice, "paid_at": "2026-11-22T10:00:00Z", "reference": "BANK-1"})
    licence = centre.get(f"/v1/cases/{number}").json()["licence"]
    papers: list[httpx.Response] = []

    def ready() -> bool:
        papers.append(centre.get(f"/v1/licences/{licence}/document.pdf"))
        return papers[-1].status_code == 200

    until(ready)
    return papers[-1].content


def _answers(platform: Served) -> bool:
    try:
        return httpx.get(f"{platform.api}/healthz", timeout=PATIENCE).status_code == 200
    except httpx.TransportError:
        return False
