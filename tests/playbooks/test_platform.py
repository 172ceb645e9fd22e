"""The platform on a bare machine: it answers, comes back by itself, and is upgraded role by role."""

import functools
import hashlib
import io
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from console.wheelhouse import REQUIREMENTS, make_wheelhouse
from lab.machine import Machine
from lab.machine_packages import cache_folder
from lab.machines import Lab
from tests.house.repository import ROOT, copy
from tests.playbooks.conftest import Outcome, Play
from tests.playbooks.server_material import sealed
from tests.processes import until

PASSWORD = "p@ss:w\\ord of the platform"
SECRETS = sealed(postgresql_password=PASSWORD)
DEBIAN = ["postgresql-15", "python3-venv", "fonts-hosny-amiri", "fonts-dejavu-core", "libfribidi0"]
ROLES = ("worker", "collector", "api")


class Server:
    """A machine with a database and the platform."""

    def __init__(self, lab: Lab, runs: Path, archive: Path) -> None:
        self.runs = runs
        self.machine = lab.boot("platform-1", fetched=DEBIAN)["platform-1"]
        self.parameters: dict[str, Any] = {"secrets": SECRETS, "listen": self.machine.address}
        play = Play(runs)
        play("postgresql", self.machine, secrets=SECRETS).assert_good()
        self.checked = play("platform", self.machine, check=True, wheelhouse=str(archive), **self.parameters)
        self.checked.assert_good()
        self.set_up = play.twice("platform", self.machine, wheelhouse=str(archive), **self.parameters)

    def healthy(self) -> bool:
        """Whether the API says from outside that it and its database are well."""
        try:
            answer = httpx.get(f"http://{self.machine.address}:8080/healthz", timeout=5)
        except httpx.TransportError:
            return False
        return answer.status_code == 200 and answer.json() == {"status": "ok"}

    def pid(self, role: str) -> int:
        """The main process of a role; 0 while it has none."""
        words = ["systemctl", "show", "--value", "--property=MainPID", f"rakeeza-{role}.service"]
        return int(self.machine.output(*words))


@pytest.fixture(scope="module")
def archives() -> Iterator[list[Path]]:
    """Archives that the tests made; the packages that were fetched stay in the cache, they do not."""
    made: list[Path] = []
    yield made
    for archive in made:
        archive.unlink()


@pytest.fixture(scope="module")
def server(lab: Lab, tmp_path_factory: pytest.TempPathFactory, archives: list[Path]) -> Iterator[Server]:
    archives.append(make_wheelhouse(ROOT, cache_folder() / "wheelhouse"))
    made = Server(lab, tmp_path_factory.mktemp("runs"), archives[0])
    yield made
    lab.remove(made.machine)


def test_the_api_answers_from_outside(server: Server) -> None:
    until(server.healthy, "the API's health")
    documents = httpx.get(f"http://{server.machine.address}:8080/openapi.json", timeout=30)
    assert documents.json()["info"]["title"] == "Rakeeza"
    measured = server.machine.output("curl", "-sf", "http://127.0.0.1:9116/metrics")
    assert "python_info" in measured or "process_" in measured or "rakeeza_" in measured


def test_a_check_on_a_bare_machine_touches_nothing(server: Server) -> None:
    assert "Say that this version would be installed" in [task for _, task in server.checked.changes]
    # What was there when the check had ended was made by the run after it.
    assert ("platform-1", "Make the user") in server.set_up.changes


def test_no_password_is_where_others_can_read_it(server: Server) -> None:
    machine = server.machine
    modes = machine.output(
        "stat", "-c", "%a %U", "/etc/rakeeza/rakeeza.toml", "/etc/rakeeza/database.pass",
        "/var/lib/rakeeza", "/var/lib/rakeeza/secrets.json", "/var/lib/rakeeza/secrets.key", root=True,
    )  # fmt: skip
    assert modes.splitlines() == ["644 root", "600 rakeeza", "750 rakeeza", "600 rakeeza", "600 rakeeza"]
    places = ["journalctl --no-pager", "cat /etc/rakeeza/rakeeza.toml /etc/systemd/system/rakeeza-*"]
    places += [f"cat /proc/{server.pid(role)}/environ /proc/{server.pid(role)}/cmdline" for role in ROLES]
    for place in places:
        said = machine.output("sh", "-c", place, root=True)
        assert "rakeeza" in said
        assert PASSWORD not in said
    files = [path for path in server.runs.rglob("*") if path.is_file()]
    assert any(path.name == "output.log" for path in files)
    assert [path for path in files if PASSWORD.encode() in path.read_bytes()] == []


