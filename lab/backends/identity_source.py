"""How the simulated identity source meets what it is asked: truthfully, or as it is told."""

import contextlib
import json
import os
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, Literal

from lxml import etree

import integrations.backends
from lab.backends.identity_messages import NAMESPACE, SOAP, Signer, fault, reply, signed_by, wrapped
from lab.backends.identity_people import Person, judge

Mode = Literal[
    "answer", "slow", "drip", "drip_head", "half", "reset", "drop_before", "drop_after",
    "error", "overloaded", "rate_limit", "busy_fault", "not_permitted", "reject",
    "unsigned_fault", "other_fault", "forged_fault",
    "nonsense", "html", "huge", "deep", "doctype", "redirect",
    "wrong_schema", "unknown_result", "wrong_signature", "other_key", "unsigned", "wrapped", "stale",
    "other_person", "other_question", "other_request", "replayed",
]  # fmt: skip
"""How a question is met. `drop_before` closes the connection unread, `drop_after` acts and then closes it."""

FAULT_MODES: dict[str, str] = {
    "error": "internal",
    "busy_fault": "busy",
    "not_permitted": "not_permitted",
    "reject": "invalid_request",
}
"""Modes that are a signed Fault, and its code."""

WSDL = Path(next(iter(integrations.backends.__path__))) / "wsdl" / "identity.wsdl"

_LARGEST = 1_000_000
_DRIP = 0.05
_ANOTHER_ID = "another-message-0000"
_ANOTHER_PERSON = {"nationalId": "1001244019"}


