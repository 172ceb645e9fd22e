"""The API, a worker and a private PostgreSQL behind a relay, each of which can be killed and comes back."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import httpx
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from benchmarks.campaigns import Failed
from benchmarks.faults.process import Process
from benchmarks.faults.relay import Relay
from foundation.guard import free_port
from foundation.postgres import PrivatePostgres

_ROOT = Path(__file__).resolve().parents[2]
_PATIENCE = 90.0


class Served:
    """The API, and a worker where it is asked for, each a process of its own, on a database.

    Args:
        folder: of everything it writes.
        database: URL that they are given.
        roles: that run.
        apis: processes of the API, which share its port.
        clients: roles for each of which there is a client of the API, with a token.
        further: more options of the settings, by section.
    """

    def __init__(
        self,
        folder: Path,
        database: str,
        roles: tuple[str, ...] = ("api", "worker"),
        apis: int = 1,
        clients: tuple[str, ...] = ("centre", "payment"),
        further: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
    ) -> None:
        self.port = free_port()
        self.base = f"http://127.0.0.1:{self.port}"
        self.settings = folder / "rakeeza.toml"
        sections: dict[str, Mapping[str, Any]] = {
            "platform": {"folder": str(folder / "platform")},
            "database": {"url": database},
            "http": {"port": self.port},
            "identity": {"token_lifetime": 86_400},
        }
        for section, options in further.items():
            sections[section] = {**sections.get(section, {}), **options}
        lines = []
        for name, options in sections.items():
            lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in options.items())]
        self.settings.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.tokens: dict[str, str] = {}
        secrets = {role: self._client(role) for role in clients}
        self.processes = {role: Process(role, self.settings) for role in roles}
        for number in range(2, apis + 1):
            self.processes[f"api-{number}"] = Process("api", self.settings)
        self.await_api()
        for role, secret in secrets.items():
            grant = {"grant_type": "client_credentials"}
            answer = httpx.post(f"{self.base}/v1/oauth/token", data=grant, auth=(f"{role}-1", secret))
            self.tokens[role] = answer.raise_for_status().json()["access_token"]

    def await_api(self) -> None:
        """Wait until the API answers.

        Raises:
            Failed: it does not come back.
        """
        limit = time.monotonic() + _PATIENCE
        while time.monotonic() < limit:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"{self.base}/healthz", timeout=5).status_code == 200:
                    return
            if not self.processes["api"].alive:
                self.processes["api"].again()
            time.sleep(0.1)
        raise Failed("the API does not come back")

    def example(self) -> dict[str, Any]:
        """A submission of the shop licence's own example."""
        service = httpx.get(f"{self.base}/v1/services/shop_licence").raise_for_status().json()
        form = service["procedures"]["issue"]["form"]["properties"]
        return {
            "service": "shop_licence",
            "applicant": {
                "kind": "national_id",
                "identifier": "1058529940",
                "name": "نورة بنت عبدالعزيز",
                "mobile": "+966501234567",
            },
            "form": {name: field["examples"][0] for name, field in form.items() if "examples" in field},
        }

    def stop(self) -> None:
        """End the processes."""
        for process in self.processes.values():
            process.stop()

    def _client(self, role: str) -> str:
        command = [sys.executable, "-m", "console", "--settings", str(self.settings), "identity", "client"]
        done = subprocess.run(
            [*command, "add", f"{role}-1", "--role", role, "--format", "json"],
            cwd=_ROOT,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        if done.returncode:
            raise Failed(f"no client could be made: {done.stderr}")
        return str(json.loads(done.stdout)["secret"])


class Platform(Served):
    """What a campaign breaks: the platform, with a relay before its PostgreSQL.

    Args:
        folder: of everything it writes.
        url: of the private PostgreSQL itself, for the checker.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self.url = url
        self._data = folder / "postgres" / "data"
        parts: dict[str, Any] = conninfo_to_dict(url)
        self.relay = Relay(folder / "relay", f"{parts['host']}/.s.PGSQL.{parts.get('port', '5432')}")
        through = make_conninfo(**{**parts, "host": str(folder / "relay"), "port": "5432"})
        webhooks = {"allow_private": True, "timeout": 2.0, "attempts": 30}
        clients = ("centre", "payment", "reviewer")
        super().__init__(folder, through, clients=clients, further={"webhooks": webhooks})

    def kill_postgres(self) -> None:
        """End PostgreSQL's first process as a power cut would; its keeper starts it again."""
        with contextlib.suppress(OSError, ValueError, IndexError):
            number = int((self._data / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
            os.kill(number, signal.SIGKILL)

    def subscribe(self, url: str) -> None:
        """Let the centre be told of all its events from now on."""
        answer = httpx.post(
            f"{self.base}/v1/webhooks",
            json={"url": url},
            headers={"Authorization": f"Bearer {self.tokens['centre']}", "Idempotency-Key": "webhook"},
        )
        answer.raise_for_status()

    def stop(self) -> None:
        """End the processes and the relay."""
        super().stop()
        self.relay.close()


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Platform]:
    """The platform in a folder, stopped at the end of the block."""
    with PrivatePostgres(folder / "postgres", max_connections=80).lease() as url:
        platform = Platform(folder, url)
        try:
            yield platform
        finally:
            platform.stop()
