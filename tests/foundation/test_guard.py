"""The guard: programs end with us, however we end. Real processes, looked up in /proc."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from foundation.errors import NotFound, SettingsError, Unavailable
from foundation.guard import Guard, Program, free_port, wait_for_port
from tests.processes import PATIENCE, ROOT, alive, until


@pytest.fixture
def mark() -> str:
    """A word in the command line of every process of one test, by which /proc finds them all."""
    return f"rakeeza-test-{uuid.uuid4().hex}"


def _sleeper(mark: str) -> tuple[str, ...]:
    return ("bash", "-c", f"exec -a {mark} sleep 1000")


def _shell(mark: str, script: str) -> tuple[str, ...]:
    # The mark is the name of the shell, and through $0 of what the script starts by it.
    return ("bash", "-c", script, mark)


def _parent(mark: str, folder: Path, body: str) -> "subprocess.Popen[str]":
    """A process of its own that guards, as a test body that can be killed."""
    program = f"""
import os, sys, time
from pathlib import Path
from foundation.guard import Guard, Program
log = Path({str(folder / "log")!r})
mark = {mark!r}
guard = Guard()
{body}
print(guard.pid, flush=True)
time.sleep(1000)
"""
    return subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True)


def test_a_program_runs_and_its_output_is_logged(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Guard() as guard:
        pid = guard.start(
            Program(
                "a", ("bash", "-c", "echo $$ $WORD; pwd; echo no >&2"), log, {"WORD": "سلام"}, folder=tmp_path
            )
        )
        until(guard.poll)
        assert guard.poll() == {"a": 0}
    assert log.read_text().splitlines() == [f"{pid} سلام", str(tmp_path), "no"]


def test_exits_are_reported_by_code_and_signal(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Guard() as guard:
        guard.start(Program("code", ("bash", "-c", "exit 7"), log))
        guard.start(Program("signal", ("bash", "-c", "kill -9 $$"), log))
        guard.start(Program("running", ("sleep", "1000"), log))
        until(lambda: len(guard.poll()) == 2)
        assert guard.poll() == {"code": 7, "signal": -9}
        # A name is free again when its program has ended.
        guard.start(Program("code", ("bash", "-c", "exit 8"), log))
        until(lambda: len(guard.poll()) == 2)
        assert guard.poll() == {"code": 8, "signal": -9}


def test_a_program_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with Guard() as guard:
        with pytest.raises(SettingsError, match="nonesuch cannot be started: No such file"):
            guard.start(Program("a", ("nonesuch",), tmp_path / "log"))
        with pytest.raises(NotFound):
            guard.stop("a")
        assert guard.poll() == {}


def test_a_name_is_taken_while_its_program_runs(tmp_path: Path, mark: str) -> None:
    with Guard() as guard:
        guard.start(Program("a", _sleeper(mark), tmp_path / "log"))
        with pytest.raises(SettingsError, match="already runs"):
            guard.start(Program("a", _sleeper(mark), tmp_path / "log"))
        # A process that is just becoming another program shows no command line for a moment.
        until(lambda: len(alive(mark)) == 1)


def test_programs_stop_in_reverse_order_of_start(tmp_path: Path) -> None:
    ended = tmp_path / "ended"
    script = f"trap 'echo $0 >> {ended}; exit' TERM; echo up; while :; do sleep 0.01; done"
    with Guard() as guard:
        for name in ("first", "second", "third"):
            guard.start(Program(name, _shell(name, script), tmp_path / name))
            until((tmp_path / name).read_text)
    assert ended.read_text().split() == ["third", "second", "first"]


def test_one_program_is_stopped_with_its_family_and_the_others_stay(tmp_path: Path, mark: str) -> None:
    other = f"{mark}-other"
    with Guard() as guard:
        guard.start(Program("other", _sleeper(other), tmp_path / "log"))
        family = f"(exec -a {mark} setsid bash -c 'exec -a {mark} sleep 1000') & exec -a {mark} sleep 1000"
        guard.start(Program("one", ("bash", "-c", family), tmp_path / "log"))
        # All three have become what they are to be; before that the shells still bear the mark.
        until(lambda: len(alive(f"{mark}\0")) == 2 and len(alive(other)) == 1)
        guard.stop("one")
        assert [pid for pid in alive(mark) if pid not in alive(other)] == []
        assert len(alive(other)) == 1
    assert alive(mark) == []


def test_a_program_that_ignores_its_signal_is_killed_after_its_grace(tmp_path: Path, mark: str) -> None:
    log = tmp_path / "log"
    with Guard() as guard:
        guard.start(
            Program("a", _shell(mark, "trap '' TERM; echo up; while :; do sleep 0.1; done"), log, grace=0.2)
        )
        until(log.read_text)
    assert alive(mark) == []


def test_the_stop_signal_is_the_programs_own(tmp_path: Path, mark: str) -> None:
    log = tmp_path / "log"
    script = "trap 'echo int; exit' INT; trap 'echo term; exit' TERM; echo up; while :; do sleep 0.01; done"
    with Guard() as guard:
        guard.start(Program("a", _shell(mark, script), log, stop_signal=signal.SIGINT))
        until(log.read_text)
    assert log.read_text().split() == ["up", "int"]


def parents(mark: str) -> list[int]:
    found = []
    for pid in alive(mark):
        # One that ends while we look has no parent to tell.
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{pid}/status").read_text()
            found.append(int(status.partition("\nPPid:")[2].split()[0]))
    return found


def test_a_daemon_that_forks_twice_in_a_new_session_does_not_escape(tmp_path: Path, mark: str) -> None:
    daemon = f"""
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(1000)
    os._exit(0)
