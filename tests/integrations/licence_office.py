"""An office that issues at once and free of charge: the real engine and every outcome, without money.

Three services hang on one another: a stall, the sign on it, the lamp on the sign.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation import audit
from foundation.calendar import today
from foundation.database import Database
from foundation.definitions import Bilingual, parse_yaml
from foundation.errors import Conflict
from foundation.identity import Caller
from foundation.jobs import Jobs
from foundation.personal import Vault
from foundation.registry import Registry
from foundation.settings import Licences, Platform, Settings
from foundation.wire.credential import KeySet, SigningKey, licence_key
from foundation.working_time import DEFAULT, Closure, WorkingTime, load_calendars
from integrations.cases import case_store
from integrations.cases.application import Reader
from integrations.cases.case import Case
from integrations.cases.definitions import Definitions
from integrations.cases.engine import Engine
from integrations.desks.desk import Desk
from integrations.desks.licences import LicencesDesk
from integrations.licences import licence as licences
from integrations.licences import outcomes
from integrations.licences.keyring import Keyring
from integrations.licences.licence import Licence
from integrations.municipality import Municipality, Office
from integrations.service import Service

CENTRE = Caller("centre-1", "client", frozenset({"centre"}))
OTHER_CENTRE = Caller("centre-2", "client", frozenset({"centre"}))
REVIEWER = Caller("reviewer", "person", frozenset({"reviewer"}))
AUDITOR = Caller("auditor", "person", frozenset({"auditor"}))

OWNER = {
    "kind": "national_id",
    "identifier": "1058529940",
    "name": "نورة بنت عبدالعزيز القحطاني",
    "mobile": "+966501234567",
}
BUYER = {
    "kind": "national_id",
    "identifier": "1001244019",
    "name": "عبدالله بن سعد",
    "mobile": "+966559876543",
}
KEEPER = "سعد بن محمد الشهري"
FORMS: dict[str, dict[str, Any]] = {
    "stall": {"name": "بسطة الندى", "years": 1, "keeper": KEEPER},
    "sign": {"name": "لوحة الندى"},
    "lamp": {"name": "مصباح"},
}
START = datetime(2026, 11, 22, 7, 0, tzinfo=UTC)

_OFFICE = ("correct", "void", "suspend", "reinstate", "revoke")
_FORMS = {"renew": "[{years}]", "amend": "[name]", "correct": "[name, keeper]", "transfer": "[new_holder]"}
_WINDOWS = {
    "renew": "{statuses: [valid, expired], from_days_before_end: 30, until_days_after_end: 90}",
    "excuse": "{statuses: [expired]}",
    "void": "{statuses: [valid], same_day: true}",
    "close": "{statuses: [valid, suspended, expired]}",
    "revoke": "{statuses: [valid, suspended, expired]}",
    "reinstate": "{statuses: [suspended]}",
    "uphold": "{statuses: [suspended, revoked], within_days: 60}",
    "correct": "{statuses: [valid, suspended]}",
}
_ALL = (
    "renew", "amend", "transfer", "correct", "copy", "void", "suspend", "reinstate", "revoke", "close",
    "uphold", "excuse",
)  # fmt: skip


def _procedure(name: str, years: str) -> str:
    by_office = "flow: decided, initiator: office, channels: [office]"
    taken = by_office if name in _OFFICE else "flow: at_once, channels: [centre]"
    form = _FORMS.get(name, "[]").format(years=years)
    window = _WINDOWS.get(name, "{statuses: [valid]}")
    title = f"{{ar: إجراء, en: {name.title()}}}"
    return f"  {name}: {{title: {title}, outcome: {name}, {taken}, form: {form}, on: {window}}}\n"


def definition(
    code: str, prefix: str, parent: str = "", validity: str = "{years: years, calendar: umm_al_qura}"
) -> str:
    """A service in YAML, with a procedure for every outcome."""
    years = "years" if "years: years" in validity else "name"
    procedures = "".join(_procedure(name, years) for name in _ALL)
    asked = "[name, years, keeper]" if years == "years" else "[name, keeper]"
    form = "" if years == "name" else _YEARS
    return f"""\
