"""The desk of bill presentment: bills told to the payment system, its notices and its settlements taken."""

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from datetime import date, timedelta
from typing import Any, TypeVar

from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation.calendar import today
from foundation.errors import InvalidInput, NotFound, RakeezaError
from foundation.idempotency import Answer
from foundation.identity import Caller, Role
from foundation.jobs import NewJob
from integrations.backend import BackendRejection, BackendUnavailable
from integrations.bill_presentment import BACKEND, Presenter, Request, key_of_notice
from integrations.cases import bank_file, bill_settlements, bill_uploads, ledger
from integrations.cases.reconciliation import Report
from integrations.desks.desk import Desk
from integrations.desks.money import Money
from integrations.resilience.look_ups import LookUp, LookUps

Result = TypeVar("Result")

UPLOAD = "bills.upload"
"""Job that tells the payment system of bills until it knows all. Payload: none."""
SETTLE = "bills.settle"
"""Job that takes the settlement of a day. Payload: day."""
QUEUE = "bills"

LARGEST_PAGE = 200
"""Rows of a list, at most."""

SYSTEM = Caller(BACKEND, "system", frozenset({Role.PAYMENT}))
"""The payment system; it may do no more than a bank may that tells us of a payment."""

_OURSELVES = Caller("worker", "system", frozenset())
# Days whose settlement is still asked for: a long weekend, and a week of trouble.
_LOOKS_BACK = 10
_UNDER_WAY = text(
    "SELECT 1 FROM procrastinate_jobs WHERE task_name = :job AND status IN ('todo', 'doing') LIMIT 1"
)

_log = logging.getLogger(__name__)


