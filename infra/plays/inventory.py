"""The assets as an Ansible inventory: hosts, their groups, what is known of each, and their host keys.

What is written is an ordinary inventory folder, so plain `ansible-playbook` works with it too.
"""

import difflib
import hashlib
import ipaddress
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation.asset_kinds import RULES
from foundation.errors import InvalidInput
from infra.plays.places import AssetLike, Places

# What the platform decides for every host; an asset's own attributes go over it.
_COMMON = {
    "ansible_python_interpreter": "/usr/bin/python3",
    "ansible_connection": "ssh",
}
_LIMIT_WORD = re.compile(r"([!&]?)([^!&,:\[\]*?~@\s]+)")
# Whatever else stands in a name is a pattern, a port or a range to Ansible.
_NAME = re.compile(r"\w[\w.-]*")
_ANSIBLE_WORDS = frozenset({"all", "ungrouped"})
# `delegate_to: localhost` means the machine that plays; a host of this name would take its place.
_THIS_MACHINE = frozenset({"localhost", "127.0.0.1"})
_HOSTABLE = frozenset(kind for kind, rule in RULES.items() if "ansible_host" in rule.attributes.model_fields)
_TEMPLATE = ("{{", "{%", "{#")
# Names shown to a person, at most.
_SHOWN = 12
# In an exported folder the keys may lie elsewhere than on the platform's machine.
_PORTABLE_KEY = (
    "{{ rakeeza_keys ~ '/' ~ (rakeeza_key_file | basename)"
    " if rakeeza_keys is defined else rakeeza_key_file }}"
)
_PORTABLE_FOLDER = "{{ inventory_dir | replace('%', '%%') }}"


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
    variables: Mapping[str, Any]
    host_key: str | None
    groups: frozenset[str]


@dataclass(frozen=True)
class Other:
    """An asset that is no host here.

    Args:
        reason: why, as the end of a sentence, such as "it is a ups, and this play is for host".
        hostable: whether it is of a kind that plays can connect to at all.
        refused: whether nothing but a name keeps it out.
    """

    reason: str
    hostable: bool = True
    refused: bool = False


