"""The playbook `kiosk_terminal`, verified as its first lines say, on machines without a screen.

What a lab cannot show: the picture on a real screen, a finger on it, tty1, and udev's names of real devices.
"""

import contextlib
import json
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from playwright.sync_api import Error as BrowserError
from playwright.sync_api import Page, sync_playwright

from foundation.guard import free_port
from foundation.secret import Secret
from infra.plays.secrets import PlaySecrets
from infra.plays.vault_format import seal
from lab.machine import Machine
from lab.machines import Lab
from tests.playbooks.conftest import Outcome, Play, assert_second_run_changes_nothing

ROOT = Path(__file__).parents[2]
SECRET = "marker-of-the-terminals-client"
VAULT = Secret("opens the vault")
SECRETS = PlaySecrets(
    {"group_vars/kind_kiosk/vault.yml": seal(json.dumps({"kiosk_secret": SECRET}).encode(), VAULT, "lab")},
    {"lab": VAULT},
    frozenset({SECRET}),
)
# What the playbook installs, and nothing beside it that could hide what it forgets.
PACKAGES = yaml.safe_load(
    (ROOT / "playbooks/roles/kiosk_terminal/vars/main.yml").read_text(encoding="utf-8")
)["kiosk_packages"]
DEBUGGING = 9222
PAGE = "http://127.0.0.1:8090/"
_LIMIT = 90.0

# Prints where everything lies that the program needs at a terminal: the folders and files right below
# site-packages, of which the whole set is ten times as large.
_NEEDED = """
import sys
from pathlib import Path
import certifi, h11, httpcore, uvloop, uvicorn.lifespan.off
import uvicorn.loops.auto, uvicorn.protocols.http.auto, uvicorn.protocols.websockets.auto
import console.cli.kiosk, console.cli.main, kiosks.running
import kiosks.drivers.barcode_scanner, kiosks.drivers.escpos_printer
site = Path(certifi.__file__).parents[1]
files = {Path(module.__file__) for module in list(sys.modules.values()) if getattr(module, "__file__", None)}
names = {file.relative_to(site).parts[0] for file in files if site in file.parents}
names |= {f"{name}.libs" for name in [*names, "pillow"] if (site / f"{name}.libs").exists()}
print(site, *sorted(names), sep="\\n")
"""
_PROGRAM = """#!/bin/sh
PYTHONPATH=/opt/rakeeza/lib exec /usr/bin/python3 -c 'from console.cli.main import main; main()' "$@"
"""
_INSTALL = """
set -eu
mkdir -p /opt/rakeeza/bin /opt/rakeeza/lib
tar --extract --no-same-owner --directory /opt/rakeeza/lib
chmod -R a+rX /opt/rakeeza
"""


