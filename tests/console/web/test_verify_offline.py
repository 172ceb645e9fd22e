"""The verification page without a network, with a poor one, and when there is a newer version of it."""

from datetime import timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI, Request, Response
from playwright.sync_api import Browser, Page, expect

from console.web import verify_page
from foundation.wire.credential import SigningKey
from tests.console.web.phone import answer_to, opened, phone
from tests.console.web.town import REVOKED, Town
from tests.foundation.http_face import served

_LIST = "**/v1/status-lists/*"


def test_with_the_network_cut_the_page_opens_and_judges(town: Town, browser: Browser) -> None:
    context = phone(browser, "en")
    opened(context, town.url).close()
    context.set_offline(True)
    page = context.new_page()
    page.goto(town.url)
    page.wait_for_selector("body[data-offline=ready]")
    assert answer_to(page, town.licence()) == "valid"
    expect(page.locator(".age")).to_have_text("The list of suspended and revoked licences is 3 hours old.")
    assert answer_to(page, town.licence(REVOKED)) == "revoked"
    assert answer_to(page, town.licence(key=SigningKey.generate("sample"))) == "unknown_key"
    page.click("#update")
    page.wait_for_selector("body[data-update=update_failed]")
    expect(page.locator("#told")).to_contain_text("could not be updated")


def test_when_the_network_comes_back_a_newer_list_is_fetched(town: Town, browser: Browser) -> None:
    town.publish(timedelta(days=5))
    context = phone(browser, "en")
    page = opened(context, town.url)
    expect(page.locator("#list")).to_contain_text("5 days")
    context.set_offline(True)
    page.reload()
    page.wait_for_selector("body[data-offline=ready]")
    town.publish(timedelta(hours=2), version=2)
    expect(page.locator("#list")).to_contain_text("5 days")
    context.set_offline(False)
    expect(page.locator("#list")).to_contain_text("2 hours")


def test_a_list_too_old_is_fetched_anew_before_it_is_told(town: Town, browser: Browser) -> None:
    town.publish(timedelta(days=9))
    page = opened(phone(browser), town.url)
    town.publish(timedelta(hours=1), version=2)
    assert answer_to(page, town.licence()) == "valid"


def test_an_unknown_key_is_asked_for_before_it_is_told(town: Town, browser: Browser) -> None:
    page = opened(phone(browser), town.url)
    newest = SigningKey.generate("sample")
    text = town.licence(key=newest)
    assert answer_to(page, text) == "unknown_key"
    town.extra_keys.append(newest.public)
    assert answer_to(page, text) == "valid"


def test_an_older_list_played_back_does_not_take_the_place_of_a_newer(town: Town, browser: Browser) -> None:
    page = opened(phone(browser, "en"), town.url)
    town.publish(timedelta(days=2), version=2)
    page.click("#update")
    page.wait_for_selector("body[data-update=update_failed]")
    expect(page.locator("#list")).to_contain_text("3 hours")
    page.reload()
    page.wait_for_selector("body[data-offline=ready]")
    expect(page.locator("#list")).to_contain_text("3 hours")


@pytest.mark.parametrize("body", [b"<html>Please pay for this network</html>", b"", b"\xd2\x84"])
def test_a_page_of_the_network_itself_takes_the_place_of_nothing(
    town: Town, browser: Browser, body: bytes
) -> None:
    context = phone(browser)
    page = opened(context, town.url)
    for address in ("**/.well-known/*", _LIST):
        context.route(address, lambda route: route.fulfill(body=body, content_type="text/html"))
    page.click("#update")
    page.wait_for_selector("body[data-update=update_failed]")
    page.reload()
    page.wait_for_selector("body[data-offline=ready]")
    assert answer_to(page, town.licence()) == "valid"


