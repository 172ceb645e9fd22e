"""Writes licensing.xsd from the contract: what a message by SOAP may hold.

Members stand in a sequence, in the contract's order: the wrapped style asks for it, and alternatives cannot
stand in xs:all. Who makes messages from the WSDL (zeep, PHP, gSOAP, node's soap from 1.12 on) keeps the order
without being told. No type extends another: node's soap orders those wrongly. A list is an element that holds
`item` elements: an empty list is another thing than none.
"""

from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from lxml import etree

from integrations.contracts import licensing
from integrations.contracts.names import (
    NAMESPACE,
    Binary,
    Header,
    Operation,
    Parameter,
    fault_elements,
    operations,
    refused,
)
from integrations.contracts.shapes import (
    MORE,
    Flag,
    Free,
    ListOf,
    MapOf,
    Member,
    Nothing,
    Record,
    Shape,
    Text,
    Use,
    Whole,
    body,
    named,
    of_parameter,
)

LICENSING_XSD = Path(__file__).parent / "licensing.xsd"

XS = "http://www.w3.org/2001/XMLSchema"
XMIME = "http://www.w3.org/2005/05/xmlmime"

_PREFIX = "l"
_INT = (-(2**31), 2**31 - 1)
_FORMATS = {"": "xs:string", "date": "l:Date", "date-time": "l:DateTime", "uri": "l:Uri"}

# A value is one of these, which the binding sees to: of an xs:choice zeep writes only what Python calls true,
# and would leave out false, 0 and "". Null holds something for the same reason.
_VALUE = """
<xs:sequence>
  <xs:element name="text" type="xs:string" minOccurs="0"/>
  <xs:element name="number" type="xs:decimal" minOccurs="0"/>
  <xs:element name="flag" type="xs:boolean" minOccurs="0"/>
  <xs:element name="nothing" type="l:Yes" minOccurs="0"/>
  <xs:element name="list" type="l:Values" minOccurs="0"/>
  <xs:element name="object" type="l:Fields" minOccurs="0"/>
</xs:sequence>
"""
# What JSON has and XML Schema lacks: an object of which nothing is known. And what both have, but otherwise:
# here a time has an offset (RFC 3339), a day has none, and an address has a scheme.
# Fields have an attribute so that a list of them is a list of objects for .NET too: of a type that holds a
# list and nothing else it makes an array of arrays, and code that cannot be compiled (CS0030).
_OWN = f"""
<xs:schema xmlns:xs="{XS}" xmlns:l="{NAMESPACE}">
  <xs:simpleType name="DateTime">
    <xs:annotation>
      <xs:documentation xml:lang="en">A moment with its offset from UTC, RFC 3339.</xs:documentation>
    </xs:annotation>
    <xs:restriction base="xs:dateTime">
      <xs:pattern value="[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}T[0-9:.]+(Z|[+\\-][0-9]{{2}}:[0-9]{{2}})"/>
    </xs:restriction>
  </xs:simpleType>
  <xs:simpleType name="Date">
    <xs:annotation>
      <xs:documentation xml:lang="en">A Gregorian day, ISO 8601.</xs:documentation>
    </xs:annotation>
    <xs:restriction base="xs:date"><xs:pattern value="[0-9]{{4}}-[0-9]{{2}}-[0-9]{{2}}"/></xs:restriction>
  </xs:simpleType>
  <xs:simpleType name="Uri">
    <xs:restriction base="xs:anyURI">
      <xs:pattern value="[A-Za-z][A-Za-z0-9+.\\-]*:[\\s\\S]*"/>
    </xs:restriction>
  </xs:simpleType>
  <xs:complexType name="Fields">
    <xs:annotation>
      <xs:documentation xml:lang="en">Fields of a service; each name once.</xs:documentation>
      <xs:documentation xml:lang="ar">حقول الخدمة، ولا يتكرر اسم منها.</xs:documentation>
    </xs:annotation>
    <xs:sequence><xs:element name="field" type="l:Field" minOccurs="0" maxOccurs="unbounded"/></xs:sequence>
    <xs:attribute name="note" type="xs:string">
      <xs:annotation>
        <xs:documentation xml:lang="en">Not looked at; may be left out.</xs:documentation>
      </xs:annotation>
    </xs:attribute>
  </xs:complexType>
  <xs:complexType name="Field">
    <xs:annotation>
      <xs:documentation xml:lang="en">A field and its value: exactly one of the elements.</xs:documentation>
    </xs:annotation>
    {_VALUE}
    <xs:attribute name="name" type="xs:string" use="required"/>
  </xs:complexType>
  <xs:complexType name="Value">
    <xs:annotation>
      <xs:documentation xml:lang="en">A value: exactly one of the elements.</xs:documentation>
    </xs:annotation>
    {_VALUE}
  </xs:complexType>
  <xs:complexType name="Values">
    <xs:sequence><xs:element name="item" type="l:Value" minOccurs="0" maxOccurs="unbounded"/></xs:sequence>
  </xs:complexType>
  <xs:simpleType name="Yes">
    <xs:restriction base="xs:boolean"><xs:pattern value="true"/></xs:restriction>
  </xs:simpleType>
  <xs:complexType name="Nothing"><xs:sequence/></xs:complexType>
</xs:schema>
"""


