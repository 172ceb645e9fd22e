"""Makes the README's pictures from a running terminal: `python -m tests.kiosks.pictures [FOLDER]`."""

import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageOps

from tests.kiosks.browser import screen_page
from tests.kiosks.conftest import running_town
from tests.kiosks.running_kiosk import ROOT

NUMBER = "SL-2026-004512"


def make(folder: Path) -> None:
    """Write kiosk-screen-ar.png, kiosk-screen-en.png and receipt.png."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, running_town(Path(scratch)) as town:
        with screen_page(town.kiosk.url) as page:
            town.kiosk.scan(NUMBER)
            page.wait_for_selector("body[data-state=showing]")
            page.screenshot(path=folder / "kiosk-screen-ar.png")
            page.click("form[action='/press/en'] button")
            page.wait_for_selector("html[lang=en]")
            page.mouse.move(0, 0)
            page.screenshot(path=folder / "kiosk-screen-en.png")
            page.click("form[action='/press/ar'] button")
            page.wait_for_selector("html[lang=ar]")
            page.click("form[action='/press/print'] button")
            town.kiosk.wait_for("printed")
        receipt = town.kiosk.receipt()
        assert receipt is not None
        with Image.open(receipt) as paper:
            ImageOps.expand(paper.convert("L"), border=24, fill=255).save(
                folder / "receipt.png", optimize=True
            )


if __name__ == "__main__":
    make(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "pictures")
