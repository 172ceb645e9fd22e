"""The assets as an Ansible inventory: hosts, groups by kind, site and municipality, and their host keys.

What is written is an ordinary inventory folder, so plain `ansible-playbook` works with it too.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import yaml

from foundation.errors import InvalidInput

_GROUPED_BY = ("site", "municipality")
# What the platform decides for every host; an asset's own attributes go over it.
_COMMON = {
    "ansible_python_interpreter": "/usr/bin/python3",
    "ansible_connection": "ssh",
}
_LIMIT_WORD = re.compile(r"([!&]?)([^!&,:\[\]*?~@\s]+)")


class AssetLike(Protocol):
    """What the inventory reads of an asset (`foundation.assets.Asset`)."""

    @property
    def name(self) -> str:
        """Unique name."""

    @property
    def kind(self) -> str:
        """Kind of asset."""

    @property
    def parent(self) -> str | None:
        """Name of the asset it stands in."""

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Further attributes."""


@dataclass(frozen=True)
class Host:
    """A host that plays can reach.

    Args:
        name: the asset's name.
        variables: its Ansible variables.
        host_key: its public host key as `ssh-keyscan` prints it, type and base64; None if not recorded.
        groups: the groups it is in.
    """

    name: str
    variables: Mapping[str, str | int]
    host_key: str | None
    groups: frozenset[str]


class Inventory:
    """Hosts and groups of a set of assets.

    Args:
        hosts: the hosts, each name once.
    """

    def __init__(self, hosts: Iterable[Host]) -> None:
        self._hosts = {host.name: host for host in hosts}
        self._groups: dict[str, set[str]] = {}
        for host in self._hosts.values():
            for group in host.groups:
                self._groups.setdefault(group, set()).add(host.name)

    @property
    def hosts(self) -> list[str]:
        """Names of all hosts, sorted."""
        return sorted(self._hosts)

    @property
    def groups(self) -> list[str]:
        """Names of all groups, sorted."""
        return sorted(self._groups)

    def limited(self, limit: str | None) -> list[str]:
        """The hosts that a limit names.

        Args:
            limit: names of hosts and groups, separated by commas; `!name` takes away, `&name` keeps only
                those. None means every host.

        Raises:
            InvalidInput: a name that is neither a host nor a group, or no host is left.
        """
        chosen: set[str] = set()
        narrowing: list[tuple[str, set[str]]] = []
        words = [word.strip() for word in re.split(r"[,:]", limit or "all") if word.strip()]
        for word in words:
            match = _LIMIT_WORD.fullmatch(word)
            named = self._named(match[2]) if match else None
            if match is None or named is None:
                raise InvalidInput(
                    f"{word!r} is neither a host nor a group.", place="--limit", remedy=self._known()
                )
            if match[1]:
                narrowing.append((match[1], named))
            else:
                chosen |= named
        if len(narrowing) == len(words):
            chosen = set(self._hosts)
        # As Ansible does: intersections first, then exclusions, whatever their order.
        for sign, named in sorted(narrowing, key=lambda item: item[0] == "!"):
            chosen = chosen - named if sign == "!" else chosen & named
        if not chosen:
            raise InvalidInput(
                "No host is left to play on." if limit else "No asset is a host that plays can reach.",
                place=f"--limit {limit}" if limit else "assets",
                remedy=self._known(),
            )
        return sorted(chosen)

    def write(self, folder: Path) -> None:
        """Write `hosts.yml` and `known_hosts` into a folder that exists."""
        known_hosts = folder / "known_hosts"
        document = {
            "all": {
                "vars": {**_COMMON, "ansible_ssh_common_args": _ssh_options(known_hosts)},
                "hosts": {name: dict(self._hosts[name].variables) for name in self.hosts},
                "children": {
                    group: {"hosts": {name: {} for name in sorted(self._groups[group])}}
                    for group in self.groups
                },
            }
        }
        text = yaml.safe_dump(document, allow_unicode=True, sort_keys=False, width=1000)
        (folder / "hosts.yml").write_text(text, encoding="utf-8")
        keys = "".join(f"{host.name} {host.host_key}\n" for host in self._hosts.values() if host.host_key)
        known_hosts.write_text(keys, encoding="utf-8")

    def _named(self, name: str) -> set[str] | None:
        if name == "all":
            return set(self._hosts)
        return {name} if name in self._hosts else self._groups.get(name)

    def _known(self) -> str:
        hosts, groups = ", ".join(self.hosts) or "none", ", ".join(self.groups) or "none"
        return f"Hosts: {hosts}. Groups: {groups}."


def build_inventory(assets: Iterable[AssetLike], kinds: Iterable[str]) -> Inventory:
    """The inventory of some assets.

    Args:
        assets: all assets; parents are looked up among them.
        kinds: kinds that may be played on. Of these, the assets with an address for Ansible become hosts.
    """
    by_name = {asset.name: asset for asset in assets}
    wanted = frozenset(kinds)
    return Inventory(
        _host(asset, by_name)
        for asset in by_name.values()
        if asset.kind in wanted and asset.attributes.get("ansible_host")
    )


def _host(asset: AssetLike, by_name: Mapping[str, AssetLike]) -> Host:
    attributes = asset.attributes
    # HostKeyAlias: the key is looked up, and a wrong one reported, under the asset's name, whatever address
    # or port it is reached at.
    variables: dict[str, str | int] = {"ansible_ssh_extra_args": f"-o HostKeyAlias={asset.name}"}
    for name, value in attributes.items():
        if name.startswith("ansible_"):
            variables[name] = value if isinstance(value, int) else str(value)
    if "ansible_port" in variables:
        variables["ansible_port"] = int(variables["ansible_port"])
    if key_file := attributes.get("ssh_key_file"):
        variables["ansible_ssh_private_key_file"] = str(key_file)
    groups = {f"kind_{asset.kind}"}
    above, seen = asset.parent, {asset.name}
    while above and above in by_name and above not in seen:
        seen.add(above)
        ancestor = by_name[above]
        if ancestor.kind in _GROUPED_BY:
            groups.add(f"{ancestor.kind}_{ancestor.name}")
        above = ancestor.parent
    host_key = " ".join(str(attributes.get("host_key") or "").split()[:2])
    return Host(asset.name, variables, host_key or None, frozenset(groups))


def _ssh_options(known_hosts: Path) -> str:
    options = {
        "UserKnownHostsFile": f'"{known_hosts}"',
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
        "IdentitiesOnly": "yes",
        # Nobody is there to type anything: a question is a refusal.
        "BatchMode": "yes",
    }
    return " ".join(f"-o {name}={value}" for name, value in options.items())
