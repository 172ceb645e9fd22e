import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from foundation.guard import Guard, free_port
from lab import snmpd
from lab.snmpd import Snmpd
from tests.processes import PATIENCE


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snmpd]:
    with Guard() as guard:
        yield snmpd.start(guard, tmp_path_factory.mktemp("snmpd"))


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    file = tmp_path / "rakeeza.toml"
    file.write_text(f'[platform]\nfolder = "{tmp_path}/platform"\n[collector]\ntimeout = 0.3\nretries = 0\n')
    return file


def rakeeza(settings_file: Path, *arguments: str, text: str = "") -> "subprocess.CompletedProcess[str]":
    argv = [sys.executable, "-m", "console", "--settings", str(settings_file), "monitor", *arguments]
    return subprocess.run(argv, input=text, capture_output=True, text=True, timeout=PATIENCE, check=False)


def test_poll_prints_samples_as_json(agent: Snmpd, settings_file: Path) -> None:
    done = rakeeza(settings_file, "poll", agent.address, "--community", agent.community, "--format", "json")
    assert (done.returncode, done.stderr) == (0, "")
    rows = json.loads(done.stdout)
    volts = next(row for row in rows if row["oid"] == "1.3.6.1.2.1.33.1.2.5.0")
    assert volts == {
        "metric": "ups_battery_volts",
        "labels": {},
        "value": 23.1,
        "unit": "volts",
        "oid": "1.3.6.1.2.1.33.1.2.5.0",
        "model": "ups",
    }
    ports = [row["labels"] for row in rows if row["model"] == "interfaces"]
    assert ports
    assert all({"ifIndex", "ifName"} <= set(labels) for labels in ports)


def test_poll_prints_what_promtool_accepts(agent: Snmpd, settings_file: Path) -> None:
    done = rakeeza(
        settings_file, "poll", agent.address, "--community", agent.community, "--format", "prometheus"
    )
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=done.stdout, capture_output=True, text=True
    )
    assert (checked.returncode, checked.stdout) == (0, "")
    assert "ups_battery_volts 23.1\n" in done.stdout


def test_poll_prints_a_table_for_people(agent: Snmpd, settings_file: Path) -> None:
    done = rakeeza(settings_file, "poll", agent.address, "--community", agent.community, "--model", "ups")
    assert done.returncode == 0
    assert "ups_battery_volts" in done.stdout
    assert "23.1" in done.stdout


def test_a_wrong_community_is_one_sentence_without_the_community(agent: Snmpd, settings_file: Path) -> None:
    done = rakeeza(settings_file, "poll", agent.address, "--community", "not-the-one")
    assert done.returncode == 75
    assert len(done.stderr.splitlines()) == 1
    assert agent.address in done.stderr
    assert "Check the community" in done.stderr
    assert "not-the-one" not in done.stderr


def test_an_unreachable_device_is_one_sentence(settings_file: Path) -> None:
    done = rakeeza(settings_file, "poll", f"127.0.0.1:{free_port()}", "--community", "c")
    assert done.returncode == 75
    assert "has no SNMP agent on this port" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("address", ["", "1.2.3.4:0", "1.2.3.4:99999", "a b", "[::1"])
def test_what_is_no_address_is_said(settings_file: Path, address: str) -> None:
    done = rakeeza(settings_file, "poll", address, "--community", "c")
    assert (done.returncode, "is no address" in done.stderr) == (65, True)


def test_poll_without_credentials_asks_for_them(settings_file: Path) -> None:
    done = rakeeza(settings_file, "poll", "127.0.0.1")
    assert (done.returncode, "Give --community" in done.stderr) == (65, True)


def test_an_unknown_model_is_answered_with_the_known_ones(agent: Snmpd, settings_file: Path) -> None:
    done = rakeeza(settings_file, "poll", agent.address, "--community", agent.community, "--model", "upss")
    assert (done.returncode, "Known: host_resources, interfaces" in done.stderr) == (66, True)


def test_models_lists_what_is_installed(settings_file: Path) -> None:
    rows = json.loads(rakeeza(settings_file, "models", "--format", "json").stdout)
    assert {
        "model": "ups",
        "applies_to": "answers 1.3.6.1.2.1.33.1.1, answers 1.3.6.1.2.1.33.1.2",
    }.items() <= {key: value for row in rows if row["model"] == "ups" for key, value in row.items()}.items()


def test_validate_names_file_line_and_reason(settings_file: Path, tmp_path: Path) -> None:
    file = tmp_path / "wrong.yaml"
    file.write_text(
        "model: wrong\ntitle: {ar: خطأ, en: Wrong}\nsource: a test\napplies_to: {every_device: true}\n"
        "metrics:\n  - metric: wrong_volts\n    help: None.\n    oid: 1.3.6.1.4.1.1.0\n    type: gauge\n"
    )
    done = rakeeza(settings_file, "validate", str(file))
    assert done.returncode == 65
    assert f"{file}:6: /metrics/0/unit: Field required" in done.stderr


def test_validate_accepts_a_right_model(settings_file: Path) -> None:
    file = Path(__file__).parents[2] / "monitoring" / "devices" / "ups.yaml"
    done = rakeeza(settings_file, "validate", str(file))
    assert (done.returncode, "is right" in done.stdout) == (0, True)


def test_version_3_takes_its_pass_phrases_from_the_secrets_file(agent: Snmpd, settings_file: Path) -> None:
    from foundation.secret import Secret
    from foundation.settings import load

    settings = load(settings_file, {})
    settings.platform.folder.mkdir()
    secrets = settings.secrets()
    secrets.set("auth", Secret(agent.auth_secret))
    secrets.set("priv", Secret(agent.priv_secret))
    user = [
        "--user",
        agent.user,
        "--auth",
        "SHA",
        "--auth-secret",
        "auth",
        "--priv",
        "AES",
        "--priv-secret",
        "priv",
    ]
    done = rakeeza(settings_file, "poll", agent.address, *user, "--format", "json")
    assert done.returncode == 0
    assert len(json.loads(done.stdout)) > 40
