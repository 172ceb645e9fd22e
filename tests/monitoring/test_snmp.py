import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pysnmp.hlapi.v3arch.asyncio import (  # type: ignore[import-untyped] # pysnmp ships no types
    CommunityData,
    ContextData,
    ObjectIdentity,
    ObjectType,
    SnmpEngine,
    UdpTransportTarget,
    get_cmd,
)

from foundation.errors import DeviceUnreachable, Refused
from foundation.guard import Guard, free_port
from foundation.secret import Secret
from lab import snmpd
from lab.snmpd import Snmpd
from monitoring.catalogue import Catalogue
from monitoring.collectors.snmp import poll
from monitoring.collectors.snmp_session import Session
from monitoring.targets import Community, Target, User


def rows(target: Target, catalogue: Catalogue) -> list[dict[str, Any]]:
    return list(poll(target, catalogue).samples())


def one(samples: list[dict[str, Any]], oid: str) -> dict[str, Any]:
    (found,) = (sample for sample in samples if sample["oid"] == oid)
    return found


def test_a_poll_finds_the_models_of_a_host_that_is_also_a_ups(target: Target, catalogue: Catalogue) -> None:
    assert poll(target, catalogue).models == ("host_resources", "ucd", "ups", "interfaces", "system")


def test_values_are_those_that_debians_client_reads(
    target: Target, catalogue: Catalogue, snmpget: Callable[[str], str]
) -> None:
    samples = rows(target, catalogue)
    for oid in ("1.3.6.1.2.1.2.2.1.7.1", "1.3.6.1.2.1.2.2.1.8.1", "1.3.6.1.2.1.33.1.2.1.0"):
        assert one(samples, oid)["value"] == int(snmpget(oid))
    total = one(samples, "1.3.6.1.4.1.2021.4.20.0")
    assert total["value"] == int(snmpget("1.3.6.1.4.1.2021.4.20.0")) * 1024
    assert total["metric"] == "host_memory_size_bytes"


def test_a_counter_lies_between_two_readings_of_debians_client(
    target: Target, catalogue: Catalogue, snmpget: Callable[[str], str]
) -> None:
    oid = "1.3.6.1.2.1.31.1.1.1.6.1"
    before = int(snmpget(oid))
    sample = one(rows(target, catalogue), oid)
    assert before <= sample["value"] <= int(snmpget(oid))
    assert (sample["metric"], sample["unit"]) == ("interface_receive_bytes_total", "bytes")
    assert (sample["labels"]["ifIndex"], sample["labels"]["ifName"]) == ("1", "lo")


def test_pysnmp_reads_the_same_name(target: Target, catalogue: Catalogue) -> None:
    async def ask() -> str:
        with_community = CommunityData(target.credentials.name.reveal())  # type: ignore[union-attr] # v2c here
        transport = await UdpTransportTarget.create((target.host, target.port))
        name = ObjectType(ObjectIdentity("1.3.6.1.2.1.1.5.0"))
        engine = SnmpEngine()
        _, _, _, answer = await get_cmd(engine, with_community, transport, ContextData(), name)
        engine.close_dispatcher()
        return str(answer[0][1])

    sample = one(rows(target, catalogue), "1.3.6.1.2.1.1.2.0")
    assert sample["labels"]["sysName"] == asyncio.run(ask())


def test_version_3_reads_what_version_2c_reads(
    target: Target, v3_target: Target, catalogue: Catalogue
) -> None:
    def still(samples: list[dict[str, Any]]) -> list[tuple[str, str]]:
        return sorted((sample["metric"], sample["oid"]) for sample in samples)

    assert still(rows(target, catalogue)) == still(rows(v3_target, catalogue))


