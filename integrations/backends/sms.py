"""Text messages: hands one to the operator that sends them.

Question: `to`, a mobile number with its country ("+9665…"), and `text`. Answers: `accepted` passes;
`refused` (the receiver wants none) and `unreachable` (nobody has the number) do not.

Source: ITU-T E.164 (numbers).
"""

from collections.abc import Callable
from datetime import date, datetime
from typing import Literal

from foundation.definitions import Bilingual
from foundation.secret import SecretFile
from foundation.settings import Backend as Section
from integrations.backend import Backend, Nature
from integrations.json_backend import Answer, JsonBackend, Said

NATURE = Nature(answers={"accepted": True, "refused": False, "unreachable": False})

_TEXTS = {
    "refused": Bilingual(ar="لا يرغب صاحب الرقم في استلام الرسائل.", en="The receiver wants no messages."),
    "unreachable": Bilingual(ar="رقم الجوال غير مستخدم.", en="Nobody has this mobile number."),
}


class _Answer(Answer):
    answer: Literal["accepted", "refused", "unreachable"]


def open_backend(name: str, section: Section, secrets: SecretFile, clock: Callable[[], datetime]) -> Backend:
    """The operator of a section of the settings."""
    return JsonBackend(
        name,
        section,
        secrets,
        clock,
        # Ten parts of a message at most, of the 67 characters that a part has in Arabic.
        parameters={"to": r"\+[1-9][0-9]{7,14}", "text": r"[^\x00-\x08\x0b-\x1f]{1,670}"},
        shape=_Answer,
        nature=NATURE,
        say=_say,
    )


def _say(answer: _Answer, _day: date) -> Said:
    return Said(answer.answer, _TEXTS.get(answer.answer))
