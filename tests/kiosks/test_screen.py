"""The screen in Debian's Chromium, over the real agent, a recorded headquarters and simulated devices."""

from pathlib import Path

import httpx
import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped] # it ships no types
from playwright.sync_api import Page, expect

from integrations.licences.admission import STATUS_TITLES
from tests.kiosks.browser import screen_page
from tests.kiosks.conftest import ANSWERS, Town
from tests.processes import PATIENCE

NUMBER = "SL-2026-004512"
PRINT, FINISH = "form[action='/press/print'] button", "form[action='/press/finish'] button"


def assert_accessible(page: Page) -> None:
    """axe-core finds nothing, in either language; the page is left in Arabic."""
    for language, direction in (("en", "ltr"), ("ar", "rtl")):
        page.click(f"form[action='/press/{language}'] button")
        page.wait_for_selector(f"html[lang={language}][dir={direction}]")
        result = Axe().run(page)
        assert result.violations_count == 0, result.generate_report()


def state(page: Page, name: str) -> None:
    page.wait_for_selector(f"body[data-state={name}]")


def test_a_visit_from_scan_to_paper_is_accessible_on_every_screen(town: Town) -> None:
    with screen_page(town.kiosk.url) as page:
        state(page, "attract")
        assert_accessible(page)
        town.mood(held=True)
        town.kiosk.scan(NUMBER)
        state(page, "reading")
        assert_accessible(page)
        town.mood(held=False)
        state(page, "showing")
        assert_accessible(page)
        town.kiosk.devices.printer(bytes_per_second=8000)
        page.click(PRINT)
        state(page, "printing")
        assert_accessible(page)
        town.kiosk.devices.printer(bytes_per_second=0)
        state(page, "ended")
        assert_accessible(page)
        page.click(FINISH)
        state(page, "attract")
        assert NUMBER not in page.content()


def test_every_standing_of_a_licence_is_shown_in_both_languages(town: Town) -> None:
    with screen_page(town.kiosk.url) as page:
        for status, title in STATUS_TITLES.items():
            town.mood(licence={"status": status, "status_title": title.model_dump(), "since": "2026-12-01"})
            town.kiosk.scan(NUMBER)
            state(page, "showing")
            assert_accessible(page)
            expect(page.locator(".status")).to_have_text(title.ar)
            expect(page.locator("dt", has_text="منذ")).to_have_count(0 if status == "valid" else 1)
            page.click("form[action='/press/en'] button")
            expect(page.locator(".status")).to_have_text(title.en.capitalize())
            assert ("1 December 2026" in page.locator("dl").inner_text()) is (status != "valid")
            page.click(FINISH)
            state(page, "attract")


def test_every_trouble_is_told_in_plain_words_and_accessible(town: Town) -> None:
    kiosk = town.kiosk
    with screen_page(kiosk.url) as page:
        state(page, "attract")
        kiosk.devices.scanner_sends(b"\x1b[31m\r")
        expect(page.locator("h1")).to_have_text("تعذّرت قراءة هذا الرمز")
        assert_accessible(page)
        kiosk.scan("SL-2026-999999")
        expect(page.locator("h1")).to_have_text("لا توجد رخصة بهذا الرقم")
        assert_accessible(page)
        kiosk.scan((ANSWERS / "forged.txt").read_text().rstrip("\n"))
        expect(page.locator("h1")).to_have_text("لم يُقبل هذا الرمز")
        assert_accessible(page)
        town.mood(away=True)
        kiosk.scan(NUMBER)
        expect(page.locator("h1")).to_have_text("الخدمة غير متاحة الآن")
        assert_accessible(page)
        town.mood(away=False)
        kiosk.devices.printer(cover_open=True)
        kiosk.scan(NUMBER)
        state(page, "showing")
        page.click(PRINT)
        state(page, "pending")
        assert_accessible(page)
        kiosk.devices.printer(cover_open=False)
        state(page, "ended")
        kiosk.devices.printer(silent_after=20_000)
        kiosk.scan(NUMBER)
        state(page, "showing")
        page.click(PRINT)
        expect(page.locator("h1")).to_have_text("لا نعلم هل خرجت ورقتك")
        assert_accessible(page)
        page.click(FINISH)
        kiosk.devices.plug_scanner(False)
        state(page, "out_of_order")
        assert_accessible(page)
        kiosk.devices.plug_scanner(True)
        state(page, "attract")


