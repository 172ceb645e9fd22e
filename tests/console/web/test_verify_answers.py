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
from foundation.wire.verdict_words import WORDS, Answer
from lab.credential_vectors import packed, unpacked
from tests.console.web.phone import answer_to, assert_accessible, opened, phone
from tests.console.web.town import REPLACED, REVOKED, SUSPENDED, Town, now
from tests.processes import PATIENCE

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


@pytest.mark.parametrize("language", ["ar", "en"])
def test_every_answer_is_told_in_words_and_a_sign_and_is_accessible(
    town: Town, browser: Browser, language: str
) -> None:
    given = codes(town)
    assert given.keys() | {"list_too_old"} == {answer.value for answer in Answer}
    page = opened(phone(browser, language, width=320, height=640), town.url)
    assert_accessible(page)
    for answer, text in given.items():
        assert answer_to(page, text) == answer
        words = WORDS[Answer(answer)]
        expect(page.locator("h1")).to_have_text(words.title.in_language(language))
        expect(page.locator("h1")).to_be_focused()
        for line in (words.sentence, words.remedy):
            expect(page.locator(".verdict")).to_contain_text(line.in_language(language))
        assert page.locator(".verdict .sign").evaluate("e => e.complete && e.naturalWidth > 0")
        assert page.locator(".chip").inner_text()
        assert_accessible(page)


def test_a_list_too_old_says_how_old_it_is(town: Town, browser: Browser) -> None:
    town.publish(timedelta(days=11))
    page = opened(phone(browser, "en"), town.url)
    assert answer_to(page, town.licence()) == "list_too_old"
    for place in (".age", "#list"):
        told = "The list of suspended and revoked licences is 11 days old."
        expect(page.locator(place)).to_have_text(told)
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


def test_every_file_is_strict_about_what_the_browser_may_do(town: Town) -> None:
    with httpx.Client(base_url=town.url, timeout=PATIENCE) as client:
        for name in ("", "page.js", "worker.js", "labels.json", "yes.svg"):
            headers = client.get(name).headers
            assert "default-src 'none'" in headers["content-security-policy"]
            assert "unsafe" not in headers["content-security-policy"]
            assert headers["permissions-policy"].startswith("camera=(self)")
            assert headers["x-content-type-options"] == "nosniff"
            assert client.get(name, headers={"if-none-match": headers["etag"]}).status_code == 304
        assert client.get("town.py").status_code == 404
        assert client.get("%2e%2e/app.py").status_code == 404
        assert client.head("").content == b""


def test_the_address_without_its_slash_leads_to_the_page(town: Town) -> None:
    answer = httpx.get(town.url.removesuffix("/"), timeout=PATIENCE)
    assert (answer.status_code, answer.headers["location"]) == (308, "/verify/")
