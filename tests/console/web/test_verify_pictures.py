"""The verification page reads a picture of a code, whatever reader the browser has."""

import io

import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, FilePayload, Page, expect

from tests.console.web.phone import assert_accessible, assert_answer, each_language, opened, phone
from tests.console.web.scenes import desk, scene, side_by_side, symbol
from tests.console.web.town import SUSPENDED, Town
from tests.processes import until

_MENU = "https://example.com/menu"


def picture(image: Image.Image, kind: str = "PNG") -> bytes:
    out = io.BytesIO()
    image.save(out, kind)
    return out.getvalue()


def upload(page: Page, content: bytes) -> None:
    """Choose a file in the gallery."""
    file: FilePayload = {"name": "a.png", "mimeType": "image/png", "buffer": content}
    page.set_input_files("input[type=file]", file)


def with_detector(context: BrowserContext, formats: str, detect: str) -> None:
    """A browser whose own reader does this."""
    context.add_init_script(
        f"window.BarcodeDetector = class {{ static async getSupportedFormats() {{ {formats} }}"
        f" async detect() {{ {detect} }} }}"
    )


def test_a_picture_from_the_gallery_serves_too(town: Town, browser: Browser) -> None:
    page = opened(phone(browser), town.url)
    # A whole sheet photographed from above: the code is a small part of twelve megapixels.
    sheet = Image.new("L", (2480, 3508), "white")
    sheet.paste(symbol(town.licence()).resize((500, 500)), (1800, 2800))
    photo = scene(sheet, side=3400, angle=4, slant=0.05, blur=1, shade=0.6, size=(3000, 4000))
    upload(page, picture(photo, "JPEG"))
    assert_answer(page, "valid")


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (picture(desk()), "No code was found in the picture"),
        (b"GIF89a, or not", "This file cannot be opened"),
        (b"", "This file cannot be opened"),
    ],
    ids=["nothing in it", "no picture", "nothing at all"],
)
def test_a_file_without_a_code_is_told(town: Town, browser: Browser, content: bytes, told: str) -> None:
    page = opened(phone(browser, "en"), town.url)
    upload(page, content)
    page.wait_for_selector("body[data-state=trouble]")
    expect(page.locator("h1")).to_have_text(told)
    for _ in each_language(page):
        assert_accessible(page)


def test_the_licence_is_taken_out_of_a_picture_with_two_codes(town: Town, browser: Browser) -> None:
    page = opened(phone(browser), town.url)
    menu = symbol(_MENU, version=9)
    for left, right in ((menu, symbol(town.licence())), (symbol(town.licence(SUSPENDED)), menu)):
        upload(page, picture(side_by_side(left, right)))
        page.wait_for_selector("body[data-state=result]")
        assert page.get_attribute("body", "data-answer") == ("valid" if left is menu else "suspended")
        page.click("main .actions .strong")


def test_the_browsers_own_reader_is_asked_first(town: Town, browser: Browser) -> None:
    context = phone(browser)
    with_detector(
        context,
        "return ['qr_code']",
        f"return [{{ rawValue: {_MENU!r} }}, {{ rawValue: {town.licence(SUSPENDED)!r} }}]",
    )
    page = opened(context, town.url)
    upload(page, picture(symbol(town.licence())))
    assert_answer(page, "suspended")


@pytest.mark.parametrize(
    ("formats", "detect"),
    [
        ("return ['qr_code']", "throw new Error('the service is missing')"),
        ("return ['qr_code']", "return []"),
        ("return ['qr_code']", f"return [{{ rawValue: {_MENU!r} }}]"),
        ("return ['ean_13']", "return []"),
        ("throw new Error('not here')", "return []"),
        ("return new Promise(() => {})", "return []"),
    ],
    ids=["fails", "sees nothing", "sees another", "knows no QR code", "is not there", "never says"],
)
def test_ours_reads_where_the_browsers_own_does_not(
    town: Town, browser: Browser, formats: str, detect: str
) -> None:
    context = phone(browser)
    with_detector(context, formats, detect)
    page = opened(context, town.url)
    upload(page, picture(symbol(town.licence())))
    assert_answer(page, "valid")


def test_a_reader_of_the_browsers_that_never_answers_is_not_waited_for(town: Town, browser: Browser) -> None:
    context = phone(browser)
    with_detector(context, "return ['qr_code']", "window.asked = true; return new Promise(() => {})")
    page = context.new_page()
    page.clock.install()
    page.goto(town.url)
    page.wait_for_selector("body[data-update=updated]")
    upload(page, picture(symbol(town.licence())))
    until(lambda: page.evaluate("window.asked"), "the browser's own reader")
    page.clock.fast_forward(10_000)
    assert_answer(page, "valid")


def test_a_reader_that_cannot_be_loaded_is_told_and_loaded_when_it_can(town: Town, browser: Browser) -> None:
    context = phone(browser, "en", service_workers="block")
    context.route("**/scan_worker.js", lambda route: route.abort())
    page = context.new_page()
    page.goto(town.url)
    page.wait_for_selector("body[data-update=updated]")
    upload(page, picture(symbol(town.licence())))
    page.wait_for_selector("body[data-state=trouble]")
    expect(page.locator("h1")).to_have_text("Something unexpected happened")
    context.unroute("**/scan_worker.js")
    page.click("main .actions .strong")
    upload(page, picture(symbol(town.licence())))
    assert_answer(page, "valid")
