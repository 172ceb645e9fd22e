"""Secrets of a run from its request to its end: on the host, and in nothing that anybody keeps or is told."""

import base64
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from sqlalchemy import text

from foundation.database import Database
from foundation.http import create_app
from foundation.identity import Identity, Role
from foundation.secret import Secret, SecretFile
from infra.plays import http as plays_http
from infra.plays.vault_format import seal
from lab.sshd import SshServer
from tests.foundation.http_face import served
from tests.infra.conftest import WritePlaybook
from tests.infra.play_workers import at_work, comes_to, ended, locked
from tests.infra.test_approvals import needs_approval
from tests.infra.test_play_notices import notices
from tests.infra.test_plays import World
from tests.mail_office import mail_office
from tests.processes import PATIENCE

VAULT_MARK, AGE_MARK = "vault-marker-7f3a91c2d4", "age-marker-55e0b8aa17"
PASSWORD = Secret("the password of the vault, 91")

TASKS = """
- name: Fill in
  ansible.builtin.template: {dest: HOME/filled, src: filled.j2}
- name: Loop
  ansible.builtin.copy: {dest: "HOME/looped", content: "{{ item }}"}
  loop: ["{{ vault_mark }}", "{{ age_mark | b64encode }}"]
- name: Warn
  ansible.builtin.debug: {msg: "{{ vault_mark }} {{ age_mark | b64encode }}"}
- name: Fail in the check too
  ansible.builtin.shell: echo "{{ age_mark }}"; echo "{{ vault_mark }}" | base64 >&2; exit 3
  check_mode: false
  ignore_errors: true
- name: Fail
  ansible.builtin.shell: echo "{{ age_mark }}"; echo "{{ vault_mark | b64encode }}" >&2; exit 4
"""


@pytest.fixture
def world(database: Database, tmp_path: Path, write_playbook: WritePlaybook, server: SshServer) -> World:
    path = write_playbook("secret", TASKS.strip().replace("HOME", str(server.home)))
    needs_approval(path)
    templates = path.parent / "templates"
    templates.mkdir()
    (templates / "filled.j2").write_text("a = {{ vault_mark }}\nb = {{ age_mark }}\n", encoding="utf-8")
    folder = tmp_path / "secrets"
    folder.mkdir()
    sealed = seal(yaml.safe_dump({"vault_mark": VAULT_MARK}).encode(), PASSWORD, "default")
    (folder / "good.vault.yml").write_bytes(sealed)
    identity = tmp_path / "identity"
    made_by = ["age-keygen", "-o", str(identity)]
    said = subprocess.run(made_by, capture_output=True, text=True, check=True).stderr
    plain = yaml.safe_dump({"age_mark": AGE_MARK}).encode()
    argv = ["age", "-r", said.split()[-1]]
    (folder / "good.age").write_bytes(
        subprocess.run(argv, input=plain, capture_output=True, check=True).stdout
    )
    for path in folder.iterdir():
        path.chmod(0o600)
    made = World(
        database,
        tmp_path / "platform",
        tmp_path / "playbooks",
        secrets_folders=(folder,),
        age_identities=(identity,),
    )
    made.add("good", server.attributes())
    return made


@pytest.fixture
def api(world: World, tmp_path: Path) -> Iterator[httpx.Client]:
    identity = Identity(world.database, SecretFile(tmp_path / "i.json", tmp_path / "i.key"), 600)
    with world.database.transaction() as session:
        secret = identity.add_client(session, "reader", [Role.AUDITOR], "reads")
    app = create_app("test", max_body=10_000)
    app.include_router(plays_http.router(world.plays, identity))
    with served(app) as url, httpx.Client(base_url=url, timeout=PATIENCE) as client:
        client.headers["Authorization"] = f"Bearer {identity.token('reader', secret).token.reveal()}"
        yield client


def traces(data: bytes) -> list[str]:
    """What of the secrets stands in some bytes, as it is, in hexadecimal, or in base64 at any place."""
    found = []
    for mark in (VAULT_MARK, AGE_MARK, PASSWORD.reveal()):
        raw = mark.encode()
        forms = [raw, raw.hex().encode()]
        forms += [base64.b64encode(b"\0" * before + raw)[4:-4] for before in range(3)]
        found += [mark for form in forms if form in data]
    return found


