"""Where webhooks may not lead, and how one exchange ends."""

import datetime
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from foundation import outgoing
from foundation.errors import InvalidInput, problem
from foundation.guard import free_port
from foundation.outgoing import LARGEST_ANSWER, Outgoing, Undelivered, is_public
from tests.processes import until
from tests.receiver import Receiver, receiving

STRICT = Outgoing(allow_private=False, timeout_s=2)
LOOSE = Outgoing(allow_private=True, timeout_s=1)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def _reason(sender: Outgoing, url: str) -> str:
    with pytest.raises(Undelivered) as caught:
        sender.post(url, b"{}", {})
    assert caught.value.retryable
    return caught.value.reason


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "192.0.2.1",
        "192.168.0.1",
        "198.18.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "64:ff9b:1::1",
        "2001:0:4136:e378:8000:63bf:3fff:fdd2",
        "2001:db8::1",
        "2002:a00:1::1",
        "fc00::1",
        "fe80::1",
        "fe80::1%1",
        "fec0::1",
        "ff02::1",
    ],
)
def test_an_address_that_is_not_public_is_known_in_every_disguise(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700:4700::1111", "64:ff9b::808:808"])
def test_a_public_address_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://example.org/",
        "https://127.0.0.1/",
        "https://localhost/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://[::1]/",
        "https://[::ffff:127.0.0.1]/",
        "https://169.254.169.254/latest/meta-data",
        "https://user:word@example.org/",
        "https://example.org/#part",
        "https://example.org:0/",
        "https://example.org:99999/",
        "https:///path",
        "https://exa mple.org/",
        "https://example.org/\r\nX-Other: 1",
        "ftp://example.org/",
        "file:///etc/passwd",
        "example.org",
        "https://" + "a" * 2_000,
    ],
)
def test_a_url_that_may_not_be_sent_to_is_refused_and_says_so_in_both_languages(url: str) -> None:
    for attempt in (lambda: STRICT.check(url), lambda: STRICT.post(url, b"", {})):
        with pytest.raises(InvalidInput) as caught:
            attempt()
        assert problem(caught.value)["detail_ar"]


def test_one_private_address_among_public_ones_is_enough_to_refuse() -> None:
    sender = Outgoing(False, 2, resolve=lambda _host, _port: ["8.8.8.8", "10.0.0.1"])
    with pytest.raises(InvalidInput, match="not public"):
        sender.check("https://example.org/")


def test_a_name_is_resolved_once_and_no_second_answer_leads_inside(receiver: Receiver) -> None:
    answers = iter([["8.8.8.8"], ["127.0.0.1"]])
    sender = Outgoing(False, 2, resolve=lambda _host, _port: next(answers))
    url = "https" + receiver.url.removeprefix("http").replace("127.0.0.1", "rebinding.example")
    sender.check(url)
    with pytest.raises(InvalidInput, match="not public"):
        sender.post(url, b"{}", {})
    assert list(answers) == []
    assert receiver.received == []


def test_a_name_that_does_not_resolve_today_may_tomorrow() -> None:
    def unknown(_host: str, _port: int) -> list[str]:
        raise OSError("no such name")

    sender = Outgoing(False, 2, resolve=unknown)
    sender.check("https://later.example/")
    assert _reason(sender, "https://later.example/") == "name"


def test_what_is_sent_arrives_as_it_is(receiver: Receiver) -> None:
    body = '{"ar": "رخصة"}'.encode()
    assert LOOSE.post(receiver.url, body, {"webhook-id": "evt_1-2"}) == 204
    assert receiver.received[0].body == body
    assert receiver.received[0].headers["host"] == receiver.url.split("/")[2]
    assert receiver.received[0].headers["webhook-id"] == "evt_1-2"


@pytest.mark.parametrize("status", [301, 307, 308])
def test_no_redirect_is_followed(receiver: Receiver, status: int) -> None:
    with receiving() as inside:
        receiver.status, receiver.headers = status, {"Location": inside.url}
        assert _reason(LOOSE, receiver.url) == f"status_{status}"
        assert inside.received == []


@pytest.mark.parametrize("status", [400, 404, 500, 503])
def test_every_other_status_is_a_failure(receiver: Receiver, status: int) -> None:
    receiver.status = status
    assert _reason(LOOSE, receiver.url) == f"status_{status}"


def test_a_receiver_can_ask_to_be_left_alone_or_for_good(receiver: Receiver) -> None:
    receiver.status, receiver.headers = 429, {"Retry-After": "120"}
    with pytest.raises(Undelivered) as busy:
        LOOSE.post(receiver.url, b"", {})
    assert (busy.value.retry_after, busy.value.gone) == (120.0, False)
    receiver.status = 410
    with pytest.raises(Undelivered) as gone:
        LOOSE.post(receiver.url, b"", {})
    assert gone.value.gone


def test_a_receiver_that_hangs_is_given_up(receiver: Receiver) -> None:
    receiver.status = 0
    assert _reason(LOOSE, receiver.url) == "timeout"


def test_nobody_listening_is_told() -> None:
    assert _reason(LOOSE, f"http://127.0.0.1:{free_port()}/") == "connection"


def test_an_answer_without_end_holds_nobody(receiver: Receiver) -> None:
    receiver.status, receiver.body = 200, b"drip"
    assert LOOSE.post(receiver.url, b"", {}) == 200


def test_a_large_answer_is_not_read_to_its_end(receiver: Receiver) -> None:
    receiver.status, receiver.body = 200, b"x" * (100 * LARGEST_ANSWER)
    assert LOOSE.post(receiver.url, b"", {}) == 200


