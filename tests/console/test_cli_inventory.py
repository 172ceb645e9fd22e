"""`rakeeza play inventory`: what it lists, and a folder that plays while platform and database are off."""

import atexit
import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from console.inventories import inventory
from foundation.asset import parse_asset
from foundation.assets import Assets
from foundation.database import Database
from foundation.errors import RakeezaError
from foundation.guard import Guard
from foundation.secret import Secret
from foundation.settings import load
from lab import sshd
from lab.sshd import SshServer
from tests.console.serving import at_work_in, served
from tests.processes import ROOT, until

MARKER = "hunter2-marker-of-the-command"
PASSWORD = "a password of the tests"
SEND = """\
- name: Send the token
  hosts: all
  gather_facts: false
  vars:
    about:
      title: {ar: إرسال الرمز, en: Send the token}
      purpose: {ar: للاختبار فقط, en: For the tests only}
      risk: low
      approval: none
      window: always
      targets: [host]
  tasks:
    - name: Write it
      ansible.builtin.copy: {dest: "{{ ansible_remote_tmp }}/../../token", content: "{{ token }}"}
      no_log: true
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with Guard() as guard:
        yield sshd.start(guard, tmp_path_factory.mktemp("sshd"))


def site(server: SshServer) -> list[dict[str, Any]]:
    """Assets of one site with one server, as a file of assets has them."""
    title = {"ar": "مركز البيانات", "en": "Data centre"}
    return [
        {"name": "riyadh", "kind": "municipality", "title": title, "attributes": {"fee_class": 1}},
        {"name": "dc-1", "kind": "site", "parent": "riyadh", "title": title},
        {"name": "rack-1", "kind": "rack", "parent": "dc-1"},
        {"name": "ups-1", "kind": "ups", "parent": "dc-1", "links": {"powers": ["rack-1"]}},
        {"name": "lab-server", "kind": "host", "parent": "rack-1", "attributes": server.attributes()},
        {
            "name": "switch-1",
            "kind": "network_device",
            "parent": "rack-1",
            "attributes": {"ansible_host": "192.0.2.1"},
        },
    ]


def ansible(program: str, home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    argv = [str(Path(sys.executable).with_name(program)), *words]
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    # A socket's path has at most 107 bytes, and a test's folder may be long.
    environment["ANSIBLE_SSH_CONTROL_PATH_DIR"] = str(_short_folder(home))
    return subprocess.run(argv, cwd=home, env=environment, capture_output=True, text=True, check=False)


def test_the_folder_plays_while_platform_and_database_are_off(server: SshServer, tmp_path: Path) -> None:
    playbooks, secrets = tmp_path / "own playbooks", tmp_path / "secrets"
    for folder in (playbooks, secrets):
        folder.mkdir()
    (playbooks / "send.yml").write_text(SEND, encoding="utf-8")
    password = tmp_path / "password"
    password.write_text(PASSWORD, encoding="utf-8")
    sealed = secrets / "feed_ups-1.vault.yml"
    sealed.write_text(f"token: {MARKER}\n", encoding="utf-8")
    sealed.chmod(0o600)
    done = ansible("ansible-vault", tmp_path, "encrypt", f"--vault-id=dc-1@{password}", str(sealed))
    assert done.returncode == 0, done.stderr
    assets = tmp_path / "assets.yaml"
    assets.write_text(json.dumps({"assets": site(server)}), encoding="utf-8")

    folder = tmp_path / "a stick"
    sections = {"plays": {"folders": [str(playbooks)], "secrets_folders": [str(secrets)]}}
    with served(sections) as platform:
        platform.rakeeza("asset", "import", str(assets))
        platform.rakeeza("secret", "set", "vault-password-dc-1", "--stdin", text=PASSWORD)
        # As `rakeeza play inventory` calls it, in a process of its own.
        call = "import sys; from pathlib import Path; from console.inventories import inventory;"
        call += "inventory(sys.argv[2:], obj=Path(sys.argv[1]))"
        words = [str(platform.settings_file), "--out", str(folder), "--with-playbooks"]
        written = subprocess.run(
            [sys.executable, "-c", call, *words], cwd=ROOT, capture_output=True, text=True, check=False
        )
        assert written.returncode == 0, written.stderr
        assert f"{folder}: 2 hosts, " in written.stdout
        assert "Passwords needed, of the vaults: dc-1." in written.stdout
        platform.stop()
        # The database too: its keeper ends it when nobody holds a lease any more.
        until(lambda: not at_work_in(platform.folder))

    words = ["-i", str(folder / "hosts.yml"), "--limit", "kind_host", f"--vault-id=dc-1@{password}"]
    words += ["-e", "baseline_folder=~/carried", str(folder / "playbooks" / "baseline.yml")]
    words += [str(folder / "playbooks-2" / "send.yml")]
    first = ansible("ansible-playbook", tmp_path, *words)
    assert first.returncode == 0, first.stdout + first.stderr
    baseline = json.loads((server.home / "carried" / "baseline.json").read_text(encoding="utf-8"))
    assert baseline["host"] == "lab-server"
    assert (server.home / "token").read_text(encoding="utf-8") == MARKER
    second = ansible("ansible-playbook", tmp_path, *words)
    assert "changed=0 " in second.stdout, second.stdout + second.stderr
    assert MARKER not in first.stdout + first.stderr + second.stdout + written.stdout
    for path in folder.rglob("*"):
        assert path.is_dir() or MARKER.encode() not in path.read_bytes()


class Command:
    """The command on the database of a test, in this process."""

    def __init__(self, database: Database, url: str, folder: Path, server: SshServer) -> None:
        self.database = database
        self.secrets = folder / "secrets"
        self.playbooks = folder / "playbooks"
        for part in (self.secrets, self.playbooks):
            part.mkdir()
        (self.playbooks / "send.yml").write_text(SEND, encoding="utf-8")
        self.settings = folder / "rakeeza.toml"
        self.settings.write_text(
            f"[platform]\nfolder = {json.dumps(str(folder / 'platform'))}\n"
            f"[database]\nurl = {json.dumps(url)}\n"
            f"[plays]\nfolders = [{json.dumps(str(self.playbooks))}]\n"
            f"secrets_folders = [{json.dumps(str(self.secrets))}]\n",
            encoding="utf-8",
        )
        with database.transaction() as session:
            for data in site(server):
                Assets().add(session, parse_asset(data), actor="test")

    def __call__(self, *words: str) -> Result:
        return CliRunner().invoke(inventory, words, obj=self.settings)

    def entries(self) -> list[dict[str, Any]]:
        with self.database.transaction() as session:
            rows = session.execute(
                text("SELECT actor, details FROM audit WHERE chain = 'play-inventory' ORDER BY position")
            )
            return [{"actor": actor, **details} for actor, details in rows]


@pytest.fixture
def command(database: Database, database_url: str, tmp_path: Path, server: SshServer) -> Command:
    return Command(database, database_url, tmp_path, server)


def test_the_hosts_are_listed_with_their_places_and_groups(command: Command) -> None:
    rows = json.loads(command("--format", "json").stdout)
    assert [row["host"] for row in rows] == ["lab-server", "switch-1"]
    assert rows[0] == {
        "host": "lab-server",
        "address": "127.0.0.1",
        "kind": "host",
        "site": "dc-1",
        "rack": "rack-1",
        "municipality": "riyadh",
        "host_key": True,
        "groups": "feed_ups-1, kind_host, municipality_riyadh, rack_rack-1, site_dc-1",
    }
    assert rows[1]["host_key"] is False
    rows = json.loads(command("--playbook", "send", "--format", "json").stdout)
    assert [row["host"] for row in rows] == ["lab-server"]
    assert "lab-server" in command().stdout


def test_a_folder_is_in_the_audit_and_what_cannot_be_written_is_not(command: Command, tmp_path: Path) -> None:
    done = command("--out", str(tmp_path / "export"), "--playbook", "send", "--with-playbooks")
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{tmp_path / 'export'}: 1 hosts, 1 playbooks.\n"
    assert (tmp_path / "export" / "playbooks" / "send.yml").read_text(encoding="utf-8") == SEND
    (entry,) = command.entries()
    assert entry["actor"].startswith("cli/")
    assert (entry["folder"], entry["hosts"]) == (str(tmp_path / "export"), 1)
    assert list(entry["playbooks"]) == ["send"]
    again = command("--out", str(tmp_path / "export"))
    assert isinstance(again.exception, RakeezaError)
    assert "There is something here already." in str(again.exception)
    assert command.entries() == [entry]


def test_a_faulty_playbook_and_a_refused_host_are_left_out_and_named(
    command: Command, tmp_path: Path
) -> None:
    (command.playbooks / "faulty.yml").write_text("- hosts: all\n", encoding="utf-8")
    with command.database.transaction() as session:
        data = {"name": "localhost", "kind": "host", "attributes": {"ansible_host": "192.0.2.7"}}
        Assets().add(session, parse_asset(data), actor="test")
    done = command("--out", str(tmp_path / "export"), "--with-playbooks")
    assert done.exit_code == 0, done.output
    assert "The playbook faulty is left out: " in done.stderr
    assert "localhost is left out: to Ansible 'localhost' is the machine that plays" in done.stderr
    assert not (tmp_path / "export" / "playbooks-2" / "faulty.yml").exists()
    assert (tmp_path / "export" / "playbooks-2" / "send.yml").exists()


def test_secrets_are_sealed_in_the_folder_and_in_no_row_of_the_database(
    command: Command, tmp_path: Path
) -> None:
    identity = tmp_path / "identity"
    made = subprocess.run(["age-keygen", "-o", str(identity)], capture_output=True, text=True, check=True)
    recipient = made.stderr.split()[-1]
    sealed = subprocess.run(
        ["age", "-r", recipient], input=f"token: {MARKER}\n".encode(), capture_output=True, check=True
    ).stdout
    path = command.secrets / "kind_host.age"
    path.write_bytes(sealed)
    path.chmod(0o600)
    with command.settings.open("a", encoding="utf-8") as file:
        file.write(f"age_identities = [{json.dumps(str(identity))}]\n")
    refused = command("--out", str(tmp_path / "export"))
    assert "rakeeza secret set vault-password-export" in str(refused.exception)
    assert not (tmp_path / "export").exists()
    load(command.settings, {}).secrets().set("vault-password-export", Secret(PASSWORD))
    done = command("--out", str(tmp_path / "export"))
    assert done.exit_code == 0, str(done.exception)
    assert "Passwords needed, of the vaults: export." in done.stdout
    password = tmp_path / "password"
    password.write_text(PASSWORD, encoding="utf-8")
    file_name = str(tmp_path / "export" / "group_vars" / "kind_host" / "age.yml")
    seen = ansible("ansible-vault", tmp_path, "view", f"--vault-id=export@{password}", file_name)
    assert seen.stdout == f"token: {MARKER}\n"

    for written in (tmp_path / "export").rglob("*"):
        assert written.is_dir() or not {MARKER, PASSWORD} & set(written.read_text(encoding="utf-8").split())
        assert written.is_dir() or MARKER.encode() not in written.read_bytes()
    with command.database.transaction() as session:
        names = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'"
        tables = session.scalars(text(f"{names} AND table_type = 'BASE TABLE'")).all()
        assert "audit" in tables
        for table in tables:
            whole = str(session.execute(text(f'SELECT t::text FROM "{table}" AS t')).all())
            assert MARKER not in whole
            assert PASSWORD not in whole


def test_an_inventory_without_a_host_is_not_carried_away(command: Command, tmp_path: Path) -> None:
    with command.database.transaction() as session:
        for name in ("lab-server", "switch-1"):
            Assets().remove(session, name, actor="test")
    done = command("--out", str(tmp_path / "export"))
    assert "No asset is a host that plays can reach." in str(done.exception)
    assert not (tmp_path / "export").exists()
    assert command().stdout == "Hosts: none.\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--with-playbooks",), "--with-playbooks needs --out FOLDER."),
        (("--playbook", "nothing"), "There is no playbook 'nothing'."),
    ],
)
def test_a_wrong_call_is_one_sentence(command: Command, words: tuple[str, ...], said: str) -> None:
    done = command(*words)
    assert done.exit_code != 0
    assert said in f"{done.stderr}{done.exception}"


def _short_folder(home: Path) -> Path:
    short = Path("/tmp") / f"rk-{hashlib.sha256(bytes(home)).hexdigest()[:12]}"
    short.mkdir(mode=0o700, exist_ok=True)
    atexit.register(shutil.rmtree, short, ignore_errors=True)
    return short
