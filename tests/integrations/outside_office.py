"""An office that asks a registry before it issues: the real engine, jobs and desk, and a registry process."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text

from foundation import audit
from foundation.database import Database
from foundation.definitions import Bilingual, parse_yaml
from foundation.identity import Caller
from foundation.jobs import Jobs
from foundation.outgoing import Outgoing
from foundation.personal import Vault
from foundation.registry import Registry as Services
from foundation.secret import SecretFile
from foundation.settings import Backend, Platform, Settings, Webhooks
from foundation.working_time import DEFAULT, WorkingTime, load_calendars
from integrations.cases import case_store
from integrations.cases.application import Reader
from integrations.cases.case import Case
from integrations.cases.definitions import Definitions
from integrations.cases.engine import Engine
from integrations.desks.desk import Desk
from integrations.desks.licences import LicencesDesk
from integrations.desks.outside import Outside
from integrations.licences import licence as licences
from integrations.licences import outcomes
from integrations.licences.keyring import Keyring
from integrations.municipality import Municipality, Office
from integrations.service import Service

CENTRE = Caller("centre-1", "client", frozenset({"centre"}))
OTHER_CENTRE = Caller("centre-2", "client", frozenset({"centre"}))
REVIEWER = Caller("reviewer", "person", frozenset({"reviewer"}))
AUDITOR = Caller("auditor", "person", frozenset({"auditor"}))
SYSTEM = Caller("rakeeza", "system", frozenset())

KNOWN, UNKNOWN = "4030123456", "4030000000"
IDENTIFIER, MOBILE, OWNER = "1058529940", "+966501234567", "نورة بنت عبدالعزيز القحطاني"
APPLICANT = {"kind": "national_id", "identifier": IDENTIFIER, "name": OWNER, "mobile": MOBILE}

ASKS = "{register: register, holder: applicant.identifier}"
DEFINITION = """\
code: stand
version: 1
title: {ar: تصريح بسطة, en: Stand permit}
licence_title: {ar: تصريح بسطة, en: Stand permit}
numbers: {case: TC, licence: TL}
applicant: {identifiers: [national_id], notices: true}
form:
  - {name: register, label: {ar: السجل, en: Register}, type: text, max_length: 10, example: "4030123456"}
payment: {due_days: 5}
validity: {months: 6, calendar: gregorian}
retention: {years: 10}
checks:
  register:
    title: {ar: السجل التجاري, en: Commercial register}
    backend: commerce
    asks: {register: register, holder: applicant.identifier}
    attempts: 3
flows:
  checked:
    states:
      asked: {title: {ar: تحت التحقق, en: Being checked}, checks: [register]}
      returned: {title: {ar: بانتظار المتقدم, en: Returned}, applicant: true}
      granted: {title: {ar: ممنوح, en: Granted}, final: true}
      refused: {title: {ar: مرفوض, en: Refused}, final: true}
      withdrawn: {title: {ar: مسحوب, en: Withdrawn}, final: true}
    actions:
      - {name: ask, title: {ar: تقديم, en: Ask}, to: asked, roles: [centre]}
      - {name: grant, title: {ar: منح, en: Grant}, from: [asked], to: granted, automatic: true,
         effect: fulfil, when: {check: register, is: passed}}
      - {name: refuse, title: {ar: رفض, en: Refuse}, from: [asked], to: refused, automatic: true,
         when: {check: register, is: failed}}
      - {name: return, title: {ar: إعادة, en: Return}, from: [asked], to: returned, roles: [reviewer]}
      - {name: resend, title: {ar: إعادة إرسال, en: Send again}, from: [returned], to: asked,
         roles: [centre], edits: [register]}
      - {name: withdraw, title: {ar: سحب, en: Withdraw}, from: [asked, returned], to: withdrawn,
         roles: [centre]}
  weighed:
    states:
      weighed: {title: {ar: تحت الدراسة, en: Being weighed}, checks: [register]}
      granted: {title: {ar: ممنوح, en: Granted}, final: true}
      refused: {title: {ar: مرفوض, en: Refused}, final: true}
    actions:
      - {name: ask, title: {ar: تقديم, en: Ask}, to: weighed, roles: [centre]}
      - {name: edit, title: {ar: تعديل, en: Edit}, from: [weighed], to: weighed, roles: [centre],
         edits: [register]}
      - {name: grant, title: {ar: منح, en: Grant}, from: [weighed], to: granted, roles: [reviewer],
         effect: fulfil, when: {check: register, is: passed}}
      - {name: refuse, title: {ar: رفض, en: Refuse}, from: [weighed], to: refused, roles: [reviewer]}
  decided:
    states:
      opened: {title: {ar: مفتوح, en: Opened}}
      done: {title: {ar: منفذ, en: Done}, final: true}
    actions:
      - {name: open, title: {ar: فتح, en: Open}, to: opened, roles: [reviewer]}
      - {name: do, title: {ar: تنفيذ, en: Do}, from: [opened], to: done, automatic: true, effect: fulfil}
procedures:
  issue: {title: {ar: إصدار, en: Issue}, outcome: issue, flow: checked, form: [register]}
  weigh: {title: {ar: إصدار بعد الدراسة, en: Issue after study}, outcome: issue, flow: weighed,
    form: [register]}
  suspend: {title: {ar: تعليق, en: Suspend}, outcome: suspend, flow: decided, initiator: office,
    channels: [office], on: {statuses: [valid]}}
