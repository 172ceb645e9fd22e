"""QR codes: made as a vector or a bitmap, and read back from a picture or a PDF."""

import io
import warnings
from dataclasses import dataclass
from functools import cached_property

import pypdfium2  # type: ignore[import-untyped] # it ships no types
import segno
import zxingcpp
from PIL import Image, UnidentifiedImageError

from foundation.errors import InvalidInput, Malformed, TooLarge

MAX_VERSION = 20
"""Largest symbol made: 97 modules, still 0.4 mm each on a 42 mm print."""

QUIET_ZONE = 4
"""Light modules around the symbol (ISO/IEC 18004, section 5.3.8)."""

MAX_FILE = 20_000_000
"""Largest picture or PDF read, in bytes."""

_MAX_PIXELS = 60_000_000
_MAX_PAGES = 10
_PDF_DPI = 200
_QR_ONLY = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")


class NoSymbol(InvalidInput):
    """The picture was read, and no QR code was found in it."""


@dataclass(frozen=True)
class Symbol:
    """One QR code.

    Args:
        text: what it holds.

    Raises:
        TooLarge: the text needs a larger symbol than `MAX_VERSION` at level M.

    Source: ISO/IEC 18004.
    """

    text: str

    def __post_init__(self) -> None:
        if int(self._code.version) > MAX_VERSION:
            raise TooLarge(
                f"The text of {len(self.text)} characters needs QR version {self._code.version}, "
                f"over {MAX_VERSION}.",
                remedy="Shorten the text.",
            )

    @cached_property
    def _code(self) -> segno.QRCode:
        try:
            # Level M at least; segno raises it to Q or H where the symbol does not grow by it.
            return segno.make_qr(self.text, error="m")
        except segno.DataOverflowError as error:
            raise TooLarge(
                f"No QR code holds this text of {len(self.text)} characters.", remedy="Shorten the text."
            ) from error

    @property
    def version(self) -> int:
        """Version, 1 to `MAX_VERSION`."""
        return int(self._code.version)

    @property
    def level(self) -> str:
        """Error correction level: "M", "Q" or "H"."""
        return self._code.error

    @property
    def modules(self) -> int:
        """Modules on one side, without the quiet zone."""
        return 17 + 4 * self.version

    def svg(self) -> str:
        """The symbol as SVG with its quiet zone, one unit a module."""
        out = io.BytesIO()
        self._code.save(out, kind="svg", border=QUIET_ZONE, xmldecl=False, light="#fff", dark="#000")
        return out.getvalue().decode("utf-8")

    def png(self, scale: int = 8) -> bytes:
        """The symbol as PNG with its quiet zone.

        Args:
            scale: pixels a module.
        """
        out = io.BytesIO()
        self._code.save(out, kind="png", border=QUIET_ZONE, scale=scale)
        return out.getvalue()


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
    texts: list[str] = []
    try:
        with pypdfium2.PdfDocument(data) as document:
            for number in range(min(len(document), _MAX_PAGES)):
                page = document[number]
                width, height = page.get_size()
                # A page may claim any size; it is drawn at 200 dpi or at what our limit of pixels leaves.
                scale = min(_PDF_DPI / 72, (_MAX_PIXELS / (width * height)) ** 0.5)
                texts += _texts(page.render(scale=scale, grayscale=True).to_pil())
    except pypdfium2.PdfiumError as error:
        raise Malformed(
            "The PDF is damaged or locked.", place=place, remedy="Save it again, without a password."
        ) from error
    return texts
