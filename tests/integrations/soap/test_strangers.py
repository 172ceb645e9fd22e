"""Who has proven nothing costs little: in memory, in waiting for him, and in work."""

import asyncio
import json
import tracemalloc
from collections.abc import Iterable

import pytest
from starlette.types import Message, Receive, Scope, Send

from foundation.caller import Caller
from foundation.errors import NotAuthenticated, NotFound, problem
from integrations.contracts.names import by_id
from integrations.entrypoints.soap import holding, received
from integrations.entrypoints.soap.app import SoapFace
from integrations.entrypoints.soap.envelope import Envelope
from integrations.entrypoints.soap.holding import FREE, Room, TooMuchHeld
from integrations.ws_security.names import WSSE
from tests.integrations.soap.soap_client import PATH, SOAP_11, asked, content_type, enveloped

LARGEST, MESSAGE = 50_000_000, 1_000_000
PIECE = b"x" * 65_536
SECURITY = f'<w:Security xmlns:w="{WSSE}"/>'
INCLUDE = '<x:Include xmlns:x="http://www.w3.org/2004/08/xop/include" href="cid:doc"/>'
PACKAGE = 'multipart/related; type="application/xop+xml"; start="<root>"; start-info="text/xml"; boundary=b'
NOTHING = json.dumps(problem(NotFound("There is no such case.", message_ar="لا توجد معاملة."))).encode()


class Doubting:
    """Believes those alone who are in `known`, and notes what it was asked, and when."""

    def __init__(self, *known: str) -> None:
        self.known, self.asked = known, list[str]()

    def authenticated(self, _envelope: Envelope, _scope: Scope, /) -> Caller:
        self._ask("authenticated", "signed")
        return Caller("centre-7", "client", frozenset({"centre"}))

    def announced(self, _envelope: Envelope, _scope: Scope, /) -> str:
        return self._ask("announced", "signed")

    def bearer(self, token: str, _scope: Scope, /) -> str:
        return self._ask("bearer", token)

    def _ask(self, what: str, who: str) -> str:
        self.asked.append(what)
        if who not in self.known:
            raise NotAuthenticated("Nobody is known here.", message_ar="لا أحد معروف هنا.")
        return "centre-7"


async def no_case(_scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive()).get("more_body", False):
        pass
    headers = [(b"content-type", b"application/problem+json")]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": NOTHING})


class Exchange:
    """One request to a face, piece by piece.

    Args:
        given: the pieces; after the last the client goes, is silent, or has ended.
    """

    def __init__(
        self,
        face: SoapFace,
        given: Iterable[bytes],
        headers: dict[str, str],
        then: str = "end",
    ) -> None:
        self._face, self._given, self._then = face, iter([*given]), then
        pairs = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
        self._scope: Scope = {"type": "http", "method": "POST", "path": PATH, "headers": pairs, "state": {}}
        self.taken = 0
        self.silent = asyncio.Event()
        self.status, self.body, self.headers = 0, b"", dict[bytes, bytes]()

    async def run(self) -> "Exchange":
        await self._face(self._scope, self._receive, self._send)
        return self

    @property
    def type(self) -> str:
        """Of the problem that was answered."""
        return self.body.partition(b"urn:rakeeza:problem:")[2].partition(b"<")[0].decode()

    async def _receive(self) -> Message:
        piece = next(self._given, None)
        if piece is not None:
            self.taken += 1
            return {"type": "http.request", "body": piece, "more_body": True}
        if self._then == "silence":
            self.silent.set()
            await asyncio.Event().wait()
        if self._then == "leave":
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": b"", "more_body": False}

    async def _send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], dict(message["headers"])
        else:
            self.body += message["body"]


def face_of(authenticator: Doubting) -> SoapFace:
    return SoapFace(
        no_case, authenticator=authenticator, public_url=None, most_message=MESSAGE, most_package=LARGEST
    )


