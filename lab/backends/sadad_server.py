"""A simulated payment system: a real HTTP server by `sadad.openapi.yaml`, with faults on demand.

It shows what it was told of, takes payments as banks would, tells the biller of each by a signed request, and
settles each day; unless it is told to be slow, to break off, to talk nonsense or to lie.

`python -m lab.backends.sadad_server --port 9220 --notices http://127.0.0.1:8080/bills/notices` runs it alone.
"""

import argparse
import base64
import contextlib
import datetime as dates
import hashlib
import http.client
import json
import os
import secrets
import socket
import struct
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import yaml
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jsonschema import Draft202012Validator, FormatChecker
from jwt.api_jws import PyJWS

from lab.backends.json_server import SECRET_TALK
from lab.backends.sadad_bills import Book

CONTRACT = Path(__file__).parent / "sadad.openapi.yaml"

Mode = Literal[
    "answer", "slow", "drip", "drip_head", "half", "reset", "drop_before", "drop_after", "error",
    "overloaded", "rate_limit", "reject", "nonsense", "huge", "redirect", "wrong_schema", "wrong_signature",
    "unsigned", "talkative", "other_person", "other_upload", "wrong_count", "wrong_sum", "strange_bill",
    "missing_page", "other_day", "later_day", "other_question",
    "replayed",
]  # fmt: skip
"""How it meets what it is asked. `drop_after` acts and then closes; `replayed` is what it said
first at this place; the last ones lie, well signed."""

_SCHEMAS = {"uploads": "Upload", "settlements": "PageAsked", "inquiries": "Question"}
_LARGEST = 1_000_000
_RIYADH = dates.timezone(dates.timedelta(hours=3))


