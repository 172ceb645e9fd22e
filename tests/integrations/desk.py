"""A licensing office for tests: the real class on a real database, a clock of ours, callers of each role."""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import text

from foundation import audit
from foundation.database import Database
from foundation.idempotency import Answer
from foundation.identity import Caller
from foundation.jobs import Jobs
from foundation.secret import SecretFile
from foundation.settings import Backend, Licences, Platform, Settings, Webhooks
from integrations.cases.payments import Notice
from integrations.licensing import Licensing
from integrations.service import load_services

DEFINITIONS = Path(__file__).parent / "definitions"

NATIONAL_ID = "1058529940"
MOBILE = "+966501234567"
OWNER = "نورة بنت عبدالعزيز القحطاني"
MANAGER = "سعد بن محمد الشهري"
PERSONAL = (NATIONAL_ID, MOBILE, OWNER, MANAGER)

APPLICANT = {"kind": "national_id", "identifier": NATIONAL_ID, "name": OWNER, "mobile": MOBILE}
OTHER_APPLICANT = {
    "kind": "national_id",
    "identifier": "1001244019",
    "name": "عبدالله بن سعد العتيبي",
    "mobile": "+966507654321",
}
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
# A Sunday morning in Riyadh.
OPENS = datetime(2026, 11, 22, 7, 0, tzinfo=UTC)

CENTRE = Caller("centre-1", "client", frozenset({"centre"}))
OTHER_CENTRE = Caller("centre-2", "client", frozenset({"centre"}))
BANK = Caller("bank", "client", frozenset({"payment"}))
KIOSK = Caller("kiosk-1", "client", frozenset({"kiosk"}))
REVIEWER = Caller("reviewer", "person", frozenset({"reviewer"}))
REVIEWER_HERE = Caller("reviewer-2", "person", frozenset({"reviewer"}), frozenset({FORM["district"]}))
REVIEWER_ELSEWHERE = Caller("reviewer-3", "person", frozenset({"reviewer"}), frozenset({"حي الملز"}))
SUPERVISOR = Caller("supervisor", "person", frozenset({"supervisor"}))
INSPECTOR = Caller("inspector", "person", frozenset({"inspector"}))
OBJECTIONS = Caller("objections", "person", frozenset({"objections"}))
FINANCE = Caller("finance", "person", frozenset({"finance"}))
FINANCE_2 = Caller("finance-2", "person", frozenset({"finance"}))
PRIVACY = Caller("privacy", "person", frozenset({"privacy"}))
AUDITOR = Caller("auditor", "person", frozenset({"auditor"}))
ADMINISTRATOR = Caller("administrator", "person", frozenset({"administrator"}))
SYSTEM = Caller("rakeeza", "system", frozenset())

# The least that is each: what a file is, is judged by its content.
PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
    b"\x00\x00\x00\rIDATx\x9cc\xf8\xcf\xc0\xf0\x1f\x00\x05\x00\x01\xff\x89\x99=\x1d\x00\x00\x00\x00IEND\xaeB`\x82"
)


def new_key() -> str:
    """A key that no other write has."""
    return str(uuid.uuid4())


def message(
    form: Mapping[str, Any] = FORM,
    service: str = "shop_licence",
    applicant: Mapping[str, Any] | None = APPLICANT,
    **parts: Any,
) -> dict[str, Any]:
    """An application; further parts are `procedure`, `licence`, `parent`."""
    said = {} if applicant is None else {"applicant": dict(applicant)}
    return {"service": service, **parts, **said, "form": dict(form)}


class Keyed:
    """The office's writes, each with a new Idempotency-Key where none is given."""

    def __init__(self, licensing: Licensing) -> None:
        self._licensing = licensing

    def submit(self, caller: Caller, said: Mapping[str, Any], key: str | None = None) -> Answer:
        return self._licensing.cases.submit(caller, said, key or new_key())

    def quote(
        self, caller: Caller, number: str, key: str | None = None, version: int | None = None
    ) -> Answer:
        return self._licensing.cases.quote(caller, number, key or new_key(), version)

    def invoice(
        self, caller: Caller, number: str, key: str | None = None, version: int | None = None
    ) -> Answer:
        return self._licensing.cases.invoice(caller, number, key or new_key(), version)

    def take(
        self,
        caller: Caller,
        number: str,
        action: str,
        key: str | None = None,
        version: int | None = None,
        comment: str | None = None,
        form: Mapping[str, Any] | None = None,
    ) -> Answer:
        return self._licensing.cases.take(caller, number, action, key or new_key(), version, comment, form)

    def put(self, caller: Caller, number: str, code: str, data: bytes = PNG) -> Answer:
        return self._licensing.files.put(caller, number, code, f"{code}.png", data, new_key())


