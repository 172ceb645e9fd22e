"""A registry that is asked by JSON over HTTP, and answers yes or no.

A question is a POST to its URL with the parameters as one JSON object; see `integrations.json_client`. It
answers 200 with `{"passed": true | false, "code": "...", "text": {"ar": "...", "en": "..."}}`; code and text
may be missing. It should say `"question"`, the key, too: an answer to another question is then none. Every
other outcome is no answer.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from foundation.definitions import Bilingual
from foundation.secret import SecretFile
from foundation.settings import Backend as Section
from integrations.backend import Backend, Question, Reply
from integrations.json_client import JsonClient


class _Answer(BaseModel):
    # More members than these are the registry's own business.
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)

    passed: StrictBool
    # It is written into the case's journal, which forgets nothing: nobody's number fits in.
    code: Annotated[str, Field(pattern=r"^([A-Za-z][A-Za-z_.-]*[0-9]{0,4})?$", max_length=64)] = ""
    text: Bilingual | None = None
    question: str | None = None


class RestRegistry:
    """One registry.

    Args:
        client: of its URL.
        clock: the present moment, aware.
    """

    def __init__(self, client: JsonClient, clock: Callable[[], datetime]) -> None:
        self._client = client
        self._clock = clock

    def ask(self, question: Question) -> Reply:
        """Ask it, once. Raises as `integrations.backend.Backend.ask` does."""
        received = self._client.post(question.key, question.parameters)
        try:
            answer = _Answer.model_validate(self._client.read(received, once_each=True))
        except ValidationError as error:
            # The reply itself is not shown: it may hold personal data.
            where = "/".join(str(step) for step in error.errors()[0]["loc"]) or "the whole"
            raise self._client.unavailable(
                "wrong_shape", f"The back-end's reply is not as agreed ({where}).", 200
            ) from None
        if answer.question not in (None, question.key):
            raise self._client.unavailable(
                "not_ours", "The back-end answers another question than ours.", 200
            )
        return Reply(answer.passed, self._clock(), answer.code, answer.text)


def open_backend(name: str, section: Section, secrets: SecretFile, clock: Callable[[], datetime]) -> Backend:
    """The registry of a section of the settings."""
    return RestRegistry(JsonClient(name, section, secrets, clock), clock)
