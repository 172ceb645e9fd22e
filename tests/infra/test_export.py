"""An exported inventory folder, run by plain Ansible on a real server; and that it is whole or not there."""

import atexit
import hashlib
import json
import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from foundation.errors import InvalidInput, NotFound
from foundation.secret import Secret, SecretFile
from infra.plays.definition import Playbook, load_playbook
from infra.plays.export import export, export_resealing
from infra.plays.inventory import Inventory, build_inventory
from infra.plays.secrets import PlaySecrets
from infra.plays.vault_format import seal
from lab.sshd import SshServer
from tests.infra.conftest import FakeAsset, WritePlaybook

PASSWORD = Secret("a password of the tests")
MARKER = "hunter2-marker-of-the-export"
SEALED = PlaySecrets(
    {"group_vars/site_dc-1/vault.yml": seal(f"token: {MARKER}\n".encode(), PASSWORD, "dc-1")}
)


def plain_ansible(program: str, folder: Path, *words: str, home: Path) -> "subprocess.CompletedProcess[str]":
    """A program of Ansible's, with nothing of ours around it."""
    argv = [str(Path(sys.executable).with_name(program)), *words]
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    # A socket's path has at most 107 bytes, and a test's folder may be long.
    environment["ANSIBLE_SSH_CONTROL_PATH_DIR"] = str(_short_folder(home))
    environment["ANSIBLE_CONFIG"] = str(folder / "ansible.cfg")
    return subprocess.run(
        argv, cwd=home, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
    )


@pytest.fixture
def inventory(server: SshServer) -> Inventory:
    return build_inventory(
        [
            FakeAsset("dc-1", "site"),
            FakeAsset("lab-server", "host", "dc-1", server.attributes()),
            FakeAsset("switch-1", "network_device", "dc-1", server.attributes()),
        ],
        ["host", "network_device"],
    )


@pytest.fixture
def playbook(write_playbook: WritePlaybook) -> Playbook:
    tasks = """
- ansible.builtin.include_role: {name: greeting}
- name: Write the secret
  ansible.builtin.copy: {dest: "{{ ansible_remote_tmp }}/../../token", content: "{{ token }}", mode: "0600"}
  no_log: true
"""
    path = write_playbook("greet", tasks)
    role = path.parent / "roles" / "greeting" / "tasks" / "main.yml"
    role.parent.mkdir(parents=True)
    copied = "dest: '{{ ansible_remote_tmp }}/../../greeting', content: '{{ rakeeza_asset.site }}'"
    role.write_text(f"- ansible.builtin.copy: {{{copied}}}\n", encoding="utf-8")
    return load_playbook(path)


def test_a_carried_folder_runs_from_another_place_and_changes_nothing_twice(
    inventory: Inventory, playbook: Playbook, server: SshServer, tmp_path: Path
) -> None:
    export(tmp_path / "export", inventory, SEALED, [playbook])
    # Another name with what ssh, shells and Ansible could stumble over; the keys lie elsewhere too.
    folder = (tmp_path / "export").rename(tmp_path / "a stick 50%h محمول")
    keys = tmp_path / "other keys"
    keys.mkdir()
    server.key_file.rename(keys / server.key_file.name)
    password = tmp_path / "password"
    password.write_text(PASSWORD.reveal(), encoding="utf-8")
    words = ["-i", str(folder / "hosts.yml"), "-l", "kind_host", f"--vault-id=dc-1@{password}"]
    words += ["-e", json.dumps({"rakeeza_keys": str(keys)}), str(folder / "playbooks" / "greet.yml")]
    try:
        first = plain_ansible("ansible-playbook", folder, *words, home=tmp_path)
        second = plain_ansible("ansible-playbook", folder, *words, home=tmp_path)
    finally:
        (keys / server.key_file.name).rename(server.key_file)
    assert "changed=2 " in first.stdout, first.stdout + first.stderr
    assert "changed=0 " in second.stdout, second.stdout + second.stderr
    assert "WARNING" not in first.stderr
    assert (server.home / "token").read_text(encoding="utf-8") == MARKER
    assert (server.home / "greeting").read_text(encoding="utf-8") == "dc-1"
    assert MARKER not in first.stdout + first.stderr
    for path in folder.rglob("*"):
        assert path.is_dir() or MARKER.encode() not in path.read_bytes()


def test_a_host_with_another_key_is_not_played_on(inventory: Inventory, tmp_path: Path) -> None:
    folder = export(tmp_path / "export", inventory, PlaySecrets()).folder
    known = folder / "known_hosts"
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBuLj2LmiRMoyhh+Zx2k2J/v6XvwJGWnWv2dUzM/f4V/"
    known.write_text(f"lab-server {other}\n", encoding="utf-8")
    words = ("-i", str(folder / "hosts.yml"), "-m", "ping", "kind_host")
    done = plain_ansible("ansible", folder, *words, home=tmp_path)
    assert "Host key verification failed" in done.stdout + done.stderr


