"""The suite of all drivers over the identity source, which is asked by SOAP."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from foundation.guard import free_port
from foundation.secret import Secret, SecretFile
from foundation.settings import Backend as Section
from foundation.settings import Settings
from integrations.backend import Backend, BackendRejection
from integrations.backend_drivers import open_backends
from integrations.ws_security import names
from lab.backends import identity_source
from lab.backends.identity_messages import make_keys, read_signer
from lab.backends.identity_server import IdentityServer
from lab.backends.json_server import Mode
from lab.backends.running import Running
from tests.integrations.backends.conformance import NOW, PATIENT, TOKEN, Conformance, Example, Subject

NOT_CONFIRMED = ("لم تتأكد البيانات", "The details are not confirmed")


class SoapRunning(Running):
    """An identity source under the suite's names for what it can be told."""

    server: IdentityServer

    def start(self) -> None:
        """Start it."""
        self.server.start()

    def stop(self) -> None:
        """End it."""
        self.server.stop()

    @property
    def url(self) -> str:
        """Where it is asked."""
        return self.server.url

    def behave(self, mode: Mode, times: int | None = None, seconds: float = 0.0) -> None:
        """Meet the next questions in a way."""
        # Here the seconds of dripping are those of all of it.
        longest = 60.0 if mode.startswith("drip") else seconds
        # It says no more than its schema has; so much is a fault.
        named: Any = "wrong_schema" if mode == "talkative" else mode
        self.server.behave(named, times, longest)

    def asked(self, key: str) -> int:
        """How often a key was asked."""
        return self.server.asked(key)

    def acted(self, key: str) -> int:
        """How often a key was acted on."""
        return self.server.acted(key)


class TestIdentity(Conformance):
    driver = "identity"
    examples = (
        Example({"identifier": "1058529940", "kind": "national_id"}, "match"),
        Example(
            {"identifier": "1058529940", "kind": "national_id", "born": "1990-05-18"},
            "mismatch",
            NOT_CONFIRMED,
        ),
        Example({"identifier": "1000000008", "kind": "national_id"}, "not_found", NOT_CONFIRMED),
        Example({"identifier": "1001244019", "kind": "national_id"}, "deceased", NOT_CONFIRMED),
        Example({"identifier": "2000000014", "kind": "iqama"}, "expired", NOT_CONFIRMED),
        Example({"identifier": "2000000022", "kind": "iqama"}, "suspended", NOT_CONFIRMED),
        Example({"identifier": "3012345686", "kind": "border_number"}, "left_the_kingdom", NOT_CONFIRMED),
    )
    wrong = ("identifier", "1058529941")

    @pytest.fixture(scope="class")
    @classmethod
    def running(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
        """The identity source, whose present moment is the suite's."""
        folder = tmp_path_factory.mktemp("identity")
        make_keys(folder)
        one = SoapRunning("identity_server", free_port(), TOKEN)
        one.server = IdentityServer(one.port, folder, TOKEN, NOW)
        try:
            one.start()
            yield one
        finally:
            one.stop()

    @pytest.fixture
    def subject(self, running: Running, tmp_path: Path) -> Subject:
        """The driver; what it believes is signed, however the suite asks for that."""
        assert isinstance(running, SoapRunning)
        secrets = SecretFile(tmp_path / "secrets.json", tmp_path / "secrets.key")
        secrets.set("token", Secret(TOKEN))
        known = read_signer(running.server.folder / "source.pem").pem
        secrets.set("backend-asked-certificates", Secret(known.decode()))
        running.behave("answer")

        def opened(**more: Any) -> Backend:
            more.pop("signed", None)
            given = {"url": running.url, "driver": self.driver, "timeout": PATIENT, "secret": "token"}
            section = Section.model_validate({**given, "attempts": 1, "failures": 0, **more})
            return open_backends(Settings(backends={"asked": section}), secrets, lambda: NOW)["asked"]

        return Subject(running, opened)

    def test_it_keeps_the_contract_that_the_back_end_serves(self, subject: Subject) -> None:
        """Every message that was sent is one of the schema, and the source refuses others by itself."""
        assert isinstance(subject.running, SoapRunning)
        backend = subject.open()
        for example in self.examples:
            backend.ask(self.question(example))
        schema = etree.XMLSchema(etree.parse(str(identity_source.WSDL.with_suffix(".xsd"))))
        messages = subject.running.server.messages()
        assert len(messages) >= len(self.examples)
        for message in messages:
            body = etree.fromstring(message.encode()).find(f"{{{names.SOAP_11}}}Body")
            assert body is not None
            schema.assertValid(body[0])

    def test_what_it_says_besides_is_not_read(self, subject: Subject) -> None:
        """A schema that names all leaves no room for more: such a reply is none."""
        backend = subject.open()
        subject.running.behave("talkative")
        assert subject.fails(backend, self.question()).reason == "wrong_shape"

    def test_a_question_that_it_rejects_is_told_apart(
        self, subject: Subject, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Here by a signed Fault, as a status is signed by nobody."""
        subject.running.behave("reject")
        with pytest.raises(BackendRejection) as caught:
            subject.open().ask(self.question())
        assert (caught.value.reason, caught.value.retryable) == ("invalid_request", False)
        self.says_nothing(caught.value, caplog)

    def test_a_question_that_is_not_of_its_form_is_not_sent(
        self, subject: Subject, caplog: pytest.LogCaptureFixture
    ) -> None:
        """A name is no stranger here, and a mobile number is."""
        backend, good = subject.open(), self.examples[0].parameters
        cases = {
            "wrong_parameter": {**good, self.wrong[0]: self.wrong[1]},
            "missing_parameter": {"kind": good["kind"]},
            "unknown_parameter": {**good, "mobile": "+966501234567"},
        }
        with caplog.at_level(logging.DEBUG):
            for reason, parameters in cases.items():
                question = self.question(Example(parameters, None))
                with pytest.raises(BackendRejection) as caught:
                    backend.ask(question)
                assert caught.value.reason == reason
                assert subject.running.asked(question.key) == 0
                self.says_nothing(caught.value, caplog)
