"""The desk for cases: applications, the actions taken on them, and what is shown of them."""

import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select, true, tuple_
from sqlalchemy.orm import Session

from foundation.errors import (
    InvalidInput,
    Malformed,
    NotFound,
    RakeezaError,
    Unavailable,
    problem,
)
from foundation.idempotency import LONGEST_KEY, Answer, bare_key
from foundation.identity import Caller, Role
from integrations.cases import case_store, choice, invoices, opening, views
from integrations.cases.application import Reader, check_readable
from integrations.cases.case import Case
from integrations.cases.case_store import CASES
from integrations.cases.migration import Plan
from integrations.cases.numbers import TEST_SERIES, is_test
from integrations.centres import apart, rules
from integrations.desks.desk import Desk
from integrations.desks.migration import run_migration
from integrations.flow import Effect
from integrations.licences import licence as licences
from integrations.licences.licence import LICENCES, Licence
from integrations.service import Service

LARGEST_PAGE = 200
"""Cases in one page of a list, and rows of one bulk submission, at most."""

_PARTS = ("service", "procedure", "licence", "parent", "applicant", "form")
# How long a case whose clock failed is left alone.
_PUT_OFF = timedelta(minutes=10)

_log = logging.getLogger(__name__)


class Cases:
    """Opens cases, takes their actions, shows them.

    Args:
        desk: what all desks share.
        reader: of applications.
    """

    def __init__(self, desk: Desk, reader: Reader) -> None:
        self._desk = desk
        self._reader = reader

    def submit(self, caller: Caller, message: Mapping[str, Any], key: str | None) -> Answer:
        """Open a case.

        Args:
            message: service (code), procedure (by default the one that issues), licence and parent (numbers,
                where the procedure needs them), applicant, form.
            key: the caller's Idempotency-Key; a write without one is refused.

        Raises:
            NotFound: no such service, procedure or licence.
            Malformed: there is no key, or the message has other parts.
            InvalidInput: with every wrong field.
            PermissionDenied: the caller may not open such a case, or the applicant may not ask for it.
            Conflict: the licence is not as the procedure needs it.
        """
        # Before the key: what cannot be read has no fingerprint.
        _check_message(message)
        check_readable(message.get("applicant"), message.get("form"))

        def act(session: Session, at: datetime) -> dict[str, Any]:
            service, procedure = self._asked(message)
            case = self._open(session, caller, service, procedure, message, at)
            return views.summary(service, case)

        return self._desk.once(caller, key, "submit", str(message["service"]), message, act)

    def submit_many(
        self, caller: Caller, messages: Sequence[Mapping[str, Any] | RakeezaError], key: str | None
    ) -> Answer:
        """Open many cases, each in a transaction of its own: a row that is refused stops no other.

        Args:
            messages: at most `LARGEST_PAGE`, each as for `submit`, or why the face refused it.
            key: row N is done under "KEY/N", counted from 0; so the same request again gives the same rows.

        Returns:
            A row for each message: `{status, body}`, or `{status, problem}` where it was refused.

        Raises:
            Malformed: there is no key, or no message, or too many.
        """
        # Behind it stands the number of the row.
        bare = bare_key(key, LONGEST_KEY - len(f"/{LARGEST_PAGE}"))
        if not 1 <= len(messages) <= LARGEST_PAGE:
            raise Malformed(
                f"A bulk submission has 1 to {LARGEST_PAGE} rows, not {len(messages)}.",
                remedy="Split it.",
                message_ar=f"التقديم الجماعي من صف واحد إلى {LARGEST_PAGE} صف.",
            )
        rows = [self._row(caller, message, f"{bare}/{number}") for number, message in enumerate(messages)]
        return Answer(200, {"rows": rows})

    def quote(self, caller: Caller, number: str, key: str | None, version: int | None = None) -> Answer:
        """Reckon the fees of a case.

        Args:
            version: the version of the case that the caller saw; another one now refuses the action.

        Raises:
            NotFound, PermissionDenied, Conflict, Stale: as `Engine.take`.
        """

        def view(session: Session, case: Case) -> dict[str, Any]:
            quote = invoices.newest_quote(session, case)
            assert quote is not None
            shown = views.quote_of(session, self._desk.definitions, case, quote)
            return {**shown, "case_version": case.version}

        return self._take(caller, number, key, version, effect="quote", view=view)

    def invoice(self, caller: Caller, number: str, key: str | None, version: int | None = None) -> Answer:
        """Bill the quote of a case. Raises as `quote` does."""

        def view(session: Session, case: Case) -> dict[str, Any]:
            invoice = invoices.newest_invoice(session, case)
            assert invoice is not None
            return {**invoices.invoice_view(case.number, invoice), "case_version": case.version}

        return self._take(caller, number, key, version, effect="invoice", view=view)

    def take(
        self,
        caller: Caller,
        number: str,
        action: str,
        key: str | None,
        version: int | None = None,
        comment: str | None = None,
        form: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Take an action by its name.

        Args:
            version: as for `quote`.
            comment: why; some actions need one.
            form: fields changed with it, where the action takes them; null takes one out.

        Raises:
            NotFound, PermissionDenied, Conflict, Stale, InvalidInput: as `Engine.take`.
        """
        check_readable(None, form)

        def view(session: Session, case: Case) -> dict[str, Any]:
            return views.summary(self._desk.definitions.of(session, case), case)

        return self._take(caller, number, key, version, name=action, view=view, comment=comment, form=form)

    def case(self, caller: Caller, number: str) -> dict[str, Any]:
        """A case with its journal, quote, bill, documents, and what the caller may do with it.

        Raises:
            NotFound: there is none, or the caller may not know of it.
        """
        desk = self._desk
        with desk.database.transaction() as session:
            case = desk.read_case(session, caller, number)
            return views.full(desk.engine.work(session, case, caller, desk.clock()), desk.definitions)

    def cases(
        self,
        caller: Caller,
        after: str | None = None,
        limit: int = 50,
        service: str | None = None,
        state: str | None = None,
        licence: str | None = None,
    ) -> dict[str, Any]:
        """One page of the cases the caller may see, newest first.

        Args:
            after: the `next` of the page before.
            limit: cases on the page, at most `LARGEST_PAGE`.
            service, state, licence: only cases of this service, in this state, on or of this licence.

        Raises:
            Malformed: `after` is no cursor of ours.
        """
        size = min(limit, LARGEST_PAGE)
        query = case_store.ALL.order_by(CASES.c.id.desc()).limit(size + 1).where(self._seen(caller))
        if service is None and self._desk.sees_all(caller):
            # Tests are shown to whoever asks for their service, and are among no others.
            query = query.where(CASES.c.number.not_like(f"{TEST_SERIES}%"))
        if after is not None:
            query = query.where(CASES.c.id < views.read_cursor(after))
        for column, wanted in ((CASES.c.service, service), (CASES.c.state, state)):
            if wanted is not None:
                query = query.where(column == wanted)
        if licence is not None:
            of = select(LICENCES.c.id).where(LICENCES.c.number == licence).scalar_subquery()
            query = query.where(CASES.c.licence_id == of)
        with self._desk.database.transaction() as session:
            found = [case_store.read(row) for row in session.execute(query).mappings()]
            page = found[:size]
            items = [views.summary(self._desk.definitions.of(session, case), case) for case in page]
        return {"items": items, "next": views.cursor(page[-1].id) if len(found) > size else None}

    def time_passed(self, limit: int = 100) -> int:
        """Let the clock act on cases whose deadline has passed, each in a transaction of its own.

        Workers share the cases: one that another holds is passed over. A case that fails is put off, so that
        it holds up no other, and is told in the log.

        Args:
            limit: cases at most.

        Returns:
            How many were looked at; as many as the limit if there may be more.
        """
        for done in range(limit):
            if not self._one_passed():
                return done
        return limit

    def migrate(
        self,
        caller: Caller,
        code: str,
        from_version: int,
        states: Mapping[str, str],
        number: str | None = None,
        dry_run: bool = False,
    ) -> dict[str, Any]:
        """Move open cases from an older version of a service to today's, each in a transaction of its own.

        Args:
            states: new name of each state that is called otherwise in today's version.
            number: only this case.
            dry_run: say what would become of each, and write nothing.

        Raises:
            PermissionDenied: the caller is no administrator.
            NotFound: no such service, or no case was opened under that version.
        """
        if caller.kind != "system":
            caller.require(Role.ADMINISTRATOR)
        plan = Plan(code, from_version, dict(states), number, dry_run)
        return run_migration(self._desk, caller, plan)

    def _row(self, caller: Caller, message: Mapping[str, Any] | RakeezaError, key: str) -> dict[str, Any]:
        try:
            if isinstance(message, RakeezaError):
                raise message
            answer = self.submit(caller, message, key)
        except RakeezaError as error:
            told = problem(error)
            return {"status": told["status"], "problem": told}
        return {"status": answer.status, "body": answer.body}

    def _asked(self, message: Mapping[str, Any]) -> tuple[Service, str]:
        service = self._desk.definitions.services.get(str(message["service"]))
        procedure = message.get("procedure") or service.default_procedure
        if procedure not in service.procedures:
            raise NotFound(
                "The service has no such procedure.",
                remedy=f"Known: {', '.join(service.procedures)}.",
                message_ar="ليس في هذه الخدمة إجراء بهذا الاسم.",
            )
        return service, str(procedure)

    def _open(
        self,
        session: Session,
        caller: Caller,
        service: Service,
        procedure: str,
        message: Mapping[str, Any],
        at: datetime,
    ) -> Case:
        # Before anything is read: whoever may not open it learns nothing of a licence.
        apart.check_service(session, caller, service)
        choice.check_opener(service, procedure, caller)
        rules.delegated(session, caller, service.code, procedure)
        application = self._reader.application(
            service, procedure, message.get("applicant"), message.get("form", {})
        )
        licence, parent = self._licences(session, service, procedure, message)
        return self._desk.engine.open(
            session, service, procedure, caller, application, at, licence=licence, parent=parent
        )

    def _licences(
        self, session: Session, service: Service, procedure: str, message: Mapping[str, Any]
    ) -> tuple[Licence | None, Licence | None]:
        number, above = message.get("licence"), message.get("parent")
        asked = service.procedures[procedure]
        if asked.acts_on_licence == (number is None):
            raise opening.licence_needed(not asked.acts_on_licence)
        if above is not None and (asked.outcome != "issue" or service.parent is None):
            raise InvalidInput(
                "This application names a licence to hang on, and hangs on none.",
                remedy="Leave `parent` out.",
                message_ar="هذه الرخصة لا تتبع رخصة أخرى؛ احذف رقم الرخصة الأصل.",
            )
        parent = licences.of_number(session, above, lock=True) if above is not None else None
        licence = licences.of_number(session, number, lock=True) if number is not None else None
        # Of a service that was a real one once, or a test.
        other = licence is not None and is_test(licence.number) != service.is_test
        if licence is not None and (other or licence.service != service.code):
            raise licences.absent(licence.number)
        return licence, parent

    def _take(
        self,
        caller: Caller,
        number: str,
        key: str | None,
        version: int | None,
        *,
        view: Callable[[Session, Case], dict[str, Any]],
        name: str | None = None,
        effect: Effect | None = None,
        comment: str | None = None,
        form: Mapping[str, Any] | None = None,
    ) -> Answer:
        def act(session: Session, at: datetime) -> dict[str, Any]:
            case = self._desk.open_case(session, caller, number)
            self._desk.engine.take(
                session,
                case,
                caller,
                at,
                name=name,
                effect=effect,
                version=version,
                comment=comment,
                form=form,
            )
            return view(session, case)

        request = {"version": version, "comment": comment, "form": form}
        return self._desk.once(caller, key, str(name or effect), number, request, act)

    def _seen(self, caller: Caller) -> ColumnElement[bool]:
        # As `Desk.sees` says of one case, by the definitions of today.
        if self._desk.sees_all(caller):
            return true()
        his = [
            (service.code, procedure)
            for service in self._desk.definitions.services.items()
            for procedure in service.procedures
            if self._desk.acts(service, procedure, caller)
        ]
        acted: ColumnElement[bool] = tuple_(CASES.c.service, CASES.c.procedure).in_(his)
        if caller.places:
            acted = and_(acted, CASES.c.place.in_(sorted(caller.places)))
        return or_(CASES.c.centre == caller.actor, acted) if his else CASES.c.centre == caller.actor

    def _one_passed(self) -> bool:
        desk = self._desk
        now = desk.clock()
        case: Case | None = None
        try:
            with desk.database.transaction() as session:
                case = case_store.next_due(session, now)
                if case is not None:
                    desk.engine.time_passed(session, case, now)
        except Unavailable:
            raise
        except Exception:
            # What one definition or one back-end makes impossible must not stop the clock of all others.
            if case is None:
                raise
            _log.exception("The clock could not act on the case %s.", case.number)
            with desk.database.transaction() as session:
                case_store.put_off(session, case.id, now + _PUT_OFF)
        return case is not None


def _check_message(message: Mapping[str, Any]) -> None:
    if further := sorted(set(map(str, message)) - {*_PARTS}):
        raise Malformed(
            f"An application has no part {further[0][:60]!r}.", remedy=f"Its parts are: {', '.join(_PARTS)}."
        )
    for name in ("service", "procedure", "licence", "parent"):
        if not isinstance(message.get(name), str) and (name == "service" or message.get(name) is not None):
            raise Malformed(f"The part {name!r} of an application is text.")
