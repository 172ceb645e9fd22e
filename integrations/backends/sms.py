"""Text messages: hands one to the operator that sends them.

Question: `to`, a mobile number with its country ("+9665…"), and `text`, of ten parts at most; with them goes
`sender`, where the settings have one. Answers: `accepted` passes; `refused` (the receiver wants none) and
`unreachable` (nobody has the number) do not. That it was accepted says that it is on its way, and no more.

Source: ITU-T E.164 (numbers); 3GPP TS 23.038, 23.040 (140 octets a part; of several each has six for itself).
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime
from typing import Literal

from foundation.definitions import Bilingual
from foundation.secret import SecretFile
from foundation.settings import Backend as Section
from integrations.backend import Backend, BackendRejection, Nature, Question, Reply
from integrations.json_backend import Answer, JsonBackend, Said

NATURE = Nature(answers={"accepted": True, "refused": False, "unreachable": False})

_TEXTS = {
    "refused": Bilingual(ar="لا يرغب صاحب الرقم في استلام الرسائل.", en="The receiver wants no messages."),
    "unreachable": Bilingual(ar="رقم الجوال غير مستخدم.", en="Nobody has this mobile number."),
}


MOST_PARTS = 10
"""Parts of a message, at most: each is paid for."""

_ALONE, _PART = 70, 67  # UTF-16 units that a message of one part holds, and each part of several


class _Answer(Answer):
    answer: Literal["accepted", "refused", "unreachable"]


class Messages:
    """The operator.

    Args:
        name: in the settings.
        operator: takes messages.
        sender: name that they come from.
    """

    def __init__(self, name: str, operator: Backend, sender: str | None) -> None:
        self._name = name
        self._operator = operator
        self._sender = sender

    def ask(self, question: Question) -> Reply:
        """Send a message, once for its key. Raises as `integrations.backend.Backend.ask` does."""
        if parts(question.parameters.get("text", "")) > MOST_PARTS:
            raise BackendRejection(
                f"The message has more than {MOST_PARTS} parts.",
                reason="question_too_large",
                place=f"backend {self._name}",
                remedy="Write it shorter.",
            )
        said = {"sender": self._sender} if self._sender is not None else {}
        return self._operator.ask(replace(question, parameters={**question.parameters, **said}))


def parts(text: str) -> int:
    """In how many parts a message is sent, in the alphabet that has Arabic (UCS-2)."""
    units = len(text.encode("utf-16-be")) // 2
    return 1 if units <= _ALONE else -(-units // _PART)


def open_backend(name: str, section: Section, secrets: SecretFile, clock: Callable[[], datetime]) -> Backend:
    """The operator of a section of the settings."""
    sender = {} if section.sender is None else {"sender": "[A-Za-z0-9 ._-]{1,11}"}
    operator = JsonBackend(
        name,
        section,
        secrets,
        clock,
        parameters={"to": r"\+[1-9][0-9]{7,14}", "text": r"[^\x00-\x08\x0b-\x1f\x7f-\x9f]+", **sender},
        shape=_Answer,
        nature=NATURE,
        say=_say,
    )
    return Messages(name, operator, section.sender)


def _say(answer: _Answer, _day: date) -> Said:
    return Said(answer.answer, _TEXTS.get(answer.answer))
