import contextlib
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from console import roles
from console.bootstrap import Platform, open_platform
from foundation import audit
from foundation.errors import InvalidInput
from foundation.settings import load
from integrations.cases.payments import Notice
from integrations.licences.papers import NotReady
from lab.registry import Registry, registry
from tests.integrations.desk import APPLICANT, BANK, CENTRE, FORM, message
from tests.integrations.outside_office import DEFINITION, KNOWN
from tests.processes import until


@pytest.fixture
def settings_file(tmp_path: Path, database_url: str) -> Path:
    path = tmp_path / "rakeeza.toml"
    path.write_text(f'[platform]\nfolder = "{tmp_path}"\n[database]\nurl = "{database_url}"\n')
    return path


def one_round(platform: Platform) -> None:
    told = threading.Event()
    told.set()
    roles._make_rounds(platform, told)


def test_a_round_seals_what_was_written_since_the_last(settings_file: Path) -> None:
    with open_platform(load(settings_file, {}), "test") as platform:
        one_round(platform)
        with platform.database.transaction() as session:
            assert audit.last_seal(session) is None
            audit.record(session, chain="case/1", actor="test", action="opened", details={})
        one_round(platform)
        with platform.database.transaction() as session:
            sealed = audit.last_seal(session)
    assert sealed is not None
    assert sealed.position == 1


def test_a_faulty_round_is_logged_and_does_not_end_the_rounds(
    settings_file: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(_: object) -> None:
        raise ZeroDivisionError

    with open_platform(load(settings_file, {}), "test") as platform:
        monkeypatch.setattr(audit, "seal", fail)
        one_round(platform)
    assert "This round failed." in caplog.text
    assert "ZeroDivisionError" in caplog.text


def test_an_unknown_role_is_answered_with_the_known_ones(settings_file: Path) -> None:
    with pytest.raises(InvalidInput, match=r"'baker'.*Known: api, worker, collector\."):
        roles.run_roles(load(settings_file, {}), ("baker",))


@pytest.fixture
def silent_registry(tmp_path: Path, settings_file: Path) -> Iterator[Registry]:
    """A registry that takes every question and answers none for as long as it runs."""
    folder = tmp_path / "services"
    folder.mkdir()
    (folder / "stand.yaml").write_text(DEFINITION, encoding="utf-8")
    with registry() as running, settings_file.open("a") as file:
        file.write(f"[licences]\nfolders = [{json.dumps(str(folder))}]\n")
        file.write(f"[backends.commerce]\nurl = {json.dumps(running.url)}\ntimeout = 120\n")
        file.write(f"places = {roles._AT_ONCE}\n")
        file.flush()
        running.behave("slow", seconds=600)
        yield running


@contextlib.contextmanager
def working(platform: Platform, registry: Registry) -> Iterator[None]:
    """The worker role in a thread; without its registry it has nothing left to wait for."""
    stop = threading.Event()
    worker = threading.Thread(target=roles._worker, args=(platform, stop))
    worker.start()
    try:
        yield
    finally:
        stop.set()
        registry.stop()
        worker.join()


def issued(platform: Platform) -> str:
    """A shop licence, paid; its number."""
    cases = platform.licensing.cases
    number = str(cases.submit(CENTRE, message(FORM), "shop").body["number"])
    cases.quote(CENTRE, number, "quote")
    bill = cases.invoice(CENTRE, number, "invoice").body
    paid = Notice(str(bill["bill_number"]), Decimal(bill["amount"]), datetime.now(UTC), "bank-1")
    platform.licensing.money.notify(BANK, paid, "payment")
    return str(cases.case(CENTRE, number)["licence"])


def paper(platform: Platform, licence: str) -> bytes:
    """The paper of a licence; empty until it is made."""
    try:
        return platform.licensing.licences.document(CENTRE, licence)
    except NotReady:
        return b""


def test_back_ends_that_hang_do_not_hold_the_papers(settings_file: Path, silent_registry: Registry) -> None:
    with open_platform(load(settings_file, {}), "test") as platform, working(platform, silent_registry):
        cases = platform.licensing.cases
        stand = message({"register": KNOWN}, "stand", APPLICANT)
        keys = [f"stand-{number}" for number in range(roles._AT_ONCE + 2)]
        asked = [str(cases.submit(CENTRE, stand, key).body["number"]) for key in keys]

        def hang() -> bool:
            calls = [platform.licensing.outside.calls(CENTRE, number) for number in asked]
            under_way = [silent_registry.asked(call["key"]) for (call,) in calls]
            return sum(under_way) == roles._AT_ONCE

        until(hang, "every place of the back-end hangs")
        licence = issued(platform)
        until(lambda: paper(platform, licence), "the paper")
        assert paper(platform, licence).startswith(b"%PDF")
        states = [platform.licensing.outside.calls(CENTRE, number)[0]["state"] for number in asked]
        assert states == ["waiting"] * len(asked)
