"""Debian 12 servers for the tests of playbooks: each a real systemd and sshd in a network of its own.

A machine is an overlay over a kept tree (`machine_image.py`), booted by systemd-nspawn, with its own host
name, host keys, machine id and address. It is met as a fresh server is: the user `engineer`, one key, sudo.
It can be rebooted, powered off, and started again; its disk lasts as long as the lab.

What this cannot show: a kernel of its own (its boot id and its network are new at each boot, the kernel and
its clock are ours: chronyd runs with -x and sets nothing), limits of memory and processors (the controllers
are not given to the machines), delay and loss on the wire (netem is not in every kernel), disks, and a boot
loader. Root in a machine is root of this kernel with fewer capabilities (no user namespace: an overlay's
owners would have to be changed file by file); what runs there must be as trusted as a test.
"""

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from foundation.errors import Unavailable
from foundation.guard import Guard, Program
from lab.machine import Machine
from lab.machine_disk import furnish, make_key, public_key
from lab.machine_image import USER, Image, image
from lab.machine_network import Place, end_processes, join, place, remove_group
from lab.machine_packages import package_cache

_BOOT = Path(__file__).with_name("machine_boot.sh")
_PACKAGES_PORT = 3142
_FIRST, _LAST = 11, 250
_PROGRAMS = {
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "apt-cacher-ng": "apt-cacher-ng",
    "ip": "iproute2",
    "unshare": "util-linux",
    "ssh-keygen": "openssh-client",
}


class Lab:
    """Machines on one network of their own; made by `open_lab`.

    Args:
        place: its number, bridge and control groups.
        guard: what everything runs under.
        folder: for the machines' disks and logs.
    """

    def __init__(self, place: Place, guard: Guard, folder: Path) -> None:
        self._place = place
        self._guard = guard
        self.folder = folder
        self.key_file = folder / "engineer_key"
        self._proxy = ""
        self._machines: dict[str, Machine] = {}
        self._bridges: dict[str, str] = {}
        self._next = _FIRST
        self._plugs: dict[str, str] = {}
        self._layers: dict[str, Image] = {}
        self._on: set[str] = set()

    @property
    def address(self) -> str:
        """This machine's address, as the lab's machines see it: for servers that a test starts."""
        return self._place.gateway

    @property
    def network(self) -> str:
        """The lab's network, `address/24`."""
        return self._place.address(0) + "/24"

    @property
    def machines(self) -> Mapping[str, Machine]:
        """Every machine that was booted and not removed, by name."""
        return self._machines

    def boot(
        self,
        *names: str,
        packages: Sequence[str] = (),
        fetched: Sequence[str] = (),
        cables: Mapping[str, Sequence[str]] | None = None,
    ) -> dict[str, Machine]:
        """Boot machines, all at once.

        Args:
            names: their host names, new in this lab.
            packages: Debian packages they have from the start, installed once and kept.
            fetched: packages that they have the files of, and not installed.
            cables: further networks, by name, and the machines on each: every one of them has an interface of
                the network's name, up and without an address.

        Raises:
            Unavailable: one does not boot, or its tree cannot be made.
        """
        tree = image(self._proxy, packages, fetched)
        for cable in cables or {}:
            if cable not in self._bridges:
                self._bridges[cable] = f"{self._place.bridge}b{len(self._bridges)}"
                join(self._place, self._bridges[cable])
        made = [self._make(name, tree, cables or {}) for name in names]
        for machine in made:
            self._furnish(machine)
        with ThreadPoolExecutor(max_workers=max(1, len(made))) as pool:
            list(pool.map(Machine.start, made))
        return {machine.name: machine for machine in made}

    def remove(self, *machines: Machine) -> None:
        """Power machines off and throw their disks away."""
        for machine in machines:
            self.stop(machine)
            del self._machines[machine.name]
            shutil.rmtree(machine.folder, ignore_errors=True)

    def start(self, machine: Machine) -> None:
        """Power a machine on, without waiting for it."""
        number = machine.address.rpartition(".")[2]
        groups = self._groups(machine)
        for group in groups:
            group.mkdir(exist_ok=True)
        environment = {
            "LAYERS": ":".join(str(layer) for layer in self._layers[machine.name].layers),
            "FOLDER": str(machine.folder),
            # systemd-nspawn's own name for it, in /run/systemd/nspawn: unique on this machine.
            "MACHINE": f"{self._place.bridge}-{number}",
            "HOST": machine.name,
            "BRIDGE": self._place.bridge,
            "MAC": self._place.hardware(int(number)),
            "VETH": f"{self._place.bridge}m{number}",
            "ADDRESS": machine.address,
            "GATEWAY": self.address,
            "CGROUPS": " ".join(str(group) for group in groups),
            "LINKS": self._plugs[machine.name],
            # A router forwards: its own part of /proc/sys/net is its own to set.
            "SYSTEMD_NSPAWN_API_VFS_WRITABLE": "network",
        }
        argv = ("unshare", "--mount", "sh", str(_BOOT))
        self._guard.start(
            Program(machine.name, argv, machine.log, environment, grace=0.0, folder=machine.folder)
        )
        self._on.add(machine.name)

    def stop(self, machine: Machine) -> None:
        """Power a machine off at once."""
        if machine.name in self._on:
            self._guard.stop(machine.name)
            self._on.discard(machine.name)
        for group in self._groups(machine):
            end_processes(group)
            remove_group(group)

    def runs(self, machine: Machine) -> bool:
        """Whether a machine is powered on."""
        return machine.name in self._on and machine.name not in self._guard.poll()

    def _groups(self, machine: Machine) -> list[Path]:
        return [group / machine.name for group in self._place.groups]

    def _make(self, name: str, tree: Image, cables: Mapping[str, Sequence[str]]) -> Machine:
        assert name not in self._machines, f"{name} is booted already"
        if self._next > _LAST:
            raise Unavailable("All addresses of the lab are taken.", place=self.network)
        last, self._next = self._next, self._next + 1
        folder = self.folder / name
        folder.mkdir()
        address = self._place.address(last)
        key = folder / "host_key"
        make_key(key, f"root@{name}")
        host_key = public_key(key)
        (folder / "known_hosts").write_text(f"{address} {host_key}\n", encoding="utf-8")
        machine = Machine(name, address, host_key, self.key_file, folder, self)
        self._layers[name] = tree
        self._plugs[name] = " ".join(
            f"{self._bridges[cable]}={self._bridges[cable]}m{last}={cable}"
            for cable, members in cables.items()
            if name in members
        )
        self._machines[name] = machine
        return machine

    def _furnish(self, machine: Machine) -> None:
        base = self._layers[machine.name].layers[-1]
        private = (machine.folder / "host_key").read_text(encoding="utf-8")
        others = "".join(f"{other.address} {other.name}\n" for other in self._machines.values())
        # What a test serves on this machine is asked for directly.
        apt = f'Acquire::http::Proxy "{self._proxy}";\nAcquire::http::Proxy::{self.address} "DIRECT";\n'
        furnish(
            machine.folder / "disk",
            base,
            {
                "etc/hostname": (f"{machine.name}\n", 0o644),
                "etc/hosts": (f"127.0.0.1 localhost\n{others}", 0o644),
                "etc/machine-id": (f"{secrets.token_hex(16)}\n", 0o444),
                "etc/ssh/ssh_host_ed25519_key": (private, 0o600),
                "etc/ssh/ssh_host_ed25519_key.pub": (f"{machine.host_key} root@{machine.name}\n", 0o644),
                f"home/{USER}/.ssh/authorized_keys": (public_key(self.key_file) + "\n", 0o600),
                "etc/apt/apt.conf.d/91lab": (apt, 0o644),
                # Without them systemd takes the daily work as missed, and does it on the first day.
                "var/lib/systemd/timers/stamp-apt-daily.timer": ("", 0o644),
                "var/lib/systemd/timers/stamp-apt-daily-upgrade.timer": ("", 0o644),
            },
        )

    def serve_packages(self, proxy: str) -> None:
        """Let machines that are booted from now on ask a package cache for their packages."""
        self._proxy = proxy


