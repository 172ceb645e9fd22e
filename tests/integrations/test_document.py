"""The licence on paper, judged by other people's readers: poppler, zbar and PDFium."""

import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import pypdfium2  # type: ignore[import-untyped] # it ships no types
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.definitions import Bilingual
from foundation.errors import InvalidInput, RakeezaError, SettingsError, TooLarge
from foundation.settings import Licences
from foundation.wire import qr_reader
from foundation.wire.credential import KeySet, LicenceClaims, SigningKey, Status, open_credential, seal
from integrations.licences.document import LicenceDocument, Line, Unprintable, render

FONTS = Licences().fonts
KEY = SigningKey.generate("sample")
CLAIMS = LicenceClaims(
    number="2026-004512",
    service="shop_licence",
    title=Bilingual(ar="رخصة محل تجاري", en="Commercial shop licence"),
    municipality="sample",
    valid_from=date(2026, 11, 22),
    valid_to=date(2027, 11, 21),
    issued_at=datetime(2026, 11, 22, 9, 30, tzinfo=UTC),
    public={"trade_name": "مخبز الأحمدي للحلويات"},
)


def line(label_ar: str, label_en: str, ar: str, en: str | None = None) -> Line:
    return Line(Bilingual(ar=label_ar, en=label_en), Bilingual(ar=ar, en=en or ar))


LICENCE = LicenceDocument(
    number=CLAIMS.number,
    title=CLAIMS.title,
    municipality=Bilingual(ar="أمانة نموذجية", en="Sample Municipality"),
    lines=(
        line("الاسم التجاري", "Trade name", "مخبز الأحمدي للحلويات"),
        line("النشاط", "Activity", "بيع الخبز بالتجزئة", "Retail sale of bread"),
        line("رقم السجل التجاري", "Commercial register", "4030123456"),
        line("الموقع", "Location", "حي الروضة، قطعة 2026-004/12، شارع الأمير سلطان", "Plot 2026-004/12"),
    ),
    issued_at=CLAIMS.issued_at,
    valid_from=CLAIMS.valid_from,
    valid_to=CLAIMS.valid_to,
    credential=seal(CLAIMS, KEY),
    verify_url="https://licences.example.gov.sa/verify/",
)


def named(trade_name: str) -> LicenceDocument:
    return replace(LICENCE, lines=(line("الاسم التجاري", "Trade name", trade_name), *LICENCE.lines[1:]))


def run(*command: str | Path) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def extracted(pdf: bytes, folder: Path) -> str:
    """The text as poppler copies it, in logical order, without its marks of direction."""
    file = folder / "licence.pdf"
    file.write_bytes(pdf)
    return re.sub("[\u200b\u200e\u200f\u202a-\u202e]", "", run("pdftotext", file, "-"))


def test_poppler_copies_arabic_in_logical_order(tmp_path: Path) -> None:
    text = extracted(render(LICENCE, FONTS), tmp_path)
    for expected in (
        "رخصة محل تجاري",
        "Commercial shop licence",
        "أمانة نموذجية",
        "Sample Municipality",
        "مخبز الأحمدي للحلويات",
        "Retail sale of bread",
        "4030123456",
        # Poppler orders the pieces of a mixed line by the direction of most of the page; each piece is right.
        "حي الروضة",
        "قطعة",
        "2026-004/12",
        "شارع الأمير سلطان",
        "سارية إلى",
        "جمادى الآخرة",
        "22 November 2026",
        "12 Jumada al-Akhirah 1448 AH",
        "https://licences.example.gov.sa/verify/",
    ):
        assert expected in text
    assert re.search(r"^2026-004512$", text, re.MULTILINE)


def seen(pdf: bytes) -> list[str]:
    """The lines as an eye sees them: letters from left to right by their place on the page."""
    rows: dict[int, list[tuple[float, str]]] = {}
    with pypdfium2.PdfDocument(pdf) as document:
        page = document[0].get_textpage()
        for i in range(page.count_chars()):
            # The loose box is as high as the font: the same for a digit and a hyphen.
            left, bottom, right, _ = page.get_charbox(i, loose=True)
            if right > left:
                rows.setdefault(round(bottom), []).append((left, page.get_text_range(i, 1)))
    return ["".join(letter for _, letter in sorted(row)) for row in rows.values()]


@pytest.mark.parametrize("number", ["2026-004512", "77/88-99", "+966 50 123 4567", "A-12/7"])
def test_a_number_inside_arabic_does_not_turn_round(number: str) -> None:
    # In a right-to-left line without isolation 2026-004512 shows as 004512-2026.
    lines = seen(render(named(f"مجمع {number} الشرقي"), FONTS))
    (line,) = [row for row in lines if "يقرشلا" in row]
    assert f"يقرشلا {number} عمجم" in line


