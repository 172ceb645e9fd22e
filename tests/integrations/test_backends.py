"""Every back-end passes the same suite; the registry also walks its tables of failures."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from foundation.errors import NotFound, RakeezaError, SettingsError, problem
from foundation.guard import free_port
from foundation.secret import Secret, SecretFile
from foundation.settings import Backend as Section
from foundation.settings import Settings, backend_options, load
from integrations import json_client
from integrations.backend import Backend, BackendRejection, BackendUnavailable, Question
from integrations.backend_drivers import open_backends
from integrations.backends import rest_registry
from lab.registry import Mode, Registry, registry

NOW = datetime(2026, 11, 22, 7, tzinfo=UTC)
KNOWN, UNKNOWN = "4030123456", "4030000000"
TIMEOUT = 0.5


def _clock() -> datetime:
    return NOW


def _secrets(folder: Path) -> SecretFile:
    return SecretFile(folder / "secrets.json", folder / "secrets.key")


def _question(key: str = "case/SC-2026-000001/check/register/3", number: str = KNOWN) -> Question:
    return Question(key, "commerce", {"register": number})


@pytest.fixture(scope="module")
def running() -> Iterator[Registry]:
    with registry(token="t0ken", refused=(UNKNOWN,)) as one:
        yield one


@dataclass
class Subject:
    """A back-end under the suite, and what makes the far side misbehave."""

    backend: Backend
    misbehave: Callable[[Mode], None]
    acted: Callable[[str], int]


# A further back-end is one more entry here.
@pytest.fixture(params=["rest_registry"])
def subject(request: pytest.FixtureRequest, running: Registry, tmp_path: Path) -> Subject:
    secrets = _secrets(tmp_path)
    secrets.set("token", Secret("t0ken"))
    running.behave("answer")
    section = Section(url=running.url, driver=request.param, timeout=TIMEOUT, secret="token")
    backend = open_backends(Settings(backends={"commerce": section}), secrets, _clock)["commerce"]

    def misbehave(mode: Mode) -> None:
        running.behave(mode, seconds=4 * TIMEOUT if mode == "slow" else 7)

    return Subject(backend, misbehave, running.acted)


def test_a_question_is_answered_yes_or_no(subject: Subject) -> None:
    passed = subject.backend.ask(_question("case/1/check/a/1"))
    failed = subject.backend.ask(_question("case/1/check/b/1", UNKNOWN))
    assert (passed.passed, passed.at, passed.at.tzinfo) == (True, NOW, UTC)
    assert not failed.passed
    assert failed.code == "not_standing"
    assert failed.text is not None
    assert failed.text.ar == "السجل غير قائم"


def test_a_key_is_acted_on_once_and_answered_the_same_again(subject: Subject) -> None:
    question = _question("case/1/check/twice/1")
    assert subject.backend.ask(question) == subject.backend.ask(question)
    assert subject.acted(question.key) == 1


def test_a_question_prints_without_its_parameters() -> None:
    assert KNOWN not in repr(_question())


@pytest.mark.parametrize(
    "mode", ["slow", "drop_before", "drop_after", "error", "busy", "nonsense", "huge", "redirect"]
)
def test_a_source_that_is_down_is_never_a_no(subject: Subject, mode: Mode) -> None:
    subject.misbehave(mode)
    with pytest.raises(BackendUnavailable) as caught:
        subject.backend.ask(_question(f"case/1/check/{mode}/1"))
    assert caught.value.retryable
    assert caught.value.reason
    assert KNOWN not in str(caught.value)
    assert problem(caught.value)["detail_ar"]


def test_a_wrong_question_is_told_apart_from_a_no(subject: Subject) -> None:
    subject.misbehave("reject")
    with pytest.raises(BackendRejection) as caught:
        subject.backend.ask(_question("case/1/check/reject/1"))
    assert not caught.value.retryable
    assert caught.value.message_ar


def test_an_answer_that_was_lost_is_got_by_asking_again(subject: Subject) -> None:
    question = _question("case/1/check/lost/1")
    subject.misbehave("drop_after")
    with pytest.raises(BackendUnavailable):
        subject.backend.ask(question)
    subject.misbehave("answer")
    assert subject.backend.ask(question).passed
    assert subject.acted(question.key) == 1


def _registry_at(url: str, folder: Path, token: str | None = None) -> Backend:
    secrets = _secrets(folder)
    if token is not None:
        secrets.set("token", Secret(token))
    section = Section(url=url, timeout=TIMEOUT, secret=None if token is None else "token")
    return rest_registry.open_backend("commerce", section, secrets, _clock)


def _reason(backend: Backend) -> tuple[str, int | None]:
    with pytest.raises((BackendUnavailable, BackendRejection)) as caught:
        backend.ask(_question())
    error = caught.value
    assert isinstance(error, BackendUnavailable | BackendRejection)
    return error.reason, error.status


@contextmanager
def _answering(status: int, body: bytes, headers: dict[str, str]) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


JSON_TYPE = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("status", "body", "headers", "reason"),
    [
        (200, b"yes", {"Content-Type": "text/html"}, "not_json"),
        (200, b'{"passed": ', JSON_TYPE, "malformed"),
        (200, b"[" * 50_000, JSON_TYPE, "malformed"),
        (200, b'{"passed": "true"}', JSON_TYPE, "wrong_shape"),
        (200, b'{"passed": 1}', JSON_TYPE, "wrong_shape"),
        (200, b"{}", JSON_TYPE, "wrong_shape"),
        (200, b'{"passed": true, "code": "two words"}', JSON_TYPE, "wrong_shape"),
        (200, b'{"passed": true, "code": "1058529940"}', JSON_TYPE, "wrong_shape"),
        (200, b'{"passed": true, "code": "id1058529940"}', JSON_TYPE, "wrong_shape"),
        (200, b'{"passed": false, "passed": true}', JSON_TYPE, "malformed"),
        (200, b'{"passed": true, "question": "case/another/check/a/1"}', JSON_TYPE, "not_ours"),
        (200, b'{"passed": true}' + b" " * 70_000, JSON_TYPE, "too_large"),
        (204, b"", {}, "unexpected_status"),
        (302, b"", {"Location": "http://127.0.0.1:9/"}, "unexpected_status"),
        (500, b"", {}, "server"),
        (503, b"", {}, "server"),
        (400, b"", {}, "status_400"),
        (422, b"", {}, "status_422"),
        # A gateway says these of all questions while its back-end is away.
        (404, b"", {}, "unexpected_status"),
        (405, b"", {}, "unexpected_status"),
        (410, b"", {}, "unexpected_status"),
        *((status, b"", {}, reason) for status, reason in json_client.STATUSES.items()),
    ],
)
def test_every_reply_that_is_no_answer_is_named(
    status: int, body: bytes, headers: dict[str, str], reason: str, tmp_path: Path
) -> None:
    with _answering(status, body, headers) as url:
        assert _reason(_registry_at(url, tmp_path)) == (reason, status)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("30", 30.0),
        ("Sun, 22 Nov 2026 07:02:00 GMT", 120.0),
        ("Sun, 22 Nov 2026 06:00:00 GMT", 0.0),
        ("999999999", 86_400.0),
        ("soon", None),
        ("-1", None),
    ],
)
def test_a_back_end_may_say_when_to_come_again(header: str, seconds: float | None, tmp_path: Path) -> None:
    with (
        _answering(429, b"", {"Retry-After": header}) as url,
        pytest.raises(BackendUnavailable) as caught,
    ):
        _registry_at(url, tmp_path).ask(_question())
    assert caught.value.retry_after == seconds


def test_nobody_listening_is_unavailable(tmp_path: Path) -> None:
    assert _reason(_registry_at(f"http://127.0.0.1:{free_port()}/", tmp_path)) == ("connect", None)


def test_the_table_has_a_row_for_every_way_an_exchange_can_fail() -> None:
    def below(kind: type[httpx.HTTPError]) -> set[type[httpx.HTTPError]]:
        return {kind, *(found for child in kind.__subclasses__() for found in below(child))}

    for kind in below(httpx.HTTPError):
        reason, message = next(json_client.FAILURES[c] for c in kind.__mro__ if c in json_client.FAILURES)
        assert reason
        assert message.endswith(".")


def test_a_wrong_or_missing_token_is_ours_to_mend_and_no_answer(running: Registry, tmp_path: Path) -> None:
    running.behave("answer")
    assert _reason(_registry_at(running.url, tmp_path, "wrong")) == ("credentials", 401)
    section = Section(url=running.url, secret="absent")
    missing = open_backends(Settings(backends={"commerce": section}), _secrets(tmp_path), _clock)
    assert _reason(missing["commerce"]) == ("credentials", None)


def test_a_driver_that_there_is_not_is_named(tmp_path: Path) -> None:
    settings = Settings(backends={"commerce": Section(url="http://h/", driver="telex")})
    with pytest.raises(NotFound, match=r"backends\.commerce\.driver.*telex.*rest_registry"):
        open_backends(settings, _secrets(tmp_path), _clock)


def test_both_errors_say_what_to_do(running: Registry, tmp_path: Path) -> None:
    running.behave("reject", times=1)
    with pytest.raises(RakeezaError) as caught:
        _registry_at(running.url, tmp_path, "t0ken").ask(_question("case/1/check/says/1"))
    assert caught.value.remedy
    assert json.dumps(problem(caught.value), ensure_ascii=False).count("رفضت") == 2


def test_the_settings_name_each_back_end_and_refuse_what_they_do_not_know(tmp_path: Path) -> None:
    file = tmp_path / "rakeeza.toml"
    file.write_text('[backends.commerce]\nurl = "https://h/q"\nsecret = "token"\n', encoding="utf-8")
    assert load(file, {}).backends == {"commerce": Section(url="https://h/q", secret="token")}
    file.write_text('[backends.commerce]\nurl = "https://h/q"\n[backends.labour]\nurl = "ftp://h/"\n')
    with pytest.raises(SettingsError, match=r"rakeeza\.toml:4.*backends\.labour\.url"):
        load(file, {})
    file.write_text('[backends.commerce]\nurl = "https://h/q"\npassword = "x"\n')
    with pytest.raises(SettingsError, match=r"rakeeza\.toml:3.*backends\.commerce\.password is no setting"):
        load(file, {})
    file.write_text("")
    with pytest.raises(SettingsError, match="RAKEEZA_BACKENDS_COMMERCE_URL is no setting"):
        load(file, {"RAKEEZA_BACKENDS_COMMERCE_URL": "https://h/q"})
    assert {option for option, *_ in backend_options()} == set(Section.model_fields)
