"""Messages that a centre signed, by zeep and xmlsec, on a real server: who is believed, and who is not."""

import base64
import secrets
import socket
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from sqlalchemy import event, text

from foundation.client_keys import public_key_of
from integrations.centres.certificates import revoke
from integrations.centres.proof import still_holds
from integrations.entrypoints.soap.envelope import Version
from tests.integrations.desk import ADMINISTRATOR, PERSONAL, PNG, REVIEWED, Desk
from tests.integrations.face import submission
from tests.integrations.signed_town import CODE, OTHER, Kit
from tests.integrations.soap.signed_soap import BADR, SoapTown, open_signed, submit
from tests.integrations.soap.soap_client import (
    PATH,
    SOAP_11,
    SOAP_12,
)


@pytest.fixture
def town(desk: Desk, tmp_path: Path) -> Iterator[SoapTown]:
    with open_signed(desk, tmp_path) as opened:
        yield opened


@pytest.mark.parametrize("version", [SOAP_11, SOAP_12])
@pytest.mark.parametrize("binary", [True, False])
def test_a_signed_message_opens_a_case_whose_journal_names_the_clerk_and_the_proof(
    town: SoapTown, version: Version, binary: bool
) -> None:
    answer = town.send(town.signed(*submit(), version=version, binary=binary), version)

    assert answer.name == "SubmitResponse"
    entry = town.desk.case(answer.json["number"])["journal"][0]
    assert (entry["actor"], entry["details"]["clerk"]) == (f"client/{CODE}", BADR)
    with town.desk.database.transaction() as session:
        kept = session.execute(text("SELECT digest, clerk, proof FROM act_proof")).one()
        certificate = session.execute(
            text("SELECT certificate FROM client_certificate WHERE thumbprint = :is"),
            {"is": kept.proof["centre_key"]},
        ).scalar_one()
    assert (entry["details"]["proof"], kept.clerk, kept.proof["face"]) == (kept.digest.hex(), BADR, "soap")
    signature, digest = (base64.b64decode(kept.proof[name]) for name in ("centre_signature", "centre_digest"))
    assert still_holds(signature, digest, kept.proof["centre_alg"], public_key_of(certificate))
    assert not still_holds(signature, digest[::-1], kept.proof["centre_alg"], public_key_of(certificate))
    assert town.desk.breaks() == []


def test_a_signed_document_is_taken_as_an_attachment_and_as_text(town: SoapTown) -> None:
    number = town.send(town.signed(*submit(REVIEWED))).json["number"]
    for code in [each["code"] for each in town.desk.case(number)["documents"] if each["required"]][:2]:
        named = {"number": number, "code": code, "name": "a.png", "idempotencyKey": str(uuid.uuid4())}
        inline = town.signed("put_document", named, PNG)
        told = base64.b64encode(PNG)
        assert told in inline
        if code == town.desk.case(number)["documents"][0]["code"]:
            assert town.send(inline).name == "PutDocumentResponse"
            continue
        include = b'<x:Include xmlns:x="http://www.w3.org/2004/08/xop/include" href="cid:doc"/>'
        packed = b'--b\r\nContent-Type: application/xop+xml; type="text/xml"\r\nContent-ID: <root>\r\n\r\n'
        packed += inline.replace(told, include)
        packed += b"\r\n--b\r\nContent-Type: image/png\r\nContent-ID: <doc>\r\n\r\n" + PNG + b"\r\n--b--\r\n"
        kind = (
            'multipart/related; type="application/xop+xml"; start="<root>"; start-info="text/xml"; boundary=b'
        )
        forged = packed.replace(PNG, PNG + b"x")
        town.refused(forged, "not-authenticated", "wsse:FailedCheck", headers={"Content-Type": kind})
        assert town.send(packed, headers={"Content-Type": kind}).name == "PutDocumentResponse"
    assert town.desk.count("case_document") == 2