def root_part(security: str = "") -> bytes:
    wanted = asked(
        "put_document",
        {"number": "SC-2026-000001", "code": "lease", "name": "a.png", "idempotencyKey": "k"},
        b"x",
    ).replace("eA==", INCLUDE)
    head = b'--b\r\nContent-Type: application/xop+xml; type="text/xml"\r\nContent-ID: <root>\r\n\r\n'
    return head + enveloped(wanted, SOAP_11, security) + b"\r\n--b\r\nContent-ID: <doc>\r\n\r\n"


def bearing(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@pytest.mark.parametrize(
    ("security", "more", "looked_at"),
    [("", {}, []), (SECURITY, {}, ["announced"]), ("", bearing("forged"), ["bearer"])],
)
def test_the_attachments_of_a_stranger_go_by_and_are_not_held(
    security: str, more: dict[str, str], looked_at: list[str]
) -> None:
    doubting = Doubting()
    face = face_of(doubting)
    pieces = [root_part(security), *[PIECE] * 700, b"\r\n--b--\r\n"]

    async def act() -> tuple[Exchange, int]:
        # What is made once is made before.
        await Exchange(face, pieces[:1], {"Content-Type": PACKAGE, **more}).run()
        doubting.asked.clear()
        tracemalloc.start()
        try:
            exchange = await Exchange(face, pieces, {"Content-Type": PACKAGE, **more}).run()
            return exchange, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    exchange, most = asyncio.run(act())

    assert (exchange.type, doubting.asked) == ("not-authenticated", looked_at)
    # All of it was read, so that its sender comes to read the fault; not a hundredth was kept.
    assert exchange.taken == len(pieces)
    assert b"connection" not in exchange.headers
    assert most < len(PIECE) * 7


@pytest.mark.parametrize(
    ("security", "more", "known", "looked_at"),
    [
        (SECURITY, {}, "signed", ["announced", "authenticated"]),
        ("", bearing("good"), "good", ["bearer"]),
    ],
)
def test_whoever_is_known_by_the_root_part_sends_his_document(
    security: str, more: dict[str, str], known: str, looked_at: list[str]
) -> None:
    doubting = Doubting(known)
    pieces = [root_part(security), *[PIECE] * 30, b"\r\n--b--\r\n"]

    exchange = asyncio.run(Exchange(face_of(doubting), pieces, {"Content-Type": PACKAGE, **more}).run())

    assert (exchange.type, doubting.asked) == ("not-found", looked_at)


def test_where_the_root_part_comes_last_the_whole_has_the_size_of_a_message() -> None:
    head = b"--b\r\nContent-ID: <doc>\r\n\r\n"
    root = b"\r\n" + root_part(SECURITY).removesuffix(b"\r\n--b\r\nContent-ID: <doc>\r\n\r\n")
    ends = {1: "not-found", 20: "too-large"}
    for count, answer in ends.items():
        pieces = [head, *[PIECE] * count, root, b"\r\n--b--\r\n"]
        exchange = asyncio.run(Exchange(face_of(Doubting("signed")), pieces, {"Content-Type": PACKAGE}).run())
        assert exchange.type == answer


def test_a_large_message_under_a_forged_token_is_not_held_against_the_schema() -> None:
    doubting = Doubting("good")
    field = '<field name="x"><text>y</text></field>' * 3_000
    octets = enveloped(f'<ListCases xmlns="urn:rakeeza:licensing:1">{field}</ListCases>')
    assert len(octets) > FREE
    told = {}
    for token in ("forged", "good"):
        headers = {**content_type(SOAP_11, by_id()["list_cases"]), **bearing(token)}
        told[token] = asyncio.run(Exchange(face_of(doubting), [octets], headers).run()).type

    assert told == {"forged": "not-authenticated", "good": "invalid-input"}


def test_strangers_share_a_little_room_and_ordinary_messages_need_none_of_it() -> None:
    face = face_of(Doubting())
    many = holding.STRANGERS // (MESSAGE - FREE) + 4
    slow = [b" " * (MESSAGE // 10)] * 9

    async def act() -> tuple[str, int]:
        exchanges = [Exchange(face, slow, content_type(SOAP_11), "silence") for _ in range(many)]
        tasks = [asyncio.create_task(each.run()) for each in exchanges]
        for each in exchanges:
            await each.silent.wait()
        ordinary = enveloped(asked("get_case", {"number": "SC-2026-000001"}))
        headers = {**content_type(SOAP_11, by_id()["get_case"]), **bearing("x")}
        answered = await Exchange(face, [ordinary], headers).run()
        held = face._room.held
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        return answered.type, held

    answered, held = asyncio.run(act())

    assert answered == "not-found"
    assert holding.STRANGERS - MESSAGE < held <= holding.STRANGERS
    assert face._room.held == 0


def test_who_finds_no_room_is_told_when_to_come_again() -> None:
    face = face_of(Doubting())
    other = face._room.holding("")
    other.take(holding.STRANGERS + FREE)

    exchange = asyncio.run(Exchange(face, [b" " * MESSAGE], content_type(SOAP_11)).run())

    assert (exchange.type, exchange.status, exchange.headers[b"retry-after"]) == ("too-much-held", 500, b"2")


@pytest.mark.parametrize("given", [[], [b"<a>"], [PIECE] * 3])
def test_a_message_that_does_not_come_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, given: list[bytes]
) -> None:
    monkeypatch.setattr(received, "PATIENCE", 0.05)
    monkeypatch.setattr(received, "SLOWEST", 10_000_000)
    face = face_of(Doubting())

    exchange = asyncio.run(Exchange(face, given, content_type(SOAP_11), "silence").run())

    assert (exchange.type, exchange.headers[b"connection"]) == ("too-slow", b"close")
    assert face._room.held == 0


def test_a_message_that_trickles_is_not_waited_for_however_long_it_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(received, "PATIENCE", 0.2)

    async def act() -> Exchange:
        exchange = Exchange(face_of(Doubting()), [], content_type(SOAP_11))

        async def receive() -> Message:
            await asyncio.sleep(0.01)
            return {"type": "http.request", "body": b"x", "more_body": True}

        monkeypatch.setattr(exchange, "_receive", receive)
        return await exchange.run()

    assert asyncio.run(act()).type == "too-slow"


def test_of_what_is_refused_nothing_is_kept_while_its_sender_takes_his_time() -> None:
    face = face_of(Doubting())
    pieces = [PIECE] * (MESSAGE // len(PIECE) + 2)

    async def act() -> int:
        await Exchange(face, pieces, content_type(SOAP_11)).run()
        tracemalloc.start()
        try:
            exchange = Exchange(face, pieces, content_type(SOAP_11), "silence")
            task = asyncio.create_task(exchange.run())
            await exchange.silent.wait()
            now = tracemalloc.get_traced_memory()[0]
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            return now
        finally:
            tracemalloc.stop()

    assert asyncio.run(act()) < MESSAGE // 5


def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind() -> None:
    face = face_of(Doubting("signed"))
    for given, headers in (
        ([PIECE] * 3, content_type(SOAP_11)),
        ([root_part(SECURITY), PIECE, PIECE], {"Content-Type": PACKAGE}),
        ([], {"Content-Type": "application/json"}),
    ):
        exchange = asyncio.run(Exchange(face, given, headers, "leave").run())
        assert (exchange.status, exchange.body) == (0, b"")
        assert face._room.held == 0


def test_a_known_sender_has_room_of_his_own_and_not_all() -> None:
    room = Room(1_000_000)
    mine = [room.holding("centre-7") for _ in range(3)]
    for each in mine[:2]:
        each.take(1_000_000 + FREE)
    with pytest.raises(TooMuchHeld):
        mine[2].take(FREE + 1)
    with room.holding("") as stranger:
        stranger.take(500_000)
        with pytest.raises(TooMuchHeld):
            stranger.proven("centre-7")
        stranger.proven("centre-8")
        assert room.held == 2_000_000 + 500_000 - FREE
    others = [room.holding(f"centre-{number}") for number in range(10, 14)]
    for each in others:
        each.take(1_000_000 + FREE)
    with pytest.raises(TooMuchHeld):
        room.holding("centre-9").take(2 * FREE)
    for each in (*mine, *others):
        with each:
            pass
    assert room.held == 0
