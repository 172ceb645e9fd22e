from collections.abc import Callable

import pytest

from foundation.errors import DeviceUnreachable
from foundation.secret import Secret
from monitoring.catalogue import Catalogue
from monitoring.collectors.snmp import poll
from monitoring.collectors.snmp_session import NotSnmp, Session, text
from monitoring.reading import Reading
from monitoring.targets import Community, Target
from tests.monitoring.agents import (
    COUNTER32,
    COUNTER64,
    GET,
    GETBULK,
    Agent,
    Request,
    error_answer,
    integer,
    oid,
    response,
    running,
    string,
    tlv,
    varbind,
)
from tests.processes import PATIENCE

IN_OCTETS = "1.3.6.1.2.1.31.1.1.1.6"
OUT_OCTETS = "1.3.6.1.2.1.31.1.1.1.10"
TOO_BIG, GEN_ERR = 1, 5
# Seconds, where no answer is awaited.
SOON = 0.3


def switch(ports: int = 60, **more: bytes) -> dict[str, bytes]:
    """The objects of a small switch."""
    objects = {
        "1.3.6.1.2.1.1.1.0": string(b"Switch"),
        "1.3.6.1.2.1.1.2.0": oid("1.3.6.1.4.1.99999.1"),
        "1.3.6.1.2.1.2.1.0": integer(ports),
    }
    for port in range(1, ports + 1):
        objects[f"1.3.6.1.2.1.31.1.1.1.1.{port}"] = string(b"port%d" % port)
        objects[f"{IN_OCTETS}.{port}"] = integer(1000 + port, COUNTER64)
        objects[f"{OUT_OCTETS}.{port}"] = integer(2000 + port, COUNTER64)
    return {**objects, **more}


def target(agent: Agent, timeout: float = PATIENCE) -> Target:
    return Target("switch", "127.0.0.1", agent.port, Community(Secret("c")), timeout=timeout, retries=0)


def read(agent: Agent, timeout: float = PATIENCE) -> Reading:
    with running(agent):
        return poll(target(agent, timeout), Catalogue())


def values(reading: Reading, metric: str) -> dict[str, int | float]:
    rows = (family.rows for family in reading.families if family.name == metric)
    return {dict(labels.pairs)["ifIndex"]: value for row in rows for labels, value, _, _, _ in row}


def test_a_healthy_agent_is_read_whole() -> None:
    reading = read(Agent(switch()))
    assert values(reading, "interface_receive_bytes_total") == {str(n): 1000 + n for n in range(1, 61)}
    assert reading.troubles == ()


def test_an_answer_that_breaks_off_anywhere_is_no_reading() -> None:
    for cut in range(1, 60, 3):
        with pytest.raises((NotSnmp, DeviceUnreachable)):
            read(Agent(switch(2), lambda _, answer, cut=cut: [answer[:-cut]]), SOON)  # type: ignore[misc]


@pytest.mark.parametrize(
    "broken", [b"\x04\xca\x01", b"\x04\x84\xff\xff\xff\xff", b"\x06\x00", b"\x1f\x01\x00", b""]
)
def test_a_value_that_is_not_ber_is_no_reading(broken: bytes) -> None:
    """The first makes the decoder panic: a length of 74 octets, and none of them is there."""

    def mangle(request: Request, _: bytes) -> list[bytes]:
        return [response(request, varbind(request.oids[0], broken))]

    with pytest.raises(NotSnmp):
        read(Agent(switch(), mangle))


def test_an_index_that_breaks_off_is_no_sample() -> None:
    def mangle(request: Request, answer: bytes) -> list[bytes]:
        if request.kind != GETBULK or dotted(request) != IN_OCTETS:
            return [answer]
        # The last arc says that more follows; the decoder leaves it out.
        cut = oid(IN_OCTETS)[2:] + b"\x81"
        return [response(request, tlv(0x30, tlv(0x06, cut) + integer(7, COUNTER64)))]

    reading = read(Agent(switch(1), mangle))
    assert values(reading, "interface_receive_bytes_total") == {}
    assert "The index is not built as the model says." in [one.reason for one in reading.troubles]


def test_answers_to_other_requests_are_not_taken() -> None:
    def mangle(request: Request, answer: bytes) -> list[bytes]:
        stranger = response(
            request, varbind(request.oids[0], integer(666)), request_id=request.request_id + 1
        )
        return [stranger, stranger, answer]

    reading = read(Agent(switch(3), mangle))
    assert values(reading, "interface_receive_bytes_total") == {"1": 1001, "2": 1002, "3": 1003}


