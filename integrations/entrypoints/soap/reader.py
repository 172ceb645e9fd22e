"""Reads a message's XML, and refuses whatever a SOAP message may not hold.

What was measured (libxml2 2.14): its own limits end deep nesting, entity bombs and long names within a
millisecond. What it lets pass is refused here: a document type, processing instructions, encodings other than
UTF-8 and UTF-16, nesting over 100, long attributes, and more namespaces in force than anybody needs.

Source: SOAP 1.1, section 3; SOAP 1.2 part 1, section 5 (no document type, no instruction); RFC 7303.
"""

import re
from codecs import BOM_UTF8, BOM_UTF16_BE, BOM_UTF16_LE

from lxml import etree

from foundation.errors import FieldError, Malformed, RakeezaError, TooLarge

DEEPEST = 100
"""Elements within one another, the envelope included."""
LONGEST = 8_192
"""Characters of a name of an element or attribute, and of the value of an attribute."""
MOST_TAGS, MOST_ATTRIBUTES = 100_000, 25_000
"""In all of a message: each takes up to fifty times its octets in memory."""
MOST_NAMESPACES = 64
"""Namespace declarations in force at one element."""

_UTF_8, _UTF_16 = "utf-8", "utf-16"
_BOMS = ((BOM_UTF8, _UTF_8), (BOM_UTF16_LE, "utf-16-le"), (BOM_UTF16_BE, "utf-16-be"))
_UNMARKED = ((b"<\x00", "utf-16-le"), (b"\x00<", "utf-16-be"))
_DECLARATION = re.compile(
    rb"""<\?xml\s+version\s*=\s*["']([0-9.]{1,8})["'](?:\s+encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["'])?"""
    rb"""(?:\s+standalone\s*=\s*["'](?:yes|no)["'])?\s*\?>"""
)
_BLANK = re.compile(rb"[ \t\r\n]*")
_DOCTYPE, _INSTRUCTION = b"<!DOCTYPE", b"<?"
_TOO_DEEP = etree.XPath(f"boolean({'/*' * (DEEPEST + 1)})")
_TOO_LONG = etree.XPath(
    f"boolean(//*[string-length(name()) > {LONGEST}]"
    f" | //@*[string-length() > {LONGEST} or string-length(name()) > {LONGEST}])"
)
_INSTRUCTIONS = etree.XPath("boolean(//processing-instruction())")


def reading() -> etree.XMLParser:
    """A parser of the only kind that reads messages; one thread uses it at a time.

    Comments are left out, so that text they stand in is whole: a signature does not see them either.
    """
    return etree.XMLParser(
        encoding=_UTF_8,
        resolve_entities=False,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        no_network=True,
        huge_tree=False,
        remove_comments=True,
        recover=False,
    )


def read(message: bytes, charset: str | None, parser: etree.XMLParser) -> etree._Element:
    """The root of a message.

    Args:
        message: the octets as they came, within the limit of size.
        charset: parameter of Content-Type, or None.
        parser: made by `reading`.

    Raises:
        Malformed: it is no XML, or XML of a kind that a message may not be.
        TooLarge: it is nested too deeply, or has names, attributes or namespaces over a limit.
    """
    text = _in_utf_8(message, charset)
    _check_prolog(text)
    _check_markup(text)
    try:
        root = etree.fromstring(text, parser)
    except etree.XMLSyntaxError as error:
        raise _refusal(error) from None
    _check(root, text)
    return root


def _in_utf_8(message: bytes, charset: str | None) -> bytes:
    """The text behind its mark and its declaration, whose encodings agree."""
    bom, found = next(((mark, name) for mark, name in _BOMS if message.startswith(mark)), (b"", ""))
    if not found:
        found = next((name for start, name in _UNMARKED if message.startswith(start)), _UTF_8)
        if found != _UTF_8 and _plain(charset) != found:
            raise _wrong_encoding("UTF-16 has no byte order mark")
    _agree(charset, found, "Content-Type says")
    text = message[len(bom) :]
    try:
        # Strictly, and before the parser: what is not in the encoding is told apart from what is no XML.
        decoded = text.decode(found)
    except UnicodeDecodeError as error:
        raise _wrong_encoding(f"octet {len(bom) + error.start + 1} is not {found.upper()}") from None
    if found != _UTF_8:
        text = decoded.encode()
    if text.startswith(b"<?xml"):
        said = _DECLARATION.match(text)
        if said is None or said[1] != b"1.0":
            raise Malformed(
                "The XML declaration is not one of XML 1.0.",
                remedy='Begin with <?xml version="1.0" encoding="UTF-8"?>.',
                message_ar="تصريح XML في أول الرسالة غير صحيح؛ المقبول هو XML 1.0.",
            )
        if said[2] is not None:
            _agree(said[2].decode(), found, "the XML declaration says")
        # Lines are counted as the sender sees them.
        text = b"\n" * said[0].count(b"\n") + text[said.end() :]
    return text


def _agree(said: str | None, found: str, where: str) -> None:
    if said is not None and _plain(said) not in (found, found[:6] if found != _UTF_8 else found):
        raise _wrong_encoding(f"{where} {said[:40]}, and the message is in {found.upper()}")


