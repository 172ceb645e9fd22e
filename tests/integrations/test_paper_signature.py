"""The signature on a paper, judged by poppler's reader of signatures and by openssl."""

import re
import subprocess
from datetime import timedelta
from pathlib import Path

import pypdfium2  # type: ignore[import-untyped] # it ships no types
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from foundation.errors import Refused, SettingsError, Unavailable
from foundation.wire import qr_reader
from foundation.wire.paper_certificates import PaperCertificates
from foundation.wire.paper_check import PaperAnswer, check_paper
from integrations.licences.document import render
from integrations.licences.paper_signature import sign
from tests.integrations.paper_signing import NOW, Authority, paper_keys, time_stamp_server
from tests.integrations.test_document import CLAIMS, FONTS, LICENCE, extracted, run

PAGE = render(LICENCE, FONTS)


def signatures(pdf: bytes, folder: Path) -> str:
    """What poppler says of a file's signatures; certificates of nobody's are not looked up."""
    file = folder / "signed.pdf"
    file.write_bytes(pdf)
    return subprocess.run(["pdfsig", "-nocert", file], capture_output=True, text=True, check=False).stdout


def test_poppler_finds_the_signature_valid_and_over_the_whole_file(tmp_path: Path) -> None:
    told = signatures(sign(PAGE, paper_keys(tmp_path).current(), NOW), tmp_path)
    assert "Signature is Valid." in told
    assert "Total document signed" in told
    assert "Signature Type: ETSI.CAdES.detached" in told
    assert "Signing Hash Algorithm: SHA-256" in told
    assert "O=أمانة نموذجية" in told
    assert "CN=Sample Municipality" in told
    assert told.count("Signature #") == 1


def test_the_certificate_that_signed_itself_is_in_the_file_once(tmp_path: Path) -> None:
    key = paper_keys(tmp_path).current()
    assert sign(PAGE, key, NOW).lower().count(key.certificate.chain[0].hex().encode()) == 1


