import asyncio
import contextlib
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from foundation.asset_kinds import Kind
from foundation.assets import Asset, Assets
from foundation.database import Database
from foundation.definitions import Bilingual
from foundation.errors import NotFound
from foundation.guard import free_port
from foundation.secret import Secret, SecretFile
from foundation.settings import Collector as CollectorSettings
from foundation.settings import Prometheus, Settings
from lab.snmpd import Snmpd
from monitoring.asset_targets import AssetTargets
from monitoring.catalogue import Catalogue
from monitoring.exporter import Collector, create_app
from monitoring.targets import Community, Target, TargetSource
from tests.foundation.http_face import served
from tests.monitoring.agents import Agent, Request, running, string
from tests.monitoring.running_prometheus import held, running_prometheus
from tests.processes import PATIENCE

QUICK = CollectorSettings(timeout=1.0, retries=0)


class Fixed:
    """A source of targets that is a dictionary."""

    def __init__(self, *targets: Target) -> None:
        self._targets = {target.name: target for target in targets}

    def labels(self) -> Mapping[str, Mapping[str, str]]:
        return {name: {"kind": "host"} for name in self._targets}

    def find(self, name: str) -> Target:
        if name not in self._targets:
            raise NotFound(f"No asset is named {name!r}.")
        return self._targets[name]


@contextlib.contextmanager
def serving(source: TargetSource) -> Iterator[httpx.Client]:
    """A client of the exporter."""
    with (
        served(create_app(source, Settings())) as url,
        httpx.Client(base_url=url, timeout=PATIENCE) as client,
    ):
        yield client


@pytest.fixture
def dead() -> Target:
    return Target("dead", "127.0.0.1", free_port(), Community(Secret("c")), timeout=0.2, retries=0)


@pytest.fixture
def wrong(agent: Snmpd) -> Target:
    return Target("wrong", agent.host, agent.port, Community(Secret("not-it")), timeout=0.2, retries=0)


@pytest.fixture
def client(target: Target, dead: Target, wrong: Target) -> Iterator[httpx.Client]:
    with serving(Fixed(target, dead, wrong)) as client:
        yield client


