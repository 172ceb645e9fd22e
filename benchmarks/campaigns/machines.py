"""Cases of every definition live in any order; a model beside them says what must come of each step."""

import tempfile
from collections import Counter
from pathlib import Path
from typing import ClassVar

from hypothesis import seed
from hypothesis.stateful import run_state_machine_as_test

from benchmarks.campaigns import Evidence, Failed
from foundation.database import migrate, open_database
from foundation.settings import load
from tests.integrations.machine import checks
from tests.integrations.machine.lives import Lives
from tests.integrations.machine.office import Office, open_office
from tests.integrations.machine.profiles import Edge, edges, profile

ROUNDS, LIVES, STEPS = 12, 25, 50

_WRITES = ("submit", "take", "document", "pay:", "assign:", "give back", "refund", "delegate", "end del")


def run(rounds: int = ROUNDS, lives: int = LIVES, steps: int = STEPS) -> Evidence:
    """The campaign.

    Args:
        rounds: each begins with a seed of its own.
        lives: of a round.
        steps: of a life, at most; one may be a whole case.
    """
    with tempfile.TemporaryDirectory(prefix="rakeeza-machines-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        # Under root PostgreSQL runs as a user of its own, which has to pass.
        folder.chmod(0o711)
        settings = load(None, {"RAKEEZA_PLATFORM_FOLDER": str(folder)})
        with open_database(settings, role="campaign") as database:
            migrate(database)

            class Lived(Lives):
                office = open_office(database, folder)
                seen: ClassVar[Counter[str]] = Counter()

            for number in range(rounds):
                Lived.wanted = missed(Lived.office, Lived.seen) or edges(Lived.office)
                try:
                    run_state_machine_as_test(seed(number)(Lived), settings=profile(lives, steps))
                    checks.books_are(Lived.office)
                except Exception as wrong:
                    notes = "\n".join(getattr(wrong, "__notes__", []))
                    raise Failed(f"round {number}: {wrong}\n{notes}") from wrong
            return _judged(Lived.office, Lived.seen, rounds * lives)


def missed(office: Office, seen: Counter[str]) -> tuple[Edge, ...]:
    """The actions of all definitions, each with a state that it starts from, that no case took."""
    return tuple(edge for edge in edges(office) if not seen[_name(edge)])


def _name(edge: Edge) -> str:
    service, flow, action, start = edge
    return f"{service} {flow} {action} from {start or '-'}"


def _judged(office: Office, seen: Counter[str], lives: int) -> Evidence:
    never = missed(office, seen)
    if never:
        raise Failed(f"no case ever took: {', '.join(map(_name, never))}")
    taken = {name: count for name, count in seen.items() if name.split(" ")[0] in office.terms}
    told = {name: count for name, count in seen.items() if name not in taken}
    kept = {
        name: str(office.rows(f"SELECT count(*) AS n FROM {table}")[0]["n"])
        for name, table in {
            "cases": "case_file",
            "licences": "licence",
            "entries of journals": "audit",
            "payments": "case_payment",
            "refunds": "case_refund",
        }.items()
    }
    return Evidence(
        story=(
            "Applicants, centres, officers, banks and finance do to cases of every definition, the "
            "product's and the tests', whatever comes into their mind, rightly and wrongly: applications "
            "and edits that are almost right, actions of any state by any caller under any version, "
            "documents, payments of every kind, refunds, delegations, requests repeated under their key "
            "and keys taken for other requests, two writers at one moment, a clock that goes on by hours "
            "or months and back by a day. A small interpreter of the definition's JSON, which shares "
            "nothing with the engine, says of each step whether it is done or refused, and where the "
            "case, its licence and its money stand after it; the tables are compared after each, and "
            "journals, events, kept answers and personal data at the end of each life, the ledger and "
            "every chain at the end of each round."
        ),
        figures=(
            ("lives", str(lives)),
            (
                "writes judged",
                str(sum(n for name, n in told.items() if ": " in name and "payment" not in name)),
            ),
            ("steps of cases", str(sum(taken.values()))),
            ("actions of definitions, each from each state, reached", str(len(taken))),
            ("actions never reached", "0"),
            *kept.items(),
            *((name, str(count)) for name, count in sorted(told.items())),
            *((name, str(count)) for name, count in sorted(taken.items())),
        ),
    )
