"""PostgreSQL by playbook: who is let in, and what comes back after the worst day."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from lab.machine import Machine
from lab.machines import Lab
from tests.playbooks.conftest import Play
from tests.playbooks.server_material import Issuer, put, sealed
from tests.processes import until

FIRST_PASSWORD = "a first password"
PASSWORD = "p@ss:w\\ord 'of the platform'"
BACKUP_PASSWORD = "of:the\\backup-host"
SECRETS = sealed(postgresql_password=PASSWORD, postgresql_backup_password=BACKUP_PASSWORD)
FOLDER = "/var/backups/rakeeza-postgresql"


class Server:
    """The database's machine and its backup host, set up by the playbooks."""

    def __init__(self, lab: Lab, runs: Path, folder: Path) -> None:
        self.runs, play = runs, Play(runs)
        self.network = lab.network
        machines = lab.boot("pg-1", "pg-backup", fetched=["postgresql-15"])
        self.machine, self.keeper = machines["pg-1"], machines["pg-backup"]
        self.issuer = Issuer.made(folder, "Authority of the test")
        self.checked = play("postgresql", self.machine, secrets=SECRETS, check=True)
        self.checked.assert_good()
        first = sealed(postgresql_password=FIRST_PASSWORD)
        play("postgresql", self.machine, secrets=first).assert_good()
        certificate, key = self.issuer.certify("DNS:pg-1", f"IP:{self.machine.address}")
        put(self.machine, "/etc/rakeeza/tls/pg.pem", certificate)
        put(self.machine, "/etc/rakeeza/tls/pg.key", key, owner="postgres", mode="0600")
        put(self.keeper, "/etc/rakeeza/tls/authority.pem", self.issuer.certificate.read_text())
        self.set_up = play.twice("postgresql", self.machine, **self.parameters)
        play.twice("postgresql_backup", self.keeper, secrets=SECRETS, database_host="pg-1")

    @property
    def parameters(self) -> dict[str, Any]:
        return {
            "secrets": SECRETS,
            "listen": f"127.0.0.1,{self.machine.address}",
            "clients": self.network,
            "backup_clients": f"{self.keeper.address}/32",
            "tls_certificate": "/etc/rakeeza/tls/pg.pem",
            "tls_key": "/etc/rakeeza/tls/pg.key",
        }

    def connect(self, **other: Any) -> "psycopg.Connection[Any]":
        """As the platform does it, from this machine; what is named over it."""
        named: dict[str, Any] = {
            "host": "pg-1",
            "hostaddr": self.machine.address,
            "user": "rakeeza",
            "dbname": "rakeeza",
            "password": PASSWORD,
            "sslmode": "verify-full",
            "sslrootcert": str(self.issuer.certificate),
        }
        return psycopg.connect(**{**named, **other}, autocommit=True)


