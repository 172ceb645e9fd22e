"""Three processes of the API over one database, and a centre that is connected to all of them."""

import ssl
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx

from foundation.database import Database
from foundation.identity import Identity
from foundation.settings import Settings
from integrations.centres.authority import Authority
from integrations.centres.certificates import Certificates
from tests.integrations.centre_keys import Files, files, new_key, request_for
from tests.processes import PATIENCE

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

    def enrol(self, centre: str = CENTRE) -> tuple[Files, str]:
        """A centre's key and certificate, and the serial."""
        secrets, key = self.settings.secrets(), new_key()
        with self.database.transaction() as session:
            Identity(self.database, secrets, 600).add_client(session, centre, ["centre"], centre)
            certificates = Certificates(Authority(self.settings, secrets))
            made = certificates.issue(session, centre, request_for(key), datetime.now(UTC))
        return files(self.folder, key, made), made.serial

    def client(self, number: int, known: Files) -> httpx.Client:
        context = ssl.create_default_context(cafile=str(self.trusted))
        context.load_cert_chain(known.certificate, known.key)
        limits = httpx.Limits(max_connections=1, keepalive_expiry=None)
        url = f"https://localhost:{self.ports[number]}"
        return httpx.Client(base_url=url, verify=context, timeout=PATIENCE, limits=limits)


def token_of(client: httpx.Client, centre: str = CENTRE) -> str:
    grant = {"grant_type": "client_credentials", "client_id": centre}
    answer = client.post("/v1/oauth/token", data=grant)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["access_token"])
