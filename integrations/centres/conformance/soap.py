"""Checks: the contract is served by SOAP, and a message whose form is wrong is refused, whoever sent it."""

from collections.abc import Sequence

from lxml import etree

from integrations.centres.conformance import expecting
from integrations.centres.conformance.checking import THEIRS, Check, Failed
from integrations.centres.conformance.envelopes import SOAP_11, bare, signed, written
from integrations.centres.conformance.messages import PATH, TYPES, http_headers, post, read, xml
from integrations.centres.conformance.reach import REACHED, known_version
from integrations.centres.conformance.refusing import (
    MALFORMED,
    PAYLOAD,
    READ,
    Refusal,
    each_refused,
    refused,
)
from integrations.centres.conformance.talking import Server
from integrations.contracts import LICENSING
from integrations.contracts.names import NAMESPACE, by_id
from integrations.contracts.xsd_compatibility import breaking_xsd
from integrations.ws_security.names import SOAP_12

WSDL = "The WSDL is the one that this program knows"

_WSDL_SPACE = "{http://schemas.xmlsoap.org/wsdl/}"
_OLDER = "Does the municipality run another version than this program? Take the one that it runs."
_WSDL_SECTION = "WSDL 1.1; licensing.wsdl"
_FORM = "SOAP 1.1, section 4; SOAP 1.2 part 1, section 5; WS-I Basic Profile 1.1"
_ACTION = "SOAP 1.1, section 6.1.1; RFC 3902"
_SAME = f"It is the same; this program knows version {known_version()}."


def _wsdl(server: Server) -> str:
    served, known = (
        xml(octets, "The WSDL")
        for octets in (_file(server, "wsdl"), LICENSING.with_name("licensing.wsdl").read_bytes())
    )
    addresses = [each.get("location", "") for each in served.iter("{*}address")]
    if not addresses or not all(each.endswith(PATH) for each in addresses):
        raise Failed(f"The WSDL names no address that ends with {PATH}: {addresses}.", THEIRS)
    if _canonical(served) == _canonical(known):
        return _SAME
    theirs, ours = _operations(served), _operations(known)
    if served.get("targetNamespace") != NAMESPACE:
        raise Failed(f"The WSDL is of {served.get('targetNamespace')!r}, not {NAMESPACE}.", _OLDER)
    for place, said in ours.items():
        if theirs.get(place) != said:
            raise Failed(f"The WSDL has {place} otherwise, or not at all.", _OLDER)
    more = len(theirs) - len(ours)
    return f"It is not the same, and has all that is in ours ({more} operations more): it is newer."


def _schema(server: Server) -> str:
    octets = _file(server, "xsd")
    root = xml(octets, "The schema")
    try:
        etree.XMLSchema(root)
    except etree.XMLSchemaParseError as error:
        raise Failed(f"The schema cannot be used: {error}.", THEIRS) from error
    known = LICENSING.with_name("licensing.xsd").read_bytes()
    if _canonical(root) == _canonical(xml(known, "The schema")):
        return _SAME
    breaks = breaking_xsd(known, octets)
    if breaks:
        raise Failed(f"The schema breaks who holds ours at {breaks[0]} ({len(breaks)} in all).", _OLDER)
    return "It is not the same, and breaks nothing for who holds ours: it is newer."


def _unsigned(server: Server) -> None:
    each_refused(
        server,
        lambda soap: (written(bare(PAYLOAD, soap)), http_headers(soap, READ)),
        Refusal("not-authenticated", "NotAuthenticated"),
    )


def _doctype(server: Server) -> None:
    def make(soap: str) -> tuple[bytes, dict[str, str]]:
        text = etree.tostring(signed(server, PAYLOAD, soap), encoding="unicode")
        return f"<!DOCTYPE Envelope>{text}".encode(), http_headers(soap, READ)

    each_refused(server, make, MALFORMED)


def _two_bodies(server: Server) -> None:
    def make(soap: str) -> tuple[bytes, dict[str, str]]:
        message = signed(server, PAYLOAD, soap)
        message.append(bare(PAYLOAD, soap)[1])
        return written(message), http_headers(soap, READ)

    each_refused(server, make, MALFORMED)


def _two_operations(server: Server) -> None:
    each_refused(server, lambda soap: (written(bare(PAYLOAD * 2, soap)), http_headers(soap, READ)), MALFORMED)


