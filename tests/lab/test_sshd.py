"""The lab's sshd, seen by OpenSSH's own client."""

import getpass
import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from foundation.errors import Unavailable
from foundation.guard import Guard
from lab import sshd
from lab.sshd import SshServer

# Not that of tests.processes: an ordinary user imports this file alone.
PATIENCE = 120.0


def ssh(server: SshServer, known_hosts: Path, *command: str) -> "subprocess.CompletedProcess[str]":
    known_hosts.write_text(f"[{server.host}]:{server.port} {server.host_key}\n", encoding="utf-8")
    options = {
        "UserKnownHostsFile": f'"{known_hosts}"',
        "StrictHostKeyChecking": "yes",
        "IdentitiesOnly": "yes",
        "BatchMode": "yes",
    }
    argv = ["ssh", "-F", "none", "-p", str(server.port), "-i", str(server.key_file)]
    argv += [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    argv += [f"{server.user}@{server.host}", *command]
    return subprocess.run(argv, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_its_key_logs_in_and_its_host_key_is_the_one_it_says(tmp_path: Path) -> None:
    with Guard() as guard:
        server = sshd.start(guard, tmp_path / "a lab")
        answer = ssh(server, tmp_path / "known_hosts", "id", "-un")
    assert answer.stdout.strip() == getpass.getuser(), answer.stderr


def test_a_session_is_at_home_in_the_folder_of_the_lab(tmp_path: Path) -> None:
    with Guard() as guard:
        server = sshd.start(guard, tmp_path / "lab")
        answer = ssh(server, tmp_path / "known_hosts", "echo $HOME; pwd; echo 'a  b'; exit 7")
    assert answer.stdout.splitlines() == [str(server.home), str(server.home), "a  b"]
    assert answer.returncode == 7


def test_another_key_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "other"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(other)], check=True)
    with Guard() as guard:
        server = sshd.start(guard, tmp_path / "lab")
        (tmp_path / "lab" / "client_key").write_bytes(other.read_bytes())
        (tmp_path / "lab" / "client_key.pub").write_bytes(other.with_suffix(".pub").read_bytes())
        answer = ssh(server, tmp_path / "known_hosts", "true")
    assert answer.returncode == 255
    assert "Permission denied" in answer.stderr


def test_files_go_both_ways_by_sftp(tmp_path: Path) -> None:
    there, back = tmp_path / "there", tmp_path / "back"
    there.write_bytes(b"\x00\xffbytes")
    with Guard() as guard:
        server = sshd.start(guard, tmp_path / "lab")
        ssh(server, tmp_path / "known_hosts", "true")
        options = ["-q", "-F", "none", "-P", str(server.port), "-i", str(server.key_file)]
        options += ["-o", f"UserKnownHostsFile={tmp_path / 'known_hosts'}"]
        target = f"{server.user}@{server.host}"
        subprocess.run(["scp", *options, str(there), f"{target}:copy"], check=True, timeout=PATIENCE)
        subprocess.run(["scp", *options, f"{target}:copy", str(back)], check=True, timeout=PATIENCE)
    assert back.read_bytes() == there.read_bytes()


def test_it_ends_with_its_guard(tmp_path: Path) -> None:
    with Guard() as guard:
        sshd.start(guard, tmp_path / "lab")
    marker = os.fsencode(tmp_path / "lab")
    left = [
        path for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists() and marker in path.read_bytes()
    ]
    assert left == []


def test_an_sshd_that_does_not_start_says_why(tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    folder.mkdir()
    (folder / "host_key").write_text("no key\n", encoding="utf-8")
    (folder / "host_key.pub").write_text("no key\n", encoding="utf-8")
    with Guard() as guard, pytest.raises(Unavailable, match="no hostkeys available"):
        sshd.start(guard, folder)


# What an ordinary user does, with the parts that need no package: that user may not read our folders.
AS_USER = """
import os, sys
from pathlib import Path
folder = Path(sys.argv[1])
sys.path.insert(0, str(folder / "parts"))
from foundation.guard import Guard
from lab import sshd
from test_sshd import ssh
with Guard() as guard:
    server = sshd.start(guard, folder / "lab")
    ssh(server, folder / "known_hosts", "id", "-u")
print(os.geteuid(), server.log.read_text())
"""


def test_an_ordinary_user_runs_it_and_logs_in() -> None:
    repository = Path(__file__).parents[2]
    # Not tmp_path, which only its owner enters.
    folder = Path(tempfile.mkdtemp(prefix="rk-", dir="/tmp"))
    try:
        for part in (
            "foundation/errors.py",
            "foundation/guard.py",
            "foundation/guard_process.py",
            "lab/sshd.py",
        ):
            target = folder / "parts" / part
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(repository / part, target)
        source = Path(__file__).read_text(encoding="utf-8").replace("import pytest", "")
        (folder / "parts" / "test_sshd.py").write_text(source.partition("\ndef test_")[0], encoding="utf-8")
        account = pwd.getpwnam("games") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        if os.geteuid() == 0:
            subprocess.run(["chown", "-R", f"{account.pw_uid}:{account.pw_gid}", str(folder)], check=True)
        answer = subprocess.run(
            ["/usr/bin/python3", "-S", "-c", AS_USER, str(folder)],
            user=account.pw_uid if os.geteuid() == 0 else None,
            group=account.pw_gid if os.geteuid() == 0 else None,
            extra_groups=[] if os.geteuid() == 0 else None,
            env={"PATH": os.environ["PATH"], "LOGNAME": account.pw_name},
            cwd="/",
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    finally:
        shutil.rmtree(folder)
    assert answer.stdout.startswith(f"{account.pw_uid} "), answer.stderr
    assert f"Accepted publickey for {account.pw_name}" in answer.stdout
    assert "Starting session: forced-command (config) " in answer.stdout
