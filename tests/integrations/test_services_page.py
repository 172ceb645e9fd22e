"""The guide for authors of services holds: its example runs, its sums come out, every key is explained."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from console.cli import service as service_command
from foundation.calendar import today
from foundation.database import Database
from foundation.errors import DefinitionError
from integrations import procedure
from integrations.cases.conditions import FACTS, Condition
from integrations.fee_table import Exemption, Fee, Rate, Slab, Zones
from integrations.flow import Action, Deadline, State
from integrations.form import (
    Activity,
    ActivityField,
    BooleanField,
    Choice,
    ChoiceField,
    DateField,
    IntegerField,
    LineField,
    ListField,
    NumberField,
    PartyField,
    PlaceField,
    PolygonField,
    TextField,
)
from integrations.form_shapes import Crs
from integrations.service import Service, load_service
from integrations.service_graph import draw
from tests.integrations.desk import CENTRE, REVIEWER, Desk, message, new_key, open_desk

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/services.md").read_text(encoding="utf-8")
FORM: dict[str, Any] = {
    "site": "شارع الستين، مقابل الحديقة",
    "district": "حي الروضة",
    "zone": "centre",
    "containers": 5,
    "months": 3,
    "charity": False,
    "site_engineer": "سعد بن محمد",
}
MODELS: tuple[type[BaseModel], ...] = (
    *(Service, State, Action, Deadline, Condition, Fee, Rate, Slab, Zones, Exemption, Activity, Choice),
    *(TextField, NumberField, IntegerField, ChoiceField, ActivityField, BooleanField, DateField, PlaceField),
    *(
        LineField,
        PolygonField,
        PartyField,
        ListField,
        procedure.Procedure,
        procedure.Window,
        procedure.Promise,
    ),
    *(procedure.Requirement, procedure.Check, procedure.FixedEnd, procedure.Validity, procedure.Parent),
    *(procedure.Period, procedure.Bar, procedure.Retention),
)


def example() -> str:
    """The definition that the page shows whole."""
    (found,) = re.findall(r"```yaml\n(# container_permit\.yaml\n.*?)```", PAGE, re.DOTALL)
    return str(found)


def refusals() -> list[tuple[str, str, str]]:
    """What the page says is refused: the text, what it is changed to, and what is told."""
    rows = re.findall(r"^\| `(.+?)` → `(.+?)` \| `(.+?)` \|$", PAGE, re.MULTILINE)
    return [(str(old), str(new), str(told)) for old, new, told in rows]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A municipality's folder with the page's example."""
    made = tmp_path / "services"
    made.mkdir()
    (made / "container_permit.yaml").write_text(example(), encoding="utf-8")
    return made


@pytest.fixture
def desk(database: Database, tmp_path: Path, folder: Path) -> Desk:
    """An office that serves it, of a municipality of class 1."""
    return open_desk(database, tmp_path, (folder,), fee_class=1)


def quoted(desk: Desk, **changed: Any) -> tuple[str, dict[str, Any]]:
    """A case of the example that is approved and quoted; its number and the quote."""
    number = desk.submit({**FORM, **changed}, service="container_permit")
    desk.show_all(number)
    desk.do.take(REVIEWER, number, "approve")
    return number, desk.do.quote(CENTRE, number).body


def test_the_example_is_sound_as_the_page_says(folder: Path) -> None:
    service = load_service(folder / "container_permit.yaml")
    said = service_command._sound(Path("container_permit.yaml"), service)
    assert said in PAGE


def test_the_example_opens_and_issues_a_case_with_the_sum_that_the_page_works_out(desk: Desk) -> None:
    number, quote = quoted(desk)
    assert [line["total"] for line in quote["lines"]] == ["690.00", "57.50"]
    assert quote["total"] == "747.50"
    assert "| due | **747.50** |" in PAGE
    bill = desk.do.invoice(CENTRE, number).body
    desk.pay(bill["bill_number"], bill["amount"])
    case = desk.case(number)
    assert (case["state"], case["licence"]) == ("issued", "WP-2026-000001")
    # Three months from 22 November, as the page says.
    assert case["journal"][-1]["details"]["valid_to"] == "2027-02-21"


