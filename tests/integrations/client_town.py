"""An API over TLS on the loopback, and clients that prove themselves to it by their keys."""

import http.client
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import Depends, Request

from foundation.client_keys import ClientCertificate
from foundation.confirmation import show_signature
from foundation.database import Database
from foundation.http import authenticated, create_app
from foundation.http_tokens import token_router
from foundation.identity import Caller, Identity, Terms
from foundation.secret import Secret
from foundation.settings import Platform, Settings
from foundation.tls import Contexts
from integrations.centres.authority import Authority
from integrations.centres.certificates import Certificates, revoke
from integrations.entrypoints import authority as authority_face
from tests.integrations.centre_keys import (
    Answer,
    Files,
    PrivateKey,
    assertion,
    curl,
    files,
    material,
    new_key,
    request_for,
    served_over_tls,
)

NOW = datetime.now(UTC)
ENDPOINT = "https://api.example.sa/v1/oauth/token"
GRANT = "grant_type=client_credentials"
SIGNED_BY = "X-Test-Signed-By"


@dataclass
class Known:
    """A client with a certificate."""

    client_id: str
    key: PrivateKey
    certificate: ClientCertificate
    files: Files
    secret: Secret


@dataclass
class Town:
    """An API over TLS, the clients it knows, and the folder they keep their keys in."""

    database: Database
    identity: Identity
    authority: Authority
    folder: Path
    terms: dict[str, Terms] = field(default_factory=dict)
    port: int = 0

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def trusted(self) -> Path:
        return self.folder / "trusted.pem"

    def client(self, client_id: str, key: PrivateKey | None = None) -> Known:
        own = key or new_key()
        with self.database.transaction() as session:
            secret = self.identity.add_client(session, client_id, ["centre"], client_id)
            made = self._certified(session, client_id, own)
        return Known(client_id, own, made, files(self.folder, own, made), secret)

    def another(self, known: Known) -> Known:
        """The same client with a second key and certificate."""
        own = new_key()
        with self.database.transaction() as session:
            made = self._certified(session, known.client_id, own)
        return Known(known.client_id, own, made, files(self.folder, own, made), known.secret)

    def _certified(self, session: Any, client_id: str, key: PrivateKey) -> ClientCertificate:
        return Certificates(self.authority).issue(session, client_id, request_for(key), datetime.now(UTC))

    def revoke(self, known: Known) -> None:
        with self.database.transaction() as session:
            revoke(session, known.certificate.serial, "key_compromise", datetime.now(UTC))

    def ask(self, *data: str, known: Known | None = None) -> Answer:
        """Ask for a token with curl; each of `data` is a field of the form."""
        words = [word for each in data for word in ("--data-urlencode", each)]
        url = f"{self.url}/v1/oauth/token"
        return curl(url, self.trusted, *words, known=known.files if known else None)

    def token(self, known: Known) -> str:
        """A token that is bound to the client's certificate."""
        answer = self.ask(GRANT, f"client_id={known.client_id}", known=known)
        assert answer.status == 200, answer.body
        return str(answer.json["access_token"])

    def token_by_assertion(self, known: Known) -> str:
        """A token that is bound to the client's key."""
        made = self.identity.token_by_assertion(assertion(known.key, known.client_id, ENDPOINT), [ENDPOINT])
        return made.token.reveal()

    def me(self, token: str, known: Known | None = None, *more: str) -> Answer:
        """Use a token with curl."""
        own = known.files if known else None
        return curl(f"{self.url}/me", self.trusted, "-H", f"Authorization: Bearer {token}", *more, known=own)

    def socket(self, known: Known) -> http.client.HTTPSConnection:
        """A connection that is kept."""
        context = ssl.create_default_context(cafile=str(self.trusted))
        context.load_cert_chain(known.files.certificate, known.files.key)
        return http.client.HTTPSConnection("localhost", self.port, context=context)


def get(connection: http.client.HTTPSConnection, token: str) -> int:
    connection.request("GET", "/me", headers={"Authorization": f"Bearer {token}"})
    response = connection.getresponse()
    response.read()
    return response.status


@contextmanager
def open_town(database: Database, folder: Path) -> Iterator[Town]:
    """The API, served for as long as the block lasts."""
    settings = Settings(platform=Platform(folder=folder / "platform"))
    secrets = settings.secrets()
    authority = Authority(settings, secrets)
    terms: dict[str, Terms] = {}
    identity = Identity(
        database, secrets, 600, cache_s=0, terms=lambda _session, client_id: terms.get(client_id, Terms())
    )
    app = create_app("Test", max_body=10_000)
    app.include_router(token_router(identity, [ENDPOINT], by_certificate=True))
    app.include_router(authority_face.router(Certificates(authority), database))

    # Stands for whoever verifies signatures of requests: what it says is in the scope, and in no header that
    # the rest of the application reads.
    @app.middleware("http")
    async def signatures(request: Request, go_on: Any) -> Any:
        if SIGNED_BY in request.headers:
            show_signature(request.scope, request.headers[SIGNED_BY])
        return await go_on(request)

    @app.get("/me")
    def me(caller: Caller = Depends(authenticated(identity, "centre"))) -> dict[str, str]:  # noqa: B008
        return {"name": caller.name}

    (folder / "trusted.pem").write_text(authority.certificate_pem())
    with served_over_tls(app, Contexts(lambda: material(authority))) as port:
        yield Town(database, identity, authority, folder, terms, port)


def refused(answer: Answer, error: str, saying: str, status: int = 401) -> None:
    assert answer.status == status, answer.body
    assert answer.json["error"] == error
    assert saying in answer.json["error_description"], answer.body


def shut_out(answer: Answer, saying: str) -> None:
    assert answer.status == 401, answer.body
    assert answer.json["type"] == "urn:rakeeza:problem:not-authenticated"
    assert saying in answer.json["detail"], answer.body
    assert answer.json["detail_ar"]


def form(fields: dict[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in fields.items()]
