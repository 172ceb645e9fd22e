"""How a run ends: cancelled, killed, without room on its disk; and what it makes of too much, or of bytes."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from foundation.errors import Unavailable
from foundation.guard import Guard
from infra.plays.results import Progress
from infra.plays.runner import Order, run
from lab import sshd
from lab.sshd import SshServer
from tests.infra.conftest import FakeAsset, MakeAsset, WritePlaybook, processes_of
from tests.infra.test_runner import Outcome, kill, left, order

# A child that heeds no SIGTERM, and its child: what they write says that they still live.
STUBBORN = """
- name: Is stubborn
  ansible.builtin.shell: trap '' TERM HUP; while :; do date +%s%N > FOLDER/beat; sleep 0.05; done
"""
BACKGROUND = """
- name: Goes to the background
  ansible.builtin.shell: trap '' TERM; while :; do date +%s%N > FOLDER/beat; sleep 0.05; done
  async: 600
  poll: 0
- name: Waits
  ansible.builtin.command: sleep 600
"""
WATCHED = """
- name: Waits
  ansible.builtin.command: sleep 600
  async: 600
  poll: 1
"""
SLEEPS = "- name: Waits\n  ansible.builtin.command: sleep 600\n"


def cancel_at(folder: Path, play: Order, hosts: int, task: str) -> tuple[Progress, dict[str, Any], list[str]]:
    """Cancel when so many hosts are at a task, and look after 2 seconds for what is left."""
    progress, end = Progress([]), dict[str, Any]()
    asked = 0.0
    seen: list[str] = []

    def cancelled() -> bool:
        nonlocal asked
        due = sum(at == task for at in progress.at.values()) >= hosts
        if due and not asked:
            # Long enough for the tasks to be under way.
            time.sleep(1)
            seen.extend(processes_of(folder))
            asked = time.monotonic()
        return due

    for batch in run(folder, play, cancelled):
        for event in batch:
            progress.take(event)
            end = event
    time.sleep(max(0.0, asked + 2 - time.monotonic()))
    assert any("ansible-playbook" in line for line in seen)
    return progress, end, processes_of(folder)


def beats(path: Path) -> bool:
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    time.sleep(0.3)
    return path.exists() and path.read_text(encoding="utf-8") != before


@pytest.mark.parametrize(
    ("tasks", "task"),
    [(STUBBORN, "Is stubborn"), (BACKGROUND, "Waits"), (WATCHED, "Waits"), (SLEEPS, "Waits")],
)
def test_a_cancel_ends_whatever_a_run_began_on_this_machine(
    tasks: str, task: str, write_playbook: WritePlaybook, asset: MakeAsset, tmp_path: Path
) -> None:
    local = asset("here", ansible_connection="local", ansible_remote_tmp=str(tmp_path / "remote"))
    play = order(write_playbook("local", tasks.replace("FOLDER", str(tmp_path))), local)
    progress, end, rest = cancel_at(tmp_path / "run", play, 1, task)
    assert end == {"event": "end", "status": "canceled", "code": None}
    assert progress.at == {"here": task}
    assert rest == []
    assert not beats(tmp_path / "beat")


def test_a_cancel_ends_the_connections_to_twenty_hosts_and_says_where_they_were(
    write_playbook: WritePlaybook, asset: MakeAsset, tmp_path: Path
) -> None:
    hosts = [f"host-{number:02}" for number in range(20)]
    play = order(write_playbook("wait", SLEEPS), *(asset(name) for name in hosts))
    progress, end, rest = cancel_at(tmp_path / "run", play, 20, "Waits")
    assert end["status"] == "canceled"
    assert progress.at == dict.fromkeys(hosts, "Waits")
    assert rest == []


def test_a_run_that_is_cancelled_at_once_begins_nothing(
    write_playbook: WritePlaybook, asset: MakeAsset, server: SshServer, tmp_path: Path
) -> None:
    task = f"- ansible.builtin.copy: {{dest: {server.home}/never, content: x}}"
    play = order(write_playbook("write", task), asset("host"))
    events = [event for batch in run(tmp_path / "run", play, lambda: True) for event in batch]
    assert events == [{"event": "end", "status": "canceled", "code": None}]
    assert left(tmp_path / "run") == []
    assert not (server.home / "never").exists()


def test_what_was_done_before_a_cancel_is_told(
    write_playbook: WritePlaybook, asset: MakeAsset, tmp_path: Path
) -> None:
    tasks = "- name: Does\n  ansible.builtin.command: 'true'\n" + SLEEPS
    progress, end, _ = cancel_at(
        tmp_path / "run", order(write_playbook("does", tasks), asset("host")), 1, "Waits"
    )
    assert end["status"] == "canceled"
    assert progress.results["host"].changed == 1


WORKER = """
import sys
from pathlib import Path
from foundation.secret import Secret
from infra.plays.inventory import Host, Inventory
from infra.plays.runner import Order, run
from infra.plays.secrets import PlaySecrets

