"""One suite over a pseudo-terminal, a TCP socket and an RFC 2217 server."""

import asyncio
import random
import socket
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from foundation.errors import DeviceUnreachable, InvalidInput
from foundation.wire.link import open_link
from tests.foundation.link_peers import Peer, pty_peer, rfc2217_peer, socket_peer

Result = TypeVar("Result")

# pyserial 3.5 still calls Thread.setDaemon and setName when it opens an RFC 2217 line.
pytestmark = pytest.mark.filterwarnings("ignore:set(Daemon|Name):DeprecationWarning")


@pytest.fixture(params=[pty_peer, socket_peer, rfc2217_peer])
def peer(request: pytest.FixtureRequest) -> Iterator[Peer]:
    with request.param() as other_end:
        yield other_end


def run(work: Coroutine[Any, Any, Result]) -> Result:
    async def limited() -> Result:
        async with asyncio.timeout(30):
            return await work

    return asyncio.run(limited())


def test_every_byte_value_passes_in_both_directions(peer: Peer) -> None:
    every = bytes(range(256))

    async def work() -> tuple[bytes, bytes]:
        link = await open_link(peer.url)
        await link.write(every)
        received = await asyncio.to_thread(peer.receive, 256)
        await asyncio.to_thread(peer.send, every)
        answer = b""
        while len(answer) < 256:
            answer += await link.read()
        await link.close()
        return received, answer

    assert run(work()) == (every, every)


def test_a_long_message_arrives_whole_while_the_other_side_reads_slowly(peer: Peer) -> None:
    message = random.Random(7).randbytes(600_000)

    async def work() -> bytes:
        link = await open_link(peer.url)
        writing = asyncio.create_task(link.write(message))
        received = await asyncio.to_thread(peer.receive, len(message))
        await writing
        await link.close()
        return received

    assert run(work()) == message


def test_a_cancelled_read_loses_nothing(peer: Peer) -> None:
    async def work() -> bytes:
        link = await open_link(peer.url)
        await link.write(b"?")
        await asyncio.to_thread(peer.receive, 1)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await link.read()
        await asyncio.to_thread(peer.send, b"late")
        answer = b""
        while len(answer) < 4:
            answer += await link.read()
        await link.close()
        return answer

    assert run(work()) == b"late"


def test_a_hang_up_is_named_after_the_bytes_before_it(peer: Peer) -> None:
    async def work() -> None:
        link = await open_link(peer.url)
        await link.write(b"?")
        await asyncio.to_thread(peer.receive, 1)
        await asyncio.to_thread(peer.send, b"end")
        answer = b""
        while len(answer) < 3:
            answer += await link.read()
        assert answer == b"end"
        await asyncio.to_thread(peer.hang_up)
        with pytest.raises(DeviceUnreachable) as caught:
            await link.read()
        assert caught.value.place == peer.url
        assert "cable" in caught.value.remedy
        with pytest.raises(DeviceUnreachable):
            await link.write(b"x")
        await link.close()
        await link.close()

    run(work())


def test_a_read_on_a_closed_line_does_not_wait_for_ever(peer: Peer) -> None:
    async def work() -> None:
        link = await open_link(peer.url)
        reading = asyncio.create_task(link.read())
        await asyncio.sleep(0)
        await link.close()
        with pytest.raises(DeviceUnreachable, match="was closed"):
            await reading

    run(work())


def test_a_side_that_takes_nothing_is_given_up() -> None:
    with socket_peer() as peer:

        async def work() -> None:
            link = await open_link(peer.url, write_timeout=0.2)
            with pytest.raises(DeviceUnreachable, match="took no byte"):
                await link.write(bytes(50_000_000))
            await link.close()

        run(work())


def test_a_sleeping_reader_does_not_fill_the_memory() -> None:
    with socket_peer() as peer:

        async def work() -> int:
            link = await open_link(peer.url)
            sending = asyncio.create_task(asyncio.to_thread(peer.send, bytes(30_000_000)))
            await asyncio.sleep(0.3)
            assert not sending.done()
            count = 0
            while count < 30_000_000:
                data = await link.read()
                assert len(data) < 1_000_000
                count += len(data)
            await sending
            await link.close()
            return count

        assert run(work()) == 30_000_000


def test_a_missing_port_is_named() -> None:
    with pytest.raises(DeviceUnreachable, match="No such file"):
        run(open_link("/dev/ttyNOWHERE"))


def test_a_port_that_another_program_holds_is_named() -> None:
    with pty_peer() as peer:

        async def work() -> None:
            link = await open_link(peer.url)
            with pytest.raises(DeviceUnreachable):
                await open_link(peer.url)
            await link.close()

        run(work())


@pytest.mark.parametrize("scheme", ["socket", "rfc2217"])
def test_a_port_where_nobody_listens_is_named(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(DeviceUnreachable) as caught:
        run(open_link(f"{scheme}://127.0.0.1:{port}"))
    assert caught.value.place == f"{scheme}://127.0.0.1:{port}"


@pytest.mark.parametrize(
    "url", ["", "http://127.0.0.1:1", "socket://", "socket://127.0.0.1", "rfc2217://127.0.0.1:99999"]
)
def test_an_address_of_no_known_form_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput):
        run(open_link(url))
