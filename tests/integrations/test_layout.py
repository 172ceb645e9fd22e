"""The layout of a paper as the definition says it, and the page that comes of it."""

import re
import subprocess
from dataclasses import replace
from pathlib import Path
from textwrap import indent
from typing import Any

import pypdfium2  # type: ignore[import-untyped] # it ships no types
import pytest

from foundation.definitions import Bilingual, parse_yaml
from foundation.errors import DefinitionError
from foundation.wire import qr_reader
from foundation.wire.paper_certificates import PaperCertificates
from foundation.wire.paper_check import PaperAnswer, check_paper
from integrations.form import ListField, PlainField, TextField
from integrations.licences.document import LicenceDocument, Line, Part, TablePart, render
from integrations.licences.layout import laid_out, notes_of, parts_of
from integrations.licences.paper_signature import sign
from integrations.service import Service, load_service
from tests.integrations.definition_texts import PRODUCT
from tests.integrations.paper_signing import NOW, paper_keys
from tests.integrations.test_document import CLAIMS, FONTS, LICENCE, extracted, line, outside, run

DEFINITION = Path(__file__).parent / "definitions" / "sign_permit.yaml"
HOLDER = {"name": "نورة بنت عبدالعزيز القحطاني", "identifier": "1058529940"}
BOARDS = [
    {"title": "عرض الافتتاح", "kind": "banner", "height_m": 1.5, "width_m": 3, "area_m2": 4.5},
    {"title": "Sale 50%", "kind": "screen", "height_m": 2, "width_m": 1, "area_m2": 2},
]
FORM: dict[str, Any] = {"zone": "main", "commercial_register": "4030123456", "boards": BOARDS}
DOCUMENT = """
sections:
  - {title: {ar: المنشأة, en: Establishment}, pairs: [commercial_register, zone]}
  - {title: {ar: المرخص له, en: Holder}, lines: [applicant.name, applicant.identifier, parent.number]}
  - {title: {ar: اللوحات, en: Boards}, table: boards, columns: [title, kind, height_m]}
notes:
  - {ar: لا تُثبَّت لوحة على نافذة., en: No board is fixed to a window.}
"""


def service(document: str = DOCUMENT, parent: bool = True) -> Service:
    """The sign permit with another paper."""
    text = DEFINITION.read_text(encoding="utf-8")
    head, _ = text.split("\ndocument: ")
    if not parent:
        head = re.sub(r"^parent: .*\n", "", head, flags=re.MULTILINE)
    return parse_yaml(f"{head}\ndocument:\n{indent(document, '  ')}", "sign_permit.yaml", Service)


def test_sections_show_fields_pairs_and_rows_in_the_order_of_the_definition() -> None:
    layout = laid_out(service(), FORM, HOLDER, "SL-2026-000001")
    pairs, lines, table = parts_of(layout)
    assert isinstance(pairs, Part)
    assert pairs.title == Bilingual(ar="المنشأة", en="Establishment")
    assert pairs.paired
    assert [(one.label.en, one.value.en) for one in pairs.lines] == [
        ("Commercial register number", "4030123456"),
        ("Class of street", "Main street"),
    ]
    assert isinstance(lines, Part)
    assert not lines.paired
    assert [one.value.ar for one in lines.lines] == [HOLDER["name"], "1058529940", "SL-2026-000001"]
    assert isinstance(table, TablePart)
    # The unit of a measure stands above its column, once.
    assert [column.en for column in table.columns] == ["Name of the board", "Kind", "Height (m)"]
    assert [[cell.ar for cell in row] for row in table.rows] == [
        ["عرض الافتتاح", "لافتة قماشية", "1.5"],
        ["Sale 50%", "شاشة", "2"],
    ]
    assert [note.en for note in notes_of(layout)] == ["No board is fixed to a window."]


def test_what_was_left_empty_leaves_no_title_behind() -> None:
    form = {"commercial_register": "4030123456", "boards": []}
    parts = parts_of(laid_out(service(), form, HOLDER, None))
    assert [part.title.en for part in parts if part.title] == ["Establishment", "Holder"]
    assert isinstance(parts[1], Part)
    assert len(parts[1].lines) == 2