def metric(client: httpx.Client, name: str, **labels: str) -> float:
    families = text_string_to_metric_families(client.get("/metrics").text)
    return next(
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def test_a_probe_gives_the_reading_as_prometheus_text(client: httpx.Client) -> None:
    answer = client.get("/probe", params={"target": "lab"})
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    names = {family.name for family in text_string_to_metric_families(answer.text)}
    assert {"ups_battery_volts", "interface_receive_bytes", "rakeeza_snmp_poll_duration_seconds"} <= names


def test_a_probe_by_one_model_gives_only_what_it_names(client: httpx.Client) -> None:
    answer = client.get("/probe", params={"target": "lab", "model": "ups"})
    names = {family.name for family in text_string_to_metric_families(answer.text)}
    assert all(name.startswith(("ups_", "rakeeza_snmp_poll_")) for name in names)


def test_what_is_no_asset_is_never_polled(client: httpx.Client, agent: Snmpd) -> None:
    for name in (agent.address, "169.254.169.254", "localhost"):
        answer = client.get("/probe", params={"target": name})
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"
        assert name in answer.json()["detail"]
    assert metric(client, "rakeeza_collector_polls_total") == 0


def test_a_probe_without_a_target_is_a_problem(client: httpx.Client) -> None:
    answer = client.get("/probe")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")


def test_an_unknown_model_is_a_problem_that_names_the_known_ones(client: httpx.Client) -> None:
    answer = client.get("/probe", params={"target": "lab", "model": "upss"})
    assert (answer.status_code, "Known: host_resources" in answer.json()["detail"]) == (404, True)


def test_a_device_that_cannot_be_read_is_a_problem_and_its_reason_a_metric(client: httpx.Client) -> None:
    dead, wrong = (client.get("/probe", params={"target": name}) for name in ("dead", "wrong"))
    assert (dead.status_code, wrong.status_code) == (504, 504)
    assert "Check the community" in wrong.json()["detail"]
    labels = {"target": "wrong", "reason": "DeviceUnreachable"}
    assert metric(client, "rakeeza_collector_poll_failures_total", **labels) == 1


def test_no_community_stands_in_any_answer(client: httpx.Client, agent: Snmpd) -> None:
    for path in ("/probe?target=lab", "/probe?target=wrong", "/targets", "/metrics", "/openapi.json"):
        text = client.get(path).text
        assert agent.community not in text
        assert "not-it" not in text


def test_targets_are_listed_for_http_service_discovery(client: httpx.Client) -> None:
    listed = client.get("/targets").json()
    assert listed[0] == {"targets": ["lab"], "labels": {"__param_target": "lab", "kind": "host"}}
    assert len(listed) == 3


def test_promtool_accepts_the_collectors_own_metrics(client: httpx.Client) -> None:
    client.get("/probe", params={"target": "lab"})
    client.get("/probe", params={"target": "dead"})
    text = client.get("/metrics").text
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    assert (checked.returncode, checked.stdout) == (0, "")
    assert metric(client, "rakeeza_collector_polls_total") == 2
    assert metric(client, "rakeeza_collector_samples_total") > 40


def test_health_is_answered(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}


def test_two_scrapers_at_once_cost_the_device_one_poll(catalogue: Catalogue) -> None:
    release = threading.Event()

    def mangle(_: Request, answer: bytes) -> list[bytes]:
        release.wait(PATIENCE)
        return [answer]

    async def both(target: Target) -> tuple[str, str, int]:
        collector = Collector(catalogue)
        first = asyncio.create_task(collector.probe(target))
        second = asyncio.create_task(collector.probe(target))
        await asyncio.sleep(0)
        release.set()
        texts = await asyncio.gather(first, second)
        shared = collector.registry.get_sample_value("rakeeza_collector_shared_polls_total")
        collector.close()
        return *texts, int(shared or 0)

    agent = Agent({"1.3.6.1.2.1.1.2.0": string(b"x")}, mangle)
    with running(agent):
        target = Target("slow", "127.0.0.1", agent.port, Community(Secret("c")), timeout=PATIENCE)
        one, two, shared = asyncio.run(both(target))
    assert one == two
    assert shared == 1
    assert len({request.request_id for request in agent.requests}) == len(agent.requests)


def test_a_scraper_that_hangs_up_does_not_take_the_reading_from_another(
    target: Target, catalogue: Catalogue
) -> None:
    async def one_leaves() -> str:
        collector = Collector(catalogue)
        first = asyncio.create_task(collector.probe(target))
        second = asyncio.create_task(collector.probe(target))
        await asyncio.sleep(0)
        first.cancel()
        text = await second
        collector.close()
        return text

    assert "ups_battery_volts 23.1" in asyncio.run(one_leaves())


def test_dead_devices_delay_nobody(target: Target, catalogue: Catalogue, agent: Snmpd) -> None:
    """Forty devices do not answer, more than there are threads; the living one is read before any does."""
    release = threading.Event()

    def mangle(_: Request, answer: bytes) -> list[bytes]:
        release.wait(PATIENCE)
        return [answer]

    async def race(port: int) -> int:
        collector = Collector(catalogue)
        await asyncio.gather(*(collector.probe(one) for one in silent), return_exceptions=True)
        held_up = [replace(one, port=port, timeout=PATIENCE) for one in silent]
        waiting = [asyncio.create_task(collector.probe(one)) for one in held_up]
        await asyncio.sleep(0)
        await collector.probe(target)
        ended = sum(task.done() for task in waiting)
        release.set()
        collector.close()
        await asyncio.gather(*waiting, return_exceptions=True)
        return ended

    wrong = Community(Secret("not-it"))
    silent = [Target(f"dead{n}", agent.host, agent.port, wrong, timeout=0.2, retries=0) for n in range(40)]
    slow = Agent({"1.3.6.1.2.1.1.2.0": string(b"x")}, mangle)
    with running(slow):
        assert asyncio.run(race(slow.port)) == 0


def test_what_a_device_is_asked_for_is_remembered(target: Target, catalogue: Catalogue) -> None:
    def requests(text: str) -> float:
        families = text_string_to_metric_families(text)
        return next(f.samples[0].value for f in families if f.name == "rakeeza_snmp_poll_requests")

    async def twice() -> tuple[str, str]:
        collector = Collector(catalogue)
        texts = await collector.probe(target), await collector.probe(target)
        collector.close()
        return texts

    first, second = map(requests, asyncio.run(twice()))
    assert second < first


@pytest.fixture
def inventory(database: Database, agent: Snmpd, tmp_path: Path) -> AssetTargets:
    """The lab's agent as an asset of a real inventory, by v2c and by v3."""
    secrets = SecretFile(tmp_path / "secrets.json", tmp_path / "secrets.key")
    for name, value in (("snmp", agent.community), ("auth", agent.auth_secret), ("priv", agent.priv_secret)):
        secrets.set(name, Secret(value))
    assets = Assets()
    v3 = {
        "snmp_version": "3",
        "snmp_user": agent.user,
        "snmp_auth_protocol": "SHA",
        "snmp_auth_secret": "auth",
        "snmp_priv_protocol": "AES",
        "snmp_priv_secret": "priv",
        "device_model": "ups",
    }
    devices: list[tuple[str, Kind, dict[str, str]]] = [
        ("lab-server", Kind.HOST, {"snmp_address": agent.address, "snmp_community_secret": "snmp"}),
        ("lab-ups", Kind.UPS, {"snmp_address": agent.address, **v3}),
        ("lab-lost", Kind.HOST, {"snmp_address": "127.0.0.1:9", "snmp_community_secret": "lost"}),
        ("lab-plain", Kind.HOST, {}),
    ]
    with database.transaction() as session:
        site = Asset("lab-site", Kind.SITE, Bilingual(ar="موقع", en="Site"))
        assets.add(session, site, actor="test")
        for name, kind, attributes in devices:
            title = Bilingual(ar="جهاز", en="Device")
            assets.add(session, Asset(name, kind, title, "lab-site", attributes), actor="test")
    return AssetTargets(database, assets, secrets, Settings(collector=QUICK))


def test_assets_with_an_snmp_address_are_targets_and_no_others(inventory: AssetTargets) -> None:
    assert inventory.labels() == {
        "lab-server": {"kind": "host", "parent": "lab-site"},
        "lab-ups": {"kind": "ups", "parent": "lab-site"},
        "lab-lost": {"kind": "host", "parent": "lab-site"},
    }
    with pytest.raises(NotFound, match="'lab-plain'"):
        inventory.find("lab-plain")


def test_an_asset_is_found_by_its_name_and_by_its_address(inventory: AssetTargets, agent: Snmpd) -> None:
    assert inventory.find("lab-ups").model == "ups"
    assert inventory.find(agent.address).port == agent.port
    assert inventory.find("lab-server").timeout == QUICK.timeout


def test_a_missing_secret_is_named_with_its_remedy(inventory: AssetTargets) -> None:
    with pytest.raises(NotFound, match=r"'lost'.*rakeeza secret set lost"):
        inventory.find("lab-lost")


def test_prometheus_discovers_scrapes_and_holds_what_debians_client_reads(
    inventory: AssetTargets, platform_folder: Path, snmpget: Callable[[str], str]
) -> None:
    with contextlib.ExitStack() as stack:
        exporter = stack.enter_context(serving(inventory)).base_url
        settings = Settings(
            collector=QUICK.model_copy(update={"port": exporter.port}),
            prometheus=Prometheus(port=free_port(), scrape_interval=1.0),
        )
        url = stack.enter_context(running_prometheus(settings, platform_folder))
        battery = int(snmpget("1.3.6.1.2.1.33.1.2.5.0")) / 10
        assert held(url, "ups_battery_volts > 0", instance="lab-ups") == battery
        total = int(snmpget("1.3.6.1.4.1.2021.4.20.0")) * 1024
        assert held(url, 'host_memory_size_bytes{kind="host"}', instance="lab-server") == total
        name = snmpget("1.3.6.1.2.1.1.5.0")
        assert held(url, f'system_info{{sys_name="{name}"}}', instance="lab-server") == 1
        assert held(url, 'up{job="devices"} == 0', instance="lab-lost") == 0
        assert held(url, "up == 1", job="collector") == 1
