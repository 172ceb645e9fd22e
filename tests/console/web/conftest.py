"""What tests of the verification page share: a browser and a server a module, and a new town each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from tests.console.web.phone import chromium
from tests.console.web.scenes import desk, film
from tests.console.web.town import Town, running_town


@pytest.fixture(scope="module")
def engine() -> Iterator[Playwright]:
    """Playwright: one in a thread, and gone before another module begins its own."""
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def street(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The film that the camera shows; it is opened anew with the camera, and may be exchanged before."""
    return film(tmp_path_factory.mktemp("street") / "street.y4m", [desk()])


@pytest.fixture(scope="module")
def browser(engine: Playwright, street: Path) -> Iterator[Browser]:
    """A browser that asks before its camera is used."""
    with chromium(engine, street) as running:
        yield running


@pytest.fixture(scope="module")
def standing_town() -> Iterator[Town]:
    with running_town() as running:
        yield running


@pytest.fixture
def town(standing_town: Town, browser: Browser) -> Iterator[Town]:
    """A municipality with new keys and a list three hours old; its visitors leave with the test."""
    standing_town.renew()
    yield standing_town
    for context in browser.contexts:
        context.close()
