"""The verification page: every answer it can give, as people see, hear and touch it."""

import re
from datetime import timedelta

import cbor2
import httpx
import pytest
from playwright.sync_api import Browser, expect

from foundation.calendar import today
from foundation.wire.cose import sign1
from foundation.wire.credential import SigningKey
from foundation.wire.verdict_words import BY_REGISTER, WORDS, Answer
from lab.credential_vectors import packed, unpacked
from tests.console.web.phone import answer_to, assert_accessible, each_language, opened, phone
from tests.console.web.town import REPLACED, REVOKED, SUSPENDED, Town, now
from tests.processes import PATIENCE, until

_DAY = timedelta(days=1)


def codes(town: Town) -> dict[str, str]:
    """A code for each answer that one list and one set of keys can give."""
    valid = town.licence()
    parts = cbor2.loads(unpacked(valid)).value
    flipped = parts[3][:-1] + bytes([parts[3][-1] ^ 1])
    return {
        "valid": valid,
        "not_yet_valid": town.licence(valid_from=today() + _DAY),
        "expired": town.licence(valid_to=today() - _DAY),
        "suspended": town.licence(SUSPENDED),
        "revoked": town.licence(REVOKED),
        "replaced": town.licence(REPLACED),
        "list_missing": town.licence(None),
        "not_ours": "https://example.com/",
        "damaged": valid[:-4],
        "oversized": packed(bytes(100_000)),
        "unknown_key": town.licence(key=SigningKey.generate("sample")),
        "revoked_key": town.licence(key=town.revoked),
        "wrong_signature": packed(cbor2.dumps(cbor2.CBORTag(18, [*parts[:3], flipped]))),
        "other_municipality": packed(sign1(parts[2], town.other)),
        "key_out_of_period": town.licence(key=town.later),
        "clock_wrong": town.licence(issued_at=now() + timedelta(hours=1)),
    }


def test_every_answer_is_told_in_words_and_a_sign_and_is_accessible(town: Town, browser: Browser) -> None:
    given = codes(town)
    assert given.keys() | {"list_too_old"} == {answer.value for answer in set(Answer) - BY_REGISTER}
    page = opened(phone(browser, width=320, height=640), town.url)
    for _ in each_language(page):
        assert_accessible(page)
    for answer, text in given.items():
        assert answer_to(page, text) == answer
        expect(page.locator("h1")).to_be_focused()
        words = WORDS[Answer(answer)]
        chips = set()
        for language in each_language(page):
            expect(page.locator("h1")).to_have_text(words.title.in_language(language))
            for line in (words.sentence, words.remedy):
                expect(page.locator(".verdict")).to_contain_text(line.in_language(language))
                # Beside the heading, for who does not see it.
                expect(page.locator("#said[role=status]")).to_contain_text(line.in_language(language))
            until(lambda: page.evaluate("document.querySelector('.verdict .sign').naturalWidth"), "the sign")
            chips.add(page.locator(".chip").inner_text())
            assert_accessible(page)
        assert len(chips - {""}) == 2


def test_a_list_too_old_says_how_old_it_is(town: Town, browser: Browser) -> None:
    town.publish(timedelta(days=11))
    page = opened(phone(browser, "en"), town.url)
    assert answer_to(page, town.licence()) == "list_too_old"
    for place in (".age", "#list"):
        told = "The list of suspended and revoked licences is 11 days old."
        expect(page.locator(place)).to_have_text(told)
    expect(page.locator("#said")).to_contain_text(told)
    for _ in each_language(page):
        assert_accessible(page)
    # What has ended needs no list to be known.
    assert answer_to(page, town.licence(valid_to=today() - _DAY)) == "expired"


def test_a_page_that_never_had_a_network_for_keys_says_so(town: Town, browser: Browser) -> None:
    context = phone(browser, "en")
    context.route("**/.well-known/**", lambda route: route.abort())
    page = context.new_page()
    page.goto(town.url)
    page.wait_for_selector("body[data-update=update_failed]")
    expect(page.locator("#keys")).to_have_text(
        "The keys for verifying are not here yet; connect to the network once."
    )
    assert answer_to(page, town.licence()) == "unknown_key"
    for _ in each_language(page):
        assert_accessible(page)


