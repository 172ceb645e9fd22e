"""What the SOAP face does with HTTP: the contract's files, attachments, compression, REST's own tests."""

import gzip
import socket
import struct
import uuid
import zlib
from collections.abc import Iterator

import pytest
from lxml import etree

from integrations.contracts.names import by_id, operations
from integrations.entrypoints.soap.attachments import media_type, taken_apart, taken_out
from integrations.entrypoints.soap.contract_files import WSDL, XSD
from integrations.entrypoints.soap.envelope import Version
from tests.integrations.desk import PNG, REVIEWED, Desk
from tests.integrations.face import CENTRE, REVIEWER, Face
from tests.integrations.soap.soap_client import (
    PATH,
    SOAP_11,
    SOAP_12,
    OverSoap,
    Said,
    asked,
    content_type,
    enveloped,
    said,
)
from tests.integrations.soap.soap_town import SoapTown, open_soap
from tests.integrations.test_rest_cases import (
    test_a_case_that_was_sent_back_is_corrected_and_resubmitted as correcting,
)
from tests.integrations.test_rest_cases import test_a_centre_does_not_learn_of_anothers_case as anothers
from tests.integrations.test_rest_cases import (
    test_a_document_is_not_handed_in_on_a_case_that_was_changed_meanwhile as changed_meanwhile,
)
from tests.integrations.test_rest_cases import test_many_cases_are_opened_each_by_itself as many
from tests.integrations.test_rest_licences import test_a_licence_is_renewed_at_a_kiosk as renewing

XOP = "http://www.w3.org/2004/08/xop/include"


def _with_text(image: bytes, text: bytes) -> bytes:
    """An image that has a text in it."""
    said = b"tEXtn\x00" + text
    chunk = struct.pack(">I", len(said) - 4) + said + struct.pack(">I", zlib.crc32(said))
    end = image.index(b"\x00\x00\x00\x00IEND")
    return image[:end] + chunk + image[end:]


# What looks like the end of a package, of another boundary than any here.
OCTETS = _with_text(PNG, b"\r\n--c--\r\n\x00" * 3)


@pytest.fixture
def town(desk: Desk) -> Iterator[SoapTown]:
    with open_soap(desk) as opened:
        yield opened


@pytest.fixture
def api(town: SoapTown) -> Iterator[Face]:
    """The face of REST, whose requests travel by SOAP 1.2."""
    face = town.face(SOAP_12)
    yield face
    face.anyone.close()


def test_what_rest_is_tried_with_gets_the_same_answers_by_soap(api: Face) -> None:
    # Written for REST, to the fields, ETags, kept answers and refusals that they look at.
    for by_rest in (many, correcting, anothers, changed_meanwhile, renewing):
        by_rest(api)
    transport = api.anyone._transport
    assert isinstance(transport, OverSoap)
    assert transport.sent > 20


def test_centre_and_office_speak_of_a_case_by_soap(api: Face) -> None:
    number = api.submit(REVIEWED)
    path = f"/v1/cases/{number}/comments"
    api.done(CENTRE, path, {"comment": "المحل جاهز\nللمعاينة."})
    api.done(REVIEWER, path, {"comment": "بين الموظفين."})

    assert [len(api.get(who, path)["items"]) for who in (REVIEWER, CENTRE)] == [2, 1]
    assert api.get(CENTRE, path)["items"][0]["text"] == "المحل جاهز\nللمعاينة."
    assert api.write("auditor", path, {"comment": "x"}).status_code == 403
    for text in ("", " ", "x" * 2_001, "\u202e"):
        assert api.write(CENTRE, path, {"comment": text}).status_code == 422


def test_the_contract_is_served_with_the_address_it_was_asked_for_at(town: SoapTown) -> None:
    for name, file in (("wsdl", WSDL), ("xsd", XSD), ("WSDL", WSDL)):
        response = town.http.get(f"{town.url}{PATH}?{name}")
        assert (response.status_code, response.headers["content-type"]) == (200, "text/xml; charset=utf-8")
        assert etree.fromstring(response.content).tag == etree.parse(str(file)).getroot().tag
        kept = town.http.get(
            f"{town.url}{PATH}?{name}", headers={"If-None-Match": f'"x", {response.headers["etag"]}'}
        )
        assert (kept.status_code, kept.content) == (304, b"")
        assert town.http.head(f"{town.url}{PATH}?{name}").headers["etag"] == response.headers["etag"]
    served = town.http.get(f"{town.url}{PATH}?wsdl").text
    assert served.count(f'location="{town.url}{PATH}"') == 2
    assert served.count(f'schemaLocation="{town.url}{PATH}?xsd"') == 1
    assert "rakeeza.invalid" not in served


def test_a_host_that_is_none_stands_in_no_contract(town: SoapTown) -> None:
    served = town.http.get(f"{town.url}{PATH}?wsdl", headers={"Host": 'x"><script>'}).text

    assert "script" not in served


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS"])
def test_other_methods_are_not_allowed(town: SoapTown, method: str) -> None:
    response = town.http.request(method, town.url + PATH)

    assert (response.status_code, response.headers["allow"]) == (405, "GET, HEAD, POST")
    assert town.http.get(town.url + PATH).status_code == 404


