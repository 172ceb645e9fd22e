"""The playbook server_baseline, and what a second engineer sees of it from outside."""

import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from foundation.errors import InvalidInput
from infra.plays.definition import load_playbook
from lab.machine import Machine
from lab.machine_disk import make_key, public_key
from lab.machines import Lab
from tests.playbooks.conftest import PLAYBOOKS, Play

BANNER = "Property of the municipality. Every login is recorded."
# What the servers of these tests have from the start, so that no test waits for their download.
FETCHED = ("chrony", "unattended-upgrades")


@dataclass
class Served:
    """A server, a time server, and two engineers' keys."""

    server: Machine
    time_server: Machine
    keys: dict[str, Path]
    parameters: dict[str, Any]


@pytest.fixture(scope="module")
def served(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("keys")
    keys = {name: folder / name for name in ("sara", "omar")}
    for name, path in keys.items():
        make_key(path, name)
    server = lab.boot("base-1", fetched=FETCHED)["base-1"]
    # As some servers are handed over: root logs in, and sshd takes passwords.
    keep = "mkdir -p ~root/.ssh && cat > ~root/.ssh/authorized_keys"
    server.ssh("sh", "-c", keep, root=True, stdin=public_key(keys["sara"]))
    time_server = lab.boot("base-time", packages=["chrony"])["base-time"]
    settings = "local stratum 3\nallow\n"
    time_server.ssh("tee", "/etc/chrony/conf.d/serves.conf", root=True, stdin=settings)
    time_server.output("systemctl", "restart", "chrony", root=True)
    parameters = {
        "engineers": "\n".join(f"{name} {public_key(path)} {name}@desk" for name, path in keys.items()),
        # This machine alone: the time server's address is outside.
        "management_networks": f"{lab.address}/32 2001:db8::/32",
        "open_ports": "443/tcp",
        "time_servers": time_server.address,
        "update_hour": 2,
        "banner": BANNER,
        "undo_after": 20,
    }
    yield Served(server, time_server, keys, parameters)
    lab.remove(server, time_server)


def answers(machine: Machine, port: int) -> bool:
    """Whether a TCP port answers; a packet filter that drops says nothing at all."""
    try:
        socket.create_connection((machine.address, port), timeout=1).close()
    except TimeoutError:
        return False
    except ConnectionRefusedError:
        return True
    return True


def refused(answer: "subprocess.CompletedProcess[str]") -> bool:
    return answer.returncode == 255 and "Permission denied" in answer.stderr


def methods(machine: Machine) -> str:
    """How sshd says one may log in."""
    answer = machine.ssh("true", options=("-o", "PreferredAuthentications=none"))
    return answer.stderr.rpartition("Permission denied (")[2].partition(")")[0]


def followed(server: Machine) -> str:
    """The time server that a server's clock follows; after a boot it takes its time to choose."""
    limit = time.monotonic() + 60
    while True:
        for line in server.output("chronyc", "-n", "sources").splitlines():
            if line.startswith("^*"):
                return line.split()[1]
        if time.monotonic() > limit:
            return "none"
        time.sleep(0.5)


def assert_verified(served: Served) -> None:
    """What the head of the playbook promises, seen from outside."""
    server = served.server
    login = server.ssh("sudo", "-n", "id", "-u", user="sara", key=served.keys["sara"])
    assert login.stdout.strip() == "0", login.stderr
    assert BANNER in login.stderr
    assert refused(server.ssh("true", user="root", key=served.keys["sara"]))
    assert refused(server.ssh("true", user="omar", key=served.keys["sara"]))
    assert methods(server) == "publickey"
    assert (answers(server, 22), answers(server, 443), answers(server, 8080)) == (True, True, False)
    knock = f"timeout 2 bash -c 'exec 3<>/dev/tcp/{server.address}/22'"
    assert served.time_server.ssh("sh", "-c", knock).returncode == 124
    assert followed(server) == served.time_server.address
    origins = server.output("apt-config", "dump", "Unattended-Upgrade::Origins-Pattern")
    assert [line.partition('"')[2] for line in origins.splitlines() if "::Origins-Pattern::" in line] == [
        'origin=Debian,codename=${distro_codename}-security,label=Debian-Security";'
    ]
    assert server.output("apt-config", "shell", "on", "APT::Periodic::Unattended-Upgrade").strip() == "on='1'"
    timer = server.output("systemctl", "show", "-p", "TimersCalendar", "apt-daily-upgrade.timer")
    assert "OnCalendar=*-*-* 02:00:00" in timer
    assert timer.count("OnCalendar=") == 1


def test_a_check_on_a_fresh_server_shows_the_changes_and_makes_none(served: Served, play: Play) -> None:
    outcome = play("server_baseline", served.server, check=True, **served.parameters)
    outcome.assert_good()
    tasks = [task for _, task in outcome.changes]
    for expected in (
        "Install what the baseline needs",
        "Compare sshd's settings",
        "Compare the packet filter",
    ):
        assert expected in tasks
    assert served.server.ssh("id", "sara").returncode != 0
    # What the baseline is to end, so that its end can be seen.
    assert served.server.ssh("true", user="root", key=served.keys["sara"]).returncode == 0
    assert methods(served.server) == "publickey,password"
    assert served.server.output("nft", "list", "ruleset", root=True) == ""
    assert answers(served.server, 8080)


def test_the_baseline_is_what_a_second_engineer_sees_and_holds_after_a_reboot(
    served: Served, play: Play
) -> None:
    server = served.server
    play.twice("server_baseline", server, **served.parameters)
    assert_verified(served)
    before = server.boot_id()
    server.ssh("systemctl", "reboot", root=True)
    server.wait(other_boot=before)
    assert_verified(served)
    boots = server.output("journalctl", "--list-boots", "--no-pager", root=True)
    assert before.replace("-", "") in boots
    assert len(boots.splitlines()) >= 2


@pytest.fixture
def part(tmp_path: Path) -> Callable[..., Path]:
    """A playbook that does some parts of the role alone: the whole of it takes its time."""
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "roles").symlink_to(PLAYBOOKS / "roles")
    whole = (PLAYBOOKS / "server_baseline.yml").read_text(encoding="utf-8")

    def write(*names: str) -> Path:
        tasks = "".join(
            f"    - ansible.builtin.include_role: {{name: server_baseline, tasks_from: {name}}}\n"
            for name in names
        )
        head, roles, _ = whole.partition("  roles:\n")
        assert roles
        path = folder / f"{'_'.join(names)}.yml"
        path.write_text(f"{head}  tasks:\n{tasks}", encoding="utf-8")
        return path

    return write


