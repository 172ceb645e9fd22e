"""A simulated back-end that is asked by JSON: a real HTTP server with its contract, and faults on demand.

It checks each question against its OpenAPI file, which it serves, acts once for each Idempotency-Key, signs
each answer, and behaves as it is told at `/control`: slow, dripping, broken, down, or lying. It knows its
drivers only by the contract.

Source: OpenAPI 3.1; RFC 7515 and RFC 7797 (by PyJWT), RFC 9421 and RFC 9530 (signatures, written here anew).
"""

import argparse
import base64
import contextlib
import hashlib
import json
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal, get_args

import yaml
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jsonschema import Draft202012Validator
from jwt.api_jws import PyJWS

Mode = Literal[
    "answer",
    "slow",
    "drip",
    "drip_head",
    "error",
    "overloaded",
    "rate_limit",
    "reject",
    "reset",
    "drop_before",
    "drop_after",
    "half",
    "nonsense",
    "huge",
    "redirect",
    "wrong_schema",
    "wrong_signature",
    "unsigned",
    "other_person",
    "other_question",
    "replayed",
    "talkative",
]
"""How a question is met. `drop_after` acts and then closes; `half` ends within the body; `drip` sends a byte
at a time; `other_person` and `other_question` lie, well signed; `replayed` is what it
answered first of all; `talkative` says more than was asked."""

MODES: tuple[Mode, ...] = get_args(Mode)
SECRET_TALK = "blood group O negative, seen by Dr. Salem"
"""What a talkative back-end says besides."""

_LARGEST = 1_000_000


@dataclass(frozen=True)
class Source:
    """What a back-end knows.

    Args:
        name: of the module and of its OpenAPI file beside it.
        answer: what it says of some parameters, beside `question` and `asked`.
    """

    name: str
    answer: Callable[[dict[str, str]], dict[str, Any]]

    @property
    def contract_file(self) -> Path:
        """Its OpenAPI file."""
        return Path(__file__).parent / f"{self.name}.openapi.yaml"