def test_the_folder_is_its_owners_alone_and_names_no_place_of_this_machine(
    inventory: Inventory, playbook: Playbook, server: SshServer, tmp_path: Path
) -> None:
    written = export(tmp_path / "export", inventory, SEALED, [playbook])
    assert written.playbooks == {"greet": "playbooks/greet.yml"}
    assert (written.hosts, written.vault_ids) == (2, ("dc-1",))
    paths = [written.folder, *written.folder.rglob("*")]
    assert {str(path.relative_to(written.folder)) for path in paths if path.is_file()} == {
        "README.txt",
        "ansible.cfg",
        "group_vars/site_dc-1/vault.yml",
        "hosts.yml",
        "known_hosts",
        "playbooks/greet.yml",
        "playbooks/roles/greeting/tasks/main.yml",
    }
    for path in paths:
        assert stat.S_IMODE(path.stat().st_mode) == (0o700 if path.is_dir() else 0o600)
        if path.is_file():
            # Of the private keys their place is named, and their content is not here.
            text = (
                path.read_text(encoding="utf-8")
                .replace(str(server.key_file), "")
                .replace(str(server.home), "")
            )
            assert str(tmp_path) not in text
            assert str(server.key_file.parent) not in text
            assert "PRIVATE KEY" not in text
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_the_readme_names_each_playbook_with_its_kinds_and_vaults_in_both_languages(
    inventory: Inventory, playbook: Playbook, tmp_path: Path
) -> None:
    folder = export(tmp_path / "export", inventory, SEALED, [playbook]).folder
    readme = (folder / "README.txt").read_text(encoding="utf-8")
    command = "    ansible-playbook --vault-id dc-1@prompt --limit kind_host playbooks/greet.yml\n"
    assert readme.count(command) == 2
    assert "inventory of 2 hosts" in readme
    assert "كلمات المرور المطلوبة" in readme
    bare = export(tmp_path / "bare", inventory, PlaySecrets()).folder
    readme = (bare / "README.txt").read_text(encoding="utf-8")
    assert "    ansible-playbook --limit GROUP_OR_HOST PLAYBOOK.yml\n" in readme
    assert "No secret variable" in readme


def test_roles_of_one_name_in_two_folders_stay_two_roles(
    inventory: Inventory, playbook: Playbook, tmp_path: Path
) -> None:
    other = tmp_path / "others"
    (other / "roles" / "greeting" / "tasks").mkdir(parents=True)
    (other / "roles" / "greeting" / "tasks" / "main.yml").write_text("[]\n", encoding="utf-8")
    (other / "second.yml").write_bytes(playbook.path.read_bytes())
    written = export(tmp_path / "export", inventory, SEALED, [playbook, load_playbook(other / "second.yml")])
    assert written.playbooks == {"greet": "playbooks/greet.yml", "second": "playbooks-2/second.yml"}
    roles = [written.folder / name / "roles/greeting/tasks/main.yml" for name in ("playbooks", "playbooks-2")]
    assert roles[0].read_bytes() != roles[1].read_bytes() == b"[]\n"


def test_vaults_within_playbooks_are_named_too(
    inventory: Inventory, write_playbook: WritePlaybook, tmp_path: Path
) -> None:
    block = seal(b"a word", PASSWORD, "network").decode().strip().replace("\n", "\n      ")
    path = write_playbook(
        "sealed", f"- ansible.builtin.debug:\n  vars:\n    token: !vault |\n      {block}\n"
    )
    assert export(tmp_path / "export", inventory, SEALED, [load_playbook(path)]).vault_ids == (
        "dc-1",
        "network",
    )


def _file(path: Path) -> None:
    path.write_text("mine", encoding="utf-8")


def _full(path: Path) -> None:
    path.mkdir()
    (path / "mine").touch()


def _nowhere(path: Path) -> None:
    path.symlink_to(path.parent / "nowhere")


@pytest.mark.parametrize("make", [_file, _full, _nowhere])
def test_what_is_there_already_is_left_alone(
    inventory: Inventory, tmp_path: Path, make: Callable[[Path], None]
) -> None:
    make(tmp_path / "export")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InvalidInput, match="something here already"):
        export(tmp_path / "export", inventory, SEALED)
    assert sorted(tmp_path.rglob("*")) == before


def test_an_empty_folder_is_filled(inventory: Inventory, tmp_path: Path) -> None:
    (tmp_path / "export").mkdir(mode=0o755)
    folder = export(tmp_path / "export", inventory, SEALED).folder
    assert (folder / "hosts.yml").exists()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_what_cannot_be_finished_leaves_nothing(
    inventory: Inventory, tmp_path: Path, failure: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    fsync, calls = os.fsync, []

    def fail_late(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 4:
            raise failure
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fail_late)
    with pytest.raises((InvalidInput, KeyboardInterrupt)) as caught:
        export(tmp_path / "export", inventory, SEALED)
    assert len(calls) == 4
    if isinstance(caught.value, InvalidInput):
        assert "(No space left on device); nothing was." in caught.value.message
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_is_not_there_is_said(inventory: Inventory, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput) as caught:
        export(tmp_path / "no" / "export", inventory, SEALED)
    assert caught.value.place == str(tmp_path / "no" / "export")


def test_without_a_password_for_the_export_what_age_sealed_stays_here(tmp_path: Path) -> None:
    kept = SecretFile(tmp_path / "secrets.json", tmp_path / "secrets.key")
    with pytest.raises(NotFound) as caught:
        export_resealing(kept)
    assert caught.value.remedy == "Keep one with: rakeeza secret set vault-password-export"
    kept.set("vault-password-export", PASSWORD)
    assert export_resealing(kept).password == PASSWORD


def _short_folder(home: Path) -> Path:
    short = Path("/tmp") / f"rk-{hashlib.sha256(bytes(home)).hexdigest()[:12]}"
    short.mkdir(mode=0o700, exist_ok=True)
    atexit.register(shutil.rmtree, short, ignore_errors=True)
    return short
