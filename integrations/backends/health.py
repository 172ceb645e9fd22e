"""Health examinations: whether a worker is fit for work with food and people, and only that word.

Question: `holder`, his national id, iqama or border number. Answers: `fit` passes; `unfit`, `expired` and
`not_found` do not. Whatever else the source may send of him is not read, and no answer has a text: why
somebody is unfit is between him and his doctor.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Literal

from foundation.secret import SecretFile
from foundation.settings import Backend as Section
from integrations.backend import Backend, Nature
from integrations.json_backend import Answer, JsonBackend, Said

# No answer is kept: it is of somebody's health.
NATURE = Nature(answers={"fit": True, "unfit": False, "expired": False, "not_found": False})


class _Answer(Answer):
    answer: Literal["fit", "unfit", "expired", "not_found"]


def open_backend(name: str, section: Section, secrets: SecretFile, clock: Callable[[], datetime]) -> Backend:
    """The source of a section of the settings."""
    return JsonBackend(
        name,
        section,
        secrets,
        clock,
        parameters={"holder": "[0-9]{10}"},
        shape=_Answer,
        nature=NATURE,
        say=lambda answer, _day: Said(answer.answer),
    )