def test_the_same_message_is_taken_once_and_a_new_one_of_the_same_key_is_answered_alike(
    town: SoapTown,
) -> None:
    asked_for = submit()
    message = town.signed(*asked_for)

    first = town.send(message)
    town.refused(message, "not-authenticated", "wsse:InvalidSecurity")
    again = town.send(town.signed(*asked_for))

    assert (again.content, again.headers["idempotency-replayed"]) == (first.content, "true")
    assert town.desk.count("case_file") == 1


def test_a_nonce_is_taken_once_whatever_message_it_comes_in(town: SoapTown) -> None:
    nonce = secrets.token_hex(16)
    assert town.send(town.signed(*submit(), nonce=nonce)).name == "SubmitResponse"

    town.refused(town.signed(*submit(), nonce=nonce), "not-authenticated", "wsse:InvalidSecurity")


def test_a_token_of_another_time_than_the_message_is_judged_by_its_own(town: SoapTown) -> None:
    now = datetime.now(UTC)
    for away in (timedelta(seconds=-310), timedelta(seconds=90)):
        off = town.signed(*submit(), at=now, token_at=now + away)
        town.refused(off, "not-authenticated", "wsu:MessageExpired")
    # What was seen is remembered since a minute and a half: the Timestamp is of after, the token of before.
    with town.desk.database.transaction() as session:
        session.execute(text("UPDATE message_memory SET since = now() - interval '90 seconds'"))
    old = town.signed(*submit(), at=now, token_at=now - timedelta(seconds=120))
    town.refused(old, "unavailable", "wsu:MessageExpired")
    assert town.send(town.signed(*submit(), at=now, token_at=now)).name == "SubmitResponse"


def test_a_certificate_is_looked_up_once_a_message(town: SoapTown) -> None:
    asked_for: list[str] = []

    def note(_c: object, _x: object, statement: str, *_: object) -> None:
        asked_for.append(statement)

    messages = {binary: town.signed("list_cases", {}, binary=binary) for binary in (True, False)}
    event.listen(town.desk.database.engine, "before_cursor_execute", note)
    try:
        for message in messages.values():
            asked_for.clear()
            assert town.send(message).name == "ListCasesResponse"
            # Of these one is the certificate's, and one the client's with the thumbprints of all he has.
            assert sum("client_certificate" in each for each in asked_for) == 2, asked_for
            before = next(n for n, each in enumerate(asked_for) if "message_nonce" in each)
            assert before + 1 <= 6, asked_for
    finally:
        event.remove(town.desk.database.engine, "before_cursor_execute", note)


@pytest.mark.parametrize("forged", [True, False])
def test_attachments_are_waited_for_only_where_the_header_holds(town: SoapTown, forged: bool) -> None:
    named = {"number": "SC-1", "code": "lease", "name": "a.png", "idempotencyKey": str(uuid.uuid4())}
    inline = town.signed("put_document", named, PNG)
    if forged:
        value = inline.index(b"SignatureValue>") + len(b"SignatureValue>")
        inline = inline[:value] + inline[value : value + 8][::-1] + inline[value + 8 :]
    include = b'<x:Include xmlns:x="http://www.w3.org/2004/08/xop/include" href="cid:doc"/>'
    packed = b'--b\r\nContent-Type: application/xop+xml; type="text/xml"\r\nContent-ID: <root>\r\n\r\n'
    packed += inline.replace(base64.b64encode(PNG), include) + b"\r\n--b\r\n"
    kind = 'multipart/related; type="application/xop+xml"; start="<root>"; start-info="text/xml"; boundary=b'
    host, port = town.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        told = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\nContent-Length: 40000000\r\n\r\n"
        connection.sendall(told.encode() + packed)
        connection.settimeout(8)
        if forged:
            answer = connection.recv(65_536)
            assert b"connection: close" in answer.lower()
            assert b"wsse:FailedCheck" in answer
        else:
            with pytest.raises(TimeoutError):
                connection.recv(65_536)


