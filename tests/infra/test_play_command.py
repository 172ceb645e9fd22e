"""`rakeeza play`, run as a person runs it."""

import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.cli.main import main
from foundation.database import Database
from lab.sshd import SshServer
from tests.infra.conftest import WritePlaybook, processes_of
from tests.infra.test_plays import PING, WAIT, World
from tests.processes import PATIENCE, until

ROOT = Path(__file__).parents[2]


class Command:
    """The command line on the database of a test."""

    def __init__(self, world: World, url: str, folder: Path) -> None:
        self.world = world
        self._settings = folder / "rakeeza.toml"
        platform, playbooks = world.settings.platform.folder, world.settings.plays.folders[0]
        text = f'[platform]\nfolder = "{platform}"\n[plays]\nfolders = ["{playbooks}"]\n'
        self._settings.write_text(text, encoding="utf-8")
        self.environment = {**os.environ, "RAKEEZA_DATABASE_URL": url, "COLUMNS": "200"}

    def words(self, *words: str, group: str = "play") -> list[str]:
        return ["--settings", str(self._settings), group, *words]

    def start(self, *words: str, group: str = "play") -> "subprocess.Popen[str]":
        argv = [sys.executable, "-m", "console", *self.words(*words, group=group)]
        return subprocess.Popen(
            argv, cwd=ROOT, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def __call__(self, *words: str, group: str = "play") -> tuple[int, str, str]:
        with self.start(*words, group=group) as process:
            output, errors = process.communicate(timeout=120)
        return process.returncode, output, errors


@pytest.fixture
def play(
    database: Database, database_url: str, tmp_path: Path, write_playbook: WritePlaybook, server: SshServer
) -> Command:
    playbooks = write_playbook("ping", PING).parent
    write_playbook("wait", WAIT)
    world = World(database, tmp_path / "platform", playbooks)
    world.add("lab-server", server.attributes())
    return Command(world, database_url, tmp_path)


@pytest.fixture
def worker(play: Command) -> Iterator[None]:
    stop = threading.Event()
    thread = threading.Thread(target=lambda: play.world.jobs.work(stop=stop.is_set))
    thread.start()

    def alive() -> bool:
        with play.world.database.transaction() as session:
            return play.world.jobs.workers_alive(session) > 0

    until(alive)
    yield
    stop.set()
    thread.join()


def test_without_a_worker_the_command_performs_the_run_itself(play: Command) -> None:
    code, output, errors = play(
        "run", "baseline", "--limit", "lab-server", "--param", "baseline_folder=~/command"
    )
    assert code == 0, errors
    assert "No worker is alive: this process performs run 1 itself." in output
    assert "Check the free space\n  lab-server: ok" in output
    assert "play/1 is successful." in output
    assert re.search(r"lab-server\s*│\s*changed\s*│\s*8", output)
    assert "Run 1 of baseline: successful" in play("show", "1")[1]


@pytest.mark.usefixtures("worker")
def test_with_a_worker_the_command_follows_it(play: Command) -> None:
    code, output, errors = play("run", "ping")
    assert code == 0, errors
    assert "No worker" not in output
    assert "Ping\n  lab-server: ok" in output
    assert play("log", "1", "--follow")[1] == play("log", "1")[1]


def test_a_host_that_is_not_well_makes_the_exit_code_1(play: Command, server: SshServer) -> None:
    play.world.add("closed", {**server.attributes(), "ansible_port": 1})
    code, output, _ = play("run", "ping")
    assert code == 1
    assert "lab-server: ok" in output
    assert "closed: unreachable\n    The host refuses the connection" in output
    code, output, _ = play("show", "1", "--format", "json")
    assert {row["host"]: row["state"] for row in json.loads(output)} == {
        "closed": "unreachable",
        "lab-server": "ok",
    }


@pytest.mark.parametrize(
    ("words", "code", "sentence"),
    [
        (("run", "pong"), 66, "There is no playbook 'pong'. Known: "),
        (
            ("run", "ping", "--limit", "nobody"),
            65,
            "'nobody' is neither a host nor a group. Hosts: lab-server.",
        ),
        (("run", "ping", "--param", "minutes=1"), 65, "minutes is no parameter of ping"),
        (("run", "ping", "--param", "seconds=1m"), 65, "seconds must be a whole number of s from 0 to 600"),
        (("run", "ping", "--param", "seconds"), 65, "'seconds' is not NAME=VALUE"),
        (("show", "pong"), 66, "There is no playbook 'pong'"),
        (("show", "7"), 66, "There is no run 7"),
        (("log", "7"), 66, "There is no run 7"),
    ],
)
def test_a_wrong_command_is_one_sentence_and_an_exit_code(
    play: Command,
    words: tuple[str, ...],
    code: int,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    # In this process: starting one for each would take most of this file's time.
    monkeypatch.setenv("RAKEEZA_DATABASE_URL", play.environment["RAKEEZA_DATABASE_URL"])
    monkeypatch.setattr(sys, "argv", ["rakeeza", *play.words(*words)])
    with pytest.raises(SystemExit) as ended:
        main()
    errors = capsys.readouterr().err
    assert (ended.value.code, sentence in errors) == (code, True), errors
    assert errors.count("\n") == 1


def test_a_faulty_playbook_is_named_with_its_line(play: Command) -> None:
    path = play.world.settings.plays.folders[0] / "ping.yml"
    path.write_text("- hosts: all\n  vars: {about: [}\n", encoding="utf-8")
    code, _, errors = play("run", "ping")
    assert (code, f"{path}:2" in errors) == (65, True), errors
    assert f"{path}:2" in play("list", "--format", "csv")[1]


@pytest.mark.usefixtures("worker")
def test_ctrl_c_while_following_lets_the_run_go_on(play: Command) -> None:
    with play.start("run", "wait", "--param", "seconds=3") as process:
        until(lambda: bool(play.world.plays_at(1)))
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Run 1 goes on in the worker. See it with: rakeeza play log 1 --follow" in errors
    code, output, errors = play("log", "1", "--follow")
    assert code == 0, errors
    assert output.rstrip().endswith("play/1 is successful.")


def test_ctrl_c_in_its_own_run_stops_ansible_and_marks_it(play: Command) -> None:
    with play.start("run", "wait", "--param", "seconds=600") as process:
        until(lambda: bool(play.world.plays_at(1)))
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "Ansible was stopped; run 1 is cancelled." in errors
    assert play.world.run(1).state == "cancelled"
    assert processes_of(play.world.folder(1)) == []
    runs = json.loads(play("list", "--runs", "--format", "json")[1])
    assert [(run["run"], run["state"]) for run in runs] == [(1, "cancelled")]


def test_what_a_host_prints_cannot_steer_the_terminal(play: Command, write_playbook: WritePlaybook) -> None:
    write_playbook("evil", '- ansible.builtin.fail: {msg: "\\e]0;title\\a\\e[2Jend"}')
    code, output, _ = play("run", "evil")
    assert code == 1
    assert "\x1b" not in output
    assert "\\x1b]0;title\\x07\\x1b[2Jend" in output
