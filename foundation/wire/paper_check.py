"""Whether a licence's PDF is as its municipality signed it, checked without a network.

Apart from `credential`, which judges the code: the reader of signed PDF is large. The code says what is
licensed; the signature says that this file is the paper, whole and unchanged.

Source: ISO 32000-1, section 12.8 (signatures, byte ranges); ETSI EN 319 142-1, section 6 (PAdES baseline).
"""

import hashlib
import io
import re
from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import pypdfium2  # type: ignore[import-untyped] # it ships no types
from asn1crypto import cms  # type: ignore[import-untyped] # it ships no types
from pyhanko.pdf_utils.reader import PdfFileReader
from pyhanko.sign.validation.generic_cms import extract_tst_data_iter, validate_sig_integrity
from pyhanko.sign.validation.pdf_embedded import EmbeddedPdfSignature

from foundation.definitions import Bilingual
from foundation.wire.credential import LicenceClaims
from foundation.wire.paper_certificates import PaperCertificate, PaperCertificates
from foundation.wire.qr_reader import MAX_FILE

_DIGESTS = ("sha256", "sha384", "sha512")
_PAGES = 10
_LETTERS = 20_000  # of one page


class PaperAnswer(StrEnum):
    """What the check of a PDF comes to; each has its text in `TEXTS`."""

    INTACT = "intact"
    DAMAGED = "damaged"
    OVERSIZED = "oversized"
    UNSIGNED = "unsigned"
    CHANGED = "changed"
    PAGE_ADDED = "page_added"
    UPDATED = "updated"
    UNTRUSTED = "untrusted"
    OTHER_MUNICIPALITY = "other_municipality"
    OUT_OF_PERIOD = "out_of_period"
    STAMP_BROKEN = "stamp_broken"
    CODE_DIFFERS = "code_differs"


TEXTS: dict[PaperAnswer, Bilingual] = {
    PaperAnswer.INTACT: Bilingual(
        ar="الوثيقة كما وقّعتها البلدية، لم يتغير فيها شيء.",
        en="The document is as the municipality signed it; nothing in it was changed.",
    ),
    PaperAnswer.DAMAGED: Bilingual(
        ar="الملف تالف ولا يمكن قراءته.", en="The file is damaged and cannot be read."
    ),
    PaperAnswer.OVERSIZED: Bilingual(
        ar="الملف أكبر من أن يكون وثيقة رخصة.", en="The file is too large to be the document of a licence."
    ),
    PaperAnswer.UNSIGNED: Bilingual(
        ar="لا يحمل الملف توقيعًا: أُزيل منه أو لم يوقَّع قط. اعتمد على رمز الرخصة وحده.",
        en="The file has no signature: it was removed, or never there. Rely on the licence's code alone.",
    ),
    PaperAnswer.CHANGED: Bilingual(
        ar="تغيّر محتوى الملف بعد توقيعه.", en="The content of the file was changed after it was signed."
    ),
    PaperAnswer.PAGE_ADDED: Bilingual(
        ar="أُضيفت إلى الملف صفحة بعد توقيعه.", en="A page was added to the file after it was signed."
    ),
    PaperAnswer.UPDATED: Bilingual(
        ar="أُلحق بالملف تعديل بعد توقيعه، وقد لا يكون ما تراه هو ما وُقّع.",
        en="Something was appended to the file after signing; what it shows may not be what was signed.",
    ),
    PaperAnswer.UNTRUSTED: Bilingual(
        ar="وقّع الملفَ مَن ليست شهادته بين الشهادات الموثوقة.",
        en="The file was signed with a certificate that is not among the trusted ones.",
    ),
    PaperAnswer.OTHER_MUNICIPALITY: Bilingual(
        ar="وقّعت الملفَ بلدية غير التي أصدرت الرخصة.",
        en="The file was signed by another municipality than the one that issued the licence.",
    ),
    PaperAnswer.OUT_OF_PERIOD: Bilingual(
        ar="وُقّع الملف في وقت لا تسري فيه شهادة التوقيع.",
        en="The file was signed at a time at which its certificate was not valid.",
    ),
    PaperAnswer.STAMP_BROKEN: Bilingual(
        ar="ختم الوقت في الملف ليس لهذا التوقيع.", en="The time stamp in the file is not for this signature."
    ),
    PaperAnswer.CODE_DIFFERS: Bilingual(
        ar="رقم الرخصة المطبوع على الصفحة ليس الرقم الذي يحمله الرمز.",
        en="The licence number printed on the page is not the one in the code.",
    ),
}
"""Each answer as people read it."""


