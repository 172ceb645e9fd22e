"""Folders of secret variables for tests, and what opens them."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from foundation.errors import RakeezaError
from foundation.secret import SecretFile
from infra.plays.inventory import Inventory, build_inventory
from infra.plays.secrets import PlaySecrets
from infra.plays.vault import load_secrets
from infra.plays.vault_format import seal
from tests.infra.conftest import FakeAsset
from tests.infra.test_vault_format import PASSWORD

MARKER = "hunter2-marker-of-the-tests"
REACHABLE = {"ansible_host": "192.0.2.1"}


class Vault:
    """Folders of secret variables, the inventory they are for, and what opens them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "secrets"
        self.folder.mkdir()
        self.folders = [self.folder]
        self.kept = SecretFile(folder / "secrets.json", folder / "secrets.key")
        self.kept.set("vault-password-default", PASSWORD)
        self.identity = folder / "identity"
        said = subprocess.run(
            ["age-keygen", "-o", str(self.identity)], capture_output=True, text=True, check=True
        ).stderr
        self.recipient = said.split()[-1]
        self.identities = [self.identity]
        assets = [
            FakeAsset("dc-1", "site"),
            FakeAsset("dc-2", "site"),
            FakeAsset("db-1", "host", "dc-1", REACHABLE),
            FakeAsset("db-2", "host", "dc-2", REACHABLE),
            FakeAsset("db-3", "host", "dc-2"),
            FakeAsset("a.yml", "host", "dc-2", REACHABLE),
            FakeAsset("switch-1", "network_device", "dc-1", REACHABLE),
        ]
        self.inventory: Inventory = build_inventory(assets, ["host"])

    def put(self, name: str, content: bytes, mode: int = 0o600) -> Path:
        path = self.folder / name
        path.write_bytes(content)
        path.chmod(mode)
        return path

    def vault(self, name: str, variables: Any, vault_id: str = "default") -> Path:
        plain = variables if isinstance(variables, bytes) else yaml.safe_dump(variables).encode()
        return self.put(f"{name}.vault.yml", seal(plain, PASSWORD, vault_id))

    def age(self, name: str, plain: bytes, recipient: str | None = None) -> Path:
        argv = ["age", "-r", recipient or self.recipient]
        sealed = subprocess.run(argv, input=plain, capture_output=True, check=True).stdout
        return self.put(f"{name}.age", sealed)

    def load(self, *hosts: str, **options: Any) -> PlaySecrets:
        chosen = hosts or None
        return load_secrets(self.folders, self.inventory, self.kept, self.identities, hosts=chosen, **options)

    def refused(self) -> str:
        with pytest.raises(RakeezaError) as caught:
            self.load()
        said = str(caught.value)
        assert MARKER not in said
        assert "\n" not in said
        return said
