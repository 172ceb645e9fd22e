"""QR codes, read from a picture or a PDF.

Apart from `qr`, which every process that issues imports: the readers of pictures and PDF are large.
"""

import io
import warnings

import pypdfium2  # type: ignore[import-untyped] # it ships no types
import zxingcpp
from PIL import Image, UnidentifiedImageError

from foundation.errors import InvalidInput, Malformed, TooLarge
from foundation.wire.apart import TooMuch, apart

MAX_FILE = 20_000_000
"""Largest picture or PDF read, in bytes."""

_MAX_PIXELS = 60_000_000
_MAX_PAGES = 10
_PDF_DPI = 200
_SECONDS = 20  # of CPU for a PDF; ten pages of scans take a third
_QR_ONLY = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")


class NoSymbol(InvalidInput):
    """The picture was read, and no QR code was found in it."""


def read(data: bytes, place: str = "picture") -> list[str]:
    """The texts of the QR codes in a picture or a PDF.

    Args:
        data: PNG, JPEG, WebP, TIFF, BMP, GIF, or PDF (its first 10 pages).
        place: what errors call it.

    Returns:
        At least one text, in the order found.

    Raises:
        Malformed: it is neither a picture nor a PDF, is cut off, or is locked by a password.
        TooLarge: it has more bytes or pixels than a scan of a licence needs.
        NoSymbol: no QR code is in it.
    """
    if len(data) > MAX_FILE:
        raise TooLarge(
            f"The file has {len(data)} bytes, over {MAX_FILE}.", place=place, remedy="Use a smaller scan."
        )
    texts = _read_pdf(data, place) if data.startswith(b"%PDF-") else _texts(_picture(data, place))
    if not texts:
        raise NoSymbol(
            "No QR code was found.",
            place=place,
            remedy="Take the picture again: sharp, in good light, the whole code in it.",
        )
    return texts


def _picture(data: bytes, place: str) -> Image.Image:
    try:
        with warnings.catch_warnings():
            # Pillow only warns of a picture that unpacks to gigabytes; our own limit below refuses it.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = Image.open(io.BytesIO(data), formats=_FORMATS)
        if picture.width * picture.height > _MAX_PIXELS:
            raise TooLarge(
                f"The picture has {picture.width} x {picture.height} pixels, over {_MAX_PIXELS}.",
                place=place,
                remedy="Use a smaller picture.",
            )
        # What is transparent is paper.
        paper = Image.new("RGBA", picture.size, "white")
        paper.alpha_composite(picture.convert("RGBA"))
        return paper.convert("L")
    except Image.DecompressionBombError as error:
        raise TooLarge("The picture is too large.", place=place, remedy="Use a smaller picture.") from error
    except UnidentifiedImageError as error:
        raise Malformed(
            "This is neither a picture nor a PDF.",
            place=place,
            remedy=f"Give a file of one of these kinds: {', '.join(_FORMATS)}, PDF.",
        ) from error
    except (OSError, ValueError, SyntaxError, EOFError) as error:
        # SyntaxError is how Pillow reports a broken PNG chunk.
        raise Malformed("The picture is damaged.", place=place, remedy="Take or copy it again.") from error


def _texts(picture: Image.Image) -> list[str]:
    found = zxingcpp.read_barcodes(picture, formats=_QR_ONLY)
    return [symbol.text for symbol in found]


def _read_pdf(data: bytes, place: str) -> list[str]:
    try:
        texts: list[str] | None = apart(f"{__name__}:{texts_of_pdf.__name__}", data, _SECONDS)
    except TooMuch as error:
        raise TooLarge(
            "The PDF takes more to read than a scan of a licence does.",
            place=place,
            remedy="Take a picture of the code instead.",
        ) from error
    if texts is None:
        raise Malformed(
            "The PDF is damaged or locked.", place=place, remedy="Save it again, without a password."
        )
    return texts


def texts_of_pdf(data: bytes) -> list[str] | None:
    """The texts on the first pages of a PDF whose author is trusted, or in a process apart; None where it is
    damaged or locked."""
    texts: list[str] = []
    try:
        with pypdfium2.PdfDocument(data) as document:
            for number in range(min(len(document), _MAX_PAGES)):
                page = document[number]
                width, height = page.get_size()
                # A page may claim any size; it is drawn at 200 dpi or at what our limit of pixels leaves.
                scale = min(_PDF_DPI / 72, (_MAX_PIXELS / (width * height)) ** 0.5)
                texts += _texts(page.render(scale=scale, grayscale=True).to_pil())
    except pypdfium2.PdfiumError:
        return None
    return texts
