"""The demo as a newcomer runs it: as a process, looked at from outside."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.console.serving import at_work_in
from tests.processes import ROOT, until

PATIENCE = 300.0


def start(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    argv = [sys.executable, "-m", "lab", "--folder", str(folder), *arguments]
    return subprocess.Popen(
        argv,
        cwd=ROOT,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        env={**os.environ, "COLUMNS": "160"},
    )


def serving(folder: Path) -> bool:
    log = folder / "serve.log"
    return log.exists() and "Serving" in log.read_text()


def test_the_demo_observes_every_step_and_leaves_nothing_behind(lab_folder: Path) -> None:
    demo = start(lab_folder, "--exit")
    said, _ = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 0, said
    for fact in (
        "the playbook left its record there",
        "Prometheus holds what net-snmp says",
        "the same payment twice is one payment",
        "the PDF holds the licence's number",
        "another reader sees the same QR",
        "a QR with another number is refused",
        "the printer cut off the receipt",
        "its system is told, and refuses a forged message",
        "it is sent back with a reason, never without",
        "a part is paid: nothing is issued",
        "who proposes a suspension cannot decide it",
        "the holder objects and is upheld",
        "its certificate holds under the municipality's authority",
        "its licence verifies for everyone",
        "the journal names the clerk",
        "once suspended it is refused at once",
        "engine, bank and ledger agree, and a halala off is found",
        "the trail is whole, and holds the seal noted before",
    ):
        assert fact in said
    assert at_work_in(lab_folder) == {}


def test_ctrl_c_ends_the_lab_and_everything_it_started(lab_folder: Path) -> None:
    demo = start(lab_folder)
    until(lambda: serving(lab_folder), "the platform serves")
    assert len(at_work_in(lab_folder)) > 5
    os.kill(demo.pid, signal.SIGINT)
    said, _ = demo.communicate(timeout=PATIENCE)
    assert demo.returncode == 130, said
    assert "Traceback" not in said
    assert at_work_in(lab_folder) == {}


def test_killing_the_demo_ends_everything_it_started(lab_folder: Path) -> None:
    demo = start(lab_folder)
    until(lambda: serving(lab_folder), "the platform serves")
    demo.kill()
    demo.wait()
    assert demo.stdout is not None
    demo.stdout.close()
    until(lambda: not at_work_in(lab_folder))
