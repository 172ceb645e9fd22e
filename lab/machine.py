"""One server of the lab, as a test has it in hand: by ssh, and by its switch."""

import shlex
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from foundation.errors import Unavailable
from lab.machine_image import USER

_BOOT_LIMIT = 120.0
_SSH_LIMIT = 300.0
_STEP = 0.05
_STATE = (
    "cat /proc/sys/kernel/random/boot_id; systemctl is-system-running --wait; "
    "systemctl --failed --plain --no-legend"
)


class Power(Protocol):
    """What switches machines on and off: `lab.machines.Lab`."""

    def start(self, machine: "Machine") -> None:
        """Power it on, without waiting for it."""

    def stop(self, machine: "Machine") -> None:
        """Power it off at once."""

    def runs(self, machine: "Machine") -> bool:
        """Whether it is powered on."""


@dataclass(frozen=True)
class Machine:
    """A booted server of the lab.

    Args:
        name: its host name.
        address: its address, which the lab's other machines and this one reach.
        host_key: its public host key, type and base64.
        key_file: the private key that `engineer` logs in with.
        folder: its overlay (`disk`), known_hosts and log, on this machine.
        lab: where it runs.
    """

    name: str
    address: str
    host_key: str
    key_file: Path
    folder: Path
    lab: Power = field(repr=False)

    def attributes(self) -> dict[str, str | int]:
        """The attributes of the asset that stands for it."""
        return {
            "ansible_host": self.address,
            "ansible_user": USER,
            "ssh_key_file": str(self.key_file),
            "host_key": self.host_key,
        }

    @property
    def log(self) -> Path:
        """What it printed on its console, over all its boots."""
        return self.folder / "console.log"

    @property
    def known_hosts(self) -> Path:
        """A file with its host key, for ssh."""
        return self.folder / "known_hosts"

    def ssh(
        self,
        *argv: str,
        root: bool = False,
        user: str = USER,
        key: Path | None = None,
        options: Sequence[str] = (),
        stdin: str | None = None,
    ) -> "subprocess.CompletedProcess[str]":
        """Run a program there by OpenSSH's own client; a failure is in the answer, not an exception.

        Args:
            argv: the program and its arguments, as they are; `"sh", "-c", "…"` for a shell.
            root: by sudo.
            user: who logs in.
            key: the private key to log in with; the lab's if not given.
            options: further options of ssh.
            stdin: what it is given to read.
        """
        words = [*(["sudo", "-n"] if root else []), *argv]
        line = [*self.ssh_line(user=user, key=key, options=options), shlex.join(words)]
        return subprocess.run(
            line,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SSH_LIMIT,
            check=False,
            input=stdin or "",
        )

    def ssh_line(
        self, *, user: str = USER, key: Path | None = None, options: Sequence[str] = ()
    ) -> list[str]:
        """The command line of ssh to it, without the program to run there."""
        settings = {
            "UserKnownHostsFile": f'"{self.known_hosts}"',
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "IdentitiesOnly": "yes",
            "BatchMode": "yes",
            "ConnectTimeout": "10",
        }
        # What comes first wins in ssh, so the caller's options stand before ours.
        words = ["ssh", "-F", "none", *options, "-i", str(key or self.key_file)]
        words += [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
        return [*words, f"{user}@{self.address}"]

    def output(self, *argv: str, root: bool = False) -> str:
        """What a program there prints.

        Raises:
            Unavailable: it fails; with its words.
        """
        answer = self.ssh(*argv, root=root)
        if answer.returncode != 0:
            words = (answer.stderr or answer.stdout).strip()[-2000:]
            raise Unavailable(f"{shlex.join(argv)} ends with {answer.returncode}: {words}", place=self.name)
        return answer.stdout

    def fetch(self, path: str) -> bytes:
        """A file of it, read as root.

        Raises:
            Unavailable: there is none.
        """
        line = [*self.ssh_line(), shlex.join(["sudo", "-n", "cat", path])]
        answer = subprocess.run(line, capture_output=True, timeout=_SSH_LIMIT, check=False)
        if answer.returncode != 0:
            raise Unavailable(answer.stderr.decode(errors="replace").strip(), place=f"{self.name}:{path}")
        return answer.stdout

    def boot_id(self) -> str:
        """The number of this boot of it."""
        return self.output("cat", "/proc/sys/kernel/random/boot_id").strip()

    def power_off(self) -> None:
        """Pull the plug: no service there is stopped in order, and what was not synced may be lost."""
        self.lab.stop(self)

    def start(self) -> None:
        """Start it again after `power_off` or its own `poweroff`, and wait for it.

        Raises:
            Unavailable: it does not boot; with the end of its console.
        """
        self.lab.start(self)
        self.wait()

    @property
    def running(self) -> bool:
        """Whether it is powered on."""
        return self.lab.runs(self)

    def wait(self, *, other_boot: str | None = None) -> None:
        """Wait until it lets its user in and systemd has started everything.

        Args:
            other_boot: the number of the boot that it is to leave first.

        Raises:
            Unavailable: it does not boot, or a unit failed; with the units, or the end of its console.
        """
        limit = time.monotonic() + _BOOT_LIMIT
        while True:
            answer = self.ssh("sh", "-c", _STATE)
            boot, state, *failed = [*answer.stdout.split("\n"), "", ""]
            if answer.returncode == 0 and state and boot != other_boot:
                if state == "running":
                    return
                raise Unavailable(
                    f"The machine is {state}: {' '.join(' '.join(failed).split())}", place=self.name
                )
            if time.monotonic() > limit or not self.running:
                why = "powered off" if not self.running else answer.stderr.strip()
                tail = self.log.read_text(encoding="utf-8", errors="replace")[-1500:].strip()
                raise Unavailable(
                    f"The machine does not boot ({why}). Its console ends: {tail}", place=str(self.log)
                )
            time.sleep(_STEP)
