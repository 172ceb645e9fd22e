"""The verification page's camera and pictures: a film in the place of the street."""

import io
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, FilePayload, Page, Playwright, expect

from tests.console.web.phone import assert_accessible, chromium, opened, phone
from tests.console.web.scenes import film, scene, symbol
from tests.console.web.town import SUSPENDED, Town

_DESK = Image.new("L", (1280, 720), 205)


def png(picture: Image.Image) -> bytes:
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def upload(page: Page, content: bytes) -> None:
    """Choose a file in the gallery."""
    file: FilePayload = {"name": "a.png", "mimeType": "image/png", "buffer": content}
    page.set_input_files("input[type=file]", file)


@pytest.mark.parametrize(
    "how",
    [
        {"angle": 3},
        {"angle": 137},
        {"angle": 20, "slant": 0.2},
        {"angle": 8, "blur": 2, "noise": 10},
        {"angle": -15, "shade": 0.3},
        {"angle": 5, "negative": True},
    ],
    ids=lambda how: " ".join(how),
)
def test_the_camera_reads_a_licence(
    town: Town, engine: Playwright, tmp_path: Path, how: dict[str, float]
) -> None:
    paper = scene(symbol(town.licence()), side=600, **how)  # type: ignore[arg-type]
    # At first there is nothing to be seen, as in life.
    street = film(tmp_path / "street.y4m", [_DESK, _DESK, paper, paper])
    with chromium(engine, street) as browser:
        page = opened(phone(browser), town.url)
        # Ours has to read it: this browser has no reader of its own.
        assert not page.evaluate("'BarcodeDetector' in window")
        page.click("main .actions .strong")
        page.wait_for_selector("body[data-answer=valid]")
        # The camera's light goes out with the answer.
        assert page.evaluate("document.querySelector('video')") is None


def test_while_the_camera_looks_the_page_is_accessible_and_can_be_left(
    town: Town, engine: Playwright, tmp_path: Path
) -> None:
    with chromium(engine, film(tmp_path / "desk.y4m", [_DESK])) as browser:
        page = opened(phone(browser, "en", width=320, height=640), town.url)
        page.click("main .actions .strong")
        page.wait_for_selector("body[data-state=camera]")
        expect(page.locator("h1")).to_be_focused()
        assert_accessible(page)
        track = page.evaluate_handle("document.querySelector('video').srcObject.getTracks()[0]")
        assert track.evaluate("track => track.readyState") == "live"
        page.click("main .actions button")
        page.wait_for_selector("body[data-state=start]")
        page.wait_for_function("track => track.readyState === 'ended'", arg=track)


def test_the_camera_works_without_a_network(town: Town, engine: Playwright, tmp_path: Path) -> None:
    street = film(tmp_path / "street.y4m", [scene(symbol(town.licence(SUSPENDED)), angle=11)])
    with chromium(engine, street) as browser:
        context = phone(browser)
        page = opened(context, town.url)
        context.set_offline(True)
        page.reload()
        page.wait_for_selector("body[data-offline=ready]")
        page.click("main .actions .strong")
        page.wait_for_selector("body[data-answer=suspended]")


def test_a_camera_that_is_refused_is_told_and_a_picture_serves(
    town: Town, engine: Playwright, tmp_path: Path
) -> None:
    street = film(tmp_path / "street.y4m", [_DESK])
    with chromium(engine, street, ask=True) as browser:
        page = opened(phone(browser, "en"), town.url)
        page.click("main .actions .strong")
        page.wait_for_selector("body[data-state=trouble]")
        expect(page.locator("h1")).to_have_text("The camera may not be used")
        assert_accessible(page)
        page.click("main .actions .strong")
        upload(page, png(symbol(town.licence())))
        page.wait_for_selector("body[data-answer=valid]")


def test_without_a_camera_the_page_says_so(town: Town, browser: Browser) -> None:
    page = opened(phone(browser, "en"), town.url)
    page.click("main .actions .strong")
    page.wait_for_selector("body[data-state=trouble]")
    expect(page.locator("h1")).to_have_text("There is no camera to use")
    assert_accessible(page)
    page.click("main .actions .strong")
    page.wait_for_selector("body[data-state=start]")


def test_a_picture_from_the_gallery_serves_too(town: Town, browser: Browser) -> None:
    page = opened(phone(browser), town.url)
    # A whole sheet photographed from above: the code is a small part of twelve megapixels.
    sheet = Image.new("L", (2480, 3508), "white")
    sheet.paste(symbol(town.licence()).resize((500, 500)), (1800, 2800))
    photo = scene(sheet, side=3400, angle=4, slant=0.05, blur=1, shade=0.6, size=(3000, 4000))
    upload(page, png(photo))
    page.wait_for_selector("body[data-answer=valid]")


@pytest.mark.parametrize(
    ("content", "told"),
    [(png(_DESK), "No code was found in the picture"), (b"GIF89a, or not", "This file cannot be opened")],
    ids=["nothing in it", "no picture"],
)
def test_a_file_without_a_code_is_told(town: Town, browser: Browser, content: bytes, told: str) -> None:
    page = opened(phone(browser, "en"), town.url)
    upload(page, content)
    page.wait_for_selector("body[data-state=trouble]")
    expect(page.locator("h1")).to_have_text(told)
    assert_accessible(page)


@pytest.mark.parametrize("works", [True, False])
def test_the_browsers_own_reader_is_taken_and_ours_when_it_fails(
    town: Town, browser: Browser, works: bool
) -> None:
    context = phone(browser)
    given = town.licence(SUSPENDED)
    found = f"return [{{ rawValue: {given!r} }}]" if works else "throw new Error('the service is missing')"
    context.add_init_script(
        "window.BarcodeDetector = class { static async getSupportedFormats() { return ['qr_code'] }"
        f" async detect() {{ {found} }} }}"
    )
    page = opened(context, town.url)
    picture = png(symbol(town.licence()))
    upload(page, picture)
    page.wait_for_selector(f"body[data-answer={'suspended' if works else 'valid'}]")
