"""The offline check of a PDF: each way a file can be other than what was signed has its own answer."""

import io
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pypdfium2  # type: ignore[import-untyped] # it ships no types
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyhanko.pdf_utils.generic import ArrayObject
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter

from foundation.definitions import Bilingual
from foundation.errors import Malformed
from foundation.wire.paper_certificates import PaperCertificates
from foundation.wire.paper_check import TEXTS, PaperAnswer, check_paper
from foundation.wire.qr_reader import MAX_FILE
from integrations.licences.document import LicenceDocument, render
from integrations.licences.paper_signature import sign
from tests.foundation.signed_paper import Papers, ageless, appended, with_a_page_more, without_its_form
from tests.integrations.paper_signing import NAME, NOW, paper_keys
from tests.integrations.test_document import CLAIMS, FONTS, LICENCE
from tests.integrations.test_layout import FULL, table


@pytest.fixture(scope="module")
def papers(tmp_path_factory: pytest.TempPathFactory) -> Papers:
    return Papers(tmp_path_factory.mktemp("papers"))


def test_a_paper_as_it_was_signed_is_intact_and_says_by_whom_and_when(papers: Papers) -> None:
    verdict = check_paper(papers.signed, papers.trusted, CLAIMS)
    assert verdict.answer is PaperAnswer.INTACT
    assert verdict.intact
    assert (verdict.signer, verdict.municipality) == (NAME, "sample")
    assert (verdict.signed_at, verdict.stamped_at) == (NOW, None)


def test_changed_bytes_are_changed_content(papers: Papers) -> None:
    # The program's name in the metadata: still a sound PDF, with another text.
    assert papers.signed.count(b"Typst 0.1") >= 2
    changed = papers.signed.replace(b"Typst 0.1", b"Tipst 0.1")
    assert papers.answer(changed) is PaperAnswer.CHANGED


@settings(deadline=None, max_examples=150)
@given(place=st.integers(0, 10**9), flip=st.integers(1, 255))
def test_no_byte_outside_the_signature_itself_may_change(place: int, flip: int) -> None:
    papers = _PAPERS[0]
    gap = re.search(rb"/Contents <([0-9a-fA-F]+)>", papers.signed)
    assert gap is not None
    changed = bytearray(papers.signed)
    index = place % len(changed)
    changed[index] ^= flip
    answer = papers.answer(bytes(changed))
    assert answer is not PaperAnswer.INTACT or gap.start(1) <= index < gap.end(1)


@settings(deadline=None, max_examples=60)
@given(place=st.integers(0, 10**9), flip=st.integers(1, 255))
def test_a_changed_signature_is_an_answer_and_never_another_file(place: int, flip: int) -> None:
    papers = _PAPERS[0]
    gap = re.search(rb"/Contents <([0-9a-fA-F]+)>", papers.signed)
    assert gap is not None
    changed = bytearray(papers.signed)
    changed[gap.start(1) + place % (gap.end(1) - gap.start(1))] ^= flip
    assert isinstance(papers.answer(bytes(changed)), PaperAnswer)


def test_what_fills_the_room_of_the_signature_may_only_be_zeros(papers: Papers) -> None:
    end = papers.signed.index(b"00>")
    hidden = papers.signed[:end] + b"41>" + papers.signed[end + 3 :]
    assert papers.answer(hidden) is PaperAnswer.CHANGED


def test_an_added_page_is_named(papers: Papers) -> None:
    assert papers.answer(with_a_page_more(papers.signed)) is PaperAnswer.PAGE_ADDED


def test_an_update_after_signing_is_named(papers: Papers) -> None:
    def mark(writer: IncrementalPdfFileWriter) -> None:
        page = writer.root["/Pages"]["/Kids"][0]
        page["/Annots"] = ArrayObject()
        writer.update_container(page)

    assert papers.answer(appended(papers.signed, mark)) is PaperAnswer.UPDATED
    assert papers.answer(papers.signed + b"\n") is PaperAnswer.UPDATED


def test_a_removed_signature_is_missing(papers: Papers) -> None:
    # Cut off where the signature was appended, the file is the page as it was made.
    assert papers.answer(papers.page) is PaperAnswer.UNSIGNED


def test_a_signature_hidden_by_an_update_still_says_what_was_signed(papers: Papers) -> None:
    assert papers.answer(appended(papers.signed, without_its_form)) is PaperAnswer.UPDATED


def test_a_page_saved_anew_by_another_program_has_lost_its_signature(papers: Papers) -> None:
    with pypdfium2.PdfDocument(papers.signed) as document:
        out = io.BytesIO()
        document.save(out)
    assert papers.answer(out.getvalue()) is not PaperAnswer.INTACT


