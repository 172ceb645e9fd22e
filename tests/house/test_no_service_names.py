"""What runs the services knows none of them: a service is a file, and no program is changed for one."""

from pathlib import Path

import pytest

from integrations.service import load_service
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


def test_there_are_services_and_sources_to_look_at() -> None:
    assert {"shop_licence", "health_card", "building_permit"} <= {path.stem for path in SERVICES}
    assert len(sources()) > 100


@pytest.mark.parametrize("service", SERVICES, ids=lambda path: str(path.stem))
def test_no_program_names_a_service(service: Path) -> None:
    code = load_service(service).code
    # As a word of the program and as one of its names: health_card, HealthCard.
    words = [code, code.title().replace("_", "")]
    assert [(str(path.relative_to(ROOT)), found) for path in sources() if (found := named(path, words))] == []


def test_a_name_would_be_found(tmp_path: Path) -> None:
    source = tmp_path / "engine.py"
    source.write_text("if case.service == 'health_card': pass\n", encoding="utf-8")
    assert named(source, ["health_card"]) == ["health_card"]
    source.write_text("class HealthCardRule: pass\n", encoding="utf-8")
    assert named(source, ["HealthCard"]) == ["HealthCard"]
