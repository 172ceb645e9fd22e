"""Opens the back-ends of the settings: a driver is one module of `integrations.backends`."""

from collections.abc import Callable, Mapping
from datetime import datetime
from types import ModuleType

from foundation.errors import NotFound
from foundation.registry import driver_modules
from foundation.secret import SecretFile
from foundation.settings import Backend as Section
from foundation.settings import Settings
from integrations.backend import Backend, Nature
from integrations.resilience.breaker import Turn
from integrations.resilience.look_ups import LookUp
from integrations.resilience.resilient import Resilient


def open_backends(
    settings: Settings,
    secrets: SecretFile,
    clock: Callable[[], datetime],
    tell: Callable[[Turn], None] = lambda _: None,
    note: Callable[[LookUp], None] = lambda _: None,
) -> dict[str, Backend]:
    """Every back-end of the settings, by name, kept within its limits.

    A driver's module has `open_backend(name, section, secrets, clock)`, and `NATURE` where something holds
    for all its answers.

    Args:
        clock: the present moment, aware.
        tell: is told when a back-end is left alone, tried again and back.
        note: is told how each question fared.

    Raises:
        NotFound: the settings name a driver that there is not.
        SettingsError: a file that a section names cannot be used.
    """
    modules: dict[str, ModuleType] = {}
    if settings.backends:
        modules = driver_modules("integrations.backends", (), "rakeeza.backends")
    return {
        name: Resilient(
            name,
            _open(modules, name, section, secrets, clock),
            _nature(modules, section),
            section,
            tell,
            note,
        )
        for name, section in settings.backends.items()
    }


def _open(
    modules: Mapping[str, ModuleType],
    name: str,
    section: Section,
    secrets: SecretFile,
    clock: Callable[[], datetime],
) -> Backend:
    module = modules.get(section.driver)
    if module is None:
        raise NotFound(
            f"There is no back-end driver {section.driver!r}.",
            place=f"backends.{name}.driver",
            remedy=f"Known: {', '.join(sorted(modules)) or 'none'}.",
        )
    opened: Backend = module.open_backend(name, section, secrets, clock)
    return opened


def _nature(modules: Mapping[str, ModuleType], section: Section) -> Nature:
    # A driver of another distribution may leave it out.
    nature: Nature = getattr(modules[section.driver], "NATURE", Nature())
    return nature
