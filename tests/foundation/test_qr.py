"""QR codes: what we make others read, and what others make we read."""

import io
import subprocess
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFilter

from foundation.errors import Malformed, RakeezaError, TooLarge
from foundation.wire import qr
from foundation.wire.qr import Symbol
from foundation.wire.qr_reader import NoSymbol, read

# As long as the credential of an ordinary licence, in the same letters.
TEXT = "RKZ1:" + ("6BFOXN*TS0BI$ZD-PHQ7I9AD66V5B22CH9M9ESI9XBHXK-%69LQOGI." * 8)[:400]


def picture(text: str = TEXT, scale: int = 6) -> Image.Image:
    return Image.open(io.BytesIO(Symbol(text).png(scale))).convert("L")


def saved(image: Image.Image, kind: str, **options: int) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def on_paper(symbol: Image.Image, size: tuple[int, int] = (1240, 1754)) -> Image.Image:
    sheet = Image.new("L", size, "white")
    ImageDraw.Draw(sheet).text((100, 100), "Licence 2026-004512", fill="black")
    sheet.paste(symbol, (600, 1100))
    return sheet


def test_zbar_reads_what_we_make(tmp_path: Path) -> None:
    file = tmp_path / "code.png"
    file.write_bytes(Symbol(TEXT).png())
    output = subprocess.run(
        ["zbarimg", "--quiet", "--raw", str(file)], capture_output=True, text=True, check=True
    )
    assert output.stdout.removesuffix("\n") == TEXT


def test_the_symbol_is_dense_and_says_its_size() -> None:
    symbol = Symbol(TEXT)
    # 405 characters in alphanumeric mode: version 12 holds 419 at level M (ISO/IEC 18004, table 7).
    assert (symbol.version, symbol.level, symbol.modules) == (12, "M", 65)
    assert Symbol("A").level == "H"


def test_the_vector_has_one_unit_a_module_and_the_quiet_zone() -> None:
    svg = Symbol(TEXT).svg()
    assert svg.startswith("<svg")
    side = 65 + 2 * qr.QUIET_ZONE
    assert f'width="{side}" height="{side}"' in svg


def test_a_text_too_long_for_a_readable_symbol_is_refused() -> None:
    assert Symbol("A" * 970).version == qr.MAX_VERSION
    with pytest.raises(TooLarge, match="version 21"):
        Symbol("A" * 971)
    with pytest.raises(TooLarge, match="No QR code"):
        Symbol("A" * 5000)


@pytest.mark.parametrize(
    "change",
    [
        lambda image: image,
        lambda image: image.rotate(90, expand=True),
        lambda image: image.rotate(37, expand=True, fillcolor=255),
        lambda image: image.resize((image.width * 2 // 3, image.height * 2 // 3)),
        lambda image: image.resize((image.width * 3, image.height * 3)),
        lambda image: image.filter(ImageFilter.GaussianBlur(1.5)),
        lambda image: image.point([120 + value // 4 for value in range(256)]),
    ],
    ids=["as made", "quarter turn", "oblique", "smaller", "larger", "blurred", "pale"],
)
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_a_photo_of_the_paper_is_read(change: Callable[[Image.Image], Image.Image], kind: str) -> None:
    photo = change(on_paper(picture()))
    assert read(saved(photo, kind, quality=60)) == [TEXT]


def test_a_transparent_picture_lies_on_white_paper() -> None:
    symbol = picture()
    clear = Image.new("RGBA", symbol.size, (0, 0, 0, 0))
    clear.paste("black", mask=symbol.point([255 - value for value in range(256)]))
    assert read(saved(clear, "PNG")) == [TEXT]


def test_the_code_in_a_pdf_is_read_on_any_of_its_pages() -> None:
    blank = Image.new("L", (1240, 1754), "white")
    out = io.BytesIO()
    blank.save(out, "PDF", save_all=True, append_images=[on_paper(picture())], resolution=150)
    assert read(out.getvalue()) == [TEXT]


def test_two_codes_in_one_picture_are_both_found() -> None:
    sheet = on_paper(picture())
    sheet.paste(picture("https://example.org/v1/verify/1"), (100, 300))
    assert sorted(read(saved(sheet, "PNG"))) == sorted([TEXT, "https://example.org/v1/verify/1"])


def test_paper_without_a_code_is_said_to_have_none() -> None:
    with pytest.raises(NoSymbol, match=r"scan\.png: No QR code"):
        read(saved(Image.new("L", (400, 400), "white"), "PNG"), "scan.png")
    with pytest.raises(NoSymbol):
        read(saved(Image.new("L", (400, 400), "white"), "PDF"))


@pytest.mark.parametrize("data", [b"", b"hello", b"<svg/>", b"%PDF-1.7 nothing", bytes(1000)])
def test_what_is_no_picture_is_named(data: bytes) -> None:
    with pytest.raises(Malformed, match="file"):
        read(data, "file")


def test_a_cut_off_picture_is_named() -> None:
    for kind in ("PNG", "JPEG", "WEBP", "GIF", "TIFF", "BMP"):
        whole = saved(on_paper(picture()), kind)
        with pytest.raises((Malformed, NoSymbol)):
            read(whole[: len(whole) // 3])


def test_a_picture_that_unpacks_to_gigabytes_is_refused_before_it_does() -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return len(body).to_bytes(4, "big") + kind + body + zlib.crc32(kind + body).to_bytes(4, "big")

    for side in (9_000, 60_000):
        header = side.to_bytes(4, "big") * 2 + bytes((8, 0, 0, 0, 0))
        bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
        with pytest.raises(TooLarge, match="picture"):
            read(bomb)


def test_a_file_over_the_limit_is_refused_unread() -> None:
    with pytest.raises(TooLarge, match="bytes"):
        read(b"%PDF-" + bytes(20_000_000))


def test_a_page_of_monstrous_size_is_drawn_small() -> None:
    out = io.BytesIO()
    on_paper(picture()).save(out, "PDF", resolution=1)
    assert read(out.getvalue()) == [TEXT]


WHOLE = {kind: saved(on_paper(picture(), (900, 1500)), kind) for kind in ("PNG", "JPEG", "PDF")}


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(sorted(WHOLE)), st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=8))
def test_damaged_files_give_only_named_errors(kind: str, changes: list[tuple[float, int]]) -> None:
    data = bytearray(WHOLE[kind])
    for place, value in changes:
        data[int(place * (len(data) - 1))] = value
    try:
        texts = read(bytes(data))
    except RakeezaError as error:
        texts = []
        remedy = error.remedy
    else:
        remedy = "none needed"
    assert texts in ([], [TEXT])
    assert remedy