class BillsDesk:
    """Bills at the payment system.

    Args:
        desk: what all desks share.
        money: takes the payments.
        presenter: the payment system; None if there is none, and then this desk does nothing.
    """

    def __init__(self, desk: Desk, money: Money, presenter: Presenter | None) -> None:
        self._desk = desk
        self._money = money
        self._presenter = presenter
        self._look_ups = LookUps(desk.database, desk.clock)
        desk.office.jobs.register(UPLOAD, self._upload_job, queue=QUEUE)
        desk.office.jobs.register(SETTLE, self._settle_job, queue=QUEUE)

    def follow(self) -> None:
        """Enqueue what is to be done now, also what a killed worker left; a part of the worker's round."""
        if self._presenter is None:
            return
        at = self._desk.clock()
        with self._desk.database.transaction() as session:
            # The key of an upload, and the day of a settlement, make it safe.
            for job in (UPLOAD, SETTLE):
                self._desk.office.jobs.put_back(session, job)
        with self._desk.database.transaction() as session:
            wanted = []
            if self._is_idle(session, UPLOAD) and bill_uploads.is_due(session, at):
                wanted.append(NewJob(UPLOAD, {}, lock=UPLOAD))
            if self._is_idle(session, SETTLE):
                wanted += [
                    NewJob(SETTLE, {"day": day.isoformat()}, lock=SETTLE)
                    for day in self._settled_days()
                    if bill_settlements.is_due(session, day, at)
                ]
            self._desk.office.jobs.enqueue_all(session, wanted)

    def upload(self) -> int:
        """Tell the payment system of all bills that it is to be told of, as far as it answers.

        Returns:
            How many uploads it answered.
        """
        done = 0
        while self._upload_next():
            done += 1
        return done

    def notified(self, request: Request) -> Answer:
        """Take the payment that the payment system tells of, once for its reference.

        Raises:
            NotFound: there is no payment system.
            NotAuthenticated: the payment system did not sign this.
            InvalidInput: it tells of no payment.
            Conflict: the reference was used for another payment.
        """
        notice = self._known().notice(request)
        return self._money.notify(SYSTEM, notice, key_of_notice(notice))

    def settle(self, caller: Caller, day: date, take_in: bool = False, anew: bool = False) -> Report:
        """Take the settlement of a day, if it was not taken yet, and reconcile it with engine and ledger.

        Args:
            take_in: as of `Money.reconcile`.
            anew: ask for it also if it was taken: the payment system has corrected it.

        Raises:
            NotFound: there is no payment system.
            BackendUnavailable: the settlement is not to be had now.
            BackendRejection: the payment system has none of such a day.
            InvalidInput: the day is not over.
            PermissionDenied: the caller may not see money, or may not take it in or anew.
        """
        if caller.kind != "system":
            caller.require(Role.FINANCE, *(() if anew else (Role.AUDITOR,)))
        if day >= today(now=self._desk.clock()):
            # Taken now, it would be kept without what is paid later.
            raise InvalidInput(
                f"{day.isoformat()} is not over yet.",
                remedy="Take the settlement of a day that is over.",
                message_ar="لم ينتهِ هذا اليوم بعد؛ اطلب تسوية يوم منتهٍ.",
            )
        try:
            file = None if anew else self._kept(day)
        except NotFound:
            file = None
        if file is None:
            file = self._asked(day)
        place = f"settlement of {day.isoformat()}"
        # A payment of shortly before midnight is settled on the next day; in our books it stands on its own.
        first = min((entry.day for entry in bank_file.read(file, place)), default=day)
        with self._desk.database.transaction() as session:
            books = ledger.export(session, min(first, day), day).encode()
        report = self._money.reconcile(
            caller, (place, file), ("our ledger", books), day, take_in, client=SYSTEM.actor
        )
        with self._desk.database.transaction() as session:
            bill_settlements.keep(session, file, report, caller.actor, self._desk.clock())
        return report

    def unfinished(self, caller: Caller) -> dict[str, Any]:
        """What waits: uploads, discrepancies that nobody has looked at, and how the newest days stand.

        Raises:
            PermissionDenied: the caller has neither the role finance nor auditor.
        """
        if caller.kind != "system":
            caller.require(Role.FINANCE, Role.AUDITOR)
        with self._desk.database.transaction() as session:
            days = bill_settlements.newest(session, _LOOKS_BACK)
            return {
                **bill_uploads.unfinished(session, LARGEST_PAGE),
                "settlements": [
                    {
                        **asdict(each),
                        "day": each.day.isoformat(),
                        "taken_at": str(each.taken_at or "") or None,
                    }
                    for each in days
                ],
            }

    def tell_again(self, caller: Caller, upload: int, key: str | None) -> Answer:
        """Give up a parked upload and tell of its bills anew. Raises as `bill_uploads.tell_again`."""
        caller.require(Role.FINANCE)
        return self._desk.once(
            caller,
            key,
            "tell_again",
            str(upload),
            {},
            lambda session, at: bill_uploads.view(bill_uploads.tell_again(session, upload, at)),
        )

    def see(self, caller: Caller, upload: int, bill_number: str, again: bool, key: str | None) -> Answer:
        """Note that a discrepancy was looked at, and tell of the bill anew. Raises as `bill_uploads.see`."""
        caller.require(Role.FINANCE)

        def act(session: Session, _at: object) -> dict[str, Any]:
            bill_uploads.see(session, upload, bill_number, caller.actor, again)
            return {"upload": upload, "bill_number": bill_number, "seen_by": caller.actor}

        request = {"bill_number": bill_number, "again": again}
        return self._desk.once(caller, key, "see_discrepancy", str(upload), request, act)

    def _upload_next(self) -> bool:
        presenter, clock = self._known(), self._desk.clock
        with self._desk.database.transaction() as session:
            if not bill_uploads.is_due(session, clock()):
                return False
            found = bill_uploads.next_upload(session, clock())
        if found is None:
            return False
        upload, bills = found
        try:
            discrepancies = self._counted(lambda: presenter.upload(upload.key, bills))
        except BackendUnavailable as error:
            _log.info("%s: %s", upload.subject, error)
            with self._desk.database.transaction() as session:
                bill_uploads.unanswered(session, upload, error.reason, error.retry_after, clock())
            return False
        except BackendRejection as error:
            _log.warning("%s: %s", upload.subject, error)
            with self._desk.database.transaction() as session:
                bill_uploads.rejected(session, upload, error.reason, clock())
            return True
        with self._desk.database.transaction() as session:
            bill_uploads.answered(session, upload, discrepancies, clock())
        return True

    def _kept(self, day: date) -> bytes:
        with self._desk.database.transaction() as session:
            return bill_settlements.file_of(session, day)

    def _asked(self, day: date) -> bytes:
        presenter = self._known()
        return self._counted(lambda: presenter.settlement(day)).file()

    def _counted(self, act: Callable[[], Result]) -> Result:
        started, outcome = time.monotonic(), "driver_fault"
        try:
            result = act()
            outcome = "answered"
        except BackendUnavailable as error:
            outcome = error.reason
            raise
        except BackendRejection:
            outcome = "rejected"
            raise
        finally:
            self._look_ups.note(LookUp(BACKEND, outcome, time.monotonic() - started))
        return result

    def _upload_job(self, _payload: Mapping[str, Any], _attempt: int) -> None:
        if self._presenter is not None:
            self.upload()

    def _settle_job(self, payload: Mapping[str, Any], _attempt: int) -> None:
        day, at = date.fromisoformat(payload["day"]), self._desk.clock()
        with self._desk.database.transaction() as session:
            if self._presenter is None or not bill_settlements.is_due(session, day, at):
                return
        try:
            self.settle(_OURSELVES, day)
        except (BackendUnavailable, BackendRejection) as error:
            self._late(day, error.reason, error)
        except RakeezaError as error:
            if error.retryable:
                raise
            # A file that cannot be read whole is no settlement.
            self._late(day, "unreadable", error)

    def _late(self, day: date, reason: str, error: RakeezaError) -> None:
        _log.warning("The settlement of %s: %s", day.isoformat(), error)
        wait = error.retry_after if isinstance(error, BackendUnavailable) else None
        with self._desk.database.transaction() as session:
            bill_settlements.late(session, day, reason, wait, self._desk.clock())

    def _settled_days(self) -> list[date]:
        # Of days that are over, and none from before the first bill was told: there is nothing to settle.
        with self._desk.database.transaction() as session:
            first = session.execute(text("SELECT min(made_at) FROM bill_upload")).scalar()
        if first is None:
            return []
        over = today(now=self._desk.clock())
        days = [over - timedelta(days=back) for back in range(_LOOKS_BACK, 0, -1)]
        return [day for day in days if day >= today(now=first)]

    def _is_idle(self, session: Session, job: str) -> bool:
        return session.execute(_UNDER_WAY, {"job": job}).scalar() is None

    def _known(self) -> Presenter:
        if self._presenter is None:
            raise NotFound(
                "There is no payment system to present bills.",
                place=f"backends.{BACKEND}",
                remedy=f"Add the section [backends.{BACKEND}] with the driver sadad to the settings.",
                message_ar="لم يُربط نظام لعرض الفواتير وسدادها.",
            )
        return self._presenter