def test_the_page_stands_right_to_left_and_its_number_left_to_right(town: Town) -> None:
    with screen_page(town.kiosk.url) as page:
        town.kiosk.scan(NUMBER)
        state(page, "showing")
        assert page.evaluate("getComputedStyle(document.body).direction") == "rtl"
        number = page.locator("#number")
        assert number.inner_text() == NUMBER
        assert number.evaluate("e => getComputedStyle(e).direction") == "ltr"
        # The first character stands left of the last: nothing turned it round.
        left, right = (
            number.evaluate(
                "(e, i) => { const r = document.createRange(); r.setStart(e.firstChild, i);"
                " r.setEnd(e.firstChild, i + 1); return r.getBoundingClientRect().left }",
                index,
            )
            for index in (0, len(NUMBER) - 1)
        )
        assert left < right
        page.click("form[action='/press/en'] button")
        page.wait_for_selector("html[lang=en]")
        assert page.locator("h1").inner_text() == "Shop licence"


def test_a_visit_needs_no_more_than_a_keyboard(town: Town) -> None:
    with screen_page(town.kiosk.url) as page:
        town.kiosk.scan(NUMBER)
        state(page, "showing")
        page.keyboard.press("Tab")
        focused = page.locator("button:focus-visible")
        expect(focused).to_have_count(1)
        assert float(focused.evaluate("e => parseFloat(getComputedStyle(e).outlineWidth)")) >= 4
        while (
            page.evaluate("document.activeElement.closest('form').getAttribute('action')") != "/press/print"
        ):
            page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        state(page, "ended")


def test_no_button_is_smaller_than_a_thumb(town: Town) -> None:
    with screen_page(town.kiosk.url, 1024, 600) as page:
        town.kiosk.scan(NUMBER)
        state(page, "showing")
        boxes = [button.bounding_box() for button in page.locator("button").all()]
        assert len(boxes) == 3
        assert all(box and box["width"] >= 64 and box["height"] >= 64 for box in boxes)
        # On a small screen the buttons are there without scrolling.
        assert all(box and box["y"] + box["height"] <= 600 for box in boxes)


def test_the_page_loads_nothing_from_elsewhere_and_runs_no_foreign_script(town: Town) -> None:
    with screen_page(town.kiosk.url) as page:
        asked: list[str] = []
        refused: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: refused.append(message.text))
        page.reload()
        assert asked
        assert all(url.startswith(town.kiosk.url) for url in asked)
        assert refused == []
        page.evaluate(
            "() => { const s = document.createElement('script'); s.textContent = 'window.bad = 1';"
            " document.head.append(s) }"
        )
        assert page.evaluate("window.bad") is None
        assert any("Content Security Policy" in text for text in refused)


def test_without_script_the_buttons_work(town: Town) -> None:
    with httpx.Client(base_url=town.kiosk.url, follow_redirects=True, timeout=PATIENCE) as client:
        town.kiosk.scan(NUMBER)
        town.kiosk.wait_for("shown")
        assert NUMBER in client.get("/").text
        assert 'lang="en"' in client.post("/press/en").text
        client.post("/press/print")
        town.kiosk.wait_for("printed")
        assert NUMBER not in client.post("/press/finish").text


@pytest.mark.parametrize(
    ("headers", "status"),
    [({"sec-fetch-site": "cross-site"}, 403), ({"host": "evil.example"}, 400), ({}, 303)],
)
def test_another_page_cannot_press_the_buttons(town: Town, headers: dict[str, str], status: int) -> None:
    assert httpx.post(town.kiosk.url + "press/en", headers=headers, timeout=PATIENCE).status_code == status


def test_an_unknown_button_is_not_found(town: Town) -> None:
    assert httpx.post(town.kiosk.url + "press/refund", timeout=PATIENCE).status_code == 404
    assert httpx.get(town.kiosk.url + "press/print", timeout=PATIENCE).status_code == 405


def test_every_answer_is_strict_about_what_the_browser_may_do(town: Town) -> None:
    for path in ("", "static/screen.js", "static/screen.css", "nowhere"):
        headers = httpx.get(town.kiosk.url + path, timeout=PATIENCE).headers
        assert headers["cache-control"] == "no-store"
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]


def test_the_screen_says_when_the_terminal_stops_and_comes_back_with_it(town: Town, tmp_path: Path) -> None:
    kiosk = town.kiosk
    with screen_page(kiosk.url) as page:
        state(page, "attract")
        town.restart_agent(tmp_path / "second.log", lambda: page.wait_for_selector(".lost"))
        expect(page.locator(".lost")).to_have_count(0)
        state(page, "attract")
