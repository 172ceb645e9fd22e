"""What a forger, or a file made to harm its reader, gets from the offline check of a PDF: a named answer."""

import io
import re
import zlib
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pypdfium2  # type: ignore[import-untyped] # it ships no types
import pytest
from asn1crypto import cms  # type: ignore[import-untyped] # it ships no types
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from PIL import Image
from pyhanko.pdf_utils.generic import DictionaryObject, NameObject
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.pdf_utils.writer import copy_into_new_writer

from foundation.errors import TooLarge
from foundation.wire import apart, pdf_pages, qr_reader
from foundation.wire.credential_keys import SigningKey
from foundation.wire.paper_certificates import PaperCertificate
from foundation.wire.paper_check import PaperAnswer, PaperVerdict, check_paper
from integrations.licences.certificate import PaperKey, der_signature
from integrations.licences.document import render
from integrations.licences.paper_signature import sign
from tests.foundation.signed_paper import Papers, ageless, appended, drawn_anew, without_its_form
from tests.integrations.paper_signing import NOW, paper_keys, time_stamp_server
from tests.integrations.test_document import CLAIMS, FONTS, LICENCE, line


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return Papers(tmp_path_factory.mktemp("papers"))


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> PaperKey:
    """A key whose certificate names our municipality, and which nobody trusts."""
    return paper_keys(tmp_path_factory.mktemp("stranger")).current()


def place(pdf: bytes) -> tuple[int, int]:
    """Begin and end of the place of the signature."""
    found = re.search(rb"/Contents (<[0-9a-fA-F]+>)", pdf)
    assert found is not None
    return found.span(1)


# --- What is not what was signed ----------------------------------------------------------------------------


def test_the_text_of_another_licence_beside_the_same_code_is_no_paper(papers: Papers) -> None:
    swapped = render(replace(LICENCE, lines=LICENCE.lines[1:]), FONTS)
    assert papers.answer(swapped) is PaperAnswer.UNSIGNED
    # The signature of the true paper, hung on the page of another.
    assert papers.answer(swapped + papers.signed[len(papers.page) :]) is PaperAnswer.CHANGED


@pytest.mark.parametrize(
    "numbers",
    [
        "0 {first} {second} {less}",
        "0 {less} {second} {length}",
        "0 {first} {second} {more}",
        "1 {first} {second} {length}",
        "0 {first} {second} {length} 0 0",
        "0 {second} {first} {length}",
        "0 {first} {second} -1",
    ],
)
def test_a_range_with_gaps_signs_nothing(papers: Papers, numbers: str) -> None:
    first, second = place(papers.signed)
    length = len(papers.signed) - second
    said = numbers.format(first=first, second=second, length=length, less=length - 9, more=length + 9)
    old = re.search(rb"/ByteRange \[[^\]]*\] *", papers.signed)
    assert old is not None
    new = f"/ByteRange [{said}]".encode().ljust(len(old[0]))
    assert papers.answer(papers.signed.replace(old[0], new)) is PaperAnswer.CHANGED


def test_a_signature_moved_elsewhere_in_the_file_signs_nothing(papers: Papers) -> None:
    first, second = place(papers.signed)
    signature = papers.signed[first:second]
    for to in (100, first - 10):
        moved = papers.signed[:to] + signature + papers.signed[to:first] + papers.signed[second:]
        assert len(moved) == len(papers.signed)
        assert papers.answer(moved) is PaperAnswer.CHANGED


def test_a_signature_over_part_of_the_file_is_an_update(papers: Papers, stranger: PaperKey) -> None:
    # The whole signed paper as the beginning of a file that a stranger signs whole.
    def free(writer: IncrementalPdfFileWriter) -> None:
        del writer.root["/Perms"]
        without_its_form(writer)

    both = sign(appended(papers.signed, free), stranger, NOW)
    assert both.startswith(papers.signed)
    assert papers.answer(both) is PaperAnswer.UPDATED


def verification_data(writer: IncrementalPdfFileWriter) -> None:
    kept = DictionaryObject({NameObject("/Type"): NameObject("/DSS")})  # type: ignore[no-untyped-call]
    writer.root["/DSS"] = writer.add_object(kept)
    writer.update_root()  # type: ignore[no-untyped-call]


def other_appearance(writer: IncrementalPdfFileWriter) -> None:
    form = writer.root["/AcroForm"]
    form["/NeedAppearances"] = NameObject("/true")
    writer.update_container(form)


