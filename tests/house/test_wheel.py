import importlib.metadata
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

from tests.house.repository import PACKAGES, ROOT, copy, kept_files, program, run

FIND = """
import importlib.resources, pathlib, sys
for package in sys.argv[1:]:
    root = importlib.resources.files(package)
    for folder in [root] if isinstance(root, pathlib.Path) else root._paths:
        for file in folder.rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                print((pathlib.Path(package) / file.relative_to(folder)).as_posix())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = copy(tmp_path_factory.mktemp("source"))
    built = run(program("hatchling"), "build", "-t", "wheel", "-d", "out", cwd=folder)
    assert built.returncode == 0, built.stderr
    (file,) = (folder / "out").glob("rakeeza-*.whl")
    return file


@pytest.fixture(scope="module")
def empty(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that holds the wheel and nothing else."""
    folder = tmp_path_factory.mktemp("empty")
    venv.create(folder, symlinks=True)
    python = folder / "bin/python"
    installed = run(
        sys.executable, "-m", "pip", f"--python={python}", "install", "--no-deps", "--no-index", wheel
    )
    assert installed.returncode == 0, installed.stderr
    return python


def test_every_file_of_the_product_is_in_the_wheel(empty: Path) -> None:
    found = run(empty, "-c", FIND, *PACKAGES, cwd=empty.parent)
    assert found.returncode == 0, found.stderr
    kept = {file.as_posix() for file in kept_files() if file.parts[0] in PACKAGES}
    assert set(found.stdout.split()) == kept
    for needed in (
        "playbooks/*.yml",
        "monitoring/devices/*.yaml",
        "integrations/services/*.yaml",
        "integrations/contracts/*.yaml",
        "foundation/migrations/versions/*.py",
        "integrations/licences/templates/*.typ",
        "kiosks/screen/**/*.html",
    ):
        assert any(Path(name).match(needed) for name in kept), needed


def test_the_wheel_brings_only_our_own_names(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name.split("/")[0] for name in archive.namelist()}
    assert {name for name in names if not name.endswith(".dist-info")} == set(PACKAGES)


def test_no_name_of_ours_is_another_package_s_or_python_s() -> None:
    ours = {*PACKAGES, "lab", "tests", "benchmarks", "docs", "script"}
    assert ours & set(sys.stdlib_module_names) == set()
    others = {
        name: owners
        for name, owners in importlib.metadata.packages_distributions().items()
        if name in ours and set(owners) != {"rakeeza"}
    }
    assert others == {}
    site = {entry.name for entry in Path(sysconfig.get_path("purelib")).iterdir()}
    assert ours & {name.removesuffix(".py") for name in site} == set()


def test_the_command_runs_from_the_wheel(empty: Path) -> None:
    # The dependencies are lent by the environment of the tests: a .pth adds its folder, and does not read the
    # .pth files in it, so that our own source is not found there.
    (site,) = empty.parent.parent.glob("lib/python*/site-packages")
    lent = site / "lent.pth"
    lent.write_text(sysconfig.get_path("purelib") + "\n")
    try:
        command = [str(empty.parent / "rakeeza")]
        told = subprocess.run([*command, "--version"], cwd=site, text=True, capture_output=True, check=True)
        assert told.stdout.split() == ["rakeeza", importlib.metadata.version("rakeeza")]
        where = run(empty, "-c", "import console; print(console.__file__)", cwd=empty.parent)
        assert Path(where.stdout.strip()).is_relative_to(site)
        assert not where.stdout.startswith(str(ROOT))
    finally:
        lent.unlink()
