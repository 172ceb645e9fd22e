"""Three processes of the API, and a key that is revoked while its holder is connected to all of them."""

import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from foundation.database import Database
from foundation.guard import free_port, wait_for_port
from foundation.identity import Identity
from foundation.settings import Settings, load
from integrations.centres.authority import Authority
from integrations.centres.certificates import Certificates, revoke
from tests.integrations.centre_keys import Files, files, new_key, request_for
from tests.processes import PATIENCE, ROOT, until

PROCESSES = 3
CENTRE = "centre-7"
# What happens, in the order in which it happened.
REVOKED, A_SECOND_LATER = "revoked", "a second later"


@dataclass
class Diary:
    """What happened, in its order; of a request, both when it was sent and what came."""

    entries: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, what: str) -> int:
        with self.lock:
            self.entries.append(what)
            return len(self.entries) - 1


@dataclass(frozen=True)
class Request:
    """A request to one process: its place in the diary before it was sent, and its status."""

    process: int
    sent: int
    status: int
    socket: tuple[str, int]


@dataclass
class Apis:
    """Processes of one platform."""

    settings: Settings
    database: Database
    ports: list[int]
    trusted: Path
    folder: Path

    def enrol(self) -> tuple[Files, str]:
        """A centre's key and certificate, and the serial."""
        secrets, key = self.settings.secrets(), new_key()
        with self.database.transaction() as session:
            Identity(self.database, secrets, 600).add_client(session, CENTRE, ["centre"], CENTRE)
            certificates = Certificates(Authority(self.settings, secrets))
            made = certificates.issue(session, CENTRE, request_for(key), datetime.now(UTC))
        return files(self.folder, key, made), made.serial

    def client(self, number: int, known: Files) -> httpx.Client:
        context = ssl.create_default_context(cafile=str(self.trusted))
        context.load_cert_chain(known.certificate, known.key)
        limits = httpx.Limits(max_connections=1, keepalive_expiry=None)
        url = f"https://localhost:{self.ports[number]}"
        return httpx.Client(base_url=url, verify=context, timeout=PATIENCE, limits=limits)


@pytest.fixture
def apis(database: Database, database_url: str, platform_folder: Path) -> Iterator[Apis]:
    folder = platform_folder
    settings_file = folder / "rakeeza.toml"
    settings_file.write_text(f'[platform]\nfolder = "{folder / "platform"}"\n')
    settings = load(settings_file, {"RAKEEZA_DATABASE_URL": database_url})
    trusted = folder / "trusted.pem"
    trusted.write_text(Authority(settings, settings.secrets()).certificate_pem())
    ports = [free_port() for _ in range(PROCESSES)]
    running = []
    with ExitStack() as stack:
        for port in ports:
            log = stack.enter_context((folder / f"{port}.log").open("wb"))
            argv = [
                sys.executable,
                "-m",
                "console",
                "--settings",
                str(settings_file),
                "serve",
                "--roles",
                "api",
            ]
            environment = {
                **os.environ,
                "RAKEEZA_DATABASE_URL": database_url,
                "RAKEEZA_HTTP_PORT": "0",
                "RAKEEZA_TLS_PORT": str(port),
            }
            running.append(
                subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
            )
        try:
            for port in ports:
                wait_for_port("127.0.0.1", port, PATIENCE, (folder / f"{port}.log").read_text())
            yield Apis(settings, database, ports, trusted, folder)
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait(PATIENCE)


def _token(client: httpx.Client) -> str:
    grant = {"grant_type": "client_credentials", "client_id": CENTRE}
    answer = client.post("/v1/oauth/token", data=grant)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])


def test_a_revoked_key_is_refused_by_every_process_within_a_second(apis: Apis) -> None:
    known, serial = apis.enrol()
    diary, stop = Diary(), threading.Event()
    requests: list[Request] = []
    with ExitStack() as stack:
        clients = [stack.enter_context(apis.client(number, known)) for number in range(PROCESSES)]
        # One token for all of them: it is the platform's, not a process's.
        header = {"Authorization": f"Bearer {_token(clients[0])}"}

        def keep_asking(number: int) -> None:
            # Without a pause: each process always has a belief that is fresh.
            while not stop.is_set():
                sent = diary.note(f"sent to {number}")
                answer = clients[number].get("/v1/cases", headers=header)
                stream = answer.extensions["network_stream"]
                requests.append(
                    Request(number, sent, answer.status_code, stream.get_extra_info("client_addr"))
                )

        threads = [threading.Thread(target=keep_asking, args=(number,)) for number in range(PROCESSES)]
        for thread in threads:
            thread.start()
        try:
            until(lambda: {each.process for each in requests} == set(range(PROCESSES)))
            before = diary.note("before the revocation")
            with apis.database.transaction() as session:
                revoke(session, serial, "key_compromise", datetime.now(UTC))
            diary.note(REVOKED)
            with apis.database.transaction() as session:
                session.execute(text("SELECT pg_sleep(1)"))
            later = diary.note(A_SECOND_LATER)
            until(lambda: {each.process for each in requests if each.sent > later} == set(range(PROCESSES)))
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert diary.entries.index(REVOKED) < diary.entries.index(A_SECOND_LATER)
    for number in range(PROCESSES):
        mine = [each for each in requests if each.process == number]
        assert {each.socket for each in mine} == {mine[0].socket}
        # The last that was sent before may have met the revocation on its way.
        early = [each.status for each in mine if each.sent < before]
        assert early[0] == 200
        assert set(early[:-1]) <= {200}
        # Sent a second after: refused, all of them.
        assert {each.status for each in mine if each.sent > later} == {401}
        # Once refused it stays refused.
        statuses = [each.status for each in mine]
        assert statuses == sorted(statuses)


def test_a_key_that_is_revoked_gets_no_token_from_any_process(apis: Apis) -> None:
    known, serial = apis.enrol()
    grant = {"grant_type": "client_credentials", "client_id": CENTRE}
    with ExitStack() as stack:
        clients = [stack.enter_context(apis.client(number, known)) for number in range(PROCESSES)]
        assert [client.post("/v1/oauth/token", data=grant).status_code for client in clients] == [200] * 3
        with apis.database.transaction() as session:
            revoke(session, serial, "superseded", datetime.now(UTC))
        # At once: what gives tokens believes nothing.
        answers = [client.post("/v1/oauth/token", data=grant) for client in clients]
        assert [answer.status_code for answer in answers] == [401] * 3
        assert {answer.json()["error"] for answer in answers} == {"invalid_client"}
