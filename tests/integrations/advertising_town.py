"""A municipality with a shop that asks for boards.

A board costs height x width x periods x 1.00 SAR (class 1; class 5 a fifth), times its kind (name sign 1,
banner 1.2, sticker 0.8, totem 1.5), its technique (plain 1, lit 1.25, screen 3), its place (façade 1, front
glass 0.5, roof 2, ground 1.5) and its period (day 1, week 5, month 15, ninety days 40, year 120); at least
10.00 a board. It starts on Sunday, 22 November 2026; the shop's licence of one Hijri year ends on 10 November
2027.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from foundation.identity import Caller
from tests.integrations.desk import CENTRE, REVIEWER, message
from tests.integrations.town import Townhall

MINISTRY = Caller("commerce-1", "person", frozenset({"commerce_ministry"}))
WHY = "التخفيضات غير مسجلة."


def board(kind: str, technology: str, place: str, height: float, width: float) -> dict[str, Any]:
    """One board."""
    return {
        "name": "عرض الافتتاح",
        "kind": kind,
        "technology": technology,
        "place": place,
        "height_m": height,
        "width_m": width,
    }


BOARDS = [
    board("banner", "plain", "facade", 1.5, 3),
    board("sign", "lit", "roof", 0.85, 4.15),
    board("totem", "screen", "ground", 2, 1.2),
    board("sticker", "plain", "front_glass", 0.5, 0.5),
]
# 4.5 x 1.2 x 40; 3.5275 x 1.25 x 2 x 40 = 352.75; 2.4 x 1.5 x 3 x 1.5 x 40; 0.25 x 0.8 x 0.5 x 40 = 4: 10.
ROWS = ["216.00", "352.75", "648.00", "10.00"]
TOTAL = "1226.75"
FORM: dict[str, Any] = {
    "trade_name": "مخبز الندى",
    "commercial_register": "4030123456",
    "district": "حي الروضة",
    "street": "شارع الأمير سلطان",
    "period": "temporary",
    "periods": 1,
    "own_products": True,
    "discounts": False,
    "boards": BOARDS,
}
# A banner of one square metre: 1.2 a day, 6 a week, 18 a month, 144 a year.
ONE = [board("banner", "plain", "facade", 1, 1)]


@dataclass
class Town(Townhall):
    """A municipality with a shop in it."""

    shop: str

    def ask(self, form: Mapping[str, Any] = FORM, **parts: Any) -> str:
        """Apply for boards of the shop; the case."""
        said = message(form, "advertising_licence", parent=self.shop, **parts)
        return str(self.desk.do.submit(CENTRE, said).body["number"])

    def sent(self, form: Mapping[str, Any] = FORM) -> str:
        """A case with its checklist, sent on."""
        return self.send(self.ask(form))

    def issued(self, form: Mapping[str, Any] = FORM) -> str:
        """A licence; its number."""
        number = self.sent(form)
        self.desk.do.take(REVIEWER, number, "approve")
        self.pay(number)
        return str(self.desk.case(number)["licence"])

    def on(self, day: date) -> None:
        """Let it be the morning of a day, and the clock act."""
        self.desk.now.append(datetime(day.year, day.month, day.day, 7, tzinfo=UTC))
        self.desk.licensing.cases.time_passed(100)

    def office(self, procedure: str, licence: str, service: str = "advertising_licence") -> None:
        """One officer proposes, another decides."""
        self.decide(service, procedure, licence, {"grounds": "إضاءة اللوحة تزعج سكان المبنى المقابل."})
