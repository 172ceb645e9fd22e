"""Secret variables: which files a run gets, how they lie in its folder, and what is refused."""

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from foundation.errors import DefinitionError, NotFound
from foundation.secret import Secret
from infra.plays.secrets import PlaySecrets
from infra.plays.vault import load_secrets, open_in_files, vault_ids
from infra.plays.vault_format import seal
from tests.infra.test_vault_format import PASSWORD
from tests.infra.vaults import MARKER, Vault


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    return Vault(tmp_path)


@pytest.fixture
def host_variables(vault: Vault, tmp_path: Path) -> Callable[[PlaySecrets], Mapping[str, Any]]:
    """What Ansible knows of each host, from a run's folder and passwords that come from a program."""

    def read(secrets: PlaySecrets) -> Mapping[str, Any]:
        folder = tmp_path / "run"
        folder.mkdir()
        vault.inventory.write(folder)
        for name, content in secrets.files.items():
            path = folder / name
            path.parent.mkdir(parents=True)
            path.write_bytes(content)
        argv = [str(Path(sys.executable).with_name("ansible-inventory")), "-i", str(folder / "hosts.yml")]
        environment = {"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
        for number, (vault_id, password) in enumerate(secrets.passwords.items()):
            program = tmp_path / f"password-{number}"
            program.write_text(f'#!/bin/sh\nprintf %s "$PASSWORD_{number}"\n', encoding="utf-8")
            program.chmod(0o700)
            environment[f"PASSWORD_{number}"] = password.reveal()
            argv.append(f"--vault-id={vault_id}@{program}")
        done = subprocess.run(
            [*argv, "--list"], env=environment, capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
        variables: Mapping[str, Any] = json.loads(done.stdout)["_meta"]["hostvars"]
        return variables

    return read


def test_ansible_reads_what_concerns_each_host_and_no_more(
    vault: Vault, host_variables: Callable[[PlaySecrets], Mapping[str, Any]], tmp_path: Path
) -> None:
    vault.kept.set("vault-password-dc-1", PASSWORD)
    vault.vault("all", {"everywhere": "word for all"})
    vault.vault("site_dc-1", {"database": {"password": MARKER}}, "dc-1")
    vault.vault("site_dc-2", {"elsewhere": "another site's"})
    vault.age("db-1", f"token: {MARKER}-of-age\nnumber: 12345678\n".encode())
    secrets = vault.load("db-1")
    assert set(secrets.files) == {
        "group_vars/all/vault.yml",
        "group_vars/site_dc-1/vault.yml",
        "host_vars/db-1/age.yml",
    }
    assert (
        secrets.files["group_vars/site_dc-1/vault.yml"] == (vault.folder / "site_dc-1.vault.yml").read_bytes()
    )
    assert secrets.values == {"word for all", MARKER, f"{MARKER}-of-age", "12345678"}
    seen = host_variables(secrets)
    assert seen["db-1"]["database"] == {"password": MARKER}
    assert (seen["db-1"]["token"], seen["db-1"]["number"]) == (f"{MARKER}-of-age", 12345678)
    assert seen["db-1"]["everywhere"] == "word for all"
    assert seen["db-2"].keys().isdisjoint({"database", "token", "number", "elsewhere"})

    whole = b"".join(path.read_bytes() for path in (tmp_path / "run").rglob("*") if path.is_file())
    passwords = [password.reveal().encode() for password in secrets.passwords.values()]
    assert len(passwords) == 3
    for text in (MARKER.encode(), *passwords):
        for form in (text, text.hex().encode(), base64.b64encode(text)[:-4]):
            assert form not in whole


def test_only_what_is_needed_is_opened(vault: Vault) -> None:
    vault.vault("site_dc-2", {"a": "b"}, "never-kept")
    vault.put("db-2.age", b"damaged")
    vault.put("db-3.vault.yml", b"damaged", 0o644)
    assert vault.load("db-1") == PlaySecrets()


def test_no_folder_at_all_is_no_secret(vault: Vault) -> None:
    assert load_secrets([], vault.inventory, vault.kept, []) == PlaySecrets()


def test_every_text_is_known_at_any_depth_and_by_its_lines(vault: Vault) -> None:
    vault.vault(
        "db-1",
        b"short: abcde\nnumber: 0x1F0000\nfloat: 1_000.25\ndate: 2026-11-23\nyes: true\n"
        b"list: [{deep: [first secret, &a second secret, *a]}]\n"
        b"key: |\n  -----BEGIN KEY-----\n  MIIBVgIBADAN\n    indented line\n  tail\n"
        b'quoted: "with \\"quotes\\" and \\u0645\\u0641\\u062a\\u0627\\u062d"\n',
    )
    values = vault.load().values
    assert values == {
        "first secret",
        "second secret",
        "0x1F0000",
        "2031616",
        "1_000.25",
        "1000.25",
        "2026-11-23",
        "-----BEGIN KEY-----\nMIIBVgIBADAN\n  indented line\ntail",
        "MIIBVgIBADAN",
        "indented line",
        'with "quotes" and مفتاح',
    }


def test_blanks_around_a_password_are_not_part_of_it(vault: Vault) -> None:
    # `ansible-vault` strips them from what it reads, and so seals without them.
    vault.kept.set("vault-password-default", Secret(f" {PASSWORD.reveal()}\n"))
    vault.vault("db-1", {"token": MARKER})
    assert vault.load().passwords == {"default": PASSWORD}


def test_a_page_that_shows_what_sealed_looks_like_needs_no_password(vault: Vault) -> None:
    sealed = seal(b"an example", PASSWORD, "never-kept")
    files = {"roles/db/README.md": b"So:\n\n" + sealed, "templates/page.j2": b"Example:\n" + sealed}
    assert open_in_files(files, vault.kept) == PlaySecrets()
    assert vault_ids(files) == set()
    assert vault_ids({"templates/key.j2": sealed}) == {"never-kept"}


def test_values_and_passwords_do_not_show_themselves(vault: Vault) -> None:
    vault.vault("db-1", {"token": MARKER})
    secrets = vault.load()
    assert secrets.values == {MARKER}
    assert MARKER not in f"{secrets!r} {secrets}"
    assert PASSWORD.reveal() not in f"{secrets!r} {secrets}"


def test_a_file_without_its_password_says_how_to_keep_it(vault: Vault) -> None:
    path = vault.vault("db-1", {"token": MARKER}, "network")
    with pytest.raises(NotFound):
        vault.load()
    assert vault.refused() == (
        f"{path}: The password of the vault 'network' is not kept, so what it sealed cannot be read."
        " Keep it with: rakeeza secret set vault-password-network"
    )


def test_a_wrong_password_is_named_with_the_file(vault: Vault) -> None:
    path = vault.vault("db-1", {"token": MARKER})
    vault.kept.set("vault-password-default", Secret("another"))
    assert vault.refused().startswith(f"{path}: It does not open with the password of the vault 'default'")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("sit_dc-1", "No asset has this name; did you mean site_dc-1 or site_dc-2?"),
        ("db-9", "did you mean db-2 or db-1?"),
        ("dc-1", "Of the asset dc-1: it is a site, which no play connects to; did you mean site_dc-1?"),
        ("kind_hosts", "did you mean kind_host or kind_site?"),
    ],
)
def test_a_file_for_nobody_is_not_silently_absent(vault: Vault, name: str, said: str) -> None:
    path = vault.vault(name, {"token": MARKER})
    refused = vault.refused()
    assert refused.startswith(f"{path}: The file is for {name!r}, which is neither a group nor a host.")
    assert said in refused


