"""Bad input and attacks on the SOAP face: each is refused by a typed fault, is logged, and does nothing."""

import gzip
import logging
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPResponse
from typing import Any

import pytest

from integrations.entrypoints.soap.envelope import Version
from tests.integrations.desk import PERSONAL, PNG, Desk
from tests.integrations.face import CENTRE
from tests.integrations.soap.attacks import ATTACKS, SUBMIT, TYPES, WANTED, XOP
from tests.integrations.soap.soap_client import (
    PATH,
    SOAP_11,
    SOAP_12,
    Said,
    asked,
    content_type,
    enveloped,
    said,
)
from tests.integrations.soap.soap_town import MOST_MESSAGE, MOST_PACKAGE, SoapTown, open_soap, state


@pytest.fixture(scope="module")
def listener() -> Iterator[tuple[str, list[Any]]]:
    """A server that notes whoever comes to it."""
    came: list[Any] = []
    server = socket.create_server(("127.0.0.1", 0))

    def accept() -> None:
        while True:
            try:
                connection, peer = server.accept()
            except OSError:
                return
            came.append(peer)
            connection.close()

    thread = threading.Thread(target=accept)
    thread.start()
    yield f"127.0.0.1:{server.getsockname()[1]}", came
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


@pytest.fixture
def town(desk: Desk) -> Iterator[SoapTown]:
    with open_soap(desk) as opened:
        yield opened


def refused(answer: Said, kind: str) -> None:
    """Hold a refusal against its type: named, in both languages, by the version's own status."""
    problem = answer.json
    assert (answer.name, problem["type"]) == (TYPES[kind], f"urn:rakeeza:problem:{kind}"), problem
    assert any("\u0600" <= letter <= "\u06ff" for letter in problem["detail_ar"])
    assert answer.reasons


def test_what_is_attacked_with_is_a_message_that_would_be_carried_out(town: SoapTown) -> None:
    for version in (SOAP_11, SOAP_12):
        message = enveloped(WANTED.replace("attack", version.name), version)
        answer = said(town.post(message, content_type(version, SUBMIT), CENTRE), version)
        assert (answer.name, answer.code) == ("SubmitResponse", "")
    assert town.rest.desk.count("case_file") == 2


HARMLESS = {
    "for somebody else": '<t:x xmlns:t="urn:t" soap:mustUnderstand="1" {actor}="urn:other"/>',
    "not insisted on": '<t:x xmlns:t="urn:t" soap:mustUnderstand="0"/>',
    "addressing, as some clients send it": "".join(
        f'<a:{name} xmlns:a="http://www.w3.org/2005/08/addressing">urn:x</a:{name}>'
        for name in ("Action", "MessageID", "To")
    ),
}


@pytest.mark.parametrize("name", HARMLESS)
def test_headers_that_are_not_for_us_or_not_insisted_on_are_passed_over(town: SoapTown, name: str) -> None:
    for version in (SOAP_11, SOAP_12):
        header = HARMLESS[name].format(actor=f"soap:{version.value.actor}")
        message = enveloped(WANTED.replace("attack", version.name), version, header)
        answer = said(town.post(message, content_type(version, SUBMIT), CENTRE), version)
        assert (answer.name, answer.code) == ("SubmitResponse", "")


def test_comments_and_character_sections_change_nothing(town: SoapTown) -> None:
    octets = enveloped(WANTED.replace("<service>shop_", "<!-- x --><service><![CDATA[shop]]><!-- y -->_"))

    answer = said(
        town.post(b"<!-- a -->" + octets.partition(b"?>")[2], content_type(SOAP_11, SUBMIT), CENTRE), SOAP_11
    )

    assert (answer.name, answer.json["service"]) == ("SubmitResponse", "shop_licence")


def test_a_gzip_bomb_in_chunks_is_refused_as_it_unfolds(town: SoapTown) -> None:
    bomb = gzip.compress(b" " * 60_000_000)
    pieces = (bomb[at : at + 500] for at in range(0, len(bomb), 500))
    headers = {**content_type(SOAP_11, SUBMIT), "Content-Encoding": "gzip", **town.rest.bearer(CENTRE)}

    answer = said(town.http.post(town.url + PATH, content=pieces, headers=headers), SOAP_11)

    refused(answer, "too-large")
    assert answer.json["status"] == 413


SMUGGLED = {
    "both lengths": ("Content-Length: 5", "Transfer-Encoding: chunked"),
    "two lengths": ("Content-Length: 5", "Content-Length: 6"),
    "an unknown coding": ("Transfer-Encoding: xchunked",),
    "a space before the colon": ("Transfer-Encoding : chunked",),
}


