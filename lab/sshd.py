"""Debian's own sshd on loopback: the server of the lab that playbooks run on.

It works as root and as an ordinary user; the login is always the user who started the lab. Its sessions have
a home of their own inside the lab's folder, so a playbook leaves no trace outside it.
"""

import getpass
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from foundation.errors import Unavailable
from foundation.guard import Guard, Program, free_port, wait_for_port

_SSHD = "/usr/sbin/sshd"
_PRIVILEGE_SEPARATION = Path("/run/sshd")
_START_LIMIT = 60.0


@dataclass(frozen=True)
class SshServer:
    """A running sshd.

    Args:
        host: address it listens on.
        port: its port.
        user: the one who may log in.
        key_file: the private key to log in with.
        host_key: its public host key, type and base64.
        home: the folder its sessions take for their home.
        log: its log.
    """

    host: str
    port: int
    user: str
    key_file: Path
    host_key: str
    home: Path
    log: Path

    def attributes(self) -> dict[str, str | int]:
        """The attributes of the asset that stands for this server."""
        return {
            "ansible_host": self.host,
            "ansible_port": self.port,
            "ansible_user": self.user,
            # Ansible would take the passwd entry's home for its temporary files.
            "ansible_remote_tmp": str(self.home / ".ansible" / "tmp"),
            "ssh_key_file": str(self.key_file),
            "host_key": self.host_key,
        }


def start(guard: Guard, folder: Path, name: str = "lab-server") -> SshServer:
    """Start an sshd; it ends with its guard.

    Args:
        guard: what it runs under.
        folder: for its keys, configuration, log and home; made if missing.
        name: its name under the guard.

    Raises:
        Unavailable: sshd is not installed, or does not start; the error holds the end of its log.
    """
    if not Path(_SSHD).exists():
        raise Unavailable("sshd is not installed.", place=_SSHD, remedy="Run script/bootstrap.")
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    key_file, host_key_file = folder / "client_key", folder / "host_key"
    for path, comment in ((key_file, "rakeeza lab client"), (host_key_file, "rakeeza lab host")):
        if not path.exists():
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)]
            subprocess.run(command, check=True, capture_output=True)
    (folder / "authorized_keys").write_bytes(key_file.with_suffix(".pub").read_bytes())
    if os.geteuid() == 0:
        # As Debian's unit makes it; sshd as root refuses to start without.
        _PRIVILEGE_SEPARATION.mkdir(mode=0o755, exist_ok=True)
    port, user, log = free_port(), getpass.getuser(), folder / "sshd.log"
    configuration = folder / "sshd_config"
    configuration.write_text(_configuration(folder, port, user, home), encoding="utf-8")
    # By its full path: sshd starts itself again for every connection.
    argv = (_SSHD, "-D", "-e", "-f", str(configuration))
    guard.start(Program(name=name, argv=argv, log=log, folder=folder))
    _wait(guard, name, port, log)
    host_key = " ".join(host_key_file.with_suffix(".pub").read_text(encoding="utf-8").split()[:2])
    return SshServer("127.0.0.1", port, user, key_file, host_key, home, log)


def _wait(guard: Guard, name: str, port: int, log: Path) -> None:
    limit = time.monotonic() + _START_LIMIT
    while True:
        try:
            return wait_for_port("127.0.0.1", port, 0.2, "sshd")
        except Unavailable as error:
            if name not in guard.poll() and time.monotonic() < limit:
                continue
            tail = log.read_text(encoding="utf-8", errors="replace")[-500:].strip()
            raise Unavailable(f"sshd does not start. Its log ends: {tail}", place=str(log)) from error


def _configuration(folder: Path, port: int, user: str, home: Path) -> str:
    # StrictModes: it would refuse the key because a temporary folder's parent (/tmp) is open to others.
    # UsePAM: PAM needs root, and would drag in what the machine's own logins need.
    # SetEnv: after login HOME is the passwd entry's; this puts the lab's own over it, and the forced command
    # goes there. It runs what was asked for, so the sftp server must be a program and not the built-in one.
    # MaxStartups: a play opens one connection a host at once, and many hosts of a test are this one server.
    return f"""\
ListenAddress 127.0.0.1:{port}
HostKey "{folder / "host_key"}"
AuthorizedKeysFile "{folder / "authorized_keys"}"
AllowUsers {user}
PermitRootLogin prohibit-password
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
StrictModes no
SetEnv HOME="{home}"
PidFile none
UseDNS no
X11Forwarding no
AllowTcpForwarding no
AllowAgentForwarding no
PrintMotd no
PrintLastLog no
MaxStartups 200
MaxSessions 100
LogLevel VERBOSE
Subsystem sftp /usr/lib/openssh/sftp-server
ForceCommand cd && exec /bin/sh -c "${{SSH_ORIGINAL_COMMAND:-exec ${{SHELL:-/bin/sh}} -l}}"
"""
