"""Licences issued here, on the command line: shown, their papers verified, their lists fetched."""

import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from foundation.database import Database
from foundation.wire import qr_reader
from foundation.wire.credential import KeySet, SigningKey
from integrations.licences.papers import NotReady
from tests.console.licence_desk import Desk
from tests.integrations.desk import PERSONAL, REVIEWER, open_desk
from tests.integrations.face import open_face

pytest_plugins = ["tests.console.licence_desk_fixtures"]


@pytest.fixture
def issuer(
    desk: Desk, database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> tuple[Desk, str]:
    """The desk of a machine that issues, and the number of a licence it issued just now, its paper made."""
    (desk.folder / "rakeeza-keys.json").unlink()
    monkeypatch.setenv("RAKEEZA_DATABASE_URL", database_url)
    office = open_desk(database, desk.folder)
    office.now.append(datetime.now(UTC))
    _, number = office.issued()
    limit = time.monotonic() + 60

    def made() -> bool:
        try:
            return bool(office.licensing.licences.document(REVIEWER, number))
        except NotReady:
            assert time.monotonic() < limit, "the paper was not made"
            return False

    office.jobs.work(stop=made)
    return desk, number


def test_an_issued_licence_is_shown_and_its_paper_verifies(issuer: tuple[Desk, str], tmp_path: Path) -> None:
    desk, number = issuer
    paper = tmp_path / "paper.pdf"
    done = desk.run("licence", "show", number, "--document", str(paper))
    assert done.returncode == 0
    for words in (number, "valid", "مخبز الندى"):
        assert words in done.stdout
    code, verified = desk.verify(str(paper))
    # The list that the desk holds is not this municipality's.
    (told,) = verified["licences"]
    assert (code, told["answer"], told["licence"]["number"]) == (3, "list_missing", number)
    assert verified["paper"]["answer"] == "intact"
    shown = json.loads(desk.run("licence", "show", number, "--format", "json").stdout)
    assert shown["number"] == number
    # What the paper's code says and what the record says is one text.
    assert qr_reader.read(paper.read_bytes()) == [shown["credential"]]


def test_the_history_of_a_licence_names_each_case_and_nothing_of_a_person(issuer: tuple[Desk, str]) -> None:
    desk, number = issuer
    told = json.loads(desk.run("licence", "history", number, "--format", "json").stdout)
    assert [(step["outcome"], step["version"]) for step in told["steps"]] == [("issue", 1)]
    assert told["status"] == "valid"
    table = desk.run("licence", "history", number)
    assert table.returncode == 0
    for words in (number, "issue", told["steps"][0]["case"][:6], "since"):
        assert words in table.stdout
    for secret in PERSONAL:
        assert secret not in table.stdout
        assert secret not in json.dumps(told, ensure_ascii=False)
    assert desk.run("licence", "history", "SL-2026-999999").returncode == 66


def test_a_licence_that_is_not_there_and_a_file_that_cannot_be_written_are_named(
    issuer: tuple[Desk, str], tmp_path: Path
) -> None:
    desk, number = issuer
    assert desk.run("licence", "show", "2026-999999").returncode == 66
    done = desk.run("licence", "show", number, "--document", str(tmp_path / "none" / "paper.pdf"))
    assert done.returncode == 65
    assert "cannot be written" in done.stderr


def test_lists_are_fetched_once_and_verify_without_a_network(
    desk: Desk, database: Database, tmp_path: Path
) -> None:
    office = open_desk(database, tmp_path / "office")
    office.now.append(datetime.now(UTC))
    _, number = office.issued()
    code = office.licensing.licences.licence(number)["credential"]
    keys = tmp_path / "keys.json"
    keys.write_text(office.licensing.licences.public_keys().to_json())
    away = replace(desk, folder=tmp_path / "away")
    told = ("licence", "verify", code, "--keys", str(keys))
    with open_face(office) as face:
        office.licensing.licences.lists.rebuild()
        fetch = ("licence", "lists", str(face.anyone.base_url), "--keys", str(keys))
        assert away.run(*told).returncode == 3
        done = away.run(*fetch)
        assert done.returncode == 0
        assert "version 1 of " in done.stdout
        # Again: the same list is no older one.
        assert away.run(*fetch).returncode == 0
        stranger = SigningKey.generate("sample")
        keys.write_text(KeySet([stranger.public]).to_json())
        refused = away.run(*fetch)
        assert refused.returncode == 65
        assert "is not in the key set" in refused.stderr
        keys.write_text(office.licensing.licences.public_keys().to_json())
    assert away.run(*told).returncode == 0
    gone = away.run(*fetch)
    assert gone.returncode == 75
    assert "cannot be had" in gone.stderr