@dataclass(frozen=True)
class PaperVerdict:
    """What a PDF is found to be.

    Args:
        answer: the gravest thing found.
        signer: who the certificate says signed; None where there is no signature that can be read.
        municipality: code of the municipality that the certificate is trusted for; None where it is not.
        signed_at: when it says it was signed, aware.
        stamped_at: when a time-stamp server saw its signature, aware; whose server it was is not judged.
    """

    answer: PaperAnswer
    signer: Bilingual | None = None
    municipality: str | None = None
    signed_at: datetime | None = None
    stamped_at: datetime | None = None

    @property
    def intact(self) -> bool:
        """Whether the file is the paper, whole and unchanged."""
        return self.answer is PaperAnswer.INTACT

    @property
    def text(self) -> Bilingual:
        """The answer in both languages."""
        return TEXTS[self.answer]


def check_paper(data: bytes, trusted: PaperCertificates, claims: LicenceClaims | None) -> PaperVerdict:
    """Judge the PDF of a licence. A PDF of anybody may be given: what cannot be read is an answer too.

    Args:
        data: the file.
        trusted: certificates of the municipalities whose papers are accepted.
        claims: what the code on it says, once that was opened; None leaves number and municipality unjudged.

    Returns:
        Always a verdict: the first answer that holds, in the order of the checks below.
    """
    if len(data) > MAX_FILE:
        return PaperVerdict(PaperAnswer.OVERSIZED)
    try:
        return _check(data, trusted, claims)
    except Exception:  # noqa: BLE001 -- parsers of PDF and ASN.1 over bytes of anybody: each fails as it likes
        return PaperVerdict(PaperAnswer.DAMAGED)


def _check(data: bytes, trusted: PaperCertificates, claims: LicenceClaims | None) -> PaperVerdict:
    if not _pages(data):
        return PaperVerdict(PaperAnswer.DAMAGED)
    signatures = PdfFileReader(io.BytesIO(data)).embedded_signatures
    if not signatures:
        # A number that is another one says more than that a signature is missing.
        return PaperVerdict(PaperAnswer.UNSIGNED if _says(data, claims) else PaperAnswer.CODE_DIFFERS)
    first: EmbeddedPdfSignature = min(signatures, key=lambda one: one.signed_revision)
    certificate = trusted.get(first.signer_cert.sha256)
    verdict = PaperVerdict(
        _signature(data, first) or PaperAnswer.INTACT,
        signer=_signer(first),
        municipality=certificate.municipality if certificate else None,
        signed_at=first.self_reported_timestamp,
    )
    if not verdict.intact:
        return verdict
    stamped_at, broken = _stamp(first)
    answer = (
        PaperAnswer.STAMP_BROKEN
        if broken
        else _standing(certificate, claims, stamped_at or verdict.signed_at)
    )
    if answer is PaperAnswer.INTACT and not _says(data, claims):
        answer = PaperAnswer.CODE_DIFFERS
    return PaperVerdict(answer, verdict.signer, verdict.municipality, verdict.signed_at, stamped_at)


def _signer(signature: EmbeddedPdfSignature) -> Bilingual:
    # As our certificates have it: the organization by its Arabic name, the common name in English.
    names = {key: str(value) for key, value in signature.signer_cert.subject.native.items()}
    common = names.get("common_name", "")
    organization = names.get("organization_name", common)
    return Bilingual(ar=organization, en=common or organization)


def _signature(data: bytes, signature: EmbeddedPdfSignature) -> PaperAnswer | None:
    """What is wrong with the bytes; None where the signature holds for the whole file."""
    end = _signed_end(data, signature)
    if end is None or signature.md_algorithm not in _DIGESTS or not _holds(signature):
        return PaperAnswer.CHANGED
    if end == len(data):
        return None
    before, now = _pages(data[:end]), _pages(data)
    return PaperAnswer.PAGE_ADDED if now > before else PaperAnswer.UPDATED


