"""The code on the page, as a cheap phone's camera has it: small, soft, tilted and in uneven light."""

import io
import random
from dataclasses import replace
from functools import cache

import pypdfium2  # type: ignore[import-untyped] # it ships no types
import pytest
from PIL import Image, ImageFilter

from foundation.wire import qr_reader
from foundation.wire.credential import MAX_CHARACTERS, seal
from integrations.licences.document import render
from tests.integrations.test_document import CLAIMS, FONTS, KEY, LICENCE

# A page held so that its code is 3 cm wide in a view of 20 cm, on a camera of 2 megapixels (1920 x 1080).
_PIXELS_ACROSS = 1920 * 3 // 20
_CODE_MM = 46  # as the template prints it


def text(longest: bool) -> str:
    """A credential of the usual length, or of nearly the longest."""
    source = random.Random(3)
    name = "".join(source.choices("ابتثجحخدذرزسشصضطظعغفقكلمنهوي", k=200 if longest else 12))
    made = seal(replace(CLAIMS, public={"trade_name": name}), KEY)
    assert not longest or MAX_CHARACTERS * 0.7 < len(made) <= MAX_CHARACTERS
    return made


@cache
def page(credential: str) -> Image.Image:
    """The page, at the size at which the code has the pixels of such a photograph."""
    pdf = render(replace(LICENCE, credential=credential), FONTS)
    with pypdfium2.PdfDocument(pdf) as document:
        dots = _PIXELS_ACROSS / (_CODE_MM / 25.4)
        picture: Image.Image = document[0].render(scale=4 * dots / 72, grayscale=True).to_pil()
    return picture.resize((picture.width // 4, picture.height // 4), Image.Resampling.BOX)


def photograph(picture: Image.Image, tilt: float, blur: float) -> bytes:
    """The page on a darker table, turned by degrees, out of focus by pixels, with a shadow, as JPEG."""
    table = Image.new("L", (picture.width + 120, picture.height + 120), 90)
    table.paste(picture.point(lambda shade: 40 + shade * 190 // 255), (60, 60))
    turned = table.rotate(tilt, Image.Resampling.BICUBIC, expand=True, fillcolor=90)
    soft = turned.filter(ImageFilter.GaussianBlur(blur))
    shadow = Image.linear_gradient("L").resize(soft.size).point(lambda shade: 150 + shade * 105 // 255)
    lit = Image.composite(soft, Image.new("L", soft.size, 0), shadow)
    out = io.BytesIO()
    lit.save(out, "JPEG", quality=70)
    return out.getvalue()


@pytest.mark.parametrize(("tilt", "blur"), [(0, 0.8), (4, 1.0), (-7, 1.2), (33, 0.8), (91, 0.9)])
@pytest.mark.parametrize("longest", [False, True], ids=["usual", "longest"])
def test_the_code_is_read_from_a_photograph_at_three_centimetres(
    longest: bool, tilt: float, blur: float
) -> None:
    # The longest has modules half as large: it wants the focus that any phone finds.
    credential = text(longest)
    soft = blur * (0.7 if longest else 1)
    assert qr_reader.read(photograph(page(credential), tilt, soft)) == [credential]


def test_a_photograph_out_of_focus_beyond_reading_is_no_code_and_never_another() -> None:
    with pytest.raises(qr_reader.NoSymbol):
        qr_reader.read(photograph(page(text(longest=False)), 5, 9))
