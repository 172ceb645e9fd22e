"""What can be played, and where: playbooks, hosts, and the calendar of when."""

from collections.abc import Iterable
from functools import cached_property

from sqlalchemy.orm import Session

from foundation.assets import Assets
from foundation.errors import DefinitionError
from foundation.settings import Settings
from infra.changes.calendar import ChangeCalendar, load_change_calendars
from infra.plays.definition import Playbook, find_playbook, load_playbooks
from infra.plays.inventory import Inventory, build_inventory


class Catalogue:
    """The playbooks of some settings, and the hosts among some assets.

    Args:
        settings: folders.
        assets: what can be played on.
    """

    def __init__(self, settings: Settings, assets: Assets) -> None:
        self._settings = settings
        self._assets = assets

    @cached_property
    def calendar(self) -> ChangeCalendar:
        """The change calendar that holds.

        Raises:
            DefinitionError: a calendar is wrong.
            NotFound: there is none of the name in the settings.
        """
        return load_change_calendars(self._settings.changes.folders).get(self._settings.changes.calendar)

    def playbooks(self) -> dict[str, Playbook | DefinitionError]:
        """All playbooks by name, sorted; a faulty one is its error."""
        return dict(sorted(load_playbooks(self._settings.plays.folders).items()))

    def playbook(self, name: str) -> Playbook:
        """The playbook of a name.

        Raises:
            NotFound: there is none of this name.
            DefinitionError: it is faulty.
        """
        return find_playbook(name, self._settings.plays.folders)

    def inventory(self, session: Session, playbook: Playbook) -> Inventory:
        """The hosts that a playbook may run on, now."""
        return build_inventory(self._assets.list(session), playbook.about.targets)


def sites_of(inventory: Inventory, hosts: Iterable[str]) -> list[str | None]:
    """The sites that hosts stand at, by name; None, last, if one stands at none."""
    names = {_site(inventory, host) for host in hosts}
    return [*sorted(name for name in names if name is not None), *([None] if None in names else [])]


def only_site(inventory: Inventory, hosts: Iterable[str]) -> str | None:
    """The site that all hosts stand at; None if they stand at several, or one at none."""
    sites = sites_of(inventory, hosts)
    return sites[0] if len(sites) == 1 else None


def _site(inventory: Inventory, host: str) -> str | None:
    groups = sorted(group for group in inventory.groups_of([host]) if group.startswith("site_"))
    return groups[0].removeprefix("site_") if groups else None
