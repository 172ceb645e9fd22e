"""A rich inventory as Ansible's own programs read it, against our own view of it."""

import json
import random
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from foundation.definitions import Bilingual
from foundation.errors import InvalidInput
from infra.plays.inventory import Inventory, build_inventory
from tests.infra.conftest import FakeAsset

TEMPLATE = "{{ lookup('pipe', 'touch templated') }}"
# Names that YAML takes for something else than a text, where nobody quotes them.
ODD = ("2026", "1e3", "0x10", "0o7", "1.2", "yes", "null", "on", "true", "no.1", "2026-11-23", "خادم")
ODD_TEXT = "\"quotes\" \\ back: # 'both' \t\n\x7f\x85\u2028\ufeff😀 {% raw %}"


def reachable(number: int, **more: Any) -> dict[str, Any]:
    return {
        "ansible_host": f"192.0.2.{number}",
        "ansible_port": str(2200 + number),
        "ansible_user": "engineer",
        "ssh_key_file": "/keys/a key",
        "host_key": "ssh-ed25519 AAAA comment",
        **more,
    }


def links(*names: str) -> dict[str, tuple[str, ...]]:
    return {"powers": names}


@pytest.fixture(scope="module")
def inventory() -> Inventory:
    title = Bilingual(ar="مركز البيانات «الأول»", en=f"Data centre: {TEMPLATE}")
    assets = [
        FakeAsset("amanah-1", "amanah"),
        FakeAsset("city", "municipality", "amanah-1"),
        FakeAsset("branch", "municipality", "city"),
        FakeAsset("dc-1", "site", "branch"),
        FakeAsset("dc-9", "site", "branch"),
        FakeAsset("hall", "room", "dc-1"),
        FakeAsset("rack-1", "rack", "hall"),
        FakeAsset("خزانة", "rack", "hall"),
        FakeAsset("generator", "generator", "dc-1", links=links("ups-a", "ups-b")),
        FakeAsset("ups-a", "ups", "dc-1", links=links("pdu-a", "ups-b")),
        FakeAsset("ups-b", "ups", "dc-1", links=links("pdu-b", "ups-a")),
        FakeAsset("pdu-a", "pdu", "rack-1", links=links("rack-1")),
        FakeAsset("pdu-b", "pdu", "rack-1", links=links("db-1", "nothing")),
        FakeAsset("ups-hall", "ups", "dc-1", links=links("hall")),
        FakeAsset("ups-alone", "ups", "dc-9", links=links("rack-9")),
        FakeAsset("db-1", "host", "rack-1", reachable(1), title=title),
        FakeAsset("vm-1", "host", "db-1", reachable(2)),
        FakeAsset("web-1", "host", "خزانة", reachable(3, ansible_user=TEMPLATE)),
        FakeAsset("kiosk-1", "kiosk", "city", reachable(4, ansible_user=ODD_TEXT)),
        FakeAsset("lonely", "host", None, {"ansible_host": "2001:db8::5"}),
        *(FakeAsset(name, "host", "dc-1", reachable(10 + n)) for n, name in enumerate(ODD)),
    ]
    return build_inventory(assets, ["host", "kiosk"])


