"""The fair bulkhead: who has turns, who waits, and who is refused; by a clock of the test."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from foundation import admission as bulkhead
from foundation.admission import ALONE, BURST, PLACES, Admission, TooManyAtOnce
from foundation.http_admission import Admitted, caller_of

FLOOD, QUIET = "127.0.0.1 centre-7", "127.0.0.1 centre-8"


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def run(act: Callable[[Admission, Clock], Awaitable[None]]) -> None:
    clock = Clock()

    async def main() -> None:
        await act(Admission(0.1, clock, clock), clock)

    asyncio.run(main())


async def work(admission: Admission, clock: Clock, who: str, seconds: float) -> None:
    async with admission.turn(who):
        clock.now += seconds


async def started(turns: int, admission: Admission, who: str) -> tuple[list[asyncio.Task[None]], list[int]]:
    """Tasks that hold their turns until they are cancelled; the list grows by each that has begun."""
    begun: list[int] = []

    async def hold(number: int) -> None:
        async with admission.turn(who):
            begun.append(number)
            await asyncio.Event().wait()

    tasks = [asyncio.create_task(hold(number)) for number in range(turns)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return tasks, begun


def test_one_caller_has_so_many_places_and_another_has_his_own() -> None:
    async def act(admission: Admission, _clock: Clock) -> None:
        flood, begun = await started(PLACES + 3, admission, FLOOD)
        quiet, first = await started(1, admission, QUIET)
        assert (begun, first) == ([0, 1, 2, 3][:PLACES], [0])

        flood[0].cancel()
        await asyncio.wait({flood[0]})
        await asyncio.sleep(0)
        assert begun == list(range(PLACES + 1))
        for task in (*flood, *quiet):
            task.cancel()
        await asyncio.wait({*flood, *quiet})
        # All places are free again: nothing was lost with those who gave up.
        again, begun = await started(PLACES, admission, FLOOD)
        assert begun == list(range(PLACES))
        for task in again:
            task.cancel()
        await asyncio.wait(again)

    run(act)


def test_who_used_up_his_budget_is_refused_while_another_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulkhead, "PATIENCE", 0.1)

    async def act(admission: Admission, clock: Clock) -> None:
        await work(admission, clock, FLOOD, BURST + 5)
        await work(admission, clock, QUIET, 0.01)
        with pytest.raises(TooManyAtOnce):
            await work(admission, clock, FLOOD, 0.01)
        # The other one has budget left, and never waits.
        await work(admission, clock, QUIET, 0.01)

    run(act)


def test_a_debt_is_paid_back_in_a_second_beside_others_and_sooner_alone() -> None:
    in_turn = []

    async def act(admission: Admission, clock: Clock) -> None:
        for alone, seconds in ((False, 0.9), (True, 0.9 / ALONE)):
            other = [] if alone else (await started(1, admission, QUIET))[0]
            await work(admission, clock, FLOOD, BURST + 50)
            clock.now += seconds
            # At once: the clock stands still, and waiting would have no end.
            await work(admission, clock, FLOOD, 0.01)
            in_turn.append(alone)
            for task in other:
                task.cancel()
                await asyncio.wait({task})
            clock.now += 60

    run(act)
    assert in_turn == [False, True]


def test_a_waiting_request_goes_on_when_the_budget_fills() -> None:
    async def act(admission: Admission, clock: Clock) -> None:
        await work(admission, clock, FLOOD, BURST + 5)
        await work(admission, clock, QUIET, 0.01)
        waiting = asyncio.create_task(work(admission, clock, FLOOD, 0.01))
        await asyncio.sleep(0)
        assert not waiting.done()
        clock.now += 0.9
        await waiting

    run(act)


def test_time_that_several_share_is_charged_to_each_in_part() -> None:
    in_turn = []

    async def act(admission: Admission, clock: Clock) -> None:
        others, _ = await started(PLACES - 1, admission, QUIET)
        # A quarter of it is his: something is left, where all of it would have used everything up.
        await work(admission, clock, FLOOD, BURST * 2)
        await work(admission, clock, FLOOD, 0.0)
        in_turn.append(FLOOD)
        for task in others:
            task.cancel()
        await asyncio.wait(others)

    run(act)
    assert in_turn == [FLOOD]


def request(headers: list[tuple[bytes, bytes]], path: str = "/v1/cases") -> Scope:
    return {"type": "http", "method": "POST", "path": path, "headers": headers, "client": ("127.0.0.1", 1)}


async def asked(app: Admitted, scope: Scope) -> list[Message]:
    said: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        said.append(message)

    await app(scope, receive, send)
    return said


SIGNED: list[tuple[bytes, bytes]] = [(b"signature-input", b"centre=()")]


def test_a_refusal_is_a_problem_in_both_languages_with_the_time_to_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bulkhead, "PATIENCE", 0.1)

    async def act(admission: Admission, clock: Clock) -> None:
        async def inner(_scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            clock.now += BURST + 5
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})

        app = Admitted(inner, admission, frozenset({"/v1/soap"}))
        assert (await asked(app, request(SIGNED)))[0]["status"] == 204
        await work(admission, clock, QUIET, 0.01)
        start, body = await asked(app, request(SIGNED))
        headers = dict(start["headers"])
        assert (start["status"], headers[b"retry-after"]) == (503, b"2")
        assert headers[b"content-type"] == b"application/problem+json"
        assert b"urn:rakeeza:problem:too-many-at-once" in body["body"]
        assert b"detail_ar" in body["body"]
        # Neither who shows no key nor another face's path is held back.
        assert (await asked(app, request([])))[0]["status"] == 204
        assert (await asked(app, request(SIGNED, "/v1/soap")))[0]["status"] == 204

    run(act)


def test_a_body_on_its_way_holds_no_place_and_an_answer_that_began_holds_none() -> None:
    async def act(admission: Admission, _clock: Clock) -> None:
        arrived, streaming = asyncio.Event(), asyncio.Event()

        async def inner(_scope: Scope, receive: Receive, send: Send) -> None:
            while (await receive()).get("more_body"):
                pass
            await send({"type": "http.response.start", "status": 200, "headers": []})
            streaming.set()
            await asyncio.Event().wait()

        async def receive() -> Message:
            await arrived.wait()
            return {"type": "http.request", "body": b"x", "more_body": False}

        async def send(_message: Message) -> None:
            return None

        app = Admitted(inner, admission)
        uploads = [asyncio.create_task(app(request(SIGNED), receive, send)) for _ in range(PLACES)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        held, begun = await started(PLACES, admission, caller_of(request(SIGNED), ""))
        assert len(begun) == PLACES
        for task in held:
            task.cancel()
        await asyncio.wait(held)
        arrived.set()
        await streaming.wait()
        held, begun = await started(PLACES, admission, caller_of(request(SIGNED), ""))
        assert len(begun) == PLACES
        everyone: list[asyncio.Task[Any]] = [*held, *uploads]
        for task in everyone:
            task.cancel()
        await asyncio.wait(everyone)

    run(act)
