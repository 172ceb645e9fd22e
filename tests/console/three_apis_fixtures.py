"""Fixture of three_apis.py; named by `pytest_plugins` in the modules that use it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from foundation.database import Database
from foundation.guard import free_port, wait_for_port
from foundation.settings import load
from integrations.centres.authority import Authority
from tests.console.three_apis import PROCESSES, Apis
from tests.processes import PATIENCE, ROOT


@pytest.fixture
def apis(database: Database, database_url: str, platform_folder: Path) -> Iterator[Apis]:
    folder = platform_folder
    settings_file = folder / "rakeeza.toml"
    settings_file.write_text(f'[platform]\nfolder = "{folder / "platform"}"\n')
    settings = load(settings_file, {"RAKEEZA_DATABASE_URL": database_url})
    trusted = folder / "trusted.pem"
    trusted.write_text(Authority(settings, settings.secrets()).certificate_pem())
    ports = [free_port() for _ in range(PROCESSES)]
    running = []
    with ExitStack() as stack:
        for port in ports:
            log = stack.enter_context((folder / f"{port}.log").open("wb"))
            argv = [
                sys.executable,
                "-m",
                "console",
                "--settings",
                str(settings_file),
                "serve",
                "--roles",
                "api",
            ]
            environment = {
                **os.environ,
                "RAKEEZA_DATABASE_URL": database_url,
                "RAKEEZA_HTTP_PORT": "0",
                "RAKEEZA_TLS_PORT": str(port),
            }
            running.append(
                subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT)
            )
        try:
            for port in ports:
                wait_for_port("127.0.0.1", port, PATIENCE, (folder / f"{port}.log").read_text())
            yield Apis(settings, database, ports, trusted, folder)
        finally:
            for process in running:
                process.terminate()
            for process in running:
                process.wait(PATIENCE)
