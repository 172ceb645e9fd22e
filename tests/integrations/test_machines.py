"""Every definition, lived through in any order beside a model that reads the same file."""

import os
from collections import Counter
from pathlib import Path
from typing import ClassVar

from hypothesis.stateful import run_state_machine_as_test

from foundation.database import Database
from tests.integrations.desk import SYSTEM
from tests.integrations.machine import checks
from tests.integrations.machine.lives import Lives
from tests.integrations.machine.office import Office, open_office
from tests.integrations.machine.profiles import PROFILES, edges, profile


def print_some(office: Office) -> None:
    """Make a round of the worker, and let it make some of the papers that lives have ordered."""
    office.licensing.rounds()
    made_so_far = "SELECT count(*) AS n FROM licence_document"
    jobs = office.licensing.desk.office.jobs
    jobs.work(["default"], stop=lambda: bool(office.rows(made_so_far)[0]["n"] >= 4))
    made = office.rows(
        "SELECT l.number, d.version FROM licence_document d JOIN licence l ON l.id = d.licence_id "
        "WHERE d.pdf IS NOT NULL LIMIT 4"
    )
    assert made
    for row in made:
        paper = office.licensing.licences.document(SYSTEM, row["number"], row["version"])
        assert paper.startswith(b"%PDF-")


def test_no_order_of_anything_that_anybody_does_breaks_a_rule(database: Database, tmp_path: Path) -> None:
    class Lived(Lives):
        office = open_office(database, tmp_path)
        seen: ClassVar[Counter[str]] = Counter()

    Lived.wanted = edges(Lived.office)
    lives, steps = PROFILES[os.environ.get("RAKEEZA_MACHINES", "suite")]
    run_state_machine_as_test(Lived, settings=profile(lives, steps))
    checks.books_are(Lived.office)
    for name, count in sorted(Lived.seen.items()):
        print(f"{count:6} {name}")
    # The lives were not all short ones, and not all right.
    reached = {name.split(":")[0] for name in Lived.seen}
    assert {"submit", "take action", "pay", "repeated", "key with another request"} <= reached
    assert {"submit: done", "take action: done", "payment: settled"} <= set(Lived.seen)
    assert any(name.startswith(("submit: ", "take action: ")) and "done" not in name for name in Lived.seen)
    print_some(Lived.office)
