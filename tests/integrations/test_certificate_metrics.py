"""When certificates end, as Prometheus is told, and what the rules of the page make of it."""

import subprocess
from datetime import timedelta
from pathlib import Path

import yaml

from console.web.metrics import registries
from foundation.database import Database
from integrations.centres.certificates import revoke
from tests.integrations.centre_office import certify, open_centre
from tests.integrations.desk import SYSTEM, Desk
from tests.processes import ROOT

METRIC = "rakeeza_client_certificate_end_timestamp_seconds"
DAY = 86_400


def ends(database: Database) -> dict[str, float]:
    """What a process tells, by client."""
    _, kept = registries(database)
    return {
        sample.labels["client_id"]: sample.value
        for family in kept.collect()
        if family.name == METRIC
        for sample in family.samples
    }


def test_the_last_certificate_that_counts_is_told_also_when_it_has_ended(desk: Desk) -> None:
    office, other = open_centre(desk), open_centre(desk, code="centre-8")
    first = ends(desk.database)
    assert set(first) == {"centre-7", "centre-8"}
    desk.later(days=100)
    certify(office)
    # The new one counts from its day on, which by the database's clock has not come.
    assert ends(desk.database) == first
    with desk.database.transaction() as session:
        revoke(session, other.serial, "superseded", desk.now[-1])
    assert set(ends(desk.database)) == {"centre-7"}
    with desk.database.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE client_certificate SET not_after = now() - interval '1 day', "
            "not_before = now() - interval '2 days'"
        )
    (ended,) = ends(desk.database).values()
    assert ended < first["centre-7"]
    desk.licensing.centres.end(SYSTEM, office.code, "over")
    assert ends(desk.database) == {"centre-7": ended}


def test_a_database_that_is_away_is_told_as_nothing() -> None:
    away = Database("postgresql://127.0.0.1:1/nowhere", role="test")
    assert ends(away) == {}
    away.dispose()


def test_the_rules_of_the_page_warn_a_month_and_a_week_before(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "contracts.md").read_text(encoding="utf-8")
    rules = page.rpartition("```yaml\n")[2].partition("```")[0]
    (tmp_path / "rules.yml").write_text(rules, encoding="utf-8")
    end = 40 * DAY
    alerts = [
        {
            "eval_time": f"{day}d",
            "alertname": name,
            "exp_alerts": [
                {
                    "exp_labels": {"severity": severity, "client_id": "centre-7"},
                    "exp_annotations": {
                        "summary": f"The certificate of centre-7 ends in {_left(end - day * DAY)}."
                    },
                }
            ][: int(end - day * DAY < most * DAY)],
        }
        for day in (9, 11, 32, 34, 41)
        for name, severity, most in (
            ("ClientCertificateEndsSoon", "warning", 30),
            ("ClientCertificateEndsThisWeek", "critical", 7),
        )
    ]
    series = [{"series": f'{METRIC}{{client_id="centre-7"}}', "values": f"{end}+0x{42 * 24}"}]
    test = {
        "rule_files": ["rules.yml"],
        "evaluation_interval": "1h",
        "tests": [{"interval": "1h", "input_series": series, "alert_rule_test": alerts}],
    }
    (tmp_path / "test.yml").write_text(yaml.safe_dump(test), encoding="utf-8")
    checked = subprocess.run(
        ["promtool", "test", "rules", "test.yml"], cwd=tmp_path, capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def _left(seconds: int) -> str:
    # As Prometheus writes a duration.
    sign, left = ("-" if seconds < 0 else ""), timedelta(seconds=abs(seconds))
    return f"{sign}{left.days}d 0h 0m 0s"
