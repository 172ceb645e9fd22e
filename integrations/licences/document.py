"""The licence on paper: one A4 page, Arabic beside English, with the code that proves it; long tables and
notes follow as an annex.

The page is a typst template. What is printed reaches it as JSON data, never as source, so a trade name such
as `#panic()` prints as it is written. The PDF is PDF/A-2a and PDF/UA-1: it can be archived, and read aloud.
"""

import json
import re
import unicodedata
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import typst

from foundation.calendar import format_date, today
from foundation.definitions import Bilingual
from foundation.errors import InvalidInput, RakeezaError, SettingsError, TooLarge
from foundation.wire.qr import Symbol

# What is longer stands in the annex, so that the page itself stays legible from an arm's length.
_ROWS_ON_PAGE = 5
_NOTES_ON_PAGE = 420  # letters of the Arabic and the English notes together
_TEMPLATES = Path(__file__).parent / "templates"
_FAMILY = "Amiri"
_PACKAGE = "fonts-hosny-amiri"
_UNKNOWN_LETTER = re.compile('the text `"(.*)"` could not be displayed')

_ISSUED = Bilingual(ar="تاريخ الإصدار", en="Issued")
_FROM = Bilingual(ar="سارية من", en="Valid from")
_TO = Bilingual(ar="سارية إلى", en="Valid to")
_COPY = Bilingual(ar="نسخة بدل فاقد رقم {}", en="Replacement copy {}")
_IN_ANNEX = Bilingual(ar="العدد {}، انظر الملحق", en="{}, see the annex")
_VERSION = Bilingual(ar="الإصدار رقم {}", en="Version {}")


class Unprintable(InvalidInput):
    """A text has a character that the page cannot show."""


class DocumentFailed(RakeezaError):
    """The template did not compile, for a reason that is ours."""


@dataclass(frozen=True)
class Line:
    """One printed field.

    Args:
        label: its name.
        value: its text; where both languages are equal it is printed once.
    """

    label: Bilingual
    value: Bilingual


@dataclass(frozen=True)
class Part:
    """Fields under a title.

    Args:
        title: what stands above them; None prints nothing.
        lines: the fields, in order.
        paired: two stand beside each other, each under its name.
    """

    title: Bilingual | None
    lines: tuple[Line, ...]
    paired: bool = False


@dataclass(frozen=True)
class TablePart:
    """Rows of the same fields.

    Args:
        title: what stands above it.
        columns: names of the columns.
        rows: a cell for each column.
    """

    title: Bilingual | None
    columns: tuple[Bilingual, ...]
    rows: tuple[tuple[Bilingual, ...], ...]


@dataclass(frozen=True)
class LicenceDocument:
    """What the page shows.

    Args:
        number: licence number.
        title: name of the licence.
        municipality: who issues it.
        lines: the fields, in order; which they are is the service definition's business.
        issued_at: aware; also the PDF's date, so that the same licence gives the same bytes.
        valid_from: first day it is valid.
        valid_to: last day it is valid.
        credential: text of its QR code, from `foundation.wire.credential.seal`.
        verify_url: address that tells its present status; None prints none.
        version: of the licence; told from the second on.
        copy: number of the replacement copy of a lost paper; 0 is the original.
        parts: what follows the lines: fields under titles, and tables.
        notes: what the holder has to observe.
        test: it is no licence, and each page says so across all that stands on it.
    """

    number: str
    title: Bilingual
    municipality: Bilingual
    lines: tuple[Line, ...]
    issued_at: datetime
    valid_from: date
    valid_to: date
    credential: str
    verify_url: str | None = None
    version: int = 1
    copy: int = 0
    parts: tuple[Part | TablePart, ...] = ()
    notes: tuple[Bilingual, ...] = ()
    test: bool = False


def render(licence: LicenceDocument, fonts: Path) -> bytes:
    """The licence as PDF.

    Args:
        licence: what to print.
        fonts: folder with the Amiri fonts; no other font of the machine is used.

    Returns:
        One page and the annex, PDF/A-2a and PDF/UA-1. The same licence gives the same bytes.

    Raises:
        SettingsError: the folder is missing or has no Amiri.
        TooLarge: the texts do not fit on one page even in small print, or the code is too long for a QR.
        Unprintable: a text has a control character or a letter that the font lacks.
        InvalidInput: a date outside the Umm al-Qura table.
        DocumentFailed: the template failed for another reason.

    Source: ISO 19005-2 (PDF/A-2), ISO 14289-1 (PDF/UA-1).
    """
    data = _data(licence)
    try:
        pdf, found = typst.compile_with_warnings(
            _TEMPLATES / "licence.typ",
            root=_TEMPLATES,
            font_paths=_fonts(fonts),
            ignore_system_fonts=True,
            sys_inputs={"licence": json.dumps(data, ensure_ascii=False)},
            pdf_standards=["a-2a", "ua-1"],
            timestamp=int(licence.issued_at.timestamp()),
        )
    except typst.TypstError as error:
        raise _translated(error, licence.number) from error
    if found:
        # typst only warns when it replaces a font: a licence must not look different on another machine.
        raise DocumentFailed(
            f"The document was not made as designed: {found[0].message}.",
            place=licence.number,
            remedy=f"Check the template and the fonts in {fonts}.",
        )
    return pdf