def test_whom_the_records_do_not_bear_out_is_refused(town: SoapTown) -> None:
    other = town.town.kits[OTHER]
    stranger = Kit(CODE, rsa.generate_private_key(65537, 2048), other.certificate, "-", "stranger")
    failed = "not-authenticated", "wsse:FailedAuthentication"
    town.refused(town.signed(*submit(), secret="another"), *failed)
    town.refused(town.signed(*submit(), username=f"nobody@{CODE}"), *failed)
    town.refused(town.signed(*submit(), username=BADR), *failed)
    # The clerk of one centre, and the certificate of the other.
    town.refused(town.signed(*submit(), kit=other), *failed)
    town.refused(town.signed(*submit(), username=f"{BADR}@{OTHER}", secret=town.secret[OTHER]), *failed)
    # A device that nothing vouches for.
    town.refused(town.signed(*submit(), username=f"{BADR}@{CODE}/counter-1"), *failed)
    # A key that is not the certificate's.
    answer = town.refused(town.signed(*submit(), kit=stranger), "not-authenticated", "wsse:FailedCheck")
    assert answer.json["status"] == 401


def test_what_was_changed_on_its_way_or_is_out_of_its_time_is_refused(town: SoapTown) -> None:
    message = town.signed(*submit())
    changed = message.replace("مخبز الندى".encode(), "مخبز الفجر".encode())
    assert changed != message
    town.refused(changed, "not-authenticated", "wsse:FailedCheck")
    for away in (timedelta(minutes=-6), timedelta(minutes=6)):
        late = town.signed(*submit(), at=datetime.now(UTC) + away)
        town.refused(late, "not-authenticated", "wsu:MessageExpired")
    assert town.send(message).name == "SubmitResponse"


def test_a_write_needs_the_clerk_and_a_read_does_not(town: SoapTown) -> None:
    town.refused(town.signed(*submit(), username=None), "proof-missing")

    assert town.send(town.signed("list_cases", {}, username=None)).name == "ListCasesResponse"


def test_a_token_beside_a_signed_message_is_not_looked_at(town: SoapTown) -> None:
    message = town.signed(*submit(), secret="another")

    answer = town.refused(
        message,
        "not-authenticated",
        "wsse:FailedAuthentication",
        {"Authorization": f"Bearer {town.town.token(town.town.kits[CODE])}"},
    )

    assert answer.json["status"] == 401


def test_what_the_municipality_takes_away_is_gone_with_the_next_message(
    town: SoapTown, caplog: pytest.LogCaptureFixture
) -> None:
    centres, kit = town.desk.licensing.centres, town.town.kits[CODE]
    assert town.send(town.signed(*submit())).name == "SubmitResponse"
    other_service = ("submit", {"idempotencyKey": "x"}, {**submission(), "service": "health_card"})
    town.refused(town.signed(*other_service), "service-not-delegated")
    centres.suspend(ADMINISTRATOR, CODE, "تفتيش")
    town.refused(town.signed(*submit()), "centre-suspended")
    town.refused(town.signed("list_cases", {}), "centre-suspended")
    assert f"centre-suspended in ListCases for {CODE} by its own word" in caplog.text
    centres.resume(ADMINISTRATOR, CODE, "انتهى")
    assert town.send(town.signed(*submit())).name == "SubmitResponse"
    centres.enable_clerk(ADMINISTRATOR, CODE, BADR, False)
    town.refused(town.signed(*submit()), "not-authenticated", "wsse:FailedAuthentication")
    centres.enable_clerk(ADMINISTRATOR, CODE, BADR, True)
    with town.desk.database.transaction() as session:
        revoke(session, kit.serial, "key_compromise", datetime.now(UTC))
    town.refused(town.signed(*submit()), "not-authenticated", "wsse:FailedAuthentication")
    renewed = town.town.certify(CODE, rsa.generate_private_key(65537, 2048))
    assert town.send(town.signed(*submit(), kit=renewed)).name == "SubmitResponse"
    assert not any(each in caplog.text for each in PERSONAL)


def test_a_key_on_p_256_signs_as_well(town: SoapTown) -> None:
    kit = town.town.certify(CODE, ec.generate_private_key(ec.SECP256R1()))

    assert town.send(town.signed(*submit(), kit=kit)).name == "SubmitResponse"