def test_lines_alone_are_one_part_without_a_title() -> None:
    (part,) = parts_of(laid_out(load_service(DEFINITION), FORM, HOLDER, None))
    assert isinstance(part, Part)
    assert part.title is None
    assert [one.label.en for one in part.lines] == [
        "Class of street",
        "Boards",
        "Commercial register number",
        "Holder",
    ]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("{}", "either lines or sections"),
        ("{lines: zone, sections: [{title: {ar: ا, en: A}, lines: boards}]}", "either lines or sections"),
        ("{sections: [{lines: zone}]}", "each section has a title"),
        ("{sections: [{title: {ar: ا, en: A}}]}", "exactly one of lines, pairs and table"),
        ("{sections: [{title: {ar: ا, en: A}, lines: zone, table: boards}]}", "exactly one of"),
        ("{sections: [{title: {ar: ا, en: A}, lines: zone, columns: title}]}", "columns are a table's"),
        ("{sections: [{title: {ar: ا, en: A}, table: zone}]}", "'zone' is no list"),
        ("{sections: [{title: {ar: ا, en: A}, table: boards, columns: colour}]}", "'colour' is no field"),
        ("{sections: [{title: {ar: ا, en: A}, table: boards, columns: [kind, kind]}]}", "stands twice"),
        ("{sections: [{title: {ar: ا, en: A}, lines: [zone]}, {title: {ar: ب, en: B}, pairs: zone}]}",
         "'zone' stands twice"),
        ("{lines: [zone, zone]}", "'zone' stands twice"),
        ("{lines: colour}", "'colour' is no field"),
        ("{lines: applicant.mobile}", "'applicant.mobile' is no field"),
    ],
)  # fmt: skip
def test_a_paper_that_cannot_be_laid_out_is_refused_at_its_line(document: str, said: str) -> None:
    with pytest.raises(DefinitionError, match=re.escape(said)) as caught:
        service(document)
    assert caught.value.fields[0].pointer.startswith("/document")


def test_only_what_hangs_on_another_shows_its_number() -> None:
    with pytest.raises(DefinitionError, match=re.escape("'parent.number' is no field")):
        service("{lines: [zone, parent.number]}", parent=False)


def table(rows: int) -> TablePart:
    """Boards, so many."""
    columns = (
        Bilingual(ar="اسم اللوحة", en="Name"),
        Bilingual(ar="النوع", en="Kind"),
        Bilingual(ar="الارتفاع (م)", en="Height (m)"),
    )
    cells = tuple(
        (
            Bilingual(ar=f"لوحة الأحمدي رقم {row}", en=f"لوحة الأحمدي رقم {row}"),
            Bilingual(ar="لافتة قماشية", en="Banner"),
            Bilingual(ar=f"{row / 4}", en=f"{row / 4}"),
        )
        for row in range(1, rows + 1)
    )
    return TablePart(Bilingual(ar="اللوحات", en="Boards"), columns, cells)


PAIRS = Part(
    Bilingual(ar="العنوان", en="Address"),
    (
        line("الحي", "District", "حي الروضة"),
        line("رقم المبنى", "Building number", "7214"),
        line("رقم السجل التجاري للمنشأة", "Commercial register number", "4030-123456"),
    ),
    paired=True,
)
NOTE = Bilingual(ar="لا يمارس المحل نشاطًا غير المدوَّن فيها.", en="No other activity may be carried on.")
FULL: LicenceDocument = replace(LICENCE, lines=(), parts=(PAIRS, table(3)), notes=(NOTE, NOTE))


def pages(pdf: bytes) -> int:
    with pypdfium2.PdfDocument(pdf) as document:
        return len(document)


def test_a_short_table_and_notes_stand_on_the_page(tmp_path: Path) -> None:
    pdf = render(FULL, FONTS)
    assert pages(pdf) == 1
    assert outside(pdf, tmp_path) == []
    text = extracted(pdf, tmp_path)
    for expected in (
        "العنوان",
        "Address",
        "حي الروضة",
        "7214",
        "4030-123456",
        "اللوحات",
        "Boards",
        "لوحة الأحمدي",
        "لافتة قماشية",
        "Banner",
        "0.75",
        "الاشتراطات",
        "Conditions",
        "No other activity may be carried on.",
    ):
        assert expected in text


@pytest.mark.parametrize("rows", [6, 40, 200])
def test_a_long_table_is_an_annex_whose_pages_say_whose_they_are(rows: int, tmp_path: Path) -> None:
    pdf = render(replace(FULL, parts=(PAIRS, table(rows)), notes=(NOTE,) * 8), FONTS)
    count = pages(pdf)
    assert count >= 2
    assert outside(pdf, tmp_path) == []
    file = tmp_path / "licence.pdf"
    first = run("pdftotext", "-l", "1", file, "-")
    assert "see the annex" in first
    assert "Conditions" not in first
    found = []
    for page in range(2, count + 1):
        text = re.sub(
            "[\u200e\u200f\u202a-\u202e]", "", run("pdftotext", "-f", str(page), "-l", str(page), file, "-")
        )
        assert LICENCE.number in text
        assert re.search(rf"^{page} ?/ ?{count}$", text, re.MULTILINE)
        assert "Annex to" in text
        found += re.findall(r"^(\d+(?:\.\d+)?)$", text, re.MULTILINE)
    assert {str(row / 4) for row in range(1, rows + 1)} <= set(found)
    assert qr_reader.read(pdf) == [LICENCE.credential]


