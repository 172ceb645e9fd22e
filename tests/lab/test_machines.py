"""The lab's machines, seen from outside: by OpenSSH's client, and by what is left of them."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from foundation.errors import Unavailable
from lab import machines
from lab.machines import Lab, open_lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with open_lab(tmp_path_factory.mktemp("lab")) as opened:
        yield opened


def left_of(number: int) -> list[str]:
    """What of a lab is still there: network interfaces, control groups, mounts of its name."""
    found = [path.name for path in Path("/sys/class/net").glob(f"rkl{number}[!0-9]*")]
    found += [path.name for path in Path("/sys/class/net").glob(f"rkl{number}")]
    return found + [str(path) for path in Path("/sys/fs/cgroup").glob(f"*/rakeeza-lab-{number}")]


def test_machines_are_servers_of_their_own(lab: Lab) -> None:
    booted = lab.boot("one", "two")
    seen = {}
    for name, machine in booted.items():
        words = machine.output(
            "sh", "-c", "hostname; cat /etc/machine-id; systemctl is-system-running"
        ).split()
        assert words[0] == name
        assert words[2] == "running"
        seen[name] = (words[1], machine.host_key, machine.boot_id(), machine.address)
    assert all(first != second for first, second in zip(seen["one"], seen["two"], strict=True))
    reached = booted["one"].output(
        "sh", "-c", "head -c 7 < /dev/tcp/two/22 2>/dev/null || bash -c 'head -c 7 < /dev/tcp/two/22'"
    )
    assert reached == "SSH-2.0"
    lab.remove(*booted.values())
    assert set(booted) & set(lab.machines) == set()


def test_a_reboot_is_another_boot_with_the_same_disk_and_a_fresh_network(lab: Lab) -> None:
    machine = lab.boot("rebooted")["rebooted"]
    machine.output("sh", "-c", "echo kept > /srv/mark; nft add table inet kept", root=True)
    before = machine.boot_id()
    machine.ssh("systemctl", "reboot", root=True)
    machine.wait(other_boot=before)
    assert machine.fetch("/srv/mark") == b"kept\n"
    assert machine.output("nft", "list", "ruleset", root=True) == ""


def test_a_machine_that_is_off_is_started_again(lab: Lab) -> None:
    machine = lab.boot("plug")["plug"]
    machine.output("sh", "-c", "echo kept > /srv/mark; sync", root=True)
    before = machine.boot_id()
    machine.power_off()
    assert not machine.running
    assert machine.ssh("true", options=("-o", "ConnectTimeout=1")).returncode == 255
    machine.start()
    assert machine.boot_id() != before
    assert machine.fetch("/srv/mark") == b"kept\n"


def test_cables_join_machines_beside_the_lab_s_network(lab: Lab) -> None:
    booted = lab.boot(
        "left", "middle", "right", cables={"west": ("left", "middle"), "east": ("middle", "right")}
    )
    for name, cable, address in (
        ("left", "west", "192.168.1.1/24"),
        ("middle", "west", "192.168.1.2/24"),
        ("middle", "east", "192.168.2.1/24"),
        ("right", "east", "192.168.2.2/24"),
    ):
        booted[name].output("ip", "address", "add", address, "dev", cable, root=True)
    knock = "timeout 3 head -c 7 < /dev/tcp/{}/22"
    assert booted["left"].output("bash", "-c", knock.format("192.168.1.2")) == "SSH-2.0"
    assert booted["middle"].output("bash", "-c", knock.format("192.168.2.2")) == "SSH-2.0"
    assert booted["left"].ssh("timeout", "1", "bash", "-c", knock.format("192.168.2.2")).returncode != 0
    # A router's own setting.
    booted["middle"].output("sysctl", "-w", "net.ipv4.ip_forward=1", root=True)
    booted["left"].output("ip", "route", "add", "192.168.2.0/24", "via", "192.168.1.2", root=True)
    booted["right"].output("ip", "route", "add", "192.168.1.0/24", "via", "192.168.2.1", root=True)
    assert booted["left"].output("bash", "-c", knock.format("192.168.2.2")) == "SSH-2.0"


def test_packages_come_from_the_lab_s_cache_and_from_a_layer(lab: Lab) -> None:
    layered, plain = lab.boot("layered", packages=["tree"])["layered"], lab.boot("plain")["plain"]
    assert layered.output("tree", "--version").startswith("tree v")
    assert plain.ssh("tree", "--version").returncode != 0
    plain.output("apt-get", "-q", "update", root=True)
    plain.output("apt-get", "-q", "-y", "install", "tree", root=True)
    assert plain.output("tree", "--version") == layered.output("tree", "--version")


def test_a_machine_that_does_not_boot_says_why(lab: Lab) -> None:
    machine = lab.boot("broken")["broken"]
    machine.output(
        "sh",
        "-c",
        "printf '[Service]\\nExecStart=/bin/false\\n' > /etc/systemd/system/sad.service",
        root=True,
    )
    machine.output("sh", "-c", "mkdir -p /etc/systemd/system/multi-user.target.wants", root=True)
    machine.output("ln", "-s", "../sad.service", "/etc/systemd/system/multi-user.target.wants/", root=True)
    machine.power_off()
    with pytest.raises(Unavailable, match=r"degraded: sad\.service"):
        machine.start()


def test_a_killed_lab_leaves_nothing_to_the_next(tmp_path: Path) -> None:
    # In another process, as a test that was killed.
    source = (
        "import sys, time; from pathlib import Path; from lab.machines import open_lab\n"
        "with open_lab(Path(sys.argv[1])) as lab:\n"
        "    lab.boot('doomed'); print(lab.network, flush=True); time.sleep(600)\n"
    )
    argv = [sys.executable, "-c", source, str(tmp_path / "killed")]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2])
    assert process.stdout is not None
    network = process.stdout.readline()
    number = int(network.split(".")[2])
    assert left_of(number)
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with open_lab(tmp_path / "next") as lab:
        machine = lab.boot("doomed")["doomed"]
        assert machine.output("hostname") == "doomed\n"
        mine = int(lab.network.split(".")[2])
    assert left_of(mine) == []
    # Not ours if another process of this machine has taken the number meanwhile.
    if mine == number:
        marker = os.fsencode(tmp_path / "killed")
        lines = [path for path in Path("/proc").glob("[0-9]*/cmdline") if _holds(path, marker)]
        assert lines == []


def _holds(path: Path, marker: bytes) -> bool:
    try:
        return marker in path.read_bytes()
    except OSError:
        return False


def test_labs_of_the_same_time_are_apart(lab: Lab, tmp_path: Path) -> None:
    with open_lab(tmp_path) as other:
        assert other.network != lab.network
        machine, ours = other.boot("apart")["apart"], lab.boot("apart")["apart"]
        machine.output("apt-get", "-q", "update", root=True)
        ours.output("apt-get", "-q", "update", root=True)
    lab.remove(ours)
    assert left_of(int(other.network.split(".")[2])) == []


def test_a_package_that_nobody_has_is_said_in_apt_s_words(lab: Lab) -> None:
    with pytest.raises(Unavailable, match="Unable to locate package no-such-package-anywhere"):
        lab.boot("never", packages=["no-such-package-anywhere"])
    assert "never" not in lab.machines


def test_without_root_the_lab_says_what_it_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(Unavailable, match="need root") as caught, open_lab(tmp_path):
        pass
    assert caught.value.remedy == "Run this as root."


def test_a_missing_program_is_named_with_its_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(machines._PROGRAMS, "no-such-program", "no-such-package")
    with pytest.raises(Unavailable) as caught, open_lab(tmp_path):
        pass
    assert caught.value.remedy == "apt-get install no-such-package"
