"""A back-end that answers with one word of a closed set, by JSON over HTTP: what its driver is thin over.

What is sent is `parameters` and nothing else; each has to be there and of its form. A reply is

    {"question": KEY, "asked": {the parameters}, "answer": WORD, ...}

An answer that names another question, or other parameters than were sent, is not ours: it may be another
person's. It is no answer, as is one whose signature is wrong where the settings ask for one.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Annotated, Generic, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from foundation.calendar import today
from foundation.definitions import Bilingual
from foundation.secret import SecretFile
from foundation.settings import Backend as Section
from integrations.backend import Nature, Question, Reply
from integrations.json_client import JsonClient, Received


def _day(value: object) -> date:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        raise ValueError("a day is written 2026-11-22")
    return date.fromisoformat(value)


Day = Annotated[date, BeforeValidator(_day)]
"""A day of an answer, as RFC 3339 writes it; a number is none."""


class Answer(BaseModel):
    """What every answer has; a driver's own adds `answer` and what it reads besides.

    Args:
        question: key of the question that it answers.
        asked: the parameters as they were received.
    """

    # What else a back-end says is not read, and so not kept.
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    question: str
    asked: dict[str, str]


@dataclass(frozen=True)
class Said:
    """What an answer comes to.

    Args:
        word: one of the driver's `NATURE.answers`; None if the back-end does not know it yet.
        text: as people read it.
    """

    word: str | None
    text: Bilingual | None = None


Shape = TypeVar("Shape", bound=Answer)


class JsonBackend(Generic[Shape]):
    """One back-end.

    Args:
        name: in the settings.
        section: its settings.
        secrets: holds its token.
        clock: the present moment, aware.
        parameters: pattern of each parameter that is sent, whole.
        shape: of an answer.
        nature: the driver's `NATURE`.
        say: what an answer comes to on a day (in Riyadh).

    Raises:
        SettingsError: a file that the section names cannot be used.
    """

    def __init__(
        self,
        name: str,
        section: Section,
        secrets: SecretFile,
        clock: Callable[[], datetime],
        *,
        parameters: Mapping[str, str],
        shape: type[Shape],
        nature: Nature,
        say: Callable[[Shape, date], Said],
    ) -> None:
        self._client = JsonClient(name, section, secrets, clock)
        self._clock = clock
        self._parameters = {key: re.compile(pattern) for key, pattern in parameters.items()}
        self._shape = shape
        self._answers = nature.answers or {}
        self._say = say

    def ask(self, question: Question) -> Reply:
        """Ask it, once. Raises as `integrations.backend.Backend.ask` does."""
        self._check(question.parameters)
        received = self._client.post(question.key, question.parameters)
        answer = self._read(received)
        if answer.question != question.key or answer.asked != dict(question.parameters):
            raise self._client.unavailable(
                "not_ours",
                "The back-end answers another question than ours.",
                200,
                remedy="It is asked again later; tell the back-end if it goes on.",
            )
        said = self._say(answer, today(now=self._clock()))
        if said.word is None:
            raise self._client.unavailable("pending", "The back-end has not decided yet.", 200)
        return Reply(self._answers[said.word], self._clock(), said.word, said.text)

    def _check(self, parameters: Mapping[str, str]) -> None:
        # By name alone: the value may be a person's.
        for name, pattern in self._parameters.items():
            if name not in parameters:
                raise self._client.rejection("missing_parameter", f"The question has no {name}.")
            if not pattern.fullmatch(parameters[name]):
                raise self._client.rejection("wrong_parameter", f"The question's {name} is not of its form.")
        more = sorted(parameters.keys() - self._parameters.keys())
        if more:
            raise self._client.rejection(
                "unknown_parameter", f"The back-end is not to know {more[0]}: it answers without."
            )

    def _read(self, received: Received) -> Shape:
        try:
            return self._shape.model_validate(self._client.read(received, once_each=True))
        except ValidationError as error:
            where = "/".join(str(step) for step in error.errors()[0]["loc"]) or "the whole"
            raise self._client.unavailable(
                "wrong_shape", f"The back-end's reply is not as agreed ({where}).", 200
            ) from None
