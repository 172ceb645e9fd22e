"""Waits until a cluster has replayed its log and takes writes: CLUSTER SECONDS; says where it stopped."""

import re
import subprocess
import sys
import time
from pathlib import Path

cluster, limit = sys.argv[1], time.monotonic() + float(sys.argv[2])
log = Path(f"/var/log/postgresql/postgresql-15-{cluster}.log")


def said(pattern):
    text = log.read_text(errors="replace") if log.exists() else ""
    return [line.strip() for line in text.splitlines() if re.search(pattern, line)]


while time.monotonic() < limit:
    asked = subprocess.run(
        ["psql", "--cluster", "15/" + cluster, "-XAtq", "-d", "postgres", "-c", "SELECT pg_is_in_recovery()"],
        capture_output=True,
        text=True,
    )
    if asked.stdout.strip() == "f":
        print(" ".join(said("recovery stopping|last completed transaction|redo done")[-2:]))
        sys.exit()
    if fatal := said("FATAL:.*(recovery ended before|could not|WAL ends before|requested)"):
        sys.exit(
            f"The log cannot be replayed to that moment: {fatal[-1]}. If nothing was written after it,"
            " restore to `latest`."
        )
    if (
        subprocess.run(["systemctl", "is-failed", "--quiet", f"postgresql@15-{cluster}.service"]).returncode
        == 0
    ):
        sys.exit("The cluster does not start: " + " ".join(said("FATAL|PANIC|ERROR")[-2:]))
    time.sleep(0.5)
sys.exit(f"The log is not replayed in time; the cluster goes on. See {log}.")