def test_messages_on_one_line_share_a_connection_and_one_question_for_the_name(receiver: Receiver) -> None:
    asked: list[str] = []

    def resolve(host: str, _port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    sender = Outgoing(True, 2, resolve=resolve)
    with closing(sender.line(receiver.url.replace("127.0.0.1", "hooks.example"))) as line:
        for number in range(5):
            assert line.post(b"{}", {"webhook-id": str(number)}) == 204
        receiver.status, receiver.body = 200, b"thanks"
        for number in range(5, 8):
            assert line.post(b"{}", {"webhook-id": str(number)}) == 200
    assert receiver.ids == [str(number) for number in range(8)]
    assert receiver.connections == 1
    assert asked == ["hooks.example"]


@pytest.mark.parametrize("manner", ["says so", "hangs up", "drops the next", "says what was not asked"])
def test_a_receiver_that_ends_a_kept_connection_gets_the_next_message_on_a_new_one(
    receiver: Receiver, manner: str
) -> None:
    if manner == "says so":
        receiver.headers = {"Connection": "close"}
    receiver.hangs_up = manner == "hangs up"
    # As servers do that were not asked anything for a while.
    receiver.unasked = b"HTTP/1.1 408 Request Timeout\r\n\r\n" * (manner == "says what was not asked")
    with closing(LOOSE.line(receiver.url)) as line:
        assert line.post(b"1", {"webhook-id": "1"}) == 204
        if receiver.unasked:
            receiver.release.set()
            until(lambda: receiver.said, "what was not asked")
        receiver.drops = 1 if manner == "drops the next" else 0
        assert line.post(b"2", {"webhook-id": "2"}) == 204
    assert receiver.connections == 2
    assert list(dict.fromkeys(receiver.ids)) == ["1", "2"]


def test_a_new_connection_that_is_dropped_is_a_failure_and_not_tried_again(receiver: Receiver) -> None:
    receiver.drops = 1
    assert _reason(LOOSE, receiver.url) == "connection"
    assert len(receiver.received) == 1


def test_the_deadline_is_that_of_each_message_also_on_a_kept_connection(receiver: Receiver) -> None:
    with closing(LOOSE.line(receiver.url)) as line:
        # Together they take longer than one may.
        for _ in range(3):
            assert line.post(b"", {}) == 204
            time.sleep(0.4)
        receiver.status = 0
        with pytest.raises(Undelivered) as caught:
            line.post(b"", {})
        assert caught.value.reason == "timeout"
        receiver.status = 204
        receiver.release.set()
        assert line.post(b"", {}) == 204
    assert receiver.connections == 2


def test_a_receiver_that_never_shakes_hands_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert _reason(LOOSE, f"https://127.0.0.1:{silent.getsockname()[1]}/") == "timeout"


def _contexts(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    # A certificate of its own, for this name and no other: the server's context and one that trusts it.
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "pair.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + made.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    trusting = ssl.create_default_context(cadata=made.public_bytes(serialization.Encoding.PEM).decode())
    return server, trusting


def test_the_certificate_is_held_against_the_name_though_the_address_was_resolved(tmp_path: Path) -> None:
    server, trusting = _contexts(tmp_path, "hooks.example")
    with receiving(server) as receiver:
        sender = Outgoing(True, 5, resolve=lambda _host, _port: ["127.0.0.1"], trust=trusting)
        named = receiver.url.replace("127.0.0.1", "hooks.example")
        assert sender.post(named, b"{}", {}) == 204
        assert receiver.received[0].headers["host"].startswith("hooks.example:")
        assert _reason(sender, receiver.url.replace("127.0.0.1", "other.example")) == "tls"
        stranger = Outgoing(True, 5, resolve=lambda _host, _port: ["127.0.0.1"])
        assert _reason(stranger, named) == "tls"
        assert len(receiver.received) == 1


def test_the_loose_setting_is_what_lets_tests_reach_loopback(receiver: Receiver) -> None:
    LOOSE.check(receiver.url)
    with pytest.raises(InvalidInput):
        STRICT.check(receiver.url)


def test_a_line_speaks_tls_on_the_connection_it_keeps(tmp_path: Path) -> None:
    server, trusting = _contexts(tmp_path, "hooks.example")
    with receiving(server) as receiver:
        sender = Outgoing(True, 5, resolve=lambda _host, _port: ["127.0.0.1"], trust=trusting)
        with closing(sender.line(receiver.url.replace("127.0.0.1", "hooks.example"))) as line:
            assert [line.post(b"{}", {}) for _ in range(4)] == [204] * 4
        assert len(receiver.received) == 4
        assert receiver.connections == 1


def test_a_kept_connection_leads_where_it_did_and_a_new_one_only_where_is_judged_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No test reaches the public internet: here this machine stands for it.
    monkeypatch.setattr(outgoing, "is_public", lambda address: address == "127.0.0.1")
    answers = iter([["127.0.0.1"], ["10.0.0.1"]])
    server, trusting = _contexts(tmp_path, "hooks.example")
    with receiving(server) as receiver:
        sender = Outgoing(False, 5, resolve=lambda _host, _port: next(answers), trust=trusting)
        with closing(sender.line(receiver.url.replace("127.0.0.1", "hooks.example"))) as line:
            assert [line.post(b"{}", {}) for _ in range(2)] == [204] * 2
            receiver.headers = {"Connection": "close"}
            line.post(b"{}", {})
            with pytest.raises(InvalidInput, match="not public"):
                line.post(b"{}", {})
        assert len(receiver.received) == 3
        assert receiver.connections == 1
