"""The playbook `router`, verified as its first lines say: three routers in a row, left, middle and right.

10.11.0.0/24 - left - 192.0.2.0/30 (west) - middle - 192.0.2.4/30 (east) - right - 10.33.0.0/24
"""

import copy
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from foundation.secret import Secret
from infra.plays.secrets import PlaySecrets
from infra.plays.vault_format import seal
from lab.machine import Machine
from lab.machines import Lab
from tests.playbooks.conftest import Outcome, Play, assert_second_run_changes_nothing
from tests.processes import until

PASSWORD = "marker-of-a-neighbour"
LEFT, MIDDLE, RIGHT = "router-left", "router-middle", "router-right"
Settings = Mapping[str, dict[str, Any]]

SETTINGS: Settings = {
    LEFT: {
        "id": "10.11.0.1",
        "asn": 65001,
        # The second one is nothing that the middle takes.
        "networks": ["10.11.0.0/24", "172.16.11.0/24"],
        "accept": ["10.0.0.0/8 le 24"],
        "interfaces": [
            {"name": "west", "addresses": ["192.0.2.1/30"]},
            {"name": "lo", "addresses": ["10.11.0.1/24", "172.16.11.1/24"]},
        ],
        "neighbours": [{"address": "192.0.2.2", "asn": 65002, "description": "middle"}],
    },
    MIDDLE: {
        "id": "10.22.0.1",
        "asn": 65002,
        "accept": ["10.0.0.0/8 le 24"],
        "interfaces": [
            {"name": "west", "addresses": ["192.0.2.2/30"]},
            {"name": "east", "addresses": ["192.0.2.5/30"]},
        ],
        "neighbours": [
            {"address": "192.0.2.1", "asn": 65001, "announce": ["10.0.0.0/8 le 24"], "local_preference": 200},
            {"address": "192.0.2.6", "asn": 65003, "announce": ["10.0.0.0/8 le 24"], "prepend": 1},
        ],
    },
    RIGHT: {
        "id": "10.33.0.1",
        "asn": 65003,
        "networks": ["10.33.0.0/24"],
        "accept": ["10.0.0.0/8 le 24"],
        "interfaces": [
            {"name": "east", "addresses": ["192.0.2.6/30"]},
            {"name": "lo", "addresses": ["10.33.0.1/24"]},
        ],
        "neighbours": [{"address": "192.0.2.5", "asn": 65002, "keepalive": 5, "hold": 15}],
    },
}
PASSWORDS = {LEFT: {"192.0.2.2": PASSWORD}, MIDDLE: {"192.0.2.1": PASSWORD}}


def variables(settings: Settings) -> PlaySecrets:
    """The routers' variables as an inventory's folder holds them: what is secret sealed, the rest plain."""
    vault = Secret("opens the vault")
    files = {f"host_vars/{name}/router.yml": json.dumps({"router": one}) for name, one in settings.items()}
    sealed = {
        f"host_vars/{name}/vault.yml": seal(json.dumps({"router_passwords": one}).encode(), vault, "lab")
        for name, one in PASSWORDS.items()
    }
    return PlaySecrets(
        {**{name: text.encode() for name, text in files.items()}, **sealed},
        {"lab": vault},
        frozenset({PASSWORD}),
    )