@pytest.mark.parametrize(
    "change",
    [
        lambda pdf: drawn_anew(pdf, b"0 0 m 9 9 l S"),
        lambda pdf: appended(pdf, verification_data),
        lambda pdf: appended(pdf, other_appearance),
    ],
    ids=["shadow", "verification data", "other appearance"],
)
def test_whatever_is_appended_is_an_update(papers: Papers, change: Callable[[bytes], bytes]) -> None:
    changed = change(papers.signed)
    assert changed.startswith(papers.signed)
    assert papers.answer(changed) is PaperAnswer.UPDATED


def test_a_strangers_signature_beside_a_broken_one_of_ours_is_a_strangers(
    papers: Papers, stranger: PaperKey
) -> None:
    changed = papers.page.replace(b"Typst 0.1", b"Tipst 0.1")
    verdict = check_paper(sign(changed, stranger, NOW), papers.trusted, CLAIMS)
    assert verdict.answer is PaperAnswer.UNTRUSTED
    assert verdict.municipality is None


# --- Keys, times and stamps ---------------------------------------------------------------------------------


def test_no_stamp_makes_good_a_paper_that_was_signed_too_late(papers: Papers, tmp_path: Path) -> None:
    # A stamp can be added by anybody, with a server of his own.
    with time_stamp_server(tmp_path / "tsa") as url:
        late = sign(papers.page, ageless(papers.key), NOW + timedelta(days=4_000), url)
    verdict = check_paper(late, papers.trusted, CLAIMS)
    assert verdict.answer is PaperAnswer.OUT_OF_PERIOD
    assert verdict.stamped_at is not None
    assert papers.key.certificate.covers(verdict.stamped_at)


def test_a_damaged_stamp_is_named(papers: Papers, tmp_path: Path) -> None:
    with time_stamp_server(tmp_path / "tsa") as url:
        stamped = sign(papers.page, papers.key, NOW, url)
    assert papers.answer(stamped) is PaperAnswer.INTACT
    first, second = place(stamped)
    info = cms.ContentInfo.load(bytes.fromhex(stamped[first + 1 : second - 1].decode()))
    token = info["content"]["signer_infos"][0]["unsigned_attrs"][0]["values"][0].dump()
    sign_bytes = token[-40:]
    broken = stamped.replace(sign_bytes.hex().encode(), bytes(40).hex().encode())
    broken = broken if broken != stamped else stamped.replace(sign_bytes.hex().upper().encode(), b"0" * 80)
    assert broken != stamped
    assert papers.answer(broken) is PaperAnswer.STAMP_BROKEN


def signed_by_hand(papers: Papers, attributes: bool) -> bytes:
    """The paper with a CMS of our own making under the trusted key."""
    first, second = place(papers.signed)
    whole = cms.ContentInfo.load(bytes.fromhex(papers.signed[first + 1 : second - 1].decode()))
    info = whole["content"]["signer_infos"][0]
    if not attributes:
        del info["signed_attrs"]
        covered = papers.signed[:first] + papers.signed[second:]
        info["signature"] = der_signature(papers.key.signer.sign(covered))
    der: bytes = whole.dump(force=True)
    room = (second - first - 2) // 2
    return (
        papers.signed[:first] + b"<" + der.ljust(room, b"\0").hex().encode() + b">" + papers.signed[second:]
    )


def test_a_signature_without_signed_attributes_is_none(papers: Papers) -> None:
    # So a certificate or a request of the same key can never pass for a paper.
    assert papers.answer(signed_by_hand(papers, attributes=True)) is PaperAnswer.INTACT
    assert papers.answer(signed_by_hand(papers, attributes=False)) is PaperAnswer.CHANGED


