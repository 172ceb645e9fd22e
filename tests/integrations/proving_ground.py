"""A test centre for tests: a private centre whose contract delegates the test service alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foundation.identity import Caller
from integrations import service
from integrations.centres.contract import Contract
from integrations.service import load_service
from tests.integrations.centre_office import CentreOffice, contract, open_centre
from tests.integrations.desk import PNG, Desk, message

FILE = Path(service.__file__).parent / "services/test_permit.yaml"
PERMIT = load_service(FILE)
CODE = "dev-1"
FORM: dict[str, Any] = {
    "decision": "approve",
    "trade_name": "متجر تجريبي",
    "district": "حي التجربة",
    "area_m2": 120,
    "contact_name": "سعد بن محمد الشهري",
}


def contract_of_tests(**parts: Any) -> Contract:
    """A contract for the test service, with a share that nobody will ever earn."""
    return contract(services={PERMIT.code: {"share": {"percent": "10.00", "fixed": "5.00"}}}, **parts)


@dataclass
class Ground:
    """A test centre at work.

    Args:
        office: its keys and clerks.
    """

    office: CentreOffice

    @property
    def desk(self) -> Desk:
        """The office of the municipality."""
        return self.office.desk

    @property
    def caller(self) -> Caller:
        """The centre, with a proof that no message had before."""
        return self.office.caller()

    def submit(self, form: Mapping[str, Any] = FORM, **parts: Any) -> str:
        """Open a case of the test service; its number."""
        sent = message(form, PERMIT.code, **parts)
        return str(self.desk.do.submit(self.caller, sent).body["number"])

    def hand_in(self, number: str) -> None:
        """Hand in all that a case needs."""
        for asked in self.case(number)["documents"]:
            if asked["needed"] and not asked["present"]:
                self.desk.do.put(self.caller, number, asked["code"], PNG)

    def take(self, number: str, action: str, **said: Any) -> None:
        """Take an action."""
        self.desk.do.take(self.caller, number, action, **said)

    def sent(self, form: Mapping[str, Any] = FORM) -> str:
        """A case that was sent to be decided; its number."""
        number = self.submit(form)
        self.hand_in(number)
        self.take(number, "send")
        return number

    def billed(self) -> tuple[str, dict[str, Any]]:
        """A case that was approved and billed; its number and the bill."""
        number = self.sent()
        self.desk.do.quote(self.caller, number)
        return number, self.desk.do.invoice(self.caller, number).body

    def issued(self) -> tuple[str, str]:
        """A case that went its whole way; its number and the licence's."""
        number, _ = self.billed()
        self.take(number, "pay")
        return number, str(self.case(number)["licence"])

    def case(self, number: str) -> dict[str, Any]:
        """A case as the centre sees it."""
        return self.desk.licensing.cases.case(self.office.unsigned(), number)


def open_ground(desk: Desk) -> Ground:
    """A test centre in an office."""
    return Ground(open_centre(desk, contract_of_tests(), CODE, test=True))