public: [register]
document: {lines: [register, applicant.name]}
"""


@dataclass
class OutsideOffice:
    """The office and its clock, which stands two days behind: what is put off is due at once."""

    database: Database
    desk: Desk
    outside: Outside
    reader: Reader
    service: Service
    now: list[datetime]

    def ask(self, register: str = KNOWN, caller: Caller = CENTRE, procedure: str = "issue") -> str:
        """Open a case; its number."""
        application = self.reader.application(self.service, procedure, APPLICANT, {"register": register})
        with self.database.transaction() as session:
            engine = self.desk.engine
            return engine.open(session, self.service, procedure, caller, application, self.now[-1]).number

    def take(self, number: str, name: str, caller: Caller = CENTRE, **words: Any) -> None:
        """Take an action of a case."""
        with self.database.transaction() as session:
            case = case_store.locked(session, number)
            self.desk.engine.take(session, case, caller, self.now[-1], name=name, **words)

    def suspend(self, licence: str) -> str:
        """Let the office suspend a licence; the number of that case."""
        application = self.reader.application(self.service, "suspend", None, {})
        with self.database.transaction() as session:
            about = licences.of_number(session, licence, lock=True)
            engine = self.desk.engine
            return engine.open(
                session, self.service, "suspend", REVIEWER, application, self.now[-1], licence=about
            ).number

    def case(self, number: str) -> Case:
        """A case as it is now."""
        with self.database.transaction() as session:
            return case_store.find(session, number)

    def licence(self, number: str) -> str:
        """The number of the licence that a case made."""
        with self.database.transaction() as session:
            made = case_store.find(session, number).licence_id
            assert made is not None
            return licences.by_id(session, made).number

    def call(self, number: str) -> dict[str, Any]:
        """The newest question of a case."""
        return [each for each in self.outside.calls(SYSTEM, number) if each["kind"] == "check"][-1]

    def journal(self, number: str) -> list[tuple[str, dict[str, Any]]]:
        """Actions and details of a case's chain."""
        with self.database.transaction() as session:
            return [(entry.action, entry.details) for entry in audit.entries(session, f"case/{number}")]

    def events(self, kind: str) -> list[tuple[str, dict[str, Any]]]:
        """Subjects and payloads of what was published of a kind, in order."""
        query = text("SELECT subject, payload FROM event WHERE kind = :kind ORDER BY id")
        with self.database.transaction() as session:
            return [(row.subject, row.payload) for row in session.execute(query, {"kind": kind})]

    def run(self, statement: str, **words: Any) -> None:
        """Change what lies in the database, as only a fault or time does."""
        with self.database.transaction() as session:
            session.execute(text(statement), words)

    def rows(self, table: str) -> str:
        """Everything that a table holds, as text."""
        with self.database.transaction() as session:
            return "\n".join(str(tuple(row)) for row in session.execute(text(f"SELECT * FROM {table}")))

    def waiting(self) -> int:
        """Jobs that are not ended."""
        with self.database.transaction() as session:
            query = "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"
            return int(session.execute(text(query)).scalar_one())

    def work_off(self) -> None:
        """Run a worker until no job waits."""
        self.desk.office.jobs.work(stop=lambda: self.waiting() == 0)

    def pass_time(self, **span: float) -> None:
        """Let time go by on the office's clock."""
        self.now.append(self.now[-1] + timedelta(**span))


def open_office(
    database: Database,
    folder: Path,
    backends: Mapping[str, str],
    *,
    webhooks: Webhooks | None = None,
    outgoing: Outgoing | None = None,
    attempts: int = 3,
    asks: str = ASKS,
    sections: Mapping[str, Backend] | None = None,
) -> OutsideOffice:
    """An office whose secrets lie in a folder.

    Args:
        backends: URL by name.
        attempts: of its question.
        asks: what its question sends, as the definition has it.
        sections: back-ends with more settings than a URL.
    """
    written = DEFINITION.replace("attempts: 3", f"attempts: {attempts}").replace(ASKS, asks)
    service = parse_yaml(written, "stand.yaml", Service)
    services: Services[Service] = Services("service")
    services.add(service.code, service, "stand.yaml")
    secrets = SecretFile(folder / "secrets.json", folder / "secrets.key")
    working_time = WorkingTime(load_calendars().get(DEFAULT), [])
    office = Office(
        lambda _: Municipality("sample", Bilingual(ar="أمانة نموذجية", en="Sample Municipality"), 1),
        Keyring(Settings(platform=Platform(folder=folder)), secrets),
        Jobs(database, heartbeat=0.2),
        Vault(secrets),
        lambda *_, **__: working_time,
    )
    reader, known = Reader(), Definitions(services)
    engine = Engine(known, office, {"fulfil": outcomes.fulfil}, reader)
    now = [datetime.now(UTC).replace(microsecond=0) - timedelta(days=2)]
    desk = Desk(database, known, engine, office, lambda: now[-1])
    settings = Settings(
        platform=Platform(folder=folder),
        backends={
            **{name: Backend(url=url, timeout=2) for name, url in backends.items()},
            **(sections or {}),
        },
        webhooks=webhooks or Webhooks(),
    )
    LicencesDesk(desk, settings)
    return OutsideOffice(database, desk, Outside(desk, settings, secrets, outgoing), reader, service, now)


def work_elsewhere(url: str, folder: str, backends: dict[str, str]) -> None:
    """Run a worker until killed: what a process of its own does."""
    office = open_office(Database(url), Path(folder), backends)
    office.desk.office.jobs.work(queues=["calls"])


def key_of(number: str, version: int = 1) -> str:
    """The key of the question that a case asks."""
    return f"case/{number}/check/register/{version}"
