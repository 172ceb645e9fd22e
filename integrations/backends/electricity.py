"""The electricity utility: whether it has approved what was applied for.

Question: `approval`, the number of the application at the utility, and `deed`, the number of the property's
deed. Answers: `approved` passes; `refused`, `expired` and `not_found` do not. An application that is still
`pending` there is no answer: it is asked for again later.
"""

from collections.abc import Callable
from datetime import date, datetime
from typing import Literal

from foundation.definitions import Bilingual
from foundation.secret import SecretFile
from foundation.settings import Backend as Section
from integrations.backend import Backend, Nature
from integrations.json_backend import Answer, JsonBackend, Said

# No answer is kept: the utility decides at any moment.
NATURE = Nature(answers={"approved": True, "refused": False, "expired": False, "not_found": False})

_TEXTS = {
    "refused": Bilingual(ar="رفضت شركة الكهرباء الطلب.", en="The electricity utility has refused."),
    "expired": Bilingual(
        ar="انتهت صلاحية موافقة شركة الكهرباء.", en="The electricity utility's approval has expired."
    ),
    "not_found": Bilingual(
        ar="لا توجد لدى شركة الكهرباء موافقة بهذا الرقم لهذا الصك.",
        en="The electricity utility has no such approval for this deed.",
    ),
}


class _Answer(Answer):
    answer: Literal["approved", "refused", "expired", "not_found", "pending"]


def open_backend(name: str, section: Section, secrets: SecretFile, clock: Callable[[], datetime]) -> Backend:
    """The utility of a section of the settings."""
    return JsonBackend(
        name,
        section,
        secrets,
        clock,
        parameters={"approval": "[A-Z0-9-]{4,32}", "deed": "[0-9]{6,16}"},
        shape=_Answer,
        nature=NATURE,
        say=_say,
    )


def _say(answer: _Answer, _day: date) -> Said:
    return Said(None if answer.answer == "pending" else answer.answer, _TEXTS.get(answer.answer))
