"""script/bootstrap on machines that are not ours: another PATH, another project of the same shape."""

import base64
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.house.repository import ROOT, run

# A build backend without dependencies, so that the small project below needs no registry.
BACKEND = """
import zipfile
from pathlib import Path

def build_editable(folder, settings=None, metadata=None):
    name = "sample-1-py3-none-any.whl"
    with zipfile.ZipFile(Path(folder) / name, "w") as wheel:
        wheel.writestr("sample.pth", str(Path.cwd()))
        for file, text in {
            "METADATA": "Metadata-Version: 2.1\\nName: sample\\nVersion: 1\\n",
            "WHEEL": "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
            "RECORD": "",
        }.items():
            wheel.writestr(f"sample-1.dist-info/{file}", text)
    return name
"""
PROJECT = """
[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]

[project]
name = "sample"
version = "1"
"""

NOBODY = 65534


def _clone(folder: Path) -> Path:
    (folder / "script").mkdir()
    for name in ("bootstrap", "packages.txt"):
        shutil.copy2(ROOT / "script" / name, folder / "script" / name)
    (folder / "backend.py").write_text(BACKEND)
    (folder / "pyproject.toml").write_text(PROJECT)
    (folder / "requirements.lock").write_text("# nothing\n")
    return folder


def _path_without(folder: Path, *hidden: str) -> str:
    folder.mkdir()
    for place in ("/usr/bin", "/bin"):
        for file in Path(place).iterdir():
            link = folder / file.name
            if file.name not in hidden and not link.is_symlink():
                link.symlink_to(file)
    return str(folder)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "clone"
    folder.mkdir()
    return _clone(folder)


def _bootstrap(clone: Path, path: str | None = None) -> subprocess.CompletedProcess[str]:
    path = path or os.environ["PATH"]
    return run(clone / "script/bootstrap", cwd=clone, PATH=path, HOME=str(clone), PYTHON=sys.executable)


def _ready(clone: Path) -> bool:
    return (clone / ".venv/bootstrapped").exists() and not run(
        clone / ".venv/bin/python", "-c", "import backend", cwd=Path("/")
    ).returncode


def test_the_second_call_has_nothing_to_do(clone: Path) -> None:
    first = _bootstrap(clone)
    assert first.returncode == 0, first.stderr
    assert "Making .venv" in first.stdout
    assert _ready(clone)
    made = (clone / ".venv/pyvenv.cfg").stat().st_ino
    second = _bootstrap(clone)
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert (clone / ".venv/pyvenv.cfg").stat().st_ino == made


def test_an_environment_keeps_the_python_it_was_made_with(clone: Path, tmp_path: Path) -> None:
    assert _bootstrap(clone).returncode == 0
    other = tmp_path / "other" / "python3"
    other.parent.mkdir()
    other.write_text(
        f'#!/bin/sh\nif [ "$1" = -VV ]; then echo Python 3.99; else exec {sys.executable} "$@"; fi\n'
    )
    other.chmod(0o755)
    path = f"{other.parent}:{os.environ['PATH']}"
    again = run(clone / "script/bootstrap", cwd=clone, PATH=path, HOME=str(clone))
    assert (again.returncode, again.stdout) == (0, "")
    named = run(clone / "script/bootstrap", cwd=clone, PATH=path, HOME=str(clone), PYTHON="python3")
    assert "Making .venv with" in named.stdout


def test_an_environment_that_was_left_half_made_is_made_again(clone: Path) -> None:
    (clone / ".venv/bin").mkdir(parents=True)
    (clone / ".venv/bin/python").symlink_to(sys.executable)
    outcome = _bootstrap(clone)
    assert outcome.returncode == 0, outcome.stderr
    assert _ready(clone)


def test_a_changed_lock_is_installed_into_the_environment_that_is_there(clone: Path) -> None:
    assert _bootstrap(clone).returncode == 0
    (clone / "requirements.lock").write_text("# nothing, said otherwise\n")
    outcome = _bootstrap(clone)
    assert outcome.returncode == 0, outcome.stderr
    assert "Installing" in outcome.stdout
    assert "Making .venv" not in outcome.stdout
    assert _bootstrap(clone).stdout == ""


