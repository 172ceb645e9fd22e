"""A terminal keeps the status lists, and judges a code by them while headquarters is away."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from fastapi import FastAPI, Response

from foundation.definitions import Bilingual
from foundation.errors import RakeezaError, Refused
from foundation.secret import Secret
from foundation.wire.credential import KeySet, LicenceClaims, PublicKey, SigningKey, seal
from foundation.wire.status_list import StatusList, StatusReference, StatusValue, empty, put, sign_list
from foundation.wire.verification import Answer, Verdict, verify
from kiosks.codes import offline_verdict
from kiosks.headquarters import Headquarters
from kiosks.keeping import Keeping
from kiosks.visit import Visit
from tests.foundation.http_face import served
from tests.processes import PATIENCE

KEY = SigningKey.generate("sample")
URI = "https://licences.example.gov.sa/v1/status-lists/0"
NOW = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)
CLAIMS = LicenceClaims(
    "SL-2026-004512",
    "shop_licence",
    Bilingual(ar="رخصة محل تجاري", en="Shop licence"),
    "sample",
    date(2026, 11, 22),
    date(2027, 11, 21),
    datetime(2026, 11, 22, 9, 30, tzinfo=UTC),
    status=StatusReference(7, URI),
)
TEXT = seal(CLAIMS, KEY)


def listed(version: int = 1, value: StatusValue = StatusValue.VALID, **change: Any) -> StatusList:
    statuses, at = empty(64), NOW - timedelta(hours=12 - version)
    put(statuses, [(7, value)])
    made = StatusList(
        URI, "sample", version, at, at + timedelta(days=7), timedelta(hours=12), bytes(statuses)
    )
    return replace(made, **change)


@dataclass
class Town:
    """A headquarters that publishes its keys and lists, and how often a list was fetched."""

    content: StatusList = field(default_factory=listed)
    others: list[StatusList] = field(default_factory=list)
    token: bytes | None = None
    keys: list[PublicKey] = field(default_factory=lambda: [KEY.public])
    fetched: int = 0

    def app(self) -> FastAPI:
        app = FastAPI()

        @app.get("/.well-known/rakeeza-keys.json")
        def public() -> Response:
            return Response(KeySet(self.keys).to_json())

        @app.get("/.well-known/rakeeza-status.json")
        def index() -> dict[str, Any]:
            lists = [self.content, *self.others]
            heads = [{"uri": each.uri, "version": each.version, "made_at": each.issued_at} for each in lists]
            return {"lists": [{"number": number, "further": 1, **head} for number, head in enumerate(heads)]}

        @app.get("/v1/status-lists/{number}")
        def token(number: int) -> Response:
            self.fetched += 1
            if number == 0 and self.token is not None:
                return Response(self.token)
            return Response(sign_list([self.content, *self.others][number], KEY))

        return app


@pytest.fixture
def town() -> Town:
    return Town()


@pytest.fixture
def url(town: Town) -> Iterator[str]:
    with served(town.app()) as address:
        yield address


def told(peer: Headquarters, now: datetime = NOW, code: str = TEXT) -> Verdict | None:
    return offline_verdict(code, peer.known_keys, peer.lists, now)


def terminal(url: str, now: datetime = NOW, keeping: Keeping | None = None) -> Headquarters:
    return Headquarters(url, "kiosk", Secret("s"), PATIENCE, keeping, lambda: now)


def test_a_list_is_fetched_once_and_again_when_there_is_a_newer_one(url: str, town: Town) -> None:
    async def work() -> None:
        async with terminal(url) as peer:
            assert await peer.refresh_lists() == 1
            assert await peer.refresh_lists() == 0
            assert town.fetched == 1
            town.content = listed(2, StatusValue.SUSPENDED)
            assert await peer.refresh_lists() == 1
            verdict = told(peer)
            assert verdict is not None
            assert verdict.answer is Answer.SUSPENDED

    asyncio.run(work())


def test_an_old_list_still_serves_and_says_how_old_it_is(url: str) -> None:
    async def work() -> None:
        async with terminal(url) as peer:
            await peer.refresh_lists()
            fresh, old = told(peer), told(peer, NOW + timedelta(days=5))
            late = told(peer, NOW + timedelta(days=8))
            assert fresh is not None
            assert old is not None
            assert late is not None
            assert [each.answer for each in (fresh, old)] == [Answer.VALID, Answer.VALID]
            assert old.to_json()["list_age"]["en"].endswith("is 5 days old.")
            assert late.answer is Answer.LIST_TOO_OLD

    asyncio.run(work())


@pytest.mark.parametrize(
    "token",
    [
        b"",
        b"{}",
        sign_list(listed(2), KEY)[:-1],
        sign_list(listed(2), SigningKey.generate("sample")),
        sign_list(listed(2, uri=URI.replace("/0", "/1")), KEY),
        sign_list(listed(1, issued_at=NOW - timedelta(days=2)), KEY),
    ],
    ids=["nothing", "JSON", "cut off", "of a stranger", "of another name", "played back"],
)
def test_a_list_that_is_not_accepted_leaves_the_one_held(url: str, town: Town, token: bytes) -> None:
    async def work() -> None:
        async with terminal(url) as peer:
            await peer.refresh_lists()
            town.content, town.token = listed(2, StatusValue.REVOKED), token
            with pytest.raises(Refused):
                await peer.refresh_lists()
            verdict = told(peer)
            assert verdict is not None
            assert verdict.answer is Answer.VALID

    asyncio.run(work())


def test_when_headquarters_goes_away_what_is_held_stays(town: Town) -> None:
    async def work() -> None:
        with served(town.app()) as url:
            peer = terminal(url)
            await peer.refresh_lists()
        async with peer:
            with pytest.raises(RakeezaError):
                await peer.refresh_lists()
            verdict = told(peer)
            assert verdict is not None
            assert verdict.answer is Answer.VALID

    asyncio.run(work())


def test_what_is_not_to_be_believed_is_not_told_offline(url: str) -> None:
    async def work() -> None:
        async with terminal(url) as peer:
            await peer.refresh_lists()
            assert told(peer, code="SL-2026-004512") is None
            assert told(peer, code=TEXT[:-2]) is None
            assert told(peer, code=seal(CLAIMS, SigningKey.generate("sample"))) is None

    asyncio.run(work())


def test_the_verdict_is_forgotten_with_the_next_scan() -> None:
    visit = Visit("ar")
    visit.read()
    visit.fail("offline", Verdict(Answer.VALID, NOW, CLAIMS, KEY.public))
    assert visit.verdict is not None
    visit.read()
    assert visit.verdict is None


def test_a_list_that_is_not_accepted_keeps_no_other_away(url: str, town: Town) -> None:
    town.others, town.token = [listed(uri=URI.replace("/0", "/1"))], b"{}"

    async def work() -> None:
        async with terminal(url) as peer:
            with pytest.raises(Refused):
                await peer.refresh_lists()
            assert [each.uri for each in peer.lists] == [town.others[0].uri]

    asyncio.run(work())


def test_a_key_that_was_revoked_is_believed_no_longer_though_no_list_changed(url: str, town: Town) -> None:
    async def work() -> None:
        async with terminal(url) as peer:
            await peer.refresh_lists()
            assert len(peer.lists) == 1
            town.keys = [replace(KEY.public, revoked_at=NOW), SigningKey.generate("sample").public]
            with pytest.raises(Refused):
                await peer.refresh_lists()
            assert told(peer) is None
            assert verify(TEXT, peer.known_keys, peer.lists, NOW).answer is Answer.REVOKED_KEY
            assert len(peer.lists) == 0

    asyncio.run(work())


def test_a_restored_headquarters_counts_versions_again_and_its_list_is_fetched(url: str, town: Town) -> None:
    async def work() -> None:
        async with terminal(url) as peer:
            await peer.refresh_lists()
            later = town.content.issued_at + timedelta(hours=1)
            town.content = listed(1, StatusValue.REVOKED, issued_at=later)
            assert await peer.refresh_lists() == 1
            verdict = told(peer)
            assert verdict is not None
            assert verdict.answer is Answer.REVOKED

    asyncio.run(work())


def test_a_headquarters_whose_clock_ran_wild_is_believed_again_when_it_is_right(url: str, town: Town) -> None:
    wild = NOW + timedelta(days=2_000)
    town.content = listed(7, issued_at=wild, expires_at=wild + timedelta(days=7))

    async def work() -> None:
        async with terminal(url) as peer:
            await peer.refresh_lists()
            verdict = told(peer)
            assert verdict is not None
            assert verdict.answer is Answer.CLOCK_WRONG
            town.content = listed(8, StatusValue.SUSPENDED)
            assert await peer.refresh_lists() == 1
            verdict = told(peer)
            assert verdict is not None
            assert verdict.answer is Answer.SUSPENDED

    asyncio.run(work())
