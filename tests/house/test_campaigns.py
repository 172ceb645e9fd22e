import re
from pathlib import Path

import pytest
from sqlalchemy import text

from benchmarks.__main__ import cases
from benchmarks.campaigns import Evidence, Failed, five_writers
from benchmarks.campaigns.__main__ import page
from foundation.database import Database
from tests.house.repository import ROOT, program, run

CAMPAIGNS = cases(ROOT / "benchmarks" / "campaigns")


def test_every_case_says_in_one_line_what_it_is_about() -> None:
    found = {**cases(ROOT / "benchmarks"), **CAMPAIGNS}
    assert "five-writers" in found
    assert [name for name, about in found.items() if len(about) < 20] == []


@pytest.mark.parametrize("case", CAMPAIGNS)
def test_every_campaign_has_left_its_evidence(case: str) -> None:
    kept = (ROOT / "docs/evidence" / f"{case}.md").read_text(encoding="utf-8")
    assert kept.startswith(f"# {case}\n\n{CAMPAIGNS[case]}\n")
    assert re.search(r"on 20\d\d-\d\d-\d\d, commit \S+, in \d+ s\.\nMachine: .+\.\n$", kept)


def test_evidence_is_kept_with_its_figures_and_its_place() -> None:
    text = page("sample", "Shows it.", Evidence("It was done.", (("tries", "3"),)), 61.0)
    assert "# sample\n\nShows it.\n\nIt was done.\n" in text
    assert "| tries | 3 |" in text
    assert " in 61 s." in text


def test_five_writers_lose_nothing() -> None:
    figures = dict(five_writers.run(seconds=2).figures)
    assert figures["errors"] == "0"
    assert int(figures["transactions"]) > 0
    assert figures["events that the follower saw, each once"] == figures["transactions"]


def test_a_transaction_that_is_not_found_again_fails_the_campaign(database: Database) -> None:
    with database.transaction() as session:
        session.execute(text(five_writers._TABLE))
    with pytest.raises(Failed, match=r"1 transactions were acknowledged, but: {'licences': 0"):
        five_writers._judge(database, [[0.001], []], 1, 1.0)


@pytest.mark.parametrize("module", ["benchmarks", "benchmarks.campaigns"])
def test_an_unknown_case_is_told_with_those_there_are(module: str, tmp_path: Path) -> None:
    outcome = run(program("python"), "-m", module, "no-such-case", cwd=tmp_path)
    assert outcome.returncode == 1
    assert "no case 'no-such-case'" in outcome.stderr
    assert set(cases(ROOT / Path(*module.split(".")))) <= set(outcome.stderr.split())