# {mark}
"""
    with Guard() as guard:
        guard.start(Program("a", (sys.executable, "-c", daemon), tmp_path / "log"))
        # Its program has ended, and the one between them ends; whose child the last one is now is the point.
        until(lambda: guard.poll() == {"a": 0} and parents(mark) == [guard.pid])
    assert alive(mark) == []


def test_a_killed_parent_takes_everything_with_it(tmp_path: Path, mark: str) -> None:
    body = """
stubborn_child = "setsid -f bash -c 'trap \\"\\" TERM; sleep 1000; :' $0"
ignores = f"trap '' TERM HUP INT; {stubborn_child}; while :; do sleep 1; done"
guard.start(Program("stubborn", ("bash", "-c", ignores, mark), log, grace=0.2))
guard.start(Program("plain", ("bash", "-c", f"exec -a {mark} sleep 1000"), log))
"""
    with _parent(mark, tmp_path, body) as parent:
        assert parent.stdout is not None
        guard = int(parent.stdout.readline())
        until(lambda: len(alive(mark)) >= 4)
        parent.send_signal(signal.SIGKILL)
    until(lambda: alive(mark) == [])
    until(lambda: not Path(f"/proc/{guard}").exists())


def test_a_fork_of_the_parent_that_lives_on_does_not_keep_the_programs(tmp_path: Path, mark: str) -> None:
    body = """
guard.start(Program("plain", ("bash", "-c", f"exec -a {mark}-program sleep 1000"), log))
if os.fork() == 0:
    # It holds a copy of the socket to the guard.
    Path(log).with_name("fork").write_text(str(os.getpid()))
    time.sleep(1000)
"""
    with _parent(mark, tmp_path, body) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        told = tmp_path / "fork"
        until(lambda: alive(f"{mark}-program") and told.exists() and told.read_text())
        fork = int(told.read_text())
        parent.send_signal(signal.SIGKILL)
        try:
            until(lambda: alive(f"{mark}-program") == [])
            assert Path(f"/proc/{fork}").exists()
        finally:
            os.kill(fork, signal.SIGKILL)


def test_an_interrupt_of_the_terminal_reaches_no_program_before_the_guard(tmp_path: Path, mark: str) -> None:
    body = """
