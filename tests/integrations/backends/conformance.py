"""What every driver of a JSON back-end has to keep, tried against a simulated one that is told to misbehave.

A driver's test is a class of its own that names it and gives examples:

    class TestOwnership(Conformance):
        driver = "ownership"
        examples = (Example({"deed": "310115001234", "owner": "1058529940"}, "match"), ...)
        wrong = ("deed", "31011500123x")
"""

import importlib
import itertools
import logging
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, get_args

import pytest
from jsonschema import Draft202012Validator

from foundation.errors import RakeezaError, problem
from foundation.guard import free_port
from foundation.secret import Secret, SecretFile
from foundation.settings import Backend as Section
from foundation.settings import Settings
from integrations.backend import Backend, BackendRejection, BackendUnavailable, Nature, Question, Reply
from integrations.backend_drivers import open_backends
from lab.backends.json_server import SECRET_TALK, Mode
from lab.backends.running import Running, running
from tests.integrations.backends.fault_table import column

NOW = datetime(2026, 11, 22, 7, tzinfo=UTC)
TOKEN = "t0ken-of-the-lab"

# Long for a loaded machine, and short for who waits in vain.
PATIENT, HURRIED = 30.0, 1.0

OF_SIGNATURES: tuple[Mode, ...] = ("wrong_signature", "unsigned")
MODES: tuple[Mode, ...] = get_args(Mode)
REASONS: dict[Mode, tuple[str, ...]] = {
    mode: column("registry")[mode]
    for mode in MODES
    if mode in column("registry") and mode not in OF_SIGNATURES
}
"""What each fault is told as."""
SLOW = frozenset({"slow", "drip", "drip_head"})

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Example:
    """A question and its answer.

    Args:
        parameters: of the question.
        word: of the answer; None where there is none yet.
        says: words of its text, in both languages; empty where it has none.
    """

    parameters: dict[str, str] = field(repr=False)
    word: str | None
    says: tuple[str, str] | None = None


@dataclass
class Subject:
    """A driver under the suite, its back-end, and how it is opened."""

    running: Running
    open: Callable[..., Backend]

    def fails(self, backend: Backend, question: Question) -> BackendUnavailable:
        """The error that a question ends with."""
        with pytest.raises(BackendUnavailable) as caught:
            backend.ask(question)
        return caught.value


