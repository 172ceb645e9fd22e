"""What the simulated payment system knows: bills, payments at its banks, and the settlement of each day."""

import threading
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

ROWS_A_PAGE = 50
"""Payments of one page of a settlement."""
_TEXTS = {
    "already_paid": {"ar": "سُددت الفاتورة قبل ذلك", "en": "The bill was paid before"},
    "not_known": {"ar": "لا توجد فاتورة بهذا الرقم", "en": "There is no bill of this number"},
}


@dataclass
class Book:
    """Bills by number with what is still to be paid, and the payments; for several threads.

    Args:
        refused: bills that it does not take, and why.
        unsettled: days of which it has no settlement yet.
    """

    refused: dict[str, str] = field(default_factory=dict)
    unsettled: set[str] = field(default_factory=set)
    owed: dict[str, Decimal] = field(default_factory=dict)
    paid: dict[str, Decimal] = field(default_factory=dict)
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    uploads: list[dict[str, Any]] = field(default_factory=list)
    payments: list[dict[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def upload(self, key: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Take an upload, once for its key."""
        with self.lock:
            if key not in self.answers:
                self.uploads.append(asked)
                self.answers[key] = self._take(asked)
            return self.answers[key]

    def inquiry(self, number: str) -> str:
        """How a bill stands."""
        with self.lock:
            if number not in self.owed:
                return "unknown"
            owed, paid = self.owed[number], self.paid.get(number, Decimal(0))
            if owed == 0:
                return "paid" if paid else "expired"
            return "partly_paid" if paid else "unpaid"

    def pay(self, payment: dict[str, str], day: str, settled: str) -> None:
        """Note a payment at a bank.

        Args:
            payment: a notice, as the contract has it.
            day: on which it is made.
            settled: the day whose settlement has it.
        """
        with self.lock:
            self.payments.append({**payment, "day": day, "settled": settled})
            if payment["status"] == "paid":
                number, amount = payment["bill_number"], Decimal(payment["amount"])
                self.paid[number] = self.paid.get(number, Decimal(0)) + amount
                self.owed[number] = max(Decimal(0), self.owed.get(number, Decimal(0)) - amount)

    def settlement(self, day: str, page: int) -> dict[str, Any] | None:
        """A page of the settlement of a day; None if the day is not settled yet."""
        with self.lock:
            if day in self.unsettled:
                return None
            names = ("reference", "bill_number", "amount", "day")
            rows = [
                {name: payment[name] for name in names}
                for payment in self.payments
                if payment["settled"] == day and payment["status"] == "paid"
            ]
        pages = max(1, -(-len(rows) // ROWS_A_PAGE))
        return {
            "day": day,
            "page": page,
            "pages": pages,
            "count": len(rows),
            "amount": _text(sum((Decimal(row["amount"]) for row in rows), Decimal(0))),
            "movements": rows[(page - 1) * ROWS_A_PAGE : page * ROWS_A_PAGE],
        }

    def _take(self, asked: dict[str, Any]) -> dict[str, Any]:
        wrong: list[dict[str, Any]] = []
        total, taken = Decimal(0), 0
        for bill in asked["bills"]:
            number, amount = bill["bill_number"], Decimal(bill["amount"])
            code = self.refused.get(number) or self._fault(number, bill["status"])
            if code is not None:
                text = {"text": _TEXTS[code]} if code in _TEXTS else {}
                wrong.append({"bill_number": number, "code": code, **text})
                continue
            self.owed[number] = amount
            total, taken = total + amount, taken + 1
        return {"upload": asked["upload"], "taken": taken, "amount": _text(total), "discrepancies": wrong}

    def _fault(self, number: str, status: str) -> str | None:
        if status != "new" and number not in self.owed:
            return "not_known"
        # What is paid here is paid: only that it is owed no more agrees with it.
        closed = self.owed.get(number) == 0 and self.paid.get(number, Decimal(0)) > 0
        return "already_paid" if closed and status != "expired" else None


def _text(amount: Decimal) -> str:
    return f"{amount:.2f}"