folder = Path(sys.argv[1])
variables = {"ansible_connection": "local", "ansible_remote_tmp": f"{folder}/../remote"}
host = Host("here", variables, None, frozenset())
book = b"- hosts: all\\n  gather_facts: false\\n  tasks: [{ansible.builtin.command: sleep 600}]\\n"
secrets = PlaySecrets(passwords={"site": Secret("word")}, values=frozenset({"a secret"}))
order = Order("wait", {"wait.yml": book}, Inventory([host]), secrets=secrets)
for batch in run(folder, order):
    for event in batch:
        print(event["event"], flush=True)
"""


def test_a_killed_worker_leaves_no_process_and_nothing_secret_in_memory(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with subprocess.Popen(
        [sys.executable, "-c", WORKER, str(folder)], stdout=subprocess.PIPE, text=True
    ) as worker:
        assert worker.stdout is not None
        assert any(line.strip() == "runner_on_start" for line in worker.stdout)
        private = Path(json.loads((folder / "run.json").read_text(encoding="utf-8"))["sockets"])
        assert private.is_dir()
        worker.kill()
    limit = time.monotonic() + 20
    while (private.exists() or processes_of(folder)) and time.monotonic() < limit:
        time.sleep(0.05)
    assert not private.exists()
    assert processes_of(folder) == []


@pytest.mark.parametrize("program", ["ansible_process.py", "ansible-playbook"])
@pytest.mark.parametrize("phase", ["start", "task", "end"])
def test_a_run_whose_process_is_killed_is_no_success_and_names_host_and_task(
    program: str, phase: str, write_playbook: WritePlaybook, asset: MakeAsset, tmp_path: Path
) -> None:
    tasks = "- name: Does\n  ansible.builtin.command: 'true'\n"
    path = write_playbook("killed", tasks + (SLEEPS if phase != "end" else ""))
    folder, progress, events = tmp_path / "run", Progress(["host"]), list[dict[str, Any]]()
    stream = run(folder, order(path, asset("host")))

    def due() -> bool:
        if phase == "start":
            return bool(events) or program == "ansible_process.py"
        if phase == "task":
            return progress.at == {"host": "Waits"}
        return any(event["event"] == "runner_on_ok" for event in events)

    killed = False
    while not killed:
        batch = next(stream)
        events += batch
        for event in batch:
            progress.take(event)
        killed = due() and kill(folder, program)
    error = None
    try:
        events += (event for batch in stream for event in batch)
    except Unavailable as caught:
        error = caught
    if phase == "end" and any(event["event"] == "playbook_on_stats" for event in events):
        # It had told everything by then, and died on its last step.
        assert error is not None or events[-1]["status"] == "failed"
    else:
        assert error is not None
        assert "killed" in error.message
        assert not any(event["event"] == "end" for event in events)
    if phase == "task":
        assert "host at task 'Waits'" in str(error)
    assert left(folder) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> None:
    with contextlib.suppress(OSError), (folder / "filler").open("wb", buffering=0) as file:
        while True:
            file.write(b"x" * 4096)


def test_a_full_disk_before_the_start_is_said_and_nothing_is_begun(
    write_playbook: WritePlaybook, asset: MakeAsset, small_disk: Path
) -> None:
    fill(small_disk)
    play = order(write_playbook("ping", "- ansible.builtin.ping:"), asset("host"))
    with pytest.raises(Unavailable, match=r"No space left on device\). Nothing was begun") as caught:
        list(run(small_disk / "run", play))
    assert caught.value.place == str(small_disk / "run")


@pytest.mark.parametrize("filled", ["by the log", "by another"])
def test_a_disk_that_fills_up_in_the_middle_ends_the_run_with_folder_host_and_task(
    filled: str, write_playbook: WritePlaybook, asset: MakeAsset, small_disk: Path
) -> None:
    first = SLEEPS.replace("600", "2")
    if filled == "by the log":
        first = """
- name: Says much
  ansible.builtin.debug: {msg: "{{ 'word ' * 700 }}"}
  loop: "{{ range(900) | list }}"
"""
    copies = "- ansible.builtin.copy: {dest: /dev/null, content: \"{{ 'word ' * 2000 }}\"}\n"
    play = order(write_playbook("fills", first + copies), asset("host"))
    folder, events = small_disk / "run", list[dict[str, Any]]()
    stream = run(folder, play)
    if filled == "by another":
        while not any(event["event"] == "runner_on_start" for event in events):
            events += next(stream)
        fill(small_disk)
    with pytest.raises(Unavailable, match=r"folder cannot be written \(No space left on device\)") as caught:
        events += (event for batch in stream for event in batch)
    assert caught.value.place == str(folder)
    assert "host at task " in caught.value.message
    assert not any(event["event"] == "end" for event in events)
    assert left(folder) == []


def test_a_host_without_room_is_that_hosts_failure(
    write_playbook: WritePlaybook, asset: MakeAsset, small_disk: Path, tmp_path: Path
) -> None:
    fill(small_disk)
    task = (
        f"- name: Writes\n  ansible.builtin.copy: {{dest: {small_disk}/x, content: \"{{{{ 'y' * 5000 }}}}\"}}"
    )
    outcome = Outcome(tmp_path / "run", order(write_playbook("full", task), asset("host")))
    assert outcome.hosts["host"].state == "failed"
    assert "No space left" in str(outcome.hosts["host"].message)


def resident(folder: Path) -> int:
    """The most memory that the run's own process had, in bytes."""
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            if any(word.endswith(b"ansible_process.py") for word in words) and os.fsencode(folder) in words:
                status = (entry / "status").read_text(encoding="utf-8")
                return int(status.partition("VmHWM:")[2].split()[0]) * 1024
    return 0


