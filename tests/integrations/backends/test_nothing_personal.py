"""A whole run, with every fault of two back-ends: what is logged and kept tells nothing of anybody."""

import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from foundation.database import Database
from foundation.settings import Backend
from foundation.telemetry import JsonLines
from integrations.cases import notices
from integrations.resilience.look_ups import BackendCollector
from lab.backends.json_server import MODES, SECRET_TALK, Mode
from lab.backends.running import Running, running
from tests.integrations.backends.conformance import SLOW
from tests.integrations.outside_office import CENTRE, IDENTIFIER, MOBILE, OWNER, OutsideOffice, open_office

DEED = "3101150012"
PERSONAL = (IDENTIFIER, MOBILE, MOBILE.removeprefix("+966"), OWNER, DEED, SECRET_TALK)


@pytest.fixture
def deeds() -> Iterator[Running]:
    with running("ownership") as one:
        yield one


@pytest.fixture
def messages() -> Iterator[Running]:
    with running("sms") as one:
        yield one


@pytest.fixture
def office(database: Database, tmp_path: Path, deeds: Running, messages: Running) -> OutsideOffice:
    limits = {"timeout": 30.0, "failures": 0}
    (tmp_path / "deeds.pem").write_bytes(deeds.answer_key())
    sections = {
        "commerce": {"url": deeds.url, "driver": "ownership", "signed": "jws", **limits}
        | {"answer_keys": tmp_path / "deeds.pem"},
        notices.BACKEND: {"url": messages.url, "driver": "sms", **limits},
    }
    return open_office(
        database,
        tmp_path,
        {},
        asks="{deed: register, owner: applicant.identifier}",
        sections={name: Backend.model_validate(given) for name, given in sections.items()},
    )


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """Everything that is logged, in the words that were given and as the platform writes it."""
    stream = io.StringIO()
    plain, written = logging.StreamHandler(stream), logging.StreamHandler(stream)
    plain.setFormatter(logging.Formatter("%(name)s %(message)s"))
    written.setFormatter(JsonLines("test"))
    root, level = logging.getLogger(), logging.getLogger().level
    root.setLevel(logging.DEBUG)
    for handler in (plain, written):
        root.addHandler(handler)
    yield stream
    for handler in (plain, written):
        root.removeHandler(handler)
    root.setLevel(level)


def test_a_whole_run_logs_and_keeps_nothing_of_a_person(
    office: OutsideOffice, deeds: Running, messages: Running, lines: io.StringIO
) -> None:
    faults: list[Mode] = [mode for mode in MODES if mode not in SLOW]
    states = {}
    for mode in faults:
        deeds.behave(mode, times=1)
        messages.behave(mode, times=1)
        number = office.ask(DEED)
        office.work_off()
        call = office.call(number)
        states[mode] = (office.case(number).state, call["state"])
    assert states.pop("reject") == ("asked", "parked")
    assert set(states.values()) == {("granted", "answered")}
    deeds.stop()
    parked = office.ask(DEED)
    office.work_off()
    assert office.call(parked)["reason"] == "connect"
    sent = [each["to"] for each in messages.log()["questions"]]
    assert sent
    assert set(sent) == {MOBILE}
    told = lines.getvalue()
    assert f"was asked for case/{parked}/check/register: connect" in told
    assert "wrong_signature" in told
    assert "not_ours" in told
    assert [secret for secret in PERSONAL if secret in told] == []
    tables = ("case_call", "procrastinate_jobs", "job_failure", "event", "audit")
    kept = "".join(office.rows(table) for table in (*tables, "backend_look_up", "backend_standing"))
    metrics = CollectorRegistry()
    metrics.register(BackendCollector(office.database, ["commerce", notices.BACKEND]))
    shown = generate_latest(metrics).decode()
    assert 'outcome="wrong_signature"' in shown
    assert [secret for secret in PERSONAL if secret in shown] == []
    assert [secret for secret in PERSONAL if secret in kept] == []
    # And who may read the calls of a case sees the words that the driver declares.
    (answered,) = {call["answer"]["code"] for call in _answered(office, states)}
    assert answered == "match"


def _answered(office: OutsideOffice, states: dict[Mode, tuple[str, str]]) -> list[dict[str, dict[str, str]]]:
    numbers = [f"TC-2026-{number:06}" for number in range(1, len(states) + 2)]
    calls = [call for number in numbers for call in office.outside.calls(CENTRE, number)]
    return [call for call in calls if call["kind"] == "check" and call["state"] == "answered"]
