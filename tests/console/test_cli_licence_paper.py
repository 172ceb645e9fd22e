"""`rakeeza licence verify` of a PDF: what its code says, and whether the paper is the one that was signed."""

import io
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from foundation.secret import SecretFile
from foundation.wire.credential import LicenceClaims, SigningKey, seal
from foundation.wire.paper_certificates import CERTIFICATES_FILE, PaperCertificates
from foundation.wire.qr import Symbol
from foundation.wire.status_list import StatusValue
from integrations.licences.certificate import PaperKey, PaperKeys
from integrations.licences.paper_signature import sign
from tests.console.licence_desk import CLAIMS, DAY, NOW, Desk, listed, page
from tests.foundation.signed_paper import drawn_anew, with_a_page_more
from tests.integrations.paper_signing import NAME

pytest_plugins = ["tests.console.licence_desk_fixtures"]


def key_in(folder: Path, municipality: str = "sample") -> PaperKey:
    folder.mkdir(exist_ok=True)
    return PaperKeys(SecretFile(folder / "s.json", folder / "s.key"), municipality, NAME).current()


@pytest.fixture
def signer(desk: Desk, tmp_path: Path) -> PaperKey:
    """A municipality's key of papers, which the desk trusts."""
    key = key_in(tmp_path / "municipality")
    (desk.folder / CERTIFICATES_FILE).write_text(PaperCertificates([key.certificate]).to_json())
    return key


@pytest.fixture
def paper(desk: Desk, signer: PaperKey) -> bytes:
    return sign(page(seal(CLAIMS, desk.key)), signer, NOW)


def told(desk: Desk, data: bytes, *more: str) -> tuple[int, list[str], Any]:
    file = desk.folder.parent / "shown.pdf"
    file.write_bytes(data)
    code, document = desk.verify(str(file), more=more)
    assert document["valid"] is (code == 0)
    return code, [each["answer"] for each in document["licences"]], document["paper"]


def test_a_paper_as_it_was_signed_is_told_with_its_code_and_who_signed(desk: Desk, paper: bytes) -> None:
    code, answers, found = told(desk, paper)
    assert (code, answers) == (0, ["valid"])
    assert (found["answer"], found["intact"], found["municipality"]) == ("intact", True, "sample")
    assert found["signer"] == NAME.model_dump()
    assert found["signed_at"] == NOW.isoformat().replace("+00:00", "Z")
    done = desk.run("licence", "verify", str(desk.folder.parent / "shown.pdf"))
    assert done.returncode == 0
    for words in (
        "VALID - Shop licence 2026-004512",
        "PAPER - The document is as the municipality signed it",
        "توقيع الوثيقة - الوثيقة كما وقّعتها",
        NAME.en,
        NAME.ar,
    ):
        assert words in done.stdout


@pytest.mark.parametrize(
    ("change", "answer", "ar"),
    [
        (lambda pdf: pdf.replace(b"Typst 0.1", b"Tipst 0.1"), "changed", "تغيّر محتوى الملف"),
        (with_a_page_more, "page_added", "أُضيفت إلى الملف صفحة"),
        (lambda pdf: pdf + b"\n", "updated", "أُلحق بالملف تعديل"),
    ],
)
def test_a_right_code_on_a_changed_paper_is_not_accepted(
    desk: Desk, paper: bytes, change: Callable[[bytes], bytes], answer: str, ar: str
) -> None:
    code, answers, found = told(desk, change(paper))
    assert (code, answers, found["answer"]) == (4, ["valid"], answer)
    done = desk.run("licence", "verify", str(desk.folder.parent / "shown.pdf"))
    assert "VALID - Shop licence" in done.stdout
    assert ar in done.stdout


@pytest.mark.usefixtures("signer")
def test_a_page_without_its_signature_leaves_the_paper_unknown(desk: Desk) -> None:
    code, answers, found = told(desk, page(seal(CLAIMS, desk.key)))
    assert (code, answers, found["answer"]) == (3, ["valid"], "unsigned")
    assert found["signer"] is None


def test_a_certificate_that_is_not_known_here_is_named_and_can_be_given(
    desk: Desk, paper: bytes, signer: PaperKey, tmp_path: Path
) -> None:
    (desk.folder / CERTIFICATES_FILE).unlink()
    code, answers, found = told(desk, paper)
    assert (code, answers, found["answer"], found["municipality"]) == (3, ["valid"], "untrusted", None)
    given = tmp_path / "certificates.json"
    given.write_text(PaperCertificates([signer.certificate]).to_json())
    assert told(desk, paper, "--certificates", str(given))[0] == 0