class Inventory:
    """Hosts and groups of a set of assets.

    Args:
        hosts: the hosts, each name once.
        others: the assets that are none, by name.
        idle_groups: groups that assets make and none of these hosts is in.
    """

    def __init__(
        self,
        hosts: Iterable[Host],
        others: Mapping[str, Other] | None = None,
        idle_groups: Iterable[str] = (),
    ) -> None:
        self._hosts = {host.name: host for host in hosts}
        self._groups: dict[str, set[str]] = {}
        for host in self._hosts.values():
            for group in host.groups:
                self._groups.setdefault(group, set()).add(host.name)
        self._others = dict(others or {})
        self._idle = frozenset(idle_groups) - frozenset(self._groups)

    @property
    def hosts(self) -> list[str]:
        """Names of all hosts, sorted."""
        return sorted(self._hosts)

    @property
    def groups(self) -> list[str]:
        """Names of all groups, sorted."""
        return sorted(self._groups)

    @property
    def refused(self) -> dict[str, str]:
        """Assets that would be hosts but for a name, each with the reason."""
        return {name: other.reason for name, other in sorted(self._others.items()) if other.refused}

    def host(self, name: str) -> Host:
        """The host of this name.

        Raises:
            InvalidInput: there is none.
        """
        if name not in self._hosts:
            raise self._unknown(name, name)
        return self._hosts[name]

    def groups_of(self, hosts: Iterable[str]) -> set[str]:
        """The groups that any of these hosts is in, and `all`."""
        return {"all"}.union(*(self.host(name).groups for name in hosts))

    def is_known(self, name: str) -> bool:
        """Whether a host, or an asset that could be one, or a group of any asset has this name."""
        if name == "all" or name in self._hosts or name in self._groups or name in self._idle:
            return True
        return name in self._others and self._others[name].hostable

    def near(self, name: str) -> str:
        """What is known of a name that is neither host nor group, and the names that are near it."""
        other = self._others.get(name)
        names = [*self._hosts, *self._groups, *sorted(self._idle)]
        if other is not None and not other.hostable:
            close = [group for group in names if group.partition("_")[2] == name]
        else:
            close = difflib.get_close_matches(name, names, n=3)
        what = f"Of the asset {name}: {other.reason}" if other else "No asset has this name"
        return f"{what}; did you mean {' or '.join(close)}?" if close else f"{what}."

    def limited(self, limit: str | None) -> list[str]:
        """The hosts that a limit names.

        Args:
            limit: names of hosts and groups, separated by commas or by colons; `!name` takes away, `&name`
                keeps only those. None means every host.

        Raises:
            InvalidInput: a name that is neither a host nor a group, or no host is left.
        """
        chosen: set[str] = set()
        narrowing: list[tuple[str, set[str]]] = []
        words = _words("all" if limit is None else limit)
        for word in words:
            match = _LIMIT_WORD.fullmatch(word)
            named = self._named(match[2], but=match[1] == "!") if match else None
            if match is None or named is None:
                raise self._unknown(word, match[2] if match else None)
            if match[1]:
                narrowing.append((match[1], named))
            else:
                chosen |= named
        if not words:
            raise InvalidInput(
                "The limit names nothing.", place="--limit", remedy="Name hosts, or leave it out for all."
            )
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

    def fingerprint(self, hosts: Iterable[str]) -> str:
        """SHA-256 over what a play is told of some hosts, in hexadecimal: their names, variables, host keys
        and groups. Their order does not matter; secret variables are no part of it.

        Raises:
            InvalidInput: one of them is no host.
        """
        told = [
            [host.name, dict(host.variables), host.host_key, sorted(host.groups)]
            for host in (self.host(name) for name in sorted(set(hosts)))
        ]
        text = json.dumps(told, sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=str)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def write(self, folder: Path, *, portable: bool = False) -> None:
        """Write `hosts.yml` and `known_hosts` into a folder that exists.

        Args:
            folder: where.
            portable: the folder may be carried elsewhere, and the keys with it (`-e rakeeza_keys=FOLDER`).
        """
        # ssh takes a % in this path for the start of one of its own words.
        place = _PORTABLE_FOLDER if portable else str(folder).replace("%", "%%")
        options = _ssh_options(f"{place}/known_hosts")
        common = {**_COMMON, "ansible_ssh_common_args": options if portable else _literal(options)}
        hosts = ((name, self._variables(name, portable)) for name in self.hosts)
        groups = ((group, self._members(group)) for group in self.groups)
        parts = (("vars", common.items()), ("hosts", hosts), ("children", groups))
        # JSON is YAML too, and Ansible reads a city's hosts from it in a third of the time.
        text = ",\n".join(f'"{name}": {{\n{_lines(members)}\n}}' for name, members in parts)
        (folder / "hosts.yml").write_text(f'{{"all": {{\n{text}\n}}}}\n', encoding="utf-8")
        keys = "".join(f"{host.name} {host.host_key}\n" for host in self._hosts.values() if host.host_key)
        (folder / "known_hosts").write_text(keys, encoding="utf-8")

    def _members(self, group: str) -> dict[str, dict[str, dict[str, str]]]:
        return {"hosts": {name: {} for name in sorted(self._groups[group])}}

    def _variables(self, name: str, portable: bool) -> dict[str, Any]:
        variables = {key: _literal(value) for key, value in self._hosts[name].variables.items()}
        if portable and "ansible_ssh_private_key_file" in variables:
            variables["rakeeza_key_file"] = variables["ansible_ssh_private_key_file"]
            variables["ansible_ssh_private_key_file"] = _PORTABLE_KEY
        return variables

    def _named(self, name: str, *, but: bool) -> set[str] | None:
        if name == "all":
            return set(self._hosts)
        if name in self._hosts:
            return {name}
        # To leave out a group that is empty today is no mistake; to play on it is.
        return set() if but and name in self._idle else self._groups.get(name)

    def _unknown(self, word: str, name: str | None) -> InvalidInput:
        if name is None:
            said, more = (
                f"{word!r} is neither a host nor a group.",
                "Patterns and ports are not taken.",
            )
        elif name in self._idle:
            said, more = f"The group {name!r} has no host that this play may run on.", ""
        elif name in self._others:
            reason = self._others[name].reason
            said, more = f"{word!r} is neither a host nor a group of this play: {reason}.", ""
        else:
            said, more = f"{word!r} is neither a host nor a group.", self.near(name)
        return InvalidInput(said, place="--limit", remedy=f"{self._known()} {more}".rstrip())

    def _known(self) -> str:
        return f"Hosts: {_listed(self.hosts)}. Groups: {_listed(self.groups)}."


