"""Chooses the base backup that a moment is restored from, and verifies it: FOLDER MOMENT; prints JSON."""

import json
import re
import subprocess
import sys
from datetime import datetime, timezone
from pathlib import Path

PROGRAMS = Path("/usr/lib/postgresql/15/bin")
NEEDED = ("max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_xacts", "max_locks_per_xact")
NAMES = {"max_prepared_xacts": "max_prepared_transactions", "max_locks_per_xact": "max_locks_per_transaction"}


def main():
    folder, wanted = Path(sys.argv[1]), sys.argv[2]
    backups = {ended(path): path for path in (folder / "base").glob("20*Z")}
    if not backups:
        sys.exit("%s/base holds no base backup." % folder)
    moment = max(backups) if wanted == "latest" else datetime.fromisoformat(wanted.replace("Z", "+00:00"))
    if moment > datetime.now(timezone.utc):
        sys.exit("%s is still to come." % wanted)
    usable = [end for end in backups if end <= moment]
    if not usable:
        sys.exit("The oldest base backup ended at %s, after %s: that moment is not kept." % (min(backups), wanted))
    backup = backups[max(usable)]
    run("pg_verifybackup", "--quiet", backup)
    settings = {}
    for line in run("pg_controldata", "-D", backup).splitlines():
        found = re.fullmatch(r"(\w+) setting:\s+(\d+)", line)
        if found and found[1] in NEEDED:
            settings[NAMES.get(found[1], found[1])] = int(found[2])
    print(json.dumps({"backup": str(backup), "settings": settings}))


def ended(path):
    return datetime.strptime(path.name, "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)


def run(program, *argv):
    done = subprocess.run([PROGRAMS / program, *argv], capture_output=True, text=True, env={"LC_ALL": "C"})
    if done.returncode != 0:
        sys.exit("%s: %s" % (program, (done.stderr or done.stdout).strip()))
    return done.stdout


main()
