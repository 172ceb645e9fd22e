import csv
import io
import json
from pathlib import Path

import pytest
import yaml

from console.cli.asset import command
from tests.console.rakeeza_types import Rakeeza

pytest_plugins = ["tests.console.rakeeza_command"]

INVENTORY = """\
assets:
  - {name: coast, kind: municipality, title: {ar: بلدية الساحل, en: Coast}, attributes: {fee_class: 2}}
  - {name: dc, kind: site, title: {ar: مركز البيانات, en: Data centre}, parent: coast}
  - {name: pdu-1, kind: pdu, parent: dc, links: {powers: [server-1]}}
  - {name: server-1, kind: host, parent: dc, attributes: {ansible_host: 10.0.0.5, ansible_port: 22}}
"""


@pytest.fixture
def inventory(rakeeza: Rakeeza, tmp_path: Path) -> Path:
    path = tmp_path / "inventory.yaml"
    path.write_text(INVENTORY, encoding="utf-8")
    done = rakeeza("asset", "import", str(path))
    assert (done.code, done.out) == (0, "4 added, 0 changed, 0 unchanged.\n")
    return path


def test_an_import_is_told_in_counts_and_can_be_run_again(rakeeza: Rakeeza, inventory: Path) -> None:
    inventory.write_text(INVENTORY.replace("10.0.0.5", "10.0.0.6"), encoding="utf-8")
    assert rakeeza("asset", "import", str(inventory)).out == "0 added, 1 changed, 3 unchanged.\n"
    assert rakeeza("asset", "import", str(inventory)).out == "0 added, 0 changed, 4 unchanged.\n"


@pytest.mark.usefixtures("inventory")
def test_a_list_is_printed_as_table_json_and_csv(rakeeza: Rakeeza) -> None:
    table = rakeeza("asset", "list").out
    assert "بلدية الساحل" in table
    rows = rakeeza("asset", "list", "--kind", "host", "--format", "json").rows
    assert rows == [
        {
            "name": "server-1",
            "kind": "host",
            "title_ar": "server-1",
            "title_en": "server-1",
            "parent": "dc",
            "address": "10.0.0.5",
        }
    ]
    read = list(csv.DictReader(io.StringIO(rakeeza("asset", "list", "--under", "dc", "--format", "csv").out)))
    assert [row["name"] for row in read] == ["pdu-1", "server-1"]


@pytest.mark.usefixtures("inventory")
@pytest.mark.parametrize("form", ["yaml", "csv"])
def test_an_export_goes_to_a_file_or_to_standard_output_and_comes_back(
    rakeeza: Rakeeza, tmp_path: Path, form: str
) -> None:
    target = tmp_path / f"export.{form}"
    assert rakeeza("asset", "export", "--format", form, "--output", str(target)).code == 0
    printed = rakeeza("asset", "export", "--format", form).out
    assert target.read_text(encoding="utf-8-sig").splitlines() == printed.splitlines()
    assert rakeeza("asset", "import", str(target)).out == "0 added, 0 changed, 4 unchanged.\n"
    refused = rakeeza("asset", "export", "--output", str(tmp_path / "absent" / "x"))
    assert (refused.code, "cannot be written" in refused.err) == (65, True)