def test_what_is_not_for_this_face_goes_by(town: SoapTown) -> None:
    assert town.http.get(f"{town.url}/v1/services").json() == town.rest.get(None, "/v1/services")


def test_a_message_may_come_in_gzip_and_in_utf_16(town: SoapTown) -> None:
    message = enveloped(asked("list_services"))
    for octets, headers in (
        (gzip.compress(message), {"Content-Encoding": "gzip"}),
        (
            message.decode().replace('"UTF-8"', '"UTF-16"').encode("utf-16"),
            {"Content-Type": "text/xml; charset=utf-16"},
        ),
    ):
        told = {**content_type(SOAP_11, by_id()["list_services"]), **headers}
        assert said(town.post(octets, told), SOAP_11).json == town.rest.get(None, "/v1/services")


def test_what_anyone_may_ask_needs_no_token_and_all_else_does(town: SoapTown) -> None:
    for operation in operations():
        if operation.public:
            continue
        message = enveloped(f'<{operation.name} xmlns="urn:rakeeza:licensing:1"/>', SOAP_12)
        answer = said(town.post(message, content_type(SOAP_12, operation)), SOAP_12)
        assert (answer.name, answer.json["status"]) == ("NotAuthenticated", 401), operation.name


def _packed(version: Version, message: str, content: bytes) -> tuple[bytes, dict[str, str]]:
    media = version.value.media_type
    octets = f'--b\r\nContent-Type: application/xop+xml; charset=UTF-8; type="{media}"\r\n'.encode()
    octets += b"Content-ID: <root>\r\n\r\n" + enveloped(message, version)
    octets += (
        b"\r\n--b\r\nContent-Type: image/png\r\nContent-ID: <doc@x>\r\n\r\n" + content + b"\r\n--b--\r\n"
    )
    kind = f'multipart/related; type="application/xop+xml"; start="<root>"; start-info="{media}"; boundary=b'
    return octets, {"Content-Type": kind}


def _put(number: str, code: str, **more: str) -> str:
    named = {"number": number, "code": code, "name": "صورة.png", "idempotencyKey": str(uuid.uuid4()), **more}
    return asked("put_document", named, b"x")


def _reviewed(town: SoapTown) -> tuple[str, list[str]]:
    number = town.rest.submit(REVIEWED)
    listed = town.rest.get(CENTRE, f"/v1/cases/{number}")["documents"]
    return number, [each["code"] for each in listed if each["required"]]


@pytest.mark.parametrize("version", [SOAP_11, SOAP_12])
def test_a_document_comes_and_goes_as_an_attachment_to_the_octet(town: SoapTown, version: Version) -> None:
    number, (code, *_) = _reviewed(town)
    include = f'<x:Include xmlns:x="{XOP}" href="cid:doc%40x"/>'
    octets, headers = _packed(version, _put(number, code).replace("eA==", include), OCTETS)

    answer = said(town.post(octets, headers, CENTRE), version)

    assert answer.name == "PutDocumentResponse"
    assert (answer.json["code"], answer.json["size"]) == (code, len(OCTETS))
    wanted = enveloped(asked("get_handed_document", {"number": number, "code": code}), version)
    accepting = {**content_type(version), "Accept": "multipart/related, application/xop+xml"}
    response = town.post(wanted, accepting, CENTRE)
    found = taken_apart(response.content, media_type(response.headers["content-type"]))
    tree = etree.fromstring(found.root)
    ((holder, content),) = taken_out(tree, found.parts)
    assert (etree.QName(holder).localname, bytes(content)) == ("content", OCTETS)
    plain = said(town.post(wanted, content_type(version), CENTRE), version)
    assert plain.content == OCTETS


def test_a_document_that_was_handed_in_before_is_named_instead_of_sent(town: SoapTown) -> None:
    number, (code, other, *_) = _reviewed(town)
    assert town.rest.put(CENTRE, number, code, OCTETS).status_code == 201

    def referring(reference: str, who: str = CENTRE) -> Said:
        message = _put(number, other).replace(
            "<content>eA==</content>", f"<contentId>{reference}</contentId>"
        )
        return said(town.post(enveloped(message), content_type(SOAP_11), who), SOAP_11)

    assert referring(f"{number}/{code}").name == "PutDocumentResponse"
    assert town.ask(CENTRE, "get_handed_document", {"number": number, "code": other}).content == OCTETS
    assert referring(f"{number}/nothing").name == "NotFound"
    assert referring("../../secrets").name == "Malformed"
    # What a stranger may not read he cannot hand in either.
    assert referring(f"{number}/{code}", "centre-2").name == "NotFound"


def test_a_client_that_goes_away_leaves_nothing_behind(town: SoapTown) -> None:
    message = enveloped(asked("list_services"))
    host, port = town.url.removeprefix("http://").split(":")
    for headers in (content_type(SOAP_11), {"Content-Type": "text/plain"}):
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            told = {**headers, "Host": host, "Content-Length": str(len(message) + 10)}
            lines = [f"POST {PATH} HTTP/1.1", *(f"{name}: {value}" for name, value in told.items()), "", ""]
            connection.sendall("\r\n".join(lines).encode() + message)
    assert town.ask(None, "list_services").name == "ListServicesResponse"
