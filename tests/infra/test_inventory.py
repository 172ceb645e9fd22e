"""Assets as an inventory, read back by Ansible's own program."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

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
            FakeAsset("dc-9", "site", "riyadh"),
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
def test_a_limit_names_hosts_and_groups(inventory: Inventory, limit: str | None, hosts: list[str]) -> None:
    assert inventory.limited(limit) == hosts


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


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("switch-1", "of this play: it is a network_device, and this play is for host, kiosk."),
        ("unaddressed", "of this play: it has no ansible_host, the address that plays connect to."),
        ("dc-1", "of this play: it is a site, which no play connects to."),
        ("!rack-1", "of this play: it is a rack, which no play connects to."),
        ("site_dc-9", "The group 'site_dc-9' has no host that this play may run on."),
        ("db-3", "No asset has this name; did you mean db-2 or db-1?"),
        ("site-dc-1", "No asset has this name; did you mean site_dc-1"),
        ("unheard", "No asset has this name."),
        ("db-*", "Patterns and ports are not taken."),
        ("db-1:22", "Patterns and ports are not taken."),
    ],
)
def test_a_name_that_is_no_host_says_what_it_is(inventory: Inventory, limit: str, said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        inventory.limited(limit)
    assert said in str(caught.value)


@pytest.mark.parametrize("limit", ["", " ", ",", " , ", ":"])
def test_an_empty_limit_is_not_every_host(inventory: Inventory, limit: str) -> None:
    with pytest.raises(InvalidInput, match="The limit names nothing"):
        inventory.limited(limit)


def test_a_group_that_is_empty_today_may_be_left_out(inventory: Inventory) -> None:
    assert inventory.limited("kind_host,!site_dc-9") == ["db-1", "db-2"]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("all", "a group has the name 'all' already; rename the asset"),
        ("ungrouped", "a group has the name 'ungrouped' already; rename the asset"),
        ("site_dc-1", "a group has the name 'site_dc-1' already; rename the asset"),
        ("localhost", "to Ansible 'localhost' is the machine that plays; rename the asset"),
        ("127.0.0.1", "to Ansible '127.0.0.1' is the machine that plays; rename the asset"),
        ("a:22", "Ansible takes the name 'a:22' for a pattern; rename the asset"),
        ("a[1:9]", "Ansible takes the name 'a[1:9]' for a pattern; rename the asset"),
        ("a b", "Ansible takes the name 'a b' for a pattern; rename the asset"),
        ("!a", "Ansible takes the name '!a' for a pattern; rename the asset"),
    ],
)
def test_a_name_that_means_something_else_to_ansible_keeps_its_asset_out(name: str, reason: str) -> None:
    assets = [FakeAsset("dc-1", "site"), FakeAsset(name, "host", "dc-1", REACHABLE)]
    assets.append(FakeAsset("db-1", "host", "dc-1", REACHABLE))
    inventory = build_inventory(assets, ["host"])
    assert inventory.hosts == ["db-1"]
    assert inventory.refused == {name: reason}


def test_a_host_in_a_place_whose_name_is_a_pattern_is_kept_out() -> None:
    assets = [FakeAsset("dc 1", "site"), FakeAsset("db-1", "host", "dc 1", REACHABLE)]
    refused = build_inventory(assets, ["host"]).refused
    assert refused == {"db-1": "Ansible takes the name 'site_dc 1' for a pattern; rename the asset"}


def test_a_fingerprint_is_of_what_the_play_is_told_of_these_hosts() -> None:
    def fingerprint(*others: FakeAsset, **changes: Any) -> str:
        parent = changes.pop("parent", "dc-1")
        links = {"powers": changes.pop("powers", ())}
        places = [
            FakeAsset("dc-1", "site"),
            FakeAsset("dc-2", "site"),
            FakeAsset("ups-1", "ups", links=links),
        ]
        host = FakeAsset("db-1", "host", parent, {**REACHABLE, **changes})
        return build_inventory([*places, *others, host], ["host"]).fingerprint(["db-1"])

    same = fingerprint()
    assert len(same) == 64
    assert fingerprint(FakeAsset("db-2", "host", "dc-1", REACHABLE)) == same
    changed = [
        fingerprint(ansible_host="192.0.2.9"),
        fingerprint(ansible_port=23),
        fingerprint(host_key="ssh-ed25519 BBBB"),
        fingerprint(ssh_key_file="/keys/another"),
        fingerprint(parent="dc-2"),
        fingerprint(powers=("db-1",)),
    ]
    assert len({same, *changed}) == 7
    assert fingerprint(serial_number="7") == same


def test_the_order_of_hosts_does_not_change_a_fingerprint(inventory: Inventory) -> None:
    first = inventory.fingerprint(["db-1", "db-2"])
    assert inventory.fingerprint(iter(["db-2", "db-1", "db-2"])) == first != inventory.fingerprint(["db-1"])
    with pytest.raises(InvalidInput, match="'nobody' is neither"):
        inventory.fingerprint(["nobody"])


class _Counted(FakeAsset):
    """An asset that counts how often anything is read of it."""

    reads = 0

    def __getattribute__(self, name: str) -> Any:
        if not name.startswith("_"):
            _Counted.reads += 1
        return super().__getattribute__(name)


def _reads(racks: int) -> int:
    feeds = tuple(f"pdu-{number}" for number in range(racks))
    assets = [_Counted("dc-1", "site"), _Counted("ups-1", "ups", links={"powers": feeds})]
    for number in range(racks):
        assets.append(_Counted(f"rack-{number}", "rack", "dc-1"))
        assets.append(_Counted(f"pdu-{number}", "pdu", "dc-1", links={"powers": (f"rack-{number}",)}))
        names = (f"host-{number}-{unit}" for unit in range(20))
        assets += [_Counted(name, "host", f"rack-{number}", REACHABLE) for name in names]
    before = _Counted.reads
    inventory = build_inventory(assets, ["host"])
    assert len(inventory.limited("feed_ups-1")) == 20 * racks
    return _Counted.reads - before


def test_twice_the_assets_are_twice_the_work() -> None:
    # 5,000 assets of a city; counted and not timed, for the machine has other things to do.
    assert _reads(230) <= 2.05 * _reads(115)


def test_an_error_lists_some_names_and_counts_the_others() -> None:
    assets = [FakeAsset(f"db-{number:04}", "host", attributes=REACHABLE) for number in range(5_000)]
    with pytest.raises(InvalidInput) as caught:
        build_inventory(assets, ["host"]).limited("web-1")
    assert "db-0011 and 4988 more. Groups: kind_host." in caught.value.remedy
    assert len(str(caught.value)) < 400


def test_a_limit_that_leaves_nothing_is_refused(inventory: Inventory) -> None:
    with pytest.raises(InvalidInput, match="No host is left"):
        inventory.limited("db-1,!db-1")


def test_no_reachable_asset_at_all_is_said() -> None:
    with pytest.raises(InvalidInput, match="No asset is a host"):
        build_inventory([FakeAsset("db-1")], ["host"]).limited(None)


def test_assets_that_contain_each_other_do_not_hang() -> None:
    ring = [FakeAsset("a", "site", "b"), FakeAsset("b", "site", "a"), FakeAsset("h", "host", "a", REACHABLE)]
    assert build_inventory(ring, ["host"]).groups == ["kind_host", "site_a", "site_b"]
