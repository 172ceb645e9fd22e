"""The verification page's camera: a film in the place of the street."""

from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, JSHandle, Page, Playwright, expect

from tests.console.web.phone import (
    assert_accessible,
    assert_answer,
    chromium,
    each_language,
    opened,
    phone,
    seen_by_camera,
)
from tests.console.web.scenes import desk, film, scene, side_by_side, symbol
from tests.console.web.town import SUSPENDED, Town
from tests.processes import until


def phone_with_camera(browser: Browser, language: str = "ar") -> BrowserContext:
    return phone(browser, language, width=320, height=640, permissions=["camera"])


def test_the_camera_reads_a_licence_however_it_is_held(town: Town, browser: Browser, street: Path) -> None:
    page = opened(phone_with_camera(browser), town.url)
    # Ours has to read it: this browser has no reader of its own.
    assert not page.evaluate("'BarcodeDetector' in window")
    held = [
        partial(scene, angle=3),
        partial(scene, angle=137),
        partial(scene, angle=20, slant=0.2),
        partial(scene, angle=8, blur=2, noise=10),
        partial(scene, angle=-15, shade=0.3),
        partial(scene, angle=5, negative=True),
    ]
    for number, taken in enumerate(held):
        picture = taken(symbol(town.licence(number=f"SC-2026-00000{number}")), side=600)
        # At first there is nothing to be seen, as in life.
        film(street, [desk(), picture, picture])
        seen_by_camera(page)
        assert_answer(page, "valid")
        expect(page.locator("dl")).to_contain_text(f"SC-2026-00000{number}")


def test_while_the_camera_looks_the_page_is_accessible_and_can_be_left(
    town: Town, browser: Browser, street: Path
) -> None:
    film(street, [desk()])
    page = opened(phone_with_camera(browser, "en"), town.url)
    seen_by_camera(page)
    page.wait_for_selector("body[data-state=camera]")
    expect(page.locator("h1")).to_be_focused()
    for _ in each_language(page):
        assert_accessible(page)
    track = _track(page)
    assert track.evaluate("track => track.readyState") == "live"
    # This camera has no lamp.
    expect(page.locator("[aria-pressed]")).to_have_count(0)
    page.click("main .actions button")
    page.wait_for_selector("body[data-state=start]")
    until(lambda: track.evaluate("track => track.readyState") == "ended", "the camera to be put out")


def _track(page: Page) -> JSHandle:
    return page.evaluate_handle("document.querySelector('video').srcObject.getTracks()[0]")


def test_with_the_answer_the_camera_is_put_out(town: Town, browser: Browser, street: Path) -> None:
    film(street, [desk(), desk(), scene(symbol(town.licence()))])
    context = phone_with_camera(browser)
    context.add_init_script(
        "const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);"
        "navigator.mediaDevices.getUserMedia = async (asked) => window.opened = await open(asked)"
    )
    page = opened(context, town.url)
    seen_by_camera(page)
    assert_answer(page, "valid")
    assert page.evaluate("opened.getTracks().map((track) => track.readyState)") == ["ended"]
    assert page.evaluate("document.querySelector('video')") is None


def test_a_camera_that_is_taken_away_is_told(town: Town, browser: Browser, street: Path) -> None:
    film(street, [desk()])
    page = opened(phone_with_camera(browser, "en"), town.url)
    seen_by_camera(page)
    page.wait_for_selector("body[data-state=camera]")
    _track(page).evaluate("track => track.stop()")
    page.wait_for_selector("body[data-state=trouble]")
    expect(page.locator("h1")).to_have_text("There is no camera to use")


def test_the_camera_asked_for_twice_is_looked_through(town: Town, browser: Browser, street: Path) -> None:
    film(street, [scene(symbol(town.licence()))])
    context = phone_with_camera(browser)
    # The first of two comes after the second, as where somebody is impatient with the question before it.
    context.add_init_script(
        """const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
        let count = 0, second;
        const done = new Promise((resolve) => { second = resolve; });
        navigator.mediaDevices.getUserMedia = async (asked) => {
          const first = !count++;
          if (first) await done;
          const stream = await open(asked);
          if (!first) setTimeout(second);
          return stream;
        }"""
    )
    page = opened(context, town.url)
    page.evaluate("document.querySelector('.actions .strong').click()")
    page.evaluate("document.querySelector('.actions .strong').click()")
    assert_answer(page, "valid")


