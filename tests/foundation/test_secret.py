import copy
import json
import logging
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

from foundation.errors import NotFound, SettingsError
from foundation.secret import Secret, SecretFile


@pytest.fixture
def secrets(tmp_path: Path) -> SecretFile:
    return SecretFile(tmp_path / "secrets.json", tmp_path / "secrets.key")


def test_a_secret_never_shows_itself(caplog: pytest.LogCaptureFixture) -> None:
    secret = Secret("swordfish")
    logging.getLogger("test").warning("%s %r", secret, [secret])
    shown = [str(secret), repr(secret), f"{secret}", f"{secret!r:>20}", f"{{'a': {secret}}}", caplog.text]
    assert not any("swordfish" in text for text in shown)
    assert all("<secret>" in text for text in shown)
    assert secret.reveal() == "swordfish"


def test_a_secret_cannot_travel_in_a_pickle_or_a_copy() -> None:
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(Secret("swordfish"))
    with pytest.raises(TypeError, match="pickled"):
        copy.deepcopy(Secret("swordfish"))


def test_secrets_compare_by_value_and_only_with_secrets() -> None:
    assert Secret("é") == Secret("é")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    assert not Secret("")


def test_what_is_set_is_read_back_and_can_be_removed(secrets: SecretFile) -> None:
    secrets.set("community", Secret("عام"))
    secrets.set("other", Secret("x"))
    secrets.set("community", Secret("عام ٢"))
    assert secrets.get("community").reveal() == "عام ٢"
    assert secrets.names() == ["community", "other"]
    secrets.remove("community")
    assert secrets.names() == ["other"]
    with pytest.raises(NotFound, match="rakeeza secret set community"):
        secrets.get("community")
    with pytest.raises(NotFound, match="community"):
        secrets.remove("community")


def test_neither_file_shows_a_value_and_neither_is_open_to_others(
    secrets: SecretFile, tmp_path: Path
) -> None:
    secrets.set("community", Secret("swordfish"))
    for path in tmp_path.iterdir():
        assert b"swordfish" not in path.read_bytes()
        assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secrets.json", "secrets.key"]


def test_one_changed_byte_is_found(secrets: SecretFile, tmp_path: Path) -> None:
    secrets.set("community", Secret("swordfish"))
    path = tmp_path / "secrets.json"
    sealed = json.loads(path.read_text())
    for index in range(0, len(sealed["box"]), 7):
        box = sealed["box"]
        changed = box[:index] + ("0" if box[index] != "0" else "1") + box[index + 1 :]
        path.write_text(json.dumps({**sealed, "box": changed}))
        with pytest.raises(SettingsError, match="does not open"):
            secrets.get("community")


def test_a_lost_key_is_not_replaced_by_a_new_one(secrets: SecretFile, tmp_path: Path) -> None:
    secrets.set("community", Secret("swordfish"))
    (tmp_path / "secrets.key").unlink()
    with pytest.raises(SettingsError, match=r"missing.*Restore"):
        secrets.get("community")
    assert not (tmp_path / "secrets.key").exists()


def test_a_key_that_others_can_read_is_refused_with_the_remedy(secrets: SecretFile, tmp_path: Path) -> None:
    secrets.set("community", Secret("swordfish"))
    (tmp_path / "secrets.key").chmod(0o640)
    with pytest.raises(SettingsError, match="chmod 600"):
        secrets.get("community")


def test_a_key_of_the_wrong_length_is_refused(secrets: SecretFile, tmp_path: Path) -> None:
    secrets.set("community", Secret("swordfish"))
    (tmp_path / "secrets.key").write_bytes(b"short")
    with pytest.raises(SettingsError, match="5 bytes instead of 32"):
        secrets.get("community")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    folder = tmp_path / "file" / "below"
    with pytest.raises(SettingsError, match=r"below.*platform\.folder"):
        SecretFile(folder / "secrets.json", folder / "secrets.key").names()


_WRITER = """
import secrets, sys
from pathlib import Path
from foundation.secret import Secret, SecretFile
folder, number = Path(sys.argv[1]), sys.argv[2]
file = SecretFile(folder / "secrets.json", folder / "secrets.key")
made = file.get_or_make("shared", lambda: Secret(secrets.token_hex(8)))
file.set("of-" + number, made)
print(made.reveal())
"""


def test_processes_that_start_together_share_one_key_and_lose_no_secret(tmp_path: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", _WRITER, str(tmp_path), str(number)], stdout=subprocess.PIPE, text=True
        )
        for number in range(8)
    ]
    printed = {writer.communicate()[0].strip() for writer in writers}
    assert {writer.returncode for writer in writers} == {0}
    assert len(printed) == 1
    file = SecretFile(tmp_path / "secrets.json", tmp_path / "secrets.key")
    assert file.names() == [*(f"of-{number}" for number in range(8)), "shared"]
    assert {file.get(name).reveal() for name in file.names()} == printed
