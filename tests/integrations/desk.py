"""A licensing office for tests: the real class on a real database, a clock of ours, callers of each role."""

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import text

from foundation.database import Database
from foundation.idempotency import Answer
from foundation.identity import Caller
from foundation.jobs import Jobs
from foundation.secret import SecretFile
from foundation.settings import Licences, Platform, Settings
from integrations.cases.invoices import Notice
from integrations.licensing import Licensing
from integrations.service import load_services

NATIONAL_ID = "1058529940"
MOBILE = "+966501234567"
OWNER = "نورة بنت عبدالعزيز القحطاني"
MANAGER = "سعد بن محمد الشهري"
PERSONAL = (NATIONAL_ID, MOBILE, OWNER, MANAGER)

APPLICANT = {"kind": "national_id", "identifier": NATIONAL_ID, "name": OWNER, "mobile": MOBILE}
FORM: dict[str, Any] = {
    "trade_name": "مخبز الندى",
    "commercial_register": "4030123456",
    "activity": "107101",
    "area_m2": 120.5,
    "years": 1,
    "district": "حي الروضة",
    "street": "شارع الأمير سلطان",
    "building_number": "7214",
    "postal_code": "23434",
    "manager_name": MANAGER,
}
REVIEWED = {**FORM, "activity": "561010"}

CENTRE = Caller("centre-1", "client", frozenset({"centre"}))
OTHER_CENTRE = Caller("centre-2", "client", frozenset({"centre"}))
BANK = Caller("bank", "client", frozenset({"payment"}))
REVIEWER = Caller("reviewer", "person", frozenset({"reviewer"}))
KIOSK = Caller("kiosk-1", "client", frozenset({"kiosk"}))


class Keyed:
    """The office's writes, each with a new Idempotency-Key where none is given."""

    def __init__(self, licensing: Licensing) -> None:
        self._licensing = licensing

    def submit(
        self, caller: Caller, service: str, applicant: Any, form: Any, key: str | None = None
    ) -> Answer:
        return self._licensing.submit(caller, service, applicant, form, key or new_key())

    def quote(
        self, caller: Caller, number: str, key: str | None = None, version: int | None = None
    ) -> Answer:
        return self._licensing.quote(caller, number, key or new_key(), version)

    def invoice(
        self, caller: Caller, number: str, key: str | None = None, version: int | None = None
    ) -> Answer:
        return self._licensing.invoice(caller, number, key or new_key(), version)

    def decide(
        self, caller: Caller, number: str, action: str, key: str | None = None, version: int | None = None
    ) -> Answer:
        return self._licensing.decide(caller, number, action, key or new_key(), version)


def new_key() -> str:
    """A key that no other write has."""
    return str(uuid.uuid4())


@dataclass
class Desk:
    """The office and its clock."""

    licensing: Licensing
    database: Database
    jobs: Jobs
    settings: Settings
    now: list[datetime] = field(default_factory=list)

    @property
    def do(self) -> Keyed:
        """Writes."""
        return Keyed(self.licensing)

    def submit(self, form: dict[str, Any] = FORM, key: str | None = None) -> str:
        """Open a case; its number."""
        return str(self.do.submit(CENTRE, "shop_licence", APPLICANT, form, key).body["number"])

    def billed(self, form: dict[str, Any] = FORM) -> tuple[str, dict[str, Any]]:
        """Open a case and bill it; its number and the bill."""
        number = self.submit(form)
        if form is REVIEWED:
            self.do.decide(REVIEWER, number, "approve")
        self.do.quote(CENTRE, number)
        return number, self.do.invoice(CENTRE, number).body

    def pay(self, bill: str, amount: str, reference: str = "ref-1", key: str | None = None) -> dict[str, Any]:
        """Notify a payment; the answer."""
        return self.pay_as(BANK, bill, Decimal(amount), reference, key)

    def pay_as(
        self, caller: Caller, bill: str, amount: Decimal, reference: str, key: str | None = None
    ) -> dict[str, Any]:
        """Notify a payment as any caller; the answer."""
        notice = Notice(bill, amount, datetime(2026, 11, 22, 9, tzinfo=UTC), reference)
        body: dict[str, Any] = self.licensing.payment_notified(caller, notice, key or new_key()).body
        return body

    def issued(self, form: dict[str, Any] = FORM, reference: str = "ref-1") -> tuple[str, str]:
        """Take a case to its licence; the numbers of both."""
        number, bill = self.billed(form)
        self.pay(bill["bill_number"], bill["amount"], reference)
        return number, str(self.licensing.case(CENTRE, number)["licence"])

    def work_off(self) -> None:
        """Run a worker until no job waits."""
        self.jobs.work(stop=lambda: self.waiting() == 0)

    def waiting(self) -> int:
        """Jobs that are not ended."""
        return self.count("procrastinate_jobs WHERE status IN ('todo', 'doing')")

    def count(self, table: str) -> int:
        """Rows of a table."""
        with self.database.transaction() as session:
            return int(session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())

    def state(self, number: str) -> str:
        """State of a case."""
        return str(self.licensing.case(REVIEWER, number)["state"])


def open_desk(database: Database, folder: Path, definitions: tuple[Path, ...] = (), **platform: Any) -> Desk:
    """An office whose files lie in a folder."""
    settings = Settings(platform=Platform(folder=folder, **platform), licences=Licences(folders=definitions))
    now = [datetime(2026, 11, 22, 7, 0, tzinfo=UTC)]
    clock: Callable[[], datetime] = lambda: now[-1]  # noqa: E731 -- one line that shows what the clock is
    jobs = Jobs(database)
    secrets = SecretFile(folder / "secrets.json", folder / "secrets.key")
    licensing = Licensing(database, jobs, settings, secrets, load_services(definitions), clock)
    return Desk(licensing, database, jobs, settings, now)
