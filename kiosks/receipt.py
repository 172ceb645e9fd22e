"""The receipt: a picture, because printers print Arabic text reversed and unjoined.

Right to left with Arabic, left to right with English; every number in an isolate; black and white only, one
dot a pixel.
"""

import io
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Literal

from PIL import Image, ImageDraw, ImageFont, features

from foundation.calendar import Language
from foundation.errors import SettingsError
from foundation.wire.qr import Symbol
from kiosks.licence import Licence, dates, isolated, runs_right_to_left
from kiosks.words import words

WIDTH = 576
_MARGIN = 12
_MOST_ROWS = 8000
_FONT_FOLDERS = (
    Path("/usr/share/fonts"),
    Path("/usr/local/share/fonts"),
    Path.home() / ".local/share/fonts",
)
_PACKAGES = {
    "Amiri-Bold.ttf": "fonts-hosny-amiri",
    "DejaVuSans.ttf": "fonts-dejavu-core",
    "DejaVuSans-Bold.ttf": "fonts-dejavu-core",
}
_PLAIN, _BOLD, _TITLE = "DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "Amiri-Bold.ttf"
# Amiri is drawn small in its square: it needs a larger size to look as large as DejaVu.
_FIRST: dict[Language, int] = {"ar": 58, "en": 36}
_SECOND: dict[Language, int] = {"ar": 38, "en": 24}
Anchor = Literal["start", "middle", "end"]


def check() -> None:
    """See that receipts can be drawn here.

    Raises:
        SettingsError: the shaping of Arabic or a font is missing; the error names the Debian package.
    """
    if not (features.check("raqm") and features.check("fribidi")):
        raise SettingsError(
            "Arabic cannot be shaped: Pillow finds no FriBidi.",
            place="receipt",
            remedy="Install the Debian package libfribidi0.",
        )
    for name in _PACKAGES:
        _font(name, 24)


def draw_receipt(
    licence: Licence, *, language: Language, terminal: str, printed_at: datetime, width: int = WIDTH
) -> Image.Image:
    """The receipt of a licence.

    Args:
        licence: what is printed.
        language: of labels and values; the heads stand in both.
        terminal: name of the terminal.
        printed_at: when, in the kingdom's time.
        width: dots, a multiple of 8.

    Returns:
        A picture of mode "1", black on white, as high as it needs.

    Raises:
        SettingsError: raqm or a font is missing.
    """
    check()
    page = _Page(width, language)
    other: Language = "en" if language == "ar" else "ar"
    page.space(6)
    page.heading(licence.municipality.in_language(language), _FIRST[language], language)
    page.heading(licence.municipality.in_language(other), _SECOND[other], other)
    page.space(6)
    page.stars()
    page.space(6)
    page.heading(licence.title.in_language(language), _FIRST[language], language)
    page.heading(licence.title.in_language(other), _SECOND[other], other)
    page.space(8)
    page.number(licence.number)
    page.badge(licence.standing.in_language(language))
    page.space(14)
    rows: list[tuple[str, tuple[str, ...]]] = [
        (line.label.in_language(language), (line.value.in_language(language),)) for line in licence.lines
    ]
    if licence.status != "valid":
        rows.insert(0, (words("since", language), dates(licence.since, language)))
    rows.append((words("valid_from", language), dates(licence.valid_from, language)))
    rows.append((words("valid_to", language), dates(licence.valid_to, language)))
    for label, values in rows:
        page.row(label, values)
    page.space(18)
    page.symbol(licence.credential)
    page.heading(words("scan_to_verify", language), 22, language, _PLAIN)
    page.space(12)
    page.rule(2)
    page.space(8)
    moment = f"{words('printed_at', language)} {printed_at:%Y-%m-%d %H:%M} · {terminal}"
    page.heading(moment, 18, language, _PLAIN)
    page.heading(words("not_a_licence", language), 18, language, _PLAIN)
    page.space(8)
    return page.cut()


@cache
def _font(name: str, size: int) -> ImageFont.FreeTypeFont:
    for folder in _FONT_FOLDERS:
        for path in sorted(folder.rglob(name)):
            return ImageFont.truetype(path, size, layout_engine=ImageFont.Layout.RAQM)
    raise SettingsError(
        f"The font {name} is missing.",
        place="receipt",
        remedy=f"Install the Debian package {_PACKAGES[name]}.",
    )


