"""A playbook's parameters as options of `rakeeza play run`."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from console.cli.main import main
from console.cli.play import command
from console.play_options import given_parameters
from foundation.errors import InvalidInput
from tests.infra.conftest import WritePlaybook

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ask:
    """`rakeeza play run` in this process, that comes no further than its words."""
    settings = tmp_path / "rakeeza.toml"
    text = (
        f'[platform]\nfolder = "{tmp_path / "platform"}"\n[plays]\nfolders = ["{tmp_path / "playbooks"}"]\n'
    )
    settings.write_text(text, encoding="utf-8")
    (tmp_path / "playbooks").mkdir(exist_ok=True)
    monkeypatch.setenv("COLUMNS", "200")

    def asked(*words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rakeeza", "--settings", str(settings), "play", "run", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return int(ended.value.code or 0), " ".join(out.split()), err

    return asked


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """What `play run` reads in some words: name, limit and parameters."""
    settings = tmp_path / "rakeeza.toml"
    settings.write_text(f'[plays]\nfolders = ["{tmp_path / "playbooks"}"]\n', encoding="utf-8")
    (tmp_path / "playbooks").mkdir(exist_ok=True)
    assert isinstance(command, click.Group)
    run = command.commands["run"]

    def words_read(*words: str) -> dict[str, Any]:
        ctx = run.make_context("run", list(words), obj=settings)
        given = given_parameters(ctx.params["options"], ctx.params["parameters"])
        return {"name": ctx.params["name"], "limit": ctx.params["limit"], **given}

    return words_read


def test_the_help_of_a_playbook_lists_its_parameters_with_unit_bounds_and_default(ask: Ask) -> None:
    code, out, _ = ask("baseline", "--help")
    assert code == 0
    assert (
        "--minimum-free VALUE Least free space on / "
        "(a whole number of MB from 10 to 1000000, without the unit; 200 if not given)"
    ) in out
    assert "--as-root / --no-as-root Work as root (true or false; false if not given)" in out
    assert "--minimum-free" not in ask("--help")[1]


@pytest.mark.parametrize(
    "words",
    [
        ("baseline", "--limit", "db-1", "--minimum-free", "500", "--as-root"),
        ("--limit", "db-1", "baseline", "--as-root", "--minimum-free=500"),
        ("--minimum-free", "500", "--as-root", "baseline", "--limit", "db-1"),
        ("baseline", "--limit=db-1", "--as-root", "--param", "minimum_free=500"),
        ("baseline", "--limit", "db-1", "--as-root", "--minimum-free", "500", "--param", "as_root=True"),
    ],
)
def test_options_are_read_wherever_they_stand(read: Callable[..., dict[str, Any]], words: Any) -> None:
    found = read(*words)
    assert (found["name"], found["limit"]) == ("baseline", "db-1")
    assert str(found["as_root"]) == "True"
    assert found["minimum_free"] == "500"


def test_a_playbook_named_as_a_host_is_no_value_of_an_option(read: Callable[..., dict[str, Any]]) -> None:
    assert read("--limit", "ping", "baseline", "--no-as-root") == {
        "name": "baseline",
        "limit": "ping",
        "as_root": False,
    }


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (
            ("baseline", "--minimum-fre", "5"),
            65,
            "--minimum-fre is neither an option of rakeeza play run nor a",
        ),
        (("baseline", "--minimum-fre", "5"), 65, "Its parameters: --as-root, --baseline-folder"),
        (
            ("--minimum-free", "5"),
            65,
            "--minimum-free is no option of rakeeza play run. See: rakeeza play run",
        ),
        (
            ("baseline", "--minimum-free", "500", "--param", "minimum_free=600"),
            65,
            "minimum_free is given twice, as 500 and as 600.",
        ),
        (("baseline", "--as-root", "--param", "as_root=false"), 65, "as_root is given twice"),
        (("baseline", "--banner", "Abc", "--param", "banner=abc"), 65, "banner is given twice"),
    ],
)
def test_what_no_option_is_and_what_contradicts_itself_is_refused_in_a_sentence(
    ask: Ask, words: tuple[str, ...], code: int, sentence: str
) -> None:
    ended, _, errors = ask(*words)
    assert (ended, sentence in errors) == (code, True), errors
    assert errors.startswith("rakeeza: ")
    assert errors.count("\n") == 1


def test_a_parameter_that_the_command_has_as_an_option_is_given_by_param(
    read: Callable[..., dict[str, Any]], write_playbook: WritePlaybook
) -> None:
    path = write_playbook("waits", "- ansible.builtin.ping:")
    given = path.read_text(encoding="utf-8")
    path.write_text(
        given.replace("        word:\n", "        limit:\n").replace("parameters.word", "parameters.limit"),
        encoding="utf-8",
    )
    assert read("waits", "--seconds", "3", "--param", "seconds=3") == {
        "name": "waits",
        "limit": None,
        "seconds": "3",
    }
    found = given_parameters({}, ("limit=three",))
    assert found == {"limit": "three"}
    with pytest.raises(InvalidInput, match="is not NAME=VALUE"):
        given_parameters({}, ("=3",))
