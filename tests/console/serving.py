"""A served platform in a folder of its own, for tests: started as a person starts it, spoken to over HTTP."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from foundation.guard import free_port
from tests.processes import PATIENCE, ROOT, until


class Served:
    """A running `rakeeza serve`."""

    def __init__(self, folder: Path, sections: Mapping[str, Mapping[str, Any]]) -> None:
        self.folder = folder
        self.settings_file = folder / "rakeeza.toml"
        self.ports = {name: free_port() for name in ("http", "tls", "collector", "prometheus")}
        merged: dict[str, dict[str, Any]] = {"platform": {"folder": str(folder / "platform")}}
        for name, port in self.ports.items():
            merged[name] = {"port": port}
        for name, options in sections.items():
            merged.setdefault(name, {}).update(options)
        lines = []
        for name, options in merged.items():
            lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in options.items())]
        self.settings_file.write_text("\n".join(lines) + "\n")
        self.api = f"http://127.0.0.1:{self.ports['http']}"
        self.log = folder / "serve.log"
        self.process = self.start()

    def start(self) -> "subprocess.Popen[bytes]":
        with self.log.open("wb") as log:
            return subprocess.Popen(
                self.argv("serve"), cwd=ROOT, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
            )

    def argv(self, *arguments: str, settings: Path | None = None) -> list[str]:
        named = str(settings or self.settings_file)
        return [sys.executable, "-m", "console", "--settings", named, *arguments]

    def run(
        self, *arguments: str, text: str = "", settings: Path | None = None
    ) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            self.argv(*arguments, settings=settings),
            cwd=ROOT,
            input=text,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def rakeeza(self, *arguments: str, text: str = "") -> str:
        done = self.run(*arguments, text=text)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def ready(self) -> None:
        until(lambda: "Serving" in self.log.read_text() or self.process.poll() is not None)
        assert self.process.poll() is None, self.log.read_text()

    def client(self, name: str, *roles: str) -> httpx.Client:
        """A client of the API with a token of these roles."""
        options = [word for role in roles for word in ("--role", role)]
        made = json.loads(self.rakeeza("identity", "client", "add", name, *options, "--format", "json"))
        grant = {"grant_type": "client_credentials"}
        answer = httpx.post(
            f"{self.api}/v1/oauth/token", data=grant, auth=(name, made["secret"]), timeout=PATIENCE
        )
        assert answer.status_code == 200, answer.text
        bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
        return httpx.Client(base_url=self.api, headers=bearer, timeout=PATIENCE)

    def processes(self, containing: str) -> list[int]:
        """Processes at work in this folder whose command line holds a text."""
        return [pid for pid, command in at_work_in(self.folder).items() if containing in command]

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)


@contextmanager
def served(sections: Mapping[str, Mapping[str, Any]] | None = None) -> Iterator[Served]:
    """A served platform; ended and removed at the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix="rakeeza-test-"))
    # PostgreSQL runs as a system user of its own when we are root, and must be able to pass through.
    folder.chmod(0o711)
    platform = Served(folder, sections or {})
    try:
        platform.ready()
        yield platform
    finally:
        platform.stop()
        until(lambda: not at_work_in(folder))
        shutil.rmtree(folder)


def at_work_in(folder: Path) -> dict[int, str]:
    """Command lines of the processes that were started with this folder, or that stand in it."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                place = str((entry / "cwd").readlink())
            except OSError:
                continue
            if str(folder) in command or place.startswith(str(folder)):
                found[int(entry.name)] = command
    return found
