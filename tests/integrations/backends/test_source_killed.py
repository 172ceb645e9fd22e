"""A case between two sources, its worker a process of its own, and one of the sources killed in the middle.

The service's definition lets an officer decide without a source that stays away, by an action of his own.
That it passed he cannot say: a source's answers are its own.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from console.bootstrap import Platform, open_platform
from foundation import audit
from foundation.identity import Caller
from foundation.secret import Secret
from foundation.settings import load
from lab.backends.identity_messages import make_keys, read_signer
from lab.backends.identity_server import IdentityServer, identity_server
from lab.backends.running import Running, running
from tests.integrations.desk import CENTRE, message
from tests.integrations.outside_office import APPLICANT
from tests.processes import ROOT, until

REVIEWER = Caller("reviewer", "person", frozenset({"reviewer"}))
DEED, OTHERS_DEED = "310115001234", "310115009999"
DEFINITION = """\
code: stall
version: 1
title: {ar: تصريح كشك, en: Stall permit}
licence_title: {ar: تصريح كشك, en: Stall permit}
numbers: {case: KC, licence: KL}
applicant: {identifiers: [national_id], notices: true}
form:
  - {name: deed, label: {ar: الصك, en: Deed}, type: text, max_length: 16, example: "310115001234"}
payment: {due_days: 5}
validity: {months: 6, calendar: gregorian}
retention: {years: 10}
checks:
  person:
    title: {ar: الهوية, en: Identity}
    backend: persons
    asks: {kind: applicant.kind, identifier: applicant.identifier}
  ownership:
    title: {ar: الملكية, en: Ownership}
    backend: deeds
    asks: {deed: deed, owner: applicant.identifier}
flows:
  checked:
    states:
      asked: {title: {ar: تحت التحقق, en: Being checked}, checks: [person, ownership]}
      granted: {title: {ar: ممنوح, en: Granted}, final: true}
      refused: {title: {ar: مرفوض, en: Refused}, final: true}
    actions:
      - {name: ask, title: {ar: تقديم, en: Ask}, to: asked, roles: [centre]}
      - {name: grant, title: {ar: منح, en: Grant}, from: [asked], to: granted, automatic: true,
         effect: fulfil, when: {all: [{check: person, is: passed}, {check: ownership, is: passed}]}}
      - {name: refuse, title: {ar: رفض, en: Refuse}, from: [asked], to: refused, automatic: true,
         when: {any: [{check: person, is: failed}, {check: ownership, is: failed}]}}
      - {name: vouch, title: {ar: إثبات الملكية يدويًا, en: Owner by the original deed}, from: [asked],
         to: granted, roles: [reviewer], effect: fulfil, comment: required,
         when: {check: person, is: passed}}
procedures:
  issue: {title: {ar: إصدار, en: Issue}, outcome: issue, flow: checked, form: [deed]}