def test_a_paper_with_an_annex_is_signed_and_checked_as_one(tmp_path: Path) -> None:
    key = paper_keys(tmp_path).current()
    pdf = sign(render(replace(FULL, parts=(PAIRS, table(40))), FONTS), key, NOW)
    assert check_paper(pdf, PaperCertificates([key.certificate]), CLAIMS).answer is PaperAnswer.INTACT


def test_a_screen_reader_is_given_headings_and_the_tables_own_header(tmp_path: Path) -> None:
    file = tmp_path / "licence.pdf"
    file.write_bytes(render(FULL, FONTS))
    told = subprocess.run(["pdfinfo", "-struct", file], capture_output=True, check=True).stdout
    structure = told.decode("utf-8", "replace")
    for tag in ("H1", "H2", "Table", "THead", "TH", "Figure"):
        assert re.search(rf"^ *{tag}\b", structure, re.MULTILINE)


def test_the_number_of_a_pair_does_not_turn_round() -> None:
    pdf = render(FULL, FONTS)
    with pypdfium2.PdfDocument(pdf) as document:
        text = document[0].get_textpage()
        places = [
            (text.get_charbox(i)[0], text.get_text_range(i, 1))
            for i in range(text.get_text_range().index("4030"), text.get_text_range().index("4030") + 11)
        ]
    assert "".join(letter for _, letter in sorted(places)) == "4030-123456"


WIDE = Bilingual(ar="كلمة " * 60, en="word " * 60)


def many(count: int) -> tuple[Line, ...]:
    return tuple(line(f"الحقل {n}", f"Field {n}", f"قيمة الحقل رقم {n}") for n in range(count))


@pytest.mark.parametrize(
    "licence",
    [
        replace(LICENCE, lines=(), parts=tuple(replace(PAIRS, lines=many(8)) for _ in range(4))),
        replace(LICENCE, lines=(), parts=(Part(PAIRS.title, many(16)),)),
        replace(LICENCE, lines=many(3), parts=(PAIRS,) * 3, notes=(NOTE,) * 3, version=3, copy=2),
        replace(FULL, parts=(replace(table(5), rows=((WIDE,) * 3,) * 3),)),
    ],
    ids=["pairs", "lines", "all", "wide cells"],
)  # fmt: skip
def test_much_stays_on_one_page_within_the_frame(licence: LicenceDocument, tmp_path: Path) -> None:
    pdf = render(licence, FONTS)
    assert pages(pdf) == 1
    assert outside(pdf, tmp_path) == []


SERVICES = sorted(PRODUCT.glob("*.yaml"))


def longest(field: PlainField) -> Any:
    """A value of a field that takes as much room as any."""
    example = field.json_schema()["examples"][0]
    if isinstance(field, ListField):
        return [{name: longest(each) for name, each in field.row.items()}] * field.max_rows
    if isinstance(field, TextField) and field.pattern is None:
        return ("شركة عبدالرحمن بن عبدالعزيز آل الشيخ وإخوانه للتجارة والمقاولات " * 20)[
            : field.max_length
        ].strip()
    return example


@pytest.mark.parametrize("definition", SERVICES, ids=[each.stem for each in SERVICES])
def test_the_longest_form_of_each_kind_is_printed(definition: Path, tmp_path: Path) -> None:
    service = load_service(definition)
    form = {name: longest(field) for name, field in service.licence_fields.items()}
    holder = {**HOLDER, "name": "عبدالرحمن بن عبدالعزيز " * 5}
    layout = laid_out(service, form, holder, "SL-2026-000001")
    paper = replace(
        LICENCE,
        title=service.licence_title,
        lines=(),
        parts=parts_of(layout),
        notes=notes_of(layout),
        version=12,
        copy=3,
    )
    pdf = render(paper, FONTS)
    assert outside(pdf, tmp_path) == []
    rows = max([len(part.rows) for part in paper.parts if isinstance(part, TablePart)], default=0)
    assert pages(pdf) == 1 if rows <= 5 else pages(pdf) > 1
    assert smallest_print(pdf) >= 4.5


def smallest_print(pdf: bytes) -> float:
    """Size of the smallest letters, in points."""
    with pypdfium2.PdfDocument(pdf) as document:
        text = document[0].get_textpage()
        return min(
            float(pypdfium2.raw.FPDFText_GetFontSize(text.raw, index))
            for index in range(text.count_chars())
            if text.get_text_range(index, 1).strip()
        )
