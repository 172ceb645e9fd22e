"""Licences: the number, the row, the sealed credential, and the order for the paper, in one transaction.

Tables: `licence`, `licence_document`.
"""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Identity, select
from sqlalchemy.dialects.postgresql import BYTEA, JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

from foundation.calendar import add_years
from foundation.chain import JSON
from foundation.database import Base
from foundation.definitions import Bilingual
from foundation.errors import Conflict, InvalidInput, NotFound, TooLarge
from foundation.events import publish
from foundation.wire.credential import LicenceClaims, seal
from integrations.cases.case import MOMENT, Work
from integrations.cases.fees import years_of
from integrations.cases.invoices import newest_invoice
from integrations.cases.numbers import is_number, next_number
from integrations.service import Service

ISSUED = "licence.issued"
"""A licence was issued. Subject: licence/NUMBER. Payload: number, case, service, valid_from, valid_to."""
DOCUMENT_JOB = "licence.document"
"""Job that makes the paper of a licence. Payload: licence."""


class Licence(Base):
    """One licence. A case has at most one: the database itself refuses a second.

    Args:
        municipality, title: as they were at issue, so that the paper and the register agree for ever.
        holder: identifier and name; personal data.
        lines: what the paper shows to everyone, each with label and value in both languages.
        private_lines: what only the holder's paper shows.
        valid_to: the last day it is valid.
        credential: the signed text of the QR code.
        status: `valid`, `suspended` or `revoked`; whether it has expired is a question of the day.
    """

    __tablename__ = "licence"

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    number: Mapped[str] = mapped_column(unique=True)
    case_id: Mapped[int] = mapped_column(ForeignKey("case_file.id"), unique=True)
    service: Mapped[str]
    municipality: Mapped[dict[str, str]] = mapped_column(JSONB)
    title: Mapped[dict[str, str]] = mapped_column(JSONB)
    holder: Mapped[dict[str, str]] = mapped_column(JSONB)
    lines: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    private_lines: Mapped[list[dict[str, Any]]] = mapped_column(JSONB)
    valid_from: Mapped[date]
    valid_to: Mapped[date]
    calendar: Mapped[str]
    credential: Mapped[str]
    status: Mapped[str]
    issued_at: Mapped[datetime] = mapped_column(MOMENT)


class Paper(Base):
    """The paper of a licence, as it was made once."""

    __tablename__ = "licence_document"

    licence_id: Mapped[int] = mapped_column(ForeignKey("licence.id"), primary_key=True)
    pdf: Mapped[bytes] = mapped_column(BYTEA)
    sha256: Mapped[bytes] = mapped_column(BYTEA)
    made_at: Mapped[datetime] = mapped_column(MOMENT)


def foresee(work: Work) -> None:
    """Refuse an application whose licence could never be sealed: told now, before any money is taken.

    Raises:
        InvalidInput: what the public may see does not fit into one QR code.
    """
    code = work.office.key().municipality
    try:
        seal(_claims(work, f"{work.service.numbers.licence}-9999-999999999", code), work.office.key())
    except TooLarge as error:
        raise InvalidInput(
            "What the licence shows to the public does not fit into its code.",
            remedy="Shorten the trade name or the address.",
            message_ar="البيانات المعلنة في الرخصة أطول مما يتسع له رمزها؛ اختصر الاسم أو العنوان.",
        ) from error


def issue(work: Work) -> Mapping[str, JSON]:
    """Effect `issue`: the licence of a case whose bill is settled.

    Raises:
        Conflict: the bill is not settled.
    """
    case, service = work.case, work.service
    invoice = newest_invoice(work.session, case)
    if invoice is None or invoice.state != "settled":
        # The definition was walked at load; this is the last door, and it does not trust the others.
        raise Conflict(f"The bill of the case {case.number} is not settled.", remedy="Pay it first.")
    municipality = work.office.municipality(work.session)
    lines, private_lines = _lines(service, case.form, case.applicant)
    # The counter stays locked until the commit: from here on others who issue wait.
    number = next_number(work.session, service.numbers.licence, work.day)
    claims = _claims(work, number, municipality.code)
    work.session.add(
        Licence(
            number=number,
            case_id=case.id,
            service=service.code,
            municipality={"code": municipality.code, **municipality.name.model_dump()},
            title=service.licence_title.model_dump(),
            holder={name: case.applicant[name] for name in ("kind", "identifier", "name")},
            lines=lines,
            private_lines=private_lines,
            valid_from=claims.valid_from,
            valid_to=claims.valid_to,
            calendar=service.validity.calendar,
            credential=seal(claims, work.office.key()),
            status="valid",
            issued_at=work.at,
        )
    )
    told: dict[str, JSON] = {
        "number": number,
        "case": case.number,
        "service": service.code,
        "valid_from": claims.valid_from.isoformat(),
        "valid_to": claims.valid_to.isoformat(),
    }
    publish(work.session, ISSUED, f"licence/{number}", told)
    work.office.jobs.enqueue(work.session, DOCUMENT_JOB, {"licence": number})
    return {"licence": number}


def find(session: Session, number: str) -> Licence:
    """The licence of a number.

    Raises:
        NotFound: there is none.
    """
    licence = session.scalar(select(Licence).where(Licence.number == number)) if is_number(number) else None
    if licence is None:
        shown = number if is_number(number) else "this number"
        raise NotFound(f"There is no licence {shown}.", message_ar="لا توجد رخصة بهذا الرقم.")
    return licence


def number_of(session: Session, case_id: int) -> str | None:
    """Number of the licence of a case, if it has one."""
    return session.scalar(select(Licence.number).where(Licence.case_id == case_id))


def status_on(licence: Licence, day: date) -> str:
    """What a licence is on a day: valid, expired, suspended or revoked."""
    return "expired" if licence.status == "valid" and day > licence.valid_to else licence.status


def _claims(work: Work, number: str, municipality: str) -> LicenceClaims:
    service, form = work.service, work.case.form
    # The last day is the eve of the anniversary: a year is a year, and not a year and a day.
    anniversary = add_years(work.day, years_of(service, form), service.validity.calendar)
    return LicenceClaims(
        number=number,
        service=service.code,
        title=service.licence_title,
        municipality=municipality,
        valid_from=work.day,
        valid_to=anniversary - timedelta(days=1),
        issued_at=work.at,
        # In Arabic alone, the language a licence is legally written in: a QR code is small.
        public={name: service.fields[name].show(form[name]).ar for name in service.public if name in form},
    )


def _lines(
    service: Service, form: Mapping[str, Any], applicant: Mapping[str, str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    lines: list[dict[str, Any]] = []
    private_lines: list[dict[str, Any]] = []
    for name in service.document.lines:
        if name == "applicant.name":
            label, value = HOLDER, Bilingual(ar=applicant["name"], en=applicant["name"])
        elif form.get(name) is not None:
            label, value = service.fields[name].label, service.fields[name].show(form[name])
        else:
            continue
        line = {"label": label.model_dump(), "value": value.model_dump()}
        (lines if name in service.public else private_lines).append(line)
    return lines, private_lines


HOLDER = Bilingual(ar="صاحب الرخصة", en="Holder")
"""Label of the holder's name on the paper."""
