"""A centre's counter, and the municipality behind it: the API in its own process, over TLS."""

import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psycopg
from cryptography.hazmat.primitives.asymmetric import rsa
from fastapi import FastAPI
from psycopg import sql
from sqlalchemy import text

from console.bootstrap import Platform, open_platform
from foundation.guard import free_port, wait_for_port
from foundation.settings import load
from tests.integrations.desk import ADMINISTRATOR, REVIEWER, Desk
from tests.integrations.signed_town import AMAL, CODE, OTHER, Kit, Town, pem
from tests.processes import PATIENCE, ROOT

_DATABASE = "clients_of_the_api"


@dataclass
class Counter:
    """The counter, and what the municipality does behind it.

    Args:
        town: the centre's keys; its desk is the municipality.
        platform: as this process has it, over the same database as the API's process.
        environment: what a client is told, as the examples in tests/clients name it; its key is RSA.
        elliptic: what a client of another centre is told, whose key is P-256.
        admin: URL of another database of the same server.
    """

    town: Town
    platform: Platform
    environment: dict[str, str]
    elliptic: dict[str, str]
    admin: str

    @property
    def kit(self) -> Kit:
        """The centre's keys."""
        return self.town.kits[CODE]

    def approve(self, number: str) -> None:
        """A reviewer approves a case."""
        self.town.desk.do.take(REVIEWER, number, "approve")

    def pay(self, bill: str, amount: str) -> None:
        """The applicant pays a bill at the desk; the paper is made."""
        desk = self.town.desk
        desk.now.append(datetime.now(UTC))
        desk.pay(bill, amount, f"at the desk/{bill}")
        desk.work_off()

    @contextmanager
    def without_database(self) -> Iterator[None]:
        """While it lasts the database takes nobody in."""
        name = sql.Identifier(_DATABASE)
        with psycopg.connect(self.admin, autocommit=True) as connection:
            connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
            try:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [_DATABASE]
                )
                yield
            finally:
                connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))

    @contextmanager
    def with_a_defect(self) -> Iterator[None]:
        """While it lasts the table of the cases is not where the program looks for it."""
        self._rename("case_file", "case_file_elsewhere")
        try:
            yield
        finally:
            self._rename("case_file_elsewhere", "case_file")

    def _rename(self, old: str, new: str) -> None:
        with self.platform.database.transaction() as session:
            session.execute(text(f"ALTER TABLE {old} RENAME TO {new}"))


@contextmanager
def open_counter(postgres_url: str, folder: Path) -> Iterator[Counter]:
    """A counter over a database of its own, with the API in a process of its own."""
    with ExitStack() as stack:
        url = stack.enter_context(_database(postgres_url))
        tls, settings_file = free_port(), folder / "rakeeza.toml"
        settings_file.write_text(
            f'[platform]\nfolder = "{folder / "platform"}"\n[database]\nurl = "{url}"\n'
            f"[http]\nport = {free_port()}\nprocesses = 1\n[tls]\nport = {tls}\n"
        )
        platform = stack.enter_context(open_platform(load(settings_file, {}), "test"))
        stack.enter_context(_api(settings_file, folder / "api.log", tls))
        # Messages of before a crash are refused for a while; this database remembers from before.
        with platform.database.transaction() as session:
            session.execute(text("UPDATE message_memory SET since = now() - interval '1 hour'"))
        desk = Desk(
            platform.licensing, platform.database, platform.jobs, platform.settings, [datetime.now(UTC)]
        )
        trusting = ssl.create_default_context(cadata=platform.authority.certificate_pem())
        http = stack.enter_context(httpx.Client(verify=trusting, timeout=PATIENCE, trust_env=False))
        # The application of this town runs in the other process.
        town = Town(desk, platform.identity, platform.authority, FastAPI(), f"https://localhost:{tls}", http)
        kit = town.add_centre(CODE, rsa.generate_private_key(65537, 2048))
        other = town.add_centre(OTHER)
        told = [_environment(town, each, folder) for each in (kit, other)]
        yield Counter(town, platform, told[0], told[1], postgres_url)


def _environment(town: Town, kit: Kit, folder: Path) -> dict[str, str]:
    contents = {
        "CENTRE_KEY": pem(kit.key),
        "CENTRE_CERT": kit.certificate,
        "CENTRE_PEM": pem(kit.key) + kit.certificate,
        "CA": town.authority.certificate_pem().encode(),
    }
    told = {"API": town.url, "CLERK": f"{AMAL}@{kit.code}"}
    told["CLERK_SECRET"] = town.desk.licensing.centres.new_secret(ADMINISTRATOR, kit.code, AMAL).reveal()
    for name, content in contents.items():
        file = folder / f"{kit.code}-{name.lower()}.pem"
        file.write_bytes(content)
        told[name] = str(file)
    return told


@contextmanager
def _database(postgres_url: str) -> Iterator[str]:
    name = sql.Identifier(_DATABASE)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        template = sql.Identifier("rakeeza_template")
        connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(name, template))
        try:
            yield postgres_url.replace("@/rakeeza?", f"@/{_DATABASE}?")
        finally:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


@contextmanager
def _api(settings_file: Path, log: Path, port: int) -> Iterator[None]:
    command = [sys.executable, "-m", "console", "--settings", str(settings_file), "serve", "--roles", "api"]
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
    try:
        wait_for_port("127.0.0.1", port, PATIENCE, "the API")
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)
