"""SNMP agents that misbehave in the ways that devices do, on sockets and an encoding of their own."""

import bisect
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

INTEGER, STRING, NULL, OID, COUNTER32, COUNTER64 = 0x02, 0x04, 0x05, 0x06, 0x41, 0x46
END_OF_MIB_VIEW, NO_SUCH_OBJECT = b"\x82\x00", b"\x80\x00"
GET, GETNEXT, RESPONSE, GETBULK = 0xA0, 0xA1, 0xA2, 0xA5

Arcs = tuple[int, ...]


def tlv(tag: int, body: bytes) -> bytes:
    size = len(body)
    if size < 128:
        return bytes([tag, size]) + body
    width = (size.bit_length() + 7) // 8
    return bytes([tag, 0x80 | width]) + size.to_bytes(width, "big") + body


def integer(value: int, tag: int = INTEGER) -> bytes:
    return tlv(tag, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def string(value: bytes) -> bytes:
    return tlv(STRING, value)


def oid(text: str) -> bytes:
    first, second, *rest = (int(arc) for arc in text.split("."))
    body = bytearray([first * 40 + second])
    for arc in rest:
        part = [arc & 0x7F]
        while arc := arc >> 7:
            part.append(0x80 | (arc & 0x7F))
        body += bytes(reversed(part))
    return tlv(OID, bytes(body))


@dataclass(frozen=True)
class Request:
    """What was asked."""

    kind: int
    community: bytes
    request_id: int
    max_repetitions: int
    oids: list[Arcs]


@dataclass
class Agent:
    """Answers from a table of objects; `mangle` turns each good answer into what is sent instead.

    Args:
        objects: encoded values by OID.
        mangle: gets the request and the good answer; what it gives is sent, datagram by datagram.
    """

    objects: Mapping[str, bytes]
    mangle: Callable[[Request, bytes], list[bytes]] = lambda _, answer: [answer]
    requests: list[Request] = field(default_factory=list)
    port: int = 0

    def __post_init__(self) -> None:
        self._table = sorted(
            (tuple(map(int, name.split("."))), value) for name, value in self.objects.items()
        )

    def answer(self, request: Request) -> bytes:
        """The good answer."""
        varbinds = b""
        for asked in request.oids:
            if request.kind == GET:
                found = dict(self._table).get(asked, NO_SUCH_OBJECT)
                varbinds += varbind(asked, found)
                continue
            at = bisect.bisect_right(self._table, asked, key=lambda row: row[0])
            count = request.max_repetitions if request.kind == GETBULK else 1
            following = self._table[at : at + count]
            for arcs, value in following:
                varbinds += varbind(arcs, value)
            if len(following) < count:
                last = following[-1][0] if following else asked
                varbinds += varbind(last, END_OF_MIB_VIEW)
        return response(request, varbinds)


def varbind(arcs: Arcs, value: bytes) -> bytes:
    return tlv(0x30, oid(".".join(map(str, arcs))) + value)


def response(request: Request, varbinds: bytes, *, request_id: int | None = None, error: int = 0) -> bytes:
    number = request.request_id if request_id is None else request_id
    status = integer(number) + integer(error) + integer(1 if error else 0)
    pdu = tlv(RESPONSE, status + tlv(0x30, varbinds))
    return tlv(0x30, integer(1) + string(request.community) + pdu)


def error_answer(request: Request, error: int) -> bytes:
    """An error status, the asked objects given back empty (RFC 3416, section 4.2)."""
    varbinds = b"".join(varbind(asked, tlv(NULL, b"")) for asked in request.oids)
    return response(request, varbinds, error=error)


@contextmanager
def running(agent: Agent) -> Iterator[Agent]:
    """The agent on a free port of loopback."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        agent.port = server.getsockname()[1]
        stop = threading.Event()
        thread = threading.Thread(target=_serve, args=(agent, server, stop))
        thread.start()
        try:
            yield agent
        finally:
            stop.set()
            # An empty datagram wakes the thread.
            server.sendto(b"", ("127.0.0.1", agent.port))
            thread.join()


def _serve(agent: Agent, server: socket.socket, stop: threading.Event) -> None:
    while True:
        data, sender = server.recvfrom(65535)
        if stop.is_set():
            return
        request = _parse(data)
        agent.requests.append(request)
        for datagram in agent.mangle(request, agent.answer(request)):
            if stop.is_set():
                return
            server.sendto(datagram, sender)


def _parse(data: bytes) -> Request:
    _, message, _ = _take(data)
    _, _, rest = _take(message)
    _, community, rest = _take(rest)
    kind, pdu, _ = _take(rest)
    _, number, rest = _take(pdu)
    _, _, rest = _take(rest)
    _, repetitions, rest = _take(rest)
    _, varbinds, _ = _take(rest)
    oids = []
    while varbinds:
        _, one, varbinds = _take(varbinds)
        _, body, _ = _take(one)
        oids.append(_arcs(body))
    return Request(
        kind, community, int.from_bytes(number, "big", signed=True), int.from_bytes(repetitions, "big"), oids
    )


def _take(data: bytes) -> tuple[int, bytes, bytes]:
    tag, size, at = data[0], data[1], 2
    if size & 0x80:
        width = size & 0x7F
        size, at = int.from_bytes(data[2 : 2 + width], "big"), 2 + width
    return tag, data[at : at + size], data[at + size :]


def _arcs(body: bytes) -> Arcs:
    arcs, value = [body[0] // 40, body[0] % 40], 0
    for byte in body[1:]:
        value = value << 7 | (byte & 0x7F)
        if not byte & 0x80:
            arcs.append(value)
            value = 0
    return tuple(arcs)
