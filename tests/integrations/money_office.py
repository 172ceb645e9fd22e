"""An office that bills: the real engine, effects and desk of money, a small service with every turn."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from sqlalchemy import event, text

from foundation import audit
from foundation.database import Database
from foundation.definitions import Bilingual, parse_yaml
from foundation.identity import Caller
from foundation.jobs import Jobs
from foundation.personal import Vault
from foundation.registry import Registry
from foundation.settings import Platform, Settings
from foundation.working_time import DEFAULT, WorkingTime, load_calendars
from integrations.cases import case_store, fees, invoices, payments
from integrations.cases.application import Reader
from integrations.cases.case import Case, Work
from integrations.cases.definitions import Definitions
from integrations.cases.engine import Engine
from integrations.cases.payments import Notice
from integrations.desks.desk import Desk
from integrations.desks.licences import LicencesDesk as Licences
from integrations.desks.money import Money
from integrations.flow import Effect
from integrations.licences import outcomes
from integrations.licences.keyring import Keyring
from integrations.municipality import Municipality, Office
from integrations.service import Service

CENTRE = Caller("centre-1", "client", frozenset({"centre"}))
OTHER_CENTRE = Caller("centre-2", "client", frozenset({"centre"}))
BANK = Caller("bank", "client", frozenset({"payment"}))
FINANCE = Caller("huda", "person", frozenset({"finance"}))
SECOND = Caller("majed", "person", frozenset({"finance"}))
AUDITOR = Caller("auditor", "person", frozenset({"auditor"}))
APPLICANT = {
    "kind": "national_id",
    "identifier": "1058529940",
    "name": "نورة بنت عبدالعزيز القحطاني",
    "mobile": "+966501234567",
}
START = datetime(2026, 11, 22, 7, 0, tzinfo=UTC)
AMOUNT = "115.58"
"""What a case of 10 m² owes: 10.05 a square metre, and tax of 15 percent rounded up from 15.075."""

DEFINITION = """\
code: board
version: 1
title: {ar: لوحة, en: Board}
licence_title: {ar: رخصة لوحة, en: Board licence}
numbers: {case: BC, licence: BL}
applicant: {identifiers: [national_id], notices: false}
form:
  - {name: area, label: {ar: المساحة, en: Area}, type: number, min: 1, max: 100, decimals: 2,
     unit: {ar: م², en: m²}, example: 10}
  - {name: mosque, label: {ar: لمسجد, en: For a mosque}, type: boolean, example: false}
fees:
  - code: board
    title: {ar: رسم اللوحة, en: Board fee}
    unit: area
    vat: S
    rates:
      - effective_from: 2016-01-01
        effective_until: 2026-12-31
        by_class: {1: "10.05", 2: "8.00", 3: "6.00", 4: "4.00", 5: "2.00"}
        source: A sample for tests
      - effective_from: 2027-01-01
        by_class: {1: "20.00", 2: "8.00", 3: "6.00", 4: "4.00", 5: "2.00"}
        source: A sample for tests
    exemptions:
      - code: mosque
        title: {ar: إعفاء المساجد, en: Mosques are exempt}
        when: {field: mosque, equals: true}
        share: "1"
        effective_from: 2016-01-01
        source: A sample for tests
