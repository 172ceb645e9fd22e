import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from foundation.errors import Refused, SettingsError, Unavailable
from foundation.guard import free_port
from foundation.settings import Prometheus, Settings
from monitoring import prometheus
from tests.conftest import reachable_folder
from tests.monitoring.running_prometheus import held, running_prometheus


@pytest.fixture
def settings() -> Settings:
    return Settings(prometheus=Prometheus(port=free_port(), scrape_interval=0.5))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A running private Prometheus."""
    settings = Settings(prometheus=Prometheus(port=free_port(), scrape_interval=0.5))
    with reachable_folder() as folder, running_prometheus(settings, folder) as url:
        yield url


def test_promtool_accepts_the_configuration(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "prometheus.yml"
    file.write_text(prometheus.configuration(settings))
    checked = subprocess.run(["promtool", "check", "config", file], capture_output=True, text=True)
    assert (checked.returncode, "SUCCESS" in checked.stdout) == (0, True)


def test_a_device_is_scraped_by_its_name_and_never_by_its_address(settings: Settings) -> None:
    devices = yaml.safe_load(prometheus.configuration(settings))["scrape_configs"][0]
    assert devices["metrics_path"] == "/probe"
    assert devices["relabel_configs"][1]["replacement"] == "127.0.0.1:9116"


def test_no_scrape_outlasts_its_interval() -> None:
    quick = Settings(prometheus=Prometheus(scrape_interval=0.5))
    slow = Settings(prometheus=Prometheus(scrape_interval=60))
    timeouts = [
        yaml.safe_load(prometheus.configuration(one))["global"]["scrape_timeout"] for one in (quick, slow)
    ]
    assert timeouts == ["500ms", "10000ms"]


def test_a_missing_program_is_named_with_its_package(tmp_path: Path) -> None:
    settings = Settings(prometheus=Prometheus(program="prometheus-of-nowhere"))
    with pytest.raises(
        SettingsError, match=r"'prometheus-of-nowhere' is not installed.*Debian's package prometheus"
    ):
        prometheus.program(settings, tmp_path, tmp_path / "log")


def test_a_running_prometheus_answers_queries(url: str) -> None:
    assert held(url, "up", __name__="up", job="prometheus") == 1
    assert prometheus.query(url, "no_such_metric") == []


def test_a_wrong_expression_is_refused_with_prometheus_own_words(url: str) -> None:
    with pytest.raises(Refused, match="parse error"):
        prometheus.query(url, "up{")


def test_an_expression_of_another_kind_is_refused(url: str) -> None:
    with pytest.raises(Refused, match="gives a scalar"):
        prometheus.query(url, "1 + 1")


def test_a_prometheus_that_does_not_answer_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="Prometheus does not answer"):
        prometheus.query(f"http://127.0.0.1:{free_port()}", "up")


def test_it_keeps_its_history_over_a_restart(settings: Settings, platform_folder: Path) -> None:
    history = "count_over_time(up[1h])"
    with running_prometheus(settings, platform_folder) as url:
        held(url, history, job="prometheus")
    moved = settings.model_copy(update={"prometheus": Prometheus(port=free_port(), scrape_interval=3600)})
    with running_prometheus(moved, platform_folder) as again:
        assert prometheus.query(again, history)