def test_what_the_paper_shows_in_public_is_shown_and_nothing_else(town: Town, browser: Browser) -> None:
    page = opened(phone(browser), town.url)
    last = today() + 335 * _DAY
    answer_to(page, town.licence())
    rows = page.locator("dl > div").all_inner_texts()
    labels = [row.split("\n")[0] for row in rows]
    assert labels == [
        "نوع الرخصة",
        "رقم الرخصة",
        "الجهة المصدرة",
        "سارية من",
        "سارية إلى",
        "الاسم التجاري",
        "النشاط",
        "المساحة",
        "الحي",
        "الشارع",
        "رقم المبنى",
        "تاريخ الإصدار",
    ]
    assert "أمانة نموذجية" in rows[2]
    assert str(last.year) in rows[4]
    assert "هـ" in rows[4]
    assert "مخبز الندى" in rows[5]


def test_a_refused_code_shows_nothing_of_what_it_claims(town: Town, browser: Browser) -> None:
    page = opened(phone(browser), town.url)
    assert answer_to(page, town.licence(key=town.revoked)) == "revoked_key"
    expect(page.locator("dl")).to_have_count(0)
    assert "SC-2026-004512" not in page.content()


def test_markup_in_a_licence_stays_text(town: Town, browser: Browser) -> None:
    page = opened(phone(browser, "en"), town.url)
    hostile = "<img src=x onerror=document.title='bad'>"
    text = town.licence(public={"trade_name": hostile, "<b>": "\u202eturned"}, number="<i>1</i>")
    assert answer_to(page, text) == "valid"
    expect(page.locator("dd", has_text="onerror")).to_have_text(hostile)
    assert page.locator("dl img, dl b, dl i").count() == 0
    assert "bad" not in page.title()


@pytest.mark.parametrize("name", ["__proto__", "constructor", "toString", "hasOwnProperty"])
def test_names_that_every_object_has_are_shown_like_others(town: Town, browser: Browser, name: str) -> None:
    page = opened(phone(browser, "en"), town.url)
    text = town.licence(service=name, public={name: "one", "trade_name": "two"})
    assert answer_to(page, text) == "valid"
    rows = page.locator("dl > div").all_inner_texts()
    assert [row.replace("\n", " ") for row in rows if "one" in row or "two" in row] == [
        f"{name} one",
        "trade_name two",
    ]
    assert page.evaluate("'one' in {} || ({}).trade_name") is None


def test_dates_are_those_of_riyadh_wherever_the_phone_is(town: Town, browser: Browser) -> None:
    text = town.licence(valid_to=today())
    for zone in ("Pacific/Auckland", "America/Los_Angeles"):
        context = browser.new_context(locale="en-GB", timezone_id=zone)
        page = opened(context, town.url)
        assert answer_to(page, text) == "valid"
        last = page.locator("dl > div", has_text="Valid to").inner_text()
        assert f"{today().day} {today():%B} {today().year}" in last
        context.close()


def test_the_page_needs_no_more_than_a_keyboard(town: Town, browser: Browser) -> None:
    page = opened(phone(browser, "en"), town.url)
    for wanted in ("#language", ".actions .strong", ".actions button:nth-of-type(2)", "summary"):
        page.keyboard.press("Tab")
        expect(page.locator(f"{wanted}:focus-visible")).to_have_count(1)
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.insert_text(town.licence())
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("body[data-answer=valid]")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("body[data-state=start]")
    expect(page.locator("h1")).to_be_focused()


def test_the_chosen_language_is_kept(town: Town, browser: Browser) -> None:
    page = opened(phone(browser, "ar"), town.url)
    assert page.get_attribute("html", "dir") == "rtl"
    page.click("#language")
    expect(page.locator("h1")).to_have_text("Verify a licence")
    page.reload()
    page.wait_for_selector("html[lang=en][dir=ltr]")
    number = "SC-2026-004512"
    page.click("#language")
    answer_to(page, town.licence())
    shown = page.locator("bdi", has_text=number)
    assert shown.evaluate("e => getComputedStyle(e).direction") == "ltr"


@pytest.mark.parametrize(
    ("languages", "taken"),
    [("ar-SA", "ar"), ("en-US", "en"), ("ur-PK,en-GB", "en"), ("ur-PK,ar-SA", "ar"), ("bn-BD", "ar")],
)
def test_who_reads_neither_language_first_gets_the_one_he_reads_next(
    town: Town, browser: Browser, languages: str, taken: str
) -> None:
    context = phone(browser)
    told = ", ".join(f"'{each}'" for each in languages.split(","))
    context.add_init_script(
        f"Object.defineProperty(Navigator.prototype, 'languages', {{ get: () => [{told}] }})"
    )
    page = context.new_page()
    page.goto(town.url)
    page.wait_for_selector("body[data-state=start]")
    assert page.get_attribute("html", "lang") == taken


