"""The playbook patch: packages of a small repository of our own, and servers that are seen from outside."""

import functools
import http.server
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lab.machine import Machine
from lab.machines import Lab
from tests.playbooks.conftest import Outcome, Play

# A service that says its version to whoever connects; the package starts it, and restarts it when upgraded.
UNIT = """\
[Unit]
Description=A service of the municipality
[Service]
ExecStart=/usr/bin/python3 -m http.server 8000 --directory /usr/share/municipal
[Install]
WantedBy=multi-user.target
"""
BROKEN_UNIT = UNIT.replace("/usr/bin/python3", "/usr/bin/no-such-program")
STARTS = """\
#!/bin/sh
set -e
systemctl daemon-reload
systemctl enable municipal.service
systemctl restart municipal.service || true
"""
ASKS_FOR_A_REBOOT = STARTS + '[ -z "$2" ] || touch /run/reboot-required\n'
LIST = "/etc/apt/sources.list.d/municipal.list"


class Repository:
    """A Debian repository on the lab's address.

    Args:
        folder: its files.
        address: where it is served.
    """

    def __init__(self, folder: Path, address: str) -> None:
        self._folder = folder
        handler = functools.partial(_Quiet, directory=str(folder))
        self._server = http.server.ThreadingHTTPServer((address, 0), handler)
        self.url = f"http://{address}:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def offer(self, version: int, unit: str = UNIT, configure: str = STARTS) -> None:
        """Build a version of the package and offer it alone."""
        tree = self._folder / "tree" / str(version)
        files = {
            "DEBIAN/control": "Package: municipal\nArchitecture: all\nMaintainer: The lab <lab@example.org>\n"
            f"Version: {version}\nDepends: python3\nDescription: a service of the municipality\n",
            "DEBIAN/postinst": configure,
            "lib/systemd/system/municipal.service": unit,
            "usr/share/municipal/version": f"{version}\n",
        }
        for name, content in files.items():
            path = tree / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
        (tree / "DEBIAN" / "postinst").chmod(0o755)
        for old in self._folder.glob("*.deb"):
            old.unlink()
        package = self._folder / f"municipal_{version}_all.deb"
        build = ["dpkg-deb", "--root-owner-group", "--build", str(tree), str(package)]
        subprocess.run(build, check=True, capture_output=True)
        size, digest = package.stat().st_size, _sha256(package)
        (self._folder / "Packages").write_text(
            files["DEBIAN/control"] + f"Filename: ./{package.name}\nSize: {size}\nSHA256: {digest}\n\n",
            encoding="utf-8",
        )

    def use(self, *machines: Machine) -> None:
        """Let machines take their packages from here alone, and install what is offered."""
        for machine in machines:
            machine.ssh("tee", LIST, root=True, stdin=f"deb [trusted=yes] {self.url} ./\n")
            machine.output("truncate", "-s", "0", "/etc/apt/sources.list", root=True)
            machine.output("apt-get", "-q", "update", root=True)
            machine.output("apt-get", "-q", "-y", "install", "municipal", root=True)

    def close(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


def _sha256(path: Path) -> str:
    return subprocess.run(
        ["sha256sum", str(path)], check=True, capture_output=True, text=True
    ).stdout.split()[0]


@pytest.fixture
def repository(lab: Lab, tmp_path: Path) -> Iterator[Repository]:
    folder = tmp_path / "repository"
    folder.mkdir()
    opened = Repository(folder, lab.address)
    opened.offer(1)
    yield opened
    opened.close()


def served(machine: Machine) -> str:
    """The version that a server's service says, asked from this machine."""
    words = ["curl", "--silent", "--max-time", "5", f"http://{machine.address}:8000/version"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def upgradable(machine: Machine) -> str:
    return machine.output("sh", "-c", "apt list --upgradable 2>/dev/null | grep / || true").strip()


def patch(play: Play, *machines: Machine, **parameters: Any) -> Outcome:
    health: dict[str, Any] = {"health": "http", "health_port": 8000, "health_path": "/version", "settle": 20}
    return play("patch", *machines, **{**health, **parameters})


def test_servers_are_patched_batch_by_batch_and_rebooted_where_they_ask_for_it(
    lab: Lab, repository: Repository, play: Play
) -> None:
    first, second = lab.boot("patch-1", "patch-2").values()
    repository.use(first, second)
    repository.offer(2, configure=STARTS)
    # Only the second is to ask for a reboot: by the file that Debian's packages write.
    second.output("touch", "/run/reboot-required", root=True)
    before = {machine.name: machine.boot_id() for machine in (first, second)}

    checked = patch(play, first, second, check=True)
    checked.assert_good()
    assert (served(first), served(second)) == ("1", "1")

    outcome = patch(play, first, second)
    outcome.assert_good()
    assert (served(first), served(second)) == ("2", "2")
    assert upgradable(first) == upgradable(second) == ""
    assert first.boot_id() == before["patch-1"]
    assert second.boot_id() != before["patch-2"]
    assert second.ssh("test", "-e", "/run/reboot-required").returncode == 1
    hosts = [host for host, _ in outcome.order]
    assert hosts == sorted(hosts), "the second server is touched when the first is done"

    again = patch(play, first, second, batch=2)
    again.assert_good()
    assert again.changes == []
    assert first.boot_id() == before["patch-1"]
    lab.remove(first, second)


def test_a_server_that_is_not_well_after_its_upgrade_stops_the_servers_behind_it(
    lab: Lab, repository: Repository, play: Play
) -> None:
    first, second, third = lab.boot("sick-1", "sick-2", "sick-3").values()
    repository.use(first, second, third)
    repository.offer(2, unit=BROKEN_UNIT)
    outcome = patch(play, first, second, third)
    states = {name: host.state for name, host in outcome.hosts.items()}
    assert states == {"sick-1": "failed", "sick-2": "untouched", "sick-3": "untouched"}
    assert "Not well after the upgrade: these units have failed: municipal.service." in str(
        outcome.hosts["sick-1"].message
    )
    assert (served(first), served(second), served(third)) == ("", "1", "1")
    assert "municipal" in upgradable(first) + second.output("apt-cache", "policy", "municipal")

    # A service that runs and does not answer is not well either; who is not well is not touched.
    repository.offer(3)
    first.output("apt-get", "-q", "update", root=True)
    refused = patch(play, first, second)
    assert refused.hosts["sick-1"].task == "Check that no unit has failed"
    assert "Not well before the upgrade" in str(refused.hosts["sick-1"].message)
    assert (served(first), served(second)) == ("", "1")
    closed = patch(play, second, third, health_port=8001)
    assert closed.hosts["sick-2"].task == "Ask the service by HTTP"
    assert {name: host.state for name, host in closed.hosts.items()} == {
        "sick-2": "failed",
        "sick-3": "untouched",
    }
    assert (served(second), served(third)) == ("1", "1")
    lab.remove(first, second, third)