@dataclass
class _State:
    source: Source
    token: str | None
    now: int | None = None
    mode: Mode = "answer"
    left: int | None = None
    seconds: float = 0.0
    asked: Counter[str] = field(default_factory=Counter)
    acted: Counter[str] = field(default_factory=Counter)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    questions: list[dict[str, str]] = field(default_factory=list)
    under_way: int = 0
    most_under_way: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))
    stranger: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )

    def next_mode(self, key: str) -> Mode:
        with self.lock:
            self.asked[key] += 1
            mode = self.mode
            if self.left is not None:
                self.left -= 1
                if self.left <= 0:
                    self.mode, self.left = "answer", None
            return mode

    def act(self, key: str, parameters: dict[str, str]) -> dict[str, Any]:
        with self.lock:
            if key not in self.answers:
                self.acted[key] += 1
                self.questions.append(parameters)
                said = self.source.answer(parameters)
                answer = {"question": key, "asked": parameters, **said}
                if said["answer"] == "pending":
                    # Not decided: the next time it may be another answer.
                    return answer
                self.answers[key] = answer
            return self.answers[key]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body go in two writes; the second must not wait for the first to be acknowledged.
    disable_nagle_algorithm = True
    state: _State
    contract: str
    question: Draft202012Validator

    def do_GET(self) -> None:
        state = self.state
        if self.path == "/openapi.yaml":
            self._send(200, self.contract.encode(), {"Content-Type": "application/yaml"})
        elif self.path == "/answer-key":
            public = state.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            self._send(200, public, {"Content-Type": "application/x-pem-file"})
        elif self.path == "/log":
            with state.lock:
                log = {
                    "asked": state.asked,
                    "acted": state.acted,
                    "questions": state.questions,
                    "answers": list(state.answers.values()),
                    "under_way": state.under_way,
                    "most_under_way": state.most_under_way,
                }
                body = json.dumps(log).encode()
            self._send(200, body)
        else:
            self._send(404, b"{}")

    def do_POST(self) -> None:
        body = self.rfile.read(min(_LARGEST, int(self.headers.get("content-length", "0"))))
        if self.path == "/control":
            wanted = json.loads(body)
            with self.state.lock:
                self.state.mode, self.state.left = wanted["mode"], wanted["times"]
                self.state.seconds = wanted["seconds"]
            self._send(200, b"{}")
        elif self.path == "/questions":
            with self._counted():
                self._question(body)
        else:
            self._send(404, b"{}")

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        state = self.state
        with state.lock:
            state.under_way += 1
            state.most_under_way = max(state.most_under_way, state.under_way)
        try:
            yield
        finally:
            with state.lock:
                state.under_way -= 1

    def _question(self, body: bytes) -> None:
        state, key = self.state, self.headers.get("idempotency-key", "")
        if state.token is not None and self.headers.get("authorization") != f"Bearer {state.token}":
            self._send(401, b"{}")
            return
        mode = state.next_mode(key)
        parameters = json.loads(body)
        if mode == "reject" or not key or not self.question.is_valid(parameters):
            self._send(422, b'{"error": "the question is not as agreed"}')
        elif mode == "error":
            self._send(500, b'{"error": "internal"}')
        elif mode in ("overloaded", "rate_limit"):
            wait = {"Retry-After": str(int(state.seconds))}
            self._send(429 if mode == "rate_limit" else 503, b"{}", wait)
        elif mode == "redirect":
            self._send(307, b"{}", {"Location": "http://127.0.0.1:9/elsewhere"})
        elif mode == "reset":
            # Closed with unsent data discarded: the peer sees a reset and no end.
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.close_connection = True
            self.connection.close()
        elif mode == "drop_before":
            self.close_connection = True
        else:
            answer = state.act(key, parameters)
            self._answer(mode, next(iter(state.answers.values())) if mode == "replayed" else answer)

    def _answer(self, mode: Mode, answer: dict[str, Any]) -> None:
        if mode == "drop_after":
            self.close_connection = True
            return
        if mode == "slow":
            time.sleep(self.state.seconds)
        body = _body(mode, answer)
        headers = {} if mode == "unsigned" else self._signatures(mode, body)
        if mode == "half":
            self._send(200, body[: len(body) // 2], headers, promised=len(body))
            self.close_connection = True
        elif mode in ("drip", "drip_head"):
            self._drip(mode, body, headers)
        else:
            self._send(200, body, headers)

    def _signatures(self, mode: Mode, body: bytes) -> dict[str, str]:
        key = self.state.stranger if mode == "wrong_signature" else self.state.key
        return {"x-jws-signature": _jws(body, key), **_http_signature(200, body, key, self.state.now)}

    def _drip(self, mode: Mode, body: bytes, headers: dict[str, str]) -> None:
        with contextlib.suppress(OSError):
            if mode == "drip":
                self._head(200, headers, len(body))
            for byte in body if mode == "drip" else b"HTTP/1.1 200 OK\r\nX-Filling: " + b"x" * len(body):
                self.wfile.write(bytes([byte]))
                self.wfile.flush()
                time.sleep(self.state.seconds)
        self.close_connection = True

    def _head(self, status: int, headers: dict[str, str], length: int) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def _send(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, promised: int | None = None
    ) -> None:
        # Whoever asked may have gone meanwhile.
        with contextlib.suppress(OSError):
            self._head(status, headers or {}, len(body) if promised is None else promised)
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a question may hold personal data."""


def serve(source: Source) -> None:
    """Serve a source by the options of the command line, until ended."""
    parser = argparse.ArgumentParser(prog=f"python -m lab.backends.{source.name}")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--token", help="bearer token asked for")
    parser.add_argument("--certificate", help="PEM file with the certificate and key for TLS")
    parser.add_argument("--clients", help="PEM file with the authority of the clients that it lets in")
    parser.add_argument("--now", type=int, help="present moment, in seconds of Unix time, for good")
    given = parser.parse_args()
    contract = source.contract_file.read_text(encoding="utf-8")
    schemas = yaml.safe_load(contract)["components"]["schemas"]
    handler = type(
        "Handler",
        (_Handler,),
        {
            "state": _State(source, given.token, given.now),
            "contract": contract,
            "question": Draft202012Validator(schemas["Question"]),
        },
    )
    server = ThreadingHTTPServer(("127.0.0.1", given.port), handler)
    server.daemon_threads = True
    if given.certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(given.certificate)
        if given.clients:
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations(given.clients)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    server.serve_forever()


def _body(mode: Mode, answer: dict[str, Any]) -> bytes:
    said = dict(answer)
    if mode == "other_person":
        said["asked"] = {name: _another(value) for name, value in answer["asked"].items()}
    elif mode == "other_question":
        said["question"] = _another(answer["question"])
    elif mode == "wrong_schema":
        said["answer"] = {"value": answer["answer"]}
    elif mode == "talkative":
        said |= {"notes": SECRET_TALK, "text": {"ar": SECRET_TALK, "en": SECRET_TALK}, "reason": SECRET_TALK}
    elif mode == "huge":
        said["filling"] = "x" * 200_000
    body = json.dumps(said, ensure_ascii=False).encode()
    return body[:-9] if mode == "nonsense" else body


def _another(value: str) -> str:
    return value[:-1] + ("1" if value[-1] == "0" else "0")


def _jws(body: bytes, key: ec.EllipticCurvePrivateKey) -> str:
    return PyJWS().encode(body, key, algorithm="ES256", headers={"b64": False, "crit": ["b64"]})


def _http_signature(
    status: int, body: bytes, key: ec.EllipticCurvePrivateKey, now: int | None
) -> dict[str, str]:
    digest = f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
    told = f'("@status" "content-digest");created={int(time.time()) if now is None else now};keyid="lab"'
    base = f'"@status": {status}\n"content-digest": {digest}\n"@signature-params": {told}'
    r, s = decode_dss_signature(key.sign(base.encode(), ec.ECDSA(hashes.SHA256())))
    signature = base64.b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big")).decode()
    return {
        "Content-Digest": digest,
        "Signature-Input": f"backend={told}",
        "Signature": f"backend=:{signature}:",
    }
