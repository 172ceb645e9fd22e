"""The port to government back-ends: one question, one reply, and two ways not to get one.

A reply is "passed" or "failed", with a word that says why; a driver may say beforehand which words there are.
Whatever else happens is no reply: `BackendUnavailable` says that nothing is known yet, `BackendRejection`
that the question itself is wrong. Neither is ever read as "failed": a source that is down is none of its
words.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import ClassVar, Protocol

from foundation.definitions import Bilingual
from foundation.errors import Refused, Unavailable


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

    @property
    def purpose(self) -> str:
        """What it is asked for: the case and its check, as "case/SC-2026-000001/check/register"."""
        return self.key.rpartition("/")[0]


@dataclass(frozen=True)
class Reply:
    """What a back-end answers.

    Args:
        passed: yes or no.
        at: when it answered, aware.
        code: its reason, in one word; "" where it gives none.
        text: its reason as people read it; it may say something of a person, and so does not print.
        age: how long ago it answered this, where the answer was kept.
    """

    passed: bool
    at: datetime
    code: str = ""
    text: Bilingual | None = field(default=None, repr=False)
    age: timedelta = timedelta()


@dataclass(frozen=True)
class Nature:
    """What holds for all answers of a driver; its module has it as `NATURE`.

    Args:
        answers: every word that it can answer, and whether that is "passed"; None leaves the words to the
            back-end.
        keep: how long an answer may be kept at most, by its word; a word that does not stand here is asked
            for each time.
    """

    answers: Mapping[str, bool] | None = None
    keep: Mapping[str, timedelta] = field(default_factory=dict)


class Backend(Protocol):
    """A back-end. May be used by several threads."""

    def ask(self, question: Question) -> Reply:
        """Ask it, once.

        Raises:
            BackendUnavailable: nothing is known yet.
            BackendRejection: the question itself is wrong.
        """
        ...
