"""Chooses the base backup that a moment is restored from, and verifies it: FOLDER MOMENT; prints JSON."""

import json
import re
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
# As pg_controldata calls them, and as the settings are called.
NAMES = {
    "max_connections": "max_connections",
    "max_worker_processes": "max_worker_processes",
    "max_wal_senders": "max_wal_senders",
    "max_prepared_xacts": "max_prepared_transactions",
    "max_locks_per_xact": "max_locks_per_transaction",
}


def main():
    folder, wanted = Path(sys.argv[1]), sys.argv[2]
    backups = {ended(path): path for path in (folder / "base").glob("20*Z")}
    if not backups:
        sys.exit(f"{folder}/base holds no base backup.")
    moment = max(backups) if wanted == "latest" else datetime.fromisoformat(wanted.replace("Z", "+00:00"))
    if moment > datetime.now(UTC):
        sys.exit(f"{wanted} is still to come.")
    usable = [end for end in backups if end <= moment]
    if not usable:
        sys.exit(f"{wanted} is not kept: the oldest base backup ended at {min(backups)}.")
    backup = backups[max(usable)]
    run("pg_verifybackup", "--quiet", backup)
    settings = {}
    for line in run("pg_controldata", "-D", backup).splitlines():
        found = re.fullmatch(r"(\w+) setting:\s+(\d+)", line)
        if found and found[1] in NAMES:
            settings[NAMES[found[1]]] = int(found[2])
    print(json.dumps({"backup": str(backup), "settings": settings}))


def ended(path):
    return datetime.strptime(path.name, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def run(program, *argv):
    done = subprocess.run([PROGRAMS / program, *argv], capture_output=True, text=True, env={"LC_ALL": "C"})
    if done.returncode != 0:
        sys.exit(f"{program}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


main()
