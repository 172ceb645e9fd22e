"""Licensing: the one door to cases and licences, which every face (REST, the command line) calls.

A write is one transaction: the idempotency key, the action and all it causes. The same key for the same
request gets the same answer, once done, whatever the face.
"""

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from foundation.assets import Assets, Kind
from foundation.calendar import today
from foundation.chain import JSON
from foundation.database import Database
from foundation.definitions import Bilingual
from foundation.errors import NotFound
from foundation.idempotency import Answer, fingerprint, once
from foundation.identity import Caller, Role
from foundation.jobs import Jobs
from foundation.registry import Registry
from foundation.secret import SecretFile
from foundation.settings import Settings
from foundation.wire.credential import KeySet, SigningKey, licence_key
from integrations.cases import invoices, views
from integrations.cases.application import check_readable, read_application
from integrations.cases.case import Case, Invoice, absent, find, locked
from integrations.cases.definitions import Definitions
from integrations.cases.engine import Engine
from integrations.cases.invoices import Notice, Outcome
from integrations.cases.money import amount_text
from integrations.licences import licence as licences
from integrations.licences.document import LicenceDocument, Line, render
from integrations.licences.licence import DOCUMENT_JOB, Licence, Paper
from integrations.municipality import Municipality, Office
from integrations.service import Effect, Service

LARGEST_PAGE = 200
"""Cases in one page of a list, at most."""

_SEES_ALL = frozenset({Role.REVIEWER, Role.AUDITOR})


class NotReady(NotFound):
    """The paper of a licence is not made yet."""