def _key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@dataclass
class _State:
    token: str | None
    notices: str | None
    now: int | None = None
    book: Book = field(default_factory=Book)
    mode: Mode = "answer"
    left: int | None = None
    seconds: float = 0.0
    inquiries: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    first: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: Counter[str] = field(default_factory=Counter)
    key: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    stranger: ec.EllipticCurvePrivateKey = field(default_factory=_key)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_mode(self, key: str) -> Mode:
        with self.lock:
            self.asked[key] += 1
            mode = self.mode
            if self.left is not None:
                self.left -= 1
                if self.left <= 0:
                    self.mode, self.left = "answer", None
            return mode


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: _State
    questions: dict[str, Draft202012Validator]

    def do_GET(self) -> None:
        state = self.state
        if self.path == "/openapi.yaml":
            self._send(200, CONTRACT.read_bytes(), {"Content-Type": "application/yaml"})
        elif self.path == "/answer-key":
            public = state.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            self._send(200, public, {"Content-Type": "application/x-pem-file"})
        elif self.path == "/log":
            with state.book.lock:
                owed = {number: f"{amount:.2f}" for number, amount in state.book.owed.items()}
                log = {
                    "asked": state.asked,
                    "acted": dict.fromkeys([*state.book.answers, *state.inquiries], 1),
                    "questions": [asked for asked, _ in state.inquiries.values()],
                    "answers": [answer for _, answer in state.inquiries.values()],
                    "owed": owed,
                    "uploads": state.book.uploads,
                }
            self._send(200, json.dumps(log).encode())
        else:
            self._send(404, b"{}")

    def do_POST(self) -> None:
        body = self.rfile.read(min(_LARGEST, int(self.headers.get("content-length", "0"))))
        place = self.path.rpartition("/")[2]
        if self.path == "/control":
            self._control(json.loads(body))
        elif self.path == "/pay":
            self._send(200, json.dumps(self._pay(json.loads(body))).encode())
        elif place in _SCHEMAS:
            self._question(place, body)
        else:
            self._send(404, b"{}")

    def _control(self, wanted: dict[str, Any]) -> None:
        state = self.state
        with state.lock:
            state.mode, state.left = wanted["mode"], wanted["times"]
            state.seconds = wanted["seconds"]
            if wanted.get("forget"):
                state.book = Book()
            state.book.refused = wanted.get("refused", {})
            state.book.unsettled = set(wanted.get("unsettled", ()))
            # A test learns only later where the biller listens.
            state.notices = wanted.get("notices", state.notices)
        self._send(200, b"{}")

    def _question(self, place: str, body: bytes) -> None:
        state, key = self.state, self.headers.get("idempotency-key", "")
        if state.token is not None and self.headers.get("authorization") != f"Bearer {state.token}":
            self._send(401, b"{}")
            return
        mode = state.next_mode(key)
        asked = json.loads(body)
        if mode == "reject" or not key or not self.questions[place].is_valid(asked):
            self._send(422, b'{"error": "not as agreed"}')
        elif mode == "error":
            self._send(500, b"{}")
        elif mode in ("overloaded", "rate_limit"):
            wait = {"Retry-After": str(int(state.seconds))}
            self._send(429 if mode == "rate_limit" else 503, b"{}", wait)
        elif mode == "redirect":
            self._send(307, b"{}", {"Location": "http://127.0.0.1:9/elsewhere"})
        elif mode == "reset":
            # Closed with no time to linger, and not shut down before, it is an RST.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())
            self.close_connection = True
        elif mode == "drop_before":
            self.close_connection = True
        else:
            said = self._said(place, key, asked)
            if said is not None:
                first = state.first.setdefault(place, said)
                said = first if mode == "replayed" else said
            self._answer(mode, said)

    def _said(self, place: str, key: str, asked: dict[str, Any]) -> dict[str, Any] | None:
        book = self.state.book
        if place == "uploads":
            return book.upload(key, asked)
        if place == "settlements":
            return book.settlement(asked["day"], asked["page"])
        said = {"question": key, "asked": asked, "answer": book.inquiry(asked["bill_number"])}
        with self.state.lock:
            kept: tuple[Any, dict[str, Any]] = self.state.inquiries.setdefault(key, (asked, said))
        return kept[1]

    def _answer(self, mode: Mode, said: dict[str, Any] | None) -> None:
        if mode == "drop_after":
            self.close_connection = True
            return
        if mode == "slow":
            time.sleep(self.state.seconds)
        if said is None:
            self._send(425, b"{}")
            return
        body = _body(mode, said)
        key = self.state.stranger if mode == "wrong_signature" else self.state.key
        jws = PyJWS().encode(body, key, algorithm="ES256", headers={"b64": False, "crit": ["b64"]})
        signatures = {**_signed({"@status": "200"}, body, key, self.state.now), "x-jws-signature": jws}
        headers = {} if mode == "unsigned" else signatures
        if mode == "half":
            self._send(200, body[: len(body) // 2], headers, promised=len(body))
            self.close_connection = True
        elif mode in ("drip", "drip_head"):
            self._drip(mode, body, headers)
        else:
            self._send(200, body, headers)

    def _drip(self, mode: Mode, body: bytes, headers: dict[str, str]) -> None:
        with contextlib.suppress(OSError):
            if mode == "drip":
                self._head(200, headers, len(body))
            for octet in body if mode == "drip" else b"HTTP/1.1 200 OK\r\nX-Filling: " + b"x" * len(body):
                self.wfile.write(bytes([octet]))
                self.wfile.flush()
                time.sleep(self.state.seconds)
        self.close_connection = True

    def _pay(self, wanted: dict[str, Any]) -> dict[str, Any]:
        # A person pays at a bank, the bank confirms it, and the biller is told; or not, where that is lost.
        at = wanted.get("paid_at") or dates.datetime.now(dates.UTC).isoformat()
        notice = {
            "bill_number": wanted["bill_number"],
            "reference": wanted.get("reference") or f"SD-{uuid.uuid4().hex[:16]}",
            "amount": wanted["amount"],
            "paid_at": at,
            "status": wanted.get("status", "paid"),
        }
        day = dates.datetime.fromisoformat(at).astimezone(_RIYADH).date().isoformat()
        if wanted.get("settled", True):
            self.state.book.pay(notice, day, wanted.get("settled_on", day))
        status = None
        if wanted.get("notified", True):
            status = _notify(self.state, json.dumps(notice).encode(), wanted.get("by", "key"))
        return {"reference": notice["reference"], "status": status}

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
        """Nothing: who pays what is nobody's matter."""


def _notify(state: _State, body: bytes, by: str) -> int:
    assert state.notices is not None, "it was told where the biller listens"
    to = urlsplit(state.notices)
    key = state.key if by == "key" else state.stranger
    headers = _signed({"@method": "POST", "@path": to.path}, body, key) if by != "nobody" else {}
    connection = http.client.HTTPConnection(to.hostname or "", to.port, timeout=30)
    try:
        connection.request("POST", to.path, body, {"Content-Type": "application/json", **headers})
        return connection.getresponse().status
    finally:
        connection.close()


def _body(mode: Mode, answer: dict[str, Any]) -> bytes:
    said = dict(answer)
    if mode == "other_upload":
        said["upload"] = "bills/0"
    elif mode == "other_question":
        said["question"] = "case/another/check/bill/1"
    elif mode == "other_person":
        said["asked"] = {"bill_number": "2600000000000"}
    elif mode == "talkative":
        said |= {"notes": SECRET_TALK, "text": {"ar": SECRET_TALK, "en": SECRET_TALK}}
    elif mode == "other_day":
        said["day"] = "2001-01-01"
    elif mode == "later_day":
        said["movements"] = [{**each, "day": "2101-01-01"} for each in said["movements"]]
    elif mode == "wrong_count":
        said |= {name: said[name] + 1 for name in ("taken", "count") if name in said}
    elif mode == "wrong_sum":
        said["amount"] = "0.01"
    elif mode == "strange_bill":
        said["discrepancies"] = [{"bill_number": "2600000000000", "code": "duplicate"}]
    elif mode == "missing_page":
        said["movements"] = said["movements"][:-1]
    elif mode == "wrong_schema":
        said = {name: [value] for name, value in said.items()}
    elif mode == "huge":
        said["filling"] = "x" * 200_000
    body = json.dumps(said, ensure_ascii=False).encode()
    return body[:-9] if mode == "nonsense" else body


def _signed(
    covered: dict[str, str], body: bytes, key: ec.EllipticCurvePrivateKey, now: int | None = None
) -> dict[str, str]:
    """Headers that sign a message by RFC 9421, over its digest and what else is covered."""
    created = int(time.time()) if now is None else now
    digest = f"sha-256=:{base64.b64encode(hashlib.sha256(body).digest()).decode()}:"
    parts = {**covered, "content-digest": digest}
    named = " ".join(f'"{name}"' for name in parts)
    told = f'({named});created={created};nonce="{secrets.token_hex(8)}";keyid="lab"'
    base = "".join(f'"{name}": {value}\n' for name, value in parts.items()) + f'"@signature-params": {told}'
    r, s = decode_dss_signature(key.sign(base.encode(), ec.ECDSA(hashes.SHA256())))
    signature = base64.b64encode(r.to_bytes(32, "big") + s.to_bytes(32, "big")).decode()
    return {"Content-Digest": digest, "Signature-Input": f"sig={told}", "Signature": f"sig=:{signature}:"}


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser(prog="python -m lab.backends.sadad_server")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--token", help="bearer token asked for")
    parser.add_argument("--notices", help="URL that is told of payments")
    parser.add_argument(
        "--now", type=int, help="present moment of answers, in seconds of Unix time, for good"
    )
    given = parser.parse_args()
    contract = yaml.safe_load(CONTRACT.read_text(encoding="utf-8"))
    questions = {
        place: Draft202012Validator(
            {"$ref": f"#/components/schemas/{name}", **contract}, format_checker=FormatChecker()
        )
        for place, name in _SCHEMAS.items()
    }
    state = _State(given.token, given.notices, given.now)
    handler = type("Handler", (_Handler,), {"state": state, "questions": questions})
    ThreadingHTTPServer(("127.0.0.1", given.port), handler).serve_forever()


if __name__ == "__main__":
    main()