def test_a_list_forged_on_the_way_is_not_held(town: Town, browser: Browser) -> None:
    page = opened(phone(browser), town.url)
    path = next(iter(town.lists))
    right = town.lists[path]
    town.lists[path] = right[:-1] + bytes([right[-1] ^ 1])
    page.click("#update")
    page.wait_for_selector("body[data-update=update_failed]")
    assert answer_to(page, town.licence(REVOKED)) == "revoked"


def test_a_list_whose_key_was_revoked_is_no_longer_believed(town: Town, browser: Browser) -> None:
    page = opened(phone(browser), town.url)
    text = town.licence(key=(newest := SigningKey.generate("sample")))
    town.extra_keys.append(newest.public)
    town.key, town.revoked = newest, town.key
    page.click("#update")
    page.wait_for_selector("body[data-update=update_failed]")
    assert answer_to(page, text) == "list_missing"
    town.publish(timedelta(hours=1), version=2)
    assert answer_to(page, text) == "valid"


def _versioned(folder: Path, monkeypatch: pytest.MonkeyPatch, mark: str) -> None:
    """A copy of the page's files whose heading script and words both carry a mark."""
    source = verify_page.FOLDER
    folder.mkdir(exist_ok=True)
    for path in source.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    words = (folder / "words.js").read_text().replace("Verify a licence", f"Verify a licence {mark}")
    (folder / "words.js").write_text(words)
    views = (folder / "views.js").read_text().replace('"hint small"', f'"hint small {mark}"')
    (folder / "views.js").write_text(views)
    monkeypatch.setattr(verify_page, "FOLDER", folder)


class _Changing:
    """Serves a town's page, whose files may be exchanged while it runs."""

    def __init__(self, town: Town) -> None:
        self._town = town
        self.inner = town.app()
        self.broken = ""

    def exchange(self) -> None:
        self.inner = self._town.app()

    def app(self) -> FastAPI:
        outer = FastAPI()

        @outer.middleware("http")
        async def broken(request: Request, onward: object) -> Response:
            if self.broken and request.url.path.endswith(self.broken):
                return Response("// of another version", media_type="text/javascript")
            return await onward(request)  # type: ignore[operator, no-any-return]

        async def current(scope: object, receive: object, send: object) -> None:
            await self.inner(scope, receive, send)  # type: ignore[arg-type]

        outer.mount("/", current)
        return outer


def _marks(page: Page) -> tuple[bool, bool]:
    page.wait_for_selector("body[data-state=start]")
    return "two" in page.locator("h1").inner_text(), page.locator(".hint.small.two").count() == 1


def test_a_newer_page_takes_over_whole_and_only_when_nobody_is_in_the_middle(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = Town()
    town.publish()
    changing = _Changing(town)
    with served(changing.app()) as origin:
        page = opened(phone(browser, "en"), f"{origin}/verify/")
        assert _marks(page) == (False, False)
        assert answer_to(page, town.licence()) == "valid"
        _versioned(tmp_path / "two", monkeypatch, "two")
        changing.exchange()
        # A server that has one file of another version: the set is not taken.
        changing.broken = "/views.js"
        page.evaluate("navigator.serviceWorker.ready.then((kept) => kept.update().catch(() => 0))")
        page.wait_for_function(
            "navigator.serviceWorker.ready.then((kept) => !kept.installing && !kept.waiting)"
        )
        changing.broken = ""
        page.evaluate("navigator.serviceWorker.ready.then((kept) => kept.update())")
        page.wait_for_function("navigator.serviceWorker.ready.then((kept) => kept.waiting !== null)")
        # It waits while an answer is read.
        assert page.get_attribute("body", "data-answer") == "valid"
        page.click("main .actions .strong")
        page.wait_for_selector(".hint.small.two")
        assert _marks(page) == (True, True)
        names = page.evaluate("caches.keys()")
        assert len([name for name in names if name.startswith("rakeeza-verify-")]) == 1
        # What was held stays.
        assert answer_to(page, town.licence(REVOKED)) == "revoked"