script = "trap 'echo int' INT; trap 'echo term; exit' TERM; echo up; while :; do sleep 0.01; done"
guard.start(Program("a", ("bash", "-c", script, mark), log))
"""
    log = tmp_path / "log"
    with _parent(mark, tmp_path, body) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        until(log.exists)
        until(log.read_text)
        assert os.getpgid(parent.pid) not in {os.getpgid(pid) for pid in alive(mark) if pid != parent.pid}
        parent.send_signal(signal.SIGINT)
    until(lambda: alive(mark) == [])
    assert log.read_text().split() == ["up", "term"]


def test_with_a_killed_guard_the_programs_go_and_the_parent_is_told(tmp_path: Path, mark: str) -> None:
    with Guard() as guard:
        guard.start(Program("a", _sleeper(mark), tmp_path / "log"))
        guard.start(Program("b", _shell(mark, "trap '' TERM; while :; do sleep 1; done"), tmp_path / "log"))
        until(lambda: len(alive(mark)) >= 2)
        os.kill(guard.pid, signal.SIGKILL)
        until(lambda: alive(mark) == [])
        with pytest.raises(Unavailable, match="has ended"):
            guard.poll()
        with pytest.raises(Unavailable, match="has ended"):
            guard.start(Program("c", _sleeper(mark), tmp_path / "log"))


def test_a_guard_that_is_asked_to_end_stops_its_programs_first(tmp_path: Path, mark: str) -> None:
    log = tmp_path / "log"
    with Guard() as guard:
        guard.start(
            Program(
                "a", _shell(mark, "trap 'echo term; exit' TERM; echo up; while :; do sleep 0.01; done"), log
            )
        )
        until(log.read_text)
        os.kill(guard.pid, signal.SIGTERM)
        until(lambda: alive(mark) == [])
    assert log.read_text().split() == ["up", "term"]


def test_programs_inherit_no_signal_that_the_guard_does_not_heed(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with Guard() as guard:
        guard.start(Program("a", ("grep", "SigIgn", "/proc/self/status"), log))
        until(lambda: guard.poll() == {"a": 0})
    assert int(log.read_text().split()[1], 16) == 0


def test_a_program_runs_as_its_user_and_dies_with_the_guard_also_then(tmp_path: Path, mark: str) -> None:
    user = "nobody" if os.geteuid() == 0 else None
    expected = f"{65534 if user else os.geteuid()}"
    log = tmp_path / "log"
    with Guard() as guard:
        pid = guard.start(Program("a", ("bash", "-c", f"id -u; exec -a {mark} sleep 1000"), log, user=user))
        until(lambda: alive(mark) and log.read_text())
        assert log.read_text().split() == [expected]
        assert (
            f"\nUid:\t{expected}\t{expected}\t{expected}\t{expected}\n"
            in Path(f"/proc/{pid}/status").read_text()
        )
        os.kill(guard.pid, signal.SIGKILL)
        until(lambda: alive(mark) == [])


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    guard = Guard()
    guard.start(Program("a", ("sleep", "1000"), tmp_path / "log"))
    guard.close()
    guard.close()
    with pytest.raises(Unavailable):
        guard.poll()


def test_a_free_port_is_given_to_one_who_asks_and_to_the_server_that_names_it() -> None:
    ports = [free_port() for _ in range(500)]
    # Were they only random, two of five hundred would be the same nearly always.
    assert len(set(ports)) == len(ports)
    with socket.create_server(("127.0.0.1", ports[0])) as server:
        assert server.getsockname()[1] == ports[0]


def test_a_free_port_of_an_address_of_version_6() -> None:
    with socket.create_server(("::1", free_port("::1")), family=socket.AF_INET6) as server:
        assert server.getsockname()[0] == "::1"


def test_waiting_for_a_port_ends_when_something_listens_and_names_what_does_not(tmp_path: Path) -> None:
    port = free_port()
    with pytest.raises(Unavailable, match=f"127.0.0.1:{port}: The lamp does not listen"):
        wait_for_port("127.0.0.1", port, 0.05, "The lamp")
    with Guard() as guard:
        command = (sys.executable, "-m", "http.server", str(port), "--bind", "127.0.0.1")
        guard.start(Program("a", command, tmp_path / "log", folder=tmp_path))
        wait_for_port("127.0.0.1", port, PATIENCE, "The server")