def test_every_sample_has_the_six_keys_and_no_series_comes_twice(
    target: Target, catalogue: Catalogue
) -> None:
    samples = rows(target, catalogue)
    assert {tuple(sample) for sample in samples} == {("metric", "labels", "value", "unit", "oid", "model")}
    series = [(sample["metric"], *sample["labels"].items()) for sample in samples]
    assert len(series) == len(set(series)) > 40
    assert all(sample["unit"] and sample["oid"].count(".") > 6 for sample in samples)


def test_tenths_of_a_volt_become_volts_without_a_rounding_tail(target: Target, catalogue: Catalogue) -> None:
    sample = one(rows(target, catalogue), "1.3.6.1.2.1.33.1.2.5.0")
    assert (sample["metric"], sample["value"], sample["unit"]) == ("ups_battery_volts", 23.1, "volts")


def test_minutes_become_seconds_and_percent_become_a_ratio(target: Target, catalogue: Catalogue) -> None:
    samples = rows(target, catalogue)
    assert one(samples, "1.3.6.1.2.1.33.1.2.3.0")["value"] == 44 * 60
    assert one(samples, "1.3.6.1.2.1.33.1.4.4.1.5.1")["value"] == 0.79


def test_what_the_device_does_not_have_is_no_sample(target: Target, catalogue: Catalogue) -> None:
    metrics = {sample["metric"] for sample in rows(target, catalogue)}
    assert "ups_battery_volts" in metrics
    assert "ups_battery_amperes" not in metrics  # no such object
    assert "ups_battery_temperature_celsius" not in metrics  # answered with -1
    assert "ups_bypass_volts" not in metrics  # an empty table


def test_storage_is_multiplied_by_its_own_allocation_unit(
    target: Target, catalogue: Catalogue, snmpget: Callable[[str], str]
) -> None:
    sample = next(s for s in rows(target, catalogue) if s["metric"] == "host_storage_size_bytes")
    index = sample["labels"]["hrStorageIndex"]
    units, size = (int(snmpget(f"1.3.6.1.2.1.25.2.3.1.{column}.{index}")) for column in (4, 5))
    assert sample["value"] == units * size


def test_a_label_comes_from_another_table(
    target: Target, model_file: Callable[[str], Path], snmpget: Callable[[str], str]
) -> None:
    folder = model_file(
        """
model: file_systems
title: {ar: أنظمة الملفات, en: File systems}
source: HOST-RESOURCES-MIB (RFC 2790), hrFSTable
applies_to: {answers: [1.3.6.1.2.1.25.3.8]}
tables:
  file_systems:
    index: [{label: hrFSIndex}]
    labels:
      hrFSStorageIndex: {oid: [1.3.6.1.2.1.25.3.8.1.7]}
      hrStorageDescr: {oid: [1.3.6.1.2.1.25.2.3.1.3], by: [hrFSStorageIndex]}
    metrics:
      - metric: host_file_system_access_state
        help: Whether the file system can be written (hrFSAccess).
        oid: 1.3.6.1.2.1.25.3.8.1.5
        unit: state
        type: state
        states: {1: readWrite, 2: readOnly}
"""
    )
    samples = rows(replace(target, model="file_systems"), Catalogue([folder]))
    assert samples
    for sample in samples:
        storage = snmpget(f"1.3.6.1.2.1.25.3.8.1.7.{sample['labels']['hrFSIndex']}")
        assert sample["labels"]["hrFSStorageIndex"] == storage
        assert sample["labels"]["hrStorageDescr"] == snmpget(f"1.3.6.1.2.1.25.2.3.1.3.{storage}")


def test_the_poll_states_its_own_cost(target: Target, catalogue: Catalogue) -> None:
    reading = poll(target, catalogue)
    cost = {family.name: family.rows[0][1] for family in reading.cost()}
    assert cost["rakeeza_snmp_poll_duration_seconds"] == reading.duration > 0
    assert cost["rakeeza_snmp_poll_requests"] == reading.requests > 10
    assert cost["rakeeza_snmp_poll_samples"] == len(list(reading.samples()))
    assert cost["rakeeza_snmp_poll_troubles"] == 0


