"""What XML a message may be, octet by octet."""

import codecs

import pytest

from foundation.errors import Malformed, RakeezaError, TooLarge
from integrations.entrypoints.soap.reader import (
    DEEPEST,
    LONGEST,
    MOST_NAMESPACES,
    read,
    reading,
)

DECLARED = '<?xml version="1.0" encoding="{}"?>\n<a>مرحبا</a>'


def _read(message: bytes, charset: str | None = None) -> str | None:
    return read(message, charset, reading()).text


def _refusal(message: bytes, charset: str | None = None) -> RakeezaError:
    with pytest.raises(RakeezaError) as caught:
        read(message, charset, reading())
    assert caught.value.message_ar
    return caught.value


@pytest.mark.parametrize(
    ("message", "charset"),
    [
        ("<a>مرحبا</a>".encode(), None),
        (DECLARED.format("utf-8").encode(), "UTF-8"),
        (codecs.BOM_UTF8 + DECLARED.format("UTF-8").encode(), "utf-8"),
        (DECLARED.format("utf-16").encode("utf-16"), "utf-16"),
        (DECLARED.format("UTF-16").encode("utf-16"), None),
        (DECLARED.format("UTF-16LE").encode("utf-16-le"), "utf-16le"),
        (codecs.BOM_UTF16_BE + DECLARED.format("UTF-16").encode("utf-16-be"), "utf-16"),
        ("<?xml version='1.0' standalone='yes'?><!-- a --><a>مر<!-- b -->حبا</a><!-- c -->".encode(), None),
        ("<a><![CDATA[مر]]>حبا</a>".encode(), None),
    ],
)
def test_the_same_text_is_read_from_every_encoding_that_is_said_truly(
    message: bytes, charset: str | None
) -> None:
    assert _read(message, charset) == "مرحبا"


@pytest.mark.parametrize(
    ("message", "charset"),
    [
        (DECLARED.format("utf-16").encode(), None),
        (DECLARED.format("utf-8").encode("utf-16"), None),
        (DECLARED.format("utf-8").encode(), "utf-16"),
        ("<a>مرحبا</a>".encode("utf-16"), "utf-8"),
        ("<a>مرحبا</a>".encode("utf-16-le"), None),
        (DECLARED.format("UTF-16BE").encode("utf-16"), None),
        (DECLARED.format("windows-1256").encode("windows-1256"), "windows-1256"),
        (b"<a/>", "us-ascii"),
        (b"<a/>", "utf-7"),
        (b"+ADw-a/+AD4-", None),
        (DECLARED.format("iso-8859-6").encode("iso-8859-6"), None),
        ("<a>مرحبا</a>".encode("windows-1256"), None),
        ("<a>مرحبا</a>".encode("utf-32"), None),
        ("<?xml version='1.0'?><a/>".encode("cp037"), None),
        (b"<a>\xc0\xaf</a>", None),
        (b"<a>\xed\xa0\x80</a>", None),
        (b"<?xml version='1.1'?><a>&#1;</a>", None),
    ],
)
def test_an_encoding_that_is_wrong_unclear_or_another_is_refused(message: bytes, charset: str | None) -> None:
    assert isinstance(_refusal(message, charset), Malformed)


@pytest.mark.parametrize(
    "message",
    [
        "<!DOCTYPE a><a/>",
        "<!-- first --> \n<!DOCTYPE a [<!ENTITY x 'x'>]><a>&x;</a>",
        "<!DOCTYPE a SYSTEM 'http://127.0.0.1:9/a.dtd'><a/>",
        "<!DOCTYPE a PUBLIC 'x' 'file:///etc/passwd'><a/>",
        "<!DOCTYPE a [<!ENTITY % p SYSTEM 'file:///etc/passwd'> %p;]><a/>",
        "<?xml version='1.0'?><!doctype a><a/>",
        "<!DOCTYPE a [<!ATTLIST a b CDATA 'x'>]><a/>",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_document_type_is_refused_before_anything_of_it_is_read(message: str, encoding: str) -> None:
    said = message.replace("version='1.0'", f"version='1.0' encoding='{encoding}'")

    assert "document type" in _refusal(said.encode(encoding)).message


@pytest.mark.parametrize(
    "message",
    [b"<?php x?><a/>", b"<a><?php x?></a>", b"<a/><?php x?>", b"<a>x<?xml-stylesheet href='y'?></a>"],
)
def test_a_processing_instruction_is_refused_wherever_it_stands(message: bytes) -> None:
    assert "processing instruction" in _refusal(message).message


def test_what_only_looks_like_one_stands_in_text() -> None:
    assert _read(b"<a><![CDATA[<?php x?><!DOCTYPE a>]]></a>") == "<?php x?><!DOCTYPE a>"


@pytest.mark.parametrize("entity", [b"&x;", b"&#0;", b"&#xd800;", b"&#x110000;"])
def test_an_entity_that_xml_does_not_know_itself_is_refused(entity: bytes) -> None:
    assert isinstance(_refusal(b"<a>" + entity + b"</a>"), Malformed)
    assert isinstance(_refusal(b"<a b='" + entity + b"'/>"), Malformed)


def test_entities_of_xml_itself_are_read() -> None:
    assert _read(b"<a>&lt;&amp;&#1605;&#x645;</a>") == "<&مم"


@pytest.mark.parametrize("depth", [DEEPEST + 1, 257, 5_000, 100_000])
def test_nesting_over_the_limit_is_refused_whatever_it_is_made_of(depth: int) -> None:
    for message in (b"<a>" * depth + b"</a>" * depth, b"<a>" * depth, b"<a>" * (depth - 1) + b"<b/>"):
        closed = message if message.endswith(b"</a>") else message + b"</a>" * message.count(b"<a>")
        assert isinstance(_refusal(closed), TooLarge)


def test_nesting_at_the_limit_passes_and_siblings_count_nothing() -> None:
    assert _read(b"<a>" * DEEPEST + b"</a>" * DEEPEST) is None
    assert _read(b"<a>x" + b"<b></b>" * 5_000 + b"</a>") == "x"


@pytest.mark.parametrize(
    "message",
    [
        b"<a b='" + b"x" * (LONGEST + 1) + b"'/>",
        b"<a b='" + b"x" * 900_000 + b"'/>",
        b"<" + b"n" * (LONGEST + 1) + b"/>",
        b"<" + b"n" * 900_000 + b"/>",
        b"<a " + b"n" * (LONGEST + 1) + b"='x'/>",
        b"<a " + b" ".join(b'xmlns:a%d="x"' % each for each in range(MOST_NAMESPACES + 1)) + b"/>",
    ],
)
def test_long_names_and_attributes_and_many_namespaces_are_refused(message: bytes) -> None:
    assert isinstance(_refusal(message), TooLarge)


def test_namespaces_that_are_declared_again_and_again_are_no_many() -> None:
    assert _read(b"<a>x" + b"<b xmlns='y'/>" * 1_000 + b"</a>") == "x"


@pytest.mark.parametrize(
    "message",
    [b"", b" ", b"{}", b"<a>", b"<a/><b/>", b"<a b='1' b='2'/>", b"<x:a/>", b"<a>\0</a>", b"<!-- a"],
)
def test_what_is_no_xml_is_told_with_its_line(message: bytes) -> None:
    refusal = _refusal(b"\n\n" + message if message else message)

    assert isinstance(refusal, Malformed)
    (field,) = refusal.fields
    assert field.detail.startswith("line ")


def test_the_line_is_the_senders_own() -> None:
    refusal = _refusal(b"<?xml version='1.0'\n\n?>\n<a>\n<b></a>")

    assert "see line 5" in refusal.message
