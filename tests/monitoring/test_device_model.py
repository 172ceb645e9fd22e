import re
from pathlib import Path

import pytest

from foundation.errors import DefinitionError, NotFound
from monitoring.catalogue import Catalogue
from monitoring.device_model import load_model
from monitoring.units import name_error

GOOD = """
model: chiller
title: {ar: مبرد, en: Chiller}
source: ACME-CHILLER-MIB 1.2
applies_to: {sys_object_id: [1.3.6.1.4.1.99999.7]}
metrics:
  - metric: chiller_water_celsius
    help: Temperature of the water.
    oid: 1.3.6.1.4.1.99999.7.1.0
    unit: celsius
    type: gauge
    scale: 0.1
    absent: [-1]
tables:
  fans:
    index: [{label: fanIndex}]
    labels:
      fanName: {oid: [1.3.6.1.4.1.99999.7.2.1.2]}
    metrics:
      - metric: chiller_fan_state
        help: State of the fan.
        oid: 1.3.6.1.4.1.99999.7.2.1.3
        unit: state
        type: state
        states: {1: running, 2: stopped}
"""


def write(folder: Path, text: str, name: str = "chiller.yaml") -> Path:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return file


def test_a_right_model_loads(tmp_path: Path) -> None:
    model = load_model(write(tmp_path, GOOD))
    assert [metric.metric for metric in model.every_metric()] == [
        "chiller_water_celsius",
        "chiller_fan_state",
    ]
    assert str(model.metrics[0].scale) == "0.1"


WRONG = [
    # what is replaced, by what, and the line and reason that the error must name
    ("    unit: celsius\n", "", 7, "Field required"),
    ("unit: celsius", "unit: degrees", 7, "'degrees' is no known unit"),
    ("unit: celsius", "unit: volts", 7, "must end in '_volts'"),
    ("chiller_water_celsius", "chiller_water", 7, "must end in '_celsius'"),
    ("chiller_water_celsius", "Chiller_celsius", 7, "no metric name"),
    ("chiller_water_celsius", "water_celsius_total", 7, "must end in '_celsius'"),
    ("type: gauge", "type: counter", 7, "must end in '_celsius_total'"),
    ("type: gauge", "type: histogram", 11, "'gauge', 'counter', 'state' or 'info'"),
    ("    scale: 0.1\n", "    scale: 0\n", 7, "scale 0 is no factor"),
    ("    scale: 0.1\n", "    factor: 0.1\n", 12, "unknown key"),
    ("oid: 1.3.6.1.4.1.99999.7.1.0", "oid: .1.3.6.1.4.1.99999.7.1.0", 9, "no numeric OID"),
    ("oid: 1.3.6.1.4.1.99999.7.1.0", "oid: sysUpTime.0", 9, "no numeric OID"),
    ("oid: 1.3.6.1.4.1.99999.7.1.0", "oid: 1.3.6.1.4.1.4294967296.0", 9, "no numeric OID"),
    ("oid: 1.3.6.1.4.1.99999.7.1.0", "oid: 1.3.6.1.4.1.99999.7.1", 9, "must end in .0"),
    ("        states: {1: running, 2: stopped}\n", "", 19, "`states` belongs to"),
    ("type: state\n", "type: gauge\n", 19, "the unit 'state' is for metrics of type state"),
    ("source: ACME-CHILLER-MIB 1.2\n", "", 2, "Field required"),
    ("{sys_object_id: [1.3.6.1.4.1.99999.7]}", "{}", 5, "no condition"),
    ("{sys_object_id: [1.3.6.1.4.1.99999.7]}", "{sys_descr: ['Chill(er']}", 5, "no regular expression"),
    ("chiller_fan_state", "chiller_water_celsius", 19, "must end in '_state'"),
    ("label: fanIndex", "label: job", 16, "Prometheus's own"),
    ("label: fanIndex", "label: fan_name", 16, "stands twice"),
    ("[1.3.6.1.4.1.99999.7.2.1.2]", "[1.3.6.1.4.1.99999.7.2.1.2], by: [rack]", 16, "no index part"),
    ("[{label: fanIndex}]", "[{label: fanIndex, type: implied_string}, {label: x}]", 16, "must be the last"),
    ("model: chiller", "model: Chiller", 2, "should match pattern"),
    ("help: State of the fan.", "help: ''", 20, "at least 1 character"),
]