NOISY = b"""
import sys

class FilterModule:
    def filters(self):
        return {"noisy": noisy}

def noisy(text):
    for number in range(1000):
        sys.stdout.write(f"{number} " + "n" * 100_000 + ("\\n" if number % 2 else ""))
    sys.stdout.flush()
    return text
"""


def test_a_playbook_that_prints_a_hundred_megabytes_goes_on_in_bounded_room(
    write_playbook: WritePlaybook, asset: MakeAsset, tmp_path: Path
) -> None:
    tasks = """
- name: Prints
  ansible.builtin.shell: head -c 20000000 /dev/zero | tr '\\0' x; exit 3
  ignore_errors: true
- name: Says
  ansible.builtin.debug: {msg: "{{ 'y' * 10000000 }}"}
- name: Goes on
  ansible.builtin.ping:
"""
    path = write_playbook("noisy", tasks)
    # The hosts of a play are filled in by Ansible's own process, whose output is not taken from it.
    path.write_text(path.read_text(encoding="utf-8").replace("hosts: all", "hosts: \"{{ 'all' | noisy }}\""))
    # On this machine: over ssh Ansible itself takes minutes for a result of so many bytes.
    play = order(path, asset("host", ansible_connection="local"))
    play = replace(play, files={**play.files, "filter_plugins/noisy.py": NOISY})
    folder, progress, most, told = tmp_path / "run", Progress(["host"]), 0, list[int]()
    for batch in run(folder, play):
        most = max(most, resident(folder))
        for event in batch:
            told.append(len(json.dumps(event)))
            progress.take(event)
    host = progress.results["host"]
    assert (host.ok, host.ignored, host.failed) == (3, 1, 0)
    assert 0 < most < 150_000_000
    assert max(told) < 30_000
    assert sum(told) < 3_000_000
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 12_000_000


def test_random_bytes_and_hidden_results_are_told_as_what_they_are(
    write_playbook: WritePlaybook, asset: MakeAsset, tmp_path: Path
) -> None:
    tasks = """
- name: Prints bytes
  ansible.builtin.shell: head -c 3000 /dev/urandom; head -c 3000 /dev/urandom >&2; exit 1
  ignore_errors: true
- name: Is hidden
  ansible.builtin.command: sh -c "echo marker-of-no-log; exit 1"
  no_log: true
  ignore_errors: true
- name: Is hidden in rounds
  ansible.builtin.command: echo {{ item }}
  loop: [marker-of-no-log]
  no_log: true
- name: Goes on
  ansible.builtin.ping:
"""
    outcome = Outcome(tmp_path / "run", order(write_playbook("bytes", tasks), asset("host")))
    assert outcome.end["status"] == "successful"
    assert outcome.hosts["host"].ignored == 2
    failed = {payload["task"]: payload["message"] for payload in outcome.told("host_failed")}
    assert "UTF8" in failed["Prints bytes"]
    assert failed["Is hidden"] == "hidden (no_log)"
    assert "marker-of-no-log" not in repr(outcome.reports)
    assert "marker-of-no-log" not in (outcome.folder / "output.log").read_text(encoding="utf-8")


def test_a_host_that_is_gone_in_the_middle_of_a_batch_loses_nobody_else(
    write_playbook: WritePlaybook, asset: MakeAsset, tmp_path: Path
) -> None:
    with Guard() as guard:
        server = sshd.start(guard, tmp_path / "sshd", "leaving")
        gone = FakeAsset("b", attributes=server.attributes())
        tasks = "- name: First\n  ansible.builtin.ping:\n- name: Second\n  ansible.builtin.command: 'true'\n"
        path = write_playbook("batches", tasks)
        path.write_text(path.read_text(encoding="utf-8").replace("hosts: all", "hosts: all\n  serial: 2"))
        play = order(path, asset("a"), gone, asset("c"), asset("d"))
        progress, stopped = Progress(["a", "b", "c", "d"]), False
        for batch in run(tmp_path / "run", play):
            for event in batch:
                progress.take(event)
            if not stopped and progress.results["b"].ok:
                # The server and the connection that is shared: both as when the power fails.
                stopped = True
                guard.stop("leaving")
                subprocess.run(["pkill", "-9", "-f", f"sshd.*{tmp_path}/sshd"], check=False)
    states = {name: result.state for name, result in progress.results.items()}
    assert states == {"a": "changed", "b": "unreachable", "c": "changed", "d": "changed"}
    assert progress.results["b"].task == "Second"
