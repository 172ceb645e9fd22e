"""The registry of deeds: whether a person or an establishment owns what a deed is of.

Question: `deed`, its number, and `owner`, his national id, iqama or unified number. Answers: `match` passes;
`mismatch` (the deed is another's), `suspended` (the deed is), `several` (he is one of several owners) and
`not_found` do not. A registry that is down has said none of these.
"""

from collections.abc import Callable
from datetime import date, datetime
from typing import Literal

from foundation.definitions import Bilingual
from foundation.secret import SecretFile
from foundation.settings import Backend as Section
from integrations.backend import Backend, Nature
from integrations.json_backend import Answer, JsonBackend, Said

# No answer is kept: a deed can be sold between two questions.
NATURE = Nature(
    answers={"match": True, "mismatch": False, "suspended": False, "several": False, "not_found": False}
)

_TEXTS = {
    "mismatch": Bilingual(ar="الصك ليس باسم المتقدم.", en="The deed is not in the applicant's name."),
    "suspended": Bilingual(ar="الصك موقوف.", en="The deed is suspended."),
    "several": Bilingual(
        ar="للعقار عدة ملاك؛ تلزم موافقة بقية الملاك.",
        en="The property has several owners; the others have to consent.",
    ),
    "not_found": Bilingual(ar="لا يوجد صك بهذا الرقم.", en="No deed has this number."),
}


class _Answer(Answer):
    answer: Literal["match", "mismatch", "suspended", "several", "not_found"]


def open_backend(name: str, section: Section, secrets: SecretFile, clock: Callable[[], datetime]) -> Backend:
    """The registry of a section of the settings."""
    return JsonBackend(
        name,
        section,
        secrets,
        clock,
        parameters={"deed": "[0-9]{6,16}", "owner": "[127][0-9]{9}"},
        shape=_Answer,
        nature=NATURE,
        say=_say,
    )


def _say(answer: _Answer, _day: date) -> Said:
    return Said(answer.answer, _TEXTS.get(answer.answer))