def written() -> bytes:
    """The XSD of today's contract.

    Raises:
        DefinitionError: the contract says something that has no shape.
    """
    return _Writer().write()


@cache
def schema() -> etree.XMLSchema:
    """The XSD that is served, compiled once a process."""
    return etree.XMLSchema(etree.parse(LICENSING_XSD))


class _Writer:
    """Writes one schema; types come in the order in which they are first used."""

    def __init__(self) -> None:
        self._root = etree.Element(
            f"{{{XS}}}schema",
            nsmap={"xs": XS, _PREFIX: NAMESPACE, "xmime": XMIME},
            targetNamespace=NAMESPACE,
            elementFormDefault="qualified",
            version=licensing()["info"]["version"],
        )
        own = etree.fromstring(_OWN, etree.XMLParser(remove_blank_text=True))
        self._own = list(own)
        self._types: dict[str, etree._Element] = {each.get("name", ""): each for each in self._own}
        self._shapes: dict[str, Shape] = {}
        # Each of these elements has a type of its name: of one without a name node's soap forgets the order.
        self._taken = {name for each in operations() for name in (each.name, each.response)}

    def write(self) -> bytes:
        elements = [element for each in operations() for element in self._messages(each)]
        problem = self._problem()
        faults = [
            _annotated(_element(name, type=f"{_PREFIX}:{problem}"), words)
            for name, words in fault_elements().items()
        ]
        _annotated(self._root, licensing()["info"]["description"])
        self._root.extend([*elements, *faults, *self._types.values()])
        etree.cleanup_namespaces(self._root, keep_ns_prefixes=["xs", _PREFIX, "xmime"])
        return etree.tostring(self._root, pretty_print=True, xml_declaration=True, encoding="UTF-8")

    def _messages(self, operation: Operation) -> Iterator[etree._Element]:
        asked = [self._beside(each, each.required) for each in operation.parameters]
        if operation.binary:
            asked += _bytes(operation.binary)
        record = body(operation.body) if operation.body else None
        # A body that may be left out is left out by leaving out all that it must hold.
        if record and not operation.body_required and any(each.required for each in record.members):
            raise refused(f"{operation.id} may go without a body that cannot be empty")
        asked += self._particles(record) if record else []
        words = f"{operation.summary}. {operation.description}".strip()
        yield self._wrapper(operation.name, asked, words, operation.id, operation.arabic)

        answer = operation.answer
        record = body(answer.body) if answer.body else None
        told = self._particles(record) if record else []
        if answer.binary:
            told += _bytes(answer.binary)
        told += [self._beside(each, each.required) for each in answer.headers]
        yield self._wrapper(operation.response, told, answer.description, operation.id)

    def _wrapper(
        self, name: str, particles: Iterable[etree._Element], words: str, operation_id: str, arabic: str = ""
    ) -> etree._Element:
        """An element of a request or an answer, and its type of the same name."""
        complex_type = etree.Element(f"{{{XS}}}complexType", name=name)
        sequence = etree.SubElement(complex_type, f"{{{XS}}}sequence")
        for particle in particles:
            sequence.append(particle)
        names = [each.get("name") for each in sequence.iter(f"{{{XS}}}element")]
        if twice := {each for each in names if each and names.count(each) > 1}:
            raise refused(f"{operation_id} has two of {', '.join(sorted(twice))} in {name}")
        if name in self._types:
            raise refused(f"{operation_id} has the name of a type")
        self._types[name] = complex_type
        return _annotated(_element(name, type=f"{_PREFIX}:{name}"), words, arabic)

    def _problem(self) -> str:
        """The type of every fault, with what problems say in headers."""
        headers = {
            each.element: each for one in operations() for fault in one.faults for each in fault.headers
        }
        name = self._type(named("Problem").shape)
        sequence = self._types[name].find(f"{{{XS}}}sequence")
        if sequence is None:
            raise refused("Problem is no object")
        sequence.extend(self._beside(each, False) for each in headers.values())
        return name

    def _beside(self, each: Parameter | Header, required: bool) -> etree._Element:
        """The element of what travels beside the body."""
        words = each.description
        if "default" in each.schema:
            words += f" {str(each.schema['default']).lower()} where it is left out."
        use = of_parameter(each.schema, each.element)
        if isinstance(use.shape, Text) and use.shape.values == ("true",):
            use = Use(Flag(type="Yes"))
        return _annotated(self._named(each.element, use, required), words)

    def _particles(self, record: Record) -> list[etree._Element]:
        """The members in their order, alternatives as a choice of sequences."""
        elements = {each.name: self._member(each) for each in record.members}
        particles: list[etree._Element] = []
        chosen = {name for alternative in record.choice for name in alternative}
        for name, element in elements.items():
            if name not in chosen:
                particles.append(element)
            elif name == record.choice[0][0]:
                choice = etree.Element(f"{{{XS}}}choice")
                choice.extend(_together([elements[each] for each in names]) for names in record.choice)
                particles.append(choice)
        for element in (elements[name] for name in chosen):
            element.attrib.pop("minOccurs", "")
        if record.more:
            particles.append(
                _annotated(_element(MORE, type=f"{_PREFIX}:Fields", minOccurs="0"), "What else it says.")
            )
        return particles

    def _member(self, member: Member) -> etree._Element:
        return _annotated(self._named(member.name, member.use, member.required), member.description)

    def _named(self, name: str, use: Use, required: bool = True) -> etree._Element:
        """An element of a shape: by the name of its type, or with a simple type of its own in it."""
        element = _element(name)
        inline = None
        if isinstance(use.shape, Text | Whole) and use.shape.type is None:
            inline = _simple(use.shape)
            if len(inline[0]) == 0:
                element.set("type", inline[0].get("base", ""))
                inline = None
        else:
            element.set("type", self._reference(use.shape))
        if not required:
            element.set("minOccurs", "0")
        if use.nullable or isinstance(use.shape, Nothing):
            element.set("nillable", "true")
        if inline is not None:
            element.append(inline)
        return element

    def _reference(self, shape: Shape) -> str:
        match shape:
            case Flag():
                return f"{_PREFIX}:{shape.type}" if shape.type == "Yes" else "xs:boolean"
            case Nothing() | Free():
                return f"{_PREFIX}:{'Nothing' if isinstance(shape, Nothing) else 'Fields'}"
            case _:
                return f"{_PREFIX}:{self._type(shape)}"

    def _type(self, shape: Shape) -> str:
        """The name of a type, which is written if it is new."""
        name = shape.type or ""
        if name in self._taken:
            name += "Data"
        if self._shapes.setdefault(name, shape) != shape or (
            name in self._types and name not in self._shapes
        ):
            raise refused(f"two types have the name {name}")
        if name not in self._types:
            self._types[name] = etree.Element(f"{{{XS}}}complexType")  # its place, also where it holds itself
            self._types[name] = self._written(shape, name)
        return name

    def _written(self, shape: Shape, name: str) -> etree._Element:
        if isinstance(shape, Text | Whole):
            simple = _simple(shape)
            simple.set("name", name)
            return _annotated(simple, shape.description)
        match shape:
            case Record():
                particles = self._particles(shape)
            case ListOf():
                maximum = "unbounded" if shape.maximum is None else str(shape.maximum)
                particles = [_many(self._named("item", shape.item), shape.minimum, maximum)]
            case MapOf():
                entry = Record(
                    f"{name}Entry",
                    (Member("key", Use(shape.key), True, ""), Member("value", shape.value, True, "")),
                )
                particles = [_many(self._named("entry", Use(entry)), shape.minimum, "unbounded")]
            case _:
                raise refused(f"{name} has no type of its own")
        complex_type = etree.Element(f"{{{XS}}}complexType", name=name)
        etree.SubElement(complex_type, f"{{{XS}}}sequence").extend(particles)
        return _annotated(complex_type, shape.description if shape.type == name else "")


