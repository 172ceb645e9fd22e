"""What people do in a municipality, whatever is asked of it; each service's town adds what is its own."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.integrations.desk import CENTRE, INSPECTOR, REVIEWER, Desk, message


@dataclass
class Townhall:
    """A municipality and its clock."""

    desk: Desk

    def send(self, number: str, action: str = "send") -> str:
        """Hand in the checklist and send the case on."""
        self.desk.show_all(number)
        self.desk.do.take(CENTRE, number, action)
        return number

    def pay(self, number: str) -> str:
        """Quote, bill and pay; the sum."""
        self.desk.do.quote(CENTRE, number)
        bill = self.desk.do.invoice(CENTRE, number).body
        assert self.desk.pay(bill["bill_number"], bill["amount"], f"for-{number}")["outcome"] == "settled"
        return str(bill["amount"])

    def decide(self, service: str, procedure: str, licence: str, form: Mapping[str, Any]) -> str:
        """What the office begins itself: one officer proposes, another decides; the case."""
        said = message(form, service, applicant=None, procedure=procedure, licence=licence)
        number = str(self.desk.do.submit(INSPECTOR, said).body["number"])
        self.desk.do.take(REVIEWER, number, "decide")
        return number

    def licence(self, number: str) -> dict[str, Any]:
        """A licence as it stands."""
        return dict(self.desk.licensing.licences.licence(number))

    def status(self, number: str) -> str:
        """How a licence stands today."""
        return str(self.licence(number)["status"])
