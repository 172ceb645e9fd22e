import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from foundation.errors import Unavailable
from foundation.guard import Guard
from lab import snmpd


@pytest.fixture
def guard() -> Iterator[Guard]:
    with Guard() as guard:
        yield guard


def snmpget(*arguments: str) -> str:
    return subprocess.run(
        ["snmpget", "-On", "-Oqv", *arguments],
        capture_output=True,
        text=True,
        env={"MIBS": "", "PATH": "/usr/bin"},
    ).stdout.strip()


def test_debians_own_client_reads_the_agent_with_its_community(guard: Guard, tmp_path: Path) -> None:
    agent = snmpd.start(guard, tmp_path / "snmpd", location="Room 4")
    community = agent.community
    assert snmpget("-v2c", "-c", community, agent.address, "1.3.6.1.2.1.1.6.0") == '"Room 4"'
    assert snmpget("-v2c", "-c", community, agent.address, "1.3.6.1.2.1.33.1.2.5.0") == "231"


def test_debians_own_client_reads_the_agent_as_the_v3_user(guard: Guard, tmp_path: Path) -> None:
    agent = snmpd.start(guard, tmp_path / "snmpd")
    user = ["-v3", "-l", "authPriv", "-u", agent.user, "-a", "SHA", "-A", agent.auth_secret]
    user += ["-x", "AES", "-X", agent.priv_secret]
    assert snmpget(*user, agent.address, "1.3.6.1.2.1.1.6.0") == '"Lab"'


def test_two_agents_run_side_by_side_and_keep_their_files_in_their_folders(
    guard: Guard, tmp_path: Path
) -> None:
    first = snmpd.start(guard, tmp_path / "a", name="a", location="A")
    second = snmpd.start(guard, tmp_path / "b", name="b", location="B")
    for agent, place in ((first, "A"), (second, "B")):
        assert snmpget("-v2c", "-c", agent.community, agent.address, "1.3.6.1.2.1.1.6.0") == f'"{place}"'
    assert (tmp_path / "a" / "persistent").is_dir()
    assert first.log.exists()


def test_the_agent_ends_with_its_guard(tmp_path: Path) -> None:
    with Guard() as guard:
        agent = snmpd.start(guard, tmp_path / "snmpd")
        community = agent.community
        assert snmpget("-v2c", "-c", community, agent.address, "1.3.6.1.2.1.1.6.0") == '"Lab"'
    answer = snmpget("-v2c", "-c", community, "-t", "0.2", "-r", "0", agent.address, "1.3.6.1.2.1.1.6.0")
    assert answer == ""


def test_an_agent_whose_port_was_taken_meanwhile_takes_another(
    guard: Guard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = snmpd.start(guard, tmp_path / "other", name="other", location="Elsewhere")
    free = snmpd._free_udp_port()
    # The choice of the port is a matter of chance; here it falls on one that an agent answers on.
    chosen = iter((other.port, free))
    monkeypatch.setattr(snmpd, "_free_udp_port", lambda: next(chosen))
    agent = snmpd.start(guard, tmp_path / "snmpd", location="Room 4")
    assert agent.port == free
    assert snmpget("-v2c", "-c", agent.community, agent.address, "1.3.6.1.2.1.1.6.0") == '"Room 4"'


def test_an_agent_that_does_not_start_says_why(guard: Guard, tmp_path: Path) -> None:
    with pytest.raises(
        Unavailable, match=r'snmpd does not start\. Its log ends: (?s:.*)endpoint "udp:192.0.2.1:1"'
    ):
        snmpd.start(guard, tmp_path / "snmpd", lines=["agentaddress udp:192.0.2.1:1"])
