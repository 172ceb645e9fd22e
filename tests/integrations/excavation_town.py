"""A municipality that is asked for excavation permits, and the parties it asks.

Class 1 pays 5.00 SAR a metre, times the work (horizontal 1, mains 1.5, storm 2, asphalting 0.5), times the
road (highway 2, other 1), and 100.00 for the study of a coordination; class 5 pays a fifth. Offices open
Sunday to Thursday until 11:30 UTC; the clock starts on Sunday, 22 November 2026, at 07:00 UTC.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import text

from foundation.closures import Closures
from foundation.database import Database
from foundation.definitions import Bilingual
from foundation.identity import Caller
from tests.integrations.definition_texts import DIG, changed
from tests.integrations.desk import CENTRE, MANAGER, REVIEWER, message, open_desk
from tests.integrations.town import Townhall

WATER = Caller("water-1", "person", frozenset({"water_company"}))
POWER = Caller("power-1", "person", frozenset({"power_company"}))
TELECOM = Caller("telecom-1", "person", frozenset({"telecom_company"}))
TRAFFIC = Caller("traffic-1", "person", frozenset({"traffic_department"}))
COORDINATOR = Caller("coordinator", "person", frozenset({"coordinator"}))
PARTIES = {"water": WATER, "power": POWER, "telecom": TELECOM}
WHY = "خط قائم على عمق متر في المسار نفسه."

PATHS = [
    {"work": "mains", "road": "other", "length_m": 120.5},
    {"work": "storm", "road": "highway", "length_m": 10},
    {"work": "horizontal", "road": "highway", "length_m": 33.33},
    {"work": "asphalting", "road": "other", "length_m": 33.33},
]
# 120.5 x 5 x 1.5; 10 x 5 x 2 x 2; 33.33 x 5 x 2; 33.33 x 5 x 0.5 = 83.325.
ROWS = ["903.75", "200.00", "333.30", "83.33"]
PLAN: dict[str, Any] = {
    "project": "مد خط مياه إلى المخطط الشمالي",
    "facility": "water",
    "district": "حي الروضة",
    "street": "شارع الأمير سلطان",
    "route": {
        "type": "LineString",
        "crs": "EPSG:4326",
        "coordinates": [[39.172778, 21.543333], [39.173512, 21.544021]],
    },
    "paths": PATHS,
    "closes_road": False,
}
NEW = {
    **PLAN,
    "days": 30,
    "contractor": "7001234567",
    "contractor_class": "second",
    "consultant": "7009876543",
    "site_engineer": MANAGER,
}
# Forty metres of mains: 40 x 5 x 1.5 = 300.00.
SHORT = [{"work": "mains", "road": "other", "length_m": 40}]
BURST = {**NEW, "paths": SHORT, "incident": "انكسار خط مياه رئيسي وتجمع المياه في الشارع."}
_NAMED = (
    ("code: excavation_permit\n", "code: road_works\n"),
    ("numbers: {case: EXC, licence: EXP}", "numbers: {case: RWC, licence: RWP}"),
)


def utc(day: int, hour: int, minute: int = 0) -> datetime:
    """A moment of November 2026."""
    return datetime(2026, 11, day, hour, minute, tzinfo=UTC)


def other_town(database: Database, folder: Path, *changes: tuple[str, str]) -> "Town":
    """A municipality that digs by a definition of its own, `road_works`, with some of its text changed."""
    definitions = folder / "definitions"
    definitions.mkdir()
    (definitions / "road_works.yaml").write_text(changed(DIG, *_NAMED, *changes), encoding="utf-8")
    return Town(open_desk(database, folder, (definitions,)), "road_works")


@dataclass
class Town(Townhall):
    """A municipality, its parties, and the clock.

    Args:
        service: code of the one that is asked for.
    """

    service: str = "excavation_permit"

    def ask(self, form: Mapping[str, Any] = NEW, procedure: str = "issue", **parts: Any) -> str:
        """Apply; the case."""
        said = message(form, self.service, procedure=procedure, **parts)
        return str(self.desk.do.submit(CENTRE, said).body["number"])

    def sent(self, form: Mapping[str, Any] = NEW, procedure: str = "issue") -> str:
        """A case that its parties or a reviewer have."""
        return self.send(self.ask(form, procedure))

    def say(self, number: str, party: str, word: str = "agrees", why: str | None = None) -> None:
        """Let a party answer."""
        caller = {**PARTIES, "traffic": TRAFFIC}[party]
        self.desk.do.take(caller, number, f"{party}_{word}", comment=why)

    def all_agree(self, number: str) -> None:
        """Let the three utilities agree."""
        for party in PARTIES:
            self.say(number, party)

    def issued(self, procedure: str = "connect") -> str:
        """A permit of thirty days; its number."""
        number = self.sent({**NEW, "paths": SHORT, "building_permit": "BP-2026-17"}, procedure)
        self.desk.do.take(REVIEWER, number, "approve")
        self.pay(number)
        return str(self.desk.case(number)["licence"])

    def clock(self, moment: datetime) -> None:
        """Let it be a moment, and the clock act."""
        self.desk.now.append(moment)
        self.desk.licensing.cases.time_passed(100)

    def answers(self, number: str) -> dict[str, str | None]:
        """What the parties said so far."""
        return {each["name"]: each["answer"] for each in self.desk.case(number)["checks"]}

    def until(self, number: str) -> dict[str, str | None]:
        """When the period of each party ends."""
        return {each["name"]: each["until"] for each in self.desk.case(number)["checks"]}

    def deemed(self, number: str) -> list[dict[str, str]]:
        """What silence answered, as the journal has it, oldest first."""
        journal = self.desk.case(number)["journal"]
        return [each["details"]["answers"] for each in journal if each["action"] == "deemed"]

    def state(self, number: str) -> str:
        """Where a case stands."""
        return self.desk.state(number)

    def due(self, number: str) -> str:
        """When the deadline of its state ends."""
        return str(self.desk.case(number)["due"])

    def steps(self, number: str) -> list[dict[str, Any]]:
        """The events of a case that moved it."""
        query = text("SELECT payload FROM event WHERE subject = :of AND kind = 'case.moved' ORDER BY id")
        with self.desk.database.transaction() as session:
            return [row.payload for row in session.execute(query, {"of": f"case/{number}"})]

    def office(self, procedure: str, licence: str) -> None:
        """One officer proposes, another decides."""
        self.decide(self.service, procedure, licence, {"grounds": "العمل بلا حواجز سلامة حول الحفرة."})

    def closure(self, starts: datetime, ends: datetime, outage: bool) -> None:
        """Note an outage of ours, or a storm."""
        with self.desk.database.transaction() as session:
            Closures().add(
                session,
                starts_at=starts,
                ends_at=ends,
                title=Bilingual(ar="توقف", en="Closed"),
                actor="cli/t",
                outage=outage,
            )
