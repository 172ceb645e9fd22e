import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from foundation.guard import Guard
from foundation.secret import Secret
from lab import snmpd
from lab.snmpd import Snmpd
from monitoring.catalogue import Catalogue
from monitoring.targets import Community, Target, User


@pytest.fixture(scope="session")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snmpd]:
    """A real net-snmp agent."""
    with Guard() as guard:
        yield snmpd.start(guard, tmp_path_factory.mktemp("snmpd"))


@pytest.fixture(scope="session")
def catalogue() -> Catalogue:
    return Catalogue()


@pytest.fixture
def target(agent: Snmpd) -> Target:
    return Target("lab", agent.host, agent.port, Community(Secret(agent.community)), timeout=10.0)


@pytest.fixture
def v3_target(agent: Snmpd) -> Target:
    user = User(agent.user, "SHA", Secret(agent.auth_secret), "AES", Secret(agent.priv_secret))
    return Target("lab", agent.host, agent.port, user, timeout=10.0)


@pytest.fixture
def snmpget(agent: Snmpd) -> Callable[[str], str]:
    """Debian's own client, as a peer that shares no code with ours."""

    def get(oid: str) -> str:
        done = subprocess.run(
            ["snmpget", "-v2c", "-c", agent.community, "-On", "-Oqvtn", agent.address, oid],
            capture_output=True,
            text=True,
            check=True,
            env={"MIBS": "", "PATH": "/usr/bin"},
        )
        return done.stdout.strip().strip('"')

    return get


@pytest.fixture
def model_file(tmp_path: Path) -> Callable[[str], Path]:
    """Writes a device model into a folder of its own; gives the folder."""

    def write(text: str, name: str = "extra") -> Path:
        folder = tmp_path / "models"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
        return folder

    return write
