"""The verification page as `rakeeza serve` serves it."""

import httpx
from playwright.sync_api import Browser, expect

from tests.console.serving import Served
from tests.console.web.phone import assert_accessible, phone
from tests.processes import PATIENCE


def test_the_platform_serves_the_page_and_what_it_holds(platform: Served, browser: Browser) -> None:
    labels = httpx.get(f"{platform.api}/verify/labels.json", timeout=PATIENCE).json()
    assert labels["municipalities"]["sample"] == {"ar": "أمانة نموذجية", "en": "Sample Municipality"}
    assert labels["fields"]["shop_licence"]["trade_name"] == {"ar": "الاسم التجاري", "en": "Trade name"}
    page = phone(browser, "en").new_page()
    page.goto(f"{platform.api}/verify/")
    page.wait_for_selector("body[data-offline=ready][data-update=updated]")
    expect(page.locator("#keys")).to_contain_text("Keys last updated")
    assert_accessible(page)