class Conformance:
    """The suite; see above."""

    driver: ClassVar[str]
    examples: ClassVar[tuple[Example, ...]]
    wrong: ClassVar[tuple[str, str]]

    @property
    def nature(self) -> Nature:
        """What the driver says of all its answers."""
        nature: Nature = importlib.import_module(f"integrations.backends.{self.driver}").NATURE
        return nature

    @pytest.fixture(scope="class")
    @classmethod
    def running(cls) -> Iterator[Running]:
        """The simulated back-end of the driver."""
        with running(cls.driver, token=TOKEN, now=NOW) as one:
            yield one

    @pytest.fixture
    def subject(self, running: Running, tmp_path: Path) -> Subject:
        """The driver, and its back-end that answers."""
        secrets = SecretFile(tmp_path / "secrets.json", tmp_path / "secrets.key")
        secrets.set("token", Secret(TOKEN))
        running.behave("answer")
        (tmp_path / "keys.pem").write_bytes(running.answer_key())

        def opened(**more: object) -> Backend:
            given = {"url": running.url, "driver": self.driver, "timeout": PATIENT, "secret": "token"}
            limits = {"attempts": 1, "failures": 0}
            if more.get("signed", "no") != "no":
                more["answer_keys"] = tmp_path / "keys.pem"
            section = Section.model_validate({**given, **limits, **more})
            return open_backends(Settings(backends={"asked": section}), secrets, lambda: NOW)["asked"]

        return Subject(running, opened)

    def question(self, example: Example | None = None) -> Question:
        """A question that was never asked."""
        asked = example or self.examples[0]
        return Question(f"case/SC-2026-{next(_numbers):06}/check/asked/1", "asked", asked.parameters)

    def test_each_word_comes_back_as_declared(self, subject: Subject) -> None:
        backend, answers = subject.open(), self.nature.answers
        assert answers is not None
        for example in self.examples:
            if example.word is None:
                assert subject.fails(backend, self.question(example)).reason == "pending"
                continue
            reply = backend.ask(self.question(example))
            assert (reply.code, reply.passed, reply.at) == (example.word, answers[example.word], NOW)
            said = None if reply.text is None else (reply.text.ar, reply.text.en)
            assert said == example.says
        assert {example.word for example in self.examples} - {None} == set(answers)

    def test_it_keeps_the_contract_that_the_back_end_serves(self, subject: Subject) -> None:
        contract = subject.running.contract()
        assert contract["openapi"].startswith("3.1")
        backend = subject.open()
        for example in self.examples:
            if example.word is not None:
                backend.ask(self.question(example))
        for kind, said in (("Question", "questions"), ("Answer", "answers")):
            # What a schema refers to lies in the same document.
            schema = {"$ref": f"#/components/schemas/{kind}", "components": contract["components"]}
            Draft202012Validator.check_schema(contract["components"]["schemas"][kind])
            found = subject.running.log()[said]
            assert found
            for each in found:
                Draft202012Validator(schema).validate(each)

    def test_a_key_is_acted_on_once_and_answered_the_same_again(self, subject: Subject) -> None:
        backend, question = subject.open(), self.question()
        assert backend.ask(question) == backend.ask(question)
        assert (subject.running.asked(question.key), subject.running.acted(question.key)) == (2, 1)

    @pytest.mark.parametrize("mode", REASONS)
    def test_what_is_no_answer_is_never_a_no(
        self, subject: Subject, mode: Mode, caplog: pytest.LogCaptureFixture
    ) -> None:
        backend = subject.open(timeout=HURRIED, total=2 * HURRIED) if mode in SLOW else subject.open()
        question = self.question()
        # There is something that it can say again.
        subject.open().ask(self.question())
        subject.running.behave(
            mode, seconds={"slow": 4 * HURRIED, "drip": 0.1, "drip_head": 0.1}.get(mode, 7)
        )
        with caplog.at_level(logging.DEBUG):
            error = subject.fails(backend, question)
        assert error.reason in REASONS[mode]
        assert error.retryable
        assert error.retry_after == (7 if mode in ("rate_limit", "overloaded") else None)
        self.says_nothing(error, caplog)
        subject.running.behave("answer")
        assert subject.open().ask(question).code == self.examples[0].word

    @pytest.mark.parametrize("scheme", ["jws", "http"])
    @pytest.mark.parametrize("mode", OF_SIGNATURES)
    def test_a_wrong_signature_is_no_answer(
        self, subject: Subject, mode: Mode, scheme: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        backend = subject.open(signed=scheme)
        assert backend.ask(self.question()).code == self.examples[0].word
        subject.running.behave(mode)
        error = subject.fails(backend, self.question())
        assert error.reason == "wrong_signature"
        self.says_nothing(error, caplog)

    def test_what_it_says_besides_is_not_read(self, subject: Subject) -> None:
        backend = subject.open()
        quiet: Reply = backend.ask(self.question())
        subject.running.behave("talkative")
        reply = backend.ask(self.question())
        assert reply == quiet
        assert SECRET_TALK not in f"{reply!r} {reply.text!r}"

    def test_a_question_that_it_rejects_is_told_apart(
        self, subject: Subject, caplog: pytest.LogCaptureFixture
    ) -> None:
        subject.running.behave("reject")
        with pytest.raises(BackendRejection) as caught:
            subject.open().ask(self.question())
        assert (caught.value.reason, caught.value.retryable) == ("status_422", False)
        self.says_nothing(caught.value, caplog)

    def test_a_question_that_is_not_of_its_form_is_not_sent(
        self, subject: Subject, caplog: pytest.LogCaptureFixture
    ) -> None:
        backend, good = subject.open(), self.examples[0].parameters
        first = next(iter(good))
        cases = {
            "wrong_parameter": {**good, self.wrong[0]: self.wrong[1]},
            "missing_parameter": {name: value for name, value in good.items() if name != first},
            "unknown_parameter": {**good, "name": "نورة بنت سعد"},
        }
        for reason, parameters in cases.items():
            question = self.question(Example(parameters, None))
            with pytest.raises(BackendRejection) as caught:
                backend.ask(question)
            assert caught.value.reason == reason
            assert subject.running.asked(question.key) == 0
            assert not [value for value in parameters.values() if value in str(caught.value)]
            self.says_nothing(caught.value, caplog)

    def test_nobody_listening_is_no_answer(self, subject: Subject) -> None:
        backend = subject.open(url=f"http://127.0.0.1:{free_port()}/questions")
        assert subject.fails(backend, self.question()).reason == "connect"

    def test_a_token_that_is_missing_is_ours_to_mend(self, subject: Subject) -> None:
        assert subject.fails(subject.open(secret=None), self.question()).reason == "credentials"
        assert subject.fails(subject.open(secret="absent"), self.question()).reason == "credentials"

    def says_nothing(self, error: RakeezaError, caplog: pytest.LogCaptureFixture) -> None:
        """Neither the error nor what was logged has anything of what was asked."""
        whole = "".join(traceback.format_exception(error))
        # With what stands beside the words: the platform writes it as JSON.
        beside = "".join(str(vars(record)) for record in caplog.records)
        told = f"{error!r} {problem(error)} {whole} {caplog.text} {beside}"
        assert not [value for value in self.examples[0].parameters.values() if value in told]
        assert TOKEN not in told
        assert error.remedy
        assert problem(error)["detail_ar"]