def test_what_was_typed_stays_when_the_language_changes(town: Town, browser: Browser) -> None:
    page = opened(phone(browser, "ar"), town.url)
    page.click("summary")
    page.fill("textarea", "RKZ1:ABC")
    page.click("#language")
    expect(page.locator("textarea")).to_have_value("RKZ1:ABC")
    expect(page.locator("textarea")).to_be_visible()


def test_letters_of_twice_the_size_fit_the_screen(town: Town, browser: Browser) -> None:
    # The layout of a phone 390 pixels wide whose owner sees everything at 200 %.
    page = opened(phone(browser, width=195, height=422), town.url)
    for text in ("", town.licence(), town.licence(key=town.revoked), "no licence"):
        if text:
            answer_to(page, text)
        for _ in each_language(page):
            assert_accessible(page)


def test_the_page_loads_nothing_from_elsewhere_and_runs_no_foreign_script(
    town: Town, browser: Browser
) -> None:
    context = phone(browser)
    asked: list[str] = []
    refused: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = opened(context, town.url)
    page.on("console", lambda message: refused.append(message.text))
    origin = town.url.removesuffix("/verify/")
    assert all(url.startswith(origin) for url in asked)
    page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.bad = 1';"
        " document.head.append(s) }"
    )
    assert page.evaluate("window.bad") is None
    assert any("Content Security Policy" in text for text in refused)


def test_what_is_verified_is_sent_to_nobody(town: Town, browser: Browser) -> None:
    context = phone(browser)
    page = opened(context, town.url)
    sent: list[str] = []
    context.on("request", lambda request: sent.append(request.url + (request.post_data or "")))
    assert answer_to(page, town.licence()) == "valid"
    # The sign of the answer is drawn: a file of ours, asked by its bare name.
    assert all(re.fullmatch(re.escape(town.url) + r"\w+\.svg", each) for each in sent)


_LEFT_BEHIND = """async () => {
  const kept = [];
  for (const name of await caches.keys()) {
    const cache = await caches.open(name);
    for (const request of await cache.keys()) {
      const body = await (await cache.match(request)).arrayBuffer();
      kept.push(request.url + new TextDecoder("latin1").decode(body));
    }
  }
  return {
    caches: kept.join(),
    stored: JSON.stringify([{ ...localStorage }, { ...sessionStorage }]),
    databases: (await indexedDB.databases()).length,
    cookies: document.cookie,
    page: document.documentElement.outerHTML,
    address: location.href + JSON.stringify(history.state),
  };
}"""


def test_nothing_of_a_licence_is_kept_when_the_next_is_looked_at(town: Town, browser: Browser) -> None:
    page = opened(phone(browser), town.url)
    text = town.licence()
    assert answer_to(page, text) == "valid"
    page.click("main .actions .strong")
    page.wait_for_selector("body[data-state=start]")
    left = page.evaluate(_LEFT_BEHIND)
    assert left["caches"]
    for mark in ("SC-2026-004512", "مخبز الندى", text):
        for each in (mark, mark.encode().decode("latin1")):
            assert not any(each in str(kept) for kept in left.values()), mark
    assert (left["databases"], left["cookies"]) == (0, "")


def test_every_file_is_strict_about_what_the_browser_may_do(town: Town) -> None:
    with httpx.Client(base_url=town.url, timeout=PATIENCE) as client:
        for name in ("", "page.js", "worker.js", "labels.json", "yes.svg"):
            headers = client.get(name).headers
            assert "default-src 'none'" in headers["content-security-policy"]
            assert "unsafe" not in headers["content-security-policy"]
            assert headers["permissions-policy"].startswith("camera=(self)")
            assert headers["x-content-type-options"] == "nosniff"
            # A proxy that packs what it passes on makes the tag a weak one.
            for tag in (headers["etag"], f"W/{headers['etag']}", f'"old", {headers["etag"]}'):
                assert client.get(name, headers={"if-none-match": tag}).status_code == 304
            assert client.get(name, headers={"if-none-match": '"old"'}).status_code == 200
        assert client.get("town.py").status_code == 404
        assert client.get("%2e%2e/app.py").status_code == 404
        assert client.head("").content == b""


def test_the_address_without_its_slash_leads_to_the_page(town: Town) -> None:
    answer = httpx.get(town.url.removesuffix("/"), timeout=PATIENCE)
    assert (answer.status_code, answer.headers["location"]) == (308, "/verify/")
