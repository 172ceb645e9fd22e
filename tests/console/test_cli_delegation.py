"""`rakeeza delegation`, run as a person runs it."""

import pytest

from tests.console.rakeeza_types import Done, Rakeeza
from tests.integrations.desk import NATIONAL_ID, OTHER_APPLICANT, OWNER

pytest_plugins = ["tests.console.rakeeza_command"]

HERS = f"national_id:{NATIONAL_ID}:{OWNER}"
HIS = f"national_id:{OTHER_APPLICANT['identifier']}:{OTHER_APPLICANT['name']}"


def _add(rakeeza: Rakeeza, *further: str, key: str = "k-1") -> Done:
    given = ("--principal", HERS, "--agent", HIS, "--key", key, *further)
    return rakeeza("delegation", "add", *given)


def _list(rakeeza: Rakeeza, identifier: str = NATIONAL_ID) -> Done:
    return rakeeza(
        "delegation", "list", "--kind", "national_id", "--identifier", identifier, "--format", "json"
    )


def test_a_delegation_is_added_once_listed_and_ended(rakeeza: Rakeeza) -> None:
    added = _add(rakeeza, "--capacity", "manager", "--service", "shop_licence", "--format", "json")
    again = _add(rakeeza, "--capacity", "manager", "--service", "shop_licence", "--format", "json")

    assert added.code == 0
    assert again.rows == added.rows
    (listed,) = _list(rakeeza).rows
    assert listed["principal"] == f"{OWNER} ({NATIONAL_ID})"
    assert (listed["services"], listed["procedures"], listed["status"]) == ("shop_licence", "all", "valid")
    assert rakeeza("delegation", "end", str(listed["id"])).code == 0
    assert [row["status"] for row in _list(rakeeza, OTHER_APPLICANT["identifier"]).rows] == ["revoked"]


@pytest.mark.parametrize(
    ("further", "code", "said"),
    [
        (("--capacity", "agent"), 65, "valid_until"),
        (("--capacity", "agent", "--until", "2001-01-01"), 65, "valid_until"),
        (("--capacity", "owner"), 2, "capacity"),
        (("--capacity", "manager", "--from", "2026-13-01"), 2, "'2026-13-01' does not match"),
        (("--capacity", "manager", "--service", "none"), 65, "no such service"),
    ],
)
def test_a_delegation_that_cannot_be_is_refused(
    rakeeza: Rakeeza, further: tuple[str, ...], code: int, said: str
) -> None:
    done = _add(rakeeza, *further)

    assert done.code == code
    assert said in done.err or said.replace("valid_until", "last day") in done.err
    assert _list(rakeeza).rows == []


def test_ending_what_is_not_there_is_told(rakeeza: Rakeeza) -> None:
    assert rakeeza("delegation", "end", "7").code == 66
    refused = rakeeza("delegation", "add", "--principal", "x", "--agent", HIS, "--capacity", "manager")
    assert refused.code == 2
