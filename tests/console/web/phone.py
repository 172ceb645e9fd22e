"""A phone that opens the verification page: Debian's Chromium, its camera a film, its network as we say."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped] # it ships no types
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect

from tests.processes import PATIENCE

_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    # A name of its own makes an address without encryption an unsafe one, as 127.0.0.1 never is.
    "--host-resolver-rules=MAP plain.example 127.0.0.1 , MAP * ~NOTFOUND , EXCLUDE 127.0.0.1",
]
_AXE = Axe()
_RUN_AXE = "axe.run({ resultTypes: ['violations'] }).then((found) => found.violations)"


@contextmanager
def chromium(engine: Playwright, film: Path | None = None) -> Iterator[Browser]:
    """The browser.

    Args:
        engine: Playwright, of which a thread has but one.
        film: what its camera shows; without one there is no camera.
    """
    arguments = list(_ARGUMENTS)
    if film is not None:
        arguments += ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film}"]
    browser = engine.chromium.launch(executable_path="/usr/bin/chromium", args=arguments)
    try:
        yield browser
    finally:
        browser.close()


def phone(
    browser: Browser, language: str = "ar", width: int = 390, height: int = 844, **options: Any
) -> BrowserContext:
    """A phone with nothing kept on it; further options are Playwright's for a context."""
    locale = {"ar": "ar-SA", "en": "en-GB"}[language]
    context = browser.new_context(
        viewport={"width": width, "height": height}, locale=locale, reduced_motion="reduce", **options
    )
    context.set_default_timeout(1000 * PATIENCE)
    expect.set_options(timeout=1000 * PATIENCE)
    return context


def opened(context: BrowserContext, url: str) -> Page:
    """The page, once it works without a network and holds keys and lists."""
    page = context.new_page()
    page.goto(url)
    page.wait_for_selector("body[data-offline=ready]")
    page.wait_for_selector("body[data-update=updated], body[data-update=update_failed]")
    return page


def answer_to(page: Page, text: str) -> str:
    """What the page answers to a code's text that is pasted."""
    if page.get_attribute("body", "data-state") != "start":
        page.click("main .actions .strong")
    page.wait_for_selector("body[data-state=start]")
    page.click("summary")
    page.fill("textarea", text)
    page.click("form button")
    page.wait_for_selector("body[data-state=result]")
    return page.get_attribute("body", "data-answer") or ""


def assert_answer(page: Page, answer: str) -> None:
    """The page comes to this answer."""
    expect(page.locator("body")).to_have_attribute("data-answer", answer)


def seen_by_camera(page: Page) -> None:
    """Open the camera."""
    if page.get_attribute("body", "data-state") != "start":
        page.click("main .actions .strong")
    page.click("body[data-state=start] main .actions .strong")


def each_language(page: Page) -> Iterator[str]:
    """Its language, and then the other; the page is in the first again at the end."""
    for _ in range(2):
        yield page.get_attribute("html", "lang") or ""
        page.click("#language")


def assert_accessible(page: Page) -> None:
    """axe-core finds nothing, and nothing is wider than the screen."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(_AXE.axe_script)
    violations = page.evaluate(_RUN_AXE)
    assert not violations, violations
    widths = "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    wide, screen = page.evaluate(widths)
    assert wide <= screen


def imported(page: Page, script: str, argument: Any = None) -> Any:
    """What a function of `m`, the imported modules by name, gives: `"async (m, given) => ..."`."""
    names = [
        "answers",
        "bytes",
        "cbor",
        "credential",
        "days",
        "keys",
        "qr",
        "qr_binarise",
        "qr_text",
        "status",
        "verification",
    ]
    modules = ", ".join(f"import('/verify/{name}.js')" for name in names)
    load = f"Object.assign({{}}, ...await Promise.all([{modules}]))"
    return page.evaluate(f"async (given) => ({script})({load}, given)", argument)
