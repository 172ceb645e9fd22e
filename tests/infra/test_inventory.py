"""Assets as an inventory, read back by Ansible's own program."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from foundation.errors import InvalidInput
from infra.plays.inventory import Inventory, build_inventory
from tests.infra.conftest import FakeAsset

REACHABLE = {"ansible_host": "192.0.2.1", "ansible_port": "22", "host_key": "ssh-ed25519 AAAA comment"}


@pytest.fixture
def inventory() -> Inventory:
    return build_inventory(
        [
            FakeAsset("riyadh", "municipality"),
            FakeAsset("dc-1", "site", "riyadh"),
            FakeAsset("rack-1", "rack", "dc-1"),
            FakeAsset("db-1", "host", "rack-1", {**REACHABLE, "ssh_key_file": "/keys/a key"}),
            FakeAsset("db-2", "host", "dc-1", REACHABLE),
            FakeAsset("kiosk-1", "kiosk", "riyadh", REACHABLE),
            FakeAsset("unaddressed", "host", "dc-1", {}),
            FakeAsset("switch-1", "network_device", "rack-1", REACHABLE),
        ],
        ["host", "kiosk"],
    )


def test_ansible_reads_the_groups_by_kind_site_and_municipality(inventory: Inventory, tmp_path: Path) -> None:
    inventory.write(tmp_path)
    program = Path(sys.executable).with_name("ansible-inventory")
    argv = [str(program), "-i", str(tmp_path / "hosts.yml"), "--list"]
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    answer = subprocess.run(argv, capture_output=True, text=True, env=environment, check=True, cwd=tmp_path)
    seen = json.loads(answer.stdout)
    groups = {name: set(group["hosts"]) for name, group in seen.items() if "hosts" in group}
    assert groups == {
        "kind_host": {"db-1", "db-2"},
        "kind_kiosk": {"kiosk-1"},
        "site_dc-1": {"db-1", "db-2"},
        "rack_rack-1": {"db-1"},
        "municipality_riyadh": {"db-1", "db-2", "kiosk-1"},
    }
    variables = seen["_meta"]["hostvars"]["db-1"]
    assert variables["ansible_port"] == 22
    assert variables["ansible_ssh_private_key_file"] == "/keys/a key"
    assert "StrictHostKeyChecking=yes" in variables["ansible_ssh_common_args"]


def test_a_host_key_is_kept_under_the_name_of_its_asset(inventory: Inventory, tmp_path: Path) -> None:
    inventory.write(tmp_path)
    lines = (tmp_path / "known_hosts").read_text(encoding="utf-8").splitlines()
    assert "db-1 ssh-ed25519 AAAA" in lines
    assert len(lines) == 3


@pytest.mark.parametrize(
    ("limit", "hosts"),
    [
        (None, ["db-1", "db-2", "kiosk-1"]),
        ("db-1", ["db-1"]),
        ("site_dc-1", ["db-1", "db-2"]),
        ("kind_kiosk,db-2", ["db-2", "kiosk-1"]),
        ("all,!db-1", ["db-2", "kiosk-1"]),
        ("!db-1", ["db-2", "kiosk-1"]),
        ("municipality_riyadh:&kind_host:!db-2", ["db-1"]),
    ],
)
def test_a_limit_is_understood_as_ansible_does(
    inventory: Inventory, tmp_path: Path, limit: str | None, hosts: list[str]
) -> None:
    assert inventory.limited(limit) == hosts
    inventory.write(tmp_path)
    program = Path(sys.executable).with_name("ansible")
    argv = [str(program), "-i", str(tmp_path / "hosts.yml"), "--list-hosts", limit or "all"]
    environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    answer = subprocess.run(argv, capture_output=True, text=True, env=environment, check=True, cwd=tmp_path)
    assert sorted(line.strip() for line in answer.stdout.splitlines()[1:]) == hosts


@pytest.mark.parametrize(
    "limit", ["db-9", "switch-1", "unaddressed", "db-*", "db[0]", "@file", "db-1,nothing"]
)
def test_a_name_that_is_neither_host_nor_group_is_refused_with_what_is_known(
    inventory: Inventory, limit: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        inventory.limited(limit)
    assert "is neither a host nor a group" in caught.value.message
    assert "Hosts: db-1, db-2, kiosk-1. Groups: kind_host" in caught.value.remedy


def test_a_limit_that_leaves_nothing_is_refused(inventory: Inventory) -> None:
    with pytest.raises(InvalidInput, match="No host is left"):
        inventory.limited("db-1,!db-1")


def test_no_reachable_asset_at_all_is_said() -> None:
    with pytest.raises(InvalidInput, match="No asset is a host"):
        build_inventory([FakeAsset("db-1")], ["host"]).limited(None)


def test_assets_that_contain_each_other_do_not_hang() -> None:
    ring = [FakeAsset("a", "site", "b"), FakeAsset("b", "site", "a"), FakeAsset("h", "host", "a", REACHABLE)]
    assert build_inventory(ring, ["host"]).groups == ["kind_host", "site_a", "site_b"]