def test_only_answers_to_other_requests_are_no_answer() -> None:
    def mangle(request: Request, _: bytes) -> list[bytes]:
        return [response(request, varbind(request.oids[0], integer(666)), request_id=4242)] * 5

    with pytest.raises(DeviceUnreachable):
        read(Agent(switch(), mangle), SOON)


def test_an_answer_with_another_community_is_not_taken() -> None:
    def mangle(request: Request, answer: bytes) -> list[bytes]:
        return [answer.replace(string(request.community), string(b"x"), 1)]

    with pytest.raises(DeviceUnreachable):
        read(Agent(switch(), mangle), SOON)


def test_an_agent_that_never_moves_on_is_left() -> None:
    def mangle(request: Request, answer: bytes) -> list[bytes]:
        if request.kind != GETBULK or not IN_OCTETS.startswith(dotted(request)[: len(IN_OCTETS)]):
            return [answer]
        arcs = (*map(int, IN_OCTETS.split(".")), 1)
        return [response(request, varbind(arcs, integer(5, COUNTER64)) * 10)]

    reading = read(Agent(switch(), mangle))
    assert [trouble.what for trouble in reading.troubles if "repeats itself" in trouble.reason] == [IN_OCTETS]
    assert values(reading, "interface_receive_bytes_total") == {"1": 5}
    assert len(values(reading, "interface_transmit_bytes_total")) == 60


def test_a_row_that_comes_twice_is_told_and_its_first_answer_stays() -> None:
    def mangle(request: Request, answer: bytes) -> list[bytes]:
        if request.kind != GETBULK or dotted(request) != IN_OCTETS:
            return [answer]
        arcs = tuple(map(int, IN_OCTETS.split(".")))
        twice = [varbind((*arcs, 1), integer(n, COUNTER64)) for n in (7, 8)]
        return [response(request, b"".join(twice))]

    reading = read(Agent(switch(1), mangle))
    assert values(reading, "interface_receive_bytes_total") == {"1": 7}
    assert "repeats itself" in reading.troubles[0].reason


def test_rows_in_descending_order_are_read_and_end() -> None:
    def mangle(request: Request, answer: bytes) -> list[bytes]:
        if request.kind != GETBULK or not dotted(request).startswith(IN_OCTETS):
            return [answer]
        arcs = tuple(map(int, IN_OCTETS.split(".")))
        if request.oids[0] == arcs:
            rows = [varbind((*arcs, n), integer(n, COUNTER64)) for n in (3, 2, 1)]
            return [response(request, b"".join(rows))]
        return [answer]

    reading = read(Agent(switch(3), mangle))
    assert values(reading, "interface_receive_bytes_total") == {"1": 1, "2": 2, "3": 3}


def test_a_table_that_an_agent_cuts_short_is_told() -> None:
    """genErr in the middle reads like the end of the table; ifNumber shows that it is not."""

    def mangle(request: Request, answer: bytes) -> list[bytes]:
        inside = dotted(request).startswith("1.3.6.1.2.1.31.1.1.1.") and request.oids[0][-1] >= 25
        return [error_answer(request, GEN_ERR)] if request.kind != GET and inside else [answer]

    reading = read(Agent(switch(), mangle))
    (trouble,) = reading.troubles
    assert "25 rows where 1.3.6.1.2.1.2.1.0 says 60" in trouble.reason


def test_an_answer_too_large_for_the_decoder_is_asked_for_in_smaller_pieces() -> None:
    objects = switch(60)
    for port in range(1, 61):
        objects[f"1.3.6.1.2.1.31.1.1.1.18.{port}"] = string(b"a" * 250)
    agent = Agent(objects)
    reading = read(agent)
    assert reading.troubles == ()
    labels = next(family for family in reading.families if family.name == "interface_receive_bytes_total")
    assert all(dict(row[0].pairs)["ifAlias"] == "a" * 250 for row in labels.rows)
    asked = [request.max_repetitions for request in agent.requests if request.kind == GETBULK]
    assert (asked[0], asked[-1]) == (25, 12)


def test_a_get_that_is_too_big_is_asked_object_by_object() -> None:
    def mangle(request: Request, answer: bytes) -> list[bytes]:
        return [error_answer(request, TOO_BIG)] if len(request.oids) > 1 else [answer]

    with running(Agent(switch(), mangle)) as agent:
        session = Session(target(agent))
        found = session.get(["1.3.6.1.2.1.1.1.0", "1.3.6.1.2.1.2.1.0", "1.3.6.1.9.0"])
    assert found == {"1.3.6.1.2.1.1.1.0": b"Switch", "1.3.6.1.2.1.2.1.0": 60}


