"""Servers of the lab, and playbooks run on them as the platform runs them.

A test of a playbook takes `lab`, boots machines of its own, runs the playbook with `play`, and then looks
from outside: by ssh, or by the client of whatever the playbook has set up.
"""

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from foundation.definitions import Bilingual
from foundation.secret import Secret
from infra.plays.definition import load_playbook
from infra.plays.inventory import build_inventory
from infra.plays.results import HostResult, Progress, Report
from infra.plays.runner import Order, run
from infra.plays.secrets import PlaySecrets
from infra.plays.vault_format import DEFAULT_ID, seal
from lab.machine import Machine
from lab.machines import Lab, open_lab

PLAYBOOKS = Path(__file__).parents[2] / "playbooks"


@dataclass(frozen=True)
class HostAsset:
    """The part of an asset that an inventory reads."""

    name: str
    attributes: Mapping[str, Any]
    kind: str = "host"
    parent: str | None = None
    links: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    title: Bilingual = field(default_factory=lambda: Bilingual(ar="خادم", en="A server"))


@dataclass
class Outcome:
    """One run to its end.

    Args:
        folder: the run's folder.
        hosts: the result of each host.
        reports: what a reader of the run was told.
        end: how it ended: `status` and `code`.
    """

    folder: Path
    hosts: dict[str, HostResult]
    reports: list[Report] = field(default_factory=list)
    end: dict[str, Any] = field(default_factory=dict)

    @property
    def changes(self) -> list[tuple[str, str]]:
        """Every change: the host, and the task."""
        return [(report.payload["host"], report.payload["task"]) for report in self._told("host_changed")]

    @property
    def order(self) -> list[tuple[str, str]]:
        """Host and task of everything that was done, in its order; what was skipped is not."""
        kinds = ("host_ok", "host_changed", "host_failed", "host_unreachable")
        return [(report.payload["host"], report.payload["task"]) for report in self._told(*kinds)]

    def messages(self, task: str) -> dict[str, str]:
        """What each host said at a task."""
        found = {}
        for report in self.reports:
            if report.payload.get("task") == task and report.payload.get("message"):
                found[str(report.payload["host"])] = str(report.payload["message"])
        return found

    def assert_good(self) -> None:
        """Every task of every host ended well; else each host's own words."""
        bad = {
            name: (host.state, host.task, host.message) for name, host in self.hosts.items() if not host.good
        }
        log = (self.folder / "output.log").read_text(encoding="utf-8", errors="replace")
        assert not bad, f"{bad}\n{log[-3000:]}"
        assert self.end["status"] == "successful", f"{self.end}\n{log[-3000:]}"

    def _told(self, *kinds: str) -> list[Report]:
        return [report for report in self.reports if report.kind in kinds]


class Play:
    """Runs playbooks of the product on machines.

    Args:
        folder: for the folders of the runs.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(
        self,
        playbook: str | Path,
        *machines: Machine,
        attributes: Mapping[str, Any] | None = None,
        kind: str = "host",
        check: bool = False,
        secrets: PlaySecrets | None = None,
        **parameters: Any,
    ) -> Outcome:
        """Run one; a host that fails is in the outcome, and no exception.

        Args:
            playbook: its name, or the path of one of the test's own.
            machines: the hosts.
            attributes: attributes of the assets over the machines' own, such as another `ansible_user`.
            kind: the assets' kind.
            check: change nothing, say what would change.
            secrets: its secret variables, as `vaulted` seals them.
            parameters: its parameters.
        """
        path = playbook if isinstance(playbook, Path) else PLAYBOOKS / f"{playbook}.yml"
        loaded = load_playbook(path)
        assets = [
            HostAsset(machine.name, {**machine.attributes(), **(attributes or {})}, kind)
            for machine in machines
        ]
        inventory = build_inventory(assets, loaded.about.targets)
        order = Order(
            loaded.name,
            loaded.files(),
            inventory,
            parameters=loaded.values(parameters),
            check=check,
            diff=check,
            secrets=secrets or PlaySecrets(),
        )
        folder = Path(tempfile.mkdtemp(prefix=f"{loaded.name}-", dir=self._folder))
        progress = Progress(inventory.hosts)
        outcome = Outcome(folder, progress.results)
        for batch in run(folder, order):
            outcome.reports += [report for event in batch if (report := progress.take(event))]
            outcome.end = next((event for event in batch if event["event"] == "end"), outcome.end)
        return outcome

    def twice(self, playbook: str | Path, *machines: Machine, **given: Any) -> Outcome:
        """Run one that ends well, and once more, which changes nothing; the first outcome."""
        first = self(playbook, *machines, **given)
        first.assert_good()
        assert_second_run_changes_nothing(self, playbook, *machines, **given)
        return first


def assert_second_run_changes_nothing(
    play: Play, playbook: str | Path, *machines: Machine, **given: Any
) -> None:
    """Run it (again): it ends well and changes nothing on any host."""
    second = play(playbook, *machines, **given)
    second.assert_good()
    assert second.changes == []
    assert {name: host.changed for name, host in second.hosts.items()} == {
        machine.name: 0 for machine in machines
    }


def vaulted(**variables: str) -> PlaySecrets:
    """Secret variables of every host, sealed as `ansible-vault` seals them."""
    password = Secret("a password of the tests' vault")
    content = yaml.safe_dump(variables, allow_unicode=True).encode()
    return PlaySecrets(
        files={"group_vars/all/vault.yml": seal(content, password)},
        passwords={DEFAULT_ID: password},
        values=frozenset(variables.values()),
    )


@pytest.fixture(scope="session")
def lab() -> Iterator[Lab]:
    """A network of the lab for all tests of this process; each boots machines with names of its own."""
    # Below /tmp and not pytest's: it keeps the folders of three sessions, and a machine's disk is large.
    with (
        tempfile.TemporaryDirectory(prefix="rk-lab-", dir="/tmp") as folder,
        open_lab(Path(folder)) as opened,
    ):
        yield opened


@pytest.fixture
def play(tmp_path: Path) -> Play:
    """Runs playbooks of the product."""
    return Play(tmp_path)
