"""Secret variables sealed by age: sealed again for Ansible, and each fault of a file or an identity."""

import os
import stat
from pathlib import Path

import pytest

from foundation.errors import SettingsError
from infra.plays.vault import Resealing
from infra.plays.vault_format import open_sealed, seal, sealed_id
from tests.infra.test_vault_format import PASSWORD
from tests.infra.vaults import MARKER, Vault


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path)


def test_what_age_sealed_has_another_password_every_time(vault: Vault) -> None:
    vault.age("db-1", b"token: a word\n")
    first, second = vault.load(), vault.load()
    assert len(first.passwords) == len(second.passwords) == 1
    assert set(first.passwords).isdisjoint(second.passwords)
    assert set(first.passwords.values()).isdisjoint(second.passwords.values())
    kept = vault.load(resealing=lambda: Resealing("export", PASSWORD))
    sealed = kept.files["host_vars/db-1/age.yml"]
    assert (sealed_id(sealed, ""), open_sealed(sealed, PASSWORD, "")) == ("export", b"token: a word\n")


@pytest.mark.parametrize("mode", [0o640, 0o644, 0o620])
def test_an_identity_open_to_others_is_refused(vault: Vault, mode: int) -> None:
    vault.age("db-1", b"token: 1\n")
    vault.identity.chmod(mode)
    with pytest.raises(SettingsError) as caught:
        vault.load()
    assert f"is open to others (mode {mode:04o})" in caught.value.message
    assert caught.value.remedy == f"Close it with: chmod 600 {vault.identity}"


def test_each_fault_of_age_is_one_sentence(vault: Vault, tmp_path: Path) -> None:
    path = vault.age("db-1", f"token: {MARKER}\n".encode())
    sealed = path.read_bytes()

    vault.identities = []
    assert "no identity is named that could open it" in vault.refused()
    vault.identities = [tmp_path / "nowhere"]
    assert vault.refused().startswith(f"{tmp_path / 'nowhere'}: The age identity cannot be read")
    wrong = tmp_path / "wrong"
    wrong.write_text(MARKER, encoding="utf-8")
    wrong.chmod(0o600)
    vault.identities = [wrong]
    assert vault.refused().startswith(f"{wrong}: The file is no age identity.")
    (tmp_path / "other").mkdir()
    other = Vault(tmp_path / "other")
    vault.identities = other.identities
    assert vault.refused().startswith(f"{path}: None of our identities opens the file")
    vault.identities = [other.identity, vault.identity]
    assert vault.load().values == {MARKER}

    for damaged in (sealed[:100], sealed[:-3] + b"abc", sealed[:-5], MARKER.encode(), b""):
        path.write_bytes(damaged)
        assert vault.refused().startswith(f"{path}: The file is damaged, or was not sealed by age.")


def test_what_age_sealed_is_judged_as_what_the_vault_sealed(vault: Vault) -> None:
    path = vault.age("db-1", f"a: [{MARKER}\n".encode())
    assert vault.refused().startswith(f"{path}: What is sealed here is not YAML")


def test_a_value_sealed_within_what_age_sealed_is_opened_too(vault: Vault) -> None:
    inner = seal(MARKER.encode(), PASSWORD).decode().replace("\n", "\n  ")
    vault.age("db-1", f"token: !vault |\n  {inner}\nnext: 1\n".encode())
    secrets = vault.load()
    assert MARKER in secrets.values
    assert secrets.passwords["default"] == PASSWORD


def test_nothing_is_written_while_secrets_are_opened(
    vault: Vault, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.age("db-1", f"token: {MARKER}\n".encode())
    vault.kept.names()
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert vault.load().values == {MARKER}
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert os.environ["TMPDIR"] == str(tmp_path)
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o007 == 0 for path in vault.folder.iterdir())