@lru_cache(maxsize=4)
def _fonts(folder: Path) -> typst.Fonts:
    remedy = f"Install the Debian package {_PACKAGE}, or set licences.fonts to the folder that has them."
    if not folder.is_dir():
        raise SettingsError("The folder of fonts does not exist.", place=str(folder), remedy=remedy)
    fonts = typst.Fonts(include_system_fonts=False, include_embedded_fonts=False, font_paths=[folder])
    if _FAMILY not in fonts.families():
        raise SettingsError(f"The folder has no font {_FAMILY}.", place=str(folder), remedy=remedy)
    return fonts


def _translated(error: typst.TypstError, number: str) -> RakeezaError:
    if "does not fit" in error.message:
        what = error.message.partition("does not fit: ")[2].strip('"') or "text"
        return TooLarge(
            f"The {what} does not fit on one page.", place=number, remedy="Shorten it, or print fewer lines."
        )
    unknown = _UNKNOWN_LETTER.search(error.message)
    if unknown:
        return Unprintable(
            f"The font has no letter for {unknown[1]!r}.",
            place=number,
            remedy="Write it in Arabic or Latin letters.",
        )
    return DocumentFailed(
        f"The document could not be made: {error.message}.",
        place=number,
        remedy="Report it with the licence number; the template is at fault.",
    )


def _data(licence: LicenceDocument) -> dict[str, Any]:
    issued_on = today(now=licence.issued_at)
    notes = [_both(note) for note in licence.notes]
    annexed = sum(len(note.ar) + len(note.en) for note in licence.notes) > _NOTES_ON_PAGE
    days = ((_ISSUED, issued_on), (_FROM, licence.valid_from), (_TO, licence.valid_to))
    return {
        "number": _clean(licence.number),
        "title": _both(licence.title),
        "municipality": _both(licence.municipality),
        "marks": _marks(licence),
        "parts": [_on_page(part) for part in (Part(None, licence.lines), *licence.parts) if _filled(part)],
        "notes": [] if annexed else notes,
        "annex": [_table(part) for part in licence.parts if isinstance(part, TablePart) and _is_long(part)],
        "annex_notes": notes if annexed else [],
        "dates": [_dated(label, day) for label, day in days],
        "url": _clean(licence.verify_url) if licence.verify_url else None,
        "qr": Symbol(licence.credential).svg(),
        "test": licence.test,
    }


def _filled(part: Part | TablePart) -> bool:
    return bool(part.rows if isinstance(part, TablePart) else part.lines)


def _is_long(part: TablePart) -> bool:
    return len(part.rows) > _ROWS_ON_PAGE


def _on_page(part: Part | TablePart) -> dict[str, Any]:
    if isinstance(part, TablePart) and not _is_long(part):
        return _table(part)
    if isinstance(part, TablePart):
        count = str(len(part.rows))
        told = Bilingual(ar=_IN_ANNEX.ar.format(count), en=_IN_ANNEX.en.format(count))
        part = Part(None, (Line(part.title or Bilingual(ar="جدول", en="Table"), told),))
    lines = [{"label": _both(line.label), "value": _directed(line.value)} for line in part.lines]
    return {"kind": "pairs" if part.paired else "lines", "title": _title(part), "lines": lines}


def _table(part: TablePart) -> dict[str, Any]:
    return {
        "kind": "table",
        "title": _title(part),
        "columns": [_both(column) for column in part.columns],
        "rows": [[_directed(cell) for cell in row] for row in part.rows],
    }


def _title(part: Part | TablePart) -> dict[str, str] | None:
    return _both(part.title) if part.title else None


def _marks(licence: LicenceDocument) -> list[dict[str, str]]:
    told = []
    if licence.version > 1:
        told.append((_VERSION, licence.version))
    if licence.copy > 0:
        told.append((_COPY, licence.copy))
    return [{"ar": text.ar.format(number), "en": text.en.format(number)} for text, number in told]


def _both(text: Bilingual) -> dict[str, str]:
    return {"ar": _clean(text.ar), "en": _clean(text.en)}


def _directed(text: Bilingual) -> dict[str, dict[str, Any]]:
    # A value keeps the direction of its own letters: an English trade name stays one in the Arabic line.
    return {
        language: {"text": value, "rtl": _first_strong_is_arabic(value)}
        for language, value in _both(text).items()
    }


def _first_strong_is_arabic(text: str) -> bool:
    # Rules P2 and P3 of the Unicode Bidirectional Algorithm (UAX #9).
    strong = (unicodedata.bidirectional(letter) for letter in text)
    return next((kind != "L" for kind in strong if kind in ("L", "R", "AL")), False)


def _dated(label: Bilingual, day: date) -> dict[str, dict[str, str]]:
    return {
        "label": {"ar": label.ar, "en": label.en},
        "gregorian": {"ar": format_date(day, "ar", "gregorian"), "en": format_date(day, "en", "gregorian")},
        "umm_al_qura": {
            "ar": format_date(day, "ar", "umm_al_qura"),
            "en": format_date(day, "en", "umm_al_qura"),
        },
    }


def _clean(text: str) -> str:
    line = " ".join(text.split())
    for letter in line:
        # Invisible characters could show a name that is not the one recorded. The joiners are spelling.
        if unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Co", "Cn") and letter not in "\u200c\u200d":
            raise Unprintable(
                f"The text has the character U+{ord(letter):04X}, which cannot be printed.",
                place=ascii(line[:60]),
                remedy="Take it out.",
            )
    return line