@dataclass
class Desk:
    """The office and its clock.

    Args:
        now: the clock; its last moment is the present one.
    """

    licensing: Licensing
    database: Database
    jobs: Jobs
    settings: Settings
    now: list[datetime] = field(default_factory=list)

    @property
    def do(self) -> Keyed:
        """Writes."""
        return Keyed(self.licensing)

    def later(self, **span: float) -> datetime:
        """Let the clock go on, as `timedelta` has it; the present moment then."""
        self.now.append(self.now[-1] + timedelta(**span))
        return self.now[-1]

    def submit(self, form: Mapping[str, Any] = FORM, key: str | None = None, **parts: Any) -> str:
        """Open a case; its number."""
        return str(self.do.submit(CENTRE, message(form, **parts), key).body["number"])

    def show_all(self, number: str) -> None:
        """Hand in every document that a case needs, as a picture."""
        for asked in self.case(number)["documents"]:
            if asked["required"]:
                self.do.put(CENTRE, number, asked["code"])

    def approved(self, form: Mapping[str, Any] = REVIEWED, **parts: Any) -> str:
        """Open a case that is reviewed, and approve it; its number."""
        number = self.submit(form, **parts)
        self.show_all(number)
        self.do.take(REVIEWER, number, "approve")
        return number

    def billed(self, form: Mapping[str, Any] = FORM, **parts: Any) -> tuple[str, dict[str, Any]]:
        """Open a case and bill it; its number and the bill."""
        number = self.submit(form, **parts)
        if self.state(number) == "under_review":
            self.show_all(number)
            self.do.take(REVIEWER, number, "approve")
        self.do.quote(CENTRE, number)
        return number, self.do.invoice(CENTRE, number).body

    def pay(self, bill: str, amount: str, reference: str = "ref-1", key: str | None = None) -> dict[str, Any]:
        """Notify a payment; the answer."""
        return self.pay_as(BANK, bill, Decimal(amount), reference, key)

    def pay_as(
        self, caller: Caller, bill: str, amount: Decimal, reference: str, key: str | None = None
    ) -> dict[str, Any]:
        """Notify a payment as any caller; the answer."""
        notice = Notice(bill, amount, self.now[-1], reference)
        body: dict[str, Any] = self.licensing.money.notify(caller, notice, key or new_key()).body
        return body

    def issued(
        self, form: Mapping[str, Any] = FORM, reference: str = "ref-1", **parts: Any
    ) -> tuple[str, str]:
        """Take a case to its licence; the numbers of both."""
        number, bill = self.billed(form, **parts)
        self.pay(bill["bill_number"], bill["amount"], reference)
        return number, str(self.case(number)["licence"])

    def case(self, number: str) -> dict[str, Any]:
        """A case, as an auditor sees it."""
        return self.licensing.cases.case(AUDITOR, number)

    def state(self, number: str) -> str:
        """State of a case."""
        return str(self.case(number)["state"])

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

    def breaks(self) -> list[audit.Break]:
        """Where the audit's chains are not whole."""
        with self.database.transaction() as session:
            return audit.verify(session)


def open_desk(
    database: Database,
    folder: Path,
    definitions: tuple[Path, ...] = (),
    *,
    backends: Mapping[str, Backend] | None = None,
    cache_s: float = 0.0,
    **platform: Any,
) -> Desk:
    """An office whose files lie in a folder.

    Args:
        definitions: folders with more services.
        backends: by name, as the settings have them.
        cache_s: as `Licensing` takes it; with 0 what a test writes down of the town holds at once.
        platform: options of the settings' section `platform`.
    """
    settings = Settings(
        platform=Platform(folder=folder, **platform),
        licences=Licences(folders=definitions),
        backends=dict(backends or {}),
        webhooks=Webhooks(allow_private=True),
    )
    now = [OPENS]
    clock: Callable[[], datetime] = lambda: now[-1]  # noqa: E731 -- one line that shows what the clock is
    jobs = Jobs(database)
    secrets = SecretFile(folder / "secrets.json", folder / "secrets.key")
    licensing = Licensing(database, jobs, settings, secrets, load_services(definitions), clock, cache_s)
    return Desk(licensing, database, jobs, settings, now)
