"""The playbook monitoring_agents, seen from outside by net-snmp's clients and curl."""

import subprocess
from collections.abc import Iterator

import pytest

from lab.machine import Machine
from lab.machines import Lab
from tests.playbooks.conftest import Play, assert_second_run_changes_nothing, vaulted

# Quotes, blanks and letters that are not ASCII: nothing on the way may take them apart.
AUTH = "a \"quoted\" pass 'phrase' ك"
PRIVACY = "another $secret\\n#phrase"
SYS_NAME = "1.3.6.1.2.1.1.5.0"
PATIENCE = ("-t", "5", "-r", "3")
# For what is to get no answer at all.
ONCE = ("-t", "1", "-r", "0")
FETCHED = ("snmpd", "prometheus-node-exporter")


@pytest.fixture(scope="module")
def server(lab: Lab) -> Iterator[Machine]:
    machine = lab.boot("watched", fetched=FETCHED)["watched"]
    yield machine
    lab.remove(machine)


def snmp(machine: Machine, *options: str, program: str = "snmpget", oid: str = SYS_NAME) -> str:
    """What net-snmp's client says, whatever it is."""
    words = [program, *(() if "-t" in options else PATIENCE), "-On", *options, machine.address, oid]
    answer = subprocess.run(words, capture_output=True, text=True, errors="replace", check=False)
    return answer.stdout + answer.stderr


def version_3(auth: str = AUTH, privacy: str = PRIVACY, user: str = "rakeeza") -> list[str]:
    return ["-v3", "-l", "authPriv", "-u", user, "-a", "SHA-256", "-A", auth, "-x", "AES", "-X", privacy]


def metrics(address: str) -> str:
    words = ["curl", "--silent", "--max-time", "5", f"http://{address}:9100/metrics"]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout


def assert_verified(server: Machine) -> None:
    """What the head of the playbook promises, seen from outside."""
    assert f'STRING: "{server.name}"' in snmp(server, *version_3())
    tree = snmp(server, *version_3(), program="snmpwalk", oid="1.3.6.1.2.1.25.1")
    assert ".1.3.6.1.2.1.25.1.1.0 = Timeticks" in tree
    assert "Authentication failure" in snmp(server, *version_3(auth="a wrong passphrase"))
    assert "Timeout" in snmp(server, *version_3(privacy="a wrong passphrase"), *ONCE)
    assert "Unknown user name" in snmp(server, *version_3(user="stranger"))
    no_privacy = ["-v3", "-l", "authNoPriv", "-u", "rakeeza", "-a", "SHA-256", "-A", AUTH]
    assert server.name not in snmp(server, *no_privacy, *ONCE)
    for version in ("1", "2c"):
        assert "Timeout" in snmp(server, "-v", version, "-c", "public", *ONCE)
    assert "node_boot_time_seconds" in metrics(server.address)
    listening = server.output("ss", "--no-header", "--listening", "--numeric", "--tcp", "--udp")
    places = {line.split()[4] for line in listening.splitlines()}
    assert {place for place in places if place.endswith((":161", ":9100"))} == {
        f"{server.address}:161",
        f"{server.address}:9100",
    }


def test_the_agents_answer_who_they_should_and_no_one_else(server: Machine, play: Play) -> None:
    secrets = vaulted(snmp_auth_password=AUTH, snmp_privacy_password=PRIVACY)
    checked = play("monitoring_agents", server, check=True, secrets=secrets)
    checked.assert_good()
    assert "Install the agents" in [task for _, task in checked.changes]
    assert server.ssh("test", "-e", "/etc/snmp").returncode == 1

    first = play("monitoring_agents", server, secrets=secrets, location="Riyadh, hall 2")
    first.assert_good()
    assert_verified(server)
    assert "Riyadh, hall 2" in snmp(server, *version_3(), oid="1.3.6.1.2.1.1.6.0")

    kept = server.fetch("/var/lib/snmp/snmpd.conf")
    assert_second_run_changes_nothing(
        play, "monitoring_agents", server, secrets=secrets, location="Riyadh, hall 2"
    )
    assert server.fetch("/var/lib/snmp/snmpd.conf") == kept
    for path in ("/var/lib/snmp/snmpd.conf", "/etc/snmp/snmpd.conf"):
        assert AUTH.encode() not in server.fetch(path)
        assert server.output("stat", "-c", "%a", path, root=True).strip() == "600"
    for run in (checked.folder, first.folder):
        for file in run.rglob("*"):
            assert not file.is_file() or AUTH.encode() not in file.read_bytes(), file

    before = server.boot_id()
    server.ssh("systemctl", "reboot", root=True)
    server.wait(other_boot=before)
    assert_verified(server)


def test_another_password_takes_the_place_of_the_old_one(server: Machine, play: Play) -> None:
    other = "quite another passphrase"
    secrets = vaulted(snmp_auth_password=other, snmp_privacy_password=PRIVACY)
    play("monitoring_agents", server, secrets=secrets).assert_good()
    assert f'STRING: "{server.name}"' in snmp(server, *version_3(auth=other))
    assert "Authentication failure" in snmp(server, *version_3())
    users = server.output("grep", "-c", "^usmUser", "/var/lib/snmp/snmpd.conf", root=True)
    assert users.strip() == "1"


@pytest.mark.parametrize("variables", [{}, {"snmp_auth_password": "short", "snmp_privacy_password": PRIVACY}])
def test_passwords_that_are_missing_or_short_are_refused_before_anything(
    server: Machine, play: Play, variables: dict[str, str]
) -> None:
    outcome = play("monitoring_agents", server, secrets=vaulted(**variables) if variables else None)
    result = outcome.hosts[server.name]
    assert (result.state, result.task) == ("failed", "Say what is wrong with the passwords")
    assert "12 characters or more" in str(result.message)
    assert outcome.changes == []