def test_a_file_for_what_this_play_does_not_touch_is_no_mistake(vault: Vault) -> None:
    for name in ("switch-1", "kind_network_device", "kind_site", "db-3"):
        vault.vault(name, {"token": MARKER})
    assert vault.load() == PlaySecrets()


@pytest.mark.parametrize("name", ["db-1.vault.yaml", "db-1.yml", "site_dc-1.json"])
def test_a_file_that_nothing_would_read_is_refused(vault: Vault, name: str) -> None:
    path = vault.put(name, f"token: {MARKER}\n".encode())
    assert vault.refused().startswith(f"{path}: Nothing would read this file")


def test_other_files_of_a_folder_may_lie_there(vault: Vault) -> None:
    vault.put("README.md", b"How we seal.")
    vault.put(".gitignore", b"*.yml")
    (vault.folder / ".git").mkdir()
    assert vault.load() == PlaySecrets()


def test_a_name_that_ansible_would_read_for_another_host_is_refused(vault: Vault) -> None:
    vault.vault("a.yml", {"token": MARKER})
    assert "Ansible would give the secrets of 'a.yml' to 'a' too." in vault.refused()


def test_two_files_for_one_name_are_refused(vault: Vault, tmp_path: Path) -> None:
    first = vault.vault("db-1", {"token": MARKER})
    vault.folder = tmp_path / "more"
    vault.folder.mkdir()
    vault.folders.append(vault.folder)
    second = vault.vault("db-1", {"token": MARKER})
    assert vault.refused().startswith(f"{second}: There is a file for 'db-1' already, {first}.")


