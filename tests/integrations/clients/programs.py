"""The example clients of tests/clients as programs, with one form of outcome."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lxml import etree

from integrations.contracts.binding import answer_json, request_text
from integrations.contracts.names import by_element
from tests.processes import PATIENCE

CLIENTS = Path(__file__).parents[2] / "clients"
REFUSED = 22


@dataclass(frozen=True)
class Outcome:
    """What a client was told.

    Args:
        fault: name of the contract's element, or "" of an answer.
        content: members of the answer or the problem, as the client shows them.
    """

    fault: str
    content: dict[str, Any]


@dataclass(frozen=True)
class Program:
    """A client that takes JSON and gives JSON."""

    name: str
    command: tuple[str, ...]

    def ask(self, told: Mapping[str, str], operation: str, request: Mapping[str, Any]) -> Outcome:
        """Ask for an operation.

        Args:
            told: the environment that the examples name.
            operation: as the contract's element, `Submit`.
            request: its members; `content` in base64.
        """
        code, out = self.run(told, operation, json.dumps(request))
        found: dict[str, Any] = json.loads(out)
        return Outcome(found["fault"], found["problem"]) if code == REFUSED else Outcome("", found)

    def run(self, told: Mapping[str, str], operation: str, text: str) -> tuple[int, bytes]:
        """Run the client once; its exit code and what it wrote."""
        done = subprocess.run(
            [*self.command, operation],
            input=text.encode(),
            env={"PATH": os.environ["PATH"], **told},
            capture_output=True,
            timeout=PATIENCE,
            check=False,
        )
        words = f"{done.stderr.decode()}\n{done.stdout.decode()[:2000]}"
        assert done.returncode in (0, REFUSED), words
        return done.returncode, done.stdout


@dataclass(frozen=True)
class XmlProgram(Program):
    """A client that takes and gives the contract's own elements."""

    def ask(self, told: Mapping[str, str], operation: str, request: Mapping[str, Any]) -> Outcome:
        """See `Program.ask`."""
        code, out = self.run(told, operation, _element(operation, request))
        name, headers, content = answer_json(etree.fromstring(out))
        assert content is not None
        if by_element()[operation].answer.binary is not None and code == 0:
            paper = {"content": base64.b64encode(content).decode(), "contentType": headers["content-type"]}
            return Outcome("", paper)
        found = {**headers, **json.loads(content)}
        return Outcome(name if code == REFUSED else "", found)


def _element(operation: str, request: Mapping[str, Any]) -> str:
    named = by_element()[operation]
    beside = {each.element for each in named.parameters}
    parameters = {name: str(value) for name, value in request.items() if name in beside}
    rest = {name: value for name, value in request.items() if name not in beside}
    if named.binary is None:
        return request_text(named, parameters, json.dumps(rest).encode() if rest else None)
    if "contentId" in rest:
        sent = request_text(named, parameters, b"x")
        return sent.replace("<content>eA==</content>", f"<contentId>{rest['contentId']}</contentId>")
    return request_text(named, parameters, base64.b64decode(rest["content"]))


def build_gsoap(told: Mapping[str, str], folder: Path) -> Program:
    """gSOAP's client, generated and compiled from the contract that the server has."""
    built = subprocess.run(
        ["sh", str(CLIENTS / "gsoap" / "build.sh"), str(folder)],
        env={"PATH": os.environ["PATH"], **told},
        capture_output=True,
        text=True,
        timeout=5 * PATIENCE,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return XmlProgram("gsoap", (str(folder / "centre_client"),))


INTERPRETED: dict[str, Program] = {
    name: Program(name, (interpreter, str(CLIENTS / name / f"centre_client.{ending}")))
    for name, interpreter, ending in (
        ("zeep", sys.executable, "py"),
        ("php", "php", "php"),
        ("node", "node", "js"),
    )
}
