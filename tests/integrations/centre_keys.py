"""Keys, requests and certificates of centres as a centre makes them, and curl and openssl that use them."""

import asyncio
import base64
import json
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
import uvicorn
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from starlette.types import ASGIApp

from foundation.client_assertion import ASSERTION_TYPE
from foundation.client_keys import ClientCertificate
from foundation.tls import Contexts, Material, Protocol, abandon
from integrations.centres.authority import Authority
from tests.processes import PATIENCE

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey
HERE = ("localhost", "127.0.0.1")


@dataclass(frozen=True)
class Files:
    """A key and its certificate, as files.

    Args:
        key: PEM.
        certificate: PEM.
    """

    key: Path
    certificate: Path


@dataclass(frozen=True)
class Answer:
    """What curl got: exit code, status, body, and what it complained of."""

    code: int
    status: int
    body: str
    complaint: str

    @property
    def json(self) -> dict[str, Any]:
        """The body."""
        found: dict[str, Any] = json.loads(self.body)
        return found


def new_key() -> ec.EllipticCurvePrivateKey:
    """A key on P-256."""
    return ec.generate_private_key(ec.SECP256R1())


def request_for(key: PrivateKey, name: str = "whatever the centre calls itself") -> str:
    """A request for a certificate of a key, PEM."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def files(folder: Path, key: PrivateKey, certificate: ClientCertificate | x509.Certificate) -> Files:
    """A key and its certificate in files of their own."""
    name = uuid.uuid4().hex
    pem = (
        certificate.to_pem()
        if isinstance(certificate, ClientCertificate)
        else certificate.public_bytes(Encoding.PEM).decode()
    )
    written = Files(folder / f"{name}.key", folder / f"{name}.pem")
    written.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    written.certificate.write_text(pem)
    return written


def assertion(key: PrivateKey, client_id: str, audience: Any, *, header: Any = None, **changes: Any) -> str:
    """An assertion that a client signs; `changes` replace claims, None takes one out."""
    now = int(time.time())
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "jti": uuid.uuid4().hex,
        "iat": now,
        "exp": now + 60,
        **changes,
    }
    algorithm = "ES256" if isinstance(key, ec.EllipticCurvePrivateKey) else "PS256"
    said = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(said, key, algorithm=algorithm, headers=header)


def unsigned(claims: Mapping[str, Any], algorithm: str = "none") -> str:
    """A token that says it needs no signature."""
    return f"{part({'alg': algorithm, 'typ': 'JWT'})}.{part(claims)}."


def part(content: Any) -> str:
    """A part of a token."""
    return base64.urlsafe_b64encode(json.dumps(content).encode()).rstrip(b"=").decode()


def asserted(text: str, **more: str) -> dict[str, str]:
    """The form that asks for a token by an assertion."""
    return {
        "grant_type": "client_credentials",
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": text,
        **more,
    }


def curl(url: str, trusted: Path, *arguments: str, known: Files | None = None) -> Answer:
    """What curl gets at a URL, with a client certificate or without."""
    own = ("--cert", str(known.certificate), "--key", str(known.key)) if known else ()
    command = ["curl", "-sS", "--cacert", str(trusted), *own, "-w", "\n%{http_code}", *arguments, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    body, _, status = done.stdout.rpartition("\n")
    return Answer(done.returncode, int(status or 0), body, done.stderr)


def openssl(*arguments: str, text: str = "") -> "subprocess.CompletedProcess[str]":
    """Run openssl, and leave its exit code to the caller."""
    return subprocess.run(
        ["openssl", *arguments], input=text, capture_output=True, text=True, timeout=PATIENCE, check=False
    )


@contextmanager
def served_over_tls(app: ASGIApp, contexts: Contexts) -> Iterator[int]:
    """An application over TLS on a port of its own of the loopback; the port."""
    config = uvicorn.Config(
        app,
        http=Protocol,
        loop="uvloop",
        log_config=None,
        lifespan="off",
        timeout_graceful_shutdown=1,
        server_header=False,
        ssl_context_factory=lambda _config, _default: contexts.context,
    )
    server, listening = uvicorn.Server(config), socket.create_server(("127.0.0.1", 0))

    async def serve() -> None:
        await server.serve([listening])
        abandon(server)
        await asyncio.sleep(0)

    def run() -> None:
        with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
            runner.run(serve())

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield int(listening.getsockname()[1])
    finally:
        server.should_exit = True
        thread.join()
        listening.close()


def material(authority: Authority) -> Material:
    """What a server of these tests makes TLS with."""
    return Material(authority.server_pem(HERE, datetime.now(UTC)), authority.certificate_pem(), "the test")