def test_openssl_verifies_the_cms_over_the_signed_bytes(tmp_path: Path) -> None:
    key = paper_keys(tmp_path).current()
    pdf = sign(PAGE, key, NOW)
    found = re.search(rb"/ByteRange \[(\d+) (\d+) (\d+) (\d+)\]", pdf)
    assert found is not None
    _, first, second, length = (int(each) for each in found.groups())
    (tmp_path / "cms").write_bytes(bytes.fromhex(pdf[first + 1 : second - 1].decode()))
    (tmp_path / "content").write_bytes(pdf[:first] + pdf[second : second + length])
    (tmp_path / "ca.pem").write_text(key.certificate.to_pem())
    done = subprocess.run(
        ["openssl", "cms", "-verify", "-cades", "-inform", "DER", "-in", "cms", "-content", "content",
         "-binary", "-CAfile", "ca.pem", "-partial_chain", "-purpose", "any", "-no_check_time",
         "-out", "/dev/null"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "CAdES Verification successful" in done.stderr, done.stderr


def test_nothing_that_was_made_changes_and_both_standards_stay_declared(tmp_path: Path) -> None:
    pdf = sign(PAGE, paper_keys(tmp_path).current(), NOW)
    assert pdf.startswith(PAGE)
    added = pdf[len(PAGE) :]
    # Metadata, title, dates, tags and fonts are those of the page; no version above PDF 1.7 is claimed.
    assert b"/Metadata 8" in added
    assert b"/Subtype /XML" not in added
    assert b"/CreationDate" not in added
    assert b"/StructTreeRoot" in added
    assert b"/Version" not in added
    before, after = tmp_path / "before.pdf", tmp_path / "after.pdf"
    before.write_bytes(PAGE)
    after.write_bytes(pdf)
    for question in (["pdfinfo", "-meta"], ["pdffonts"], ["pdftotext", "-layout"]):
        shown = [
            run(*question, file, *(["-"] if "pdftotext" in question else [])) for file in (before, after)
        ]
        assert shown[0] == shown[1]
    assert "pdfaid:part>2<" in run("pdfinfo", "-meta", after)
    assert "pdfuaid:part>1<" in run("pdfinfo", "-meta", after)


def test_the_field_is_printed_named_beside_the_page_and_forbids_changes(tmp_path: Path) -> None:
    added = sign(PAGE, paper_keys(tmp_path).current(), NOW)[len(PAGE) :].decode("latin-1")
    field = added[added.index("/FT /Sig") :].split("endobj")[0]
    # PDF/A: printed and not hidden (ISO 19005-2, 6.3.2). PDF/UA: beside the page, named (7.18.1, 7.18.4).
    flags = re.search(r"/F (\d+)", field)
    assert flags is not None
    assert int(flags[1]) & 0b100
    assert not int(flags[1]) & 0b100011
    box = re.search(r"/Rect \[ (\S+) (\S+) (\S+) (\S+) \]", field)
    assert box is not None
    assert max(float(each) for each in box.groups()) < 0
    assert "/TU (" in field
    assert re.search(r"/Type /Page\n.*?/Tabs /S\n", added, re.DOTALL)
    assert re.search(r"/Perms <<\n/DocMDP", added)
    assert "/P 1\n" in added
    assert "NeedAppearances" not in added


def test_a_paper_with_a_national_certificate_carries_the_chain_below_the_root(tmp_path: Path) -> None:
    keys = paper_keys(tmp_path)
    key = keys.install(Authority().issued(keys.request()))
    pdf = sign(PAGE, key, NOW)
    assert "Signature is Valid." in signatures(pdf, tmp_path)
    leaf, above, root = (each.hex().encode() for each in key.certificate.chain)
    # Each once: what stands twice makes every paper larger, and no reader surer.
    assert [pdf.lower().count(each) for each in (leaf, above, root)] == [1, 1, 0]
    assert check_paper(pdf, PaperCertificates([key.certificate]), CLAIMS).answer is PaperAnswer.INTACT


def test_a_time_stamp_server_stamps_the_signature(tmp_path: Path) -> None:
    key = paper_keys(tmp_path / "keys").current()
    with time_stamp_server(tmp_path / "tsa") as url:
        pdf = sign(PAGE, key, NOW, url)
    assert "Signature is Valid." in signatures(pdf, tmp_path)
    verdict = check_paper(pdf, PaperCertificates([key.certificate]), CLAIMS)
    assert verdict.answer is PaperAnswer.INTACT
    assert verdict.signed_at == NOW
    stamped = verdict.stamped_at
    assert stamped is not None
    assert stamped != NOW
    made = x509.load_pem_x509_certificate((tmp_path / "tsa" / "tsa.crt").read_bytes())
    assert made.not_valid_before_utc <= stamped <= made.not_valid_before_utc + timedelta(minutes=10)


def test_what_is_no_stamp_makes_no_paper(tmp_path: Path) -> None:
    key = paper_keys(tmp_path / "keys").current()
    with time_stamp_server(tmp_path / "tsa") as url:
        with pytest.raises(Unavailable, match="503") as busy:
            sign(PAGE, key, NOW, f"{url}/busy")
        assert busy.value.retryable
        for path in ("else", "denied"):
            with pytest.raises(Refused, match="no stamp"):
                sign(PAGE, key, NOW, f"{url}/{path}")
    with pytest.raises(Unavailable, match="does not answer"):
        sign(PAGE, key, NOW, url)


def test_nothing_is_signed_before_or_after_the_certificate(tmp_path: Path) -> None:
    key = paper_keys(tmp_path).current()
    for moment in (NOW - timedelta(days=1), NOW + timedelta(days=3_660)):
        with pytest.raises(SettingsError, match="not valid now"):
            sign(PAGE, key, moment)


def test_a_signed_paper_still_reads_as_before(tmp_path: Path) -> None:
    pdf = sign(PAGE, paper_keys(tmp_path / "keys").current(), NOW)
    assert qr_reader.read(pdf) == [LICENCE.credential]
    assert "رخصة محل تجاري" in extracted(pdf, tmp_path)
    with pypdfium2.PdfDocument(pdf) as document:
        assert len(document) == 1


def test_two_papers_of_one_licence_differ_in_their_signature_alone(tmp_path: Path) -> None:
    key = paper_keys(tmp_path).current()
    one, other = sign(PAGE, key, NOW), sign(PAGE, key, NOW)
    assert one != other
    assert len(one) == len(other)
    assert key.certificate.leaf.fingerprint(hashes.SHA256()) == key.certificate.fingerprint