def test_the_code_on_the_printed_page_is_read_by_zbar_and_verifies(tmp_path: Path) -> None:
    file = tmp_path / "licence.pdf"
    file.write_bytes(render(LICENCE, FONTS))
    run("pdftoppm", "-r", "200", "-gray", "-png", "-singlefile", file, tmp_path / "page")
    text = run("zbarimg", "--quiet", "--raw", tmp_path / "page.png").removesuffix("\n")
    opened = open_credential(text, KeySet([KEY.public]), today=date(2026, 12, 1))
    assert opened.claims == CLAIMS
    assert opened.status is Status.VALID
    assert qr_reader.read(file.read_bytes()) == [text]


def test_it_is_one_a4_page_with_title_language_and_tags(tmp_path: Path) -> None:
    pdf = render(LICENCE, FONTS)
    file = tmp_path / "licence.pdf"
    file.write_bytes(pdf)
    facts = run("pdfinfo", file)
    assert re.search(r"Pages: +1$", facts, re.MULTILINE)
    assert "(A4)" in facts
    assert re.search(r"Title: +رخصة محل تجاري 2026-004512 – Commercial shop licence", facts)
    assert re.search(r"Author: +أمانة نموذجية, Sample Municipality", facts)
    assert re.search(r"Tagged: +yes", facts)
    assert re.search(rb"/Type/Catalog\b[^>]*/Lang\(ar-SA\)", pdf)


def test_it_declares_the_archive_and_the_accessibility_standard(tmp_path: Path) -> None:
    file = tmp_path / "licence.pdf"
    file.write_bytes(render(LICENCE, FONTS))
    metadata = run("pdfinfo", "-meta", file)
    assert re.search(r"pdfaid:part>2<.*pdfaid:conformance>A<", metadata)
    assert re.search(r"pdfuaid:part>1<", metadata)


def test_the_tags_give_a_screen_reader_heading_table_and_picture(tmp_path: Path) -> None:
    file = tmp_path / "licence.pdf"
    file.write_bytes(render(LICENCE, FONTS))
    output = subprocess.run(["pdfinfo", "-struct", file], capture_output=True, check=True).stdout
    structure = output.decode("utf-8", "replace")
    for tag in ("H1", "Table", "Figure"):
        assert re.search(rf"^ *{tag}\b", structure, re.MULTILINE)


def test_every_font_is_amiri_and_embedded(tmp_path: Path) -> None:
    file = tmp_path / "licence.pdf"
    file.write_bytes(render(LICENCE, FONTS))
    rows = run("pdffonts", file).splitlines()[2:]
    assert rows
    for row in rows:
        assert re.match(r"[A-Z]{6}\+Amiri-(Regular|Bold) .* yes yes yes ", row)


@pytest.mark.parametrize(
    "name",
    [
        '#eval("1+1")',
        "#panic()",
        "$x$ *bold* _it_ `code`",
        '"] } #read("/etc/passwd") {[ "',
        r"\u{41} \ // no comment /* */",
        "@ref <label> = - + ~ ---",
    ],
)
def test_markup_in_a_name_prints_literally(name: str, tmp_path: Path) -> None:
    assert name in extracted(render(named(name), FONTS), tmp_path)


def outside(pdf: bytes, folder: Path) -> list[str]:
    """Words that leave the frame, which is 11 mm from the edge of the paper."""
    file = folder / "licence.pdf"
    file.write_bytes(pdf)
    margin, width, height = 11 / 25.4 * 72, 595.276, 841.89
    boxes = re.findall(
        r'xMin="([-\d.]+)" yMin="([-\d.]+)" xMax="([-\d.]+)" yMax="([-\d.]+)">(.*?)<',
        run("pdftotext", "-bbox", file, "-"),
    )
    assert boxes
    return [
        word
        for x1, y1, x2, y2, word in boxes
        if float(x1) < margin
        or float(x2) > width - margin
        or float(y1) < margin
        or float(y2) > height - margin
    ]