def dumped(database: Database) -> dict[str, bytes]:
    """Every row of every table, as text."""
    tables = text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
    with database.transaction() as session:
        names = session.scalars(tables).all()
        return {
            name: "\n".join(
                str(row) for row in session.scalars(text(f'SELECT "{name}"::text FROM "{name}"'))
            ).encode()
            for name in names
        }


def test_secrets_reach_the_host_and_nothing_that_is_kept_or_told(
    world: World, api: httpx.Client, server: SshServer, tmp_path: Path
) -> None:
    world.settings.secrets().set("vault-password-default", PASSWORD)
    (server.home / "filled").write_text(f"a = old\nb = {AGE_MARK}\n", encoding="utf-8")
    log = tmp_path / "worker.log"
    run_id = world.request("secret", diff=True)
    with at_work(world, log):
        run = comes_to(world, run_id, "awaiting_approval")
        shown = api.get(f"/v1/plays/runs/{run_id}/changes").text
        # What stands where a secret comes may be the secret of before.
        assert "-a = <secret>" in shown
        assert "old" not in shown
        with world.database.transaction() as session:
            world.plays.approve(session, run_id, by="person/omar", plan=str(run.plan))
        told = api.get(f"/v1/plays/runs/{run_id}/events").content
        run = ended(world, run_id)
    assert (run.state, "Not well: good (failed)." in str(run.reason)) == ("failed", True), run.reason
    assert "<secret>" in str(world.hosts(run_id)["good"].message)
    assert b"event: play.finished" in told
    # The host has them: they were there to be found.
    assert (server.home / "filled").read_text(encoding="utf-8") == f"a = {VAULT_MARK}\nb = {AGE_MARK}\n"
    with mail_office(tmp_path) as office:
        assert notices(world.database, tmp_path / "n", office, "mailto:noc@amanah.example").round() > 0
        mails = b"".join(bytes(got) + got.get_content().encode() for _, got in office.taken)
    assert b"secret" in mails

    said = {"changes": shown.encode(), "events": told, "mails": mails, "log": log.read_bytes()}
    said |= {f"table {name}": rows for name, rows in dumped(world.database).items()}
    assert {"table play_change", "table event", "table audit", "table notice"} <= set(said)
    files = [path for path in (tmp_path / "platform").rglob("*") if path.is_file()]
    assert len(files) > 20
    said |= {str(path): path.read_bytes() for path in files}
    assert {place: found for place, data in said.items() if (found := traces(data))} == {}


def test_a_vault_without_its_key_fails_before_any_host_is_touched(world: World) -> None:
    run_id = world.request("secret", enqueue=False)
    world.plays.perform(run_id)
    run = world.run(run_id)
    assert run.state == "failed"
    assert "The password of the vault 'default' is not kept" in str(run.reason)
    assert str(run.reason).startswith("Nothing was changed. ")
    assert not world.folder(run_id).exists()
    assert locked(world) == []
    assert [event.kind for event in world.events(run_id)] == ["play.requested", "play.finished"]


def test_another_secret_is_another_plan(world: World, write_playbook: WritePlaybook) -> None:
    needs_approval(write_playbook("fill", TASKS.strip().splitlines()[0] + "\n  ansible.builtin.ping:"))
    keep = world.settings.secrets()
    keep.set("vault-password-default", PASSWORD)
    run_id = world.request("fill", enqueue=False)
    world.plays.perform(run_id)
    first = world.run(run_id)
    assert first.plan is not None
    with world.database.transaction() as session:
        world.plays.approve(session, run_id, by="person/omar", plan=first.plan)
    (folder,) = world.settings.plays.secrets_folders
    other = seal(yaml.safe_dump({"vault_mark": "another-secret-11"}).encode(), PASSWORD, "default")
    (folder / "good.vault.yml").write_bytes(other)
    world.plays.perform(run_id)
    again = world.run(run_id)
    assert (again.state, again.approved_by) == ("awaiting_approval", None)
    assert again.plan != first.plan
