"""One archive with the platform and every package it needs, for a machine that has no way out.

`script/wheelhouse FOLDER` makes it; the playbook `platform` installs from it. Every package is taken by the
hash that requirements.lock names, here when it is fetched and on the machine when it is installed.
"""

import hashlib
import importlib.metadata
import io
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import NormalizedName, canonicalize_name

from foundation.errors import SettingsError, Unavailable

REQUIREMENTS = "requirements.txt"
"""The archive's own list: each package with its version and its hashes."""

_BLOCK = re.compile(r"^([A-Za-z0-9._-]+)==.*(?:\n[ \t]+.*)*", re.MULTILINE)


def make_wheelhouse(root: Path, folder: Path) -> Path:
    """The archive of the program as it stands in a tree; made if it is not in the folder yet.

    The same tree gives the same archive, byte for byte, and so the same name.

    Args:
        root: the repository, with pyproject.toml and requirements.lock.
        folder: where archives are kept, and beside them the packages that were fetched; made if missing.

    Returns:
        The archive, `rakeeza-VERSION-DIGEST.tar`.

    Raises:
        SettingsError: the lock lacks a package that the program needs.
        Unavailable: our wheel cannot be built, or a package cannot be fetched; with the end of what was said.
    """
    folder.mkdir(parents=True, exist_ok=True)
    locked = runtime_lock((root / "requirements.lock").read_text(encoding="utf-8"), "rakeeza")
    packages = _fetched(locked, folder)
    with tempfile.TemporaryDirectory(dir=folder, prefix="making-") as work:
        own = _built(root, Path(work))
        own_digest = hashlib.sha256(own.read_bytes()).hexdigest()
        version = own.name.split("-")[1]
        listed = f"{locked}rakeeza=={version} --hash=sha256:{own_digest}\n"
        digest = hashlib.sha256(listed.encode()).hexdigest()[:16]
        archive = folder / f"rakeeza-{version}-{digest}.tar"
        if not archive.exists():
            made = Path(work) / archive.name
            _pack(made, listed, [own, *packages.iterdir()])
            made.rename(archive)
    return archive


def runtime_lock(lock: str, name: str) -> str:
    """The part of a lock file that a package needs to run; what only developers need is left out.

    Args:
        lock: the text of requirements.lock.
        name: an installed package; what it needs is read from what is installed here.

    Raises:
        SettingsError: the lock lacks a package that is needed.
    """
    blocks = {canonicalize_name(match[1]): match[0] for match in _BLOCK.finditer(lock)}
    needed = _closure(name)
    lacking = sorted(needed - blocks.keys())
    if lacking:
        raise SettingsError(
            f"The lock lacks {', '.join(lacking)}.", place="requirements.lock", remedy="Run script/lock."
        )
    return "".join(f"{blocks[package]}\n" for package in sorted(needed))


def _closure(name: str) -> set[NormalizedName]:
    waiting, seen = [Requirement(name)], set[tuple[NormalizedName, str]]()
    while waiting:
        requirement = waiting.pop()
        for extra in ("", *requirement.extras):
            asked = (canonicalize_name(requirement.name), extra)
            if asked not in seen:
                seen.add(asked)
                needs = map(Requirement, importlib.metadata.requires(requirement.name) or ())
                waiting += [
                    need for need in needs if need.marker is None or need.marker.evaluate({"extra": extra})
                ]
    return {package for package, _ in seen} - {canonicalize_name(name)}


def _fetched(locked: str, folder: Path) -> Path:
    digest = hashlib.sha256(locked.encode()).hexdigest()[:16]
    packages = folder / f"packages-{digest}"
    if packages.exists():
        return packages
    with tempfile.TemporaryDirectory(dir=folder, prefix="fetching-") as work:
        wanted = Path(work) / REQUIREMENTS
        wanted.write_text(locked, encoding="utf-8")
        made = Path(work) / "packages"
        _run(
            [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", "download", "--quiet",
             "--require-hashes", "--no-deps", "--only-binary=:all:", "--dest", str(made), "-r", str(wanted)],
            Path(work), "The packages cannot be fetched",
        )  # fmt: skip
        if not packages.exists():
            made.rename(packages)
    return packages


def _built(root: Path, work: Path) -> Path:
    # A program of the environment that we run in, which has the build's own packages by the lock.
    argv = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(work / "own")]
    _run(argv, root, "The wheel cannot be built")
    (wheel,) = (work / "own").glob("rakeeza-*.whl")
    return wheel


def _run(argv: list[str], folder: Path, what: str) -> None:
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise Unavailable(f"{what}: {(done.stderr or done.stdout)[-1500:].strip()}", place=str(folder))


def _pack(archive: Path, listed: str, files: Iterable[Path]) -> None:
    with tarfile.open(archive, "w", format=tarfile.GNU_FORMAT) as tar:
        entry = tarfile.TarInfo(REQUIREMENTS)
        entry.size = len(listed.encode())
        tar.addfile(entry, io.BytesIO(listed.encode()))
        for file in sorted(files, key=lambda path: path.name):
            # Neither owner nor time of the file: they would make another archive of the same packages.
            entry = tarfile.TarInfo(f"packages/{file.name}")
            entry.size = file.stat().st_size
            with file.open("rb") as content:
                tar.addfile(entry, content)


def main() -> None:
    """Make the archive of this tree in the folder named, and print its path."""
    if len(sys.argv) != 2:
        sys.exit("usage: script/wheelhouse FOLDER")
    print(make_wheelhouse(Path(__file__).resolve().parent.parent, Path(sys.argv[1]).resolve()))


if __name__ == "__main__":
    main()
