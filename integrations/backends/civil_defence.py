"""Civil defence: whether a safety report of an establishment stands.

Question: `report`, its number, and `unified_number` of whom it is for. Answers: `passed` passes; `failed`,
with its reasons, `expired` and `not_found` do not. A report that passed has `valid_until`, its last day.
"""

from collections.abc import Callable
from datetime import date, datetime
from typing import Annotated, Literal

from pydantic import Field, model_validator

from foundation.definitions import Bilingual
from foundation.secret import SecretFile
from foundation.settings import Backend as Section
from integrations.backend import Backend, Nature
from integrations.json_backend import Answer, Day, JsonBackend, Said

# No answer is kept: a report is withdrawn on the day that a danger is found.
NATURE = Nature(answers={"passed": True, "failed": False, "expired": False, "not_found": False})

_EXPIRED = Bilingual(ar="انتهت صلاحية تقرير السلامة.", en="The safety report has expired.")
_NOT_FOUND = Bilingual(
    ar="لا يوجد تقرير سلامة بهذا الرقم لهذه المنشأة.", en="This establishment has no such safety report."
)

_Words = Annotated[str, Field(min_length=1, max_length=300)]


class _Reason(Bilingual):
    ar: _Words
    en: _Words


class _Answer(Answer):
    answer: Literal["passed", "failed", "not_found"]
    valid_until: Day | None = None
    reasons: Annotated[tuple[_Reason, ...], Field(max_length=20)] = ()

    @model_validator(mode="after")
    def _whole(self) -> "_Answer":
        if self.answer == "passed" and self.valid_until is None:
            raise ValueError("a report that passed has its last day")
        if self.answer == "failed" and not self.reasons:
            raise ValueError("a report that failed has its reasons")
        return self


def open_backend(name: str, section: Section, secrets: SecretFile, clock: Callable[[], datetime]) -> Backend:
    """Civil defence as a section of the settings has it."""
    return JsonBackend(
        name,
        section,
        secrets,
        clock,
        parameters={"report": "[A-Z0-9-]{4,32}", "unified_number": "7[0-9]{9}"},
        shape=_Answer,
        nature=NATURE,
        say=_say,
    )


def _say(answer: _Answer, day: date) -> Said:
    if answer.answer == "failed":
        arabic, english = (reason.ar for reason in answer.reasons), (reason.en for reason in answer.reasons)
        return Said("failed", Bilingual(ar="؛ ".join(arabic), en="; ".join(english)))
    if answer.answer == "not_found":
        return Said("not_found", _NOT_FOUND)
    if answer.valid_until is not None and answer.valid_until < day:
        return Said("expired", _EXPIRED)
    return Said("passed")
