"""Documents of a case: what each content is by its structure, what is refused, how it lies, who gives it."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable

import pypdfium2  # type: ignore[import-untyped] # it ships no types
import pytest
import typst
from PIL import Image
from sqlalchemy import text

from foundation.errors import Conflict, Damaged, InvalidInput, NotFound, PermissionDenied, TooLarge
from integrations.cases import files
from integrations.cases.files import cleaned
from integrations.cases.media import NotADocument, sniff
from tests.integrations.desk import (
    AUDITOR,
    CENTRE,
    OTHER_CENTRE,
    OWNER,
    PNG,
    REVIEWED,
    REVIEWER,
    Desk,
    new_key,
)


def _picture(kind: str, mode: str = "RGB", size: tuple[int, int] = (120, 80), **options: object) -> bytes:
    file = io.BytesIO()
    Image.effect_noise(size, 60).convert(mode).save(file, kind, **options)
    return file.getvalue()


def _pdf(objects: bytes = b"") -> bytes:
    """A PDF with one page; more objects as they are given."""
    pdf = bytes(typst.compile(b"= Lease\nSigned."))
    return pdf.replace(b"\nxref", b"\n" + objects + b"\nxref", 1) if objects else pdf


def _streamed(objects: bytes, said: bytes = b"/Filter /FlateDecode") -> bytes:
    packed = zlib.compress(objects)
    return b"90 0 obj\n<< /Type /ObjStm /N 1 /First 4 %s /Length %d >>\nstream\n%s\nendstream\nendobj" % (
        said,
        len(packed),
        packed,
    )


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("program.exe", b"MZ")
    return file.getvalue()


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _png(width: int, height: int, packed: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", packed) + _chunk(b"IEND", b"")


SOUND: dict[str, tuple[str, Callable[[], bytes]]] = {
    "png": ("image/png", lambda: _picture("PNG")),
    "png of one bit": ("image/png", lambda: _picture("PNG", "1")),
    "png with a palette": ("image/png", lambda: _picture("PNG", "P")),
    "png with alpha": ("image/png", lambda: _picture("PNG", "RGBA")),
    "png of one pixel": ("image/png", lambda: PNG),
    "jpeg": ("image/jpeg", lambda: _picture("JPEG")),
    "jpeg, progressive": ("image/jpeg", lambda: _picture("JPEG", progressive=True)),
    "jpeg in grey": ("image/jpeg", lambda: _picture("JPEG", "L")),
    "jpeg for print": ("image/jpeg", lambda: _picture("JPEG", "CMYK")),
    "jpeg with a second picture": ("image/jpeg", lambda: _picture("JPEG") + _picture("JPEG")),
    "jpeg filled up": ("image/jpeg", lambda: _picture("JPEG") + bytes(512)),
    "pdf": ("application/pdf", _pdf),
    "pdf of a picture": ("application/pdf", lambda: _picture("PDF")),
    "pdf with a line after its end": ("application/pdf", lambda: _pdf() + b"\r\n"),
    "pdf with an object stream": ("application/pdf", lambda: _pdf(_streamed(b"91 0 << /Type /Page >>"))),
}


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_document_is_what_its_content_says(name: str) -> None:
    kind, make = SOUND[name]
    content = make()

    assert sniff(content) == kind
    # What others make of the same bytes.
    if kind == "application/pdf":
        assert len(pypdfium2.PdfDocument(content)) == 1
    else:
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
            assert Image.MIME[str(picture.format)] == kind or picture.format == "MPO"


REFUSED: dict[str, tuple[str, Callable[[], bytes]]] = {
    "nothing": ("is no PDF", lambda: b""),
    "text": ("is no PDF", lambda: b"%!PS-Adobe-3.0"),
    "gif": ("is no PDF", lambda: _picture("GIF", "P")),
    "page of the web": ("is no PDF", lambda: b"<html><script>alert(1)</script>"),
    "zip": ("something else", _zip),
    "pdf cut off": ("damaged", lambda: _pdf()[:-200]),
    "pdf of another version": ("damaged", lambda: b"%PDF-9.7" + _pdf()[8:]),
    "pdf and zip": ("something else", lambda: _pdf() + _zip()),
    "pdf and text": ("something else", lambda: _pdf() + b"<script>"),
    "jpeg cut off": ("damaged", lambda: _picture("JPEG")[:-300]),
    "jpeg without a picture": ("damaged", lambda: b"\xff\xd8\xff\xd9"),
    "jpeg and zip": ("something else", lambda: _picture("JPEG") + _zip()),
    "jpeg and text": ("something else", lambda: _picture("JPEG") + b"<?php"),
    "jpeg and pdf": ("something else", lambda: _picture("JPEG", comment=_pdf()[:600])),
    "png cut off": ("damaged", lambda: _picture("PNG")[:-40]),
    "png and zip": ("something else", lambda: _picture("PNG") + _zip()),
    "png and text": ("something else", lambda: _picture("PNG") + b"x"),
    "png with a flipped bit": (
        "damaged",
        lambda: (made := _picture("PNG"))[:60] + bytes([made[60] ^ 1]) + made[61:],
    ),
    "png of no size": ("damaged", lambda: _png(0, 4, zlib.compress(bytes(16)))),
    "png that is huge": ("unpacks to more", lambda: _png(20_000, 20_000, zlib.compress(b""))),
    "png that is long": ("unpacks to more", lambda: _png(40_000, 1, zlib.compress(b""))),
    "png that is a bomb": ("unpacks to more", lambda: _png(9, 9, zlib.compress(bytes(50_000_000), 9))),
    "jpeg that is huge": ("unpacks to more", lambda: _taller(_picture("JPEG"))),
    "pdf with a script": ("a script", lambda: _pdf(b"99 0 obj <</S/JavaScript/JS(app.alert(1))>> endobj")),
    "pdf with a hidden script": ("hidden", lambda: _hidden(b"/JavaScript", b"/J#61vaScr#69pt")),
    "pdf that starts a program": ("a program", lambda: _pdf(b"99 0 obj <</S/Launch/F(calc)>> endobj")),
    "pdf with files": ("other files", lambda: _pdf(b"99 0 obj <</Type/EmbeddedFile>> endobj")),
    "pdf with a film": ("a film", lambda: _pdf(b"99 0 obj <</Subtype /RichMedia >> endobj")),
    "pdf with a form": ("a form", lambda: _pdf(b"99 0 obj <</XFA [1 0 R]>> endobj")),
    "pdf that is locked": ("encrypted", lambda: _pdf(b"99 0 obj <</Encrypt 5 0 R>> endobj")),
    "pdf with a packed script": ("a script", lambda: _pdf(_streamed(b"91 0 <</S /JavaScript /JS (x)>>"))),
    "pdf packed otherwise": ("hidden", lambda: _pdf(_streamed(b"x", b"/Filter /LZWDecode"))),
    "pdf packed twice": ("hidden", lambda: _pdf(_streamed(b"x", b"/Filter [/ASCII85Decode /FlateDecode]"))),
    "pdf that is a bomb": ("unpacks to more", lambda: _pdf(_streamed(bytes(70_000_000)))),
}


def _taller(jpeg: bytes) -> bytes:
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + struct.pack(">HH", 20_000, 20_000) + jpeg[at + 4 :]


def _hidden(name: bytes, written: bytes) -> bytes:
    return _pdf(b"99 0 obj <</S /JavaScript /JS(1)>> endobj".replace(name, written))


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_plain_document_is_refused_with_its_reason(name: str) -> None:
    reason, make = REFUSED[name]

    with pytest.raises(NotADocument, match=reason) as refused:
        sniff(make())

    assert refused.value.message_ar
    assert refused.value.remedy


@pytest.mark.parametrize("make", [lambda: _picture("PNG"), lambda: _picture("JPEG"), _pdf])
def test_no_beginning_of_a_document_is_taken_for_one(make: Callable[[], bytes]) -> None:
    content = make()

    for end in range(0, len(content) - 3, 97):
        with pytest.raises(NotADocument):
            sniff(content[:end])


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("lease.pdf", "lease.pdf"),
        ("C:\\Users\\Noura\\عقد الإيجار.PDF", "عقد الإيجار.pdf"),
        ("../../etc/passwd", "passwd.pdf"),
        ("photo.jpeg.exe", "photo.jpeg.pdf"),
        ("a\u202efdp.exe", "afdp.pdf"),
        ("", "lease_or_deed.pdf"),
        ("...", "lease_or_deed.pdf"),
        ("a\x00b\n\tc.pdf", "abc.pdf"),
        ('<img src="x">.pdf', "img src= x.pdf"),
        ("x" * 300 + ".pdf", "x" * 120 + ".pdf"),
    ],
)
def test_a_name_is_cleaned_and_ends_as_its_content(given: str, shown: str) -> None:
    assert cleaned(given, "lease_or_deed", "application/pdf") == shown


def test_a_document_is_given_out_as_it_was_handed_in(desk: Desk) -> None:
    number, content = desk.submit(REVIEWED), _pdf()
    before = desk.case(number)["version"]

    answer = desk.licensing.files.put(CENTRE, number, "lease_or_deed", f"{OWNER}.exe", content, new_key())

    assert answer.body["type"] == "application/pdf"
    assert answer.body["case_version"] == before + 1
    assert desk.licensing.files.get(REVIEWER, number, "lease_or_deed") == (content, "application/pdf")
    item = next(i for i in desk.licensing.files.list(CENTRE, number) if i["code"] == "lease_or_deed")
    assert item["document"]["name"] == f"{OWNER}.pdf"
    entry = desk.case(number)["journal"][-1]
    assert (entry["action"], entry["details"]["size"]) == ("document", len(content))
    assert entry["details"]["sha256"] != item["document"]["sha256"]
    assert desk.breaks() == []


def test_a_content_lies_once_in_its_case_sealed_and_apart_from_other_cases(desk: Desk) -> None:
    first, second = desk.submit(REVIEWED), desk.submit(REVIEWED)
    content = _picture("PNG")
    for number in (first, second):
        desk.do.put(CENTRE, number, "lease_or_deed", content)
        desk.do.put(CENTRE, number, "building_permit", content)

    with desk.database.transaction() as session:
        rows = session.execute(text("SELECT case_id, sealed FROM stored_content ORDER BY case_id")).all()

    assert len({row.case_id for row in rows}) == len(rows) == 2
    assert rows[0].sealed != rows[1].sealed
    assert all(content[16:80] not in row.sealed for row in rows)


def test_the_content_of_one_case_does_not_open_in_another(desk: Desk) -> None:
    first, second = desk.submit(REVIEWED), desk.submit(REVIEWED)
    desk.do.put(CENTRE, first, "lease_or_deed", _picture("PNG"))
    desk.do.put(CENTRE, second, "lease_or_deed", _picture("PNG", "L"))

    with desk.database.transaction() as session:
        session.execute(
            text(
                "UPDATE stored_content SET sealed = "
                "(SELECT sealed FROM stored_content ORDER BY case_id LIMIT 1)"
            )
        )

    with pytest.raises(Damaged):
        desk.licensing.files.get(CENTRE, second, "lease_or_deed")


def test_a_later_document_takes_the_place_of_the_earlier_which_is_kept(desk: Desk) -> None:
    number = desk.submit(REVIEWED)
    old, new = _picture("PNG"), _picture("JPEG")
    desk.do.put(CENTRE, number, "lease_or_deed", old)
    desk.do.put(CENTRE, number, "lease_or_deed", new)

    assert desk.licensing.files.get(CENTRE, number, "lease_or_deed")[0] == new
    assert desk.licensing.files.get(CENTRE, number, "lease_or_deed", 1)[0] == old
    with pytest.raises(NotFound):
        desk.licensing.files.get(CENTRE, number, "lease_or_deed", 3)


def test_a_repeated_put_is_one(desk: Desk) -> None:
    number, key = desk.submit(REVIEWED), new_key()

    first = desk.licensing.files.put(CENTRE, number, "lease_or_deed", "a.png", PNG, key)
    again = desk.licensing.files.put(CENTRE, number, "lease_or_deed", "a.png", PNG, key)

    assert again.replayed
    assert again.body == first.body
    assert desk.count("case_document") == 1


def test_the_checklist_is_complete_only_with_what_its_conditions_ask(desk: Desk) -> None:
    number = desk.submit(REVIEWED)
    for code in ("lease_or_deed", "shopfront_photo", "building_permit"):
        desk.do.put(CENTRE, number, code)

    # A restaurant needs a report of the civil defence; a cleaning contract nobody needs.
    with pytest.raises(Conflict, match="Civil defence safety report") as refused:
        desk.do.take(REVIEWER, number, "approve")
    assert "تقرير السلامة" in refused.value.message_ar
    assert "Lease" not in refused.value.message
    desk.do.put(CENTRE, number, "safety_report")
    desk.do.take(REVIEWER, number, "approve")
    assert desk.state(number) == "approved"


def test_only_what_a_requirement_takes_is_taken(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    number = desk.submit(REVIEWED)

    with pytest.raises(InvalidInput, match="image/jpeg, image/png"):
        desk.do.put(CENTRE, number, "shopfront_photo", _pdf())
    with pytest.raises(NotFound, match="asks for no such document"):
        desk.do.put(CENTRE, number, "transfer_deed")
    with pytest.raises(TooLarge, match="at most 10 MB"):
        desk.do.put(CENTRE, number, "lease_or_deed", PNG + bytes(10_000_000))
    monkeypatch.setattr(files, "MOST_BYTES", 2 * len(PNG))
    desk.do.put(CENTRE, number, "lease_or_deed")
    with pytest.raises(TooLarge, match="The documents of"):
        desk.do.put(CENTRE, number, "building_permit", _picture("PNG"))
    assert desk.count("case_document") == 1


def test_documents_are_handed_in_by_the_centre_or_who_can_act_while_the_case_is_open(desk: Desk) -> None:
    number = desk.submit(REVIEWED)

    desk.do.put(REVIEWER, number, "lease_or_deed")
    with pytest.raises(NotFound):
        desk.do.put(OTHER_CENTRE, number, "lease_or_deed")
    with pytest.raises(PermissionDenied):
        desk.do.put(AUDITOR, number, "lease_or_deed")
    desk.do.take(REVIEWER, number, "reject")
    with pytest.raises(Conflict):
        desk.do.put(CENTRE, number, "lease_or_deed")
