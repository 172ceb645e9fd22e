"""The verification page without a network, with a poor one, and when there is a newer version of it."""

from datetime import timedelta
from pathlib import Path

import pytest
from fastapi import FastAPI, Request, Response
from playwright.sync_api import Browser, Page, expect

from console.web import verify_page
from foundation.wire.credential import SigningKey
from tests.console.web.phone import answer_to, assert_accessible, each_language, opened, phone
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


def test_after_a_clock_that_ran_wild_the_right_time_is_held_again(town: Town, browser: Browser) -> None:
    town.publish(timedelta(days=-900), version=2)
    page = opened(phone(browser, "en"), town.url)
    assert answer_to(page, town.licence()) == "clock_wrong"
    town.publish(timedelta(hours=1), version=3)
    page.reload()
    expect(page.locator("#list")).to_contain_text("1 hour")
    assert answer_to(page, town.licence()) == "valid"


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


def _update(page: Page) -> None:
    page.evaluate("navigator.serviceWorker.ready.then((kept) => kept.update())")
    page.wait_for_function("navigator.serviceWorker.ready.then((kept) => kept.waiting !== null)")


def test_a_page_that_shows_an_answer_goes_on_when_another_is_exchanged(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    town = Town()
    town.publish()
    changing = _Changing(town)
    with served(changing.app()) as origin:
        context = phone(browser, "en")
        first, second = (opened(context, f"{origin}/verify/") for _ in range(2))
        assert answer_to(first, town.licence()) == "valid"
        answer_to(second, town.licence())
        _versioned(tmp_path / "two", monkeypatch, "two")
        changing.exchange()
        _update(first)
        second.click("main .actions .strong")
        second.wait_for_selector(".hint.small.two")
        first.wait_for_function("navigator.serviceWorker.ready.then((kept) => kept.waiting === null)")
        assert first.get_attribute("body", "data-answer") == "valid"
        first.click("main .actions .strong")
        first.wait_for_selector(".hint.small.two")
        assert _marks(first) == (True, True)


_FORGET_FILES = """caches.keys().then((names) => Promise.all(
  names.filter((name) => name.startsWith("rakeeza-verify-")).map((name) => caches.delete(name))))"""


_IS_KEPT = """async () => {
  const { active } = await navigator.serviceWorker.ready;
  const { port1, port2 } = new MessageChannel();
  const told = new Promise((resolve) => { port1.onmessage = (event) => resolve(event.data) });
  active.postMessage("is all kept?", [port2]);
  return told;
}"""


def test_files_that_the_browser_threw_away_are_kept_anew(town: Town, browser: Browser) -> None:
    context = phone(browser, "en")
    page = opened(context, town.url)
    page.evaluate(_FORGET_FILES)
    page.reload()
    page.wait_for_selector("body[data-offline=ready]")
    context.set_offline(True)
    page.reload()
    page.wait_for_selector("body[data-offline=ready]")
    assert answer_to(page, town.licence()) == "valid"


def test_a_page_that_could_not_be_kept_does_not_say_that_it_is(browser: Browser) -> None:
    town = Town()
    town.publish()
    changing = _Changing(town)
    with served(changing.app()) as origin:
        page = opened(phone(browser, "en"), f"{origin}/verify/")
        page.evaluate(_FORGET_FILES)
        changing.broken = "/mark.svg"
        page.reload()
        page.wait_for_selector("body[data-update=updated]")
        assert page.evaluate(_IS_KEPT) is False
        expect(page.locator("#offline")).to_have_text("This page is not kept for use without a network yet.")
        assert answer_to(page, town.licence()) == "valid"


@pytest.mark.parametrize(
    "broken",
    [
        "CacheStorage.prototype.open = async () => { throw new DOMException('closed', 'SecurityError') }",
        "Cache.prototype.match = async () => { throw new DOMException('lost', 'UnknownError') }",
        "Cache.prototype.put = async () => { throw new DOMException('full', 'QuotaExceededError') }",
        "ServiceWorkerContainer.prototype.register = async () => { throw new TypeError('private') }",
        "delete Navigator.prototype.serviceWorker",
        "Object.defineProperty(window, 'localStorage', { get() { throw new DOMException('no') } })",
        "delete AbortSignal.timeout",
        "delete HTMLVideoElement.prototype.requestVideoFrameCallback",
    ],
    ids=["no cache", "lost", "full", "no worker", "no workers", "no storage", "old", "older"],
)
def test_where_nothing_may_be_kept_the_page_works_while_it_is_open(
    town: Town, browser: Browser, broken: str
) -> None:
    context = phone(browser, "en")
    context.add_init_script(broken)
    for _ in range(2):
        page = context.new_page()
        page.goto(town.url)
        page.wait_for_selector("body[data-update=updated]")
        assert answer_to(page, town.licence()) == "valid"
        before = page.get_attribute("html", "lang") or ""
        page.click("#language")
        expect(page.locator("html")).not_to_have_attribute("lang", before)


def test_a_page_without_a_worker_says_that_it_is_not_kept(town: Town, browser: Browser) -> None:
    page = phone(browser, "en", service_workers="block").new_page()
    page.goto(town.url)
    page.wait_for_selector("body[data-update=updated]")
    expect(page.locator("#offline")).to_have_text("This page is not kept for use without a network yet.")


def test_without_the_names_of_fields_their_codes_are_shown(town: Town, browser: Browser) -> None:
    context = phone(browser, "en", service_workers="block")
    context.route("**/labels.json", lambda route: route.fulfill(status=503, json={"title": "Not now"}))
    page = context.new_page()
    page.goto(town.url)
    page.wait_for_selector("body[data-update=updated]")
    assert answer_to(page, town.licence()) == "valid"
    expect(page.locator("dt", has_text="trade_name")).to_have_count(1)


def test_an_address_without_encryption_is_told_and_offers_nothing(town: Town, browser: Browser) -> None:
    page = phone(browser, "en").new_page()
    page.goto(town.url.replace("127.0.0.1", "plain.example"))
    page.wait_for_selector("body[data-state=trouble]")
    assert not page.evaluate("isSecureContext")
    for _ in each_language(page):
        assert_accessible(page)
    expect(page.locator("h1")).to_have_text("This browser cannot verify")
    expect(page.locator("main button, footer:visible")).to_have_count(0)


def test_a_browser_too_old_for_the_script_is_told_so(town: Town, browser: Browser) -> None:
    context = phone(browser, "en", service_workers="block")
    # As a browser that does not understand it: the script never runs.
    context.route("**/page.js", lambda route: route.fulfill(body="class {", content_type="text/javascript"))
    page = context.new_page()
    page.goto(town.url)
    expect(page.get_by_text("the browser is too old to verify")).to_be_visible()