def _simple(shape: Text | Whole) -> etree._Element:
    """A simple type; its restriction is empty where the base says all."""
    simple = etree.Element(f"{{{XS}}}simpleType")
    restriction = etree.SubElement(simple, f"{{{XS}}}restriction")
    facets: list[tuple[str, str]] = []
    if isinstance(shape, Whole):
        bounds = (shape.minimum, shape.maximum)
        numbers = [int(each) for each in shape.patterns if each.isdigit()] + [each for each in bounds if each]
        small = bool(shape.patterns) or (None not in bounds and all(_INT[0] <= n <= _INT[1] for n in numbers))
        restriction.set("base", "xs:int" if small else "xs:long")
        facets += [("pattern", each) for each in shape.patterns]
        facets += [("minInclusive", str(shape.minimum))] if shape.minimum is not None else []
        facets += [("maxInclusive", str(shape.maximum))] if shape.maximum is not None else []
    else:
        restriction.set("base", _FORMATS[shape.format])
        facets += [("minLength", str(shape.minimum))] if shape.minimum else []
        facets += [("maxLength", str(shape.maximum))] if shape.maximum is not None else []
        facets += [("pattern", shape.pattern)] if shape.pattern is not None else []
        facets += [("enumeration", each) for each in shape.values]
    for name, value in facets:
        etree.SubElement(restriction, f"{{{XS}}}{name}", value=value)
    return simple


