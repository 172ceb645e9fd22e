"""How the checks speak with a server: as a centre and its clerk, or wrongly on purpose."""

import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from foundation.client_keys import thumbprint
from foundation.errors import InvalidInput, NotAuthenticated
from foundation.secret import Secret
from foundation.wire.content_digest import content_digest
from foundation.wire.http_signature import ECDSA, RSA, Message, asked, sign
from integrations.centres.conformance.exchanges import Exchanges
from integrations.soap_client.signing import SigningKey

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

READ = ("@method", "@target-uri", "authorization")
WRITE = (*READ, "content-digest")
_WHERE_SENT = ("idempotency-key", "if-match", "centre-device")
TIMEOUT = 30.0  # seconds
_HOLDS = timedelta(seconds=120)
_TOKEN_PATH = "/v1/oauth/token"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_CLERK = re.compile(r"[a-z][a-z0-9._-]{0,31}")
_LONGEST_SECRET = 1_000  # characters


@dataclass(frozen=True)
class Signer:
    """A key, and how signatures name it."""

    key: PrivateKey
    keyid: str

    @property
    def alg(self) -> str:
        """How it signs."""
        return RSA if isinstance(self.key, rsa.RSAPrivateKey) else ECDSA


@dataclass(frozen=True)
class SoapClerk:
    """Whom a UsernameToken names.

    Args:
        id: of the clerk within the centre, "amal".
        secret: that the municipality gave him for SOAP.
    """

    id: str
    secret: Secret


@dataclass(frozen=True)
class Credentials:
    """What a test centre has.

    Args:
        centre: its code.
        by_xml: the centre's key, as it signs what goes by SOAP.
        device: at which the clerk acts, where the contract asks for one.
        soap_clerk: without one nothing is written by SOAP.
        application: of a service that the contract delegates, as `POST /v1/cases` takes it; with it, cases
            are opened.
    """

    centre: str
    by_centre: Signer
    by_clerk: Signer
    by_xml: SigningKey
    device: str | None = None
    soap_clerk: SoapClerk | None = None
    application: Mapping[str, Any] | None = None


def credentials(
    centre: str,
    key: bytes,
    certificate: bytes,
    clerk_key: bytes,
    device: str | None = None,
    soap_clerk: SoapClerk | None = None,
    application: Mapping[str, Any] | None = None,
) -> Credentials:
    """The credentials in a developer's files.

    Args:
        key, certificate, clerk_key: PEM.

    Raises:
        InvalidInput: one of the files is none of these, or the key is not the certificate's.
    """
    own, clerk = _key(key, "--key"), _key(clerk_key, "--clerk-key")
    try:
        shown = x509.load_pem_x509_certificate(certificate)
    except ValueError as error:
        raise InvalidInput(
            f"The certificate cannot be read: {error}.", place="--certificate", remedy="Give a PEM file."
        ) from error
    if not isinstance(clerk, ec.EllipticCurvePrivateKey):
        raise InvalidInput("A clerk's key is P-256.", place="--clerk-key", remedy="Make one, and enrol it.")
    if own.public_key() != shown.public_key():
        raise InvalidInput(
            "The certificate is not one of the centre's key.", remedy="Give the two that belong together."
        )
    public = clerk.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    der = shown.public_bytes(Encoding.DER)
    return Credentials(
        centre,
        Signer(own, thumbprint(der)),
        Signer(clerk, thumbprint(public)),
        SigningKey(own, der),
        device,
        soap_clerk,
        application,
    )


def soap_clerk(id: str, secret: str) -> SoapClerk:
    """The clerk of the SOAP face, with the secret in a developer's file.

    Raises:
        InvalidInput: it is no name of a clerk, or no secret.
    """
    if not _CLERK.fullmatch(id):
        raise InvalidInput(
            f"{id!r} is no name of a clerk.", place="--clerk", remedy='Give it without the centre, as "amal".'
        )
    bare = secret.strip()
    if not bare or len(bare) > _LONGEST_SECRET or len(bare.split()) != 1:
        raise InvalidInput(
            "The file holds no secret of one word.",
            place="--clerk-secret-file",
            remedy="Put into it what the municipality gave the clerk for SOAP, and nothing else.",
        )
    return SoapClerk(id, Secret(bare))


def _key(pem: bytes, place: str) -> PrivateKey:
    try:
        found = load_pem_private_key(pem, None)
    except (ValueError, TypeError) as error:
        raise InvalidInput(
            f"The key cannot be read: {str(error).partition('.')[0]}.",
            place=place,
            remedy="Give a PEM file without a passphrase.",
        ) from error
    curved = isinstance(found, ec.EllipticCurvePrivateKey) and isinstance(found.curve, ec.SECP256R1)
    if not curved and not isinstance(found, rsa.RSAPrivateKey):
        raise InvalidInput("The key is neither P-256 nor RSA.", place=place, remedy="Make one of these.")
    assert isinstance(found, PrivateKey)
    return found