@dataclass
class Routers:
    """Three routers that were checked, and then played on.

    Args:
        machines: left, middle and right.
        play: what played on them.
        checked: the check of the fresh machines.
        installed: whether FRR was there after it.
        applied: the first play.
    """

    machines: Mapping[str, Machine]
    play: Play
    checked: Outcome
    installed: bool
    applied: Outcome

    def apply(self, settings: Settings, *names: str, **parameters: Any) -> Outcome:
        """Play on some of them, or on all three."""
        chosen = [self.machines[name] for name in names or self.machines]
        return self.play("router", *chosen, secrets=variables(settings), **{"within": 40, **parameters})

    def asks(self, name: str, question: str) -> Any:
        """What vtysh of a router answers as JSON."""
        return json.loads(self.machines[name].output("vtysh", "-c", f"{question} json", root=True))

    def sessions(self, name: str) -> dict[str, tuple[str, int, int]]:
        """The BGP sessions of a router: their state, how often they came up, and how often they broke."""
        peers = self.asks(name, "show bgp ipv4 unicast summary")["peers"]
        return {
            address: (peer["state"], peer["connectionsEstablished"], peer["connectionsDropped"])
            for address, peer in peers.items()
        }

    def routes(self, name: str) -> set[str]:
        """The prefixes that a router learned by BGP and uses."""
        found = self.asks(name, "show ip route bgp")
        return {prefix for prefix, ways in found.items() if any(way.get("installed") for way in ways)}


@pytest.fixture(scope="module")
def routers(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Routers]:
    machines = lab.boot(
        *SETTINGS,
        packages=["iputils-ping"],
        fetched=["frr", "frr-pythontools"],
        cables={"west": (LEFT, MIDDLE), "east": (MIDDLE, RIGHT)},
    )
    play = Play(tmp_path_factory.mktemp("router"))
    checked = play("router", *machines.values(), secrets=variables(SETTINGS), check=True)
    installed = any(one.ssh("test", "-e", "/usr/bin/vtysh").returncode == 0 for one in machines.values())
    applied = play("router", *machines.values(), secrets=variables(SETTINGS), within=40)
    applied.assert_good()
    yield Routers(machines, play, checked, installed, applied)
    lab.remove(*machines.values())


def diffs(outcome: Outcome, task: str) -> dict[str, str]:
    """What each host showed as its change at a task."""
    return {
        str(report.payload["host"]): str(report.payload.get("diff") or "")
        for report in outcome.reports
        if report.kind == "host_changed" and report.payload.get("task") == task
    }


def test_a_check_of_fresh_machines_shows_each_configuration_and_installs_nothing(routers: Routers) -> None:
    routers.checked.assert_good()
    assert not routers.installed
    shown = diffs(routers.checked, "Show what the routing daemons change")
    assert " neighbor 192.0.2.2 remote-as 65002" in shown[LEFT]
    assert " neighbor 192.0.2.5 timers 5 15" in shown[RIGHT]
    assert " neighbor 192.0.2.1 password ***" in shown[MIDDLE]


def test_no_password_of_a_neighbour_is_told_or_kept(routers: Routers) -> None:
    for outcome in (routers.checked, routers.applied):
        told = json.dumps([report.payload for report in outcome.reports])
        assert "neighbor" in told or outcome is routers.applied
        assert PASSWORD not in told
        kept = [path for path in outcome.folder.rglob("*") if path.is_file()]
        assert kept
        assert [path for path in kept if PASSWORD.encode() in path.read_bytes()] == []
    assert PASSWORD.encode() in routers.machines[MIDDLE].fetch("/etc/frr/frr.conf")


def test_sessions_come_up_and_a_ping_passes_through_the_middle(routers: Routers) -> None:
    states = {name: {state for state, *_ in routers.sessions(name).values()} for name in SETTINGS}
    assert states == {LEFT: {"Established"}, MIDDLE: {"Established"}, RIGHT: {"Established"}}
    assert routers.routes(LEFT) == {"10.33.0.0/24"}
    # 172.16.11.0/24 is announced by the left and not taken by the middle.
    assert routers.routes(MIDDLE) == {"10.11.0.0/24", "10.33.0.0/24"}
    assert routers.routes(RIGHT) == {"10.11.0.0/24"}
    answer = routers.machines[LEFT].output("ping", "-c1", "-W5", "-I", "10.11.0.1", "10.33.0.1")
    # 64 less the one router between them.
    assert "ttl=63" in answer


def test_a_second_run_changes_nothing_and_breaks_no_session(routers: Routers) -> None:
    before = {name: routers.sessions(name) for name in SETTINGS}
    machines = routers.machines.values()
    assert_second_run_changes_nothing(routers.play, "router", *machines, secrets=variables(SETTINGS))
    assert {name: routers.sessions(name) for name in SETTINGS} == before


