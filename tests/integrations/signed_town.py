"""A town with private centres that sign: the API on a real server, and a route that shows what it knows."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from fastapi import Depends, FastAPI, Request

from console.bootstrap import declared_roles
from foundation import witness
from foundation.caller import Caller
from foundation.definitions import Bilingual
from foundation.http import TOKEN_PATH, authenticated, create_app
from foundation.http_tokens import token_router
from foundation.identity import Identity
from foundation.secret import SecretFile
from foundation.wire.content_digest import content_digest
from foundation.wire.http_signature import Message, asked, sign
from integrations import contracts
from integrations.centres.authority import Authority
from integrations.centres.certificates import Certificates
from integrations.centres.contract import Contract, Delegated
from integrations.centres.terms import terms_of
from integrations.entrypoints import rest
from integrations.entrypoints.rest.signatures import Signatures
from integrations.entrypoints.soap.app import SoapFace
from integrations.entrypoints.soap.security import Centres
from tests.clients.python.centre_client import CentreAuth
from tests.foundation.http_face import refusal, served
from tests.integrations.desk import ADMINISTRATOR, Desk

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

CODE, OTHER, AMAL = "centre-7", "centre-8", "amal"
BRANCH, DEVICE = "mall", "counter-1"
PROBE = "/v1/probe"
MAX_BODY, MAX_FILE = 20_000, 60_000


@dataclass
class Clerk:
    """A clerk's key and its thumbprint."""

    id: str
    key: ec.EllipticCurvePrivateKey
    thumbprint: str


@dataclass
class Kit:
    """What a centre holds.

    Args:
        thumbprint: of its certificate.
    """

    code: str
    key: PrivateKey
    certificate: bytes
    thumbprint: str
    serial: str
    clerks: dict[str, Clerk] = field(default_factory=dict)


