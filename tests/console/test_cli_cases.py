import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from console.bootstrap import open_platform
from foundation.settings import load
from lab.registry import Registry, registry
from tests.console.rakeeza_types import Rakeeza
from tests.integrations.outside_office import APPLICANT, CENTRE, DEFINITION, IDENTIFIER, KNOWN, OWNER

pytest_plugins = ["tests.console.rakeeza_command"]


@pytest.fixture(scope="module")
def commerce() -> Iterator[Registry]:
    with registry() as running:
        yield running


@pytest.fixture
def settings_file(tmp_path: Path, database_url: str, commerce: Registry) -> Path:
    """Settings with a service that asks a registry before it issues."""
    folder = tmp_path / "services"
    folder.mkdir()
    (folder / "stand.yaml").write_text(DEFINITION.replace("attempts: 3", "attempts: 1"), encoding="utf-8")
    path = tmp_path / "rakeeza.toml"
    path.write_text(
        f"[platform]\nfolder = {json.dumps(str(tmp_path / 'platform'))}\n"
        f"[database]\nurl = {json.dumps(database_url)}\n"
        f"[licences]\nfolders = [{json.dumps(str(folder))}]\n"
        f"[backends.commerce]\nurl = {json.dumps(commerce.url)}\n",
        encoding="utf-8",
    )
    return path


def _ask(settings_file: Path, key: str = "k-1") -> str:
    message = {"service": "stand", "applicant": APPLICANT, "form": {"register": KNOWN}}
    with open_platform(load(settings_file, {}), "test") as platform:
        return str(platform.licensing.cases.submit(CENTRE, message, key).body["number"])


def _work_off(settings_file: Path) -> None:
    with open_platform(load(settings_file, {}), "test") as platform:

        def idle() -> bool:
            with platform.database.transaction() as session:
                return (
                    not session.connection()
                    .exec_driver_sql("SELECT 1 FROM procrastinate_jobs WHERE status IN ('todo', 'doing')")
                    .all()
                )

        platform.jobs.work(stop=idle)


def test_cases_are_listed_newest_first_a_page_at_a_time(rakeeza: Rakeeza, settings_file: Path) -> None:
    older, newer = _ask(settings_file), _ask(settings_file, "k-2")
    first = rakeeza("case", "list", "--limit", "1", "--format", "json")
    assert [row["number"] for row in first.rows] == [newer]
    second = rakeeza("case", "list", "--limit", "1", "--after", first.err.split()[-1], "--format", "json")
    assert [(row["number"], row["state"]) for row in second.rows] == [(older, "asked")]
    assert second.err == ""
    assert rakeeza("case", "list", "--state", "granted", "--format", "json").rows == []


def test_a_case_is_shown_with_its_calls_its_licence_and_its_journal(
    rakeeza: Rakeeza, settings_file: Path, commerce: Registry
) -> None:
    commerce.behave("answer")
    number = _ask(settings_file)
    _work_off(settings_file)
    shown = rakeeza("case", "show", number)
    assert shown.code == 0
    for word in ("Granted", "ممنوح", "intact", "answered", "register passed", "TL-"):
        assert word in shown.out
    # A table on a screen that others see says nothing of a person.
    assert OWNER not in shown.out
    assert IDENTIFIER not in shown.out
    whole = rakeeza("case", "show", number, "--format", "json").rows
    assert whole["form"]["register"] == KNOWN
    assert [call["state"] for call in whole["calls"]] == ["answered"]


def test_a_case_that_does_not_exist_is_one_sentence(rakeeza: Rakeeza) -> None:
    done = rakeeza("case", "show", "TC-2026-000404")
    assert (done.code, done.err) == (
        66,
        "rakeeza: There is no case TC-2026-000404. Check the number that was given when it was opened.\n",
    )


def test_a_parked_call_is_listed_with_its_reason_and_put_back(
    rakeeza: Rakeeza, settings_file: Path, commerce: Registry
) -> None:
    commerce.behave("error")
    number = _ask(settings_file)
    _work_off(settings_file)
    (parked,) = rakeeza("case", "parked", "--format", "json").rows
    assert (parked["case"], parked["reason"]) == (number, "server")
    assert "server" in rakeeza("case", "parked").out
    commerce.behave("answer")
    done = rakeeza("case", "retry", str(parked["id"]))
    assert (done.code, done.out) == (0, f"The call {parked['key']} is asked again.\n")
    _work_off(settings_file)
    assert rakeeza("case", "show", number, "--format", "json").rows["state"] == "granted"
    assert rakeeza("case", "retry", str(parked["id"])).code == 65
    assert rakeeza("case", "retry", "404").code == 66


def test_a_webhook_is_added_listed_paused_resumed_replayed_and_removed(rakeeza: Rakeeza) -> None:
    # An address of the public internet that nothing is sent to: there is no event.
    url = "https://8.8.8.8/hook"
    made = rakeeza("webhook", "add", "centre-1", url, "--kind", "licence.", "--format", "json").rows
    assert made["secret"].startswith("whsec_")
    id = str(made["id"])

    def state() -> str:
        (row,) = rakeeza("webhook", "list", "--format", "json").rows
        assert (row["client"], row["url"], row["kinds"]) == ("client/centre-1", url, ["licence."])
        assert "secret" not in row
        return str(row["state"])

    assert state() == "active"
    assert rakeeza("webhook", "pause", id).code == 0
    assert state() == "paused"
    assert rakeeza("webhook", "resume", id).code == 0
    assert state() == "active"
    assert rakeeza("webhook", "pause", id).code == 0
    assert rakeeza("webhook", "replay", id, "--since", "2026-11-22T07:00:00Z").code == 0
    assert state() == "active"
    assert rakeeza("webhook", "replay", id, "--since", "yesterday").code == 65
    assert rakeeza("webhook", "replay", id).code == 65
    shown = rakeeza("webhook", "add", "centre-2", url)
    assert "It is shown only now" in shown.out
    assert rakeeza("webhook", "remove", id).code == 0
    assert [row["client"] for row in rakeeza("webhook", "list", "--format", "json").rows] == [
        "client/centre-2"
    ]
    assert rakeeza("webhook", "remove", id).code == 66


def test_a_webhook_into_our_own_network_is_refused(rakeeza: Rakeeza) -> None:
    for url in ("http://example.org/", "https://127.0.0.1/", "https://192.168.1.1/"):
        done = rakeeza("webhook", "add", "centre-1", url)
        assert done.code == 65
        assert "Traceback" not in done.err
