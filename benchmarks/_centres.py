"""Service centres for benchmarks: enrolled as an administrator does it, and signing on both faces as they do.

Requests come out as octets, so that signing them is no part of what is timed.
"""

import base64
import hashlib
import json
import secrets
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from lxml import etree

from benchmarks._http_load import request
from console.bootstrap import Platform, open_platform
from foundation.caller import Caller
from foundation.client_assertion import ASSERTION_TYPE
from foundation.definitions import Bilingual
from foundation.settings import load
from foundation.wire.content_digest import content_digest
from foundation.wire.http_signature import Message, asked, sign
from integrations.centres.contract import Contract, Delegated
from integrations.contracts.binding import request_text
from integrations.contracts.names import by_id
from integrations.entrypoints.soap.app import PATH
from integrations.soap_client import signing
from integrations.ws_security import names

_ADMINISTRATOR = Caller("bench", "person", frozenset({"administrator"}))
_BRANCH = "mall"
_HOLDS = timedelta(seconds=280)
_COVERED = ("@method", "@target-uri", "authorization", "content-digest", "idempotency-key")


@dataclass(frozen=True)
class Clerk:
    """A clerk: the key that he signs with over REST, the secret that he proves himself by over SOAP."""

    id: str
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    thumbprint: str
    secret: str = field(repr=False)


@dataclass
class Centre:
    """A centre with its certificate and clerks.

    Args:
        certificate: DER.
        token: for REST; asked for by `sign_in`.
    """

    code: str
    key: ec.EllipticCurvePrivateKey = field(repr=False)
    certificate: bytes = field(repr=False)
    clerks: list[Clerk]
    port: int = 0
    token: str = field(default="", repr=False)

    @property
    def base(self) -> str:
        """Address of the API."""
        return f"http://127.0.0.1:{self.port}"

    def sign_in(self, port: int) -> None:
        """Ask for a token under its key."""
        self.port = port
        now, url = int(datetime.now(UTC).timestamp()), f"{self.base}/v1/oauth/token"
        claims = {"iss": self.code, "sub": self.code, "aud": url, "jti": uuid.uuid4().hex}
        assertion = jwt.encode({**claims, "iat": now, "exp": now + 60}, self.key, algorithm="ES256")
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion,
        }
        self.token = httpx.post(url, data=form, timeout=60).raise_for_status().json()["access_token"]

    def by_rest(self, clerk: Clerk, method: str, path: str, body: Any = None) -> bytes:
        """A request of REST that the centre and its clerk sign."""
        content = b"" if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self.token}"}
        covered = list(_COVERED[:3])
        if method != "GET":
            headers["Content-Digest"] = content_digest(content)
            headers["Idempotency-Key"] = str(uuid.uuid4())
            covered = list(_COVERED)
        message = Message(method, self.base + path, list(headers.items()))
        now = datetime.now(UTC)
        thumbprint = hashlib.sha256(self.certificate).hexdigest()
        signers = [("centre", self.key, thumbprint), ("clerk", clerk.key, clerk.thumbprint)]
        made = [
            sign(
                message,
                label,
                asked(
                    covered,
                    created=now,
                    expires=now + _HOLDS,
                    nonce=secrets.token_hex(16),
                    alg="ecdsa-p256-sha256",
                    keyid=keyid,
                ),
                key,
            )
            for label, key, keyid in signers
        ]
        for name in ("Signature-Input", "Signature"):
            headers[name] = ", ".join(each[name] for each in made)
        if content:
            headers["Content-Type"] = "application/json"
        return request(path, content, headers, self.port, method)

    def by_soap(
        self, clerk: Clerk, operation: str, parameters: dict[str, str] | None = None, body: Any = None
    ) -> bytes:
        """A message of SOAP 1.1 that the centre signs, with the clerk's UsernameToken."""
        said = by_id()[operation]
        given = dict(parameters or {})
        if any(each.element == "idempotencyKey" for each in said.parameters):
            given["idempotencyKey"] = str(uuid.uuid4())
        content = None if body is None else json.dumps(body).encode()
        text = request_text(said, given, content)
        soap = names.SOAP_11
        root = etree.fromstring(f'<s:Envelope xmlns:s="{soap}"><s:Body>{text}</s:Body></s:Envelope>'.encode())
        now = datetime.now(UTC)
        signing.sign(root, signing.SigningKey(self.key, self.certificate), now)
        security = root.find(f"{{{soap}}}Header/{names.SECURITY}")
        assert security is not None
        _name(security, f"{clerk.id}@{self.code}", clerk.secret, now)
        headers = {"Content-Type": "text/xml; charset=utf-8", "SOAPAction": f'"{said.action}"'}
        return request(PATH, etree.tostring(root), headers, self.port)