class Server:
    """The server that is checked.

    Args:
        url: of the API, without a path.
        http: speaks with it; it follows no redirects. What it sends from now on is kept.
        clock: the present moment, aware.
    """

    def __init__(
        self,
        url: str,
        known: Credentials,
        http: httpx.Client | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.netloc or parts.path.strip("/"):
            raise InvalidInput(
                f"{url!r} is no address of an API.", remedy='Give it as "https://licences.example.sa".'
            )
        self.url = f"{parts.scheme}://{parts.netloc}"
        self.credentials = known
        self.http = http or httpx.Client(timeout=TIMEOUT)
        self.now = clock
        self.exchanges = Exchanges()
        self.exchanges.watch(self.http)

    @cached_property
    def token(self) -> str:
        """A token, asked for once; see `new_token`."""
        return self.new_token()

    def new_token(self) -> str:
        """A token, asked for under the centre's key.

        Raises:
            NotAuthenticated: the server gives none, and what it says.
        """
        answer = self.http.post(self.url + _TOKEN_PATH, data=self.assertion())
        if answer.status_code != 200:
            raise NotAuthenticated(
                f"The server gave no token: {answer.status_code} {_said(answer)}",
                remedy="Is the certificate the last one, --centre its code, and the centre active?",
            )
        try:
            return str(answer.json()["access_token"])
        except (ValueError, TypeError, KeyError) as error:
            raise NotAuthenticated(
                "The server's answer holds no access_token (RFC 6749, section 5.1).",
                remedy="Tell the municipality; this is the server's fault.",
            ) from error

    def assertion(self, **changes: Any) -> dict[str, str]:
        """The form that asks for a token; `changes` replace claims."""
        now, signer = int(self.now().timestamp()), self.credentials.by_centre
        claims = {
            "iss": self.credentials.centre,
            "sub": self.credentials.centre,
            "aud": self.url + _TOKEN_PATH,
            "jti": secrets.token_hex(16),
            "iat": now,
            "exp": now + int(_HOLDS.total_seconds()),
            **changes,
        }
        algorithm = "RS256" if isinstance(signer.key, rsa.RSAPrivateKey) else "ES256"
        return {
            "grant_type": "client_credentials",
            "client_assertion_type": _ASSERTION,
            "client_assertion": jwt.encode(claims, signer.key, algorithm=algorithm),
        }

    def request(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Request:
        """A request with its token and digest, not signed.

        Args:
            body: JSON, or bytes as they are; None is an empty one.
            headers: more of them, with underscores for hyphens.
        """
        content = body if isinstance(body, bytes) else _written(body)
        told = {"Authorization": f"Bearer {self.token}"}
        if method != "GET":
            told |= {"Content-Digest": content_digest(content), "Idempotency-Key": secrets.token_hex(16)}
        if self.credentials.device is not None:
            told["Centre-Device"] = self.credentials.device
        if content:
            told["Content-Type"] = "application/json"
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.build_request(method, self.url + path, headers=told, content=content or None)

    def signed(
        self,
        request: httpx.Request,
        *,
        leave_out: Sequence[str] = (),
        centre: Mapping[str, Any] | None = None,
        clerk: Mapping[str, Any] | None = None,
        clerk_signer: Signer | None = None,
    ) -> httpx.Request:
        """A request signed by both.

        Args:
            leave_out: parts that are not covered.
            centre, clerk: what their signatures say otherwise.
            clerk_signer: signs for the clerk.
        """
        known = self.credentials
        self.by_one("centre", request, known.by_centre, leave_out, centre or {})
        return self.by_one("clerk", request, clerk_signer or known.by_clerk, leave_out, clerk or {})

    def by_one(
        self,
        label: str,
        request: httpx.Request,
        signer: Signer,
        leave_out: Sequence[str] = (),
        says: Mapping[str, Any] | None = None,
    ) -> httpx.Request:
        """A request with one more signature."""
        always = READ if request.method == "GET" else WRITE
        names = [*always, *(name for name in _WHERE_SENT if name in request.headers)]
        now = self.now()
        told: dict[str, Any] = {
            "created": now,
            "expires": now + _HOLDS,
            "nonce": secrets.token_hex(16),
            "keyid": signer.keyid,
            "alg": signer.alg,
            **(says or {}),
        }
        covered = asked([name for name in names if name not in leave_out], **told)
        message = Message(request.method, str(request.url), request.headers.multi_items())
        for name, value in sign(message, label, covered, signer.key).items():
            before = request.headers.get(name)
            request.headers[name] = f"{before}, {value}" if before else value
        return request

    def send(self, request: httpx.Request) -> httpx.Response:
        """The answer to a request."""
        return self.http.send(request)


def _written(body: Any) -> bytes:
    return b"" if body is None else json.dumps(body, ensure_ascii=False).encode()


def _said(answer: httpx.Response) -> str:
    # RFC 6749, section 5.2.
    try:
        told = answer.json()
        return f"{told['error']}: {told['error_description']}"
    except (ValueError, TypeError, KeyError):
        return answer.text[:300]