def build_inventory(assets: Iterable[AssetLike], kinds: Iterable[str]) -> Inventory:
    """The inventory of some assets.

    Args:
        assets: all assets; parents, and what powers them, are looked up among them.
        kinds: kinds that may be played on. Of these, the assets with an address for Ansible become hosts.
    """
    places = Places(assets)
    wanted = tuple(dict.fromkeys(str(kind) for kind in kinds))
    hosts: list[Host] = []
    others: dict[str, Other] = {}
    all_groups = places.all_groups()
    for asset in places.assets:
        other = _other(asset, wanted)
        if other is None:
            host = _host(asset, places)
            reason = _unusable(host, all_groups)
            if reason is None:
                hosts.append(host)
                continue
            other = Other(reason, refused=True)
        others[asset.name] = other
    return Inventory(hosts, others, all_groups)


def _other(asset: AssetLike, kinds: Sequence[str]) -> Other | None:
    addressed = bool(asset.attributes.get("ansible_host"))
    if not addressed and asset.kind not in _HOSTABLE:
        return Other(f"it is a {asset.kind}, which no play connects to", hostable=False)
    if asset.kind not in kinds:
        return Other(f"it is a {asset.kind}, and this play is for {', '.join(kinds) or 'nothing'}")
    if not addressed:
        return Other("it has no ansible_host, the address that plays connect to")
    return None


def _unusable(host: Host, groups: frozenset[str]) -> str | None:
    for name in (host.name, *sorted(host.groups)):
        if not _NAME.fullmatch(name):
            return f"Ansible takes the name {name!r} for a pattern; rename the asset"
    if host.name in _ANSIBLE_WORDS or host.name in groups:
        return f"a group has the name {host.name!r} already; rename the asset"
    if host.name in _THIS_MACHINE:
        return f"to Ansible {host.name!r} is the machine that plays; rename the asset"
    return None


def _host(asset: AssetLike, places: Places) -> Host:
    attributes = asset.attributes
    # HostKeyAlias: the key is looked up, and a wrong one reported, under the asset's name, whatever address
    # or port it is reached at.
    variables: dict[str, Any] = {"ansible_ssh_extra_args": f"-o HostKeyAlias={asset.name}"}
    for name, value in attributes.items():
        if name.startswith("ansible_"):
            variables[name] = value if isinstance(value, int) else str(value)
    port = str(variables.get("ansible_port", ""))
    if port.isascii() and port.isdigit():
        variables["ansible_port"] = int(port)
    if key_file := attributes.get("ssh_key_file"):
        variables["ansible_ssh_private_key_file"] = str(key_file)
    variables["rakeeza_asset"] = places.facts(asset)
    host_key = " ".join(str(attributes.get("host_key") or "").split()[:2])
    return Host(asset.name, variables, host_key or None, places.groups(asset))


def _words(limit: str) -> list[str]:
    # Ansible splits at commas, and at colons only where there is no comma and the whole is no address.
    if "," in limit:
        words = limit.split(",")
    elif _is_address(limit):
        words = [limit]
    else:
        words = limit.split(":")
    return [word.strip() for word in words if word.strip()]


def _is_address(limit: str) -> bool:
    try:
        ipaddress.IPv6Address(limit.strip())
    except ValueError:
        return re.fullmatch(r"[^:]+:\d+", limit.strip(), re.ASCII) is not None
    return True


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more if names else "none"


def _lines(members: Iterable[tuple[str, Any]]) -> str:
    return ",\n".join(
        f"  {json.dumps(name, ensure_ascii=False)}: {json.dumps(value, ensure_ascii=False)}"
        for name, value in members
    )


def _literal(value: Any) -> Any:
    """A value, marked where Ansible must not take a text of it for a template."""
    if isinstance(value, Mapping):
        return {key: _literal(inner) for key, inner in value.items()}
    if isinstance(value, str) and any(mark in value for mark in _TEMPLATE):
        return {"__ansible_unsafe": value}
    return value


def _ssh_options(known_hosts: str) -> str:
    options = {
        "GlobalKnownHostsFile": "/dev/null",
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
        "IdentitiesOnly": "yes",
        # Nobody is there to type anything: a question is a refusal.
        "BatchMode": "yes",
    }
    # Two quotes: Ansible takes away the outer, and ssh else takes a blank for the start of another file.
    first = f"-o 'UserKnownHostsFile=\"{known_hosts}\"'"
    return " ".join([first, *(f"-o {name}={value}" for name, value in options.items())])