@dataclass
class Source:
    signer: Signer
    stranger: Signer
    client: bytes | None
    schema: etree.XMLSchema
    token: str | None = None
    mode: Mode = "answer"
    left: int | None = None
    seconds: float = 0.0
    asked: Counter[str] = field(default_factory=Counter)
    acted: Counter[str] = field(default_factory=Counter)
    answers: dict[str, str] = field(default_factory=dict)
    questions: list[dict[str, str]] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    replies: list[bytes] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def next_mode(self, key: str, message: bytes) -> Mode:
        with self.lock:
            self.asked[key] += 1
            self.messages.append(message.decode())
            mode = self.mode
            if self.left is not None:
                self.left -= 1
                if self.left <= 0:
                    self.mode, self.left = "answer", None
            return mode

    def act(self, question: dict[str, str], person: Person) -> str:
        # One key is one look-up: the second time the first answer is given again.
        with self.lock:
            key = question["requestKey"]
            if key not in self.answers:
                self.acted[key] += 1
                self.questions.append(question)
                self.answers[key] = judge(person, question.get("name"), question.get("birthDate"))
            return self.answers[key]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    source: Source

    def do_POST(self) -> None:
        body = self.rfile.read(min(_LARGEST, int(self.headers.get("content-length", "0"))))
        if self.path == "/control":
            self._control(json.loads(body))
        elif self.path == "/soap":
            self._soap(body)
        else:
            self._send(404, b"")

    def do_GET(self) -> None:
        source = self.source
        with source.lock:
            log = {
                "asked": source.asked,
                "acted": source.acted,
                "questions": source.questions,
                "messages": source.messages,
            }
        if self.path == "/soap?wsdl":
            self._send(200, WSDL.read_bytes())
        else:
            self._send(200, json.dumps(log).encode(), "application/json")

    def _control(self, wanted: dict[str, Any]) -> None:
        with self.source.lock:
            self.source.mode, self.source.left = wanted["mode"], wanted["times"]
            self.source.seconds = wanted["seconds"]
        self._send(200, b"{}", "application/json")

    def _soap(self, message: bytes) -> None:
        source = self.source
        if source.token is not None and self.headers.get("authorization") != f"Bearer {source.token}":
            self._send(401, b"")
            return
        try:
            envelope = etree.fromstring(message, etree.XMLParser(resolve_entities=False, no_network=True))
            body = envelope.find(f"{{{SOAP}}}Body")
            (request,) = body if body is not None else []
            source.schema.assertValid(request)
        except (etree.XMLSyntaxError, etree.DocumentInvalid, ValueError):
            self._send(500, fault(source.signer, None, "invalid_request"))
            return
        question = {etree.QName(each).localname: each.text or "" for each in request}
        named = request.find(f"{{{NAMESPACE}}}person/*")
        assert named is not None, "the schema wants one"
        person: Person = (etree.QName(named).localname, named.text or "")
        if source.client is not None and not signed_by(envelope, source.client):
            self._send(500, fault(source.signer, question["messageId"], "signature"))
            return
        mode = source.next_mode(question["requestKey"], message)
        if mode in _WAYS:
            _WAYS[mode](self, question, person)
        elif mode in FAULT_MODES:
            self._send(500, fault(source.signer, question["messageId"], FAULT_MODES[mode]))
        else:
            self._send(200, self._reply(mode, question, person))

    def _reply(self, mode: Mode, question: dict[str, str], person: Person) -> bytes:
        source = self.source
        message, key, about = question["messageId"], question["requestKey"], dict([person])
        result = source.act(question, person)
        signer: Signer | None = source.signer
        if mode == "slow":
            time.sleep(source.seconds)
        elif mode == "other_person":
            about = _ANOTHER_PERSON
        elif mode == "other_question":
            message = _ANOTHER_ID
        elif mode == "other_request":
            key = "case/another/check/identity/1"
        elif mode == "unknown_result":
            result = "perhaps"
        elif mode == "other_key":
            signer = source.stranger
        elif mode == "unsigned":
            signer = None
        if mode == "wrapped":
            # Signed is the truth; what stands as Body is its opposite.
            lie = "match" if result != "match" else "not_found"
            return wrapped(source.signer, message, key, about, result, lie)
        extra = "<i:extra>1</i:extra>" if mode == "wrong_schema" else ""
        age = 3_600 if mode == "stale" else 0
        whole = reply(signer, message, key, about, result, extra=extra, age_s=age)
        if mode == "replayed":
            # As it was sent before, signature and all.
            return source.replies[0]
        if mode == "answer":
            source.replies.append(whole)
        if mode == "wrong_signature":
            return whole.replace(b"<i:result>" + result.encode(), b"<i:result>deceased")
        return whole

    def _broken(self, question: dict[str, str], person: Person) -> None:
        # The whole is promised, and half of it comes.
        whole = self._reply("answer", question, person)
        self._head(200, len(whole))
        self.wfile.write(whole[: len(whole) // 2])
        self.close_connection = True

    def _dripped(self, question: dict[str, str], person: Person) -> None:
        whole = self._reply("answer", question, person)
        self._head(200, len(whole))
        self._drip(whole)

    def _dripped_header(self, *_asked: object) -> None:
        self._drip(b"HTTP/1.1 200 OK\r\n" + b"X-Filling: 1\r\n" * 1_000)

    def _drip(self, octets: bytes) -> None:
        end = time.monotonic() + self.source.seconds
        with contextlib.suppress(ConnectionError):
            for octet in octets:
                if time.monotonic() > end:
                    break
                self.wfile.write(bytes([octet]))
                self.wfile.flush()
                time.sleep(_DRIP)
        self.close_connection = True

    def _reset(self, *_asked: object) -> None:
        # Closed with no time to linger, and not shut down before, it is an RST.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        os.close(self.connection.detach())
        self.close_connection = True

    def _dropped(self, *_asked: object) -> None:
        self.close_connection = True

    def _acted_and_dropped(self, question: dict[str, str], person: Person) -> None:
        self.source.act(question, person)
        self.close_connection = True

    def _busy(self, *_asked: object) -> None:
        self._send(429, b"", headers={"Retry-After": str(int(self.source.seconds))})

    def _overloaded(self, *_asked: object) -> None:
        self._send(503, b"", headers={"Retry-After": str(int(self.source.seconds))})

    def _redirected(self, *_asked: object) -> None:
        self._send(307, b"", headers={"Location": "http://127.0.0.1:9/elsewhere"})

    def _unsigned_fault(self, question: dict[str, str], _person: Person) -> None:
        self._send(500, fault(None, question["messageId"], "invalid_request"))

    def _forged_fault(self, question: dict[str, str], _person: Person) -> None:
        self._send(500, fault(self.source.stranger, question["messageId"], "invalid_request"))

    def _other_fault(self, *_asked: object) -> None:
        self._send(500, fault(self.source.signer, _ANOTHER_ID, "invalid_request"))

    def _nonsense(self, *_asked: object) -> None:
        self._send(200, b"<soap:Envelope")

    def _html(self, *_asked: object) -> None:
        self._send(200, b"<html><body>Maintenance</body></html>", "text/html")

    def _huge(self, *_asked: object) -> None:
        self._send(200, b"<a>" + b"x" * 200_000 + b"</a>")

    def _deep(self, *_asked: object) -> None:
        self._send(200, b"<a>" * 9_000 + b"</a>" * 9_000)

    def _with_doctype(self, question: dict[str, str], person: Person) -> None:
        whole = self._reply("answer", question, person)
        self._send(200, b'<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + whole)

    def _send(
        self,
        status: int,
        body: bytes,
        kind: str = "text/xml; charset=utf-8",
        headers: dict[str, str] | None = None,
    ) -> None:
        # Whoever asked may have gone meanwhile.
        with contextlib.suppress(ConnectionError):
            self._head(status, len(body), kind, headers)
            self.wfile.write(body)

    def _head(
        self,
        status: int,
        length: int,
        kind: str = "text/xml; charset=utf-8",
        headers: dict[str, str] | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a question holds personal data."""


_WAYS: dict[str, Callable[[Handler, dict[str, str], Person], None]] = {
    "drip": Handler._dripped,
    "drip_head": Handler._dripped_header,
    "half": Handler._broken,
    "reset": Handler._reset,
    "drop_before": Handler._dropped,
    "drop_after": Handler._acted_and_dropped,
    "rate_limit": Handler._busy,
    "overloaded": Handler._overloaded,
    "redirect": Handler._redirected,
    "unsigned_fault": Handler._unsigned_fault,
    "forged_fault": Handler._forged_fault,
    "other_fault": Handler._other_fault,
    "nonsense": Handler._nonsense,
    "html": Handler._html,
    "huge": Handler._huge,
    "deep": Handler._deep,
    "doctype": Handler._with_doctype,
}
