import re
from dataclasses import replace
from pathlib import Path

from foundation.guard import Guard
from foundation.secret import Secret
from lab import snmpd
from monitoring.catalogue import Catalogue
from monitoring.collectors.snmp import poll
from monitoring.device_model import AppliesTo, DeviceModel, IndexPart, Label, Metric, Source, Table
from monitoring.targets import Community, Target

PAGE = Path(__file__).parents[2] / "docs" / "device-models.md"


def test_the_example_of_the_page_reads_a_device(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    (tmp_path / "acme_rack.yaml").write_text(example, encoding="utf-8")
    rack = [
        ("1.3.6.1.4.1.99999.4.1.0", "integer", "231"),
        ("1.3.6.1.4.1.99999.4.2.1.2.1", "octet_str", "front"),
        ("1.3.6.1.4.1.99999.4.2.1.3.1", "integer", "2"),
    ]
    with Guard() as guard:
        agent = snmpd.start(guard, tmp_path / "snmpd", overrides=rack)
        target = Target("rack", agent.host, agent.port, Community(Secret(agent.community)))
        catalogue = Catalogue([tmp_path])
        found = poll(target, catalogue)
        alone = poll(replace(target, model="acme_rack"), catalogue)
    assert "acme_rack" in found.models
    assert [(s["metric"], s["value"], s["labels"]) for s in alone.samples()] == [
        ("rack_inlet_celsius", 23.1, {}),
        ("rack_door_state", 2, {"acmeDoorIndex": "1", "acmeDoorName": "front"}),
    ]


def test_every_key_of_the_grammar_stands_on_the_page() -> None:
    page = PAGE.read_text(encoding="utf-8")
    for kind in (DeviceModel, AppliesTo, Table, Metric, Source, Label, IndexPart):
        for key in kind.model_fields:
            assert re.search(rf"\b{key}\b", page), f"{kind.__name__}.{key}"
