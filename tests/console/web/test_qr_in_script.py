"""The page's own QR reader: it reads what others make, and what others can read of damaged symbols."""

import base64
import io
import random
from collections.abc import Callable
from typing import Any

import pytest
import segno
import zxingcpp
from PIL import Image
from playwright.sync_api import Browser, Page

from foundation.wire.qr import Symbol
from tests.console.web.phone import imported, opened, phone
from tests.console.web.scenes import (
    bulging,
    finders_only,
    in_the_dark,
    pressed,
    scene,
    side_by_side,
    stained,
    symbol,
)
from tests.console.web.town import Town

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 $%*+-./:"
_READ = """async (m, given) => {
  const bytes = Uint8Array.from(atob(given.png), (letter) => letter.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  const { data, width, height } = context.getImageData(0, 0, bitmap.width, bitmap.height);
  return m.readQr(m.greyOf(data), width, height, given.options);
}"""


@pytest.fixture(scope="module")
def page(browser: Browser, standing_town: Town) -> Page:
    return opened(phone(browser), standing_town.url)


def read(page: Page, picture: Image.Image, **options: bool | str) -> str | None:
    """What the page's reader reads in a picture."""
    out = io.BytesIO()
    picture.save(out, "PNG", compress_level=1)
    given: dict[str, Any] = {"png": base64.b64encode(out.getvalue()).decode(), "options": options}
    text: str | None = imported(page, _READ, given)
    return text


def code(length: int, chance: random.Random) -> str:
    return "RKZ1:" + "".join(chance.choices(_LETTERS, k=length - 5))


def test_every_version_level_and_mask_is_read(page: Page) -> None:
    chance = random.Random(18004)
    for version in range(1, 41):
        level, mask = "LMQH"[version % 4], version % 8
        text = code(9, chance) if version == 1 else code(8 + 5 * version, chance)
        paper = symbol(text, version, level if version > 3 else "L", mask)
        picture = scene(paper, side=420 if version < 20 else 690, angle=chance.uniform(0, 360), slant=0.05)
        assert read(page, picture) == text, f"version {version}, level {level}, mask {mask}"


def test_a_full_symbol_of_each_size_a_licence_has_is_read(page: Page) -> None:
    chance = random.Random(970)
    for length in (60, 200, 405, 600, 800, 970):
        text = code(length, chance)
        paper = Image.open(io.BytesIO(Symbol(text).png(8))).convert("L")
        for side, angle in ((640, 1.5), (460, -3), (360, 2)):
            assert read(page, scene(paper, side=side, angle=angle)) == text, (length, side)


@pytest.mark.parametrize(
    "text", ["0123456789012345", "12", "7", "رخصة محل تجاري", "Ünïcödé ✓", "A" * 45, "a:/b?c=1"]
)
def test_every_kind_of_segment_is_read(page: Page, text: str) -> None:
    assert read(page, scene(symbol(text), side=300)) == text


def test_segments_and_a_named_character_set_are_joined(page: Page) -> None:
    mixed = segno.make_qr("ÄÖ", encoding="iso-8859-1", eci=True)
    out = io.BytesIO()
    mixed.save(out, kind="png", scale=8, border=4)
    assert read(page, scene(Image.open(out).convert("L"), side=300)) == "ÄÖ"


_Bad = Callable[[Image.Image, random.Random], Image.Image]
_BAD: dict[str, _Bad] = {
    "blur": lambda paper, chance: scene(paper, side=600, angle=chance.uniform(-25, 25), blur=3),
    "slant": lambda paper, chance: scene(paper, side=640, angle=chance.uniform(0, 360), slant=0.27, blur=0.7),
    "dark": lambda paper, _: in_the_dark(scene(paper, side=560, angle=8, blur=1), 0.3, 14),
    "jpeg": lambda paper, chance: pressed(scene(paper, side=420, angle=chance.uniform(0, 9), blur=0.8), 6),
    "small": lambda paper, chance: scene(paper, side=200, angle=chance.uniform(-20, 20), blur=0.5, noise=4),
    "bulging": lambda paper, chance: bulging(scene(paper, side=560, blur=0.7), chance.uniform(60, 140)),
    "shade": lambda paper, chance: scene(
        paper, side=560, angle=chance.uniform(0, 360), shade=0.15, noise=6, blur=1
    ),
}


@pytest.mark.parametrize("how", _BAD)
def test_a_bad_picture_is_read_as_well_as_by_zxing(page: Page, how: str) -> None:
    chance = random.Random(13)
    ours = theirs = 0
    for _ in range(6):
        text = code(480, chance)
        picture = _BAD[how](symbol(text), chance)
        ours += read(page, picture) == text
        theirs += text in [found.text for found in zxingcpp.read_barcodes(picture)]
    assert ours >= theirs
    assert ours >= 5


def test_light_on_dark_and_a_mirror_are_read(page: Page) -> None:
    chance = random.Random(5)
    text = code(410, chance)
    negative = scene(symbol(text), side=600, angle=40, negative=True)
    assert read(page, negative) is None
    assert read(page, negative, invert=True) == text
    assert read(page, negative, thorough=True) == text
    mirrored = scene(symbol(text), side=600, angle=5).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert read(page, mirrored) == text


def test_damaged_symbols_are_read_as_well_as_by_zxing(page: Page) -> None:
    chance = random.Random(77)
    ours = theirs = wrong = 0
    for number in range(24):
        text = code(200 + 8 * number, chance)
        dirty = stained(symbol(text, level="m"), share=0.02 + 0.003 * number, chance=chance)
        picture = scene(dirty, side=600, angle=chance.uniform(-30, 30), blur=0.8)
        mine = read(page, picture, thorough=True)
        other = [found.text for found in zxingcpp.read_barcodes(picture)]
        ours += mine == text
        theirs += text in other
        wrong += mine not in (text, None)
    assert wrong == 0
    assert ours >= theirs >= 10


def test_of_two_symbols_the_wanted_one_is_read(page: Page) -> None:
    menu, licence = "https://example.com/menu", "RKZ1:" + "A" * 300
    for first, second in ((menu, licence), (licence, menu)):
        picture = side_by_side(symbol(first), symbol(second))
        assert read(page, picture, wanted="RKZ1:") == licence
        assert read(page, picture, wanted="https:") == menu
        assert read(page, picture, wanted="tel:") in (menu, licence)


def test_a_symbol_with_no_text_is_none(page: Page) -> None:
    for data in ([0] * 16, [0x20, 0x00, 0x00, 0xEC]):
        assert imported(page, "async (m, data) => m.textOf(Uint8Array.from(data), 1)", data) is None


def test_what_is_no_symbol_is_not_read(page: Page) -> None:
    pictures = [
        Image.effect_noise((1280, 720), 80),
        Image.new("L", (1280, 720), 0),
        Image.linear_gradient("L").resize((1280, 720)),
        Image.new("L", (1, 1), 255),
        Image.new("L", (3, 900), 255),
        symbol("A" * 20).crop((0, 0, 200, 100)),
        finders_only(),
    ]
    for picture in pictures:
        assert read(page, picture, thorough=True) is None
