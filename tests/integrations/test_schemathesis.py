"""A short run of the campaign `schemathesis-run`, whose evidence is kept under docs/evidence/."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.campaigns import Failed
from benchmarks.campaigns import schemathesis_run as campaign
from integrations import contracts

OPERATIONS = {
    operation["operationId"]
    for methods in contracts.licensing()["paths"].values()
    for operation in methods.values()
}
# One caller for each operation, so that it is asked once.
ONCE: dict[str, list[str]] = {}
for _role, _names in campaign.CALLERS.items():
    ONCE[_role] = [name for name in _names if name not in {each for of in ONCE.values() for each in of}]


def test_every_operation_is_asked_or_said_why_not() -> None:
    asked = {name for names in campaign.CALLERS.values() for name in names}
    assert asked | set(campaign.NOT_ASKED) == OPERATIONS
    assert asked & set(campaign.NOT_ASKED) == set()
    assert set(campaign.REFUSED_THOUGH_RIGHT) <= asked


@pytest.fixture(scope="module")
def served() -> Iterator[campaign.Served]:
    """The API as a process of its own."""
    with campaign.serving() as opened:
        yield opened


@pytest.mark.parametrize("role", [role for role, names in ONCE.items() if names])
def test_no_answer_breaks_the_contract(served: campaign.Served, role: str) -> None:
    done = campaign.ask(served, role, ONCE[role], 2)
    assert done.requests > 10 * len(ONCE[role])
    assert done.accepted > 0


def test_an_answer_that_the_contract_does_not_have_fails_the_campaign(
    served: campaign.Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without the leave to refuse, what is refused is told.
    monkeypatch.setattr(campaign, "REFUSED_THOUGH_RIGHT", {})
    with pytest.raises(Failed, match=re.compile(r"as reviewer:.*Schema-valid request rejected", re.DOTALL)):
        campaign.ask(served, "reviewer", ["inbox"], 1)


@pytest.mark.parametrize(
    "report",
    [
        {"operations": {"tested": 1}, "complete": True, "errors": []},
        {"operations": {"tested": 2}, "complete": False, "errors": []},
        {"operations": {"tested": 2}, "complete": True, "errors": ["x"]},
    ],
)
def test_a_run_that_did_not_do_all_of_it_is_no_evidence(report: dict[str, Any]) -> None:
    with pytest.raises(Failed, match="not every operation was asked"):
        campaign._asked(report, "centre", 2)
