"""The commercial registry: whether the registration of an establishment stands.

Question: `unified_number`, ten digits from 7 on. Answers: `active` passes; `expired`, `suspended`,
`struck_off` and `not_found` do not. Its reply may have `expires`, the last day of the registration.

Source: SAMA circular 42007290 (unified number).
"""

from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Literal

from foundation.definitions import Bilingual
from foundation.secret import SecretFile
from foundation.settings import Backend as Section
from integrations.backend import Backend, Nature
from integrations.json_backend import Answer, Day, JsonBackend, Said

NATURE = Nature(
    answers={"active": True, "expired": False, "suspended": False, "struck_off": False, "not_found": False},
    # Not the others: who has renewed is not to hear of yesterday's answer.
    keep={"active": timedelta(minutes=15)},
)

_TEXTS = {
    "expired": Bilingual(ar="انتهت مدة السجل التجاري.", en="The commercial registration has expired."),
    "suspended": Bilingual(ar="السجل التجاري موقوف.", en="The commercial registration is suspended."),
    "struck_off": Bilingual(ar="السجل التجاري مشطوب.", en="The commercial registration is struck off."),
    "not_found": Bilingual(
        ar="لا يوجد سجل بهذا الرقم الموحد.", en="No registration has this unified number."
    ),
}


class _Answer(Answer):
    answer: Literal["active", "expired", "suspended", "struck_off", "not_found"]
    expires: Day | None = None


def open_backend(name: str, section: Section, secrets: SecretFile, clock: Callable[[], datetime]) -> Backend:
    """The registry of a section of the settings."""
    return JsonBackend(
        name,
        section,
        secrets,
        clock,
        parameters={"unified_number": "7[0-9]{9}"},
        shape=_Answer,
        nature=NATURE,
        say=_say,
    )


def _say(answer: _Answer, day: date) -> Said:
    over = answer.expires is not None and answer.expires < day
    word = "expired" if answer.answer == "active" and over else answer.answer
    return Said(word, _TEXTS.get(word))