code: {code}
version: 1
title: {{ar: خدمة {code}, en: Service {code}}}
licence_title: {{ar: رخصة {code}, en: Licence {code}}}
numbers: {{case: {prefix}C, licence: {prefix}L}}
applicant: {{identifiers: [national_id, iqama], notices: false}}
form:
  - {{name: name, label: {{ar: الاسم, en: Name}}, type: text, max_length: 200, example: بسطة}}
  - {{name: keeper, label: {{ar: الحارس, en: Keeper}}, type: text, max_length: 80, required: false,
      personal: true, example: سعد}}
  - {{name: new_holder, label: {{ar: المرخص له الجديد, en: New holder}}, type: party,
      example: {{kind: national_id, identifier: "1001244019", name: عبدالله, mobile: "+966501234567"}}}}
{form}payment: {{due_days: 5}}
validity: {validity}
{parent}retention: {{years: 10}}
flows:
  at_once:
    states:
      asked: {{title: {{ar: مقدم, en: Asked}}}}
      done: {{title: {{ar: منفذ, en: Done}}, final: true}}
    actions:
      - {{name: ask, title: {{ar: تقديم, en: Ask}}, to: asked, roles: [centre]}}
      - {{name: do, title: {{ar: تنفيذ, en: Do}}, from: [asked], to: done, automatic: true, effect: fulfil}}
  decided:
    states:
      opened: {{title: {{ar: مفتوح, en: Opened}}}}
      done: {{title: {{ar: منفذ, en: Done}}, final: true}}
    actions:
      - {{name: open, title: {{ar: فتح, en: Open}}, to: opened, roles: [reviewer]}}
      - {{name: do, title: {{ar: تنفيذ, en: Do}}, from: [opened], to: done, automatic: true, effect: fulfil}}
