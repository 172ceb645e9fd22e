"""No change of what was signed is accepted, whatever it is; what is accepted is what was signed."""

import copy

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from lxml import etree

from integrations.ws_security import names
from integrations.ws_security.faults import SecurityFault
from integrations.ws_security.verification import Verified, verify
from tests.integrations.ws_security.messages import NOW, PARSER, Signer, Template, by_xmlsec1, by_zeep

COMMON = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
PAYLOAD = (
    '<l:Take xmlns:l="urn:l" a="1" b="2"><l:case>12</l:case><l:list><l:i>1</l:i><l:i>2</l:i></l:list>'
    '<plain xmlns="urn:p">ن <e/> م</plain></l:Take>'
)
_signed: dict[str, bytes] = {}


def signed(centre: Signer, kind: str) -> bytes:
    """One message for all examples: signing costs a process."""
    if kind not in _signed:
        made = by_zeep(centre, PAYLOAD) if kind == "zeep" else by_xmlsec1(Template(centre, payload=PAYLOAD))
        _signed[kind] = etree.tostring(made)
    return _signed[kind]


def content(element: etree._Element) -> object:
    """All that a reader can learn of an element: names, attributes, texts, order, and comments too."""
    children = [(content(child), child.tail or "") for child in element]
    return (str(element.tag), sorted(map(str, element.attrib.items())), element.text or "", children)


def outcome(message: etree._Element, centre: Signer) -> Verified | None:
    """What verifying says; None if it is refused."""
    try:
        return verify(message, centre.lookup, NOW)
    except SecurityFault:
        return None


def parts(message: etree._Element) -> list[etree._Element]:
    """Body and Timestamp, from their places."""
    stamps = message[0].findall(f"{names.SECURITY}/{names.TIMESTAMP}")
    return [message[1], *stamps]


TEXTS = st.text("ab01 \n<&>'\"نم١\u200f\U0001f3e0", max_size=3)
KINDS = ("text", "tail", "attribute", "remove", "copy", "swap", "rename", "comment", "instruction", "unwrap")


def change(node: etree._Element, kind: str, text: str, at: int) -> None:
    parent = node.getparent()
    assert parent is not None
    if kind == "text":
        old = node.text or ""
        node.text = old[: at % (len(old) + 1)] + text + old[at % (len(old) + 1) + at % 2 :]
    elif kind == "tail":
        assume(parent.getparent() is not None)
        node.tail = text
    elif kind == "attribute":
        node.set(("a", "new", names.WSU_ID, "{urn:p}a", "Id")[at % 5], text)
    elif kind == "remove":
        parent.remove(node)
    elif kind == "copy":
        parent.insert(at % (len(parent) + 1), copy.deepcopy(node))
    elif kind == "swap":
        parent.append(node)
    elif kind == "rename":
        node.tag = ("{urn:l}other", "plain", "{urn:p}case")[at % 3]
    elif kind == "comment":
        node.insert(0, etree.Comment("x"))
    elif kind == "instruction":
        node.insert(0, etree.ProcessingInstruction("x", "y"))
    else:
        index = parent.index(node)
        for child in reversed(node):
            parent.insert(index, child)
        parent.remove(node)


@COMMON
@given(st.data())
def test_any_change_of_body_or_timestamp_is_refused(centre: Signer, data: st.DataObject) -> None:
    message = etree.fromstring(signed(centre, data.draw(st.sampled_from(("zeep", "xmlsec1")))), PARSER)
    before = [content(part) for part in parts(message)]
    nodes = [node for part in parts(message) for node in part.iter()]
    node = data.draw(st.sampled_from(nodes))
    change(node, data.draw(st.sampled_from(KINDS)), data.draw(TEXTS), data.draw(st.integers(0, 99)))
    arrived = etree.fromstring(etree.tostring(message), PARSER)
    assume(len(arrived) < 2 or [content(part) for part in parts(arrived)] != before)
    assert outcome(arrived, centre) is None


@COMMON
@given(st.data())
def test_what_is_accepted_of_a_changed_text_is_what_was_signed(centre: Signer, data: st.DataObject) -> None:
    original = signed(centre, data.draw(st.sampled_from(("zeep", "xmlsec1"))))
    before = [content(part) for part in parts(etree.fromstring(original, PARSER))]
    changed = bytearray(original)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(changed) - 1))
        length = data.draw(st.integers(0, 4))
        pool = [b"", b" ", b"\n", b"<!-- -->", b"<?x?>", b"&#32;", b"&#x661;", b'"', b"'", b"<a/>", b"0"]
        changed[at : at + length] = data.draw(st.sampled_from(pool) | st.binary(max_size=2))
    try:
        arrived = etree.fromstring(bytes(changed), PARSER)
    except etree.XMLSyntaxError:
        return
    verified = outcome(arrived, centre)
    if verified is not None:
        assert verified.body is arrived[1]
        assert [content(verified.body), content(verified.timestamp.element)] == before


@COMMON
@given(st.data())
def test_what_is_accepted_after_anything_was_moved_is_what_was_signed(
    centre: Signer, data: st.DataObject
) -> None:
    message = etree.fromstring(signed(centre, "zeep"), PARSER)
    before = [content(part) for part in parts(message)]
    for _ in range(data.draw(st.integers(1, 3))):
        nodes = [node for node in message.iter() if node is not message]
        node, target = data.draw(st.sampled_from(nodes)), data.draw(st.sampled_from([message, *nodes]))
        if any(above is node for above in (target, *target.iterancestors())):
            continue
        moved = copy.deepcopy(node) if data.draw(st.booleans()) else node
        target.insert(data.draw(st.integers(0, len(target))), moved)
    arrived = etree.fromstring(etree.tostring(message), PARSER)
    verified = outcome(arrived, centre)
    if verified is not None:
        assert verified.body is arrived[1]
        assert [content(verified.body), content(verified.timestamp.element)] == before
