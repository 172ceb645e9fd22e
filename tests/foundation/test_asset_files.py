from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from foundation import audit
from foundation.asset import parse_asset
from foundation.asset_files import read_rows, write_rows
from foundation.asset_kinds import RULES
from foundation.database import Database
from foundation.errors import InvalidInput, NotFound
from tests.foundation.inventory import ASSETS, INVENTORY, asset, get, imported, write


@pytest.fixture
def filled(database: Database, tmp_path: Path) -> Database:
    imported(database, write(tmp_path / "filled.yaml", INVENTORY))
    return database


def test_a_second_import_of_the_same_file_changes_nothing(filled: Database, tmp_path: Path) -> None:
    path = write(tmp_path / "again.yaml", INVENTORY)
    again = imported(filled, path)
    assert (again.added, again.changed, len(again.unchanged)) == ((), (), 5)
    path.write_text(INVENTORY.replace("2222", "22"), encoding="utf-8")
    third = imported(filled, path)
    assert (third.added, third.changed, len(third.unchanged)) == ((), ("server-1",), 4)
    assert get(filled, "server-1").version == 2


@pytest.mark.parametrize("form", ["yaml", "csv"])
def test_an_export_reads_back_to_the_same(filled: Database, tmp_path: Path, form: str) -> None:
    with filled.transaction() as session:
        written = ASSETS.export(session, form)
        before = [asset.plain() for asset in ASSETS.list(session)]
    path = write(tmp_path / f"inventory.{form}", written)
    assert len(imported(filled, path).unchanged) == 5
    with filled.transaction() as session:
        session.execute(text("TRUNCATE asset, asset_link"))
    assert len(imported(filled, path).added) == 5
    with filled.transaction() as session:
        assert [asset.plain() for asset in ASSETS.list(session)] == before


_LINE = (
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1)
    .map(str.strip)
    .filter(bool)
)


@given(st.lists(st.tuples(_LINE, _LINE, _LINE), min_size=1, max_size=4), st.sampled_from(["yaml", "csv"]))
@settings(max_examples=100, deadline=None)
def test_any_text_survives_a_file(
    tmp_path_factory: pytest.TempPathFactory, texts: list[tuple[str, str, str]], form: str
) -> None:
    rows = [
        asset(f"s{n}", "site", title={"ar": ar, "en": en}, attributes={"postal_address": postal}).plain()
        for n, (ar, en, postal) in enumerate(texts)
    ]
    path = _write_bytes(tmp_path_factory.getbasetemp() / f"texts.{form}", write_rows(rows, form))
    assert [parse_asset(row.data).plain() for row in read_rows(path)] == rows


def _write_bytes(path: Path, content: str) -> Path:
    path.write_bytes(content.encode())
    return path


def test_a_spreadsheets_csv_is_read(database: Database, tmp_path: Path) -> None:
    written = (
        "\ufeffname;kind;title_ar;title_en;parent;fee_class\r\n"
        'coast;municipality;"بلدية; الساحل";"Coast\tCity";;3\r\n\r\n'
        "north;municipality;بلدية الشمال;North;coast;5\r\n"
    )
    path = _write_bytes(tmp_path / "a.csv", written.replace("\t", " "))
    assert imported(database, path).added == ("coast", "north")
    assert get(database, "coast").title.ar == "بلدية; الساحل"


def test_every_wrong_row_is_named_with_its_line_and_nothing_is_imported(
    database: Database, tmp_path: Path
) -> None:
    wrong = (
        INVENTORY.replace("fee_class: 2", "fee_class: 7")
        .replace("kind: rack\n", "kind: wreck\n")
        .replace("ansible_port: 2222", "ansible_prot: 2222")
        .replace("kind: site", "kind: site\n    color: red")
        .replace("parent: rack-1\n    links", "parent: rack-9\n    links")
    )
    with pytest.raises(InvalidInput) as caught:
        imported(database, write(tmp_path / "wrong.yaml", wrong))
    found = [(field.line, field.detail) for field in caught.value.fields]
    assert found == [
        (4, "pdu-1: there is no asset 'rack-9'"),
        (9, "coast: /attributes/fee_class should be less than or equal to 5"),
        (12, "dc: /color is unknown for this kind"),
        (17, f"rack-1: /kind should be one of {', '.join(RULES)}, not 'wreck'"),
        (24, "server-1: /attributes/ansible_prot is unknown for this kind"),
    ]
    assert caught.value.place.endswith("wrong.yaml:4")
    with database.transaction() as session:
        assert ASSETS.list(session) == []
        assert audit.entries(session) == []


def test_wrong_rows_of_a_csv_are_named_with_their_lines(database: Database, tmp_path: Path) -> None:
    written = (
        "name,kind,title_ar,title_en,parent,fee_class,powers\n"
        'coast,municipality,"بلدية\nالساحل",Coast,,1,\n'
        "north,municipality,بلدية,North,,,\n"
        "north,municipality,بلدية,North,,1,\n"
        "ups,ups,,,dc,,ups north2\n"
    )
    with pytest.raises(InvalidInput) as caught:
        imported(database, write(tmp_path / "wrong.csv", written))
    assert [(field.line, field.detail) for field in caught.value.fields] == [
        (2, "coast: /title/ar should be one line of printable text"),
        (4, "north: /attributes/fee_class is missing"),
        (5, "north: stands in line 4 already"),
        (6, "ups: there is no asset 'dc'"),
        (6, "ups: there is no asset 'north2'"),
        (6, "ups: it powers itself"),
    ]


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.yaml", "assets: [1]\n", "a.yaml:1: /assets/0"),
        ("a.yaml", "assets:\n  - {name: [x], kind: [y]}\n", "a.yaml:2: .*kind should be one of"),
        ("a.yaml", "{", "a.yaml:2: This is not YAML"),
        ("a.csv", "name,kind,colour\n", "a.csv:1: The column 'colour' is no column"),
        ("a.csv", "name\n", "a.csv:1: The column 'kind' is missing"),
        ("a.csv", "name,kind,kind\n", "a.csv:1: The column 'kind' stands twice"),
        ("a.csv", "", "a.csv:1: The column 'name' is missing"),
        ("a.csv", "name,kind\na,host,x\n", "a.csv:2: The row has 3 cells under 2 columns"),
        ("a.csv", 'name,kind\n"a,host\n', "a.csv:2: This is not CSV"),
        ("a.txt", "", "ending '.txt' is not known"),
    ],
)
def test_a_file_that_is_no_inventory_is_refused_with_its_place(
    database: Database, tmp_path: Path, name: str, content: str, sentence: str
) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        imported(database, write(tmp_path / name, content))


def test_a_file_that_cannot_be_read_is_refused(database: Database, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"absent\.yaml"):
        imported(database, tmp_path / "absent.yaml")
    (tmp_path / "latin.csv").write_bytes(b"name,kind\n\xe9,host\n")
    with pytest.raises(InvalidInput, match="Save it as UTF-8"):
        imported(database, tmp_path / "latin.csv")
