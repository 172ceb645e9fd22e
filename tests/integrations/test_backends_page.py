"""The page on back-ends says what is: its driver runs, and its tables are those of the code."""

import importlib.util
import json
import re
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from foundation.registry import driver_modules
from foundation.secret import SecretFile
from foundation.settings import Backend as Section
from foundation.settings import backend_options, load
from integrations.backend import BackendUnavailable, Question
from integrations.resilience.resilient import Resilient
from tests.house.repository import ROOT

PAGE = (ROOT / "docs/backends.md").read_text(encoding="utf-8")
NOW = datetime(2026, 11, 22, 7, tzinfo=UTC)


class _Office(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        said = {"7001234567": "registered", "7001234575": "blocked"}.get(asked["unified_number"], "who?")
        answer = {"question": self.headers["idempotency-key"], "asked": asked, "answer": said}
        body = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@pytest.fixture
def office() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Office) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/"
        finally:
            server.shutdown()
            thread.join()


def _shown(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def _driver(folder: Path) -> ModuleType:
    file = folder / "labour_office.py"
    file.write_text(_shown("python")[0], encoding="utf-8")
    spec = importlib.util.spec_from_file_location("labour_office", file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_driver_of_the_page_runs(office: str, tmp_path: Path) -> None:
    module, section = _driver(tmp_path), Section(url=office, timeout=30)
    secrets = SecretFile(tmp_path / "secrets.json", tmp_path / "secrets.key")
    driver = module.open_backend("labour", section, secrets, lambda: NOW)
    backend = Resilient("labour", driver, module.NATURE, section, lambda _: None)
    replies = [
        backend.ask(Question(f"case/1/check/a/{number}", "labour", {"unified_number": number}))
        for number in ("7001234567", "7001234575")
    ]
    assert [(reply.code, reply.passed) for reply in replies] == [("registered", True), ("blocked", False)]
    with pytest.raises(BackendUnavailable):
        backend.ask(Question("case/1/check/a/3", "labour", {"unified_number": "7009999999"}))


def test_the_settings_of_the_page_load(tmp_path: Path) -> None:
    file = tmp_path / "rakeeza.toml"
    file.write_text(_shown("toml")[0], encoding="utf-8")
    assert load(file, {}).backends["deeds"].driver == "ownership"


def test_every_driver_stands_in_the_table_with_its_words() -> None:
    rows = dict(re.findall(r"^\| `(\w+)`(?: \(SOAP\))? \|(.*)$", PAGE, re.MULTILINE))
    for name, module in driver_modules("integrations.backends", (), "rakeeza.backends").items():
        if name not in rows:
            assert f"`{name}`" in PAGE, name
            continue
        answers = getattr(module, "NATURE", None) and module.NATURE.answers
        if answers:
            passes, fails = rows[name].split("|")[1:3]
            for word, passed in answers.items():
                assert f"`{word}`" in (passes if passed else fails), (name, word)


def test_every_limit_of_the_page_is_a_setting() -> None:
    known = {option for option, *_ in backend_options()}
    limits = re.findall(r"^\| [a-z ]+ \| (`[a-z_`, ]+) \|", PAGE, re.MULTILINE)
    named = {name for row in limits for name in re.findall(r"`(\w+)`", row)}
    limits_of_code = {"timeout", "total", "attempts", "places", "failures", "pause", "keep"}
    assert limits_of_code <= named & known
