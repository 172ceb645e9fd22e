"""Ansible-vault's format, judged in both directions by the real `ansible-vault`."""

import subprocess
import sys
from pathlib import Path

import pytest

from foundation.errors import DefinitionError
from foundation.secret import Secret
from infra.plays.vault_format import find_sealed, is_sealed, open_sealed, seal, sealed_id

PASSWORD = Secret("كلمة سر: a password")


def ansible_vault(folder: Path, verb: str, content: bytes, *options: str) -> bytes:
    """What `ansible-vault VERB` makes of a content; its password lies in a file as people keep it."""
    (folder / "password").write_text(PASSWORD.reveal(), encoding="utf-8")
    program = Path(sys.executable).with_name("ansible-vault")
    argv = [str(program), verb, *options, "--output", "-", "-"]
    environment = {"HOME": str(folder), "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    return subprocess.run(argv, input=content, env=environment, capture_output=True, check=True).stdout


@pytest.mark.parametrize("plain", [b"a: 1\n", "اسم: قيمة\n".encode() * 100, bytes(range(256)), b"x" * 16])
def test_ansible_vault_opens_what_we_seal(tmp_path: Path, plain: bytes) -> None:
    (tmp_path / "password").write_text(PASSWORD.reveal(), encoding="utf-8")
    named = f"--vault-id=dc-1@{tmp_path / 'password'}"
    assert ansible_vault(tmp_path, "decrypt", seal(plain, PASSWORD, "dc-1"), named) == plain


def test_we_open_what_ansible_vault_seals(tmp_path: Path) -> None:
    password = tmp_path / "password"
    old = ansible_vault(tmp_path, "encrypt", b"a: 1\n", f"--vault-password-file={password}")
    named = f"--vault-id=dc-1@{password}"
    new = ansible_vault(tmp_path, "encrypt", b"a: 1\n", named, "--encrypt-vault-id=dc-1")
    assert (old.partition(b"\n")[0], sealed_id(old, "")) == (b"$ANSIBLE_VAULT;1.1;AES256", "default")
    assert (new.partition(b"\n")[0], sealed_id(new, "")) == (b"$ANSIBLE_VAULT;1.2;AES256;dc-1", "dc-1")
    for sealed in (old, new, new.replace(b"\n", b"\r\n")):
        assert is_sealed(sealed)
        assert open_sealed(sealed, PASSWORD, "") == b"a: 1\n"


def test_two_seals_of_one_content_have_nothing_in_common() -> None:
    first, second = seal(b"a: 1\n", PASSWORD), seal(b"a: 1\n", PASSWORD)
    # The last line is short, and two may be alike by chance.
    assert set(first.splitlines()[1:-1]).isdisjoint(second.splitlines()[1:-1])


def test_another_password_and_a_changed_text_are_one_sentence_without_the_content() -> None:
    sealed = seal(b"name: hunter2-hunter2\n", PASSWORD, "dc-1")
    changed = sealed[:-3] + (b"30" if sealed[-3:-1] != b"30" else b"31") + sealed[-1:]
    for content, password in ((sealed, Secret("another")), (changed, PASSWORD), (sealed, Secret(""))):
        with pytest.raises(DefinitionError) as caught:
            open_sealed(content, password, "/srv/secrets/all.vault.yml")
        said = str(caught.value)
        assert said.startswith("/srv/secrets/all.vault.yml: It does not open with the password")
        assert said.endswith("rakeeza secret set vault-password-dc-1")
        assert "hunter2" not in said


@pytest.mark.parametrize(
    "content",
    [
        b"$ANSIBLE_VAULT;1.1;AES256\n",
        b"$ANSIBLE_VAULT;1.1;AES256\nnothing hexadecimal\n",
        b"$ANSIBLE_VAULT;1.1;AES256\n616263\n",
        b"$ANSIBLE_VAULT;1.0;AES\n6162\n",
        b"$ANSIBLE_VAULT",
        seal(b"a: 1\n", PASSWORD)[:200],
        seal(b"a: 1\n", PASSWORD)[:-40],
    ],
)
def test_a_damaged_file_is_said_to_be_damaged(content: bytes) -> None:
    with pytest.raises(DefinitionError, match=r"is damaged|or changed since") as caught:
        open_sealed(content, PASSWORD, "all.vault.yml")
    assert caught.value.place == "all.vault.yml"


def test_a_file_that_nobody_sealed_says_how_to() -> None:
    with pytest.raises(DefinitionError, match="is not sealed") as caught:
        open_sealed(b"password: open to all\n", PASSWORD, "all.vault.yml")
    assert caught.value.remedy == "Seal it with: ansible-vault encrypt all.vault.yml"


def test_values_are_found_where_ansible_vault_writes_them(tmp_path: Path) -> None:
    options = (f"--vault-id=dc-1@{tmp_path / 'password'}", "--encrypt-vault-id=dc-1", "--name=token")
    block = ansible_vault(tmp_path, "encrypt_string", b"hunter2-hunter2", *options).decode()
    quoted = seal(b"in quotes", PASSWORD).decode().strip().replace("\n", "\\n")
    text = (
        "# $ANSIBLE_VAULT;1.1;AES256 is how it begins\n"
        "- hosts: all\n  vars:\n" + "".join(f"    {line}\n" for line in block.splitlines()) + "    plain: 1\n"
        f'    quoted: !vault "{quoted}"\n    last: 2\n'
    )
    for content in (text.encode(), text.replace("\n", "\r\n").encode()):
        found = list(find_sealed(content))
        assert [(each.vault_id, each.line) for each in found] == [
            ("dc-1", 5),
            ("default", len(text.splitlines()) - 1),
        ]
        assert [open_sealed(each.content, PASSWORD, "") for each in found] == [
            b"hunter2-hunter2",
            b"in quotes",
        ]
