"""What the house tests share: where the repository is, what it keeps, and copies of it to break."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("foundation", "infra", "monitoring", "integrations", "kiosks", "console", "playbooks")
"""The top-level names of the wheel."""


def kept_files() -> list[Path]:
    """Every file that is tracked or about to be, relative to the root."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    files = {Path(name.decode()) for name in listed.split(b"\0") if name}
    return sorted(file for file in files if (ROOT / file).is_file())


def copy(folder: Path) -> Path:
    """A copy of the repository's files, without .git and .venv."""
    for file in kept_files():
        target = folder / file
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / file, target)
    return folder


def run(*command: str | Path, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """A command to its end, its output kept; with an environment given, only that one."""
    return subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=environment or None,
        text=True,
        capture_output=True,
        check=False,
        timeout=300,
    )


def program(name: str) -> Path:
    """A program of the environment that the tests run in."""
    return Path(sys.executable).parent / name
