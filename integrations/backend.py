"""The port to government back-ends: one question, one reply, and two ways not to get one.

A reply is "passed" or "failed". Whatever else happens is no reply: `BackendUnavailable` says that nothing is
known yet, `BackendRejection` that the question itself is wrong. Neither is ever read as "failed".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import ModuleType
from typing import ClassVar, Protocol

from foundation.definitions import Bilingual
from foundation.errors import NotFound, Refused, Unavailable
from foundation.registry import driver_modules
from foundation.secret import SecretFile
from foundation.settings import Backend as BackendSettings
from foundation.settings import Settings


class BackendUnavailable(Unavailable):
    """A back-end gave no reply that can be used; the same question may get one later.

    Args:
        reason: in one word that a program can compare, as "timeout".
        status: of HTTP, where there was one.
        retry_after: seconds that it asks to be left alone.
    """

    retryable: ClassVar[bool] = True

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        status: int | None = None,
        retry_after: float | None = None,
        place: str = "",
        remedy: str = "",
    ) -> None:
        super().__init__(
            message, place=place, remedy=remedy, message_ar="الجهة الأخرى لا تجيب الآن؛ تُعاد المحاولة لاحقًا."
        )
        self.reason = reason
        self.status = status
        self.retry_after = retry_after


class BackendRejection(Refused):
    """A back-end says that the question itself is wrong; asking it again changes nothing.

    Args:
        reason: in one word that a program can compare.
        status: of HTTP, where there was one.
    """

    def __init__(
        self, message: str, *, reason: str, status: int | None = None, place: str = "", remedy: str = ""
    ) -> None:
        super().__init__(
            message, place=place, remedy=remedy, message_ar="رفضت الجهة الأخرى صيغة السؤال؛ يلزم تصحيحه."
        )
        self.reason = reason
        self.status = status


@dataclass(frozen=True)
class Question:
    """What is asked.

    Args:
        key: names this one question for ever; the back-end acts once for it, however often it is asked.
        backend: name of the back-end in the settings.
        parameters: what is sent; it may hold personal data, and so prints without it.
    """

    key: str
    backend: str
    parameters: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True)
class Reply:
    """What a back-end answers.

    Args:
        passed: yes or no.
        at: when it answered, aware.
        code: its reason, in one word; "" where it gives none.
        text: its reason as people read it.
    """

    passed: bool
    at: datetime
    code: str = ""
    text: Bilingual | None = None


class Backend(Protocol):
    """A back-end. May be used by several threads."""

    def ask(self, question: Question) -> Reply:
        """Ask it, once.

        Raises:
            BackendUnavailable: nothing is known yet.
            BackendRejection: the question itself is wrong.
        """
        ...


def open_backends(
    settings: Settings, secrets: SecretFile, clock: Callable[[], datetime]
) -> dict[str, Backend]:
    """Every back-end of the settings, by name. A driver is one module of `integrations.backends`.

    Raises:
        NotFound: the settings name a driver that there is not.
    """
    modules: dict[str, ModuleType] = {}
    if settings.backends:
        modules = driver_modules("integrations.backends", (), "rakeeza.backends")
    return {
        name: _open(modules, name, section, secrets, clock) for name, section in settings.backends.items()
    }


def _open(
    modules: Mapping[str, ModuleType],
    name: str,
    section: BackendSettings,
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
