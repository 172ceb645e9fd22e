"""A municipality on one machine: real daemons, simulated kiosk devices, and the platform that serves them.

Everything listens on loopback on free ports, keeps its files in one folder, and runs under one guard: it ends
with the process that started it, in whatever way that ends.
"""

import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from foundation.errors import Refused, Unavailable
from foundation.guard import Guard, Program, free_port
from lab import kiosk, snmpd, sshd

_STARTS_WITHIN = 150.0
_ROLES = ("centre", "payment", "engineer", "kiosk", "reviewer", "inspector", "finance")
_COMMUNITY = "lab-community"
_HERE = Path(__file__).parent

Sections = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Account:
    """An API client of the lab.

    Args:
        client_id: its name.
        secret: made by the platform at the lab's start.
        roles: what it may do.
    """

    client_id: str
    secret: str = field(repr=False)
    roles: tuple[str, ...]


@dataclass(frozen=True)
class Faces:
    """Base URLs of the running platform; `tls` is the API's face for those who show certificates."""

    api: str
    tls: str
    collector: str
    prometheus: str
    logs: Path


class Municipality:
    """A running lab; `municipality()` makes and ends one.

    Args:
        folder: for every file of the lab.
        guard: what its programs run under.
        settings: sections over the lab's own settings, as in rakeeza.toml.
        terminal: options over the kiosk's own of its section [terminal].
        scanner: class and driver of the kiosk's scanner instead of the product's own.
    """

    def __init__(
        self,
        folder: Path,
        guard: Guard,
        settings: Sections,
        terminal: Mapping[str, Any],
        scanner: Mapping[str, str] | None,
    ) -> None:
        self.folder = folder
        self.guard = guard
        self.settings_file = folder / "rakeeza.toml"
        self.accounts: dict[str, Account] = {}
        ports = {section: free_port() for section in ("http", "tls", "collector", "prometheus")}
        urls = {section: f"http://127.0.0.1:{port}" for section, port in ports.items()}
        logs = folder / "platform" / "log"
        tls = f"https://localhost:{ports['tls']}"
        self.faces = Faces(urls["http"], tls, urls["collector"], urls["prometheus"], logs)
        # What an earlier lab in this folder said and printed would be taken for this one's.
        (folder / "serve.log").unlink(missing_ok=True)
        shutil.rmtree(folder / "kiosk", ignore_errors=True)
        self.sshd = sshd.start(guard, folder / "sshd")
        self.snmpd = snmpd.start(guard, folder / "snmpd")
        self._write_settings(ports, settings)
        self._serve()
        self._register()
        account = self.accounts["kiosk"]
        self.kiosk = kiosk.start(
            guard,
            folder / "kiosk",
            api=self.faces.api,
            client_id=account.client_id,
            secret=account.secret,
            terminal=terminal,
            scanner=scanner,
        )

    def rakeeza(self, *arguments: str, text: str = "") -> str:
        """What a command of the platform prints.

        Args:
            arguments: of the command line.
            text: its standard input.

        Raises:
            Refused: it ended with another code than 0; the error holds what it said.
        """
        done = self._run(arguments, text)
        if done.returncode:
            raise Refused(
                f"rakeeza {' '.join(arguments)} ended with {done.returncode}: {done.stderr or done.stdout}"
            )
        return done.stdout

    def rakeeza_fails(self, *arguments: str) -> str:
        """What a command says that must fail.

        Raises:
            Refused: it did not fail, or failed with a traceback.
        """
        done = self._run(arguments, "")
        said = done.stderr + done.stdout
        if done.returncode == 0 or "Traceback" in said:
            raise Refused(f"rakeeza {' '.join(arguments)} ended with {done.returncode}: {said}")
        return said

    def ssh(self, *command: str) -> str:
        """What a command on lab-server prints, by OpenSSH's own client."""
        server = self.sshd
        options = ("-o", "BatchMode=yes", "-o", f"UserKnownHostsFile={self.folder / 'known_hosts'}")
        target = ("-i", str(server.key_file), "-p", str(server.port), f"{server.user}@{server.host}")
        return _output("ssh", "-F", "none", *options, *target, *command)

    def snmpget(self, oid: str) -> str:
        """A value of lab-server by net-snmp's own client."""
        argv = ("snmpget", "-v2c", "-c", self.snmpd.community, "-Oqv", self.snmpd.address, oid)
        return _output(*argv).strip().strip('"')

    def command(self) -> str:
        """The command line that speaks to this lab."""
        return f".venv/bin/rakeeza --settings {self.settings_file}"

    def places(self) -> list[tuple[str, str]]:
        """What a person can look at, and where."""
        return [
            ("Kiosk screen", self.kiosk.url),
            ("Receipts", str(self.kiosk.devices.paper)),
            ("API", f"{self.faces.api}/openapi.json"),
            ("SOAP", f"{self.faces.api}/v1/soap?wsdl"),
            ("Readings", f"{self.faces.collector}/probe?target=lab-server"),
            ("Prometheus", f"{self.faces.prometheus}/graph?g0.expr=system_agent_uptime_seconds"),
            ("Files and logs", str(self.folder)),
        ]

    def wait(self) -> None:
        """Wait for Ctrl-C.

        Raises:
            Unavailable: a program of the lab has ended by itself.
        """
        while not (ended := self.guard.poll()):
            time.sleep(0.5)
        raise Unavailable(
            f"{', '.join(ended)} ended by itself.", place=str(self.folder), remedy="Read its log there."
        )

    def _run(self, arguments: tuple[str, ...], text: str) -> "subprocess.CompletedProcess[str]":
        argv = [sys.executable, "-m", "console", "--settings", str(self.settings_file), *arguments]
        return subprocess.run(argv, input=text, capture_output=True, text=True, timeout=120, check=False)

    def _write_settings(self, ports: Mapping[str, int], settings: Sections) -> None:
        sections: dict[str, dict[str, Any]] = {
            "platform": {
                "folder": str(self.folder / "platform"),
                "municipality": "lab",
                "name_ar": "أمانة المدينة النموذجية",
                "name_en": "Model City Municipality",
            },
            "http": {"public_url": self.faces.api},
            "plays": {"folders": [str(_HERE / "playbooks")]},
            # The demo plays on every day of the year.
            "changes": {"folders": [str(_HERE / "calendars")], "calendar": "lab"},
            # The centre's own system listens on this machine.
            "webhooks": {"allow_private": True},
            # A demo should not wait a quarter of a minute for its first reading.
            "prometheus": {"scrape_interval": 1.0},
        }
        for name, port in ports.items():
            sections.setdefault(name, {})["port"] = port
        for name, options in settings.items():
            sections.setdefault(name, {}).update(options)
        self.settings_file.write_text(toml(sections), encoding="utf-8")

    def _serve(self) -> None:
        argv = (sys.executable, "-m", "console", "--settings", str(self.settings_file), "serve")
        log = self.folder / "serve.log"
        self.guard.start(Program("rakeeza serve", argv, log, grace=20.0))
        limit = time.monotonic() + _STARTS_WITHIN
        while "Serving" not in log.read_text(encoding="utf-8"):
            if self.guard.poll() or time.monotonic() > limit:
                raise Unavailable(
                    f"The platform does not start: {log.read_text(encoding='utf-8').strip()}", place=str(log)
                )
            time.sleep(0.05)

    def _register(self) -> None:
        known = f"[{self.sshd.host}]:{self.sshd.port} {self.sshd.host_key}\n"
        (self.folder / "known_hosts").write_text(known, encoding="utf-8")
        self.rakeeza("secret", "set", _COMMUNITY, "--stdin", text=self.snmpd.community)
        assets = self.folder / "assets.yaml"
        assets.write_text(yaml.safe_dump({"assets": self._assets()}, allow_unicode=True), encoding="utf-8")
        self.rakeeza("asset", "import", str(assets))
        self._add_clients()

    def _add_clients(self) -> None:
        # A folder that was used before has them already, and the platform tells a secret only once.
        kept = self.folder / "accounts.json"
        known: dict[str, str] = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
        for role in _ROLES:
            client_id = f"lab-{role}"
            if role not in known:
                add = ("identity", "client", "add", client_id, "--role", role)
                known[role] = json.loads(self.rakeeza(*add, "--format", "json"))["secret"]
            self.accounts[role] = Account(client_id, known[role], (role,))
        kept.touch(mode=0o600)
        kept.write_text(json.dumps(known), encoding="utf-8")

    def _assets(self) -> list[dict[str, Any]]:
        server = {
            **self.sshd.attributes(),
            "snmp_address": self.snmpd.address,
            "snmp_community_secret": _COMMUNITY,
        }
        return [
            _asset(
                "lab",
                "municipality",
                "أمانة المدينة النموذجية",
                "Model City Municipality",
                "",
                {"fee_class": 1},
            ),
            _asset("lab-site", "site", "مركز البيانات الرئيسي", "Main data centre", "lab", {}),
            _asset("lab-server", "host", "خادم المختبر", "Lab server", "lab-site", server),
        ]