@pytest.mark.parametrize("name", SMUGGLED)
def test_a_request_whose_end_is_unclear_is_not_read(town: SoapTown, name: str) -> None:
    host, port = town.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        lines = [f"POST {PATH} HTTP/1.1", f"Host: {host}", "Content-Type: text/xml", *SMUGGLED[name], "", ""]
        connection.sendall(
            "\r\n".join(lines).encode() + b"0\r\n\r\nGET /v1/soap?wsdl HTTP/1.1\r\nHost: x\r\n\r\n"
        )
        told = b""
        while piece := connection.recv(65_536):
            told += piece
    assert told.startswith(b"HTTP/1.1 400")
    assert told.count(b"HTTP/1.1") == 1


def test_every_attack_gets_a_typed_fault_is_logged_without_the_person_and_does_nothing(
    town: SoapTown, listener: tuple[str, list[Any]], caplog: pytest.LogCaptureFixture
) -> None:
    address, came = listener
    town.ask(CENTRE, "list_cases")
    before = state(town.rest.desk.database)
    for name, attack in ATTACKS.items():
        for version in (SOAP_11, SOAP_12):
            caplog.clear()
            with caplog.at_level(logging.INFO):
                octets = attack.make(version)
                for encoding in ("utf-8", "utf-16-le"):
                    octets = octets.replace("LISTENER".encode(encoding), address.encode(encoding))
                headers = attack.headers(version)
                answered = SOAP_11 if headers["Content-Type"].startswith("text/xml") else SOAP_12
                answer = said(town.post(octets, headers, CENTRE), answered)
            refused(answer, attack.type)
            client = "Client" if answered is SOAP_11 else "Sender"
            assert answer.code == (attack.code or client), name
            plain = answered is SOAP_12 and not attack.code
            assert answer.http.status_code == (400 if plain else 500), name
            logged = [
                each for each in caplog.records if each.name.startswith("integrations.entrypoints.soap")
            ]
            assert [attack.type in each.getMessage() for each in logged] == [True], name
            assert not any(each in caplog.text for each in PERSONAL), name
    assert state(town.rest.desk.database) == before
    assert came == []


@pytest.mark.parametrize(
    "kind", ["application/json", "text/plain", "application/xml", "", "multipart/form-data"]
)
def test_another_media_type_is_refused_as_http_has_it(town: SoapTown, kind: str) -> None:
    answer = said(town.post(enveloped(WANTED), {"Content-Type": kind}, CENTRE), SOAP_11)

    refused(answer, "unsupported-media-type")
    assert (answer.http.status_code, answer.json["status"]) == (415, 415)


def test_a_media_type_that_is_not_known_is_refused_in_the_version_of_the_message(town: SoapTown) -> None:
    for version in (SOAP_11, SOAP_12):
        message = enveloped(WANTED, version)
        for octets in (message, message.decode().replace("UTF-8", "UTF-16").encode("utf-16")):
            for kind in ("application/xml", "application/xop+xml", "multipart/related; type=text/html"):
                answer = said(town.post(octets, {"Content-Type": kind}, CENTRE), version)
                refused(answer, "unsupported-media-type")
                assert answer.http.status_code == 415
    # Where it cannot be told, or both stand there, it is the older one.
    both = enveloped(f'<x xmlns:y="{SOAP_11.value.namespace}"/>', SOAP_12)
    for octets in (b"", b"{}", both):
        refused(
            said(town.post(octets, {"Content-Type": "application/json"}, CENTRE), SOAP_11),
            "unsupported-media-type",
        )


@pytest.mark.parametrize("token", [None, "forged"])
def test_without_a_token_that_holds_nothing_is_done(town: SoapTown, token: str | None) -> None:
    headers = content_type(SOAP_12, SUBMIT) | ({"Authorization": f"Bearer {token}"} if token else {})

    answer = said(town.post(enveloped(WANTED, SOAP_12), headers), SOAP_12)

    refused(answer, "not-authenticated")
    assert town.rest.desk.count("case_file") == 0


def test_a_signed_message_of_nobody_is_refused_whatever_token_comes_with_it(town: SoapTown) -> None:
    wsse = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd"
    message = enveloped(WANTED, SOAP_11, header=f'<w:Security xmlns:w="{wsse}"/>')

    answer = said(town.post(message, content_type(SOAP_11, SUBMIT), CENTRE), SOAP_11)

    refused(answer, "not-authenticated")
    assert town.rest.desk.count("case_file") == 0