procedures:
  issue: {{title: {{ar: إصدار, en: Issue}}, outcome: issue, flow: at_once, form: {asked}}}
{procedures}public: [name]
document: {{lines: [name, applicant.name, keeper]}}
"""


_YEARS = "  - {name: years, label: {ar: السنوات, en: Years}, type: integer, min: 1, max: 60, example: 1}\n"
STALL = definition("stall", "ST")
SIGN = definition(
    "sign", "SG", "parent: {service: stall, remaining_months: 3}\n", "{months: 6, calendar: gregorian}"
)
LAMP = definition(
    "lamp", "LA", "parent: {service: sign, remaining_months: 0}\n", "{months: 60, calendar: gregorian}"
)


@dataclass
class LicenceOffice:
    """The office and its clock."""

    database: Database
    engine: Engine
    office: Office
    services: Registry[Service]
    desk: LicencesDesk
    key: SigningKey
    reader: Reader
    closures: list[Closure]
    now: list[datetime] = field(default_factory=lambda: [START])

    def pass_days(self, days: int) -> None:
        """Let some days go by."""
        self.now.append(self.now[-1] + timedelta(days=days))

    def open(
        self,
        session: Session,
        service: str,
        procedure: str,
        *,
        licence: str | None = None,
        parent: str | None = None,
        form: Mapping[str, Any] | None = None,
        applicant: Mapping[str, str] = OWNER,
        caller: Caller = CENTRE,
    ) -> Case:
        """Open a case in a transaction; what follows by itself fulfils it."""
        what = self.services.get(service)
        office = what.procedures[procedure].initiator == "office"
        asked = form if form is not None else (FORMS[service] if procedure == "issue" else {})
        application = self.reader.application(what, procedure, None if office else applicant, dict(asked))
        above = licences.of_number(session, parent, lock=True) if parent else None
        about = licences.of_number(session, licence, lock=True) if licence else None
        return self.engine.open(
            session,
            what,
            procedure,
            REVIEWER if office else caller,
            application,
            self.now[-1],
            licence=about,
            parent=above,
        )

    def do(self, service: str, procedure: str, **words: Any) -> Licence:
        """Fulfil a procedure; the licence as it is then."""
        with self.database.transaction() as session:
            case = self.open(session, service, procedure, **words)
            assert case.licence_id is not None
            assert case.state == "done"
            return licences.by_id(session, case.licence_id)

    def on(self, licence: Licence, procedure: str, **words: Any) -> Licence:
        """Fulfil a procedure on a licence; the licence as it is then."""
        return self.do(licence.service, procedure, licence=licence.number, **words)

    def refused(self, licence: Licence, procedure: str, **words: Any) -> Conflict:
        """The refusal of a procedure on a licence; nothing was changed by it."""
        before = self.read(licence)
        with pytest.raises(Conflict) as caught:
            self.on(licence, procedure, **words)
        assert caught.value.message_ar
        assert self.read(licence) == before
        return caught.value

    def read(self, licence: Licence) -> Licence:
        """A licence as it is now."""
        with self.database.transaction() as session:
            return licences.by_id(session, licence.id)

    def family(self) -> tuple[Licence, Licence, Licence]:
        """A stall of three years, a sign on it, a lamp on the sign."""
        stall = self.do("stall", "issue", form={**FORMS["stall"], "years": 3})
        sign = self.do("sign", "issue", parent=stall.number)
        return stall, sign, self.do("lamp", "issue", parent=sign.number)

    def standing(self, *of: Licence) -> list[tuple[Any, ...]]:
        """How licences stand: everything that a change of standing changes."""
        now = [self.read(each) for each in of]
        return [
            (each.status, each.status_since, each.status_reason, each.with_parent, each.standings)
            for each in now
        ]

    def events(self, subject: str) -> list[tuple[str, dict[str, Any]]]:
        """What was published of a subject, in order."""
        query = text("SELECT kind, payload FROM event WHERE subject = :subject ORDER BY id")
        with self.database.transaction() as session:
            return [(row.kind, row.payload) for row in session.execute(query, {"subject": subject})]

    def chain(self, licence: Licence) -> list[tuple[str, dict[str, Any]]]:
        """Actions and details of a licence's own chain."""
        with self.database.transaction() as session:
            found = audit.entries(session, licence.context)
            return [(entry.action, entry.details) for entry in found]

    def journal(self, case: str) -> dict[str, Any]:
        """Details of the last entry of a case's chain."""
        with self.database.transaction() as session:
            number = case_store.find(session, case).context
            return dict(audit.entries(session, number)[-1].details)

    def count(self, table: str) -> int:
        """Rows of a table."""
        with self.database.transaction() as session:
            return int(session.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())

    def work_off(self) -> None:
        """Run a worker until no job waits."""
        waiting = "procrastinate_jobs WHERE status IN ('todo', 'doing')"
        self.office.jobs.work(stop=lambda: self.count(waiting) == 0)

    def keys(self) -> KeySet:
        """Who verifies has these."""
        return self.desk.public_keys()

    @property
    def day(self) -> Any:
        """The date."""
        return today(now=self.now[-1])


def open_licence_office(database: Database, folder: Path, *definitions: str) -> LicenceOffice:
    """An office whose secrets lie in a folder."""
    services: Registry[Service] = Registry("service")
    for written in definitions or (STALL, SIGN, LAMP):
        service = parse_yaml(written, "test.yaml", Service)
        services.add(service.code, service, "test.yaml")
    settings = Settings(platform=Platform(folder=folder), licences=Licences())
    secrets = settings.secrets()
    # What the ring takes over as its first.
    key = licence_key(secrets, "sample")
    closures: list[Closure] = []
    calendar = load_calendars().get(DEFAULT)
    jobs = Jobs(database)
    office = Office(
        lambda _: Municipality("sample", Bilingual(ar="أمانة نموذجية", en="Sample Municipality"), 1),
        Keyring(settings, secrets, cache_s=3600),
        jobs,
        Vault(secrets),
        lambda *_, **__: WorkingTime(calendar, closures),
    )
    reader = Reader()
    known = Definitions(services)
    engine = Engine(known, office, {"fulfil": outcomes.fulfil}, reader)
    now = [START]
    desk = Desk(database, known, engine, office, lambda: now[-1])
    return LicenceOffice(
        database, engine, office, services, LicencesDesk(desk, settings), key, reader, closures, now
    )
