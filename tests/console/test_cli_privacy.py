"""`rakeeza privacy`, run as a person runs it; the audit is verified by the command after an erasure."""

import getpass
import json
import stat
import zipfile
from pathlib import Path

import pytest
from sqlalchemy import text

from console.bootstrap import open_platform
from foundation.database import Database
from foundation.settings import load
from tests.console.rakeeza_types import Done, Rakeeza
from tests.integrations.desk import CENTRE, NATIONAL_ID, OWNER, PNG, REVIEWED, REVIEWER, message

pytest_plugins = ["tests.console.rakeeza_command"]


@pytest.fixture
def rejected(settings_file: Path) -> str:
    """Number of a case that was rejected."""
    with open_platform(load(settings_file, {}), "test") as platform:
        licensing = platform.licensing
        number = str(licensing.cases.submit(CENTRE, message(REVIEWED), "k-1").body["number"])
        licensing.files.put(CENTRE, number, "lease_or_deed", "lease.png", PNG, "k-2")
        licensing.cases.take(REVIEWER, number, "reject", "k-3")
    return number


def _copy(rakeeza: Rakeeza, *further: str) -> Done:
    return rakeeza("privacy", "copy", "--kind", "national_id", "--identifier", NATIONAL_ID, *further)


def test_a_copy_is_printed_or_written_with_its_documents(
    rakeeza: Rakeeza, rejected: str, tmp_path: Path
) -> None:
    printed = _copy(rakeeza).rows
    path = tmp_path / "copy.zip"

    written = _copy(rakeeza, "--output", str(path))

    assert printed["cases"][0]["applicant"]["name"] == OWNER
    assert written.code == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with zipfile.ZipFile(path) as archive:
        kept = json.loads(archive.read("copy.json"))
        assert kept["cases"] == printed["cases"]
        assert archive.read(f"{rejected}/lease_or_deed-1-lease.png") == PNG
    assert _copy(rakeeza, "--output", str(path)).code != 0
    assert zipfile.is_zipfile(path)


def test_who_was_given_a_copy_is_journalled_and_nobody_of_a_file_that_cannot_be_written(
    rakeeza: Rakeeza, rejected: str, tmp_path: Path, database: Database
) -> None:
    def journalled() -> list[str]:
        with database.transaction() as session:
            return list(session.scalars(text("SELECT actor FROM audit WHERE action = 'copied'")))

    assert rejected
    there = tmp_path / "there.zip"
    there.write_text("mine")

    refused = _copy(rakeeza, "--output", str(there))
    nowhere = _copy(rakeeza, "--output", str(tmp_path / "none" / "copy.zip"))

    assert (refused.code, nowhere.code) == (65, 65)
    said = f"rakeeza: {there}: The file cannot be written (File exists). Name another file.\n"
    assert refused.err == said
    assert there.read_text() == "mine"
    assert journalled() == []
    assert _copy(rakeeza).code == 0
    assert journalled() == [f"system/cli-{getpass.getuser()}"]


def test_an_erased_case_is_gone_from_the_copy_and_the_audit_verifies(rakeeza: Rakeeza, rejected: str) -> None:
    done = rakeeza("privacy", "erase", rejected, "--reason", "By her own wish.", "--yes")

    assert (done.code, done.out) == (0, f"Erased: {rejected}.\n")
    assert _copy(rakeeza).rows["cases"] == []
    assert rakeeza("audit", "verify").code == 0
    assert rakeeza("privacy", "erase", rejected, "--reason", "Again.", "--yes").code == 65


def test_an_erasure_is_asked_about_first(rakeeza: Rakeeza, rejected: str) -> None:
    assert rakeeza("privacy", "erase", rejected, "--reason", "A mistake.", text="n\n").code != 0

    assert len(_copy(rakeeza).rows["cases"]) == 1


def test_what_is_not_due_is_not_listed(rakeeza: Rakeeza, rejected: str) -> None:
    assert rejected
    assert rakeeza("privacy", "due", "--format", "json").rows == []
