"""SNMP: an interface table to text, against net-snmp's snmpbulkwalk; text against prometheus-client.

`python -m benchmarks.snmp [PAIRS [INTERFACES]]`. A real snmpd in a network namespace of its own with that
many interfaces; the same columns, the same max-repetitions, alternately, medians. CPU seconds of the poller
only; what snmpbulkwalk costs to start (once a column) is measured by snmpget and taken off. Needs `unshare`
and `ip`.
"""

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric

from foundation.guard import Guard
from foundation.secret import Secret
from lab import snmpd
from lab.snmpd import Snmpd
from monitoring.catalogue import Catalogue
from monitoring.collectors import snmp
from monitoring.collectors.snmp_session import Column, Session
from monitoring.exposition import write
from monitoring.reading import Family, Labels
from monitoring.targets import Community, Target, User

_INSIDE = "--in-namespace"
_REPETITIONS = 25
_SAMPLES = 100_000


def main() -> None:
    """Measure and print."""
    if _INSIDE not in sys.argv:
        user = [] if os.geteuid() == 0 else ["--map-root-user"]
        os.execvp(
            "unshare",
            ["unshare", "--net", *user, sys.executable, "-m", __spec__.name, _INSIDE, *sys.argv[1:]],
        )
    arguments = [int(argument) for argument in sys.argv[1:] if argument != _INSIDE]
    pairs, interfaces = (*arguments, *(5, 2000)[len(arguments) :])
    _add_interfaces(interfaces)
    folder = Path(tempfile.mkdtemp(prefix="rakeeza-bench-"))
    try:
        with Guard() as guard:
            agent = snmpd.start(guard, folder)
            for version in ("v2c", "v3 SHA/AES"):
                _compare_walks(agent, version, pairs)
    finally:
        shutil.rmtree(folder)
    _compare_text(pairs)


def _add_interfaces(count: int) -> None:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for kind in ("dummy", "ifb", "bridge"):
        lines = "".join(f"link add bench{number} type {kind}\n" for number in range(count))
        added = subprocess.run(["ip", "-batch", "-"], input=lines, capture_output=True, text=True)
        if added.returncode == 0:
            print(f"  {count} interfaces of type {kind}")
            return
    raise SystemExit(f"bench: this kernel makes no interfaces: {added.stderr.strip()}")


def _compare_walks(agent: Snmpd, version: str, pairs: int) -> None:
    target = _target(agent, version)
    catalogue = Catalogue()
    plan = catalogue.plan(["interfaces"])
    columns: list[str] = []
    with _recording(columns):
        reading = snmp.poll(target, catalogue, plan)
    if reading.troubles:
        raise SystemExit(f"bench: {reading.troubles[0]}")
    arguments = _client_arguments(agent, version)
    varbinds = sum(len(_client("snmpbulkwalk", *arguments, column).splitlines()) for column in columns)
    start = min(_cpu_of(["snmpget", *arguments, "1.3.6.1.2.1.1.3.0"]) for _ in range(9))
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(pairs):
        ours.append(_cpu(lambda: write(snmp.poll(target, catalogue, plan).families)))
        walk = [["snmpbulkwalk", f"-Cr{_REPETITIONS}", *arguments, column] for column in columns]
        theirs.append(sum(_cpu_of(argv) - start for argv in walk))
    samples = sum(len(family.rows) for family in reading.families)
    print(f"  {version}: {len(columns)} columns, {varbinds} varbinds, {samples} samples, {pairs} pairs")
    _row("rakeeza: poll and text", ours, varbinds, "varbind")
    _row("snmpbulkwalk: print", theirs, varbinds, "varbind")
    _ratio(ours, theirs)


def _compare_text(pairs: int) -> None:
    labels = [
        Labels([("ifIndex", str(index)), ("ifName", f"port{index}")]) for index in range(_SAMPLES // 20)
    ]
    families = [
        Family(
            f"bench_{number:02}_volts",
            "gauge",
            "volts",
            "Bench.",
            [(one, 23.1, "", "", "") for one in labels],
        )
        for number in range(20)
    ]

    class Peer:
        def collect(self) -> Iterator[Metric]:
            for family in families:
                metric = GaugeMetricFamily(family.name, family.help, labels=["if_index", "if_name"])
                for row in family.rows:
                    metric.add_metric([text for _, text in row[0].pairs], row[1])
                yield metric

    registry = CollectorRegistry()
    registry.register(Peer())
    if write(families) != generate_latest(registry).decode():
        raise SystemExit("bench: the two texts differ")
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(pairs):
        ours.append(_cpu(lambda: write(families)))
        theirs.append(_cpu(lambda: generate_latest(registry)))
    print(f"  text of {_SAMPLES} samples, labels known, {pairs} pairs")
    _row("rakeeza: exposition.write", ours, _SAMPLES, "sample")
    _row("prometheus-client: generate_latest", theirs, _SAMPLES, "sample")
    _ratio(ours, theirs)


@contextmanager
def _recording(columns: list[str]) -> Iterator[None]:
    plain = Session.column

    def column(self: Session, oid: str) -> Column:
        columns.append(oid)
        return plain(self, oid)

    Session.column = column  # type: ignore[method-assign] # undone below; the walk itself is the real one
    try:
        yield
    finally:
        Session.column = plain  # type: ignore[method-assign]


def _target(agent: Snmpd, version: str) -> Target:
    credentials: Community | User = Community(Secret(agent.community))
    if version != "v2c":
        credentials = User(agent.user, "SHA", Secret(agent.auth_secret), "AES", Secret(agent.priv_secret))
    return Target("bench", agent.host, agent.port, credentials, max_repetitions=_REPETITIONS, timeout=10)


def _client_arguments(agent: Snmpd, version: str) -> list[str]:
    if version == "v2c":
        return ["-v2c", "-c", agent.community, "-On", "-t", "10", agent.address]
    user = ["-v3", "-l", "authPriv", "-u", agent.user, "-a", "SHA", "-A", agent.auth_secret]
    return [*user, "-x", "AES", "-X", agent.priv_secret, "-On", "-t", "10", agent.address]


def _client(*argv: str) -> str:
    return subprocess.run(argv, capture_output=True, text=True, check=True, env=_client_environment()).stdout


def _client_environment() -> dict[str, str]:
    return {"MIBS": "", "PATH": "/usr/bin"}


def _cpu_of(argv: Sequence[str]) -> float:
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, env=_client_environment())
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"bench: {argv[0]} ended with {process.returncode}")
    return usage.ru_utime + usage.ru_stime


def _cpu(work: Callable[[], object]) -> float:
    before = time.process_time()
    work()
    return time.process_time() - before


def _row(name: str, seconds: list[float], count: int, unit: str) -> None:
    each = [second / count * 1e6 for second in seconds]
    print(f"    {name:36} {statistics.median(each):6.2f} us a {unit}  [{min(each):.2f} to {max(each):.2f}]")


def _ratio(ours: list[float], theirs: list[float]) -> None:
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    print(f"    ratio, median of the pairs           {statistics.median(ratios):6.2f}")


if __name__ == "__main__":
    main()