@pytest.mark.parametrize(
    ("plain", "said"),
    [
        (f"a: [{MARKER}\n".encode(), "is not YAML, in line 2 of what was sealed"),
        (f"a: 1\nb: {MARKER}: {MARKER}\n".encode(), "is not YAML, in line 2 of what was sealed"),
        (b"a: \xff" + MARKER.encode(), "is not YAML"),
        (MARKER.encode(), "is no YAML mapping"),
        (f"[{MARKER}]".encode(), "is no YAML mapping"),
        (f"---\na: {MARKER}\n---\nb: 1\n".encode(), "is not YAML"),
    ],
)
def test_what_is_no_yaml_is_said_without_showing_it(vault: Vault, plain: bytes, said: str) -> None:
    path = vault.vault("db-1", plain)
    refused = vault.refused()
    assert refused.startswith(f"{path}: ")
    assert said in refused


def test_an_empty_file_holds_nothing(vault: Vault) -> None:
    vault.vault("db-1", b"---\n# nothing yet\n")
    assert vault.load().values == frozenset()


@pytest.mark.parametrize("mode", [0o604, 0o602, 0o777])
def test_a_file_open_to_everybody_is_refused(vault: Vault, mode: int) -> None:
    path = vault.vault("db-1", {"token": MARKER})
    path.chmod(mode)
    assert vault.refused() == (
        f"{path}: The file is open to everybody on this machine (mode {mode:04o})."
        f" Close it with: chmod o= {path}"
    )


def test_a_pipe_is_not_waited_for(vault: Vault, tmp_path: Path) -> None:
    path = vault.folder / "db-1.age"
    os.mkfifo(path, 0o600)
    assert vault.refused().startswith(f"{path}: This is no file.")
    path.unlink()
    vault.age("db-1", b"token: 1\n")
    os.mkfifo(tmp_path / "pipe", 0o600)
    vault.identities = [tmp_path / "pipe"]
    assert vault.refused().startswith(f"{tmp_path / 'pipe'}: The age identity is no file")


def test_a_folder_that_is_not_there_is_said(vault: Vault, tmp_path: Path) -> None:
    vault.folders = [tmp_path / "nowhere"]
    assert vault.refused().startswith(
        f"{tmp_path / 'nowhere'}: The folder of secret variables cannot be read"
    )


def test_what_a_playbook_holds_sealed_is_opened_and_masked(vault: Vault) -> None:
    vault.kept.set("vault-password-network", PASSWORD)
    block = seal(MARKER.encode(), PASSWORD, "network").decode().replace("\n", "\n      ")
    files = {
        "play.yml": f"- hosts: all\n  vars:\n    token: !vault |\n      {block}\n  tasks: []\n".encode(),
        "roles/db/vars/main.yml": seal(b"password: of the role\n", PASSWORD),
        "roles/db/files/key.pem": seal(b"BEGIN PRIVATE\nline of the key\n", PASSWORD, "network"),
        "files/picture.png": bytes(range(256)),
    }
    assert vault_ids(files) == {"default", "network"}
    secrets = open_in_files(files, vault.kept)
    assert (secrets.files, set(secrets.passwords)) == ({}, {"default", "network"})
    assert {MARKER, "of the role", "line of the key"} <= secrets.values
    vault.vault("db-1", {"token": "another word"})
    both = vault.load() | secrets
    assert set(both.passwords) == {"default", "network"}
    assert {MARKER, "another word"} <= both.values
    vault.kept.remove("vault-password-network")
    with pytest.raises(NotFound) as caught:
        open_in_files({"play.yml": files["play.yml"]}, vault.kept)
    assert caught.value.place == "play.yml:4"


def test_a_damaged_value_in_a_playbook_is_named_with_its_line(vault: Vault) -> None:
    block = seal(MARKER.encode(), PASSWORD).decode().replace("\n", "\n    ", 3)[:200]
    with pytest.raises(DefinitionError) as caught:
        open_in_files({"play.yml": f"- vars:\n  token: !vault |\n    {block}\n".encode()}, vault.kept)
    assert caught.value.place == "play.yml:3"
