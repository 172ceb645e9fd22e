import httpx
from fastapi import FastAPI

from console.web import metrics
from foundation.database import Database
from foundation.events import publish
from integrations.cases.stays import gather
from tests.foundation.http_face import served
from tests.processes import PATIENCE


def _told(database: Database) -> str:
    app = FastAPI()
    app.add_middleware(metrics.Measured)
    app.include_router(metrics.router(database, ["commerce"]))
    with served(app) as url:
        assert httpx.get(f"{url}/metrics", timeout=PATIENCE).status_code == 200
        return httpx.get(f"{url}/metrics", timeout=PATIENCE).text


def test_the_api_tells_how_long_cases_stay(database: Database) -> None:
    stay = {
        "service": "shop_licence",
        "procedure": "issue",
        "from": "under_review",
        "stayed_s": 7_200,
        "working_s": 3_600,
        "place": "north",
    }
    with database.transaction() as session:
        publish(session, "case.moved", "case/SC-2026-000001", stay)
    assert gather(database) == 1
    told = _told(database)
    labels = 'place="north",procedure="issue",service="shop_licence",state="under_review"'
    assert f"rakeeza_case_state_working_duration_seconds_sum{{{labels}}} 3600.0" in told
    assert "rakeeza_case_metrics_readable 1.0" in told
    assert 'rakeeza_backend_circuit_state{backend="commerce"} 1.0' in told
    assert 'rakeeza_http_request_duration_seconds_count{method="GET",route="/metrics",status="200"}' in told


def test_a_database_that_is_away_takes_no_other_metric_with_it() -> None:
    away = Database("postgresql://127.0.0.1:1/nowhere", role="test")
    told = _told(away)
    away.dispose()
    assert "rakeeza_case_metrics_readable 0.0" in told
    assert "rakeeza_case_state_duration_seconds_count" not in told
    assert "rakeeza_backend_circuit_state{" not in told
    assert "rakeeza_http_request_duration_seconds_count" in told
