"""TLS certificates by playbook: keys stay where they are made, and a service shows what is new."""

import re
import subprocess
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from lab.machine import Machine
from lab.machines import Lab
from tests.playbooks.conftest import Play
from tests.playbooks.server_material import program, put
from tests.processes import until

SERVICE = """
import http.server, signal, ssl
def load(*_):
    context.load_cert_chain("/etc/rakeeza/tls/web.pem", "/etc/rakeeza/tls/web.key")
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
load()
signal.signal(signal.SIGHUP, load)
server = http.server.ThreadingHTTPServer(("", 8443), http.server.SimpleHTTPRequestHandler)
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""
UNIT = """
[Service]
User=web
ExecStart=/usr/bin/python3 /usr/local/lib/web.py
ExecReload=/bin/kill -HUP $MAINPID
"""


class Served:
    """A machine with a service that speaks TLS, and the settings of the platform whose authority it has."""

    def __init__(self, machine: Machine, folder: Path) -> None:
        self.machine = machine
        self.settings = folder / "rakeeza.toml"
        self.settings.write_text(f'[platform]\nfolder = "{folder}/platform"\n', encoding="utf-8")
        (folder / "platform").mkdir(mode=0o700)
        self.authority = folder / "authority.pem"
        shown = subprocess.run(
            [program("rakeeza"), "--settings", self.settings, "authority", "show"],
            capture_output=True,
            text=True,
            check=True,
        )
        self.authority.write_text(shown.stdout, encoding="utf-8")
        machine.output("useradd", "--system", "web", root=True)
        put(machine, "/usr/local/lib/web.py", SERVICE)
        put(machine, "/etc/systemd/system/web.service", UNIT)

    @property
    def parameters(self) -> dict[str, Any]:
        return {
            "service": "web",
            "names": "portal.example",
            "key_owner": "web",
            "unit": "web.service",
            "settings_file": str(self.settings),
        }

    def shown(self, name: str) -> tuple[str, str]:
        """What openssl says of a connection to it, and the certificate that it shows, as text."""
        line = [
            "openssl",
            "s_client",
            "-connect",
            f"{self.machine.address}:8443",
            "-CAfile",
            str(self.authority),
        ]
        line += ["-verify_return_error", "-verify_hostname", name, "-showcerts"]
        said = subprocess.run(line, capture_output=True, text=True, check=False, input="")
        words = ["openssl", "x509", "-noout", "-text"]
        text = subprocess.run(words, capture_output=True, text=True, check=False, input=said.stdout)
        return said.stdout + said.stderr, text.stdout


@pytest.fixture(scope="module")
def served(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    machine = lab.boot("tls-1")["tls-1"]
    made = Served(machine, tmp_path_factory.mktemp("platform"))
    play = Play(tmp_path_factory.mktemp("runs"))
    checked = play("certificates", machine, check=True, **made.parameters)
    checked.assert_good()
    assert machine.ssh("test", "-e", "/etc/rakeeza/tls").returncode == 1
    assert "Say why a certificate is needed" in [task for _, task in checked.changes]
    # Short-lived: a day less and it is renewed.
    play.twice("certificates", machine, days=3, renew_within=1, **made.parameters)
    machine.output("systemctl", "start", "web.service", root=True)
    until(lambda: "BEGIN CERTIFICATE" in made.shown("tls-1")[0], "the service's start")
    yield made
    lab.remove(machine)


def test_openssl_sees_our_chain_and_the_right_names(served: Served) -> None:
    said, text = served.shown("portal.example")
    assert "Verification: OK" in said
    assert said.count("BEGIN CERTIFICATE") == 2
    names = re.search(r"Subject Alternative Name:\s+(.+)", text)
    assert names is not None
    wanted = {"DNS:tls-1", f"IP Address:{served.machine.address}", "DNS:portal.example"}
    assert set(names[1].strip().split(", ")) == wanted
    assert "TLS Web Server Authentication" in text
    refused, _ = served.shown("another.example")
    assert "hostname mismatch" in refused.lower()


def test_the_key_is_its_readers_alone_and_was_never_here(served: Served, tmp_path: Path) -> None:
    described = served.machine.output("stat", "-c", "%a %U", "/etc/rakeeza/tls/web.key", root=True)
    assert described.strip() == "600 web"
    key = served.machine.fetch("/etc/rakeeza/tls/web.key").decode()
    # Not its first line, which every key of this kind has; in whatever it may have been wrapped.
    marker = key.splitlines()[2][:40]
    assert len(marker) == 40
    base = tmp_path.parent
    files = [path for path in base.rglob("*") if path.is_file()]
    assert any(path.name == "output.log" for path in files)
    assert [path for path in files if marker.encode() in path.read_bytes()] == []


def test_a_certificate_near_its_end_is_renewed_and_the_service_shows_the_new_one(
    served: Served, play: Play
) -> None:
    before, key = _certificate(served), served.machine.fetch("/etc/rakeeza/tls/web.key")
    outcome = play.twice("certificates", served.machine, **served.parameters)
    assert "it ends on" in outcome.messages("Say why a certificate is needed")["tls-1"]
    after = _certificate(served)
    assert after != before
    assert after[1] > before[1]
    assert served.machine.fetch("/etc/rakeeza/tls/web.key") == key
    metric = served.machine.output(
        "cat", "/var/lib/prometheus/node-exporter/rakeeza_certificate_web.prom"
    ).splitlines()[-1]
    assert metric == f'rakeeza_tls_certificate_not_after_timestamp_seconds{{service="web"}} {after[1]}'


def test_a_lost_reload_is_made_up(served: Served, play: Play) -> None:
    # As if a run had been killed after it laid the certificate there.
    served.machine.output("rm", "/etc/rakeeza/tls/web.loaded", root=True)
    outcome = play("certificates", served.machine, **served.parameters)
    outcome.assert_good()
    assert [task for _, task in outcome.changes] == ["Let it load the certificate", "Note what it has loaded"]


def test_another_name_or_another_key_is_another_certificate(served: Served, play: Play) -> None:
    parameters = {**served.parameters, "names": "portal.example,www.example"}
    outcome = play("certificates", served.machine, **parameters)
    outcome.assert_good()
    assert "www.example" in outcome.messages("Say why a certificate is needed")["tls-1"]
    assert "Verification: OK" in served.shown("www.example")[0]
    served.machine.output("rm", "/etc/rakeeza/tls/web.key", root=True)
    outcome = play("certificates", served.machine, **parameters)
    outcome.assert_good()
    assert outcome.messages("Say why a certificate is needed")["tls-1"].endswith("it is of another key")
    assert "Verification: OK" in served.shown("www.example")[0]


def test_a_life_that_is_renewed_at_each_run_is_refused(served: Served, play: Play) -> None:
    outcome = play("certificates", served.machine, days=20, renew_within=30, **served.parameters)
    assert outcome.hosts["tls-1"].state == "failed"
    assert "would be renewed at each run" in str(outcome.hosts["tls-1"].message)


def _certificate(served: Served) -> tuple[str, int]:
    """Serial number and end of what the service shows."""
    said, text = served.shown("tls-1")
    serial = re.search(r"Serial Number:\s+([0-9a-f:]+)", text)
    end = re.search(r"Not After : (.+) GMT", text)
    assert serial is not None, said
    assert end is not None, said
    return serial[1], int(datetime.strptime(end[1] + " +0000", "%b %d %H:%M:%S %Y %z").timestamp())
