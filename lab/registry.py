"""A simulated government registry: a real HTTP server in a process of its own, with faults on demand.

It answers a question by what it knows of the parameters, acts once for each Idempotency-Key, counts how often
each key was asked and acted on, and behaves as it is told: slow, dropping, failing, talking nonsense.

`python -m lab.registry --port 9200` runs it alone.
"""

import argparse
import contextlib
import http.client
import json
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

from foundation.guard import free_port, wait_for_port

Mode = Literal[
    "answer", "slow", "drop_before", "drop_after", "error", "busy", "reject", "nonsense", "huge", "redirect"
]
"""How a question is met: `drop_before` closes the connection unread, `drop_after` acts and then closes it."""

_STARTS_WITHIN = 60.0
_LARGEST = 1_000_000


@dataclass
class _Registry:
    token: str | None
    refused: frozenset[str]
    mode: Mode = "answer"
    left: int | None = None
    seconds: float = 0.0
    asked: Counter[str] = field(default_factory=Counter)
    acted: Counter[str] = field(default_factory=Counter)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    questions: list[dict[str, str]] = field(default_factory=list)
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

    def act(self, key: str, parameters: dict[str, str]) -> dict[str, Any]:
        # One key is one deed: the second time the first answer is given again.
        with self.lock:
            if key not in self.answers:
                self.acted[key] += 1
                self.questions.append(parameters)
                self.answers[key] = self._judge(parameters)
            return self.answers[key]

    def _judge(self, parameters: dict[str, str]) -> dict[str, Any]:
        if self.refused.intersection(parameters.values()):
            text = {"ar": "السجل غير قائم", "en": "The register does not stand"}
            return {"passed": False, "code": "not_standing", "text": text}
        return {"passed": True, "code": "standing"}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    registry: _Registry

    def do_POST(self) -> None:
        body = self.rfile.read(min(_LARGEST, int(self.headers.get("content-length", "0"))))
        if self.path == "/control":
            self._control(json.loads(body))
        elif self.path == "/questions":
            self._question(json.loads(body))
        else:
            self._send(404, {"error": "not_found"})

    def do_GET(self) -> None:
        registry = self.registry
        with registry.lock:
            log = {"asked": registry.asked, "acted": registry.acted, "questions": registry.questions}
            self._send(200, log)

    def _control(self, wanted: dict[str, Any]) -> None:
        with self.registry.lock:
            self.registry.mode, self.registry.left = wanted["mode"], wanted["times"]
            self.registry.seconds = wanted["seconds"]
        self._send(200, {})

    def _question(self, parameters: dict[str, str]) -> None:
        registry, key = self.registry, self.headers.get("idempotency-key", "")
        if registry.token is not None and self.headers.get("authorization") != f"Bearer {registry.token}":
            self._send(401, {"error": "credentials"})
            return
        mode = registry.next_mode(key)
        if mode == "drop_before":
            self.close_connection = True
        elif mode == "drop_after":
            registry.act(key, parameters)
            self.close_connection = True
        elif mode == "error":
            self._send(500, {"error": "internal"})
        elif mode == "busy":
            self._send(429, {"error": "busy"}, {"Retry-After": str(int(registry.seconds))})
        elif mode == "reject":
            self._send(422, {"error": "wrong question"})
        elif mode == "redirect":
            self._send(307, {}, {"Location": "http://127.0.0.1:9/elsewhere"})
        elif mode == "nonsense":
            self._raw(200, b'{"passed": tr')
        elif mode == "huge":
            self._raw(200, json.dumps({"passed": True, "filling": "x" * 200_000}).encode())
        else:
            if mode == "slow":
                time.sleep(registry.seconds)
            self._send(200, registry.act(key, parameters))

    def _send(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        self._raw(status, json.dumps(body, ensure_ascii=False).encode(), headers)

    def _raw(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        # Whoever asked may have gone meanwhile.
        with contextlib.suppress(ConnectionError):
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: a question may hold personal data."""


@dataclass
class Registry:
    """A running registry; `registry()` makes and ends one.

    Args:
        port: on loopback; the same after `stop` and `start`.
        token: bearer token it asks for.
        refused: values that it answers "failed" to.
    """

    port: int
    token: str | None = field(default=None, repr=False)
    refused: tuple[str, ...] = ()
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """Where questions are posted."""
        return f"http://127.0.0.1:{self.port}/questions"

    def start(self) -> None:
        """Start the process and wait until it listens; it remembers nothing of an earlier one."""
        command = [sys.executable, "-m", "lab.registry", "--port", str(self.port)]
        if self.token is not None:
            command += ["--token", self.token]
        for value in self.refused:
            command += ["--refuse", value]
        self._process = subprocess.Popen(command)
        wait_for_port("127.0.0.1", self.port, _STARTS_WITHIN, "the simulated registry")

    def stop(self) -> None:
        """End the process at once: from now on nobody listens."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def behave(self, mode: Mode, times: int | None = None, seconds: float = 0.0) -> None:
        """Meet the next questions in a way.

        Args:
            times: only so many, then answer again; None is for good.
            seconds: of delay for `slow`, of Retry-After for `busy`.
        """
        self._exchange("POST", "/control", {"mode": mode, "times": times, "seconds": seconds})

    def asked(self, key: str) -> int:
        """How often a key was asked."""
        return int(self._exchange("GET", "/log")["asked"].get(key, 0))

    def acted(self, key: str) -> int:
        """How often a key was acted on."""
        return int(self._exchange("GET", "/log")["acted"].get(key, 0))

    def questions(self) -> list[dict[str, str]]:
        """The parameters of everything it acted on, in order."""
        found: list[dict[str, str]] = self._exchange("GET", "/log")["questions"]
        return found

    def _exchange(self, method: str, path: str, body: object = None) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, {"Content-Type": "application/json"})
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
            return answer
        finally:
            connection.close()


@contextlib.contextmanager
def registry(*, token: str | None = None, refused: tuple[str, ...] = ()) -> Iterator[Registry]:
    """A registry on a free port; ended with the block.

    Raises:
        Unavailable: it does not come up.
    """
    running = Registry(free_port(), token, refused)
    try:
        running.start()
        yield running
    finally:
        running.stop()


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser(prog="python -m lab.registry", description="A simulated registry.")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--token", help="bearer token asked for")
    parser.add_argument("--refuse", action="append", default=[], help="a value that is answered 'failed'")
    given = parser.parse_args()
    handler = type("Handler", (_Handler,), {"registry": _Registry(given.token, frozenset(given.refuse))})
    ThreadingHTTPServer(("127.0.0.1", given.port), handler).serve_forever()


if __name__ == "__main__":
    main()