payment: {due_days: 5, late: LATE}
validity: {months: 6, calendar: gregorian}
retention: {years: 10}
flows:
  paid:
    states:
      asked: {title: {ar: مقدم, en: Asked}}
      priced: {title: {ar: مسعر, en: Priced}}
      billed: {title: {ar: مفوتر, en: Billed}}
      paused: {title: {ar: معلق, en: Paused}}
      paid: {title: {ar: مسدد, en: Paid}}
      done: {title: {ar: منفذ, en: Done}, final: true}
      dropped: {title: {ar: متروك, en: Dropped}, final: true}
    actions:
      - {name: ask, title: {ar: تقديم, en: Ask}, to: asked, roles: [centre]}
      - {name: price, title: {ar: حساب, en: Price}, from: [asked], to: priced, roles: [centre], effect: quote}
      - {name: pause, title: {ar: تعليق, en: Pause}, from: [billed], to: paused, roles: [centre]}
      - {name: resume, title: {ar: استئناف, en: Resume}, from: [paused], to: billed, roles: [centre]}
      - {name: again, title: {ar: إعادة, en: Again}, from: [billed], to: asked, roles: [centre],
         effect: void_bill}
      - {name: correct, title: {ar: تصحيح, en: Correct}, from: [priced], to: asked, roles: [centre],
         edits: "*"}
      - {name: bill, title: {ar: فوترة, en: Bill}, from: [priced], to: billed, roles: [centre],
         effect: invoice, when: {field: quote.free, equals: false}}
      - {name: pay, title: {ar: سداد, en: Pay}, from: [billed], to: paid, roles: [payment], effect: settle}
      - {name: hand, title: {ar: تسليم, en: Hand}, from: [paid], to: done, roles: [centre], effect: fulfil}
      - {name: gift, title: {ar: مجاني, en: Free}, from: [priced], to: done, roles: [centre], effect: fulfil,
         when: {field: quote.free, equals: true}}
      - {name: drop, title: {ar: ترك, en: Drop}, from: [billed], to: dropped, roles: [centre]}
      - {name: cancel, title: {ar: إلغاء, en: Cancel}, from: [billed], to: dropped, roles: [centre],
         effect: void_bill}
procedures:
  issue: {title: {ar: إصدار, en: Issue}, outcome: issue, flow: paid, form: [area, mosque], fees: [board]}
