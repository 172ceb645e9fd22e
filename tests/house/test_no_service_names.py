"""What runs the services knows none of them: a service is a file, and no program is changed for one."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from integrations.flow import Effect
from integrations.service import Service, load_service
from tests.house.repository import ROOT

SERVICES = sorted((ROOT / "integrations/services").glob("*.yaml"))
# Of the lab and the benchmarks the shop is a customer, as anybody's would be.
ENGINE = ("foundation", "infra", "integrations", "kiosks", "monitoring", "console")
KINDS = (".py", ".html", ".js", ".css", ".typ", ".sql", ".toml")


def sources() -> list[Path]:
    """The files that run services, in whatever language."""
    return sorted(
        path
        for part in ENGINE
        for path in (ROOT / part).rglob("*")
        if path.suffix in KINDS and "__pycache__" not in path.parts
    )


def named(path: Path, words: list[str]) -> list[str]:
    """The words of a list that a file has."""
    text = path.read_text(encoding="utf-8")
    return [word for word in words if word in text]


def own_names(service: Service) -> set[str]:
    """What a service calls its own: names of two words, since one may be anybody's."""
    names = {*_parts(service)} - {*get_args(Effect)}
    return {name for name in names if "_" in name}


def _parts(service: Service) -> Iterator[str]:
    yield from (*service.roles, *service.checks, *(service.bars or ()), *service.fields)
    yield from (*service.flows, *service.procedures)
    yield from (*(each.code for each in service.documents), *(each.code for each in service.fees))
    for flow in service.flows.values():
        yield from (*flow.states, *(action.name for action in flow.actions))


def test_there_are_services_and_sources_to_look_at() -> None:
    assert {"shop_licence", "health_card", "building_permit"} <= {path.stem for path in SERVICES}
    assert len(sources()) > 100


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: str(path.stem))
def test_no_program_names_a_service(service: Path) -> None:
    code = load_service(service).code
    # As a word of the program and as one of its names: health_card, HealthCard.
    words = [code, code.title().replace("_", "")]
    assert [(str(path.relative_to(ROOT)), found) for path in sources() if (found := named(path, words))] == []


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: str(path.stem))
def test_no_program_knows_what_a_service_calls_its_own(service: Path) -> None:
    names = own_names(load_service(service))
    assert len(names) > 5
    word = re.compile(r"\b(" + "|".join(sorted(names)) + r")\b")
    found = {
        str(path.relative_to(ROOT)): word.findall(path.read_text(encoding="utf-8")) for path in sources()
    }
    assert {path: names for path, names in found.items() if names} == {}


def test_a_name_would_be_found(tmp_path: Path) -> None:
    source = tmp_path / "engine.py"
    source.write_text("if case.service == 'health_card': pass\n", encoding="utf-8")
    assert named(source, ["health_card"]) == ["health_card"]
    source.write_text("class HealthCardRule: pass\n", encoding="utf-8")
    assert named(source, ["HealthCard"]) == ["HealthCard"]