@pytest.mark.usefixtures("inventory")
def test_an_asset_is_added_changed_shown_and_removed(rakeeza: Rakeeza) -> None:
    titles = ("--title-ar", "خادم", "--title-en", "Server")
    added = rakeeza(
        "asset", "add", "server-2", "--kind", "host", "--parent", "dc", *titles, "--set", "rack_unit=4"
    )
    assert (added.code, added.out) == (0, "Added server-2.\n")
    rakeeza("asset", "add", "ups-1", "--kind", "ups", "--parent", "dc", "--link", "powers:server-2")
    edited = rakeeza(
        "asset",
        "edit",
        "server-2",
        "--set",
        "ansible_host=10.0.0.7",
        "--unset",
        "rack_unit",
        "--title-en",
        "Two",
    )
    assert edited.out == "Changed server-2.\n"
    assert rakeeza("asset", "edit", "server-2", "--title-en", "Two").out == "server-2 is unchanged.\n"
    assert rakeeza("asset", "show", "server-2", "--format", "json").rows == {
        "name": "server-2",
        "kind": "host",
        "title": {"ar": "خادم", "en": "Two"},
        "parent": "dc",
        "attributes": {"ansible_host": "10.0.0.7"},
        "version": 2,
        "holds": [],
    }
    assert yaml.safe_load(rakeeza("asset", "show", "dc").out)["holds"] == [
        "pdu-1",
        "server-1",
        "server-2",
        "ups-1",
    ]
    refused = rakeeza("asset", "remove", "ups-1")
    assert (refused.code, "it powers server-2" in refused.err) == (65, True)
    assert rakeeza("asset", "edit", "ups-1", "--unlink", "powers:server-2").code == 0
    assert rakeeza("asset", "remove", "ups-1").out == "Removed ups-1.\n"
    assert rakeeza("asset", "show", "ups-1").code == 66


@pytest.mark.usefixtures("inventory")
@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (
            ("add", "x", "--kind", "host", "--set", "colour=red"),
            65,
            "/attributes/colour is unknown for this kind",
        ),
        (("add", "x", "--kind", "host", "--set", "colour"), 65, "'colour' is not of the form NAME=VALUE"),
        (("add", "dc", "--kind", "host"), 65, "already"),
        (("add", "x", "--kind", "wreck"), 2, "wreck"),
        (("edit", "server-1", "--unlink", "powers:dc"), 65, "does not have the link powers:dc"),
        (("edit", "nobody", "--parent", ""), 66, "There is no asset 'nobody'"),
        (("remove", "dc"), 65, "pdu-1 stands in it; server-1 stands in it"),
        (("list", "--under", "nobody"), 66, "rakeeza asset list"),
        (("import", "absent.yaml"), 66, "There is no such file"),
    ],
)
def test_what_is_wrong_is_one_sentence_and_an_exit_code(
    rakeeza: Rakeeza, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    done = rakeeza("asset", *arguments)
    assert (done.code, done.out) == (code, "")
    assert sentence in done.err
    assert "Traceback" not in done.err


def test_every_wrong_row_of_an_import_is_printed_with_its_line(rakeeza: Rakeeza, inventory: Path) -> None:
    wrong = INVENTORY.replace("fee_class: 2", "fee_class: 9").replace("kind: pdu", "kind: pud")
    inventory.write_text(wrong, encoding="utf-8")
    done = rakeeza("asset", "import", str(inventory))
    first, second = done.err.splitlines()
    assert (
        "inventory.yaml:2: coast: /attributes/fee_class should be less than or equal to 5 (1 more)." in first
    )
    assert second.startswith("  line 4: /kind: pdu-1: /kind should be one of amanah, ")
    assert json.loads(rakeeza("asset", "show", "coast", "--format", "json").out)["version"] == 1


def test_the_help_says_what_each_command_is_for() -> None:
    assert {name: bool(sub.help) for name, sub in getattr(command, "commands", {}).items()} == dict.fromkeys(
        ["add", "edit", "export", "import", "list", "remove", "show"], True
    )


def test_what_cannot_be_imported_is_one_sentence(rakeeza: Rakeeza, tmp_path: Path) -> None:
    absent, folder, picture = tmp_path / "absent.yaml", tmp_path / "folder.yaml", tmp_path / "picture.yaml"
    folder.mkdir()
    picture.write_bytes(b"\x89PNG")
    told = [rakeeza("asset", "import", str(path)).err for path in (absent, folder, picture)]
    assert told[0] == f"rakeeza: {absent}: There is no such file. Name another.\n"
    assert told[1] == (
        f"rakeeza: {folder}: The file cannot be read (Is a directory). Name a readable file.\n"
    )
    assert told[2].endswith("Save it as UTF-8.\n")
