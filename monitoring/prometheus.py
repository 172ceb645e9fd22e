"""Runs Debian's Prometheus beside the platform, and asks it what it holds."""

import os
import pwd
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx
import yaml

from foundation.errors import Refused, SettingsError, Unavailable
from foundation.guard import Program
from foundation.settings import Settings

_DEBIAN_PACKAGE = "prometheus"
# Debian's package makes this user; a program that speaks to the network should not be root.
_USER = "prometheus"


@dataclass(frozen=True)
class Result:
    """One series of a query's answer.

    Args:
        labels: of the series, `__name__` among them where the expression keeps it.
        value: at the time of the query.
    """

    labels: dict[str, str]
    value: float


def configuration(settings: Settings, apis: Sequence[str] = ()) -> str:
    """Prometheus's configuration: the collector's devices, and the platform's own processes.

    Args:
        settings: with the ports that the processes really have.
        apis: HOST:PORT of each process of the API, where several share its port.

    Source: Prometheus 2.42, "Configuration".
    """
    collector = f"{settings.collector.host}:{settings.collector.port}"
    shown = list(apis) or [f"{settings.http.host}:{settings.http.port}"]
    own = f"{settings.prometheus.host}:{settings.prometheus.port}"
    interval = settings.prometheus.scrape_interval
    document = {
        "global": {
            "scrape_interval": _duration(interval),
            # A device's time-outs and retries must fit in, and no scrape may outlast its interval.
            "scrape_timeout": _duration(min(interval, 10.0)),
            "evaluation_interval": _duration(interval),
        },
        "scrape_configs": [
            {
                "job_name": "devices",
                "metrics_path": "/probe",
                "http_sd_configs": [
                    {"url": f"http://{collector}/targets", "refresh_interval": _duration(max(interval, 1.0))}
                ],
                "relabel_configs": [
                    {"source_labels": ["__param_target"], "target_label": "instance"},
                    {"target_label": "__address__", "replacement": collector},
                ],
            },
            {"job_name": "collector", "static_configs": [{"targets": [collector]}]},
            {"job_name": "api", "static_configs": [{"targets": shown}]},
            {"job_name": "prometheus", "static_configs": [{"targets": [own]}]},
        ],
    }
    return yaml.safe_dump(document, sort_keys=False)


def program(settings: Settings, folder: Path, log: Path, apis: Sequence[str] = ()) -> Program:
    """The private Prometheus, its configuration written.

    Args:
        settings: of the platform, with the ports in use.
        folder: for its configuration and data; made if missing.
        log: file for what it says.
        apis: HOST:PORT of each process of the API, where several share its port.

    Raises:
        SettingsError: the program is not installed.
    """
    section = settings.prometheus
    executable = shutil.which(section.program)
    if executable is None:
        raise SettingsError(
            f"The program {section.program!r} is not installed.",
            place="prometheus.program",
            remedy=f"Install Debian's package {_DEBIAN_PACKAGE}, or name a running one in prometheus.url.",
        )
    data = folder / "data"
    data.mkdir(parents=True, exist_ok=True)
    file = folder / "prometheus.yml"
    file.write_text(configuration(settings, apis), encoding="utf-8")
    user = _own_user()
    if user is not None:
        # What an earlier run left is its own already.
        for place in (folder, data, file):
            os.chown(place, user.pw_uid, user.pw_gid)
    return Program(
        name="prometheus",
        argv=(
            executable,
            f"--config.file={file}",
            f"--storage.tsdb.path={data}",
            f"--storage.tsdb.retention.time={section.retention}d",
            f"--web.listen-address={section.host}:{section.port}",
            "--log.level=warn",
        ),
        log=log,
        user=user.pw_name if user else None,
        folder=folder,
        # It writes its head block to disk when it ends.
        grace=20.0,
    )


def query(url: str, expression: str, *, timeout: float = 10.0) -> list[Result]:
    """The present value of an expression.

    Args:
        url: base URL of Prometheus.
        expression: in PromQL.
        timeout: seconds.

    Raises:
        Unavailable: Prometheus does not answer.
        Refused: it refuses the expression.

    Source: Prometheus, "HTTP API", instant queries.
    """
    try:
        answer = httpx.post(f"{url}/api/v1/query", data={"query": expression}, timeout=timeout)
        body = answer.json()
    except (httpx.HTTPError, ValueError) as error:
        raise Unavailable(
            f"Prometheus does not answer ({type(error).__name__}).",
            place=url,
            remedy="Check that it runs: rakeeza doctor",
        ) from error
    if body.get("status") != "success":
        raise Refused(f"Prometheus refuses the query: {body.get('error')}.", place=expression)
    data = body["data"]
    if data["resultType"] != "vector":
        raise Refused(f"The query gives a {data['resultType']}, not one value a series.", place=expression)
    return [Result(row["metric"], float(row["value"][1])) for row in data["result"]]


def _duration(seconds: float) -> str:
    return f"{round(seconds * 1000)}ms"


def _own_user() -> pwd.struct_passwd | None:
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam(_USER)
    except KeyError:
        return None
