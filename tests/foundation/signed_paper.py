"""A signed paper, and what others make of it: the tests of the offline check share them."""

import io
from collections.abc import Callable
from pathlib import Path

from pyhanko.pdf_utils.generic import StreamObject
from pyhanko.pdf_utils.incremental_writer import IncrementalPdfFileWriter
from pyhanko.pdf_utils.writer import PageObject

from foundation.wire.paper_certificates import PaperCertificate, PaperCertificates
from foundation.wire.paper_check import PaperAnswer, check_paper
from integrations.licences.certificate import PaperKey
from integrations.licences.document import render
from integrations.licences.paper_signature import sign
from tests.integrations.paper_signing import NOW, paper_keys
from tests.integrations.test_document import CLAIMS, FONTS, LICENCE


class Papers:
    """A paper, its key, and who is trusted; made once, since nothing here changes them."""

    def __init__(self, folder: Path) -> None:
        self.page = render(LICENCE, FONTS)
        self.key: PaperKey = paper_keys(folder).current()
        self.signed = sign(self.page, self.key, NOW)
        self.trusted = PaperCertificates([self.key.certificate])

    def answer(self, data: bytes) -> PaperAnswer:
        """What the check says."""
        return check_paper(data, self.trusted, CLAIMS).answer


class _Ageless(PaperCertificate):
    def covers(self, moment: object) -> bool:  # noqa: ARG002 -- a certificate's signature
        return True


def ageless(key: PaperKey) -> PaperKey:
    """A key that its owner uses whenever he likes."""
    return PaperKey(key.signer, _Ageless(key.certificate.municipality, key.certificate.chain))


def appended(pdf: bytes, change: Callable[[IncrementalPdfFileWriter], None]) -> bytes:
    """A file that a program changed by appending to it."""
    writer = IncrementalPdfFileWriter(io.BytesIO(pdf))
    change(writer)
    out = io.BytesIO()
    writer.write(out)  # type: ignore[no-untyped-call]
    return out.getvalue()


def with_a_page_more(pdf: bytes) -> bytes:
    """A file with a page after its own."""

    def add(writer: IncrementalPdfFileWriter) -> None:
        content = writer.add_object(StreamObject(stream_data=b"0 0 m 9 9 l S"))
        page = PageObject(contents=content, media_box=(0, 0, 595, 842))  # type: ignore[no-untyped-call]
        writer.insert_page(page)  # type: ignore[no-untyped-call]

    return appended(pdf, add)


def drawn_anew(pdf: bytes, content: bytes) -> bytes:
    """A file whose first page shows something else."""

    def draw(writer: IncrementalPdfFileWriter) -> None:
        page = writer.root["/Pages"]["/Kids"][0]
        page["/Contents"] = writer.add_object(StreamObject(stream_data=content))
        writer.update_container(page)

    return appended(pdf, draw)


def without_its_form(writer: IncrementalPdfFileWriter) -> None:
    """Take off what names the signature."""
    del writer.root["/AcroForm"]
    writer.update_root()  # type: ignore[no-untyped-call]
