"""TLS with client certificates, spoken by curl and by Python's own client."""

import http.client
import socket
import ssl
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from starlette.types import Receive, Scope, Send

from foundation.errors import SettingsError
from foundation.secret import Secret
from foundation.settings import Platform, Settings
from foundation.tls import Contexts, Material, server_context
from integrations.centres.authority import LIFETIME, Authority, requested_key
from tests.integrations.centre_keys import Files, curl, files, material, new_key, request_for, served_over_tls

NOW = datetime.now(UTC)


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    # The certificate that the request was sent with, and nothing more.
    tls = scope.get("extensions", {}).get("tls", {})
    body = (tls.get("client_certificate") or b"").hex().encode()
    headers = [(b"content-length", str(len(body)).encode())]
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@dataclass
class Ground:
    """An authority, a server, and a folder to write keys into."""

    folder: Path
    authority: Authority
    contexts: Contexts
    material: Material
    port: int = 0

    @property
    def trusted(self) -> Path:
        file = self.folder / "trusted.pem"
        file.write_text(self.authority.certificate_pem())
        return file

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}/"

    def known(self, at: datetime = NOW) -> Files:
        key = new_key()
        made = self.authority.certify(requested_key(request_for(key)), "centre-7", at)
        return files(self.folder, key, made)


def _authority(folder: Path) -> Authority:
    settings = Settings(platform=Platform(folder=folder))
    return Authority(settings, settings.secrets())


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    authority = _authority(tmp_path / "platform")
    made = Ground(tmp_path, authority, None, material(authority))  # type: ignore[arg-type] # set below
    made.contexts = Contexts(lambda: made.material)
    with served_over_tls(_echo, made.contexts) as port:
        made.port = port
        yield made


def _shown(known: Files) -> str:
    made = x509.load_pem_x509_certificate(known.certificate.read_bytes())
    return made.public_bytes(Encoding.DER).hex()


def _client(ground: Ground, known: Files | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ground.trusted))
    if known is not None:
        context.load_cert_chain(known.certificate, known.key)
    return context


def test_a_client_is_known_by_its_certificate_and_may_come_without_one(ground: Ground) -> None:
    known = ground.known()
    assert curl(ground.url, ground.trusted).body == ""
    for version in ("1.2", "1.3"):
        exact = ("--tlsv" + version, "--tls-max", version)
        answer = curl(ground.url, ground.trusted, *exact, known=known)
        assert (answer.code, answer.status, answer.body) == (0, 200, _shown(known))


def test_nothing_older_than_tls_1_2_is_spoken(ground: Ground) -> None:
    context = _client(ground)
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    context.set_ciphers("ALL:@SECLEVEL=0")
    connection = http.client.HTTPSConnection("localhost", ground.port, context=context)
    with closing(connection), pytest.raises(ssl.SSLError):
        connection.connect()


def test_a_certificate_of_another_authority_or_another_time_ends_the_connection(ground: Ground) -> None:
    elsewhere = Ground(ground.folder, _authority(ground.folder / "other"), ground.contexts, ground.material)
    for bad in (elsewhere.known(), ground.known(NOW - LIFETIME - timedelta(days=1))):
        answer = curl(ground.url, ground.trusted, known=bad)
        assert (answer.code != 0, answer.status, answer.body) == (True, 0, "")
    early = ground.known(NOW + timedelta(days=1))
    assert curl(ground.url, ground.trusted, known=early).code != 0
    assert curl(ground.url, ground.trusted, known=ground.known()).status == 200


def test_a_certificate_that_is_for_servers_or_signs_itself_is_none_of_a_client(ground: Ground) -> None:
    own = ground.folder / "own.pem"
    own.write_text(ground.material.own.reveal())
    assert curl(ground.url, ground.trusted, known=Files(own, own)).code != 0
    key = new_key()
    name = x509.Name.from_rfc4514_string("CN=centre-7")
    lone = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(ground.authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    # It names our authority as its issuer, and another key signed it.
    assert curl(ground.url, ground.trusted, known=files(ground.folder, key, lone)).code != 0


def test_each_request_of_a_connection_tells_its_certificate(ground: Ground) -> None:
    known = ground.known()
    context = _client(ground, known)
    with closing(http.client.HTTPSConnection("localhost", ground.port, context=context)) as connection:
        for _ in range(3):
            connection.request("GET", "/")
            assert connection.getresponse().read().decode() == _shown(known)


def test_a_header_is_no_certificate(ground: Ground) -> None:
    names = ("Client-Cert", "X-Client-Cert", "X-Forwarded-Client-Cert", "SSL_CLIENT_CERT")
    forged = [word for name in names for word in ("-H", f"{name}: :MIIB:")]
    assert curl(ground.url, ground.trusted, *forged).body == ""


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_session_that_is_taken_up_again_tells_its_certificate(
    ground: Ground, version: ssl.TLSVersion
) -> None:
    known = ground.known()
    context = _client(ground, known)
    context.minimum_version = context.maximum_version = version
    session = None
    for _ in range(2):
        with (
            socket.create_connection(("localhost", ground.port)) as plain,
            context.wrap_socket(plain, server_hostname="localhost", session=session) as secured,
        ):
            secured.sendall(b"GET / HTTP/1.0\r\n\r\n")
            answer = b"".join(iter(lambda: secured.recv(4_096), b"")).decode()
            assert answer.endswith(f"\r\n\r\n{_shown(known)}")
            session = secured.session
            # TLS 1.3 takes up tickets only, and none are given.
            assert not (secured.session_reused and version is ssl.TLSVersion.TLSv1_3)
            assert session is None or not session.has_ticket


def test_a_certificate_that_was_made_anew_serves_without_a_restart(ground: Ground) -> None:
    def served() -> int:
        pem = ssl.get_server_certificate(("127.0.0.1", ground.port))
        return x509.load_pem_x509_certificate(pem.encode()).serial_number

    known = ground.known()
    open_before = http.client.HTTPSConnection("localhost", ground.port, context=_client(ground, known))
    open_before.request("GET", "/")
    assert open_before.getresponse().read().decode() == _shown(known)
    before = served()
    assert not ground.contexts.renew()
    ground.material = material(_authority(ground.folder / "other"))
    old_trust = ground.trusted.read_text()
    ground.material = Material(
        ground.authority.server_pem(("localhost",), datetime.now(UTC)), old_trust, ground.material.place
    )
    assert ground.contexts.renew()
    assert served() != before
    # Clients are known by the same authority as before, and who is connected stays so.
    assert curl(ground.url, ground.trusted, known=known).status == 200
    open_before.request("GET", "/")
    assert open_before.getresponse().read().decode() == _shown(known)
    open_before.close()


def test_a_faulty_new_certificate_leaves_the_old_one_in_service(ground: Ground) -> None:
    good, pem = ground.material, ground.material.own.reveal()
    key = pem[pem.index("-----BEGIN PRIVATE") :]
    other = material(_authority(ground.folder / "other")).own.reveal()
    for text in ("", key, pem.replace(key, ""), pem.replace(key, other[other.index("-----BEGIN PRIVATE") :])):
        ground.material = Material(Secret(text), good.trusted, "tls.certificate")
        with pytest.raises(SettingsError, match=r"tls\.certificate: TLS cannot be made"):
            ground.contexts.renew()
        assert curl(ground.url, ground.trusted).body == ""


def test_nothing_that_is_no_certificate_is_trusted(ground: Ground) -> None:
    for trusted in ("", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        with pytest.raises(SettingsError, match="the test: TLS cannot be made"):
            server_context(Material(ground.material.own, trusted, "the test"))