def test_an_engineer_who_was_taken_off_the_list_is_locked_out(
    served: Served, play: Play, part: Callable[..., Path]
) -> None:
    server, keys = served.server, served.keys
    assert server.ssh("true", user="omar", key=keys["omar"]).returncode == 0
    served.parameters["engineers"] = f"sara {public_key(keys['sara'])}"
    outcome = play.twice(part("checks", "engineers"), server, **served.parameters)
    assert "Lock who was taken off the list" in [task for _, task in outcome.changes]
    assert server.ssh("true", user="omar", key=keys["omar"]).returncode == 255
    assert server.ssh("true", user="sara", key=keys["sara"]).returncode == 0
    # With a key that he had left behind elsewhere he is still locked.
    swap = "cd ~omar/.ssh && cat > other_keys && mv other_keys authorized_keys"
    server.ssh("sh", "-c", swap, root=True, stdin=public_key(keys["omar"]))
    assert server.ssh("true", user="omar", key=keys["omar"]).returncode == 255
    server.ssh("sh", "-c", "rm ~omar/.ssh/authorized_keys", root=True)


def test_a_packet_filter_that_cuts_the_server_off_is_taken_back_by_the_server(
    served: Served, play: Play, part: Callable[..., Path]
) -> None:
    server, playbook = served.server, part("packet_filter")
    server.ssh("tee", "/etc/nftables.d/mistake.nft", root=True, stdin="tcp dport 22 drop\n")
    served.parameters["open_ports"] = "443/tcp 8443/tcp"
    outcome = play(playbook, server, **served.parameters)
    result = outcome.hosts[server.name]
    assert (result.state, result.task) == ("failed", "Say that the change was taken back")
    assert "taken that back by itself and is reached again" in str(result.message)
    # The old rules hold, now and for the next boot.
    assert (answers(server, 22), answers(server, 8443)) == (True, False)
    assert b"8443" not in server.fetch("/etc/nftables.conf")
    server.ssh("rm", "/etc/nftables.d/mistake.nft", root=True)
    mended = play(playbook, server, **served.parameters)
    mended.assert_good()
    assert "Write the packet filter for the next boot" in {task for _, task in mended.changes}
    assert answers(server, 8443)


def test_a_play_that_would_shut_itself_out_changes_nothing(served: Served, play: Play) -> None:
    server = served.server
    elsewhere = play(
        "server_baseline", server, **{**served.parameters, "management_networks": "192.0.2.0/24"}
    )
    result = elsewhere.hosts[server.name]
    assert (result.state, result.task) == ("failed", "Check that the play comes from a management network")
    assert "is in none of the networks 192.0.2.0/24" in str(result.message)
    assert answers(server, 22)
    sara = {"ansible_user": "sara", "ssh_key_file": str(served.keys["sara"])}
    # He logs in as sara, and takes her off the list.
    without = {**served.parameters, "engineers": f"omar {public_key(served.keys['omar'])}"}
    outcome = play("server_baseline", server, attributes=sara, **without)
    assert outcome.hosts[server.name].task == "Check that nobody locks himself out"
    assert server.ssh("true", user="sara", key=served.keys["sara"]).returncode == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("engineers", "sara ssh-ed25519"),
        ("engineers", "Sara ssh-ed25519 AAAA"),
        ("engineers", "sara ssh-ed25519 AAAA\nroot"),
        ("engineers", 'sara command="id" ssh-ed25519 AAAA'),
        ("engineers", "sara ssh-ed25519 AAAA {{ lookup('env', 'HOME') }}"),
        ("management_networks", "10.0.0.0/8; drop"),
        ("open_ports", "443"),
        ("time_servers", "time.example\nserver other"),
        ("update_hour", "24"),
    ],
)
def test_parameters_that_are_none_are_refused_by_name(name: str, value: str) -> None:
    playbook = load_playbook(PLAYBOOKS / "server_baseline.yml")
    good = {"management_networks": "10.1.0.0/16 2001:db8::/32", "time_servers": "10.1.0.1 time.example"}
    good["engineers"] = "sara ssh-ed25519 AAAA sara@desk\n\nomar ssh-rsa BBBB=\n"
    assert playbook.values(good)["engineers"] == good["engineers"]
    with pytest.raises(InvalidInput) as caught:
        playbook.values({**good, name: value})
    assert [field.pointer for field in caught.value.fields] == [f"/parameters/{name}"]
