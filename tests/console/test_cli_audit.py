import pytest
from sqlalchemy import text

from foundation.database import Database
from tests.console.rakeeza_types import Rakeeza

pytest_plugins = ["tests.console.rakeeza_command"]


@pytest.fixture
def trail(rakeeza: Rakeeza) -> None:
    for name in ("centre-1", "centre-2"):
        assert rakeeza("identity", "client", "add", name, "--role", "centre").code == 0


@pytest.mark.usefixtures("trail")
def test_a_whole_trail_is_told_with_the_seal_to_note(rakeeza: Rakeeza) -> None:
    first = rakeeza("audit", "verify")
    assert (first.code, first.out) == (0, "The audit trail is whole.\nNothing is sealed yet.\n")
    seal = rakeeza("audit", "seal").out.strip()
    assert rakeeza("audit", "seal").out.strip() == seal
    whole = rakeeza("audit", "verify", "--noted", seal)
    assert (whole.code, seal in whole.out) == (0, True)
    assert rakeeza("audit", "verify", "--format", "json").rows == []


@pytest.mark.usefixtures("trail")
def test_a_changed_entry_is_named_and_ends_with_an_exit_code(rakeeza: Rakeeza, database: Database) -> None:
    with database.transaction() as session:
        session.execute(text("UPDATE audit SET actor = 'nobody' WHERE chain = 'client/centre-2'"))
    done = rakeeza("audit", "verify")
    assert done.code == 65
    assert "broken in the chain client/centre-2" in done.err
    assert "Compare with a backup" in done.err
    rows = rakeeza("audit", "verify", "--format", "json").rows
    assert rows == [{"chain": "client/centre-2", "position": 1, "reason": "The entry was changed."}]


@pytest.mark.usefixtures("trail")
def test_a_trail_that_was_written_anew_is_found_by_the_noted_seal(
    rakeeza: Rakeeza, database: Database
) -> None:
    noted = rakeeza("audit", "seal").out.strip()
    with database.transaction() as session:
        session.execute(text("TRUNCATE audit, audit_head, audit_seal, api_client CASCADE"))
    rakeeza("identity", "client", "add", "centre-1", "--role", "centre")
    rakeeza("audit", "seal")
    assert rakeeza("audit", "verify").code == 0
    done = rakeeza("audit", "verify", "--noted", noted)
    assert (done.code, "in the chain seals" in done.err) == (65, True)
    assert rakeeza("audit", "verify", "--noted", "x").code == 65


@pytest.mark.usefixtures("trail")
def test_the_latest_entries_are_listed_oldest_first(rakeeza: Rakeeza) -> None:
    rows = rakeeza("audit", "list", "--format", "json").rows
    assert [(row["chain"], row["position"], row["action"]) for row in rows] == [
        ("client/centre-1", 1, "added"),
        ("client/centre-2", 1, "added"),
    ]
    assert rows[0]["details"] == {"roles": ["centre"], "title": "centre-1"}
    (only,) = rakeeza("audit", "list", "--count", "1", "--format", "json").rows
    assert only["chain"] == "client/centre-2"
    assert '{"roles": ["centre"]' in rakeeza("audit", "list", "--format", "csv").out.replace('""', '"')
