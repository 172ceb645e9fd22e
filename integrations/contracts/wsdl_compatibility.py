"""What a change of the WSDL would break for a client that was made from a released one.

What a client was made of has to stay: every port with its binding, every operation with its action, its
messages and its faults. Another operation, port or fault breaks nobody; what the messages hold is the XSD's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from lxml import etree

from integrations.contracts.compatibility import Breaking

_WSDL = "{http://schemas.xmlsoap.org/wsdl/}"


def breaking_wsdl(released: bytes, today: bytes) -> tuple[Breaking, ...]:
    """What of today's WSDL breaks a client that was made from the released one."""
    old, new = (etree.fromstring(each) for each in (released, today))
    names = [each.get("targetNamespace") for each in (old, new)]
    if names[0] != names[1]:
        return (Breaking("the WSDL", f"its namespace was {names[0]}, and is {names[1]}"),)
    return tuple(_changes(_said(old), _said(new)))


@dataclass(frozen=True, slots=True)
class _Said:
    """One thing that a client was made of: what it is, and all that is said of it."""

    what: str
    value: str


def _changes(old: Mapping[str, _Said], new: Mapping[str, _Said]) -> Iterator[Breaking]:
    gone: list[str] = []
    for place, said in old.items():
        if place not in new:
            # What was in it is gone with it.
            if not any(place.startswith(f"{each}/") for each in gone):
                yield Breaking(place, f"the {said.what} is gone")
            gone.append(place)
        elif new[place].value != said.value:
            yield Breaking(place, f"the {said.what} was {said.value}, and is {new[place].value}")


def _said(root: etree._Element) -> dict[str, _Said]:
    """All that a client is made of, by its place; what holds others stands before them."""
    return {place: said for part in (_services, _bindings, _port_types) for place, said in part(root)}


def _services(root: etree._Element) -> Iterator[tuple[str, _Said]]:
    for service in root.iter(f"{_WSDL}service"):
        place = f"service {service.get('name')}"
        ports = service.findall(f"{_WSDL}port")
        # Who is not told which port to use takes the first.
        yield place, _Said("first port", str(ports[0].get("name")) if ports else "none")
        for port in ports:
            version = " ".join(etree.QName(each).namespace or "" for each in port)
            yield f"{place}/{port.get('name')}", _Said("port", f"{port.get('binding')} {version}")


def _bindings(root: etree._Element) -> Iterator[tuple[str, _Said]]:
    for binding in root.findall(f"{_WSDL}binding"):
        place = f"binding {binding.get('name')}"
        yield place, _Said("binding", f"{binding.get('type')} {_extensions(binding)}")
        for operation in binding.findall(f"{_WSDL}operation"):
            inner = f"{place}/{operation.get('name')}"
            yield inner, _Said("operation", _extensions(operation))
            for name, direction in _directions(operation):
                yield f"{inner}/{name}", _Said(name.partition(" ")[0], _extensions(direction))


def _port_types(root: etree._Element) -> Iterator[tuple[str, _Said]]:
    parts = {
        f"l:{message.get('name')}": ", ".join(
            f"{part.get('name')} {part.get('element')}" for part in message.iter(f"{_WSDL}part")
        )
        for message in root.findall(f"{_WSDL}message")
    }
    for port_type in root.findall(f"{_WSDL}portType"):
        place = f"port type {port_type.get('name')}"
        yield place, _Said("port type", "")
        for operation in port_type.findall(f"{_WSDL}operation"):
            inner = f"{place}/{operation.get('name')}"
            yield inner, _Said("operation", "")
            for name, direction in _directions(operation):
                said = parts.get(str(direction.get("message")), "nothing")
                yield f"{inner}/{name}", _Said(name.partition(" ")[0], said)


def _directions(operation: etree._Element) -> Iterator[tuple[str, etree._Element]]:
    """Input, output and faults of an operation, a fault with its name."""
    for each in operation:
        if each.tag in (f"{_WSDL}input", f"{_WSDL}output", f"{_WSDL}fault"):
            yield f"{etree.QName(each).localname} {each.get('name', '')}".strip(), each


def _extensions(element: etree._Element) -> str:
    """What SOAP says in an element of the WSDL, each attribute in the order of names."""
    return "; ".join(
        " ".join([str(each.tag), *(f"{name}={each.get(name)}" for name in sorted(map(str, each.attrib)))])
        for each in element
        if not str(each.tag).startswith(_WSDL)
    )