def _bytes(binary: Binary) -> list[etree._Element]:
    """The elements of a body that is bytes."""
    content = _element(binary.element, type="xs:base64Binary")
    content.set(f"{{{XMIME}}}expectedContentTypes", ", ".join(binary.types))
    kind = _element(binary.type_element)
    kind.append(_simple(Text(values=binary.types)))
    _annotated(kind, "Media type of the content.")
    if binary.reference is None:
        return [_annotated(content, "The content; it may come as an attachment (MTOM)."), kind]
    kind.set("minOccurs", "0")
    choice = etree.Element(f"{{{XS}}}choice")
    reference = _element(binary.reference)
    reference.append(_simple(Text(minimum=1, maximum=200, pattern="[!-~]*")))
    choice.append(_annotated(content, "The content; it may be sent as an attachment (MTOM)."))
    choice.append(_annotated(reference, "In its place, the name of a content that was sent before."))
    return [choice, kind]


def _together(elements: list[etree._Element]) -> etree._Element:
    if len(elements) == 1:
        return elements[0]
    sequence = etree.Element(f"{{{XS}}}sequence")
    sequence.extend(elements)
    return sequence


def _many(element: etree._Element, minimum: int, maximum: str) -> etree._Element:
    element.set("minOccurs", str(minimum))
    element.set("maxOccurs", maximum)
    return element


def _element(name: str, **attributes: str) -> etree._Element:
    return etree.Element(f"{{{XS}}}element", {"name": name, **attributes})


def _annotated(element: etree._Element, words: str, arabic: str = "") -> etree._Element:
    """The element with the contract's words, which stand first in it."""
    said = {"en": " ".join(words.split()), "ar": arabic}
    if any(said.values()):
        annotation = etree.Element(f"{{{XS}}}annotation")
        for language, text in said.items():
            if text:
                documentation = etree.SubElement(annotation, f"{{{XS}}}documentation")
                documentation.set("{http://www.w3.org/XML/1998/namespace}lang", language)
                documentation.text = text
        element.insert(0, annotation)
    return element