def _another_action(server: Server) -> None:
    other = by_id()["list_cases"]
    each_refused(
        server,
        lambda soap: (written(signed(server, PAYLOAD, soap)), http_headers(soap, other)),
        Refusal("action-mismatch", "InvalidInput"),
    )


def _unknown_operation(server: Server) -> None:
    strange = f'<l:IssueAtOnce xmlns:l="{NAMESPACE}"/>'
    each_refused(
        server,
        lambda soap: (written(bare(strange, soap)), http_headers(soap, None)),
        Refusal("unknown-operation", "InvalidInput"),
    )


def _another_version(server: Server) -> None:
    # SOAP 1.1, section 4.4.1; SOAP 1.2 part 1, section 5.4.7: it is answered in the version that is spoken.
    other = {SOAP_11: SOAP_12, SOAP_12: SOAP_11}
    each_refused(
        server,
        lambda soap: (written(bare(PAYLOAD, other[soap])), http_headers(soap, READ)),
        Refusal("version-mismatch", "InvalidInput", "soap:VersionMismatch"),
    )


def _not_understood(server: Server) -> None:
    def make(soap: str) -> tuple[bytes, dict[str, str]]:
        message = bare(PAYLOAD, soap)
        block = etree.SubElement(message[0], "{urn:example:routing}Route")
        block.set(f"{{{soap}}}mustUnderstand", "1")
        return written(message), http_headers(soap, READ)

    each_refused(server, make, Refusal("not-understood", "InvalidInput", "soap:MustUnderstand"))


def _another_type(server: Server) -> None:
    octets = written(bare(PAYLOAD))
    answer = post(server, octets, {"Content-Type": "application/json"})
    # In which version it is refused is the server's choice: the request was of none.
    kind = answer.headers.get("content-type", "").partition(";")[0]
    soap = next((each for each, named in TYPES.items() if named == kind), SOAP_11)
    refused(read(answer, soap), Refusal("unsupported-media-type", "UnsupportedMediaType"), "application/json")


def _file(server: Server, name: str) -> bytes:
    answer = server.http.get(f"{server.url}{PATH}?{name}")
    if answer.status_code != 200:
        raise Failed(f"The server answered {answer.status_code} {expecting.told(answer)}.", THEIRS)
    return answer.content


def _operations(root: etree._Element) -> dict[str, tuple[str, frozenset[str]]]:
    """SOAPAction and faults of each operation of each binding."""
    found = {}
    for binding in root.iter(f"{_WSDL_SPACE}binding"):
        for each in binding.iter(f"{_WSDL_SPACE}operation"):
            action = next((one.get("soapAction", "") for one in each if one.get("soapAction")), "")
            faults = frozenset(one.get("name", "") for one in each.iter(f"{_WSDL_SPACE}fault"))
            found[f"{each.get('name')} of {binding.get('name')}"] = (action, faults)
    return found


def _canonical(root: etree._Element) -> bytes:
    """What a contract says, without words, addresses, and spaces between elements."""
    copy = etree.fromstring(
        etree.tostring(root), etree.XMLParser(remove_blank_text=True, remove_comments=True)
    )
    for each in list(copy.iter("{*}documentation", "{*}annotation")):
        parent = each.getparent()
        if parent is not None:
            parent.remove(each)
    for each in copy.iter("{*}address", "{*}import"):
        for name in ("location", "schemaLocation"):
            if name in each.attrib:
                del each.attrib[name]
    return etree.tostring(copy, method="c14n")


CHECKS: Sequence[Check] = tuple(
    each.after(REACHED)
    for each in (
        Check(WSDL, _WSDL_SECTION, _wsdl),
        Check("The schema is the one that this program knows", "XML Schema 1.0; licensing.xsd", _schema),
        Check("A message that nobody signed is refused", "SOAP Message Security 1.1.1", _unsigned),
        Check("A message with a DOCTYPE is refused", "SOAP 1.1, section 3; WS-I BP 1.1, R1008", _doctype),
        Check("A message with two Bodies is refused", _FORM, _two_bodies),
        Check("A Body with two operations is refused", "WS-I Basic Profile 1.1, R9981", _two_operations),
        Check(
            "An operation that the contract does not have is refused", "licensing.wsdl", _unknown_operation
        ),
        Check("A SOAPAction of another operation is refused", _ACTION, _another_action),
        Check("An envelope of another version than its type is refused", _FORM, _another_version),
        Check("A header that must be understood and is not is refused", _FORM, _not_understood),
        Check("A message that is sent as JSON is refused", "SOAP 1.1, section 6; RFC 9110", _another_type),
    )
)
