"""Debian 12 trees for the lab's machines, made once by debootstrap and kept.

A tree is never booted itself: each machine is an overlay over it. Further packages are a layer of their own
over the base tree, so a heavy one is installed once and not by every test.
"""

import fcntl
import functools
import hashlib
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from foundation.errors import Unavailable
from foundation.guard import Guard, Program
from lab.machine_packages import SUITE, Mirrors, cache_folder, mirrors

#: The account a fresh server is reached by: no password, one key, sudo.
USER = "engineer"

_LIMIT = 1200.0

# What Debian's installer and a network card's cable give a server before the first playbook.
_PACKAGES = (
    "systemd",
    "systemd-sysv",
    "libpam-systemd",
    "dbus",
    "openssh-server",
    "sudo",
    "python3",
    "python3-apt",
    "iproute2",
    "nftables",
    "procps",
    "netbase",
    "ca-certificates",
    "curl",
    "less",
)

# Runs in the base tree, as root. The chrony drop-in is for machines in a container only, which may not set
# the clock: Debian's unit would be skipped without a word, and -x makes chronyd follow its sources without
# setting it. force-unsafe-io: a lab's disk is thrown away. systemd notes in its timers' folder when it last
# ran what is due daily; Debian makes that folder at the first boot.
_FINISH = f"""
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
echo force-unsafe-io > /etc/dpkg/dpkg.cfg.d/lab
echo 'Acquire::Languages "none";' > /etc/apt/apt.conf.d/90lab
apt-get -q update
apt-get -q -y dist-upgrade
apt-get clean
useradd --create-home --shell /bin/bash {USER}
install -d -m 0700 -o {USER} -g {USER} /home/{USER}/.ssh
echo '{USER} ALL=(ALL) NOPASSWD:ALL' > /etc/sudoers.d/{USER}
chmod 0440 /etc/sudoers.d/{USER}
mkdir -p /etc/systemd/system/chrony.service.d /var/lib/systemd/timers
cat > /etc/systemd/system/chrony.service.d/lab.conf <<'END'
[Unit]
ConditionCapability=
[Service]
ExecStart=
ExecStart=!/usr/sbin/chronyd $DAEMON_OPTS -x
END
rm -f /etc/ssh/ssh_host_* /etc/hostname /etc/resolv.conf /var/lib/dbus/machine-id
: > /etc/resolv.conf
: > /etc/machine-id
"""

_INSTALL = """
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8
apt-get -q update
if [ "$1" = fetch ]; then
  shift
  apt-get -q -y --no-install-recommends --download-only install "$@"
else
  shift
  apt-get -q -y --no-install-recommends install "$@"
  apt-get clean
fi
"""

# Runs a script in a tree; LOWER, if any, are the layers below it. In a mount namespace of its own: the mounts
# go with the shell, however it ends. policy-rc.d: no service starts while a tree is made.
_IN_TREE = """
set -eu
proxy=$1 lower=$2 tree=$3 script=$4
shift 4
root=$tree
if [ -n "$lower" ]; then
  root=$tree.root
  mkdir "$root" "$tree.work"
  mount -t overlay overlay -o "lowerdir=$lower,upperdir=$tree,workdir=$tree.work" "$root"
fi
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/tmp"
printf '#!/bin/sh\\nexit 101\\n' > "$root/usr/sbin/policy-rc.d"
chmod 755 "$root/usr/sbin/policy-rc.d"
printf 'Acquire::http::Proxy "%s";\\n' "$proxy" > "$root/etc/apt/apt.conf.d/99making"
env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$root" sh -c "$script" sh "$@"
rm "$root/usr/sbin/policy-rc.d" "$root/etc/apt/apt.conf.d/99making"
"""


@dataclass(frozen=True)
class Image:
    """What a machine's disk holds before it is first booted.

    Args:
        layers: folders, the uppermost first, as overlayfs takes them.
    """

    layers: tuple[Path, ...]


def image(proxy: str, packages: Sequence[str] = (), fetched: Sequence[str] = ()) -> Image:
    """A Debian tree; made now if it is not in the cache. Several processes may ask for one at the same time.

    Args:
        proxy: URL of a package cache.
        packages: further packages to install in it.
        fetched: packages whose files are laid into the tree's apt cache, with what they depend on, and not
            installed: a play installs them without the network's wait.

    Raises:
        Unavailable: a program is missing, no package can be had, or one cannot be installed; with the end of
            the log.
    """
    sources = mirrors()
    recipe = [sources.sources(), *_PACKAGES, _FINISH, _IN_TREE]
    layers: tuple[Path, ...] = (_kept(recipe, functools.partial(_make_base, proxy, sources)),)
    for mode, names in (("install", packages), ("fetch", fetched)):
        if names:
            recipe = [str(layers[0]), _INSTALL, mode, *sorted(set(names))]
            layers = (_kept(recipe, functools.partial(_make_layer, proxy, layers, recipe[2:])), *layers)
    return Image(layers)


def _kept(recipe: Sequence[str], make: Callable[[Path, Path], None]) -> Path:
    # What a tree is called says how it was made: another recipe is another tree.
    name = hashlib.sha256("\0".join(recipe).encode()).hexdigest()[:16]
    folder = cache_folder() / "trees"
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    tree, work = folder / name, folder / f"{name}.making"
    if tree.exists():
        return tree
    with (folder / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tree.exists():
            # What a maker that was killed left.
            shutil.rmtree(work, ignore_errors=True)
            work.mkdir()
            (work / "tree").mkdir(mode=0o755)
            make(work, work / "tree")
            (work / "tree").rename(tree)
            shutil.rmtree(work)
    return tree


def _make_base(proxy: str, sources: Mirrors, work: Path, tree: Path) -> None:
    # It mounts within the tree, and a killed one would leave that mounted.
    argv = ["unshare", "--mount", "debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}"]
    _run(work, [*argv, SUITE, str(tree), sources.main], {"http_proxy": proxy})
    (tree / "etc" / "apt" / "sources.list").write_text(sources.sources(), encoding="utf-8")
    _in_tree(work, proxy, "", tree, _FINISH)


def _make_layer(proxy: str, below: Sequence[Path], words: Sequence[str], work: Path, tree: Path) -> None:
    _in_tree(work, proxy, ":".join(str(layer) for layer in below), tree, _INSTALL, *words)


def _in_tree(work: Path, proxy: str, lower: str, tree: Path, script: str, *words: str) -> None:
    argv = ["unshare", "--mount", "sh", "-c", _IN_TREE, "sh", proxy, lower, str(tree), script, *words]
    _run(work, argv, {})


def _run(work: Path, argv: Sequence[str], environment: Mapping[str, str]) -> None:
    """Run a program to its end under a guard, so that nothing of it stays if we are killed."""
    name, log = Path(argv[2]).name, work / "output.log"
    with Guard() as guard:
        guard.start(Program(name=name, argv=tuple(argv), log=log, environment=environment, folder=work))
        limit = time.monotonic() + _LIMIT
        while name not in (ended := guard.poll()) and time.monotonic() < limit:
            time.sleep(0.1)
    if ended.get(name) != 0:
        tail = log.read_text(encoding="utf-8", errors="replace")[-1500:].strip()
        how = f"it ended with {ended[name]}" if name in ended else f"it did not end in {_LIMIT:g} s"
        raise Unavailable(
            f"A tree for the lab's machines cannot be made: {how}: {tail}",
            place=str(log),
            remedy="Check that the mirrors of this machine's apt answer (apt-get update).",
        )
