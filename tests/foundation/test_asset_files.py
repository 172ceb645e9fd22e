from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from foundation import audit
from foundation.asset import parse_asset
from foundation.asset_files import read_rows, write_rows
from foundation.asset_kinds import RULES
from foundation.assets import Asset, Assets
from foundation.database import Database
from foundation.errors import InvalidInput, NotFound

INVENTORY = """\
assets:
  - name: pdu-1
    kind: pdu
    parent: rack-1
    links: {powers: [server-1]}
  - name: coast
    kind: municipality
    title: {ar: بلدية الساحل, en: Coast Municipality}
    attributes: {fee_class: 2}
  - name: dc
    kind: site
    title: {ar: مركز البيانات, en: Data centre}
    parent: coast
    attributes: {latitude: 21.4858, longitude: 39.1925}
  - name: rack-1
    kind: rack
    parent: dc
  - name: server-1
    kind: host
    parent: rack-1
    attributes:
      ansible_host: 10.0.0.5
      ansible_port: 2222
      serial_number: 0123456
      snmp_address: 10.0.0.5:161
      snmp_community_secret: public
"""

ASSETS = Assets()


def _write(path: Path, content: str) -> Path:
    path.write_text(content, encoding="utf-8")
    return path


def _import(database: Database, path: Path) -> Any:
    with database.transaction() as session:
        return ASSETS.import_file(session, path, actor="cli/test")


def _get(database: Database, name: str) -> Asset:
    with database.transaction() as session:
        return ASSETS.get(session, name)


def _asset(name: str, kind: str, parent: str | None = None, **more: Any) -> Asset:
    title = {"ar": "عنوان", "en": name}
    return parse_asset({"name": name, "kind": kind, "title": title, "parent": parent, **more})


@pytest.fixture
def filled(database: Database, tmp_path: Path) -> Database:
    _import(database, _write(tmp_path / "filled.yaml", INVENTORY))
    return database


def test_a_second_import_of_the_same_file_changes_nothing(filled: Database, tmp_path: Path) -> None:
    path = _write(tmp_path / "again.yaml", INVENTORY)
    again = _import(filled, path)
    assert (again.added, again.changed, len(again.unchanged)) == ((), (), 5)
    path.write_text(INVENTORY.replace("2222", "22"), encoding="utf-8")
    third = _import(filled, path)
    assert (third.added, third.changed, len(third.unchanged)) == ((), ("server-1",), 4)
    assert _get(filled, "server-1").version == 2


@pytest.mark.parametrize("form", ["yaml", "csv"])
def test_an_export_reads_back_to_the_same(filled: Database, tmp_path: Path, form: str) -> None:
    with filled.transaction() as session:
        written = ASSETS.export(session, form)
        before = [asset.plain() for asset in ASSETS.list(session)]
    path = _write(tmp_path / f"inventory.{form}", written)
    assert len(_import(filled, path).unchanged) == 5
    with filled.transaction() as session:
        session.execute(text("TRUNCATE asset, asset_link"))
    assert len(_import(filled, path).added) == 5
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
        _asset(f"s{n}", "site", title={"ar": ar, "en": en}, attributes={"postal_address": postal}).plain()
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
    assert _import(database, path).added == ("coast", "north")
    assert _get(database, "coast").title.ar == "بلدية; الساحل"


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
        _import(database, _write(tmp_path / "wrong.yaml", wrong))
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
        _import(database, _write(tmp_path / "wrong.csv", written))
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
        _import(database, _write(tmp_path / name, content))


def test_a_file_that_cannot_be_read_is_refused(database: Database, tmp_path: Path) -> None:
    with pytest.raises(NotFound, match=r"absent\.yaml"):
        _import(database, tmp_path / "absent.yaml")
    (tmp_path / "latin.csv").write_bytes(b"name,kind\n\xe9,host\n")
    with pytest.raises(InvalidInput, match="Save it as UTF-8"):
        _import(database, tmp_path / "latin.csv")