def test_the_other_sums_of_the_page_come_out(desk: Desk) -> None:
    assert quoted(desk, charity=True)[1]["total"] == "402.50"
    desk.now.append(datetime(2027, 1, 3, 7, 0, tzinfo=UTC))
    assert today(now=desk.now[-1]).isoformat() == "2027-01-03"
    assert quoted(desk)[1]["total"] == "882.50"
    assert all(f"**{total}**" in PAGE for total in ("402.50", "882.50"))


def test_silence_is_consent_also_through_an_outage_as_the_page_says(desk: Desk) -> None:
    number = desk.submit(FORM, service="container_permit")
    desk.now.append(datetime(2026, 11, 25, 11, 30, tzinfo=UTC))
    desk.licensing.rounds()
    case = desk.case(number)
    assert (case["state"], case["journal"][-1]["action"]) == ("approved", "approve_by_silence")


def test_a_changed_file_is_refused_in_the_words_of_the_page(desk: Desk, folder: Path, tmp_path: Path) -> None:
    desk.submit(FORM, service="container_permit")
    changed = example().replace("{working_days: 3, then", "{working_days: 5, then")
    (folder / "container_permit.yaml").write_text(changed, encoding="utf-8")
    restarted = open_desk(desk.database, tmp_path, (folder,))
    with pytest.raises(DefinitionError) as refused:
        restarted.licensing.cases.submit(CENTRE, message(FORM, "container_permit"), new_key())
    assert str(refused.value) in PAGE


@pytest.mark.parametrize(("old", "new", "told"), refusals())
def test_what_the_page_says_is_refused_is_refused_in_those_words(
    tmp_path: Path, old: str, new: str, told: str
) -> None:
    assert old in example()
    broken = tmp_path / "broken.yaml"
    broken.write_text(example().replace(old, new, 1), encoding="utf-8")
    with pytest.raises(DefinitionError) as refused:
        load_service(broken)
    assert told in [f"{f.line}: {f.pointer}: {f.detail}" for f in refused.value.fields]


def test_the_page_has_its_table_of_refusals() -> None:
    assert len(refusals()) == 8


@pytest.mark.parametrize("model", MODELS, ids=lambda model: str(model.__name__))
def test_every_key_of_the_grammar_is_explained(model: type[BaseModel]) -> None:
    keys = {field.alias or name for name, field in model.model_fields.items()}
    # In the words of the page, or in its example.
    assert [key for key in sorted(keys) if not re.search(rf"(`|[{{ ]){key}(`|:)", PAGE)] == []


def test_every_word_that_a_key_can_have_is_named() -> None:
    words = {
        *FACTS,
        *get_args(procedure.Outcome),
        *get_args(procedure.LicenceStatus),
        *get_args(procedure.Channel),
        *get_args(Crs),
    }
    assert [word for word in sorted(words) if f"`{word}`" not in PAGE] == []


def test_the_picture_is_what_the_command_draws() -> None:
    shop = load_service(ROOT / "integrations/services/shop_licence.yaml")
    kept = (ROOT / "docs/pictures/shop_licence_issue.svg").read_bytes()
    assert draw(shop, "issue") == kept


def test_the_fragments_of_the_page_fit_into_the_example(tmp_path: Path) -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    renew, checks, parent = (
        next(block for block in blocks if block.startswith(head))
        for head in ("  renew:", "checks:", "parent:")
    )
    whole = example().replace("procedures:\n", f"procedures:\n{renew}", 1)
    # The question is asked under review, and approving waits for its answer.
    whole = whole.replace(
        "under_review:\n        title", "under_review:\n        checks: register\n        title", 1
    )
    whole = whole.replace("complete: true}", "complete: true, when: {check: register, is: passed}}", 1)
    path = tmp_path / "container_permit.yaml"
    path.write_text(f"{whole}{checks}{parent}", encoding="utf-8")
    service = load_service(path)
    assert set(service.procedures) == {"renew", "issue"}
    assert service.checks["register"].attempts == 5
    assert service.parent is not None


@pytest.mark.parametrize(
    "line", re.findall(r"^when: \{.*\}", PAGE, re.MULTILINE), ids=lambda line: str(line)[:40]
)
def test_every_condition_of_the_page_is_one(line: str) -> None:
    written = yaml.safe_load(line)["when"]
    read = Condition.model_validate(written).model_dump(by_alias=True, exclude_unset=True)
    # Nothing of what the page shows is passed over.
    assert read.keys() == written.keys()
