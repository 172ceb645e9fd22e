import errno
import sys
from pathlib import Path

import click
import pytest

from console.cli import main as command_line


def said(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[object, str]:
    """Exit code and last words of a call in which this error comes up."""

    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(command_line.cli, "main", fail)
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    return ended.value.code, capsys.readouterr().err


def test_what_the_system_refuses_is_one_sentence_with_the_place(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", "/srv/out.pdf")
    assert said(full, monkeypatch, capsys) == (74, "rakeeza: /srv/out.pdf: No space left on device.\n")


def test_a_fault_of_the_program_is_one_sentence_and_its_trace_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    code, line = said(KeyError("colour"), monkeypatch, capsys)
    assert code == 70
    assert line.count("\n") == 1
    assert "fault of the program (KeyError)" in line
    trace = Path(line.split()[-1])
    assert "KeyError: 'colour'" in trace.read_text()
    assert trace.stat().st_mode & 0o077 == 0
    trace.unlink()


def test_help_imports_no_command() -> None:
    # Each command is imported when it is called: the list must not pay for them.
    before = {name for name in sys.modules if name.startswith("console.cli.")}
    for name in command_line.cli.list_commands(click.Context(command_line.cli)):
        assert command_line._first_line(name).endswith(".")
    assert {name for name in sys.modules if name.startswith("console.cli.")} == before