@contextlib.contextmanager
def municipality(
    folder: Path | None = None,
    settings: Sections | None = None,
    terminal: Mapping[str, Any] | None = None,
    scanner: Mapping[str, str] | None = None,
) -> Iterator[Municipality]:
    """A running lab; ended and, in a temporary folder, removed at the end of the block.

    Args:
        folder: for every file of the lab; without it a temporary one.
        settings: sections over the lab's own settings.
        terminal: options over the kiosk's own of its section [terminal].
        scanner: class and driver of the kiosk's scanner instead of the product's own.

    Raises:
        Unavailable: a part of it does not start.
    """
    with contextlib.ExitStack() as stack:
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="rakeeza-lab-"))
            stack.callback(shutil.rmtree, folder, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        # PostgreSQL runs as a system user of its own when we are root, and must be able to pass through.
        folder.chmod(0o711)
        guard = stack.enter_context(Guard())
        yield Municipality(folder, guard, settings or {}, terminal or {}, scanner)


def toml(sections: Sections) -> str:
    """Settings as TOML; strings, numbers, booleans and lists of them are written alike in JSON and TOML."""
    return "\n".join(
        f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in options.items())
        for name, options in sections.items()
    )


def _asset(name: str, kind: str, ar: str, en: str, parent: str, attributes: dict[str, Any]) -> dict[str, Any]:
    asset: dict[str, Any] = {
        "name": name,
        "kind": kind,
        "title": {"ar": ar, "en": en},
        "attributes": attributes,
    }
    return {**asset, "parent": parent} if parent else asset


def _output(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
    if done.returncode:
        raise Refused(f"{argv[0]} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout
