"""Packages of MTOM, octet by octet."""

import pytest
from lxml import etree

from foundation.errors import Malformed, RakeezaError, TooLarge
from integrations.entrypoints.soap.attachments import (
    MOST_PARTS,
    media_type,
    put_in_place,
    put_together,
    taken_apart,
    taken_out,
)

TYPE = 'multipart/related; type="application/xop+xml"; start="<root>"; boundary="=_b/1"'
ROOT_TYPE = 'application/xop+xml; charset=UTF-8; type="text/xml"'
OCTETS = b"%PDF\r\n--=_b\r\n\x00\xff--=_b/"
XOP = "http://www.w3.org/2004/08/xop/include"


def part(content_id: str, content: bytes, kind: str = "application/pdf", more: str = "") -> bytes:
    """A part with its headers."""
    return f"Content-Type: {kind}\r\nContent-ID: <{content_id}>\r\n{more}\r\n".encode() + content


def package(*parts: bytes, boundary: str = "=_b/1", end: str = "--\r\n") -> bytes:
    """Parts between boundaries."""
    return b"".join(f"--{boundary}\r\n".encode() + each + b"\r\n" for each in parts) + (
        f"--{boundary}{end}".encode()
    )


ROOT = part("root", b"<a/>", ROOT_TYPE)


def _refusal(body: bytes, kind: str = TYPE) -> RakeezaError:
    with pytest.raises(RakeezaError) as caught:
        taken_apart(body, media_type(kind))
    assert caught.value.message_ar
    return caught.value


def test_a_package_comes_apart_to_the_octet_with_its_root_anywhere() -> None:
    for body in (
        package(ROOT, part("d1", OCTETS), part("d2", b"")),
        package(part("d2", b""), part("d1", OCTETS), ROOT, end="--"),
        b"\r\n" + package(part("d1", OCTETS), ROOT, part("d2", b"")),
    ):
        found = taken_apart(body, media_type(TYPE))
        assert found.root == b"<a/>"
        assert found.type.parameters["type"] == "text/xml"
        assert {name: bytes(content) for name, content in found.parts.items()} == {"d1": OCTETS, "d2": b""}


def test_without_start_the_first_part_is_the_root() -> None:
    kind = 'multipart/related; type="application/xop+xml"; boundary="=_b/1"'

    assert taken_apart(package(ROOT, part("d1", b"x")), media_type(kind)).root == b"<a/>"


def test_our_own_packages_come_apart() -> None:
    kind, octets = put_together(b"<a/>", "text/xml", [("d@x", "application/pdf", OCTETS)])

    found = taken_apart(octets, media_type(kind))

    assert (found.root, bytes(found.parts["d@x"])) == (b"<a/>", OCTETS)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<a/>",
        package(),
        package(part("d1", b"x")),
        package(ROOT, part("d1", b"x"), part("d1", b"y")),
        package(ROOT, ROOT),
        package(ROOT, b"Content-Type: application/pdf\r\n\r\nx"),
        package(ROOT, b"no headers"),
        package(ROOT, b"Content-Type application/pdf\r\n\r\nx"),
        package(ROOT, part("d1", b"x", more="Content-Type: text/html\r\n")),
        package(ROOT, part("d1", b"eHg=", more="Content-Transfer-Encoding: base64\r\n")),
        package(part("root", b"<a/>", "text/xml")),
        package(ROOT)[:-6],
        package(ROOT, end="x\r\n"),
        package(ROOT) + b"more",
        b"preamble\r\n" + package(ROOT),
    ],
)
def test_a_package_that_is_built_otherwise_is_refused(body: bytes) -> None:
    assert isinstance(_refusal(body), Malformed)


@pytest.mark.parametrize("boundary", ["", "x" * 71, "x\\ny", "x ", "é", "x<y"])
def test_a_boundary_that_is_none_is_refused(boundary: str) -> None:
    kind = f'multipart/related; type="application/xop+xml"; boundary="{boundary}"'

    assert isinstance(_refusal(package(ROOT, boundary=boundary), kind), Malformed)


def test_a_parameter_that_stands_twice_is_refused() -> None:
    with pytest.raises(Malformed):
        media_type('multipart/related; boundary="a"; boundary="b"')


def test_too_many_parts_and_headers_without_end_are_refused() -> None:
    many = [part(f"d{each}", b"") for each in range(MOST_PARTS + 1)]
    assert isinstance(_refusal(package(ROOT, *many)), TooLarge)
    assert isinstance(_refusal(package(ROOT, b"x: y\r\n" * 1_000 + b"\r\nz")), TooLarge)


def _holding(*hrefs: str, inside: str = "") -> etree._Element:
    includes = "".join(f'<c><x:Include xmlns:x="{XOP}" href="{each}"/>{inside}</c>' for each in hrefs)
    return etree.fromstring(f"<a>{includes}</a>")


def test_a_part_is_put_where_its_include_stood() -> None:
    root = _holding("cid:d%401")

    found = taken_out(root, {"d@1": memoryview(b"abc")})
    assert etree.tostring(root) == b"<a><c/></a>"
    put_in_place(found)

    assert etree.tostring(root) == b"<a><c>YWJj</c></a>"


@pytest.mark.parametrize(
    ("root", "parts"),
    [
        (_holding("cid:d1"), ()),
        (_holding("cid:d1"), ("d1", "d2")),
        (_holding("cid:d1", "cid:d1"), ("d1",)),
        (_holding(), ("d1",)),
        (_holding("http://127.0.0.1:9/d1"), ("d1",)),
        (_holding("file:///etc/passwd"), ("d1",)),
        (_holding("d1"), ("d1",)),
        (_holding("cid:d1", inside="text"), ("d1",)),
        (_holding("cid:d1", inside="<d/>"), ("d1",)),
        (etree.fromstring(f'<x:Include xmlns:x="{XOP}" href="cid:d1"/>'), ("d1",)),
    ],
    ids=["missing", "unused", "twice", "nowhere", "http", "file", "no scheme", "text", "beside", "root"],
)
def test_parts_and_includes_have_to_match_one_to_one(root: etree._Element, parts: tuple[str, ...]) -> None:
    with pytest.raises(Malformed):
        taken_out(root, {name: memoryview(b"x") for name in parts})
