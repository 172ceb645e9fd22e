import math
import subprocess

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from monitoring.catalogue import Catalogue
from monitoring.collectors.snmp import poll
from monitoring.exposition import number, write
from monitoring.reading import Family, Labels, Number, snake_case
from monitoring.targets import Target


def family(name: str, *values: Number, **labels: str) -> Family:
    rows = [(Labels(labels.items()), value, "1.3.6.1", "1", "test") for value in values]
    return Family(name, "gauge", "volts", "Voltage.", rows)


def test_a_sample_is_one_line_under_its_help_and_type() -> None:
    assert write([family("ups_battery_volts", 23.1, ifName="eth0")]) == (
        "# HELP ups_battery_volts Voltage.\n"
        "# TYPE ups_battery_volts gauge\n"
        'ups_battery_volts{if_name="eth0"} 23.1\n'
    )


def test_families_are_sorted_and_one_without_samples_is_left_out() -> None:
    text = write([family("b_volts", 1), family("empty_volts"), family("a_volts", 2)])
    assert [line for line in text.splitlines() if not line.startswith("#")] == ["a_volts 2", "b_volts 1"]
    assert "empty" not in text


def test_promtool_accepts_a_whole_poll(target: Target, catalogue: Catalogue) -> None:
    reading = poll(target, catalogue)
    text = write([*reading.families, *reading.cost()])
    checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_promtool_refuses_what_this_test_would_not_want(target: Target, catalogue: Catalogue) -> None:
    """The check above can fail: the same text with one metric twice is refused."""
    text = write(poll(target, catalogue).families)
    broken = text + "interface_speed_bytes 1\ninterface_speed_bytes 2\n"
    checked = subprocess.run(["promtool", "check", "metrics"], input=broken, capture_output=True, text=True)
    assert checked.returncode != 0


@given(st.text(st.characters(codec="utf-8")), st.floats() | st.integers(-(2**53), 2**53))
def test_any_label_and_value_are_read_back_by_prometheus_client(label: str, value: float) -> None:
    text = write([family("a_volts", value, place=label)])
    (parsed,) = text_string_to_metric_families(text)
    (sample,) = parsed.samples
    assert sample.labels == {"place": label}
    assert sample.value == value or (math.isnan(sample.value) and math.isnan(value))


def test_a_64_bit_counter_keeps_every_digit() -> None:
    assert number(2**64 - 1) == "18446744073709551615"


def test_numbers_without_a_value_are_written_as_the_format_names_them() -> None:
    assert [number(value) for value in (math.inf, -math.inf, math.nan)] == ["+Inf", "-Inf", "NaN"]


def test_names_of_the_mib_become_snake_case() -> None:
    assert [
        snake_case(name) for name in ("ifIndex", "hrStorageDescr", "laNames", "upsIdentUPSSoftwareVersion")
    ] == [
        "if_index",
        "hr_storage_descr",
        "la_names",
        "ups_ident_upssoftware_version",
    ]