def test_the_code_of_another_licence_on_a_signed_paper_is_named(desk: Desk, signer: PaperKey) -> None:
    other = replace(CLAIMS, number="2026-009999")
    code, answers, found = told(desk, sign(page(seal(CLAIMS, desk.key), other), signer, NOW))
    assert (code, answers, found["answer"]) == (4, ["valid"], "code_differs")


def test_a_paper_that_another_municipality_signed_is_named(
    desk: Desk, signer: PaperKey, tmp_path: Path
) -> None:
    stranger = key_in(tmp_path / "other", "other")
    both = PaperCertificates([signer.certificate, stranger.certificate])
    (desk.folder / CERTIFICATES_FILE).write_text(both.to_json())
    code, answers, found = told(desk, sign(page(seal(CLAIMS, desk.key)), stranger, NOW))
    assert (code, answers, found["answer"]) == (4, ["valid"], "other_municipality")


@pytest.mark.parametrize(
    ("claims", "key", "code", "answer"),
    [
        (replace(CLAIMS, valid_from=DAY - timedelta(400), valid_to=DAY - timedelta(1)), None, 1, "expired"),
        (CLAIMS, SigningKey.generate("sample"), 3, "unknown_key"),
    ],
)
def test_a_whole_paper_makes_no_licence_valid(
    desk: Desk, signer: PaperKey, claims: LicenceClaims, key: SigningKey | None, code: int, answer: str
) -> None:
    pdf = sign(page(seal(claims, key or desk.key), claims), signer, NOW)
    found_code, answers, found = told(desk, pdf)
    assert (found_code, answers, found["answer"]) == (code, [answer], "intact")


def test_a_suspended_licence_on_a_changed_paper_is_told_both(
    desk: Desk, paper: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "list.cwt"
    file.write_bytes(listed(desk.key, StatusValue.SUSPENDED))
    code, answers, found = told(desk, paper + b"\n", "--status", str(file))
    assert (code, answers, found["answer"]) == (4, ["suspended"], "updated")


def test_where_no_code_is_left_what_became_of_the_paper_is_told(
    desk: Desk, paper: bytes, tmp_path: Path
) -> None:
    # A sheet laid over the page hides its code.
    code, answers, found = told(desk, drawn_anew(paper, b"1 g 0 0 2000 2000 re f"))
    assert (code, answers, found["answer"]) == (4, [], "updated")
    # A page that was never signed has nothing to tell but that.
    blank = io.BytesIO()
    Image.new("L", (300, 300), "white").save(blank, "PDF")
    (tmp_path / "blank.pdf").write_bytes(blank.getvalue())
    done = desk.run("licence", "verify", str(tmp_path / "blank.pdf"))
    assert done.returncode == 65
    assert "No QR code was found" in done.stderr


def test_of_a_picture_nothing_is_said_of_a_paper(desk: Desk, tmp_path: Path) -> None:
    (tmp_path / "code.png").write_bytes(Symbol(seal(CLAIMS, desk.key)).png(5))
    code, document = desk.verify(str(tmp_path / "code.png"))
    assert (code, document["paper"]) == (0, None)


@pytest.mark.parametrize("content", [b"{}", b"\xff\xfe", b'{"certificates": []}', None])
def test_certificates_that_cannot_be_used_are_named(
    desk: Desk, paper: bytes, tmp_path: Path, content: bytes | None
) -> None:
    file, shown = tmp_path / "certificates.json", tmp_path / "paper.pdf"
    shown.write_bytes(paper)
    if content is not None:
        file.write_bytes(content)
    done = desk.run("licence", "verify", str(shown), "--certificates", str(file))
    assert done.returncode == (78 if content is None else 65)
    assert str(file) in done.stderr


def test_the_text_of_a_code_loads_no_reader_of_pictures_or_papers(desk: Desk) -> None:
    large = ("pyhanko", "pypdfium2", "PIL", "zxingcpp", "sqlalchemy")
    _, loaded = desk.verify_as_a_program(seal(CLAIMS, desk.key), *large)
    assert loaded == []
