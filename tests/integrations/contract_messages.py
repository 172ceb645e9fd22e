"""Messages by SOAP, held against the XSD and read."""

from urllib.parse import parse_qsl, unquote

from lxml import etree

from integrations.contracts import xsd
from integrations.contracts.binding import Request, to_json


def valid(element: etree._Element) -> None:
    """Hold an element against the XSD."""
    schema = xsd.schema()
    assert schema.validate(element), schema.error_log


def asked(text: str) -> Request:
    """A request that was read from the text of its element, which is valid."""
    element = etree.fromstring(text)
    valid(element)
    return to_json(element)


def said(request: Request) -> dict[str, str]:
    """What a request says beside its body, by element."""
    operation = request.operation
    found = {
        each.element: value
        for each in operation.parameters
        for name, value in request.headers
        if name == each.name.lower()
    }
    query = dict(parse_qsl(request.query, keep_blank_values=True))
    found |= {
        each.element: query[each.name]
        for each in operation.parameters
        if each.where == "query" and each.name in query
    }
    steps = zip(operation.path.split("/"), request.path.split("/"), strict=True)
    names = {each.name: each.element for each in operation.parameters if each.where == "path"}
    return found | {
        names[template[1:-1]]: unquote(step) for template, step in steps if template.startswith("{")
    }