def _signed_end(data: bytes, signature: EmbeddedPdfSignature) -> int | None:
    """Where the signed part of the file ends; None where it is not the file's beginning less the signature.

    The gap may hold the signature and nothing else: what is not signed there could otherwise be anything.
    """
    numbers = [int(each) for each in signature.byte_range]
    if len(numbers) != 4 or numbers[0] != 0 or min(numbers) < 0:
        return None
    _, first, second, length = numbers
    if second + length > len(data) or first >= second:
        return None
    # The reader gives the signature with the zeros that fill its room.
    whole = signature.pkcs7_content
    ours = cms.ContentInfo.load(whole).dump()
    if data[first:second].lower() != b"<" + whole.hex().encode() + b">" or whole[len(ours) :].strip(b"\0"):
        return None
    return second + length


def _holds(signature: EmbeddedPdfSignature) -> bool:
    digest = signature.compute_digest()
    same, valid = validate_sig_integrity(signature.signer_info, signature.signer_cert, "data", digest)
    return same and valid


def _standing(
    certificate: PaperCertificate | None, claims: LicenceClaims | None, moment: datetime | None
) -> PaperAnswer:
    if certificate is None:
        return PaperAnswer.UNTRUSTED
    if claims is not None and claims.municipality != certificate.municipality:
        return PaperAnswer.OTHER_MUNICIPALITY
    if moment is None or not certificate.covers(moment):
        return PaperAnswer.OUT_OF_PERIOD
    return PaperAnswer.INTACT


def _stamp(signature: EmbeddedPdfSignature) -> tuple[datetime | None, bool]:
    """Moment of the time stamp if there is one, and whether it is broken.

    Source: RFC 3161, section 2.4.2; ETSI EN 319 122-1, section 5.3 (signature-time-stamp).
    """
    stamps = list(extract_tst_data_iter(signature.signer_info, signed=False))
    if not stamps:
        return None, False
    stamp = stamps[0]
    content = stamp["encap_content_info"]["content"]
    info, signer = content.parsed, stamp["signer_infos"][0]
    imprint = info["message_imprint"]
    used = imprint["hash_algorithm"]["algorithm"].native
    seen = hashlib.new(used, signature.signer_info["signature"].native).digest() if used in _DIGESTS else b""
    serial = signer["sid"].chosen["serial_number"].native
    by = [one.chosen for one in stamp["certificates"] if one.chosen.serial_number == serial]
    if seen != imprint["hashed_message"].native or not by:
        return None, True
    inner = signer["digest_algorithm"]["algorithm"].native
    if inner not in _DIGESTS:
        return None, True
    digest = hashlib.new(inner, bytes(content)).digest()
    same, valid = validate_sig_integrity(signer, by[0], "tst_info", digest)
    return (info["gen_time"].native, False) if same and valid else (None, True)


def _pages(data: bytes) -> int:
    try:
        with pypdfium2.PdfDocument(data) as document:
            return len(document)
    except pypdfium2.PdfiumError:
        return 0


def _says(data: bytes, claims: LicenceClaims | None) -> bool:
    """Whether the first page has the number alone in its band, as our template prints it, and others too."""
    if claims is None:
        return True
    with pypdfium2.PdfDocument(data) as document:
        first, *others = [_seen(document[index]) for index in range(min(len(document), _PAGES))]
    whole = re.compile(rf"(?<![\w/-]){re.escape(claims.number)}(?![\w/-])")
    return claims.number in first and all(any(map(whole.search, rows)) for rows in others)


def _seen(page: pypdfium2.PdfPage) -> list[str]:
    """The rows of a page as an eye sees them: letters from left to right by their place.

    The order in which a reader of PDF gives out a line of two scripts turns SL-2026-000001 into pieces.
    """
    text, rows = page.get_textpage(), defaultdict[int, list[tuple[float, str]]](list)
    for index in range(min(text.count_chars(), _LETTERS)):
        # The loose box is as high as the font, so that letters of another size are another row.
        left, bottom, right, _ = text.get_charbox(index, loose=True)
        if right > left:
            rows[round(bottom)].append((left, text.get_text_range(index, 1)))
    return ["".join(letter for _, letter in sorted(row)).strip() for row in rows.values()]