def test_the_name_of_a_stranger_steers_no_terminal(papers: Papers) -> None:
    secret = ec.generate_private_key(ec.SECP256R1())
    evil = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Amanah\x1b[2J\u202e of Sample")])
    made = (
        x509.CertificateBuilder()
        .subject_name(evil)
        .issuer_name(evil)
        .public_key(secret.public_key())
        .serial_number(7)
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .sign(secret, hashes.SHA256())
    )
    key = PaperKey(
        SigningKey(secret, "sample"), PaperCertificate("sample", (made.public_bytes(Encoding.DER),))
    )
    verdict = check_paper(sign(papers.page, key, NOW), papers.trusted, CLAIMS)
    assert verdict.answer is PaperAnswer.UNTRUSTED
    assert verdict.signer is not None
    assert verdict.signer.en == "Amanah\ufffd[2J\ufffd of Sample"


# --- What people do without ill will ------------------------------------------------------------------------


def scanned(pdf: bytes) -> bytes:
    """The first page as a scanner gives it: a picture in a PDF."""
    with pypdfium2.PdfDocument(pdf) as document:
        picture: Image.Image = document[0].render(scale=2, grayscale=True).to_pil()
    out = io.BytesIO()
    picture.save(out, "PDF")
    return out.getvalue()


def test_a_scan_of_a_true_paper_has_no_signature_and_no_other_number(papers: Papers) -> None:
    assert papers.answer(scanned(papers.signed)) is PaperAnswer.UNSIGNED


def test_the_number_of_the_licence_above_is_not_mistaken_for_its_own(papers: Papers) -> None:
    above = line("تابعة للرخصة رقم", "Under the licence", "2026-000001")
    page = render(replace(LICENCE, lines=(above, *LICENCE.lines)), FONTS)
    assert papers.answer(page) is PaperAnswer.UNSIGNED
    assert papers.answer(sign(page, papers.key, NOW)) is PaperAnswer.INTACT


@pytest.mark.parametrize("number", ["2026-00451(", "[", "SL.2026*", "٢٠٢٦-١"])
def test_a_number_of_any_letters_is_compared_as_it_stands(papers: Papers, number: str) -> None:
    claims = replace(CLAIMS, number=number)
    assert check_paper(papers.signed, papers.trusted, claims).answer is PaperAnswer.CODE_DIFFERS
    assert check_paper(papers.page, papers.trusted, claims).answer is PaperAnswer.UNSIGNED


# --- What is made to harm -----------------------------------------------------------------------------------


def pdf_of(*objects: bytes, trailer: bytes = b"<</Size 9/Root 1 0 R>>") -> bytes:
    """A PDF of these objects, numbered from 1, with a table of where they lie."""
    out, places = b"%PDF-1.7\n", []
    for number, each in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, each)
    table = b"".join(b"%010d 00000 n \n" % each for each in places)
    head = b"xref\n0 %d\n0000000000 65535 f \n%s" % (len(objects) + 1, table)
    return out + head + b"trailer\n%s\nstartxref\n%d\n%%%%EOF\n" % (trailer, len(out))


CATALOG = b"<</Type/Catalog/Pages 2 0 R>>"
ONE_PAGE = b"<</Type/Pages/Count 1/Kids[3 0 R]>>"
PAGE = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<<>>>>"


def packed(plain: bytes, times: int) -> bytes:
    """A stream packed so many times over."""
    for _ in range(times):
        plain = zlib.compress(plain, 9)
    filters = b"/FlateDecode " * times
    return b"<</Length %d/Filter[%s]>>stream\n%s\nendstream" % (len(plain), filters, plain)


def page_bomb() -> bytes:
    """A page of 200 MB of lines in some kilobytes."""
    return pdf_of(CATALOG, ONE_PAGE, PAGE, packed(b"0 0 m 9 9 l S\n" * 15_000_000, 2))


def object_bomb() -> bytes:
    """Objects that lie in a stream of 200 MB; the table that says so is one too."""
    inner = packed(b"2 0 " + b"[" * 200_000_000, 2).replace(b"<<", b"<</Type/ObjStm/N 1/First 4", 1)
    body = b"%%PDF-1.7\n1 0 obj\n%s\nendobj\n5 0 obj\n%s\nendobj\n" % (CATALOG, inner)
    entries = [(0, 0, 0), (1, 9, 0), (2, 5, 0), (0, 0, 0), (0, 0, 0), (1, body.index(b"5 0 obj"), 0)]
    table = b"".join(
        bytes([kind]) + place.to_bytes(4, "big") + bytes([more]) for kind, place, more in entries
    )
    head = b"<</Type/XRef/W[1 4 1]/Size 6/Root 1 0 R/Length %d>>" % len(table)
    end = b"6 0 obj\n%s\nstream\n%s\nendstream\nendobj\nstartxref\n%d\n%%%%EOF" % (head, table, len(body))
    return body + end


