"""QR codes, made as a vector or a bitmap. `qr_reader` reads them back."""

import io
from dataclasses import dataclass
from functools import cached_property

from zxingcpp import Barcode, BarcodeFormat, create_barcode

from foundation.errors import TooLarge

MAX_VERSION = 20
"""Largest symbol made: 97 modules, still 0.4 mm each on a 42 mm print."""

QUIET_ZONE = 4
"""Light modules around the symbol (ISO/IEC 18004, section 5.3.8)."""


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
        if self.version > MAX_VERSION:
            raise TooLarge(
                f"The text of {len(self.text)} characters needs QR version {self.version}, "
                f"over {MAX_VERSION}.",
                remedy="Shorten the text.",
            )

    @cached_property
    def _made(self) -> Barcode:
        try:
            made = _symbol(self.text, "M")
        except ValueError as error:
            raise TooLarge(
                f"No QR code holds this text of {len(self.text)} characters.", remedy="Shorten the text."
            ) from error
        # Level M at least; Q or H where the symbol does not grow by it.
        for level in ("Q", "H"):
            try:
                other = _symbol(self.text, level)
            except ValueError:
                break
            if _side(other) > _side(made):
                break
            made = other
        return made

    @property
    def version(self) -> int:
        """Version, 1 to `MAX_VERSION`."""
        return (self.modules - 17) // 4

    @property
    def level(self) -> str:
        """Error correction level: "M", "Q" or "H"."""
        return self._made.ec_level

    @cached_property
    def modules(self) -> int:
        """Modules on one side, without the quiet zone."""
        return _side(self._made)

    def svg(self) -> str:
        """The symbol as SVG with its quiet zone, one unit a module."""
        svg = self._made.to_svg(1)
        return svg[svg.index("<svg") :]

    def png(self, scale: int = 8) -> bytes:
        """The symbol as PNG with its quiet zone.

        Args:
            scale: pixels a module.
        """
        # Not at the top: who prints a page draws the symbol as a vector.
        from PIL import Image

        out = io.BytesIO()
        Image.fromarray(self._made.to_image(scale)).convert("1").save(out, "PNG")
        return out.getvalue()


def _symbol(text: str, level: str) -> Barcode:
    return create_barcode(text, BarcodeFormat.QRCode, ec_level=level)


def _side(made: Barcode) -> int:
    side: int = made.to_image(1, add_quiet_zones=False).shape[0]
    return side
