import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from console import checks
from foundation.database import migrate, open_database
from foundation.guard import free_port
from foundation.secret import Secret
from foundation.settings import Settings, load
from tests.house.repository import program, run

CHECKS = [
    "settings",
    "folder",
    "secrets",
    "signing keys",
    "database",
    "clock",
    "time source",
    "services",
    "back-ends",
    "device models",
    "playbooks",
    "fonts",
    "receipts",
    "ssh",
    "ansible-playbook",
    "prometheus",
    "promtool",
    "chromium",
]


def _doctor(folder: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "RAKEEZA_PLATFORM_FOLDER": str(folder / "var"),
    }
    return run(program("rakeeza"), "doctor", *options, cwd=folder, **{**environment, **variables})


def _states(folder: Path, **variables: str) -> tuple[int, dict[str, dict[str, str]]]:
    outcome = _doctor(folder, "--format", "json", **variables)
    assert outcome.stderr == ""
    return outcome.returncode, {item["check"]: item for item in json.loads(outcome.stdout)}


def _only_wrong(found: dict[str, dict[str, str]]) -> dict[str, str]:
    (wrong,) = [item for item in found.values() if item["state"] == "wrong"]
    assert wrong["remedy"]
    return wrong


def test_a_machine_that_bootstrap_made_ready_has_nothing_wrong(tmp_path: Path) -> None:
    code, found = _states(tmp_path)
    assert list(found) == CHECKS
    assert [item for item in found.values() if item["state"] == "wrong"] == []
    assert code == 0
    assert "shop_licence" in found["services"]["detail"]
    assert "core 2." in found["ansible-playbook"]["detail"]


def test_the_doctor_makes_nothing(tmp_path: Path) -> None:
    assert _doctor(tmp_path).returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_as_text_each_check_is_one_line_with_its_mark(tmp_path: Path) -> None:
    outcome = _doctor(tmp_path, RAKEEZA_LICENCES_FONTS=str(tmp_path))
    lines = outcome.stdout.splitlines()
    assert [line[2:].split(":")[0] for line in lines] == CHECKS
    assert {line[0] for line in lines} <= {"✓", "!", "✗"}
    (wrong,) = [line for line in lines if line.startswith("✗")]
    assert "fonts-hosny-amiri" in wrong
    assert outcome.returncode == 1


def test_wrong_settings_are_told_and_nothing_is_judged_by_defaults(tmp_path: Path) -> None:
    (tmp_path / "rakeeza.toml").write_text("[http]\nprot = 1\n")
    code, found = _states(tmp_path)
    assert (code, list(found)) == (1, ["settings", "the rest"])
    assert "rakeeza.toml:2" in found["settings"]["detail"]
    assert found["settings"]["remedy"]


def test_a_key_that_others_can_read_is_told(tmp_path: Path) -> None:
    settings = load(None, {"RAKEEZA_PLATFORM_FOLDER": str(tmp_path / "var")})
    settings.secrets().set("community", Secret("x"))
    (tmp_path / "var/secrets.key").chmod(0o644)
    code, found = _states(tmp_path)
    wrong = {name: item for name, item in found.items() if item["state"] == "wrong"}
    assert (code, list(wrong)) == (1, ["secrets", "signing keys"])
    assert "chmod 600" in wrong["secrets"]["remedy"]


def test_a_signing_key_that_is_none_is_told(tmp_path: Path) -> None:
    settings = load(None, {"RAKEEZA_PLATFORM_FOLDER": str(tmp_path / "var")})
    settings.secrets().set("licence-signing-key", Secret("no key"))
    _, found = _states(tmp_path)
    assert _only_wrong(found)["check"] == "signing keys"


def test_a_database_that_does_not_answer_is_told_without_its_password(tmp_path: Path) -> None:
    url = f"postgresql://clerk:hidden-word@127.0.0.1:{free_port()}/rakeeza"
    code, found = _states(tmp_path, RAKEEZA_DATABASE_URL=url)
    wrong = _only_wrong(found)
    assert (code, wrong["check"]) == (1, "database")
    assert "127.0.0.1" in wrong["detail"]
    assert "hidden-word" not in json.dumps(found)


def test_the_steps_that_a_database_lacks_are_named(
    database_url: str, postgres_url: str, tmp_path: Path
) -> None:
    _, found = _states(tmp_path, RAKEEZA_DATABASE_URL=postgres_url)
    assert "lacks" in _only_wrong(found)["detail"]
    assert "0001" in _only_wrong(found)["detail"]
    code, found = _states(tmp_path, RAKEEZA_DATABASE_URL=database_url)
    assert (code, found["database"]["state"]) == (0, "good")


def test_the_private_database_is_started_and_looked_at(platform_folder: Path, tmp_path: Path) -> None:
    variables = {"RAKEEZA_PLATFORM_FOLDER": str(platform_folder)}
    with open_database(load(None, variables)) as database:
        migrate(database)
    code, found = _states(tmp_path, **variables)
    assert (code, found["database"]["state"]) == (0, "good")
    assert "(private)" in found["database"]["detail"]


def test_a_broken_definition_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    (tmp_path / "more/broken.yaml").write_text("code: broken\nunknown: 1\n")
    for option, name in (("LICENCES", "services"), ("MONITORING", "device models")):
        _, found = _states(tmp_path, **{f"RAKEEZA_{option}_FOLDERS": str(tmp_path / "more")})
        wrong = _only_wrong(found)
        assert wrong["check"] == name
        assert "broken.yaml:" in wrong["detail"]


def test_a_program_that_is_missing_or_does_not_run_is_told(tmp_path: Path) -> None:
    _, found = _states(tmp_path, RAKEEZA_PROMETHEUS_PROGRAM="no-such-prometheus")
    assert "no-such-prometheus is not installed" in _only_wrong(found)["detail"]
    broken = tmp_path / "prometheus"
    broken.write_text("#!/bin/sh\necho 'cannot load library' >&2\nexit 127\n")
    broken.chmod(0o755)
    _, found = _states(tmp_path, RAKEEZA_PROMETHEUS_PROGRAM=str(broken))
    assert "cannot load library" in _only_wrong(found)["detail"]


def test_a_clock_before_the_installation_is_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_newest_file", lambda: datetime.now(UTC) + timedelta(days=400))
    assert _clock().state is checks.State.WRONG
    monkeypatch.setattr(checks, "_newest_file", lambda: datetime.now(UTC) - timedelta(days=365 * 30))
    assert _clock().state is checks.State.WRONG
    monkeypatch.setattr(checks, "_newest_file", lambda: datetime.now(UTC) - timedelta(days=1))
    assert _clock().state is checks.State.GOOD


def test_a_check_that_fails_by_itself_does_not_cost_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def fail(_settings: Settings) -> str:
        raise ImportError("a file of the installation is gone")

    monkeypatch.setenv("RAKEEZA_PLATFORM_FOLDER", str(tmp_path / "var"))
    monkeypatch.setattr(checks, "_services", fail)
    found = {finding.check: finding for finding in checks.examine(None)}
    assert list(found) == CHECKS
    assert found["services"].state is checks.State.WRONG
    assert "a file of the installation is gone" in found["services"].detail


def _clock() -> checks.Finding:
    return checks._run("clock", checks._clock)