class _Page:
    # A long strip with a cursor; the unused end is cut off.

    def __init__(self, width: int, language: Language) -> None:
        self._image = Image.new("1", (width, _MOST_ROWS), 1)
        self._draw = ImageDraw.Draw(self._image)
        # Grey edges would become ragged dots; the font's own black-and-white form is clean.
        self._draw.fontmode = "1"
        self._width = width
        self._language = language
        self._y = 0

    def space(self, rows: int) -> None:
        self._y += rows

    def rule(self, thickness: int) -> None:
        self._draw.rectangle((0, self._y, self._width - 1, self._y + thickness - 1), fill=0)
        self._y += thickness

    def stars(self) -> None:
        # Eight-pointed stars, two squares each, between two thin lines.
        half, reach, gap = 7, 10, 36
        middle = self._y + 16
        self.rule(2)
        for x in range((self._width % gap + gap) // 2, self._width, gap):
            corners = ((x, middle - reach), (x + reach, middle), (x, middle + reach), (x - reach, middle))
            self._draw.rectangle((x - half, middle - half, x + half, middle + half), fill=0)
            self._draw.polygon(corners, fill=0)
            self._draw.ellipse((x - 3, middle - 3, x + 3, middle + 3), fill=1)
        self._y += 28
        self.rule(2)

    def heading(self, text: str, size: int, language: Language, font_name: str = "") -> None:
        name = font_name or (_TITLE if language == "ar" else _BOLD)
        font = _font(name, size)
        for line in self._wrapped(text, font, self._width - 2 * _MARGIN, language):
            self._write(line, font, "middle", language)
            self._y += _height(font)

    def number(self, number: str) -> None:
        font = _font(_BOLD, 40)
        for size in range(40, 18, -2):
            font = _font(_BOLD, size)
            if font.getlength(number) <= self._width - 2 * _MARGIN:
                break
        self._write(number, font, "middle", "en")
        self._y += _height(font) + 6

    def badge(self, text: str) -> None:
        font = _font(_BOLD, 24)
        half = int(self._length(text, font, self._language)) // 2 + 22
        middle = self._width // 2
        height = _height(font) + 6
        self._draw.rounded_rectangle((middle - half, self._y, middle + half, self._y + height), 8, fill=0)
        self._y += 3
        self._write(text, font, "middle", self._language, fill=1)
        self._y += height - 3

    def row(self, label: str, values: tuple[str, ...]) -> None:
        plain, bold = _font(_PLAIN, 22), _font(_BOLD, 24)
        room = self._width - 2 * _MARGIN
        self._dots()
        self._y += 8
        taken = self._length(label, plain, self._language)
        widest = max(self._length(value, bold, self._language) for value in values)
        beside = taken + 24 + widest <= room
        if beside:
            self._write(label, plain, "start", self._language)
        else:
            for line in self._wrapped(label, plain, room, self._language):
                self._write(line, plain, "start", self._language)
                self._y += _height(plain)
        for value in values:
            for line in self._wrapped(value, bold, room, self._language):
                self._write(line, bold, "end" if beside else "start", self._language)
                self._y += _height(bold)
        self._y += 6

    def symbol(self, text: str) -> None:
        symbol = Symbol(text)
        # The quiet zone is the paper itself; whole dots a module, or readers stumble.
        scale = max(1, min(6, (self._width - 2 * _MARGIN) // (symbol.modules + 8)))
        small = Image.open(io.BytesIO(symbol.png(scale=1))).convert("1")
        picture = small.resize((small.width * scale, small.height * scale), Image.Resampling.NEAREST)
        self._image.paste(picture, ((self._width - picture.width) // 2, self._y))
        self._y += picture.height

    def cut(self) -> Image.Image:
        return self._image.crop((0, 0, self._width, self._y))

    def _dots(self) -> None:
        for x in range(_MARGIN, self._width - _MARGIN, 6):
            self._draw.rectangle((x, self._y, x + 1, self._y + 1), fill=0)
        self._y += 2

    def _write(
        self, text: str, font: ImageFont.FreeTypeFont, anchor: Anchor, language: Language, fill: int = 0
    ) -> None:
        right_to_left = runs_right_to_left(text, language)
        at_right = (anchor == "start") == (self._language == "ar")
        x = {True: self._width - _MARGIN, False: _MARGIN}[at_right]
        side = "r" if at_right else "l"
        if anchor == "middle":
            x, side = self._width // 2, "m"
        self._draw.text(
            (x, self._y),
            isolated(text) if right_to_left else text,
            font=font,
            fill=fill,
            anchor=f"{side}a",
            direction="rtl" if right_to_left else "ltr",
            language="ar" if right_to_left else "en",
        )

    def _length(self, text: str, font: ImageFont.FreeTypeFont, language: Language) -> float:
        if runs_right_to_left(text, language):
            return font.getlength(isolated(text), direction="rtl", language="ar")
        return font.getlength(text, direction="ltr", language="en")

    def _wrapped(self, text: str, font: ImageFont.FreeTypeFont, room: int, language: Language) -> list[str]:
        lines: list[str] = []
        for word in text.split():
            joined = f"{lines[-1]} {word}" if lines else word
            if lines and self._length(joined, font, language) <= room:
                lines[-1] = joined
            else:
                lines += self._broken(word, font, room, language)
        return lines

    def _broken(self, word: str, font: ImageFont.FreeTypeFont, room: int, language: Language) -> list[str]:
        # A word longer than the paper goes on in the next line rather than off the edge.
        if self._length(word, font, language) <= room:
            return [word]
        parts = [""]
        for letter in word:
            if parts[-1] and self._length(parts[-1] + letter, font, language) > room:
                parts.append("")
            parts[-1] += letter
        return parts


def _height(font: ImageFont.FreeTypeFont) -> int:
    ascent, descent = font.getmetrics()
    return ascent + descent
