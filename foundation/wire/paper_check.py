"""Whether a licence's PDF is as its municipality signed it, checked without a network.

Apart from `credential`, which judges the code: the reader of signed PDF is large. The code says what is
licensed; the signature says that this file is the paper, whole and unchanged.

Source: ISO 32000-1, section 12.8 (signatures, byte ranges); ETSI EN 319 142-1, section 6 (PAdES baseline).
"""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from foundation.definitions import Bilingual
from foundation.wire.apart import TooMuch
from foundation.wire.credential import LicenceClaims
from foundation.wire.paper_certificates import PaperCertificate, PaperCertificates
from foundation.wire.paper_seal import Seal, looks_signed, seals
from foundation.wire.pdf_pages import Pages, Unreadable, read_apart, read_here
from foundation.wire.qr_reader import MAX_FILE


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
        ar="الملف أكبر أو أعقد من أن يكون وثيقة رخصة.",
        en="The file is larger or more intricate than the document of a licence can be.",
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
        signer: who the certificate says signed; None where no signature holds.
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
        found = seals(data)
        ours = [each for each in found if trusted.get(each.fingerprint)]
        if not found:
            return PaperVerdict(_without_seal(data, claims))
        return _sealed(data, (ours or found)[0], trusted, claims)
    except TooMuch:
        return PaperVerdict(PaperAnswer.OVERSIZED)
    except Unreadable:
        return PaperVerdict(PaperAnswer.DAMAGED)


def _without_seal(data: bytes, claims: LicenceClaims | None) -> PaperAnswer:
    pages = read_apart(data)
    if looks_signed(data):
        return PaperAnswer.CHANGED
    # A number that is another one says more than that a signature is missing. A scan shows none.
    printed = set() if claims is None else _numbers(pages, claims.number)
    differs = claims is not None and printed and claims.number not in printed
    return PaperAnswer.CODE_DIFFERS if differs else PaperAnswer.UNSIGNED


def _sealed(
    data: bytes, seal: Seal, trusted: PaperCertificates, claims: LicenceClaims | None
) -> PaperVerdict:
    certificate = trusted.get(seal.fingerprint)
    answer = _answer(data, seal, certificate, claims) if certificate else PaperAnswer.UNTRUSTED
    return PaperVerdict(
        answer,
        seal.signer,
        certificate.municipality if certificate else None,
        seal.signed_at,
        seal.stamp.at if seal.stamp else None,
    )


def _answer(
    data: bytes, seal: Seal, certificate: PaperCertificate, claims: LicenceClaims | None
) -> PaperAnswer:
    if seal.end < len(data):
        return _updated(data, seal.end)
    if seal.stamp is not None and seal.stamp.at is None:
        return PaperAnswer.STAMP_BROKEN
    if claims is not None and claims.municipality != certificate.municipality:
        return PaperAnswer.OTHER_MUNICIPALITY
    # Of a stamp nobody knows whose it is: it can narrow what the signer says, and never replace it.
    moments = [seal.signed_at, *([seal.stamp.at] if seal.stamp else [])]
    if not all(moment is not None and certificate.covers(moment) for moment in moments):
        return PaperAnswer.OUT_OF_PERIOD
    if claims is not None and claims.number not in _numbers(read_here(data), claims.number):
        return PaperAnswer.CODE_DIFFERS
    return PaperAnswer.INTACT


def _updated(data: bytes, end: int) -> PaperAnswer:
    # What was signed is the municipality's, and what follows is anybody's.
    before = read_here(data[:end]).count
    try:
        now = read_apart(data).count
    except (TooMuch, Unreadable):
        return PaperAnswer.UPDATED
    return PaperAnswer.PAGE_ADDED if now > before else PaperAnswer.UPDATED


def _numbers(pages: Pages, number: str) -> set[str]:
    """What stands alone in a row of the first page and is like this number; so our template prints it."""
    alike = re.sub(r"[A-Za-z]+|[0-9]|[^A-Za-z0-9]", lambda part: _like(part[0]), number)
    return {row for row in pages.rows if re.fullmatch(alike, row)}


def _like(part: str) -> str:
    if not part.isascii() or not part.isalnum():
        return re.escape(part)
    return "[0-9]" if part.isdecimal() else "[A-Za-z]+"
