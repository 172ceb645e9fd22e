"""What tests of the verification page share."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from tests.console.web.phone import chromium
from tests.console.web.town import Town, running_town


@pytest.fixture(scope="module")
def engine() -> Iterator[Playwright]:
    """Playwright: one in a thread, and gone before another module begins its own."""
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def browser(engine: Playwright) -> Iterator[Browser]:
    """A browser without a camera."""
    with chromium(engine) as running:
        yield running


@pytest.fixture
def town() -> Iterator[Town]:
    """A municipality with a list three hours old."""
    with running_town() as running:
        yield running