def test_a_package_whose_hash_is_another_is_not_installed(clone: Path) -> None:
    (clone / "thing.tar.gz").write_bytes(b"not what was locked")
    (clone / "requirements.lock").write_text(
        f"thing @ file://{clone}/thing.tar.gz --hash=sha256:{'0' * 64}\n"
    )
    outcome = _bootstrap(clone)
    assert outcome.returncode == 1
    assert "DO NOT MATCH THE HASHES" in outcome.stderr
    assert not (clone / ".venv/bootstrapped").exists()


def _lock_for_node(clone: Path, dependencies: dict[str, str], packages: dict[str, Any]) -> Path:
    client = clone / "tests/clients/node"
    client.mkdir(parents=True, exist_ok=True)
    said = {"name": "client", "version": "1.0.0", "dependencies": dependencies}
    (client / "package.json").write_text(json.dumps(said))
    lock = {**said, "lockfileVersion": 3, "requires": True, "packages": {"": said, **packages}}
    (client / "package-lock.json").write_text(json.dumps(lock))
    return client / "node_modules"


def test_the_packages_of_nodes_client_are_installed_once(clone: Path) -> None:
    modules = _lock_for_node(clone, {}, {})
    assert "packages of tests/clients/node" in _bootstrap(clone).stdout
    assert _bootstrap(clone).stdout == ""
    shutil.rmtree(modules)
    assert "packages of tests/clients/node" in _bootstrap(clone).stdout


def test_a_package_of_node_whose_hash_is_another_is_not_installed(clone: Path) -> None:
    known = base64.b64encode(bytes(64)).decode()
    thing = {"version": "1.0.0", "resolved": "file:thing.tgz", "integrity": f"sha512-{known}"}
    modules = _lock_for_node(clone, {"thing": "file:thing.tgz"}, {"node_modules/thing": thing})
    with tarfile.open(modules.parent / "thing.tgz", "w:gz") as archive:
        words = b'{"name": "thing", "version": "1.0.0"}'
        entry = tarfile.TarInfo("package/package.json")
        entry.size = len(words)
        archive.addfile(entry, io.BytesIO(words))
    outcome = _bootstrap(clone)
    assert outcome.returncode == 1
    assert "EINTEGRITY" in outcome.stderr
    assert not (modules / "bootstrapped").exists()


def test_elsewhere_it_names_exactly_the_programs_that_are_missing(clone: Path, tmp_path: Path) -> None:
    path = _path_without(tmp_path / "bin", "dpkg-query", "chromium", "chromium-browser", "zbarimg")
    outcome = _bootstrap(clone, path)
    assert outcome.returncode == 1
    named = [line.split("  ")[1] for line in outcome.stderr.splitlines() if line.startswith("  ")]
    assert named == ["chromium or chromium-browser", "zbarimg"]
    assert not (clone / ".venv").exists()


def test_elsewhere_it_goes_on_when_no_program_is_missing(clone: Path, tmp_path: Path) -> None:
    outcome = _bootstrap(clone, _path_without(tmp_path / "bin", "dpkg-query", "apt-get"))
    assert outcome.returncode == 0, outcome.stderr
    assert _ready(clone)


def test_it_needs_a_python_that_can_make_environments(clone: Path) -> None:
    old = clone / "python3"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    outcome = run(
        clone / "script/bootstrap", cwd=clone, PATH=os.environ["PATH"], HOME=str(clone), PYTHON=str(old)
    )
    assert outcome.returncode == 1
    assert "no Python >= 3.11" in outcome.stderr


def test_an_ordinary_user_needs_no_sudo_when_nothing_is_missing() -> None:
    # pytest's own folders are closed to other users.
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        folder.chmod(0o755)
        _clone(folder)
        become: list[str] = []
        if os.geteuid() == 0:
            for file in (folder, *folder.rglob("*")):
                os.chown(file, NOBODY, NOBODY)
            become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
        outcome = run(*become, folder / "script/bootstrap", cwd=folder, PATH="/usr/bin:/bin", HOME=place)
        assert outcome.returncode == 0, outcome.stderr
        assert _ready(folder)