def test_a_wrong_neighbour_is_named_and_what_ran_before_is_put_back(routers: Routers) -> None:
    before = routers.sessions(MIDDLE)
    conf = routers.machines[MIDDLE].fetch("/etc/frr/frr.conf")
    settings = copy.deepcopy(dict(SETTINGS))
    settings[MIDDLE]["neighbours"][1]["address"] = "192.0.2.66"
    outcome = routers.apply(settings, MIDDLE, within=6)
    assert outcome.end["status"] == "failed"
    assert "not established with 192.0.2.66" in str(outcome.hosts[MIDDLE].message)
    assert "What stood before stands again: 192.0.2.1, 192.0.2.6" in str(outcome.hosts[MIDDLE].message)
    after = routers.sessions(MIDDLE)
    # The session that the change did not touch never broke; the one it took away is there again.
    assert after["192.0.2.1"] == before["192.0.2.1"]
    assert after["192.0.2.6"][0] == "Established"
    assert set(after) == set(before)
    assert routers.machines[MIDDLE].fetch("/etc/frr/frr.conf") == conf
    again = routers.apply(SETTINGS, MIDDLE)
    again.assert_good()
    assert again.changes == []


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"settings": json.dumps({"id": "10.11.0.1", "asn": 65001, "neigbours": []})}, "neigbours"),
        ({"settings": json.dumps({"id": "10.11.0.256", "asn": 65001})}, "a router id is an IPv4 address"),
        (
            {"router_id": "10.11.0.1", "autonomous_system": 65001, "neighbours": "10.11.0.1 65002"},
            "10.11.0.1",
        ),
        ({}, "described by none"),
    ],
    ids=["an unknown key", "no address", "itself as a neighbour", "nothing"],
)
def test_settings_that_cannot_be_meant_are_refused(
    routers: Routers, parameters: dict[str, Any], words: str
) -> None:
    before = routers.sessions(LEFT)
    outcome = routers.play("router", routers.machines[LEFT], **parameters)
    assert outcome.end["status"] == "failed"
    assert outcome.changes == []
    log = (outcome.folder / "output.log").read_text(encoding="utf-8")
    assert words in log
    assert routers.sessions(LEFT) == before


def test_parameters_describe_one_router_and_not_two(routers: Routers) -> None:
    two = (routers.machines[LEFT], routers.machines[RIGHT])
    outcome = routers.play("router", *two, router_id="10.11.0.1", autonomous_system=65001)
    assert outcome.end["status"] == "failed"
    assert "parameters describe one" in str(outcome.hosts[LEFT].message)
    assert outcome.changes == []


def test_a_further_prefix_and_ospf_beside_bgp_break_no_session(routers: Routers) -> None:
    before = {name: routers.sessions(name) for name in SETTINGS}
    settings = copy.deepcopy(dict(SETTINGS))
    settings[RIGHT]["networks"].append("10.34.0.0/24")
    settings[RIGHT]["interfaces"][1]["addresses"].append("10.34.0.1/24")
    for name in (LEFT, MIDDLE):
        settings[name]["interfaces"][0] |= {"area": "0.0.0.0", "point_to_point": True, "hello": 1, "dead": 4}
    changed = routers.apply(settings)
    changed.assert_good()
    assert b"network 10.34.0.0/24" in routers.machines[RIGHT].fetch("/var/lib/rakeeza-router/change")
    neighbours = routers.asks(LEFT, "show ip ospf neighbor")["neighbors"]
    assert [one["nbrState"] for one in neighbours["10.22.0.1"]] == ["Full/-"]
    # The play waits for its neighbours, not for what they go on to tell theirs.
    until(lambda: "10.34.0.0/24" in routers.routes(LEFT))
    assert {name: routers.sessions(name) for name in SETTINGS} == before
