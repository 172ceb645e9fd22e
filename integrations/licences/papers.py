"""The papers of licences: made and signed by a job from a version's row, kept encrypted, each made once.

Table: `licence_document`. A paper carries the holder's name, so it lies sealed, to the context
`licence/NUMBER/VERSION/COPY`; beside it the SHA-256 of the PDF, by which a paper is known again.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, RowMapping, Table, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from foundation.chain import JSON
from foundation.database import Base, Database
from foundation.definitions import Bilingual
from foundation.errors import NotFound, Refused, SettingsError, Unavailable
from foundation.jobs import Jobs
from foundation.personal import Vault
from integrations.cases.case import MOMENT
from integrations.cases.numbers import is_test
from integrations.licences import layout as layouts
from integrations.licences import licence as licences
from integrations.licences.certificate import PaperKeys
from integrations.licences.document import LicenceDocument, Line, render
from integrations.licences.licence import VERSIONS, Licence
from integrations.licences.outcomes import DOCUMENT_JOB

PAPERS = Table(
    "licence_document",
    Base.metadata,
    Column("licence_id", BigInteger, primary_key=True, autoincrement=False),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("copy", Integer, primary_key=True, autoincrement=False),
    Column("pdf", LargeBinary),
    Column("sha256", LargeBinary, nullable=False),
    Column("made_at", MOMENT, nullable=False),
)


DOCUMENT_ATTEMPTS = 10_000
"""How often a paper is tried: every ten minutes for ten weeks. A licence that was paid for has its paper as
soon as fonts, certificate or time-stamp server are mended, and nobody has to ask for it again."""


class NotReady(NotFound):
    """The paper of a licence is not made yet."""


class NotNow(Unavailable):
    """Papers cannot be made until the platform's settings are mended; the job is tried again."""


@dataclass(frozen=True)
class Papers:
    """Makes papers, and gives them out.

    Args:
        fonts: folder with the fonts of the page.
        public_url: address of this platform as the public reaches it; without one none is printed.
        clock: the present moment, aware.
        keys: what papers are signed with.
        timestamp_url: server that stamps each signature with the time; None signs without one.
    """

    database: Database
    vault: Vault
    fonts: Path
    public_url: str | None
    clock: Callable[[], datetime]
    keys: PaperKeys
    timestamp_url: str | None = None

    def make(self, payload: dict[str, JSON], attempt: int) -> None:  # noqa: ARG002 -- a job's signature
        """Job `DOCUMENT_JOB`: make a paper, once, however often the job runs.

        A licence whose holder was erased meanwhile gets none.
        """
        number, version, copy = str(payload["licence"]), _whole(payload["version"]), _whole(payload["copy"])
        with self.database.transaction() as session:
            licence = licences.of_number(session, number)
            row = self._version(session, licence, version)
            code = self._code(session, licence, version, copy)
            if row is None or row["personal"] is None or self._kept(session, licence, version, copy):
                return
        # Between two transactions: making it takes a while, and holds nothing meanwhile.
        try:
            pdf = render(self._page(licence, row, copy, code or row["credential"]), self.fonts)
            # What the municipality signs, it stands for.
            pdf = pdf if is_test(number) else self._signed(pdf)
        except (SettingsError, Refused) as error:
            # Only the time-stamp server of the settings refuses here.
            raise NotNow(error.message, place=error.place, remedy=error.remedy) from error
        with self.database.transaction() as session:
            if licences.by_id(session, licence.id, lock=True).personal is None:
                return
            made = {
                "licence_id": licence.id,
                "version": version,
                "copy": copy,
                "pdf": self.vault.seal_bytes(pdf, context(licence, version, copy)),
                "sha256": hashlib.sha256(pdf).digest(),
                "made_at": self.clock(),
            }
            session.execute(insert(PAPERS).values(**made).on_conflict_do_nothing())

    def read(self, session: Session, licence: Licence, version: int, copy: int) -> bytes:
        """A paper, as PDF.

        Raises:
            NotReady: its job has not made it yet.
            NotFound: the licence has no such version, or its holder was erased.
        """
        row = self._kept(session, licence, version, copy)
        if row is not None and row["pdf"] is not None:
            return self.vault.open_bytes(row["pdf"], context(licence, version, copy))
        if row is not None or licence.personal is None or self._version(session, licence, version) is None:
            raise NotFound(
                f"There is no paper of version {version} of the licence {licence.number}.",
                message_ar=f"لا توجد وثيقة للإصدار {version} من الرخصة {licence.number}.",
            )
        raise NotReady(
            f"The document of {licence.number} is not ready yet.",
            remedy="Ask again in a moment.",
            message_ar="وثيقة الرخصة قيد الإعداد؛ أعد المحاولة بعد قليل.",
        )

    def resume(self, jobs: Jobs) -> int:
        """Put back the jobs whose worker was killed: made twice, a paper is still one paper.

        Returns:
            How many were put back.
        """
        with self.database.transaction() as session:
            return jobs.put_back(session, DOCUMENT_JOB)

    def _signed(self, pdf: bytes) -> bytes:
        # Not at the top: what writes signatures is large, and the faces that import this never sign.
        from integrations.licences.paper_signature import sign

        return sign(pdf, self.keys.current(), self.clock(), self.timestamp_url)

    def _page(self, licence: Licence, row: RowMapping, copy: int, code: str) -> LicenceDocument:
        shown = row["shown"]
        personal = self.vault.open(row["personal"], licence.context)
        # The oldest versions were kept without a layout: their paper has lines alone.
        layout = personal.get("paper", {"parts": [], "notes": []})
        lines = () if layout["parts"] else (*shown["lines"], *personal["lines"])
        municipality = shown["municipality"]
        return LicenceDocument(
            number=licence.number,
            title=Bilingual(**shown["title"]),
            municipality=Bilingual(ar=municipality["ar"], en=municipality["en"]),
            lines=tuple(Line(Bilingual(**line["label"]), Bilingual(**line["value"])) for line in lines),
            issued_at=row["made_at"],
            valid_from=row["valid_from"],
            valid_to=row["valid_to"],
            credential=code,
            verify_url=None if is_test(licence.number) else self._where_to_verify(),
            version=row["version"],
            copy=copy,
            parts=layouts.parts_of(layout),
            notes=layouts.notes_of(layout),
            test=is_test(licence.number),
        )

    def _where_to_verify(self) -> str | None:
        # For people: it reads the code with the phone's camera. What programs ask is in the contract.
        return f"{self.public_url.rstrip('/')}/verify/" if self.public_url else None

    def _version(self, session: Session, licence: Licence, version: int) -> RowMapping | None:
        found = select(VERSIONS).where(
            VERSIONS.c.licence_id == licence.id,
            VERSIONS.c.version == version,
            VERSIONS.c.shown.is_not(None),
        )
        return session.execute(found).mappings().one_or_none()

    def _code(self, session: Session, licence: Licence, version: int, copy: int) -> str | None:
        """The credential of a paper; None where a copy has that of its version, as the oldest ones do."""
        found = select(VERSIONS.c.credential).where(
            VERSIONS.c.licence_id == licence.id,
            VERSIONS.c.version == version,
            VERSIONS.c.copy == copy,
            VERSIONS.c.credential.is_not(None),
        )
        return session.execute(found).scalar_one_or_none()

    def _kept(self, session: Session, licence: Licence, version: int, copy: int) -> RowMapping | None:
        found = select(PAPERS.c.pdf, PAPERS.c.sha256).where(
            PAPERS.c.licence_id == licence.id, PAPERS.c.version == version, PAPERS.c.copy == copy
        )
        return session.execute(found).mappings().one_or_none()


def context(licence: Licence, version: int, copy: int) -> str:
    """What a paper is sealed to."""
    return f"{licence.context}/{version}/{copy}"


def _whole(value: JSON) -> int:
    assert isinstance(value, int), "the job's payload is ours"
    return value
