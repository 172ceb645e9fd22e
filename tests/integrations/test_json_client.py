"""The shared client: TLS by an authority of its own, one place to send to, and settings that go together."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from pydantic import ValidationError

from foundation.errors import SettingsError
from foundation.secret import SecretFile
from foundation.settings import Backend as Section
from integrations.backend import BackendRejection, BackendUnavailable
from integrations.json_client import LARGEST_QUESTION, JsonClient
from lab.backends.running import Running, Tls, running

NOW = datetime(2026, 11, 22, 7, tzinfo=UTC)
QUESTION = {"unified_number": "7001234567"}


def client(folder: Path, **options: Any) -> JsonClient:
    section = Section.model_validate({"timeout": 30, **options})
    secrets = SecretFile(folder / "secrets.json", folder / "secrets.key")
    return JsonClient("commerce", section, secrets, lambda: NOW)


def reason(asked: JsonClient, body: dict[str, str] | None = None) -> str:
    with pytest.raises((BackendUnavailable, BackendRejection)) as caught:
        asked.post("case/1/check/a/1", QUESTION if body is None else body)
    assert isinstance(caught.value, BackendUnavailable | BackendRejection)
    return caught.value.reason


class Authority:
    """Issues certificates for the tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "authority")])
        self.file = self._write("authority.pem", self.issue(self.name, self.key, authority=True))

    def issue(self, subject: x509.Name, key: Any, authority: bool = False) -> bytes:
        names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
        since = datetime.now(UTC) - timedelta(hours=1)
        made = (
            x509.CertificateBuilder(self.name, subject, key.public_key(), x509.random_serial_number())
            .not_valid_before(since)
            .not_valid_after(since + timedelta(days=1))
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
            .add_extension(names, critical=False)
            .sign(self.key, hashes.SHA256())
        )
        return made.public_bytes(Encoding.PEM)

    def pair(self, name: str) -> Path:
        """A certificate and its key in one file."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return self._write(f"{name}.pem", self.issue(subject, key) + private)

    def _write(self, name: str, pem: bytes) -> Path:
        (self.folder / name).write_bytes(pem)
        return self.folder / name


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "ours")


@pytest.fixture(scope="module")
def secured(authority: Authority) -> Iterator[Running]:
    tls = Tls(authority.file, authority.pair("server"), authority.pair("rakeeza"))
    with running("commercial_registry", tls=tls) as one:
        yield one


def test_it_shows_its_certificate_and_believes_its_own_authority(
    secured: Running, authority: Authority, tmp_path: Path
) -> None:
    assert secured.tls is not None
    asked = client(tmp_path, url=secured.url, ca=authority.file, certificate=secured.tls.client)
    assert b'"active"' in asked.post("case/1/check/tls/1", QUESTION).body


def test_no_other_authority_is_believed_and_no_stranger_let_in(
    secured: Running, authority: Authority, tmp_path: Path
) -> None:
    assert secured.tls is not None
    other = Authority(tmp_path / "other")
    ours = secured.tls.client
    assert reason(client(tmp_path, url=secured.url, ca=other.file, certificate=ours)) == "connect"
    # Those of the system do not know it either.
    assert reason(client(tmp_path, url=secured.url, certificate=ours)) == "connect"
    stranger = other.pair("stranger")
    for mine in ({}, {"certificate": stranger}):
        found = reason(client(tmp_path, url=secured.url, ca=authority.file, **mine))
        # When the server says so, the client has already sent (TLS 1.3).
        assert found in ("connect", "network", "protocol")
    name = secured.url.replace("127.0.0.1", "localhost")
    assert reason(client(tmp_path, url=name, ca=authority.file, certificate=ours)) == "connect"


def test_files_that_cannot_be_used_are_named_at_the_start(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("nothing\n")
    url = "https://127.0.0.1:9/"
    for option in ("ca", "certificate"):
        for file in (tmp_path / "empty.pem", tmp_path / "absent.pem"):
            with pytest.raises(SettingsError, match=rf"{file.name}.*backends\.commerce\.{option}"):
                client(tmp_path, url=url, **{option: file})
    with pytest.raises(SettingsError):
        client(tmp_path, url=url, certificate=authority.file, key=authority.pair("mismatched"))


@pytest.mark.parametrize(
    "options",
    [
        {"url": "http://h/", "ca": "ca.pem"},
        {"url": "http://h/", "certificate": "own.pem"},
        {"url": "https://h/", "key": "own.key"},
        {"url": "https://h/", "signed": "jws"},
        {"url": "https://h/", "answer_keys": "keys.pem"},
        {"url": "https://h/", "signed": "HS256", "answer_keys": "keys.pem"},
        {"url": "https://h/", "attempts": 0},
        {"url": "https://h/", "places": 0},
    ],
)
def test_settings_that_do_not_go_together_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Section.model_validate(options)


def test_a_question_takes_three_times_the_time_of_a_step_unless_told_otherwise() -> None:
    assert Section(url="https://h/", timeout=4).whole_time == 12
    assert Section(url="https://h/", timeout=4, total=5).whole_time == 5


def test_nothing_is_sent_by_a_proxy_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    with running("commercial_registry") as open_one:
        assert client(tmp_path, url=open_one.url).post("case/1/check/direct/1", QUESTION).body


def test_a_question_that_is_too_large_is_not_sent(tmp_path: Path) -> None:
    body = {"text": "x" * LARGEST_QUESTION}
    assert reason(client(tmp_path, url="http://127.0.0.1:9/"), body) == "question_too_large"


@contextmanager
def _saying(*parts: bytes, closes: bool = True) -> Iterator[str]:
    """A server that says these bytes to whoever connects, whatever he asks."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        go = threading.Event()

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65_536)
                for part in parts:
                    connection.sendall(part)
                if not closes:
                    go.wait(60)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            go.set()
            thread.join()


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"


def test_a_reply_that_ends_with_its_connection_is_whole_only_if_its_server_ended_it(tmp_path: Path) -> None:
    with _saying(HEAD, b"\r\n", b'{"answer": 1}') as url:
        assert client(tmp_path, url=url).post("case/1/check/a/1", QUESTION).body == b'{"answer": 1}'
    with _saying(HEAD, b"\r\n", b'{"answer": 1}', closes=False) as url:
        assert reason(client(tmp_path, url=url, total=0.5)) == "timeout"


@pytest.mark.parametrize(
    "parts",
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n",),
        (b"",),
        (HEAD, b"Content-Length: 20\r\n\r\n", b'{"answer"'),
        (HEAD, b"Transfer-Encoding: chunked\r\n\r\n", b'9\r\n{"answer"\r\n'),
        (HEAD, b"Content-Length: 1\r\nContent-Length: 2\r\n\r\n", b"{}"),
    ],
)
def test_what_breaks_off_or_is_no_http_is_no_reply(parts: tuple[bytes, ...], tmp_path: Path) -> None:
    with _saying(*parts) as url:
        assert reason(client(tmp_path, url=url)) in ("protocol", "network")


def test_json_with_a_member_twice_is_broken_where_each_counts(tmp_path: Path) -> None:
    body = b'{"answer": "match", "answer": "mismatch"}'
    with _saying(HEAD, b"\r\n", body) as url:
        asked = client(tmp_path, url=url)
        received = asked.post("case/1/check/a/1", QUESTION)
    assert asked.read(received) == {"answer": "mismatch"}
    with pytest.raises(BackendUnavailable, match="broken JSON"):
        asked.read(received, once_each=True)
    assert "match" not in repr(received)
