from pathlib import Path

import pytest

from foundation.settings import load, options
from tests.console.rakeeza_types import Rakeeza

pytest_plugins = ["tests.console.rakeeza_command"]


def test_a_secret_is_kept_listed_and_removed(rakeeza: Rakeeza, settings_file: Path) -> None:
    assert rakeeza("secret", "set", "community", "--stdin", text="سرّ الشبكة\r\n").code == 0
    assert load(settings_file, {}).secrets().get("community").reveal() == "سرّ الشبكة"
    listed = rakeeza("secret", "list", "--format", "json")
    assert listed.rows == [{"name": "community"}]
    assert rakeeza("secret", "remove", "community").out == "Removed the secret community.\n"
    assert rakeeza("secret", "list", "--format", "json").rows == []
    assert rakeeza("secret", "remove", "community").code == 66


def test_only_the_last_newline_is_not_part_of_a_secret(rakeeza: Rakeeza, settings_file: Path) -> None:
    rakeeza("secret", "set", "key", "--stdin", text=" line one\nline two \n\n")
    assert load(settings_file, {}).secrets().get("key").reveal() == " line one\nline two \n"


@pytest.mark.parametrize(
    ("given", "sentence"), [(b"", "is empty"), (b"\n", "is empty"), (b"\xff\n", "not UTF-8")]
)
def test_what_is_no_secret_is_refused(rakeeza: Rakeeza, given: bytes, sentence: str) -> None:
    done = rakeeza("secret", "set", "key", "--stdin", text=given)
    assert (done.code, sentence in done.err) == (65, True)
    assert rakeeza("secret", "list", "--format", "json").rows == []


def test_a_secret_is_asked_for_twice(
    rakeeza: Rakeeza, settings_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = iter(["swordfish", "swordfsih", "swordfish", "swordfish"])
    monkeypatch.setattr("click.termui.hidden_prompt_func", lambda _prompt: next(answers))
    done = rakeeza("secret", "set", "key")
    assert "do not match" in done.out + done.err
    assert load(settings_file, {}).secrets().get("key").reveal() == "swordfish"
    assert "swordfish" not in done.out + done.err


def test_settings_are_shown_with_their_origin_and_secrets_masked(
    rakeeza: Rakeeza, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAKEEZA_HTTP_PORT", "8099")
    done = rakeeza("settings", "--format", "json")
    rows = {row["option"]: row for row in done.rows}
    assert list(rows) == [name for name, *_ in options()]
    assert (rows["http.port"]["value"], rows["http.port"]["from"]) == ("8099", "environment")
    assert (rows["database.url"]["value"], rows["database.url"]["from"]) == ("<secret>", "file")
    assert (rows["log.level"]["value"], rows["log.level"]["from"]) == ("info", "default")
    assert rows["log.level"]["environment"] == "RAKEEZA_LOG_LEVEL"
    assert all(row["description"] for row in rows.values())
    table = rakeeza("settings").out
    assert "<secret>" in table
    assert database_url not in (table + done.out).replace("\n", "")


def test_a_wrong_setting_is_named_and_nothing_is_shown(rakeeza: Rakeeza, settings_file: Path) -> None:
    settings_file.write_text("[http]\nprot = 1\n")
    done = rakeeza("settings")
    assert (done.code, done.out) == (78, "")
    assert "rakeeza.toml:2: http.prot is no setting." in done.err