@pytest.fixture(scope="module")
def folder(inventory: Inventory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("a folder of 50%")
    inventory.write(folder)
    return folder


def ansible(program: str, folder: Path, *words: str) -> str:
    argv = [str(Path(sys.executable).with_name(program)), "-i", str(folder / "hosts.yml"), *words]
    environment = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    return subprocess.run(
        argv, capture_output=True, text=True, env=environment, check=True, cwd=folder
    ).stdout


def plain(value: Any) -> Any:
    """A value as Ansible's list has it, without the mark of texts that are no templates."""
    if isinstance(value, dict):
        marked = value.get("__ansible_unsafe")
        return marked if marked is not None else {key: plain(inner) for key, inner in value.items()}
    return value


def test_ansible_has_our_groups_and_our_variables(inventory: Inventory, folder: Path) -> None:
    seen = json.loads(ansible("ansible-inventory", folder, "--list"))
    common = ("ansible_python_interpreter", "ansible_connection", "ansible_ssh_common_args")
    variables = seen.pop("_meta")["hostvars"]
    assert sorted(variables) == inventory.hosts
    for name, found in variables.items():
        assert all(found.pop(key) for key in common)
        assert plain(found) == dict(inventory.host(name).variables)
    # No child of its own: those in no group but `all`.
    assert set(seen.pop("all")["children"]) == {"ungrouped", *inventory.groups}
    assert {group: sorted(found["hosts"]) for group, found in seen.items()} == {
        group: inventory.limited(group) for group in inventory.groups
    }


def test_what_powers_a_host_or_its_place_is_a_group_at_any_depth(inventory: Inventory) -> None:
    above = {"feed_ups-hall"}
    rack = {"feed_pdu-a", "feed_ups-a", "feed_ups-b", "feed_generator", *above}

    def feeds(name: str) -> set[str]:
        return {group for group in inventory.host(name).groups if group.startswith("feed_")}

    assert feeds("db-1") == feeds("vm-1") == {"feed_pdu-b", *rack}
    assert feeds("web-1") == above
    assert feeds("kiosk-1") == feeds("lonely") == set()


def test_a_play_is_told_where_its_host_stands(inventory: Inventory) -> None:
    assert inventory.host("vm-1").variables["rakeeza_asset"] == {
        "name": "vm-1",
        "kind": "host",
        "title": {"ar": "أصل", "en": "An asset"},
        "site": "dc-1",
        "rack": "rack-1",
        "municipality": "branch",
    }
    lonely = inventory.host("lonely").variables["rakeeza_asset"]
    assert (lonely["site"], lonely["rack"], lonely["municipality"]) == (None, None, None)
    assert {"municipality_branch", "municipality_city"} <= inventory.host("db-1").groups


def test_a_text_of_an_asset_is_no_template(inventory: Inventory, folder: Path) -> None:
    said = ansible(
        "ansible", folder, "web-1,db-1", "-c", "local", "-m", "debug", "-a", "var=rakeeza_asset.title.en"
    )
    assert f"Data centre: {TEMPLATE}".replace('"', '\\"') in said
    assert not list(folder.rglob("templated"))
    assert inventory.host("web-1").variables["ansible_user"] == TEMPLATE


def generated_limits(inventory: Inventory) -> list[str]:
    choice = random.Random(6)
    names = [*inventory.hosts, *inventory.groups, "all"]
    limits = ["!site_dc-9", "kind_host,!site_dc-9", "kind_host:&site_dc-1:!db-1", " db-1 , vm-1 ", "all"]
    while len(limits) < 150:
        words = [
            choice.choice(("", "", "&", "!")) + choice.choice(names) for _ in range(choice.randint(1, 4))
        ]
        limit = choice.choice(",:").join(words)
        # Ansible takes NAME:NUMBER for a port; that is refused, and tested elsewhere.
        if not re.search(r":\d+$", limit):
            limits.append(limit)
    return limits


def test_limits_mean_to_us_what_they_mean_to_ansible(inventory: Inventory, folder: Path) -> None:
    limits = generated_limits(inventory)
    plays = [{"name": str(number), "hosts": limit, "tasks": []} for number, limit in enumerate(limits)]
    playbook = folder / "limits.yml"
    playbook.write_text(yaml.safe_dump(plays, allow_unicode=True), encoding="utf-8")
    # One process for all of them: each takes half a second to start.
    said = ansible("ansible-playbook", folder, "--list-hosts", str(playbook))
    theirs: dict[str, list[str]] = {}
    for part in re.split(r"\n  play #", said)[1:]:
        head = re.match(r"\d+ \(.*?\): (\d+)", part)
        assert head is not None
        theirs[limits[int(head[1])]] = sorted(re.findall(r"^      (\S+)$", part, re.MULTILINE))
    assert set(theirs) == set(limits)
    ours: dict[str, list[str]] = {}
    for limit in theirs:
        try:
            ours[limit] = inventory.limited(limit)
        except InvalidInput as error:
            ours[limit] = [] if error.message == "No host is left to play on." else [str(error)]
    assert ours == theirs
    assert len([hosts for hosts in ours.values() if hosts]) > 50
    limit = next(limit for limit in limits if 0 < len(ours[limit]) < 5 and "!" in limit)
    listed = ansible("ansible", folder, "all", "--list-hosts", "-l", limit)
    assert sorted(line.strip() for line in listed.splitlines()[1:]) == ours[limit]
