"""Three processes of one platform: what stops a centre stops it on all of them, from the commit on."""

import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from foundation import events
from foundation.database import Database
from integrations.cases.journal import SUBMITTED
from tests.integrations.centre_office import CentreOffice, open_centre
from tests.integrations.desk import SYSTEM, Desk
from tests.processes import ROOT

PROCESSES = 3


@contextmanager
def three(office: CentreOffice, url: str, folder: Path) -> Iterator[list[subprocess.Popen[str]]]:
    """Three processes that open cases for the centre until it is refused."""
    given = (
        url,
        str(folder),
        office.code,
        office.certificate,
        office.keys["amal"],
        office.desk.now[-1].isoformat(),
    )
    command = [sys.executable, "-m", "tests.integrations.centre_process", *given]
    started = [
        subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE) for _ in range(PROCESSES)
    ]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()
            assert process.stdout is not None
            process.stdout.close()


def _suspend(office: CentreOffice) -> None:
    office.desk.licensing.centres.suspend(SYSTEM, office.code, "a complaint")


def _stop_clerk(office: CentreOffice) -> None:
    office.desk.licensing.centres.enable_clerk(SYSTEM, office.code, "amal", active=False)


def _revoke_key(office: CentreOffice) -> None:
    office.desk.licensing.centres.revoke_key(SYSTEM, office.code, "amal", office.keys["amal"])


@pytest.mark.parametrize(
    ("stop", "refusal", "told"),
    [
        (_suspend, "CentreSuspended", "centre.suspended"),
        (_stop_clerk, "ClerkNotAllowed", "clerk_stopped"),
        (_revoke_key, "ClerkKeyRevoked", "key_revoked"),
    ],
)
def test_three_processes_refuse_a_centre_from_the_commit_on(
    desk: Desk,
    database_url: str,
    tmp_path: Path,
    stop: Callable[[CentreOffice], None],
    refusal: str,
    told: str,
) -> None:
    office = open_centre(desk)
    with three(office, database_url, tmp_path) as processes:
        said: list[list[str]] = []
        for process in processes:
            assert process.stdout is not None
            # Each is at work before the centre is stopped.
            said.append([process.stdout.readline().strip()])
        stop(office)
        for lines, process in zip(said, processes, strict=True):
            assert process.stdout is not None
            lines += process.stdout.read().split()
    for lines in said:
        # Once refused, never served again.
        assert Counter(lines)[refusal] == 5
        assert lines[-5:] == [refusal] * 5
        assert set(lines) <= {"opened", refusal}
        assert lines[0] == "opened"
    opened = sum(lines.count("opened") for lines in said)
    assert desk.count("case_file") == opened
    # In the order of the events, which is that of the transactions, nothing of the centre follows its stop.
    order = list(_order(desk.database, told))
    assert order == [SUBMITTED] * opened + [told]


def _order(database: Database, told: str) -> Iterator[str]:
    after = None
    while True:
        with database.transaction() as session:
            found = events.read(session, after=after)
        if not found:
            return
        for event in found:
            after = event.cursor
            if event.kind == SUBMITTED or told in (event.kind, event.payload.get("what")):
                yield SUBMITTED if event.kind == SUBMITTED else told