def table_of_itself() -> bytes:
    loop = pdf_of(CATALOG, ONE_PAGE, PAGE, b"null", trailer=b"<</Size 9/Root 1 0 R/Prev 9>>")
    return loop.replace(b"/Prev 9", b"/Prev %d" % loop.index(b"xref"))


def pages_of_themselves() -> bytes:
    pages = b"<</Type/Pages/Count 2147483647/Kids[3 0 R 2 0 R 2 0 R]>>"
    return pdf_of(CATALOG, pages, PAGE, b"null")


def deep() -> bytes:
    return pdf_of(CATALOG, b"<</Type/Pages/Count 1/Kids%s>>" % (b"[" * 4_000_000), PAGE)


def deep_signature(opened: bytes) -> bytes:
    """A file whose signature opens one thing within another, and closes none."""
    head = b"%PDF-1.7\n/ByteRange [0 000000060 000100062 000000001]".ljust(60)
    return head + b"<" + (opened * 25_000).hex().encode() + b"> "


def decoys(count: int) -> bytes:
    """What looks like so many signatures."""
    return b"%PDF-1.7\n" + b"/ByteRange [0 9 19 000100000]\n" * count


HARMFUL: dict[str, Callable[[], bytes]] = {
    "page bomb": page_bomb,
    "object bomb": object_bomb,
    "deep": deep,
    "pages of themselves": pages_of_themselves,
    "table of itself": table_of_itself,
    "many ranges": lambda: decoys(9).ljust(300_000, b"<"),
    "many signatures": lambda: b"%PDF-1.7\n" + b"/ByteRange [0 10 20 30]" * 400_000,
    "long signature": lambda: b"%PDF-1.7\n/ByteRange [0 60 19000000 9]" + b"<" + b"30" * 9_499_000 + b">",
    "endless signature": lambda: deep_signature(b"\x30\x80"),
    "endless text": lambda: deep_signature(b"\x24\x80"),
    "names": lambda: b"%PDF-1.7\n" + b"/A" * 2_000_000,
}


@pytest.mark.parametrize("name", list(HARMFUL))
def test_what_is_made_to_harm_its_reader_is_answered(papers: Papers, name: str) -> None:
    verdict = check_paper(HARMFUL[name](), papers.trusted, CLAIMS)
    assert isinstance(verdict, PaperVerdict)
    assert verdict.answer in (
        PaperAnswer.DAMAGED, PaperAnswer.OVERSIZED, PaperAnswer.UNSIGNED, PaperAnswer.CHANGED
    )  # fmt: skip


def test_a_page_that_unpacks_beyond_all_bounds_is_too_much_and_not_damaged(papers: Papers) -> None:
    bomb = page_bomb()
    assert len(bomb) < 20_000
    assert papers.answer(bomb) is PaperAnswer.OVERSIZED


def test_the_code_of_a_page_that_unpacks_beyond_all_bounds_is_not_looked_for() -> None:
    with pytest.raises(TooLarge, match="takes more to read"):
        qr_reader.read(page_bomb(), "bomb.pdf")


def test_harm_appended_to_a_true_paper_is_an_update(papers: Papers) -> None:
    for harm in (page_bomb, deep, table_of_itself):
        assert papers.answer(papers.signed + harm()) in (PaperAnswer.UPDATED, PaperAnswer.PAGE_ADDED)


def test_decoys_before_a_true_signature_never_make_it_anything_but_changed(papers: Papers) -> None:
    assert papers.answer(decoys(20) + papers.signed) is PaperAnswer.CHANGED


def test_the_reader_apart_is_given_little_and_says_when_it_is_not_enough(
    papers: Papers, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert pdf_pages.read_apart(papers.signed) == pdf_pages.read_here(papers.signed)
    monkeypatch.setattr(apart, "_PATIENCE", 0.0002)
    with pytest.raises(apart.TooMuch, match="time"):
        pdf_pages.read_apart(papers.signed)


def test_a_locked_pdf_is_damaged(papers: Papers) -> None:
    writer = copy_into_new_writer(PdfFileReader(io.BytesIO(papers.page)))
    writer.encrypt("owner", "reader")  # type: ignore[no-untyped-call]
    locked = io.BytesIO()
    writer.write(locked)  # type: ignore[no-untyped-call]
    assert papers.answer(locked.getvalue()) is PaperAnswer.DAMAGED