@pytest.mark.parametrize(("old", "new", "line", "reason"), WRONG)
def test_a_wrong_model_is_refused_with_line_and_reason(
    tmp_path: Path, old: str, new: str, line: int, reason: str
) -> None:
    assert old in GOOD
    file = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(DefinitionError) as caught:
        load_model(file)
    assert reason in str(caught.value)
    named = re.fullmatch(rf"{re.escape(str(file))}:(\d+)", caught.value.place)
    assert named is not None
    assert abs(int(named[1]) - line) <= 1


def test_a_metric_that_stands_twice_is_refused(tmp_path: Path) -> None:
    scalar = GOOD.partition("metrics:\n")[2].partition("tables:")[0]
    text = GOOD.replace("tables:", scalar + "tables:")
    with pytest.raises(DefinitionError, match="'chiller_water_celsius' stands twice"):
        load_model(write(tmp_path, text))


@pytest.mark.parametrize(
    ("metric", "unit", "kind"),
    [
        ("ups_battery_volts", "volts", "gauge"),
        ("interface_receive_bytes_total", "bytes", "counter"),
        ("system_info", "info", "info"),
        ("interface_operational_state", "state", "state"),
    ],
)
def test_a_name_that_ends_in_its_unit_is_right(metric: str, unit: str, kind: str) -> None:
    assert name_error(metric, unit, kind) is None


def test_every_model_of_the_product_is_right_and_names_arabic_and_english(catalogue: Catalogue) -> None:
    names = [model.model for model in catalogue.models()]
    assert {"system", "interfaces", "host_resources", "ucd", "ups"} <= set(names)
    for model in catalogue.models():
        assert re.search("[\u0600-\u06ff]", model.title.ar)
        assert Path(catalogue.origin(model.model)).stem == model.model


def test_two_models_of_one_name_are_refused_with_both_files(tmp_path: Path) -> None:
    file = write(tmp_path, GOOD.replace("model: chiller", "model: ups"))
    with pytest.raises(DefinitionError, match=r"'ups' is defined twice.*devices/ups\.yaml") as caught:
        Catalogue([tmp_path])
    assert caught.value.place == str(file)


def test_an_unknown_ancestor_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    write(tmp_path, GOOD + "extends: [upss]\n")
    with pytest.raises(DefinitionError, match=r"extends 'upss', which does not exist.*Known: .*ups"):
        Catalogue([tmp_path])


def test_a_model_that_extends_itself_is_refused(tmp_path: Path) -> None:
    write(tmp_path, GOOD + "extends: [cooler]\n")
    other = GOOD.replace("model: chiller", "model: cooler").replace("chiller_", "cooler_")
    write(tmp_path, other + "extends: [chiller]\n", "cooler.yaml")
    with pytest.raises(DefinitionError, match="chiller -> cooler -> chiller"):
        Catalogue([tmp_path])


def test_a_name_has_one_unit_only_the_longest_that_it_ends_in() -> None:
    assert name_error("ups_output_volt_amperes", "volt_amperes", "gauge") is None
    assert name_error("ups_output_volt_amperes", "amperes", "gauge") == (
        "'ups_output_volt_amperes' ends in 'volt_amperes', and its unit is 'amperes'"
    )


def test_what_extends_another_replaces_its_metrics_and_keeps_the_rest(tmp_path: Path) -> None:
    write(tmp_path, GOOD)
    child = GOOD.replace("model: chiller", "model: chiller_pro\nextends: [chiller]").partition("tables:")[0]
    write(tmp_path, child.replace("scale: 0.1", "scale: 0.01"), "chiller_pro.yaml")
    plan = Catalogue([tmp_path]).plan(["chiller_pro", "chiller"])
    assert plan.models == ("chiller_pro",)
    assert [(model, str(metric.scale)) for model, metric in plan.scalars] == [("chiller_pro", "0.01")]
    assert [(model, name) for model, name, _ in plan.tables] == [("chiller", "fans")]


def test_an_unknown_model_is_answered_with_the_known_ones(catalogue: Catalogue) -> None:
    with pytest.raises(NotFound, match=r"no device model 'upss'.*Known: .*ups"):
        catalogue.plan(["upss"])