@pytest.fixture(scope="module")
def server(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = Server(lab, tmp_path_factory.mktemp("runs"), tmp_path_factory.mktemp("authority"))
    yield made
    lab.remove(made.machine, made.keeper)


def test_a_check_on_a_bare_machine_says_what_would_be_made(server: Server) -> None:
    told = [task for _, task in server.checked.changes]
    assert any("Install Debian's PostgreSQL 15" in task for task in told)
    assert any("Make the cluster" in task for task in told)


def test_a_check_changes_nothing_and_shows_the_difference(server: Server, play: Play) -> None:
    parameters = {**server.parameters, "shared_memory": 300}
    outcome = play("postgresql", server.machine, check=True, **parameters)
    outcome.assert_good()
    assert [task for _, task in outcome.changes] == ["Write the settings"]
    with server.connect() as connection:
        assert connection.execute("SHOW shared_buffers").fetchone() == ("256MB",)


def test_the_platform_is_let_in_by_tls_and_owns_its_database(server: Server) -> None:
    with server.connect() as connection:
        row = connection.execute(
            "SELECT current_setting('data_checksums'), current_setting('password_encryption'),"
            " (SELECT ssl AND version >= 'TLSv1.2' FROM pg_stat_ssl WHERE pid = pg_backend_pid()),"
            " (SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication FROM pg_roles"
            "  WHERE rolname = current_user), version()"
        ).fetchone()
    assert row is not None
    assert row[:4] == ("on", "scram-sha-256", True, False)
    assert row[4].startswith("PostgreSQL 15.")


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"sslmode": "disable"}, "pg_hba.conf rejects connection"),
        ({"password": "wrong"}, "password authentication failed"),
        ({"user": "postgres"}, "pg_hba.conf rejects connection"),
        ({"dbname": "postgres"}, "pg_hba.conf rejects connection"),
        ({"user": "rakeeza_backup", "password": BACKUP_PASSWORD}, "pg_hba.conf rejects connection"),
        ({"require_auth": "md5"}, "authentication method requirement"),
        ({"host": "another"}, "does not match host name"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_everybody_else_is_refused(server: Server, other: dict[str, str], words: str) -> None:
    with pytest.raises(psycopg.OperationalError, match=words):
        server.connect(**other)


def test_it_listens_to_no_other_machine_without_a_certificate_of_its_own(server: Server, play: Play) -> None:
    outcome = play("postgresql", server.machine, secrets=SECRETS, listen="*")
    assert outcome.hosts["pg-1"].state == "failed"
    assert "tls_certificate" in str(outcome.hosts["pg-1"].message)
    with server.connect() as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


def test_no_password_stands_in_a_log_or_in_the_folder_of_a_run(server: Server) -> None:
    # The passwords were changed on the way, which is the moment at which a statement holds one.
    assert ("pg-1", "Make roles and database") in server.set_up.changes
    assert not _holding(server.runs, PASSWORD, FIRST_PASSWORD, BACKUP_PASSWORD)
    script = "journalctl --no-pager; find /var/log/postgresql -type f -exec cat {} +"
    for machine in (server.machine, server.keeper):
        said = machine.output("sh", "-c", script, root=True)
        assert len(said) > 1000
        assert not any(password in said for password in (PASSWORD, FIRST_PASSWORD, BACKUP_PASSWORD))


def test_a_file_of_wal_is_never_written_over(server: Server) -> None:
    script = """
set -u
cd /tmp && echo one > a && echo two > b
for file in a a b; do
  /usr/local/lib/rakeeza/postgresql-archive $file 0000000900000000000000AA $1; echo $?
done
cat $1/wal/0000000900000000000000AA; rm $1/wal/0000000900000000000000AA
mv $1/cluster $1/away; /usr/local/lib/rakeeza/postgresql-archive a 0000000900000000000000AB $1; echo $?
mv $1/away $1/cluster; test -e $1/wal/0000000900000000000000AB; echo $?
"""
    answer = server.machine.ssh(
        "runuser", "-u", "postgres", "--", "sh", "-c", script, "sh", FOLDER, root=True
    )
    assert answer.stdout.split() == ["0", "0", "1", "one", "1", "1"], answer.stderr
    assert "is there already, with another content" in answer.stderr
    assert "is its disk mounted?" in answer.stderr


def test_only_the_backups_asked_for_are_kept_and_monitoring_is_told(server: Server) -> None:
    machine = server.machine
    script = f"/usr/local/lib/rakeeza/postgresql-backup {FOLDER} 1 'host=/var/run/postgresql user=postgres'"
    machine.output("runuser", "-u", "postgres", "--", "sh", "-c", f"sleep 1.1; {script}", root=True)
    (kept,) = machine.output("ls", f"{FOLDER}/base", root=True).split()
    metrics = "/var/lib/prometheus/node-exporter/rakeeza_postgresql_backup.prom"
    assert "rakeeza_postgresql_backup_last_run_success 1" in machine.output("cat", metrics)
    label = machine.output("cat", f"{FOLDER}/base/{kept}/backup_label", root=True)
    first = label.partition("(file ")[2][:24]
    wal = machine.output("ls", f"{FOLDER}/wal", root=True).split()
    assert first in wal
    assert min(wal) >= first


def test_a_moment_before_the_loss_comes_back_on_the_machine_itself(server: Server, play: Play) -> None:
    with server.connect() as connection:
        moment = _lose_after(connection, "here", server.machine)
        connection.execute("SELECT 1")
    # What the archive lacks is still in the running cluster; here its files are finished first.
    _as_postgres(server.machine, "main", "SELECT pg_switch_wal()")
    _await_archived(server.machine)
    play.twice("postgresql_restore", server.machine, restore_to=moment)
    assert _as_postgres(server.machine, "restored", "SELECT count(*), sum(id) FROM here") == "200|20100"
    with server.connect() as connection, pytest.raises(psycopg.errors.UndefinedTable):
        connection.execute("SELECT count(*) FROM here")

    refused = play("postgresql_restore", server.machine, restore_to="latest")
    assert refused.hosts["pg-1"].state == "failed"
    assert "pg_dropcluster" in str(refused.hosts["pg-1"].message)


def test_a_damaged_backup_is_not_restored(server: Server, play: Play) -> None:
    script = f"""
set -eu
cp -a {FOLDER} /var/backups/damaged
cd /var/backups/damaged/base && cd "$(ls | tail -n 1)"
printf '\\377' | dd of="$(ls base/1/[0-9]* | head -n 1)" bs=1 seek=4000 conv=notrunc status=none
"""
    server.machine.output("sh", "-c", script, root=True)
    outcome = play(
        "postgresql_restore", server.machine, restore_to="latest", cluster="damaged", database_port=5444,
        backup_folder="/var/backups/damaged",
    )  # fmt: skip
    assert outcome.hosts["pg-1"].state == "failed"
    assert "checksum mismatch" in str(outcome.hosts["pg-1"].message)
    assert server.machine.ssh("test", "-e", "/var/lib/postgresql/15/damaged", root=True).returncode == 1


# Last: it ends with the database's machine lost.
def test_when_the_machine_is_lost_its_data_comes_back_on_the_backup_host(server: Server, play: Play) -> None:
    with server.connect() as connection:
        moment = _lose_after(connection, "everything", server.keeper)
    # The receiver is a moment behind; what had not left a machine is lost with it.
    question = "SELECT bool_and(flush_lsn >= pg_current_wal_flush_lsn()) FROM pg_stat_replication"
    until(lambda: _as_postgres(server.machine, "main", question) == "t", "the receipt of the WAL")
    server.machine.power_off()
    started = time.monotonic()
    play.twice("postgresql_restore", server.keeper, restore_to=moment)
    print(f"restored twice in {time.monotonic() - started:.1f} s")
    assert _as_postgres(server.keeper, "restored", "SELECT count(*), sum(id) FROM everything") == "200|20100"
    written = "INSERT INTO everything VALUES (201); SELECT count(*) FROM everything"
    assert _as_postgres(server.keeper, "restored", written) == "201"


def _lose_after(connection: "psycopg.Connection[Any]", table: str, backed_up: Machine) -> str:
    """Write rows, back up, write more; the moment after which the table is dropped."""
    connection.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)")
    connection.execute(f"INSERT INTO {table} SELECT generate_series(1, 100)")
    backed_up.output("systemctl", "start", "rakeeza-postgresql-backup.service", root=True)
    connection.execute(f"INSERT INTO {table} SELECT generate_series(101, 200)")
    # The name of a base backup tells whole seconds.
    time.sleep(1.1)
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    assert row is not None
    time.sleep(0.1)
    connection.execute(f"DROP TABLE {table}")
    return str(row[0].isoformat())


def _as_postgres(machine: Machine, cluster: str, statement: str) -> str:
    argv = ["psql", "--cluster", f"15/{cluster}", "-XAtq", "-d", "rakeeza", "-c", statement]
    return machine.output("runuser", "-u", "postgres", "--", *argv, root=True).strip().splitlines()[-1]


def _await_archived(machine: Machine) -> None:
    question = "SELECT last_archived_wal >= pg_walfile_name(pg_current_wal_lsn() - 1) FROM pg_stat_archiver"
    for _ in range(600):
        if _as_postgres(machine, "main", question) == "t":
            return
        time.sleep(0.1)
    raise AssertionError("The WAL is not archived.")


def _holding(folder: Path, *markers: str) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 5
    return [path for path in files if any(marker.encode() in path.read_bytes() for marker in markers)]