public: [area]
document: {lines: [area, applicant.name]}
"""


@dataclass
class MoneyOffice:
    """The office, its desk of money and its clock."""

    database: Database
    engine: Engine
    office: Office
    service: Service
    reader: Reader
    money: Money
    now: list[datetime] = field(default_factory=list)

    def pass_days(self, days: int) -> None:
        """Let some days go by."""
        self.now.append(self.now[-1] + timedelta(days=days))

    def ask(self, area: str = "10", mosque: bool = False) -> str:
        """Open a case; its number."""
        with self.database.transaction() as session:
            form = {"area": float(area), "mosque": mosque}
            application = self.reader.application(self.service, "issue", dict(APPLICANT), form)
            return self.engine.open(session, self.service, "issue", CENTRE, application, self.now[-1]).number

    def take(
        self, number: str, action: str, caller: Caller = CENTRE, form: Mapping[str, Any] | None = None
    ) -> Case:
        """Take an action, as the centre where nobody else is named."""
        with self.database.transaction() as session:
            case = case_store.locked(session, number)
            return self.engine.take(session, case, caller, self.now[-1], name=action, form=form)

    def clock(self, number: str) -> Case:
        """Let the clock look at a case."""
        with self.database.transaction() as session:
            return self.engine.time_passed(session, case_store.locked(session, number), self.now[-1])

    def billed(self, area: str = "10") -> tuple[str, str]:
        """Open a case and bill it; the numbers of the case and of the bill."""
        number = self.ask(area)
        self.take(number, "price")
        self.take(number, "bill")
        return number, self.bill_of(number)

    def bill_of(self, number: str) -> str:
        """Number of the newest bill of a case."""
        with self.database.transaction() as session:
            found = invoices.newest_invoice(session, case_store.find(session, number))
        assert found is not None
        return found.bill_number

    def pay(self, bill: str, amount: str, reference: str, **words: Any) -> dict[str, Any]:
        """Notify a payment; what became of it."""
        notice = Notice(bill, Decimal(amount), words.pop("paid_at", self.now[-1]), reference, **words)
        return self.money.notify(BANK, notice, key()).body

    def void_paid(self, number: str) -> dict[str, Any]:
        """Void the settled bill of a case, which no flow does by itself; what it says."""
        with self.database.transaction() as session:
            case = case_store.locked(session, number)
            work = Work(session, case, self.service, self.office, CENTRE, self.now[-1], {}, {})
            return dict(invoices.void_bill(work))

    def sent_refund(self) -> int:
        """Pay a bill with r-1 and 4.42 too much, which leave again under out-1; number of the refund."""
        _, bill = self.billed()
        self.pay(bill, "120.00", "r-1")
        (refund,) = self.refunds()
        self.money.approve_refund(FINANCE, refund["id"], key())
        self.money.refund_sent(SECOND, refund["id"], "out-1", key())
        return int(refund["id"])

    def state(self, number: str) -> str:
        """State of a case."""
        with self.database.transaction() as session:
            return case_store.find(session, number).state

    def bill(self, number: str) -> dict[str, Any]:
        """A bill with its payments and refunds."""
        return self.money.bill(FINANCE, number)

    def refunds(self, state: str | None = None) -> list[dict[str, Any]]:
        """Refunds, oldest first."""
        return _all(lambda after: self.money.refunds(AUDITOR, after, state=state))

    def waiting(self) -> list[dict[str, Any]]:
        """Payments that wait for a person, oldest first."""
        return _all(lambda after: self.money.waiting(AUDITOR, after))

    def balances(self) -> dict[str, Decimal]:
        """Balance of each account."""
        found = self.money.balance(AUDITOR)
        assert found["debit"] == found["credit"]
        return {row["account"]: Decimal(row["balance"]) for row in found["accounts"]}

    def sum(self, query: str) -> Decimal:
        """The one number that a query gives; nothing is zero."""
        with self.database.transaction() as session:
            return Decimal(session.execute(text(query)).scalar() or 0)

    def journal(self, chain: str) -> list[tuple[str, dict[str, Any]]]:
        """Actions and details of a chain."""
        with self.database.transaction() as session:
            return [(entry.action, dict(entry.details)) for entry in audit.entries(session, chain)]

    def events(self, kind: str) -> list[dict[str, Any]]:
        """Payloads of one kind of event, in order."""
        query = text("SELECT payload FROM event WHERE kind = :kind ORDER BY id")
        with self.database.transaction() as session:
            return list(session.execute(query, {"kind": kind}).scalars())

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """The statements sent while this holds."""
        sent: list[str] = []

        def note(_conn: Any, _cursor: Any, statement: str, *_: Any) -> None:
            sent.append(statement)

        event.listen(self.database.engine, "before_cursor_execute", note)
        yield sent
        event.remove(self.database.engine, "before_cursor_execute", note)


def _all(page: Callable[[str | None], dict[str, Any]]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    found = page(None)
    while found["next"] is not None:
        items += found["items"]
        found = page(found["next"])
    return [*items, *found["items"]]


def key() -> str:
    """A key that no other write has."""
    return str(uuid.uuid4())


def open_money_office(database: Database, folder: Path, late: str = "accept") -> MoneyOffice:
    """An office whose secrets lie in a folder.

    Args:
        late: what the service does with late payments, "accept" or "refund".
    """
    service = parse_yaml(DEFINITION.replace("LATE", late), "board.yaml", Service)
    services: Registry[Service] = Registry("service")
    services.add(service.code, service, "board.yaml")
    settings = Settings(platform=Platform(folder=folder))
    secrets = settings.secrets()
    calendar = load_calendars().get(DEFAULT)
    office = Office(
        lambda _: Municipality("sample", Bilingual(ar="أمانة نموذجية", en="Sample Municipality"), 1),
        Keyring(settings, secrets),
        Jobs(database),
        Vault(secrets),
        lambda *_, **__: WorkingTime(calendar),
    )
    definitions, reader = Definitions(services), Reader()
    effects: dict[Effect, Any] = {
        "quote": fees.make_quote,
        "invoice": invoices.open_invoice,
        "settle": payments.settle,
        "void_bill": invoices.void_bill,
        "fulfil": outcomes.fulfil,
    }
    engine = Engine(definitions, office, effects, reader)
    now = [START]
    desk = Desk(database, definitions, engine, office, lambda: now[-1])
    Licences(desk, settings)
    return MoneyOffice(database, engine, office, service, reader, Money(desk), now)
