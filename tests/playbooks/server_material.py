"""What tests of servers hand to a playbook or a machine: sealed variables, an authority, and files."""

import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from foundation.secret import Secret
from infra.plays.secrets import PlaySecrets
from lab.machine import Machine

_VAULT_PASSWORD = "the vault's own password"


def sealed(**variables: str) -> PlaySecrets:
    """Secret variables of every host, sealed by the real ansible-vault."""
    with tempfile.NamedTemporaryFile("w", encoding="utf-8") as password:
        password.write(_VAULT_PASSWORD)
        password.flush()
        argv = [
            str(program("ansible-vault")),
            "encrypt",
            "--vault-id",
            f"default@{password.name}",
            "--output",
            "-",
        ]
        environment = {**os.environ, "ANSIBLE_HOME": str(Path(tempfile.gettempdir()) / "rk-vault-home")}
        done = subprocess.run(
            argv, input=json.dumps(variables).encode(), capture_output=True, check=True, env=environment
        )
    return PlaySecrets(
        {"group_vars/all/vault.yml": done.stdout},
        {"default": Secret(_VAULT_PASSWORD)},
        frozenset(variables.values()),
    )


def program(name: str) -> Path:
    """A program of the environment that the tests run in."""
    return Path(sys.executable).with_name(name)


@dataclass(frozen=True)
class Issuer:
    """An authority made by openssl, apart from ours.

    Args:
        folder: holds authority.pem and its key.
    """

    folder: Path

    @property
    def certificate(self) -> Path:
        """Its own certificate."""
        return self.folder / "authority.pem"

    @classmethod
    def made(cls, folder: Path, name: str) -> "Issuer":
        """A new one, in a folder that is there."""
        _openssl(
            folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", "authority.key", "-out", "authority.pem", "-days", "30", "-subj", f"/CN={name}",
        )  # fmt: skip
        return cls(folder)

    def certify(self, *names: str) -> tuple[str, str]:
        """Certificate and key of a server, PEM; the names as openssl takes them, such as DNS:db-1."""
        _openssl(
            self.folder, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-keyout", "server.key", "-out", "server.pem", "-days", "20", "-subj", "/CN=server", "-addext",
            f"subjectAltName={','.join(names)}", "-addext", "basicConstraints=critical,CA:FALSE",
            "-CA", "authority.pem", "-CAkey", "authority.key",
        )  # fmt: skip
        return (self.folder / "server.pem").read_text(), (self.folder / "server.key").read_text()


def put(machine: Machine, path: str, content: str, *, owner: str = "root", mode: str = "0644") -> None:
    """Lay a file onto a machine; its folder is made."""
    script = 'mkdir -p "$(dirname "$1")" && install -m "$3" -o "$2" /dev/stdin "$1"'
    answer = machine.ssh("sh", "-c", script, "sh", path, owner, mode, root=True, stdin=content)
    assert answer.returncode == 0, answer.stderr


def _openssl(folder: Path, *argv: str) -> None:
    done = subprocess.run(["openssl", *argv], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