def test_a_wrong_community_is_named_with_its_remedy(agent: Snmpd, catalogue: Catalogue) -> None:
    wrong = Target("lab", agent.host, agent.port, Community(Secret("not-it")), timeout=0.2)
    with pytest.raises(DeviceUnreachable) as caught:
        poll(wrong, catalogue)
    assert caught.value.place == agent.address
    assert "community" in caught.value.remedy
    assert "address" in caught.value.remedy
    assert "not-it" not in str(caught.value)


def test_a_port_without_an_agent_is_named(target: Target, catalogue: Catalogue) -> None:
    with pytest.raises(DeviceUnreachable, match="no SNMP agent on this port"):
        poll(replace(target, port=free_port()), catalogue)


def test_a_host_name_without_an_address_is_named(target: Target, catalogue: Catalogue) -> None:
    with pytest.raises(DeviceUnreachable, match=r"nowhere\.invalid has no address"):
        poll(replace(target, host="nowhere.invalid"), catalogue)


@pytest.mark.parametrize(("name", "phrase"), [("stranger", None), (None, "not-the-phrase")])
def test_a_wrong_v3_user_or_pass_phrase_is_refused_by_the_device(
    v3_target: Target, catalogue: Catalogue, name: str | None, phrase: str | None
) -> None:
    user = v3_target.credentials
    assert isinstance(user, User)
    wrong = replace(user, name=name or user.name, auth_secret=Secret(phrase) if phrase else user.auth_secret)
    with pytest.raises(Refused, match=f"refuses the SNMPv3 user '{wrong.name}'"):
        poll(replace(v3_target, credentials=wrong), catalogue)


@pytest.mark.parametrize("repetitions", [1, 25, 50, 100])
def test_no_row_is_lost_at_any_number_of_repetitions(tmp_path: Path, repetitions: int) -> None:
    """gufo 0.13 loses rows of SNMPv3 without an error when an answer outgrows its buffer of 4,080 bytes."""
    column = "1.3.6.1.4.1.99999.1.1"
    rows = [(f"{column}.{row}", "octet_str", f"{row:04}{'x' * 90}") for row in range(1, 301)]
    with Guard() as guard:
        agent = snmpd.start(guard, tmp_path / "snmpd", overrides=rows)
        user = User(agent.user, "SHA", Secret(agent.auth_secret), "AES", Secret(agent.priv_secret))
        for credentials in (user, Community(Secret(agent.community))):
            target = Target("rows", agent.host, agent.port, credentials, max_repetitions=repetitions)
            read = Session(target).column(column)
            assert read.error is None
            assert list(read.rows) == [str(row) for row in range(1, 301)]


def test_a_model_of_a_further_folder_reads_the_device(
    target: Target, model_file: Callable[[str], Path]
) -> None:
    folder = model_file(
        """
model: room
title: {ar: غرفة, en: Room}
source: a test
applies_to: {sys_object_id: [1.3.6.1.4.1.8072.3.2]}
extends: [ups]
metrics:
  - metric: ups_battery_volts
    help: As a device gives it that counts in hundredths.
    oid: 1.3.6.1.2.1.33.1.2.5.0
    scale: 0.01
    unit: volts
    type: gauge
"""
    )
    reading = poll(target, Catalogue([folder]))
    assert reading.models[0] == "room"
    assert "ups" not in reading.models
    volts = one(list(reading.samples()), "1.3.6.1.2.1.33.1.2.5.0")
    assert (volts["value"], volts["model"]) == (2.31, "room")
    assert one(list(reading.samples()), "1.3.6.1.2.1.33.1.4.2.0")["model"] == "ups"


def test_a_named_model_is_used_alone(target: Target, catalogue: Catalogue) -> None:
    reading = poll(replace(target, model="ups"), catalogue)
    assert {sample["model"] for sample in reading.samples()} == {"ups"}
