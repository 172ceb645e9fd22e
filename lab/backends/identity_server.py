"""A simulated national identity source: a real SOAP server over its WSDL, with faults on demand.

It validates what it is asked by the contract's schema, verifies the client's signature where it knows the
client, answers a question once for its request key, and signs its replies and Faults; unless it is told to be
slow, to break off, to talk nonsense or to lie.

`python -m lab.backends.identity_server --port 9210 --folder keys` runs it alone.
"""

import argparse
import contextlib
import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, get_args

from lxml import etree

from foundation.guard import free_port, wait_for_port
from lab.backends.identity_messages import read_signer
from lab.backends.identity_source import WSDL, Handler, Mode, Source

_STARTS_WITHIN = 60.0


@dataclass
class IdentityServer:
    """A running source; `identity_server()` makes and ends one.

    Args:
        port: on loopback; the same after `stop` and `start`.
        folder: holds source.pem and stranger.pem, and client.pem where requests must be signed by it.
        token: bearer token it asks for.
        now: aware; what it takes for the present moment, for good. None is the machine's.
    """

    port: int
    folder: Path
    token: str | None = field(default=None, repr=False)
    now: datetime | None = None
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        """Where questions are posted."""
        return f"http://127.0.0.1:{self.port}/soap"

    def start(self) -> None:
        """Start the process and wait until it listens; it remembers nothing of an earlier one."""
        module = "lab.backends.identity_server"
        command = [sys.executable, "-m", module, "--port", str(self.port), "--folder", str(self.folder)]
        if self.token is not None:
            command += ["--token", self.token]
        if self.now is not None:
            command += ["--now", self.now.isoformat()]
        self._process = subprocess.Popen(command)
        wait_for_port("127.0.0.1", self.port, _STARTS_WITHIN, "the simulated identity source")

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
            seconds: of delay, at most of dripping, or of Retry-After.
        """
        assert mode in get_args(Mode), "a mode that there is"
        self._exchange("POST", "/control", {"mode": mode, "times": times, "seconds": seconds})

    def asked(self, key: str) -> int:
        """How often a key was asked."""
        return int(self._exchange("GET", "/log")["asked"].get(key, 0))

    def acted(self, key: str) -> int:
        """How often a key was acted on."""
        return int(self._exchange("GET", "/log")["acted"].get(key, 0))

    def questions(self) -> list[dict[str, str]]:
        """The questions that it acted on, in order."""
        found: list[dict[str, str]] = self._exchange("GET", "/log")["questions"]
        return found

    def messages(self) -> list[str]:
        """Every message that it took, as it came."""
        found: list[str] = self._exchange("GET", "/log")["messages"]
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
def identity_server(
    folder: Path, *, token: str | None = None, now: datetime | None = None
) -> Iterator[IdentityServer]:
    """A source on a free port; ended with the block.

    Raises:
        Unavailable: it does not come up.
    """
    running = IdentityServer(free_port(), folder, token, now)
    try:
        running.start()
        yield running
    finally:
        running.stop()


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser(
        prog="python -m lab.backends.identity_server", description="A simulated identity source."
    )
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--folder", type=Path, required=True, help="holds its keys; see lab.backends.identity_messages"
    )
    parser.add_argument("--token", help="bearer token asked for")
    parser.add_argument("--now", type=datetime.fromisoformat, help="present moment, ISO 8601 with its zone")
    given = parser.parse_args()
    client = given.folder / "client.pem"
    source = Source(
        signer=read_signer(given.folder / "source.pem", given.now),
        stranger=read_signer(given.folder / "stranger.pem", given.now),
        token=given.token,
        client=client.read_bytes() if client.exists() else None,
        schema=etree.XMLSchema(etree.parse(str(WSDL.with_suffix(".xsd")))),
    )
    handler = type("Handler", (Handler,), {"source": source})
    ThreadingHTTPServer(("127.0.0.1", given.port), handler).serve_forever()


if __name__ == "__main__":
    main()
