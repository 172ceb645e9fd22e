import importlib.metadata
import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.house.repository import ROOT

# pip and its like come with the interpreter's venv; everything else in the environment is from the lock.
SEEDED = {"pip", "setuptools", "wheel", "rakeeza"}


def _entries() -> list[str]:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return re.sub(r" *\\\n *", " ", text).strip().splitlines()


def _locked() -> dict[str, Requirement]:
    found = [Requirement(entry.split(" --hash=")[0]) for entry in _entries()]
    return {canonicalize_name(item.name): item for item in found}


def _version(item: Requirement) -> str:
    return str(item.specifier).removeprefix("==")


def test_every_locked_package_has_one_version_and_its_hashes() -> None:
    entries = _entries()
    assert len(entries) > 50
    for entry in entries:
        assert re.fullmatch(r"[a-z0-9._-]+==\S+( ; .+?)?( --hash=sha256:[0-9a-f]{64})+", entry), entry[:90]


def test_the_lock_names_no_place_to_download_from() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert [line for line in text.splitlines() if "://" in line or re.search(r"^-|file:|/", line)] == []


def test_the_lock_and_pyproject_agree() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    asked = project["project"]["dependencies"] + project["dependency-groups"]["dev"]
    locked = _locked()
    for text in asked + project["build-system"]["requires"]:
        wanted = Requirement(text)
        item = locked.get(canonicalize_name(wanted.name))
        assert item is not None, f"{wanted} is not locked; run script/lock"
        assert _version(item) in wanted.specifier, f"{item} is locked, {wanted} is asked; run script/lock"


def test_this_environment_is_the_locked_one() -> None:
    locked = {name: item for name, item in _locked().items() if not item.marker or item.marker.evaluate()}
    installed = {
        canonicalize_name(found.metadata["Name"]): found.version
        for found in importlib.metadata.distributions()
    }
    assert {name: version for name, version in installed.items() if name not in SEEDED} == {
        name: _version(item) for name, item in locked.items()
    }, "run script/bootstrap"


@pytest.mark.parametrize("line", (ROOT / "script" / "packages.txt").read_text().splitlines())
def test_every_system_package_has_its_proof_and_its_reason(line: str) -> None:
    if not line.startswith("#"):
        assert re.fullmatch(r"[a-z0-9.+-]+ +\S+ +# \S.+", line)