@contextlib.contextmanager
def open_lab(folder: Path) -> Iterator[Lab]:
    """A network with a package cache, on which machines can be booted; all of it ends with the block, and
    also when this process is killed.

    Args:
        folder: for disks, keys and logs; made if missing. Its path holds no colon, comma or blank.

    Raises:
        Unavailable: we are not root, a program is missing, or the kernel does not give what is needed.
    """
    _check()
    folder.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        taken = stack.enter_context(place())
        guard = stack.enter_context(Guard())
        lab = Lab(taken, guard, folder)
        make_key(lab.key_file, USER)
        cache = package_cache(guard, folder / "packages", lab.address, _PACKAGES_PORT, taken.groups)
        lab.serve_packages(stack.enter_context(cache))
        yield lab


@contextlib.contextmanager
def machines(folder: Path, *names: str, packages: Sequence[str] = ()) -> Iterator[dict[str, Machine]]:
    """A lab with some machines, for one test.

    Args:
        folder: for disks, keys and logs.
        names: the machines' host names.
        packages: Debian packages they have from the start.
    """
    with open_lab(folder) as lab:
        yield lab.boot(*names, packages=packages)


def _check() -> None:
    if os.geteuid() != 0:
        raise Unavailable(
            "The lab's machines need root: they are booted with network namespaces, overlays and control "
            "groups of their own.",
            place="lab/machines.py",
            remedy="Run this as root.",
        )
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = [package for program, package in _PROGRAMS.items() if shutil.which(program, path=path) is None]
    if missing:
        raise Unavailable(
            f"The lab's machines need programs that are not installed: {', '.join(missing)}.",
            place="lab/machines.py",
            remedy=f"apt-get install {' '.join(missing)}",
        )