def test_a_body_of_a_hundred_megabytes_is_refused_before_it_is_read(town: SoapTown) -> None:
    host, port = town.url.removeprefix("http://").split(":")
    for length in ("Content-Length: 100000000", "Transfer-Encoding: chunked"):
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            lines = [f"POST {PATH} HTTP/1.1", f"Host: {host}", "Content-Type: text/xml", length]
            connection.sendall("\r\n".join([*lines, "", ""]).encode())
            if length.endswith("chunked"):
                connection.sendall(b"%x\r\n" % (MOST_MESSAGE + 1) + b" " * (MOST_MESSAGE + 1) + b"\r\n")
            response = HTTPResponse(connection)
            response.begin()
            body = response.read()
            assert response.status == 500
            if not length.endswith("chunked"):
                assert response.headers["connection"] == "close"
            assert b"urn:rakeeza:problem:too-large" in body


def package(version: Version, *parts: tuple[str, bytes], root: str = "") -> tuple[bytes, dict[str, str]]:
    """A message with its document in a part, and the headers that it is sent with."""
    wanted = asked(
        "put_document",
        {"number": "SC-2026-000001", "code": "lease", "name": "a.png", "idempotencyKey": "k"},
        b"x",
    ).replace("eA==", root or f'<x:Include xmlns:x="{XOP}" href="cid:doc"/>')
    media = version.value.media_type
    octets = b"--b\r\n" + f'Content-Type: application/xop+xml; type="{media}"\r\n'.encode()
    octets += b"Content-ID: <root>\r\n\r\n" + enveloped(wanted, version)
    for name, content in parts:
        octets += f"\r\n--b\r\nContent-Type: image/png\r\nContent-ID: <{name}>\r\n\r\n".encode() + content
    kind = f'multipart/related; type="application/xop+xml"; start="<root>"; start-info="{media}"; boundary=b'
    return octets + b"\r\n--b--\r\n", {"Content-Type": kind}


@pytest.mark.parametrize("version", [SOAP_11, SOAP_12])
def test_packages_that_do_not_hold_together_are_refused(town: SoapTown, version: Version) -> None:
    before = state(town.rest.desk.database)
    include = f'<x:Include xmlns:x="{XOP}" href="{{}}"/>'
    faulty = [
        package(version),
        package(version, ("doc", PNG), ("other", b"x")),
        package(version, ("doc", PNG), ("doc", PNG)),
        package(version, ("other", PNG)),
        package(version, ("doc", PNG), root=include.format("cid:doc") * 2),
        package(version, ("doc", PNG), root=include.format("file:///etc/passwd")),
        package(version, ("doc", PNG), root=include.format("http://127.0.0.1:9/x")),
    ]
    for octets, headers in faulty:
        refused(said(town.post(octets, headers, CENTRE), version), "malformed")
    octets, headers = package(version, ("doc", b"x" * MOST_PACKAGE))
    refused(said(town.post(octets, headers, CENTRE), version), "too-large")
    assert state(town.rest.desk.database) == before


LANGUAGES = {
    "": "en",
    "ar-SA,ar;q=0.9": "ar",
    "en-SA,en;q=0.9": "en",
    "AR": "ar",
    "en;q=0.5, ar;q=0.8": "ar",
    "ar;q=0.2, en": "en",
    "fr, *;q=0.1": "en",
    "fr, ar;q=0.3": "ar",
    "ar;q=0": "en",
    "arc, artless": "en",
    "ar;q=0.9, *;q=0.8": "ar",
    "*": "en",
    ",;q=x,ar;q=2,;;": "en",
}


def test_a_fault_speaks_the_language_that_is_asked_for(town: SoapTown) -> None:
    for version in (SOAP_11, SOAP_12):
        broken = enveloped(WANTED.replace("<service>", "<x/><service>"), version)
        for accepted, language in LANGUAGES.items():
            headers = {**content_type(version, SUBMIT), "Accept-Language": accepted}
            response = town.post(broken, headers, CENTRE)
            answer = said(response, version)
            # One sentence, as gSOAP's reader has room for no second; the detail has both.
            assert answer.reasons == {language: answer.json["detail_ar" if language == "ar" else "detail"]}
            assert response.text.count("xml:lang=") == 1
            assert answer.json["detail"] != answer.json["detail_ar"]


def test_each_wrong_element_is_told_with_its_path_and_line_in_both_languages(town: SoapTown) -> None:
    message = enveloped(
        WANTED.replace(
            "<service>shop_licence</service>", "\n<service>Shop</service>\n<procedure>9</procedure>"
        )
    )

    answer = said(town.post(message, content_type(SOAP_11, SUBMIT), CENTRE), SOAP_11)

    errors = answer.json["errors"]
    assert [each["pointer"] for each in errors] == ["/Submit/service", "/Submit/procedure"]
    assert [each["detail"].partition(":")[0] for each in errors] == ["line 3", "line 4"]
    assert all(each["detail_ar"].startswith("السطر ") for each in errors)