def _name(security: etree._Element, username: str, secret: str, at: datetime) -> None:
    created = at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    nonce = secrets.token_bytes(16)
    digest = hashlib.sha1(nonce + created.encode() + secret.encode(), usedforsecurity=False).digest()
    token = etree.SubElement(security, names.USERNAME_TOKEN)
    etree.SubElement(token, f"{{{names.WSSE}}}Username").text = username
    password = etree.SubElement(token, f"{{{names.WSSE}}}Password", Type=names.PASSWORD_DIGEST)
    password.text = base64.b64encode(digest).decode()
    kept = etree.SubElement(token, f"{{{names.WSSE}}}Nonce", EncodingType=names.BASE64)
    kept.text = base64.b64encode(nonce).decode()
    etree.SubElement(token, f"{{{names.WSU}}}Created").text = created


def enrol(settings: Path, codes: Sequence[str], clerks: int) -> list[Centre]:
    """Keep centres with a contract for the shop licence, a certificate, and so many clerks each.

    Args:
        settings: file of the platform.
        codes: of the centres; none is known yet.
    """
    with open_platform(load(settings), "bench") as platform:
        return [_enrolled(platform, code, clerks) for code in codes]


def _enrolled(platform: Platform, code: str, clerks: int) -> Centre:
    desk = platform.licensing.centres
    contract = Contract(
        reference=f"{code}/1",
        first_day=date(2020, 1, 1),
        last_day=date(2099, 12, 31),
        services={"shop_licence": Delegated()},
        branches={_BRANCH: Bilingual(ar="المجمع", en="The mall")},
    )
    desk.add(
        _ADMINISTRATOR,
        code,
        Bilingual(ar="مركز خدمة", en=code),
        contract,
        lambda session: platform.identity.add_client(session, code, ("centre",), code),
    )
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, code)])
    signed = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    pem = desk.certify(
        _ADMINISTRATOR,
        code,
        signed.public_bytes(Encoding.PEM).decode(),
        platform.certificates,
        revoke_others=False,
    )
    certificate = x509.load_pem_x509_certificate(pem.encode()).public_bytes(Encoding.DER)
    found = []
    for number in range(1, clerks + 1):
        clerk = f"clerk-{number}"
        _, secret = desk.add_clerk(_ADMINISTRATOR, code, clerk, "أمل بنت محمد", _BRANCH)
        own = ec.generate_private_key(ec.SECP256R1())
        public = own.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        thumbprint = desk.enrol_key(_ADMINISTRATOR, code, clerk, public)
        found.append(Clerk(clerk, own, thumbprint, secret.reveal()))
    return Centre(code, key, certificate, found)


def number_in(answer: bytes) -> str:
    """The number of the case that an answer is about, on either face.

    Raises:
        RuntimeError: it is about none.
    """
    if answer.startswith(b"{"):
        return str(json.loads(answer)["number"])
    _, opened, rest = answer.partition(b"<number>")
    if not opened:
        raise RuntimeError(f"no case: {answer[:300]!r}")
    return rest.partition(b"</number>")[0].decode()
