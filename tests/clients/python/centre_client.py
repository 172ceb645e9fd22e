"""A private service centre's client in one file, for its developers to begin with: httpx and cryptography.

    auth = CentreAuth("https://licences.example.sa", "centre-7", key_pem, certificate_pem, clerk_key_pem)
    with httpx.Client(base_url="https://licences.example.sa", auth=auth) as api:
        case = api.post("/v1/cases", json=application, headers={"Idempotency-Key": new_key}).json()

It asks for tokens under the centre's key (RFC 7523), and signs each request as the centre and, where it has
his key, as the clerk (RFC 9421, RFC 9530). It is written from the contract alone and shares nothing with the
server.
"""

import base64
import hashlib
import json
import secrets
import time
from collections.abc import Generator

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_WHERE_SENT = ("idempotency-key", "if-match", "centre-device")
_HOLDS = 120  # seconds
# A token is asked for anew this long before it ends.
_MARGIN = 30


class CentreAuth(httpx.Auth):
    """Signs the requests of a centre.

    Args:
        api: address of the API, without a path.
        centre: the centre's code.
        key, certificate: of the centre, PEM.
        clerk_key: of the clerk who acts, PEM; without it nothing can be written.
        device: code of the device at which he acts.
    """

    requires_request_body = True
    requires_response_body = True

    def __init__(
        self,
        api: str,
        centre: str,
        key: bytes,
        certificate: bytes,
        clerk_key: bytes | None = None,
        device: str | None = None,
    ) -> None:
        self._token_url = f"{api.rstrip('/')}/v1/oauth/token"
        self._centre, self._device = centre, device
        self._key = _private(key)
        der = x509.load_pem_x509_certificate(certificate).public_bytes(Encoding.DER)
        self._signers = {"centre": (self._key, hashlib.sha256(der).hexdigest())}
        if clerk_key is not None:
            clerk = _private(clerk_key)
            public = clerk.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            self._signers["clerk"] = (clerk, hashlib.sha256(public).hexdigest())
        self._token, self._token_ends = "", 0.0

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """As httpx has it: a request for a token where one is needed, then the signed request."""
        if time.time() >= self._token_ends - _MARGIN:
            answer = yield self._asking()
            if answer.status_code != 200:
                # Whoever sent the request sees why there is no token.
                return
            given = answer.json()
            self._token, self._token_ends = given["access_token"], time.time() + given["expires_in"]
        request.headers["Authorization"] = f"Bearer {self._token}"
        if self._device is not None:
            request.headers["Centre-Device"] = self._device
        self.sign(request)
        yield request

    def sign(self, request: httpx.Request) -> None:
        """Sign a request that has its `Authorization`; what was signed before is replaced."""
        names = ["@method", "@target-uri", "authorization"]
        if request.method not in ("GET", "HEAD"):
            digest = base64.b64encode(hashlib.sha256(request.content).digest()).decode()
            request.headers["Content-Digest"] = f"sha-256=:{digest}:"
            names.append("content-digest")
        names += [name for name in _WHERE_SENT if name in request.headers]
        inputs, signatures = [], []
        for label, (key, keyid) in self._signers.items():
            now = int(time.time())
            said = "(" + " ".join(f'"{name}"' for name in names) + ")"
            said += f';created={now};expires={now + _HOLDS};nonce="{secrets.token_hex(16)}"'
            said += f';keyid="{keyid}";alg="{_algorithm(key)}"'
            lines = [f'"{name}": {_value(request, name)}' for name in names]
            base = "\n".join([*lines, f'"@signature-params": {said}'])
            inputs.append(f"{label}={said}")
            signatures.append(f"{label}=:{base64.b64encode(_signature(key, base.encode())).decode()}:")
        request.headers["Signature-Input"] = ", ".join(inputs)
        request.headers["Signature"] = ", ".join(signatures)

    def _asking(self) -> httpx.Request:
        now = int(time.time())
        head = {"alg": "RS256" if isinstance(self._key, rsa.RSAPrivateKey) else "ES256", "typ": "JWT"}
        claims = {
            "iss": self._centre,
            "sub": self._centre,
            "aud": self._token_url,
            "jti": secrets.token_hex(16),
            "iat": now,
            "exp": now + _HOLDS,
        }
        signed = ".".join(_base64url(json.dumps(part).encode()) for part in (head, claims))
        assertion = f"{signed}.{_base64url(_signature(self._key, signed.encode()))}"
        form = {
            "grant_type": "client_credentials",
            "client_assertion_type": _ASSERTION,
            "client_assertion": assertion,
        }
        return httpx.Request("POST", self._token_url, data=form)


def _value(request: httpx.Request, name: str) -> str:
    if name == "@method":
        return request.method
    if name == "@target-uri":
        return str(request.url)
    return request.headers[name].strip()


def _signature(key: PrivateKey, data: bytes) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(data, padding.PKCS1v15(), hashes.SHA256())
    r, s = decode_dss_signature(key.sign(data, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _algorithm(key: PrivateKey) -> str:
    return "rsa-v1_5-sha256" if isinstance(key, rsa.RSAPrivateKey) else "ecdsa-p256-sha256"


def _private(pem: bytes) -> PrivateKey:
    key = load_pem_private_key(pem, None)
    assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    return key


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
