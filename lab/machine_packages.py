"""Debian packages for the lab's machines: from where this machine gets its own, through a cache.

The machines have no route outside. What they install they ask of apt-cacher-ng, which the lab starts on its
own address, and which fetches a package once and keeps it for all later labs.
"""

import contextlib
import fcntl
import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from foundation.errors import Unavailable
from foundation.guard import Guard, Program, wait_for_port

SUITE = "bookworm"
_CACHER = "/usr/sbin/apt-cacher-ng"
_CACHER_LIMIT = 60.0
_JOINED = 'for group in $0; do echo 0 > "$group/cgroup.procs"; done; exec "$@"'


@dataclass(frozen=True)
class Mirrors:
    """Where Debian's packages come from.

    Args:
        main: URL of the archive.
        security: URL of the archive of security updates.
    """

    main: str
    security: str

    def sources(self) -> str:
        """The `sources.list` of a machine."""
        return f"deb {self.main} {SUITE} main\ndeb {self.security} {SUITE}-security main\n"


def cache_folder() -> Path:
    """Where trees and packages are kept between labs."""
    given = os.environ.get("XDG_CACHE_HOME")
    return Path(given) / "rakeeza-lab" if given else Path("/var/cache/rakeeza-lab")


def mirrors() -> Mirrors:
    """The mirrors that this machine's own apt is configured with.

    Raises:
        Unavailable: apt is not there, or is configured with no mirror of Debian that the cache can stand for.
    """
    form = "$(ORIGIN) $(CODENAME) $(REPO_URI)"
    try:
        answer = subprocess.run(
            ["apt-get", "indextargets", "--format", form, "Created-By: Packages"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError) as error:
        raise Unavailable(
            f"apt does not say where this machine's packages come from ({error}).",
            place="apt-get indextargets",
            remedy="The lab's machines are made on a Debian system: run apt-get update there.",
        ) from error
    found: dict[bool, str] = {}
    for line in answer.stdout.splitlines():
        origin, codename, url = line.split()
        if origin == "Debian" and not codename.endswith(("-updates", "-backports")):
            found.setdefault(codename.endswith("-security"), url.rstrip("/"))
    if len(found) < 2 or not all(url.startswith("http://") for url in found.values()):
        raise Unavailable(
            f"This machine's apt has no http mirrors of Debian and of its security updates, only {found}.",
            place="/etc/apt/sources.list.d",
            remedy="Name both by http:// (packages are signed), and run apt-get update.",
        )
    return Mirrors(main=found[False], security=found[True])


@contextlib.contextmanager
def package_cache(
    guard: Guard, folder: Path, address: str, port: int, groups: Sequence[Path]
) -> Iterator[str]:
    """Run a package cache; it ends with its guard.

    Two of them never share a store, which knows no locks: each takes the first that is free.

    Args:
        guard: what it runs under.
        folder: for its configuration and log; made if missing.
        address: the address it listens on.
        port: its port.
        groups: the control groups it belongs to, so that it can be found if its lab was killed.

    Returns:
        Its URL, as apt's `Acquire::http::Proxy` takes it.

    Raises:
        Unavailable: apt-cacher-ng is not installed or does not start.
    """
    if not Path(_CACHER).exists():
        raise Unavailable(
            "apt-cacher-ng is not installed.", place=_CACHER, remedy="apt-get install apt-cacher-ng"
        )
    with contextlib.ExitStack() as stack:
        store = stack.enter_context(_free_store(cache_folder() / "packages"))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "acng.conf").write_text(_configuration(folder, store, address, port), encoding="utf-8")
        log = folder / "output.log"
        name = f"packages-{port}"
        # A cache whose lab was killed holds its store until it has ended itself.
        cacher = ("flock", "--no-fork", "--wait", "30", str(store / "lock"), _CACHER, "-c", str(folder))
        joined = ("sh", "-c", _JOINED, " ".join(str(group) for group in groups))
        guard.start(Program(name=name, argv=(*joined, *cacher), log=log, folder=folder))
        stack.callback(guard.stop, name)
        _wait(guard, name, address, port, log)
        yield f"http://{address}:{port}"


def _wait(guard: Guard, name: str, address: str, port: int, log: Path) -> None:
    limit = time.monotonic() + _CACHER_LIMIT
    while True:
        try:
            return wait_for_port(address, port, 0.2, "apt-cacher-ng")
        except Unavailable as error:
            if name not in guard.poll() and time.monotonic() < limit:
                continue
            tail = log.read_text(encoding="utf-8", errors="replace")[-500:].strip()
            raise Unavailable(f"apt-cacher-ng does not start: {tail}", place=str(log)) from error


@contextlib.contextmanager
def _free_store(stores: Path) -> Iterator[Path]:
    number = 0
    while True:
        store = stores / str(number)
        store.mkdir(parents=True, exist_ok=True)
        with (store / "taken").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                number += 1
                continue
            yield store
            return


def _configuration(folder: Path, store: Path, address: str, port: int) -> str:
    # ExThreshold: days that a package which no index names any more is kept; a kept tree may ask for it.
    return f"""\
CacheDir: {store}
LogDir: {folder}
SupportDir: /usr/lib/apt-cacher-ng
SocketPath: {folder}/socket
PidFile: {folder}/pid
BindAddress: {address}
Port: {port}
ForeGround: 1
ExThreshold: 365
VerboseLog: 0
"""
