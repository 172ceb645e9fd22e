"""Where assets stand and what feeds them, as far as the groups and facts of an inventory need it."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

# Kinds whose every asset makes a group of the hosts that stand in it.
_GROUPED_BY = ("site", "rack", "municipality")
_FEEDS = ("ups", "pdu", "generator")


class Title(Protocol):
    """What people call an asset."""

    @property
    def ar(self) -> str:
        """In Arabic."""

    @property
    def en(self) -> str:
        """In English."""


class AssetLike(Protocol):
    """What the inventory reads of an asset (`foundation.assets.Asset`)."""

    @property
    def name(self) -> str:
        """Unique name."""

    @property
    def kind(self) -> str:
        """Kind of asset."""

    @property
    def title(self) -> Title:
        """What people call it."""

    @property
    def parent(self) -> str | None:
        """Name of the asset it stands in."""

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Further attributes."""

    @property
    def links(self) -> Mapping[str, Sequence[str]]:
        """Names of the assets it powers, cools or connects, by relation."""


@dataclass(frozen=True)
class _Above:
    groups: frozenset[str]
    facts: Mapping[str, str]


class Places:
    """All assets, and what is found by going up from one.

    Args:
        assets: all assets; of two of one name the later holds.
    """

    def __init__(self, assets: Iterable[AssetLike]) -> None:
        self._by_name = {asset.name: asset for asset in assets}
        self._fed_by: dict[str, list[str]] = {}
        for asset in self._by_name.values():
            for target in asset.links.get("powers", ()):
                self._fed_by.setdefault(target, []).append(asset.name)
        # Hosts share their racks: each place is gone up from once.
        self._above: dict[str, _Above] = {}
        self._feeds: dict[str, frozenset[str]] = {}

    @property
    def assets(self) -> Iterable[AssetLike]:
        """All assets, in the order they were given."""
        return self._by_name.values()

    def all_groups(self) -> frozenset[str]:
        """Names of the groups that any asset could make, whether a host is in it or not."""
        groups = set[str]()
        for asset in self._by_name.values():
            groups.add(f"kind_{asset.kind}")
            if asset.kind in _GROUPED_BY:
                groups.add(f"{asset.kind}_{asset.name}")
            if asset.kind in _FEEDS or asset.links.get("powers"):
                groups.add(f"feed_{asset.name}")
        return frozenset(groups)

    def groups(self, asset: AssetLike) -> frozenset[str]:
        """The groups that an asset is in: its kind, where it stands, and everything that feeds it.

        What powers a place powers all that stands in it, and so does whatever powers that in turn.
        """
        feeds = self._feeds_of(asset.name)
        own = {f"kind_{asset.kind}", *(f"feed_{name}" for name in feeds)}
        return self._from(asset.parent).groups.union(own)

    def facts(self, asset: AssetLike) -> dict[str, Any]:
        """What a play is told of an asset; a place it does not stand in is None."""
        above = self._from(asset.parent).facts
        return {
            "name": asset.name,
            "kind": str(asset.kind),
            "title": {"ar": asset.title.ar, "en": asset.title.en},
            **{kind: above.get(kind) for kind in _GROUPED_BY},
        }

    def _from(self, place: str | None) -> _Above:
        if place is None:
            return _Above(frozenset(), {})
        if place not in self._above:
            groups, facts, seen = set[str](), dict[str, str](), set[str]()
            above: str | None = place
            while above is not None and above in self._by_name and above not in seen:
                seen.add(above)
                asset = self._by_name[above]
                if asset.kind in _GROUPED_BY:
                    groups.add(f"{asset.kind}_{asset.name}")
                    # The nearest of its kind; a branch's own municipality, not the one above it.
                    facts.setdefault(str(asset.kind), asset.name)
                above = asset.parent
            self._above[place] = _Above(frozenset(groups), facts)
        return self._above[place]

    def _feeds_of(self, name: str) -> frozenset[str]:
        parent = self._by_name[name].parent
        found = set(self._upstream(parent)) if parent is not None else set[str]()
        for feed in self._fed_by.get(name, ()):
            found |= {feed, *self._upstream(feed)}
        return frozenset(found)

    def _upstream(self, name: str) -> frozenset[str]:
        if name not in self._feeds:
            found, seen, waiting = set[str](), {name}, [name]
            while waiting:
                place = waiting.pop()
                feeds = self._fed_by.get(place, [])
                found.update(feeds)
                parent = self._by_name[place].parent if place in self._by_name else None
                # Things may be linked in a ring: two feeds that back each other up.
                new = {*feeds, *([parent] if parent is not None else [])} - seen
                seen |= new
                waiting += new
            self._feeds[name] = frozenset(found)
        return self._feeds[name]