@dataclass
class Town:
    """The town.

    Args:
        http: speaks with the server, without a token.
        kits: of each centre.
    """

    desk: Desk
    identity: Identity
    authority: Authority
    app: FastAPI
    url: str
    http: httpx.Client
    kits: dict[str, Kit] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)

    def add_centre(self, code: str, key: PrivateKey | None = None) -> Kit:
        """A centre with a contract for the shop licence, a certificate, a device and the clerk `amal`."""
        centres = self.desk.licensing.centres
        contract = Contract(
            reference=f"{code}/1",
            first_day=date(2020, 1, 1),
            last_day=date(2099, 12, 31),
            services={"shop_licence": Delegated()},
            branches={BRANCH: Bilingual(ar="المجمع", en="The mall")},
        )
        title = Bilingual(ar="مركز خدمة", en=code)
        centres.add(
            ADMINISTRATOR,
            code,
            title,
            contract,
            lambda session: self.identity.add_client(session, code, ("centre",), code),
        )
        centres.add_device(ADMINISTRATOR, code, DEVICE, BRANCH, "Counter 1")
        kit = self.certify(code, key or ec.generate_private_key(ec.SECP256R1()))
        self.add_clerk(kit, AMAL)
        self.kits[code] = kit
        return kit

    def certify(self, code: str, key: PrivateKey) -> Kit:
        """A certificate for a client's key."""
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, code)])
        request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
        pem = request.public_bytes(Encoding.PEM).decode()
        with self.desk.database.transaction() as session:
            row = Certificates(self.authority).issue(session, code, pem, datetime.now(UTC))
            return Kit(code, key, row.to_pem().encode(), row.thumbprint, row.serial)

    def add_clerk(self, kit: Kit, clerk: str) -> Clerk:
        """A clerk with a key."""
        self.desk.licensing.centres.add_clerk(ADMINISTRATOR, kit.code, clerk, "أمل بنت محمد", BRANCH)
        key = ec.generate_private_key(ec.SECP256R1())
        thumbprint = self.desk.licensing.centres.enrol_key(ADMINISTRATOR, kit.code, clerk, public_pem(key))
        kit.clerks[clerk] = Clerk(clerk, key, thumbprint)
        return kit.clerks[clerk]

    def auth(self, kit: Kit, clerk: str | None = AMAL) -> CentreAuth:
        """The reference client's signer."""
        clerk_key = pem(kit.clerks[clerk].key) if clerk else None
        return CentreAuth(self.url, kit.code, pem(kit.key), kit.certificate, clerk_key)

    def token(self, kit: Kit) -> str:
        """A token bound to a centre's key, asked for once."""
        if kit.code not in self.tokens:
            answer = self.http.send(next(self.auth(kit).auth_flow(httpx.Request("GET", self.url))))
            assert answer.status_code == 200, answer.text
            self.tokens[kit.code] = answer.json()["access_token"]
        return self.tokens[kit.code]

    def request(
        self,
        kit: Kit,
        method: str,
        path: str = PROBE,
        content: bytes = b"",
        base: str = "",
        **headers: str,
    ) -> httpx.Request:
        """A request with its token and digest, not signed; `base` is another address of the server."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        told = {"Authorization": f"Bearer {self.token(kit)}", **named}
        if method not in ("GET", "HEAD"):
            told.setdefault("Content-Digest", content_digest(content))
        if content:
            told.setdefault("Content-Type", "application/json")
        return self.http.build_request(
            method, (base or self.url) + path, headers=told, content=content or None
        )


WRITE = ("@method", "@target-uri", "authorization", "content-digest")
KEYED = (*WRITE, "idempotency-key")
READ = WRITE[:3]


def add_signature(
    request: httpx.Request,
    label: str,
    key: PrivateKey,
    keyid: str,
    names: Sequence[str] = WRITE,
    /,
    **said: Any,
) -> httpx.Request:
    """Sign a request as it stands; `said` replaces what the signature says, None leaves it out."""
    now = datetime.now(UTC)
    told: dict[str, Any] = {
        "created": now,
        "expires": now + timedelta(seconds=120),
        "nonce": secrets.token_hex(16),
        "keyid": keyid,
        "alg": "ecdsa-p256-sha256" if isinstance(key, ec.EllipticCurvePrivateKey) else "rsa-v1_5-sha256",
        **said,
    }
    message = Message(request.method, str(request.url), request.headers.multi_items())
    for name, value in sign(message, label, asked(names, **told), key).items():
        before = request.headers.get(name)
        request.headers[name] = f"{before}, {value}" if before else value
    return request


def signed(
    request: httpx.Request,
    kit: Kit,
    names: Sequence[str] = WRITE,
    *,
    clerk: Clerk | None = None,
    centre_says: Mapping[str, Any] | None = None,
    clerk_says: Mapping[str, Any] | None = None,
) -> httpx.Request:
    """Sign a request as a centre and its clerk."""
    by = clerk or kit.clerks[AMAL]
    add_signature(request, "centre", kit.key, kit.thumbprint, names, **(centre_says or {}))
    return add_signature(request, "clerk", by.key, by.thumbprint, names, **(clerk_says or {}))


def refused(town: Town, request: httpx.Request, kind: str, status: int = 403) -> dict[str, Any]:
    """The document of a refused request, which says why in both languages."""
    document = refusal(town.http.send(request), status, kind)
    assert document["detail"]
    assert document["detail_ar"]
    return document


def taken(town: Town, request: httpx.Request) -> dict[str, Any]:
    """What a request that is taken is answered."""
    response = town.http.send(request)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def pem(key: PrivateKey) -> bytes:
    """A private key as a file has it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(key: PrivateKey) -> bytes:
    """The public half of a key as a file has it."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@contextmanager
def open_town(desk: Desk) -> Iterator[Town]:
    """The town of an office, served on a port of its own; its clock stands near the real one."""
    desk.now.append(datetime.now(UTC))
    folder = desk.settings.platform.folder
    kept = SecretFile(folder / "secrets.json", folder / "secrets.key")
    roles = declared_roles(desk.licensing.services)
    identity = Identity(desk.database, kept, 600, roles=roles, cache_s=0.0, terms=terms_of())
    app = create_app("Rakeeza", max_body=MAX_BODY, max_file=MAX_FILE, one_by_one=True)
    vault = desk.licensing.desk.office.vault
    app.add_middleware(
        SoapFace,
        authenticator=Centres(desk.database, vault, terms_of(), identity.caller),
        public_url=None,
        most_message=MAX_BODY,
        most_package=MAX_FILE,
    )
    # The port is known when the server runs.
    endpoints: list[str] = []
    app.include_router(token_router(identity, endpoints))
    app.include_router(rest.router(desk.licensing, identity))
    witness.call(app, Signatures(desk.database))
    contracts.describe(app)
    _add_probe(app, identity)
    authority = Authority(desk.settings, kept)
    with served(app) as url, httpx.Client(timeout=60) as http:
        endpoints.append(url + TOKEN_PATH)
        yield Town(desk, identity, authority, app, url, http)


def _add_probe(app: FastAPI, identity: Identity) -> None:
    anyone, again = Depends(authenticated(identity)), Depends(authenticated(identity))

    @app.post(PROBE)
    def post(body: dict[str, Any], caller: Caller = anyone, same: Caller = again) -> dict[str, Any]:
        assert (same.clerk, same.proof) == (caller.clerk, caller.proof)
        return {"body": body, "clerk": caller.clerk, "proof": caller.proof}

    @app.put(PROBE)
    async def put(request: Request, caller: Caller = anyone) -> dict[str, Any]:
        return {"size": len(await request.body()), "clerk": caller.clerk, "proof": caller.proof}

    @app.delete(PROBE)
    def delete(caller: Caller = anyone) -> dict[str, Any]:
        return {"clerk": caller.clerk, "proof": caller.proof}

    @app.get(PROBE)
    def get(caller: Caller = anyone) -> dict[str, Any]:
        return {"name": caller.name, "clerk": caller.clerk, "proof": caller.proof}