def _plain(said: str | None) -> str:
    name = (said or "").lower()
    return {"utf8": _UTF_8, "utf-16le": "utf-16-le", "utf-16be": "utf-16-be"}.get(name, name)


def _wrong_encoding(what: str) -> Malformed:
    return Malformed(
        f"The encoding of the message is unclear: {what}.",
        remedy="Send UTF-8, or UTF-16 with a byte order mark, and say so everywhere alike.",
        message_ar="ترميز الرسالة غير واضح أو لا يطابق المعلن؛ أرسلها بترميز UTF-8.",
    )


def _check_prolog(text: bytes) -> None:
    at = _blank_until(text, 0)
    while text.startswith(b"<!--", at):
        end = text.find(b"-->", at + 4)
        if end < 0:
            return
        at = _blank_until(text, end + 3)
    if text[at : at + len(_DOCTYPE)].upper() == _DOCTYPE:
        raise _no_doctype()
    if text.startswith(_INSTRUCTION, at):
        raise _no_instruction()


def _check_markup(text: bytes) -> None:
    # Before a tree is made of it, by strangers too.
    if len(text) <= 2 * MOST_ATTRIBUTES:
        return
    quotes = text.count(b'"') + text.count(b"'")
    if text.count(b"<") > MOST_TAGS or quotes > 2 * MOST_ATTRIBUTES:
        raise TooLarge(
            f"The message has more than {MOST_TAGS} tags, or quotes for {MOST_ATTRIBUTES} attributes.",
            remedy="Send it in several messages.",
            message_ar=f"في الرسالة أكثر من {MOST_TAGS} وسم أو {MOST_ATTRIBUTES} سمة؛ أرسلها في عدة رسائل.",
        )


def _blank_until(text: bytes, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at


def _no_doctype() -> Malformed:
    return Malformed(
        "The message has a document type declaration.",
        remedy="Leave out <!DOCTYPE …>: SOAP allows none.",
        message_ar="في الرسالة تصريح نوع مستند (DOCTYPE)، وهو ممنوع في رسائل SOAP.",
    )


def _no_instruction() -> Malformed:
    return Malformed(
        "The message has a processing instruction.",
        remedy="Leave out <?…?>: SOAP allows none.",
        message_ar="في الرسالة تعليمات معالجة (processing instruction)، وهي ممنوعة في رسائل SOAP.",
    )


def _refusal(error: etree.XMLSyntaxError) -> RakeezaError:
    line = error.lineno or 0
    code = error.code  # type: ignore[attr-defined] # the stubs leave it out
    if code == etree.ErrorTypes.ERR_RESOURCE_LIMIT:
        return _too_deep(line)
    if code == etree.ErrorTypes.ERR_NAME_TOO_LONG:
        return _too_long()
    # Its own words may quote the message, which may name a person: they go to the sender alone.
    told = " ".join((error.msg or "").split())[:200]
    field = FieldError("", f"line {line}: {told}", line, f"السطر {line}: {told}")
    return Malformed(
        f"The message is not well-formed XML, see line {line}.",
        remedy="Correct the XML.",
        fields=(field,),
        message_ar=f"الرسالة ليست XML صحيحًا؛ انظر السطر {line}.",
    )


def _check(root: etree._Element, text: bytes) -> None:
    # Octets are counted first: only what could be over a limit is looked at element by element.
    if root.getroottree().docinfo.internalDTD is not None:
        raise _no_doctype()
    if _INSTRUCTION in text and _INSTRUCTIONS(root):
        raise _no_instruction()
    if text.count(b"</") >= DEEPEST and _TOO_DEEP(root):
        raise _too_deep(0)
    if len(text) > LONGEST and _TOO_LONG(root):
        raise _too_long()
    if text.count(b"xmlns") > MOST_NAMESPACES:
        _check_namespaces(root)


def _check_namespaces(root: etree._Element) -> None:
    now = 0
    for event, _ in etree.iterwalk(root, events=("start-ns", "end-ns")):
        now += 1 if event == "start-ns" else -1
        if now > MOST_NAMESPACES:
            raise TooLarge(
                f"More than {MOST_NAMESPACES} namespaces are declared at one place.",
                remedy="Declare those that are used.",
                message_ar=f"عدد فضاءات الأسماء المعلنة في موضع واحد أكبر من {MOST_NAMESPACES}.",
            )


def _too_deep(line: int) -> TooLarge:
    return TooLarge(
        f"The elements are nested more than {DEEPEST} deep.",
        place=f"line {line}" if line else "",
        remedy="Send a message as the contract has it.",
        message_ar=f"تداخل العناصر في الرسالة أعمق من {DEEPEST} مستوى.",
    )


def _too_long() -> TooLarge:
    return TooLarge(
        f"A name, or the value of an attribute, has more than {LONGEST} characters.",
        remedy="Send a message as the contract has it.",
        message_ar=f"في الرسالة اسم أو سمة أطول من {LONGEST} حرفًا.",
    )