class Licensing:
    """Cases and licences of one municipality.

    Args:
        database: migrated.
        jobs: takes the work that follows an issue; `DOCUMENT_JOB` is registered with it.
        settings: who issues, public address, fonts.
        secrets: holds the signing key; it is made on first use.
        services: the definitions.
        clock: the present moment, aware.
    """

    def __init__(
        self,
        database: Database,
        jobs: Jobs,
        settings: Settings,
        secrets: SecretFile,
        services: Registry[Service],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._jobs = jobs
        self._settings = settings
        self._secrets = secrets
        self._clock = clock
        self._key: SigningKey | None = None
        self.services = services
        self._definitions = Definitions(services)
        self._engine = Engine(self._definitions, Office(self._municipality, self._signing_key, jobs))
        jobs.register(DOCUMENT_JOB, self._make_document)

    def submit(self, caller: Caller, service: str, applicant: Any, form: Any, key: str | None) -> Answer:
        """Open a case.

        Args:
            service: code.
            applicant: kind, identifier, name, mobile.
            form: the fields, as the service's JSON Schema has them.
            key: the caller's Idempotency-Key; a write without one is refused.

        Raises:
            NotFound: no such service.
            Malformed: there is no key.
            InvalidInput: with every wrong field.
            PermissionDenied: the caller may not open such a case.
        """

        # Before the key: what cannot be read has no fingerprint.
        check_readable(applicant, form)

        def act(session: Session, at: datetime) -> dict[str, Any]:
            definition = self.services.get(service)
            application = read_application(definition, applicant, form)
            case = self._engine.open(session, definition, caller, application, at)
            return views.summary(definition, case)

        return self._once(caller, key, "submit", service, {"applicant": applicant, "form": form}, act)

    def quote(self, caller: Caller, number: str, key: str | None, version: int | None = None) -> Answer:
        """Reckon the fees of a case.

        Args:
            version: the version of the case that the caller saw; another one now refuses the action.

        Raises:
            NotFound, PermissionDenied, Conflict: as `Engine.take`.
        """

        def view(session: Session, case: Case) -> dict[str, Any]:
            quote = invoices.newest_quote(session, case)
            assert quote is not None
            return views.quote(self._definitions.of(session, case), case, quote)

        return self._take(caller, number, key, version, "quote", view)

    def invoice(self, caller: Caller, number: str, key: str | None, version: int | None = None) -> Answer:
        """Bill the quote of a case. Raises as `quote` does."""

        def view(session: Session, case: Case) -> dict[str, Any]:
            invoice = invoices.newest_invoice(session, case)
            assert invoice is not None
            return views.invoice(case, invoice)

        return self._take(caller, number, key, version, "invoice", view)

    def decide(
        self, caller: Caller, number: str, action: str, key: str | None, version: int | None = None
    ) -> Answer:
        """Take an action that needs only a person's decision, such as `approve`. Raises as `quote` does."""

        def act(session: Session, at: datetime) -> dict[str, Any]:
            case = self._visible(caller, locked(session, number))
            definition = self._definitions.of(session, case)
            if any(a.name == action and a.effect == "settle" for a in definition.actions):
                raise NotFound(
                    f"{action!r} is taken by a payment, not by decision.",
                    remedy="Notify the payment instead.",
                )
            self._engine.take(session, case, caller, at, name=action, version=version)
            return views.summary(definition, case)

        return self._once(caller, key, action, number, {"version": version}, act)

    def payment_notified(self, caller: Caller, notice: Notice, key: str | None) -> Answer:
        """Keep a bank's notification; if it settles its bill exactly, move the case.

        Raises:
            Conflict: the bank's reference was used for another payment.
            PermissionDenied: the caller may not notify payments.
        """

        # Before anything is kept: what strangers tell us of money is no record of ours.
        caller.require(Role.PAYMENT)

        def act(session: Session, at: datetime) -> dict[str, Any]:
            payment, new = invoices.keep(session, notice, caller.actor, at)
            number = invoices.case_of_bill(session, notice.bill_number)
            if new and number is not None:
                # The case's lock first, then the bill as it stands under that lock.
                case = locked(session, number)
                bill = select(Invoice).where(Invoice.bill_number == notice.bill_number)
                invoice = session.scalars(bill).one()
                payment.case_id = case.id
                payment.outcome = invoices.judge(
                    payment, invoice, self._engine.allows(session, case, "settle")
                )
                if payment.outcome == Outcome.SETTLED:
                    self._engine.take(session, case, caller, at, effect="settle", paid=(payment, invoice))
            return views.payment(payment, number)

        request = {
            "bill_number": notice.bill_number,
            "amount": amount_text(notice.amount),
            "paid_at": notice.paid_at.isoformat(),
        }
        return self._once(caller, key, "payment", notice.reference, request, act)

    def case(self, caller: Caller, number: str) -> dict[str, Any]:
        """A case with its journal, quote, bill and licence number.

        Raises:
            NotFound: there is none, or it is another centre's.
        """
        with self._database.transaction() as session:
            case = self._visible(caller, find(session, number))
            return views.full(session, self._definitions.of(session, case), case)

    def cases(self, caller: Caller, after: str | None = None, limit: int = 50) -> dict[str, Any]:
        """One page of the cases the caller may see, newest first.

        Args:
            after: the `next` of the page before.
            limit: cases on the page, at most `LARGEST_PAGE`.

        Raises:
            Malformed: `after` is no cursor of ours.
        """
        query = select(Case).order_by(Case.id.desc()).limit(min(limit, LARGEST_PAGE) + 1)
        if after is not None:
            query = query.where(Case.id < views.read_cursor(after))
        if not _sees_all(caller):
            query = query.where(Case.centre == caller.actor)
        with self._database.transaction() as session:
            found = session.scalars(query).all()
            page = found[: min(limit, LARGEST_PAGE)]
            items = [views.summary(self._definitions.of(session, case), case) for case in page]
        return {"items": items, "next": views.cursor(page[-1].id) if len(found) > len(page) else None}

    def licence(self, number: str) -> dict[str, Any]:
        """What the public part of a licence's paper shows.

        Raises:
            NotFound: there is none.
        """
        with self._database.transaction() as session:
            found = licences.find(session, number)
            return views.licence(found, licences.status_on(found, self._today()))

    def verify(self, number: str) -> dict[str, Any]:
        """What anyone may know of a licence: its status now. Raises as `licence` does."""
        with self._database.transaction() as session:
            found = licences.find(session, number)
            return views.verification(found, licences.status_on(found, self._today()))

    def document(self, caller: Caller, number: str) -> bytes:
        """The paper of a licence, as PDF.

        Raises:
            NotReady: its job has not made it yet.
            NotFound: there is no such licence, or it is another centre's.
        """
        with self._database.transaction() as session:
            found = licences.find(session, number)
            centre = session.scalars(select(Case.centre).where(Case.id == found.case_id)).one()
            if centre != caller.actor and not _sees_all(caller):
                raise NotFound(f"There is no licence {number}.", message_ar="لا توجد رخصة بهذا الرقم.")
            pdf = session.scalar(select(Paper.pdf).where(Paper.licence_id == found.id))
        if pdf is None:
            raise NotReady(
                f"The document of {number} is not ready yet.",
                remedy="Ask again in a moment.",
                message_ar="وثيقة الرخصة قيد الإعداد؛ أعد المحاولة بعد قليل.",
            )
        return pdf

    def public_keys(self) -> KeySet:
        """The public keys that verify licences without a network."""
        return KeySet([self._signing_key().public])

    def resume(self) -> int:
        """Put back the document jobs whose worker was killed: made twice, a paper is still one paper.

        Returns:
            How many jobs were put back.
        """
        with self._database.transaction() as session:
            stalled = [job for job in self._jobs.stalled(session) if job.name == DOCUMENT_JOB]
            for job in stalled:
                self._jobs.run_again(session, job.id)
        return len(stalled)

    def _take(
        self,
        caller: Caller,
        number: str,
        key: str | None,
        version: int | None,
        effect: Effect,
        view: Callable[[Session, Case], dict[str, Any]],
    ) -> Answer:
        def act(session: Session, at: datetime) -> dict[str, Any]:
            case = self._visible(caller, locked(session, number))
            self._engine.take(session, case, caller, at, effect=effect, version=version)
            session.flush()
            return view(session, case)

        return self._once(caller, key, effect, number, {"version": version}, act)

    def _once(
        self,
        caller: Caller,
        key: str | None,
        command: str,
        record: str,
        request: Mapping[str, Any],
        act: Callable[[Session, datetime], dict[str, Any]],
    ) -> Answer:
        asked = fingerprint(command, record, request)
        with self._database.transaction() as session:
            return once(session, caller, key, asked, lambda: Answer(201, act(session, self._clock())))

    def _visible(self, caller: Caller, case: Case) -> Case:
        # Another centre's case does not exist for this one: a number counts up, and must tell nothing.
        if case.centre != caller.actor and not _sees_all(caller):
            raise absent(case.number)
        return case

    def _make_document(self, payload: dict[str, JSON], attempt: int) -> None:  # noqa: ARG002 -- a job's signature
        """Job: make the paper of a licence, once, however often the job runs."""
        number = str(payload["licence"])
        with self._database.transaction() as session:
            found = licences.find(session, number)
            if session.scalar(select(Paper.licence_id).where(Paper.licence_id == found.id)) is not None:
                return
        # Between two transactions: rendering takes a while, and holds nothing meanwhile.
        pdf = render(self._document_of(found), self._settings.licences.fonts)
        made = {
            "licence_id": found.id,
            "pdf": pdf,
            "sha256": hashlib.sha256(pdf).digest(),
            "made_at": self._clock(),
        }
        with self._database.transaction() as session:
            session.execute(insert(Paper).values(**made).on_conflict_do_nothing())

    def _document_of(self, found: Licence) -> LicenceDocument:
        base = self._settings.http.public_url
        return LicenceDocument(
            number=found.number,
            title=Bilingual(**found.title),
            municipality=Bilingual(ar=found.municipality["ar"], en=found.municipality["en"]),
            lines=tuple(
                Line(Bilingual(**line["label"]), Bilingual(**line["value"]))
                for line in (*found.lines, *found.private_lines)
            ),
            issued_at=found.issued_at,
            valid_from=found.valid_from,
            valid_to=found.valid_to,
            credential=found.credential,
            verify_url=f"{base.rstrip('/')}/v1/verify/{found.number}" if base else None,
        )

    def _municipality(self, session: Session) -> Municipality:
        # The inventory, where it has the municipality: its class is a fact that people keep there, changed
        # without a restart. The settings otherwise, so that a machine without an inventory can issue.
        platform = self._settings.platform
        try:
            known = Assets().get(session, platform.municipality)
        except NotFound:
            known = None
        if known is not None and known.kind is Kind.MUNICIPALITY:
            return Municipality(known.name, known.title, int(str(known.attributes["fee_class"])))
        name = Bilingual(ar=platform.name_ar, en=platform.name_en)
        return Municipality(platform.municipality, name, platform.fee_class)

    def _signing_key(self) -> SigningKey:
        if self._key is None:
            self._key = licence_key(self._secrets, self._settings.platform.municipality)
        return self._key

    def _today(self) -> date:
        return today(now=self._clock())


def _sees_all(caller: Caller) -> bool:
    return caller.kind == "system" or bool(caller.roles & _SEES_ALL)
