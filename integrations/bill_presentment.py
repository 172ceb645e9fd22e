"""The port to a payment system that presents bills: what it is told, and what it tells.

A driver is a module of `integrations.backends` that has `open_presenter` beside `open_backend`, as `sadad`.
What an exchange can end in besides is that of `integrations.backend`: nothing is known yet, or the whole is
rejected.
"""

import csv
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from types import ModuleType
from typing import Literal, Protocol

from foundation.definitions import Bilingual
from foundation.errors import NotFound
from foundation.registry import driver_modules
from foundation.secret import SecretFile
from foundation.settings import Settings
from integrations.cases.money import amount_text
from integrations.cases.payments import Notice

BACKEND = "bills"
"""Name of the payment system in the settings."""

Status = Literal["new", "updated", "expired"]


@dataclass(frozen=True)
class Bill:
    """What is told of a bill.

    Args:
        status: presented for the first time, with another amount than before, or no more.
        amount: SAR that is still to be paid; zero of an expired one.
    """

    bill_number: str
    status: Status
    amount: Decimal
    due: date


@dataclass(frozen=True)
class Discrepancy:
    """A bill that the payment system did not take as it was told.

    Args:
        code: its reason in one word.
        text: its reason as people read it, where it gives one.
    """

    bill_number: str
    code: str
    text: Bilingual | None = None


@dataclass(frozen=True)
class Movement:
    """A payment that it settled.

    Args:
        reference: its own, as the payment's notice had it.
        amount: SAR, more than zero.
        day: on which it was paid, in the kingdom's legal time.
    """

    reference: str
    bill_number: str
    amount: Decimal
    day: date


@dataclass(frozen=True)
class Settlement:
    """All payments of a day, as they were settled."""

    day: date
    movements: tuple[Movement, ...]

    def file(self) -> bytes:
        """As `integrations.cases.bank_file` reads it."""
        written = io.StringIO(newline="")
        writer = csv.writer(written, lineterminator="\r\n")
        writer.writerow(("reference", "bill_number", "amount", "day"))
        for each in self.movements:
            day = each.day.isoformat()
            writer.writerow((each.reference, each.bill_number, amount_text(each.amount), day))
        return written.getvalue().encode()


@dataclass(frozen=True)
class Request:
    """A request that somebody sent us, as it came.

    Args:
        path: of its URL, without the query.
        fields: the header's lines.
    """

    method: str
    path: str
    fields: Sequence[tuple[str, str]]
    body: bytes


class Presenter(Protocol):
    """A payment system. May be used by several threads.

    Each raises `BackendUnavailable` if nothing is known yet and `BackendRejection` if the whole is wrong.
    """

    def upload(self, key: str, bills: Sequence[Bill]) -> list[Discrepancy]:
        """Tell it of bills, once for a key; those it did not take."""
        ...

    def settlement(self, day: date) -> Settlement:
        """The whole settlement of a day."""
        ...

    def notice(self, request: Request) -> Notice:
        """The payment that a request of its own tells of.

        Raises:
            NotAuthenticated: it did not sign this request just now.
            InvalidInput: it tells of no payment.
        """
        ...


def open_presenter(
    settings: Settings, secrets: SecretFile, clock: Callable[[], datetime]
) -> Presenter | None:
    """The payment system of the settings; None if they name none.

    Raises:
        NotFound: its driver is none that presents bills.
        SettingsError: a file that its section names cannot be used.
    """
    section = settings.backends.get(BACKEND)
    if section is None:
        return None
    modules: Mapping[str, ModuleType] = driver_modules("integrations.backends", (), "rakeeza.backends")
    opens = getattr(modules.get(section.driver), "open_presenter", None)
    if opens is None:
        raise NotFound(
            f"The driver {section.driver!r} presents no bills.",
            place=f"backends.{BACKEND}.driver",
            remedy="Take the driver sadad.",
        )
    opened: Presenter = opens(BACKEND, section, secrets, clock)
    return opened


def key_of_notice(notice: Notice) -> str:
    """The key under which a notice is taken once.

    It is of all that the notice says: whether another one of the same reference is the same payment, the
    books know, and not the key.
    """
    told = (
        notice.status,
        notice.reference,
        notice.bill_number,
        str(notice.amount),
        notice.paid_at.isoformat(),
    )
    return "bills-" + hashlib.sha256("\n".join(told).encode()).hexdigest()