@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_write_nothing_but_its_own_folder(server: Server, role: str) -> None:
    pid = server.pid(role)
    status = dict(re.findall(r"^(\w+):\s*(\S+)", server.machine.output("cat", f"/proc/{pid}/status"), re.M))
    assert status["NoNewPrivs"] == "1"
    assert int(status["CapEff"], 16) == int(status["CapBnd"], 16) == 0
    assert status["Seccomp"] == "2"
    assert server.machine.output("id", "-u", "rakeeza").strip() == status["Uid"]
    # By root, in the role's own view of the disk: not the permissions refuse it but the mount.
    inside = ["nsenter", "--mount", f"--target={pid}"]
    for folder in ("/etc", "/opt/rakeeza", "/usr"):
        refused = server.machine.ssh(*inside, "touch", f"{folder}/written", root=True)
        assert "Read-only file system" in refused.stderr
    server.machine.output(*inside, "touch", "/var/lib/rakeeza/written", root=True)
    server.machine.output("rm", "/var/lib/rakeeza/written", root=True)


def test_a_role_that_is_killed_comes_back(server: Server) -> None:
    before = {role: server.pid(role) for role in ROLES}
    server.machine.output("kill", "-9", *map(str, before.values()), root=True)
    for role in ROLES:
        until(functools.partial(_back, server, role, before[role]), f"the return of {role}")
    until(server.healthy, "the API's health")


def test_an_archive_that_was_changed_is_refused_and_what_runs_goes_on(
    server: Server, play: Play, tmp_path: Path
) -> None:
    archive = tmp_path / "rakeeza-0.1.0-changed.tar"
    wheel = b"another content"
    listed = f"rakeeza==0.1.0 --hash=sha256:{hashlib.sha256(b'the content').hexdigest()}\n".encode()
    with tarfile.open(archive, "w") as tar:
        for name, content in ((REQUIREMENTS, listed), ("packages/rakeeza-0.1.0-py3-none-any.whl", wheel)):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    before = {role: server.pid(role) for role in ROLES}
    outcome = play("platform", server.machine, wheelhouse=str(archive), **server.parameters)
    result = outcome.hosts["platform-1"]
    assert (result.state, result.task) == ("failed", "Install its packages")
    assert "DO NOT MATCH THE HASHES" in str(result.message)
    assert {role: server.pid(role) for role in ROLES} == before
    assert server.healthy()


def test_an_upgrade_restarts_one_role_after_another(
    server: Server, play: Play, tmp_path: Path, archives: list[Path]
) -> None:
    tree = copy(tmp_path / "tree")
    project = tree / "pyproject.toml"
    text, times = re.subn(r'^version = "0\.1\.0"$', 'version = "0.1.1"', project.read_text(), flags=re.M)
    assert times == 1
    project.write_text(text)
    archives.append(make_wheelhouse(tree, cache_folder() / "wheelhouse"))
    before = {role: server.pid(role) for role in ROLES}
    outcome = play("platform", server.machine, wheelhouse=str(archives[-1]), **server.parameters)
    outcome.assert_good()
    assert _restarts(outcome) == [
        word for role in ROLES for word in (f"Run {role}, now and at boot", _well(role))
    ]
    assert all(server.pid(role) not in (0, before[role]) for role in ROLES)
    until(server.healthy, "the API's health")
    assert server.machine.output("rakeeza", "--version").strip() == "rakeeza 0.1.1"
    assert server.machine.output("systemctl", "is-system-running").strip() == "running"


# Last: the machine is another one's afterwards.
def test_it_comes_back_with_the_machine(server: Server) -> None:
    machine: Machine = server.machine
    boot = machine.boot_id()
    machine.ssh("systemctl", "reboot", root=True)
    machine.wait(other_boot=boot)
    until(server.healthy, "the API's health")
    assert all(server.pid(role) for role in ROLES)


def _back(server: Server, role: str, before: int) -> bool:
    return server.pid(role) not in (0, before)


def _well(role: str) -> str:
    return f"Wait until {role} is at work" if role == "worker" else f"Wait until {role} answers"


def _restarts(outcome: Outcome) -> list[str]:
    tasks = [task for _, task in outcome.order]
    return [task for task in tasks if re.fullmatch(r"Run \w+, now and at boot|Wait until \w+ .*", task)]
