"""Licensing: the composition of all that cases and licences need, one attribute a desk.

Every face (REST, the command line, a kiosk's REST client) calls the desks. A write is one transaction: the
idempotency key, the action and all it causes. The same key for the same request gets the same answer.
"""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from sqlalchemy.orm import Session

from foundation import idempotency
from foundation.assets import Assets, Kind
from foundation.database import Database
from foundation.definitions import Bilingual
from foundation.errors import NotFound, Unavailable
from foundation.jobs import Jobs
from foundation.personal import Vault
from foundation.registry import Registry
from foundation.secret import SecretFile
from foundation.settings import Settings
from foundation.working_time import DEFAULT, load_calendars
from integrations.bill_presentment import open_presenter
from integrations.cases import fees, invoices, notices, payments, stays
from integrations.cases.application import Reader
from integrations.cases.definitions import Definitions
from integrations.cases.engine import Engine
from integrations.cases.moves import Effects
from integrations.desks.bills import BillsDesk
from integrations.desks.cases import Cases
from integrations.desks.centres import CentresDesk
from integrations.desks.closures import follow_closures
from integrations.desks.desk import Desk
from integrations.desks.files import FilesDesk
from integrations.desks.inbox import InboxDesk
from integrations.desks.licences import LicencesDesk
from integrations.desks.money import Money
from integrations.desks.outside import Outside
from integrations.desks.people import PeopleDesk
from integrations.desks.settlements import SettlementsDesk
from integrations.desks.shifts import ShiftsDesk
from integrations.licences import outcomes
from integrations.licences.keyring import Keyring
from integrations.licences.reissue import REISSUE_JOB, Reissue
from integrations.licences.signing_keys import keep_here
from integrations.municipality import Municipality, Office, OfficeHours
from integrations.service import Service

KEPT_ANSWERS = timedelta(days=30)
"""How long a write may be repeated under its key."""

_AT_ONCE = 1_000
_EVENTS_AT_ONCE = 5_000
# Of a hundred cases each: a closure that touches all cases of a town must not hold up the rest of a round.
_BATCHES_AT_ONCE = 100

_EFFECTS: Effects = {
    "quote": fees.make_quote,
    "invoice": invoices.open_invoice,
    "settle": payments.settle,
    "void_bill": invoices.void_bill,
    "fulfil": outcomes.fulfil,
}

_log = logging.getLogger(__name__)
Value = TypeVar("Value")


class Licensing:
    """Cases and licences of one municipality; `desk` is what all its desks share.

    Args:
        database: migrated.
        jobs: takes the work for later; every desk's handlers are registered with it.
        settings: who issues, back-ends, public address, fonts.
        secrets: holds the signing key and the keys of personal data; they are made on first use.
        services: the definitions.
        clock: the present moment, aware.
        cache_s: seconds for which the municipality's class and the office's closures may be believed before
            they are read again.
    """

    def __init__(
        self,
        database: Database,
        jobs: Jobs,
        settings: Settings,
        secrets: SecretFile,
        services: Registry[Service],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        cache_s: float = 1.0,
    ) -> None:
        self._database = database
        self._settings = settings
        self._clock = clock
        self._cache_s = cache_s
        self.services = services
        office = Office(
            municipality=_Believed(self._municipality, cache_s),
            keys=Keyring(settings, secrets, cache_s=cache_s),
            jobs=jobs,
            vault=Vault(secrets),
            working_time=OfficeHours(load_calendars().get(DEFAULT), clock, cache_s),
            notices=notices.BACKEND in settings.backends,
            public_url=settings.http.public_url,
        )
        definitions, reader = Definitions(services), Reader()
        self.desk = desk = Desk(
            database, definitions, Engine(definitions, office, _EFFECTS, reader), office, clock
        )
        self.cases = Cases(desk, reader)
        self.inbox = InboxDesk(desk)
        self.files = FilesDesk(desk)
        self.people = PeopleDesk(desk)
        self.money = Money(desk)
        self.bills = BillsDesk(desk, self.money, open_presenter(settings, secrets, clock))
        self.centres = CentresDesk(desk)
        self.settlements = SettlementsDesk(desk)
        self.shifts = ShiftsDesk(desk)
        self.licences = LicencesDesk(desk, settings)
        self._reissue = Reissue(database, office, clock)
        jobs.register(REISSUE_JOB, self._reissue.step)
        self.outside = Outside(desk, settings, secrets)

    def rounds(self, stop: Callable[[], bool] = lambda: False) -> None:
        """What the worker does each round: deadlines, lost jobs, times in state, data and answers to forget.

        Args:
            stop: asked between the parts, and within those that may be long; what is left, the next round
                does.

        Raises:
            Unavailable: PostgreSQL does not answer; the next round goes on.
        """
        steps: tuple[Callable[[], object], ...] = (
            lambda: self._follow_closures(stop),
            lambda: self.cases.time_passed(_AT_ONCE),
            self.licences.resume,
            self._reissue.follow,
            lambda: keep_here(self._database, self._settings.platform.folder),
            self.outside.resume,
            self.bills.follow,
            lambda: self.people.retain(_AT_ONCE),
            lambda: self._gather_stays(stop),
            self._expire,
        )
        for step in steps:
            if stop():
                return
            try:
                step()
            except Unavailable:
                raise
            except Exception:  # noqa: BLE001 -- logged with its trace
                # A fault of one must not keep the others from being done.
                _log.exception("A part of this round failed.")

    def _follow_closures(self, stop: Callable[[], bool]) -> None:
        # Whoever believed the closures of before has written what he reckoned by then.
        settled = timedelta(seconds=2 * self._cache_s)
        for _ in range(_BATCHES_AT_ONCE):
            if stop() or not follow_closures(self.desk, settled=settled):
                return

    def _gather_stays(self, stop: Callable[[], bool]) -> None:
        while stays.gather(self._database, _EVENTS_AT_ONCE) == _EVENTS_AT_ONCE and not stop():
            pass

    def _expire(self) -> None:
        with self._database.transaction() as session:
            idempotency.expire(session, KEPT_ANSWERS)

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


class _Believed(Generic[Value]):
    """What was read is believed for a moment: every action asks, and it changes once in years."""

    def __init__(self, read: Callable[[Session], Value], seconds: float) -> None:
        self._read = read
        self._seconds = seconds
        self._known: tuple[float, Value] | None = None

    def __call__(self, session: Session) -> Value:
        known = self._known
        if known is not None and time.monotonic() - known[0] < self._seconds:
            return known[1]
        value = self._read(session)
        self._known = (time.monotonic(), value)
        return value
