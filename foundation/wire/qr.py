"""QR codes, made as a vector or a bitmap. `qr_reader` reads them back."""

import io
from dataclasses import dataclass
from functools import cached_property

import segno

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