def test_a_device_that_dies_in_the_middle_keeps_what_it_gave_and_is_not_asked_for_the_rest() -> None:
    asked: list[str] = []

    def mangle(request: Request, answer: bytes) -> list[bytes]:
        asked.append(dotted(request))
        return [] if any(one.startswith(IN_OCTETS) for one in asked) else [answer]

    reading = read(Agent(switch(3), mangle), timeout=1.0)
    assert values(reading, "interface_receive_bytes_total") == {}
    assert any(family.name == "system_info" and family.rows for family in reading.families)
    reasons = [trouble.reason for trouble in reading.troubles]
    assert reasons[:2] == ["The device does not answer."] * 2
    assert reasons.count("not asked: the device stopped answering") > 3


@pytest.mark.parametrize(
    ("encoded", "value"),
    [
        (tlv(COUNTER64, b"\xff" * 8), 2**64 - 1),
        (tlv(COUNTER64, b"\x00" + b"\xff" * 8), 2**64 - 1),
        (tlv(COUNTER64, b"\x80" + b"\x00" * 7), 2**63),
    ],
)
def test_a_great_counter_is_never_negative(encoded: bytes, value: int) -> None:
    """Agents leave out the leading zero that BER asks for in front of a number above 2^63."""
    reading = read(Agent(switch(1) | {f"{IN_OCTETS}.1": encoded}))
    assert values(reading, "interface_receive_bytes_total") == {"1": value}


def test_a_great_32_bit_counter_is_never_negative() -> None:
    objects = switch(1) | {"1.3.6.1.2.1.2.2.1.14.1": tlv(COUNTER32, b"\xff\xff\xff\xff")}
    assert values(read(Agent(objects)), "interface_receive_errors_total") == {"1": 2**32 - 1}


def test_a_negative_counter_is_no_sample() -> None:
    objects = switch(2) | {f"{IN_OCTETS}.1": integer(-5), "1.3.6.1.2.1.2.2.1.14.1": integer(-1)}
    reading = read(Agent(objects))
    assert values(reading, "interface_receive_bytes_total") == {"2": 1002}
    assert values(reading, "interface_receive_errors_total") == {}


def test_a_row_without_the_better_counter_falls_back_to_the_lesser_one() -> None:
    objects = switch(2) | {"1.3.6.1.2.1.2.2.1.10.2": integer(77, COUNTER32)}
    del objects[f"{IN_OCTETS}.2"]
    reading = read(Agent(objects))
    assert values(reading, "interface_receive_bytes_total") == {"1": 1001, "2": 77}


def test_text_where_a_number_belongs_is_no_sample() -> None:
    objects = switch(2) | {f"{IN_OCTETS}.1": string(b"n/a")}
    assert values(read(Agent(objects)), "interface_receive_bytes_total") == {"2": 1002}


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"Riyadh", "Riyadh"),
        ("الرياض".encode(), "الرياض"),
        (b"caf\xe9", "caf\\xe9"),
        (b"two\r\nlines\0\0", "two\\x0d\nlines"),
        (b"\x1b[31mred", "\\x1b[31mred"),
    ],
)
def test_a_string_that_is_not_utf_8_stays_readable(raw: bytes, shown: str) -> None:
    assert text(raw) == shown


@pytest.fixture
def strange_bytes() -> Callable[[Request, bytes], list[bytes]]:
    turn = iter(range(10_000))

    def mangle(_: Request, answer: bytes) -> list[bytes]:
        broken = bytearray(answer)
        at = next(turn)
        broken[at * 7 % len(broken)] ^= 1 << at % 8
        return [bytes(broken)]

    return mangle


def test_flipped_bits_crash_nothing(strange_bytes: Callable[[Request, bytes], list[bytes]]) -> None:
    outcomes = set()
    with running(Agent(switch(5), strange_bytes)) as agent:
        for _ in range(60):
            try:
                column = Session(target(agent, SOON)).column(IN_OCTETS)
                outcomes.add("error" if column.error else "rows")
            except (NotSnmp, DeviceUnreachable) as error:
                outcomes.add(type(error).__name__)
    assert len(outcomes) > 1


def dotted(request: Request) -> str:
    return ".".join(map(str, request.oids[0]))