def test_a_lamp_can_be_lit_where_there_is_one(town: Town, browser: Browser, street: Path) -> None:
    film(street, [desk()])
    context = phone_with_camera(browser, "en")
    # The film's camera has none; what a phone's says of it, and is told, stands for it.
    context.add_init_script(
        """const track = MediaStreamTrack.prototype;
        const able = track.getCapabilities;
        track.getCapabilities = function () { return { ...able.call(this), torch: true }; };
        track.applyConstraints = async ({ advanced: [{ torch }] }) => {
          if (window.broken) throw new DOMException("no", "OverconstrainedError");
          window.lit = torch;
        }"""
    )
    page = opened(context, town.url)
    seen_by_camera(page)
    light = page.get_by_role("button", name="Light", exact=True)
    expect(light).to_have_attribute("aria-pressed", "false")
    light.click()
    expect(light).to_have_attribute("aria-pressed", "true")
    assert page.evaluate("lit") is True
    for _ in each_language(page):
        assert_accessible(page)
    page.evaluate("window.broken = true")
    light.click()
    expect(light).to_have_attribute("aria-pressed", "true")
    page.evaluate("window.broken = false")
    light.click()
    expect(light).to_have_attribute("aria-pressed", "false")
    assert page.evaluate("lit") is False


def test_who_finds_no_code_for_long_is_told_what_helps(town: Town, browser: Browser, street: Path) -> None:
    film(street, [desk()])
    page = phone_with_camera(browser, "en").new_page()
    page.clock.install()
    page.goto(town.url)
    seen_by_camera(page)
    page.wait_for_selector("body[data-state=camera]")
    page.clock.fast_forward(15_000)
    for place in ("#help", "#said"):
        expect(page.locator(place)).to_contain_text("Not read yet")


def test_a_licence_is_found_beside_another_code(town: Town, browser: Browser, street: Path) -> None:
    menu = symbol("https://example.com/menu", version=9)
    page = opened(phone_with_camera(browser), town.url)
    film(street, [side_by_side(menu, symbol(town.licence()))])
    seen_by_camera(page)
    assert_answer(page, "valid")
    film(street, [scene(menu)])
    seen_by_camera(page)
    assert_answer(page, "not_ours")


def test_the_camera_works_without_a_network(town: Town, browser: Browser, street: Path) -> None:
    film(street, [scene(symbol(town.licence(SUSPENDED)), angle=11)])
    context = phone_with_camera(browser)
    page = opened(context, town.url)
    context.set_offline(True)
    page.reload()
    page.wait_for_selector("body[data-offline=ready]")
    seen_by_camera(page)
    assert_answer(page, "suspended")


def test_a_camera_that_is_refused_is_told(town: Town, browser: Browser) -> None:
    page = opened(phone(browser, "en"), town.url)
    seen_by_camera(page)
    page.wait_for_selector("body[data-state=trouble]")
    expect(page.locator("h1")).to_have_text("The camera may not be used")
    for _ in each_language(page):
        assert_accessible(page)
    page.click("main .actions .strong")
    page.wait_for_selector("body[data-state=start]")


def test_without_a_camera_the_page_says_so(town: Town, engine: Playwright) -> None:
    with chromium(engine) as browser:
        page = opened(phone(browser, "en"), town.url)
        seen_by_camera(page)
        page.wait_for_selector("body[data-state=trouble]")
        expect(page.locator("h1")).to_have_text("There is no camera to use")
        for _ in each_language(page):
            assert_accessible(page)
        page.click("main .actions .strong")
        page.wait_for_selector("body[data-state=start]")


@pytest.mark.parametrize("works", [True, False], ids=["it reads", "it sees nothing"])
def test_of_the_browsers_own_reader_and_ours_the_one_that_reads_is_believed(
    town: Town, browser: Browser, street: Path, works: bool
) -> None:
    film(street, [scene(symbol(town.licence()))])
    found = f"[{{ rawValue: {town.licence(SUSPENDED)!r} }}]" if works else "[]"
    context = phone_with_camera(browser)
    context.add_init_script(
        "window.BarcodeDetector = class { static async getSupportedFormats() { return ['qr_code'] }"
        f" async detect() {{ return {found} }} }}"
    )
    page = opened(context, town.url)
    seen_by_camera(page)
    assert_answer(page, "suspended" if works else "valid")