def install_program(machine: Machine) -> None:
    """Lay the program of this tree on a machine, as far as a terminal needs it."""
    answer = subprocess.run(
        [sys.executable, "-c", _NEEDED], cwd=ROOT, capture_output=True, text=True, check=True
    )
    site, *names = answer.stdout.split()
    own = ["foundation", "kiosks", "console", "infra", "integrations", "monitoring"]
    argv = ["tar", "--create", "--exclude=__pycache__", "-C", site, *names, "-C", str(ROOT), *own]
    line = [*machine.ssh_line(), f"sudo sh -c '{_INSTALL}'"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as archive:
        subprocess.run(line, stdin=archive.stdout, check=True, capture_output=True)
    wrote = machine.ssh("tee", "/opt/rakeeza/bin/rakeeza", root=True, stdin=_PROGRAM)
    assert wrote.returncode == 0, wrote.stderr
    machine.output("chmod", "755", "/opt/rakeeza/bin/rakeeza", root=True)


class Headquarters:
    """An API server that keeps who asked for what, and is closed for today.

    Args:
        address: where it listens.
    """

    def __init__(self, address: str) -> None:
        self.asked: list[tuple[str, str]] = []
        asked = self.asked

        class Handler(BaseHTTPRequestHandler):
            def _answer(self) -> None:
                asked.append((str(self.client_address[0]), self.path))
                self.send_response(503)
                self.send_header("content-length", "0")
                self.end_headers()

            do_GET = do_POST = _answer  # noqa: N815 -- http.server's names

            def log_message(self, *_: Any) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer((address, 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://{address}:{self._server.server_port}"

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Terminal:
    """A terminal that was checked and then played on.

    Args:
        machine: where it runs.
        play: what played on it.
        parameters: what it was given.
        checked: the check of a fresh machine, which has none of the packages.
        headquarters: the API server it was given.
    """

    machine: Machine
    play: Play
    parameters: dict[str, Any]
    checked: Outcome
    headquarters: Headquarters

    @contextlib.contextmanager
    def page(self) -> Iterator[Page]:
        """The page of its browser, once it answers, through a forward of ssh."""
        port = free_port()
        line = self.machine.ssh_line(
            options=("-N", "-L", f"127.0.0.1:{port}:127.0.0.1:{DEBUGGING}", "-o", "ExitOnForwardFailure=yes")
        )
        with subprocess.Popen(line, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as forward:
            try:
                url = f"http://127.0.0.1:{port}"
                _until(lambda: _shows_a_page(url))
                with sync_playwright() as playwright:
                    browser = playwright.chromium.connect_over_cdp(url)
                    # Beside it the browser has pages of its own, such as that of its address line. After a
                    # boot it may still say that nobody answers, and try again.
                    pages = browser.contexts[0].pages
                    yield next(page for page in pages if not page.url.startswith("chrome://"))
            finally:
                forward.terminate()

    def browsers(self) -> list[str]:
        """The processes of its browser that no other one of them started: at most one."""
        found = self.machine.ssh("pgrep", "--parent", self.state("MainPID"), "--full", "remote-debugging")
        return found.stdout.split()

    def state(self, name: str, unit: str = "kiosk-screen.service") -> str:
        """A property of a unit."""
        return self.machine.output("systemctl", "show", "--value", "--property", name, unit).strip()


def _until(holds: Any) -> None:
    limit = time.monotonic() + _LIMIT
    while not holds():
        assert time.monotonic() < limit, "It did not come true in time."
        time.sleep(0.3)


def _shows_a_page(url: str) -> bool:
    with contextlib.suppress(httpx.HTTPError):
        return any(tab["url"].startswith(PAGE) for tab in httpx.get(f"{url}/json").json())
    return False


@pytest.fixture(scope="module")
def terminal(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terminal]:
    fresh = lab.boot("kiosk-fresh")["kiosk-fresh"]
    machine = lab.boot("kiosk-1", packages=PACKAGES)["kiosk-1"]
    for one in (fresh, machine):
        install_program(one)
    headquarters = Headquarters(lab.address)
    play = Play(tmp_path_factory.mktemp("kiosk"))
    parameters: dict[str, Any] = {
        "secrets": SECRETS,
        "kind": "kiosk",
        "headquarters": headquarters.url,
        "municipality_ar": 'أمانة "المدينة" النموذجية',
        "display": "headless",
        "debugging_port": DEBUGGING,
        "scanner": "0c2e:0901",
        "printer": "socket://127.0.0.1:9100",
    }
    checked = play("kiosk_terminal", fresh, check=True, **parameters)
    lab.remove(fresh)
    play("kiosk_terminal", machine, **parameters).assert_good()
    yield Terminal(machine, play, parameters, checked, headquarters)
    headquarters.close()
    lab.remove(machine)


def assert_shows_its_page(page: Page) -> None:
    """The agent's page, in Arabic, from right to left."""
    page.get_by_text('أمانة "المدينة" النموذجية').first.wait_for()
    assert page.url == PAGE
    assert page.locator("html").get_attribute("dir") == "rtl"


def test_a_check_of_a_fresh_machine_shows_what_comes_and_does_nothing(terminal: Terminal) -> None:
    terminal.checked.assert_good()
    shown = json.dumps([report.payload for report in terminal.checked.reports], ensure_ascii=False)
    for words in ("kiosk-screen.service", "URLBlocklist", "DenyUsers kiosk", "idVendor"):
        assert words in shown, words
    assert SECRET not in shown


def test_agent_and_screen_are_active_and_the_agent_asks_its_headquarters(terminal: Terminal) -> None:
    machine = terminal.machine
    units = ("rakeeza-kiosk.service", "kiosk-screen.service", "kiosk-restart.timer")
    assert machine.output("systemctl", "is-active", *units).split() == ["active"] * 3
    assert machine.output("systemctl", "is-enabled", *units).split() == ["enabled"] * 3
    _until(lambda: machine.address in {sender for sender, _ in terminal.headquarters.asked})
    assert terminal.state("User") == "kiosk"
    assert terminal.state("User", "rakeeza-kiosk.service") == "rakeeza-kiosk"
    # 03:30 in Riyadh, at most ten minutes later.
    at = terminal.state("NextElapseUSecRealtime", "kiosk-restart.timer")
    assert re.search(r" 00:(3\d|40)", at), at


def test_the_browser_shows_the_agents_page_and_opens_no_other(terminal: Terminal) -> None:
    with terminal.page() as page:
        assert_shows_its_page(page)
        for address in (terminal.headquarters.url, "file:///etc/passwd", "http://127.0.0.1:22/", "data:,x"):
            with pytest.raises(BrowserError, match="ERR_BLOCKED_BY_ADMINISTRATOR"):
                page.goto(address)
        _until(lambda: _arrives(page, PAGE) == PAGE)
        assert_shows_its_page(page)
        _until(lambda: _arrives(page, "chrome://policy") == "chrome-error://chromewebdata/")


def _arrives(page: Page, address: str) -> str:
    """Where the browser is after it was sent somewhere; its own pages come in by a navigation of theirs."""
    with contextlib.suppress(BrowserError):
        page.goto(address)
    with contextlib.suppress(BrowserError):
        return str(page.evaluate("location.href"))
    return ""


def test_a_killed_browser_comes_back_with_its_page(terminal: Terminal) -> None:
    (before,) = terminal.browsers()
    terminal.machine.output("kill", "-9", before, root=True)
    _until(lambda: len(terminal.browsers()) == 1 and terminal.browsers() != [before])
    with terminal.page() as page:
        assert_shows_its_page(page)


def test_nobody_logs_in_as_the_terminals_accounts_and_the_engineer_still_does(terminal: Terminal) -> None:
    machine = terminal.machine
    for user in ("kiosk", "rakeeza-kiosk"):
        home = machine.output("sh", "-c", f"getent passwd {user} | cut -d: -f6").strip()
        keys = f"{home}/.ssh/authorized_keys"
        script = f"install -d -o {user} {home}/.ssh && install -o {user} -m 600 /dev/stdin {keys}"
        machine.ssh("sh", "-c", script, root=True, stdin=machine.key_file.with_suffix(".pub").read_text())
        refused = machine.ssh("true", user=user)
        assert refused.returncode == 255
        assert "Permission denied" in refused.stderr
        assert machine.ssh("runuser", "-l", user, "-c", "true", root=True).returncode != 0
        assert machine.output("getent", "shadow", user, root=True).split(":")[1] == "!"
    assert machine.output("id", "-un").strip() == "engineer"


def test_no_terminal_asks_for_a_login_and_nothing_sleeps(terminal: Terminal) -> None:
    machine = terminal.machine
    for unit in (
        "getty@tty1.service",
        "getty@tty2.service",
        "serial-getty@ttyS0.service",
        "ctrl-alt-del.target",
    ):
        assert terminal.state("LoadState", unit) == "masked"
    refused = machine.ssh("systemctl", "start", "getty@tty2.service", root=True)
    assert "masked" in refused.stderr
    assert machine.ssh("pgrep", "agetty").returncode == 1
    assert "Storage=volatile" in machine.output("systemd-analyze", "cat-config", "systemd/journald.conf")
    assert machine.output("sh", "-c", "ls /run/log/journal").strip()
    assert "AllowSuspend=no" in machine.output("systemd-analyze", "cat-config", "systemd/sleep.conf")


def test_the_browser_reads_no_secret_and_the_rules_for_devices_are_well_formed(terminal: Terminal) -> None:
    machine = terminal.machine
    secret = "/etc/rakeeza/kiosk/secret"
    assert machine.fetch(secret).decode().strip() == SECRET
    as_user = ["runuser", "-u", "kiosk", "--", "cat", secret]
    assert "Permission denied" in machine.ssh(*as_user, root=True).stderr
    rules = machine.fetch("/etc/udev/rules.d/70-rakeeza-kiosk.rules").decode()
    assert 'SYMLINK+="kiosk-scanner"' in rules
    assert "kiosk-printer" not in rules
    # Reads every rule file and complains of each line that is none.
    tried = machine.ssh("udevadm", "test", "/sys/devices/virtual/net/lo", root=True)
    said = tried.stdout + tried.stderr
    assert "70-rakeeza-kiosk.rules" in said
    assert not re.search(r"70-rakeeza-kiosk\.rules:\d+", said), said


def test_a_second_run_changes_nothing_and_leaves_the_browser_alone(terminal: Terminal) -> None:
    before = terminal.browsers()
    assert_second_run_changes_nothing(
        terminal.play, "kiosk_terminal", terminal.machine, **terminal.parameters
    )
    assert terminal.browsers() == before


def test_everything_is_back_after_a_reboot(terminal: Terminal) -> None:
    machine = terminal.machine
    boot = machine.boot_id()
    machine.ssh("systemctl", "reboot", root=True)
    machine.wait(other_boot=boot)
    with terminal.page() as page:
        assert_shows_its_page(page)


def test_outside_a_lab_the_browser_has_no_debugging_port(terminal: Terminal) -> None:
    machine = terminal.machine
    given = {**terminal.parameters, "debugging_port": 0}
    terminal.play("kiosk_terminal", machine, **given).assert_good()
    assert terminal.state("ActiveState") == "active"
    policy = json.loads(machine.fetch("/etc/chromium/policies/managed/rakeeza-kiosk.json"))
    assert (policy["RemoteDebuggingAllowed"], policy["DeveloperToolsAvailability"]) == (False, 2)
    assert str(DEBUGGING) not in machine.output("ss", "--listening", "--tcp", "--numeric")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"secrets": PlaySecrets(), "program": "/opt/none"}, "play `platform` on it first"),
        ({"secrets": PlaySecrets()}, "no secret of its API client"),
    ],
    ids=["no program", "no secret"],
)
def test_a_terminal_that_lacks_something_is_refused_before_anything_is_done(
    terminal: Terminal, given: dict[str, Any], words: str
) -> None:
    machine = terminal.machine
    machine.output("mv", "/etc/rakeeza/kiosk/secret", "/srv/secret", root=True)
    outcome = terminal.play("kiosk_terminal", machine, **{**terminal.parameters, **given})
    machine.output("mv", "/srv/secret", "/etc/rakeeza/kiosk/secret", root=True)
    assert outcome.end["status"] == "failed"
    assert words in str(outcome.hosts["kiosk-1"].message)
    assert outcome.changes == []