@pytest.mark.parametrize(
    "licence",
    [
        LICENCE,
        named("مؤسسة عبدالرحمن بن عبدالعزيز آل الشيخ وإخوانه للتجارة والمقاولات العامة " * 4),
        named("Pneumonoultramicroscopicsilicovolcanoconiosis" * 5),
        named("مستشفى" * 40),
        named("2026-004512/" * 20),
        replace(LICENCE, title=Bilingual(ar="رخصة " * 40, en="Licence " * 40)),
        replace(LICENCE, municipality=Bilingual(ar="أمانة المنطقة " * 12, en="Municipality " * 16)),
        replace(LICENCE, number="2026-" + "004512" * 12),
        replace(LICENCE, lines=LICENCE.lines * 3),
        replace(LICENCE, lines=LICENCE.lines * 2, version=1234, copy=99),
        replace(LICENCE, verify_url="https://licences.example.gov.sa/" + "path" * 60),
        replace(LICENCE, lines=(), verify_url=None),
    ],
    ids=[
        "usual",
        "long",
        "Latin word",
        "Arabic word",
        "token",
        "title",
        "municipality",
        "number",
        "lines",
        "marks",
        "URL",
        "bare",
    ],
)
def test_long_texts_wrap_or_shrink_and_stay_in_the_frame_of_one_page(
    licence: LicenceDocument, tmp_path: Path
) -> None:
    pdf = render(licence, FONTS)
    assert outside(pdf, tmp_path) == []
    with pypdfium2.PdfDocument(pdf) as document:
        assert len(document) == 1
    assert qr_reader.read(pdf) == [licence.credential]


def test_what_cannot_fit_is_refused_by_name() -> None:
    with pytest.raises(TooLarge, match="2026-004512: The text of the licence does not fit"):
        render(replace(LICENCE, lines=LICENCE.lines * 20), FONTS)
    with pytest.raises(TooLarge, match="name of the municipality does not fit"):
        render(replace(LICENCE, municipality=Bilingual(ar="أمانة " * 200, en="x")), FONTS)
    with pytest.raises(TooLarge, match="QR"):
        render(replace(LICENCE, credential="A" * 2000), FONTS)


@pytest.mark.parametrize("letter", ["😀", "中", "ह", "\u202e", "\u0000", "\u200b", "\ue000", "\ud800"])
def test_a_letter_that_cannot_be_shown_is_named(letter: str) -> None:
    with pytest.raises(Unprintable, match=re.escape(letter) if letter.isprintable() else r"U\+") as caught:
        render(named(f"مخبز {letter} الفرح"), FONTS)
    assert str(caught.value).isprintable()


letters = st.characters(codec="utf-8", categories=("L", "M", "N", "P", "S", "Z", "Cc", "Cf"))
ours = st.characters(min_codepoint=0x0600, max_codepoint=0x06FF) | st.characters(max_codepoint=0x17F)


@settings(deadline=None, max_examples=40)
@given(st.text(ours, max_size=120) | st.text(letters, max_size=20))
def test_any_name_gives_one_page_or_a_named_error(name: str) -> None:
    try:
        pdf = render(named(name), FONTS)
    except RakeezaError as error:
        refusal: RakeezaError | None = error
    else:
        refusal = None
        with pypdfium2.PdfDocument(pdf) as document:
            assert len(document) == 1
    assert refusal is None or isinstance(refusal, Unprintable | TooLarge)


def test_the_same_licence_gives_the_same_bytes_in_every_thread() -> None:
    with ThreadPoolExecutor(4) as pool:
        made = set(pool.map(lambda _: render(LICENCE, FONTS), range(8)))
    assert len(made) == 1


def test_missing_fonts_name_the_package_that_has_them(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"does not exist.*fonts-hosny-amiri"):
        render(LICENCE, tmp_path / "none")
    with pytest.raises(SettingsError, match=r"no font Amiri.*fonts-hosny-amiri"):
        render(LICENCE, tmp_path)


def test_fonts_installed_after_a_failure_are_found(tmp_path: Path) -> None:
    folder = tmp_path / "fonts"
    with pytest.raises(SettingsError):
        render(LICENCE, folder)
    folder.mkdir()
    with pytest.raises(SettingsError):
        render(LICENCE, folder)
    for font in FONTS.glob("Amiri-*.ttf"):
        (folder / font.name).symlink_to(font)
    assert render(LICENCE, folder) == render(LICENCE, FONTS)


def test_a_later_version_and_a_copy_say_so_in_both_languages(tmp_path: Path) -> None:
    pdf = render(replace(LICENCE, version=3, copy=2), FONTS)
    words = extracted(pdf, tmp_path)
    # poppler sets a number that ends an Arabic line before it.
    for expected in ("الإصدار رقم", "Version 3", "نسخة بدل فاقد رقم", "Replacement copy 2"):
        assert expected in words
    plain = extracted(render(LICENCE, FONTS), tmp_path)
    assert "Version" not in plain
    assert "نسخة" not in plain


def test_a_date_outside_the_hijri_table_is_refused() -> None:
    with pytest.raises(InvalidInput, match="Umm al-Qura"):
        render(replace(LICENCE, valid_to=date(2090, 1, 1)), FONTS)
