import io
from datetime import datetime
from pathlib import Path

import pytest
from PIL import Image, ImageChops, ImageDraw, ImageFont

from foundation.calendar import Language
from foundation.errors import SettingsError
from foundation.wire.qr_reader import read
from integrations.licences.admission import STATUS_TITLES
from integrations.procedure import LicenceStatus
from kiosks import receipt
from kiosks.licence import Licence, Line, isolated
from kiosks.receipt import WIDTH, draw_receipt

AT = datetime(2026, 11, 22, 10, 30)


def drawn(licence: Licence, language: Language = "ar") -> Image.Image:
    return draw_receipt(licence, language=language, terminal="kiosk-1", printed_at=AT)


def png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, format="PNG")
    return out.getvalue()


@pytest.mark.parametrize("language", ["ar", "en"])
def test_the_code_on_the_receipt_is_the_licences(licence: Licence, language: Language) -> None:
    assert read(png(drawn(licence, language))) == [licence.credential]


@pytest.mark.parametrize("language", ["ar", "en"])
def test_nothing_runs_off_the_paper(licence: Licence, language: Language) -> None:
    label = {"ar": "الوصف " * 12, "en": "Description " * 8}
    value = {"ar": "م" * 300, "en": "W" * 300}
    line_of_all = {"label": label, "value": value}
    number = "SL-2026-004512-EXTENSION-000001"
    long = Licence.model_validate({**licence.model_dump(), "number": number, "lines": [line_of_all]})
    picture = drawn(long, language)
    assert picture.mode == "1"
    assert picture.width == WIDTH
    # Below the rule with its stars, which runs from edge to edge, the margins are white.
    table = picture.crop((0, 230, WIDTH, picture.height - 80)).convert("L")
    left, _, right, _ = ImageChops.invert(table).getbbox() or (0, 0, WIDTH, 0)
    assert left >= 8
    assert right <= WIDTH - 8


def line(text: str, direction: str) -> Image.Image:
    picture = Image.new("1", (560, 40), 1)
    page = ImageDraw.Draw(picture)
    page.fontmode = "1"
    font = receipt._font("DejaVuSans-Bold.ttf", 24)
    page.text((550, 2), text, font=font, fill=0, anchor="ra", direction=direction)
    return picture


def place_of(digits: str, picture: Image.Image) -> int:
    """Where in a line these digits stand: the column where their own picture fits best."""
    alone = line(digits, "ltr")
    left, top, right, bottom = ImageChops.invert(alone.convert("L")).getbbox() or (0, 0, 1, 1)
    small = alone.crop((left, top, right, bottom))

    def wrong_dots(x: int) -> int:
        part = picture.crop((x, top, x + small.width, bottom))
        return ImageChops.logical_xor(part, small).convert("L").histogram()[255]

    return min(range(picture.width - small.width), key=wrong_dots)


def test_the_number_stands_in_arabic_text_as_it_is_read() -> None:
    text = "رقم 2026-004512 في السجل"
    isolated_line, plain_line = line(isolated(text), "rtl"), line(text, "rtl")
    assert place_of("2026", isolated_line) < place_of("004512", isolated_line)
    # Without the isolate it turns round to 004512-2026: what this test would miss otherwise, it sees.
    assert place_of("2026", plain_line) > place_of("004512", plain_line)


def test_letters_are_joined() -> None:
    # Shaped Arabic is narrower than its letters one by one.
    font = receipt._font("DejaVuSans.ttf", 24)
    word = "مخبز"
    apart = sum(font.getlength(letter, direction="rtl", language="ar") for letter in word)
    assert font.getlength(word, direction="rtl", language="ar") < apart * 0.9


@pytest.mark.parametrize("status", STATUS_TITLES)
def test_every_status_is_printed(licence: Licence, status: LicenceStatus) -> None:
    valid = drawn(licence)
    said = {"status": status, "status_title": STATUS_TITLES[status].model_dump()}
    other = drawn(Licence.model_validate({**licence.model_dump(), **said}))
    same = ImageChops.logical_xor(valid, other).getbbox() is None
    assert same is (status == "valid")


def test_the_receipt_grows_with_its_lines(licence: Licence) -> None:
    more = Licence.model_validate(
        {**licence.model_dump(), "lines": [line.model_dump() for line in licence.lines * 3]}
    )
    assert drawn(more).height > drawn(licence).height + 300
    assert isinstance(more.lines[0], Line)


def test_a_missing_font_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    receipt._font.cache_clear()
    monkeypatch.setattr(receipt, "_FONT_FOLDERS", (tmp_path,))
    with pytest.raises(SettingsError, match="fonts-hosny-amiri"):
        receipt.check()
    receipt._font.cache_clear()


def test_a_font_is_found_in_any_folder_below(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    name = "DejaVuSans.ttf"
    original = receipt._font(name, 24)
    assert isinstance(original, ImageFont.FreeTypeFont)
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "deep" / "er" / name).symlink_to(str(original.path))
    receipt._font.cache_clear()
    monkeypatch.setattr(receipt, "_FONT_FOLDERS", (tmp_path,))
    assert receipt._font(name, 24).getname() == original.getname()
    receipt._font.cache_clear()
