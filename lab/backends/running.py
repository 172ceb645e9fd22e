"""Starts a simulated back-end in a process of its own, and tells it how to behave."""

import contextlib
import http.client
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from foundation.guard import free_port, wait_for_port
from lab.backends.json_server import Mode

_STARTS_WITHIN = 60.0


@dataclass(frozen=True)
class Tls:
    """Files for TLS, all PEM.

    Args:
        authority: certificate of who issued the others.
        server: certificate and key of the server.
        client: certificate and key that a client is let in with; None lets everybody in.
    """

    authority: Path
    server: Path
    client: Path | None = None


@dataclass
class Running:
    """A simulated back-end; `running()` makes and ends one.

    Args:
        name: module of `lab.backends`.
        port: on loopback; the same after `stop` and `start`.
        token: bearer token it asks for.
        tls: it is asked by https.
        now: aware; what it signs as the present moment, for good. None is the machine's.
    """

    name: str
    port: int
    token: str | None = field(default=None, repr=False)
    tls: Tls | None = None
    now: datetime | None = None
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """Where questions are posted."""
        return f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}/questions"

    def start(self) -> None:
        """Start the process and wait until it listens; it remembers nothing of an earlier one."""
        command = [sys.executable, "-m", f"lab.backends.{self.name}", "--port", str(self.port)]
        if self.token is not None:
            command += ["--token", self.token]
        if self.now is not None:
            command += ["--now", str(int(self.now.timestamp()))]
        if self.tls is not None:
            command += ["--certificate", str(self.tls.server)]
            if self.tls.client is not None:
                command += ["--clients", str(self.tls.authority)]
        self._process = subprocess.Popen(command)
        wait_for_port("127.0.0.1", self.port, _STARTS_WITHIN, f"the simulated {self.name}")

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
            seconds: of delay for `slow`, for each byte of `drip` and `drip_head`; of Retry-After for
                `rate_limit` and `overloaded`.
        """
        self._exchange("POST", "/control", {"mode": mode, "times": times, "seconds": seconds})

    def asked(self, key: str) -> int:
        """How often a key was asked."""
        return int(self.log()["asked"].get(key, 0))

    def acted(self, key: str) -> int:
        """How often a key was acted on."""
        return int(self.log()["acted"].get(key, 0))

    def log(self) -> dict[str, Any]:
        """What it was asked and what it answered, in order; `most_under_way` questions at once."""
        found: dict[str, Any] = json.loads(self._exchange("GET", "/log"))
        return found

    def contract(self) -> dict[str, Any]:
        """The OpenAPI document that it serves."""
        found: dict[str, Any] = yaml.safe_load(self._exchange("GET", "/openapi.yaml"))
        return found

    def answer_key(self) -> bytes:
        """The public key by which it signs, PEM; a new one at each start."""
        return self._exchange("GET", "/answer-key")

    def _exchange(self, method: str, path: str, body: object = None) -> bytes:
        connection = self._connection()
        try:
            sent = None if body is None else json.dumps(body)
            connection.request(method, path, sent, {"Content-Type": "application/json"})
            return connection.getresponse().read()
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        if self.tls is None:
            return http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        context = ssl.create_default_context(cafile=str(self.tls.authority))
        if self.tls.client is not None:
            context.load_cert_chain(self.tls.client)
        return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=context)


@contextlib.contextmanager
def running(
    name: str, *, token: str | None = None, tls: Tls | None = None, now: datetime | None = None
) -> Iterator[Running]:
    """A simulated back-end on a free port; ended with the block.

    Raises:
        Unavailable: it does not come up.
    """
    one = Running(name, free_port(), token, tls, now)
    try:
        one.start()
        yield one
    finally:
        one.stop()