def test_another_municipality_and_a_stranger_are_told_apart(papers: Papers, tmp_path: Path) -> None:
    name = Bilingual(ar="أمانة أخرى", en="Another Municipality")
    other = paper_keys(tmp_path, "jazan", name).current()
    paper = sign(papers.page, other, NOW)
    assert papers.answer(paper) is PaperAnswer.UNTRUSTED
    both = PaperCertificates([papers.key.certificate, other.certificate])
    verdict = check_paper(paper, both, CLAIMS)
    assert verdict.answer is PaperAnswer.OTHER_MUNICIPALITY
    assert (verdict.signer, verdict.municipality) == (name, "jazan")
    # Of a file alone, without its code, nobody can say whose licence it is.
    assert check_paper(paper, both, None).answer is PaperAnswer.INTACT


def test_a_certificate_of_the_same_name_is_a_stranger(papers: Papers, tmp_path: Path) -> None:
    forged = paper_keys(tmp_path).current()
    assert forged.certificate.leaf.subject == papers.key.certificate.leaf.subject
    assert papers.answer(sign(papers.page, forged, NOW)) is PaperAnswer.UNTRUSTED


def test_a_paper_signed_outside_its_certificates_time_is_named(papers: Papers) -> None:
    paper = sign(papers.page, ageless(papers.key), NOW + timedelta(days=4_000))
    assert papers.answer(paper) is PaperAnswer.OUT_OF_PERIOD


def test_a_code_of_another_licence_on_the_page_is_named(papers: Papers) -> None:
    other = replace(CLAIMS, number="2026-004513")
    assert check_paper(papers.signed, papers.trusted, other).answer is PaperAnswer.CODE_DIFFERS
    assert check_paper(papers.page, papers.trusted, other).answer is PaperAnswer.CODE_DIFFERS
    # A number that stands in the page's texts alone is not the licence's.
    named = render(replace(LICENCE, number="2026-004513", verify_url=None), FONTS)
    assert (
        check_paper(sign(named, papers.key, NOW), papers.trusted, CLAIMS).answer is PaperAnswer.CODE_DIFFERS
    )


@pytest.mark.parametrize(
    "data", [b"", b"%PDF-1.7", b"%PDF-1.7\n%%EOF", b"PK\x03\x04", b"%PDF-1.7\n" + b"[" * 9_999]
)
def test_what_is_no_pdf_is_damaged(papers: Papers, data: bytes) -> None:
    assert papers.answer(data) is PaperAnswer.DAMAGED


@pytest.mark.parametrize("number", ["SL-2026-000001", "ABCDE-2026-1234567", "2026-004512"])
def test_a_number_of_letters_and_digits_is_read_as_it_is_printed(papers: Papers, number: str) -> None:
    # In a line of Arabic some readers give out SL-2026-000001 as -2026-000001SL.
    claims, wrong = replace(CLAIMS, number=number), replace(CLAIMS, number=f"{number[:-1]}9")
    long: LicenceDocument = replace(FULL, number=number, parts=(table(9),))
    for page in (replace(LICENCE, number=number), replace(FULL, number=number), long):
        paper = sign(render(page, FONTS), papers.key, NOW)
        assert check_paper(paper, papers.trusted, claims).answer is PaperAnswer.INTACT
        assert check_paper(paper, papers.trusted, wrong).answer is PaperAnswer.CODE_DIFFERS


def test_a_file_cut_off_is_never_intact(papers: Papers) -> None:
    for length in range(1, len(papers.signed), 1_777):
        assert papers.answer(papers.signed[:length]) is not PaperAnswer.INTACT


def test_a_huge_file_is_not_read(papers: Papers) -> None:
    assert papers.answer(papers.signed + bytes(MAX_FILE)) is PaperAnswer.OVERSIZED


def test_every_answer_has_words_in_both_languages() -> None:
    assert set(TEXTS) == set(PaperAnswer)
    for text in TEXTS.values():
        assert re.search("[\u0600-\u06ff]", text.ar)
        assert text.en.isascii()
        assert text.ar.endswith(".")
        assert text.en.endswith(".")


def test_certificates_travel_as_json(papers: Papers) -> None:
    back = PaperCertificates.from_json(papers.trusted.to_json())
    assert [one.chain for one in back] == [one.chain for one in papers.trusted]
    assert check_paper(papers.signed, back, CLAIMS).intact


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"certificates": []}', '{"certificates": [{"iss": "sample", "x5c": ["AAAA"]}]}',
     '{"certificates": [{"iss": "", "x5c": []}]}', "[" * 100_000],
)  # fmt: skip
def test_damaged_certificates_are_refused(text: str) -> None:
    with pytest.raises(Malformed, match="certificate"):
        PaperCertificates.from_json(text)


_PAPERS: list[Papers] = []


@pytest.fixture(autouse=True, scope="module")
def _keep(papers: Papers) -> None:
    # hypothesis gives its own arguments, and takes fixtures of a function only.
    _PAPERS.append(papers)