public: [deed]
document: {lines: [deed, applicant.name]}
"""


@pytest.fixture
def persons(tmp_path: Path) -> Iterator[IdentityServer]:
    folder = tmp_path / "identity"
    folder.mkdir()
    make_keys(folder)
    with identity_server(folder) as one:
        yield one


@pytest.fixture
def deeds() -> Iterator[Running]:
    with running("ownership") as one:
        yield one


@pytest.fixture
def messages() -> Iterator[Running]:
    with running("sms") as one:
        yield one


@pytest.fixture
def settings_file(
    tmp_path: Path, database_url: str, persons: IdentityServer, deeds: Running, messages: Running
) -> Path:
    services = tmp_path / "services"
    services.mkdir()
    (services / "stall.yaml").write_text(DEFINITION, encoding="utf-8")
    path = tmp_path / "rakeeza.toml"
    path.write_text(
        f"[platform]\nfolder = {json.dumps(str(tmp_path / 'platform'))}\n"
        f"[database]\nurl = {json.dumps(database_url)}\n"
        f"[licences]\nfolders = [{json.dumps(str(services))}]\n"
        f"[backends.persons]\nurl = {json.dumps(persons.url)}\ndriver = 'identity'\ntimeout = 60\n"
        f"[backends.deeds]\nurl = {json.dumps(deeds.url)}\ndriver = 'ownership'\ntimeout = 60\npause = 1\n"
        f"[backends.messages]\nurl = {json.dumps(messages.url)}\ndriver = 'sms'\ntimeout = 60\n",
        encoding="utf-8",
    )
    known = read_signer(persons.folder / "source.pem").pem.decode()
    load(path, {}).secrets().set("backend-persons-certificates", Secret(known))
    return path


# It migrates the database, before a worker begins.
@pytest.fixture
def platform(settings_file: Path) -> Iterator[Platform]:
    with open_platform(load(settings_file, {}), "test") as opened:
        yield opened


@pytest.fixture
def worker(settings_file: Path) -> Iterator[None]:
    command = [
        sys.executable,
        "-m",
        "console",
        "--settings",
        str(settings_file),
        "serve",
        "--roles",
        "worker",
    ]
    process = subprocess.Popen(command, cwd=ROOT)
    try:
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


class Town:
    """What is done and seen of cases, past the worker."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.licensing = platform.licensing
        self.count = 0

    def ask(self, deed: str) -> str:
        self.count += 1
        asked = message({"deed": deed}, "stall", APPLICANT)
        return str(self.licensing.cases.submit(CENTRE, asked, f"stall-{self.count}").body["number"])

    def state(self, number: str) -> str:
        return str(self.licensing.cases.case(CENTRE, number)["state"])

    def call(self, number: str) -> dict[str, Any]:
        found = self.licensing.outside.calls(CENTRE, number)
        return next(each for each in found if each["name"] == "ownership")

    def answers(self, number: str) -> list[tuple[str, dict[str, Any]]]:
        with self.platform.database.transaction() as session:
            told = [(entry.actor, entry.details) for entry in audit.entries(session, f"case/{number}")]
        return [(actor, dict(said)) for actor, said in told if "answer" in said]


@pytest.mark.usefixtures("worker")
def test_a_case_waits_for_a_source_that_was_killed_and_goes_on_when_it_is_back(
    platform: Platform, deeds: Running, messages: Running
) -> None:
    town = Town(platform)
    good, bad = town.ask(DEED), town.ask(OTHERS_DEED)
    until(lambda: town.state(good) == "granted", "an owner's permit")
    until(lambda: town.state(bad) == "refused", "another's refusal")

    # Killed while it is being asked: the case stands where it stood, and says why.
    deeds.behave("slow", seconds=600)
    waits = town.ask(DEED)
    until(lambda: deeds.asked(town.call(waits)["key"]), "the question to be under way")
    deeds.stop()
    until(lambda: town.call(waits)["reason"] is not None, "the reason to be seen")
    call = town.call(waits)
    assert (town.state(waits), call["state"]) == ("asked", "waiting")
    assert call["reason"] in ("network", "protocol", "connect", "circuit_open")
    assert call["next_at"] is not None
    stands = {each.backend: each for each in town.licensing.outside.standings()}
    assert stands["deeds"].unanswered_since is not None
    assert stands["persons"].unanswered_since is None

    # An officer answers by hand, where the definition lets him; the question is asked no more.
    by_hand = town.ask(DEED)
    checked = lambda: any(said.get("check") == "person" for _, said in town.answers(by_hand))  # noqa: E731
    until(checked, "the person to be known")
    seen = "The original deed was shown to me."
    town.licensing.cases.take(REVIEWER, by_hand, "vouch", "vouch-1", comment=seen)
    assert town.state(by_hand) == "granted"
    assert [said["check"] for _, said in town.answers(by_hand)] == ["person"]

    # It is back: asked again by itself, and answered once.
    deeds.start()
    until(lambda: town.state(waits) == "granted", "the case to go on by itself")
    assert deeds.acted(town.call(waits)["key"]) == 1
    until(lambda: town.call(by_hand)["state"] == "dropped", "the other question to be dropped")
    assert deeds.asked(town.call(by_hand)["key"]) == 0
    # Each is told what became of his application, once.
    until(lambda: len(messages.log()["questions"]) == 8, "every message")
    assert {*messages.log()["asked"].values()} == {1}
