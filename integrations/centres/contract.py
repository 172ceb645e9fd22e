"""What a municipality and a private centre have agreed on: a YAML file, read strictly and kept as rows.

A contract is not changed: it is ended, and another one agreed on. Days are of Riyadh; the last one belongs to
it. Table: `centre_contract`.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from foundation.definitions import Bilingual, Strict, load_yaml
from foundation.errors import Conflict, InvalidInput
from integrations.cases.ledger import moment
from integrations.cases.money import Amount, amount_text, half_up, multiply

_CODE = r"^[a-z][a-z0-9_-]{0,31}$"


def _not_float(value: Any) -> Any:
    if isinstance(value, float | bool):
        raise ValueError('a percentage is text, such as "12.50", never a float')
    return value


Percent = Annotated[
    Decimal, BeforeValidator(_not_float), Field(ge=0, le=100, decimal_places=2, allow_inf_nan=False)
]
Code = Annotated[str, Field(pattern=_CODE)]


class Share(Strict):
    """What a centre earns by a paid licence.

    Args:
        percent: of the licence's fees, tax not counted.
        fixed: SAR, beside the percentage.
    """

    percent: Percent = Decimal(0)
    fixed: Amount = Decimal(0)

    def of(self, net: Decimal) -> Decimal:
        """The share of a paid licence, half a halala rounded up.

        Args:
            net: the fees that were paid for it, SAR, tax not counted.
        """
        return half_up(multiply(net, self.percent, Decimal("0.01")) + self.fixed)


class Quota(Strict):
    """How many applications may be opened; None sets no limit.

    Args:
        day, month: of Riyadh.
    """

    day: Annotated[int, Field(gt=0)] | None = None
    month: Annotated[int, Field(gt=0)] | None = None


class Delegated(Strict):
    """A service that a contract delegates.

    Args:
        share: what the centre earns by each paid licence.
        procedures: only these of it; None delegates all that are offered at a centre.
        branches: only at these; None means at every branch of the contract.
        quota: of this service, within that of the whole centre.
    """

    share: Share = Share()
    procedures: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    branches: Annotated[tuple[Code, ...], Field(min_length=1)] | None = None
    quota: Quota = Quota()


class Contract(Strict):
    """A contract, as its file says it.

    Args:
        reference: its number in the municipality's books.
        first_day, last_day: both belong to it.
        services: by code of the service.
        branches: that the centre works at, by code.
        quota: of the whole centre.
        shifts: whether a clerk needs an open shift to do anything.
        vat: percentage of value added tax that the centre adds to its share; zero where it is not registered.
    """

    reference: Annotated[str, Field(min_length=1, max_length=60)]
    first_day: date
    last_day: date
    services: Annotated[dict[str, Delegated], Field(min_length=1)]
    branches: Annotated[dict[Code, Bilingual], Field(min_length=1)]
    quota: Quota = Quota()
    shifts: bool = False
    vat: Percent = Decimal(0)

    @model_validator(mode="after")
    def _whole(self) -> "Contract":
        if self.last_day < self.first_day:
            raise ValueError("the last day is before the first")
        for code, delegated in self.services.items():
            for branch in delegated.branches or ():
                if branch not in self.branches:
                    raise ValueError(f"{code} is delegated to the branch {branch!r}, which is not one of its")
            for name in ("day", "month"):
                of_service, of_all = getattr(delegated.quota, name), getattr(self.quota, name)
                if of_service is not None and of_all is not None and of_service > of_all:
                    raise ValueError(f"the quota of {code} a {name} is over that of the whole centre")
        return self


@dataclass(frozen=True)
class Agreed:
    """A contract as it is kept.

    Args:
        services: by code of the service.
        ended_at: when it was ended before its time.
    """

    id: int
    reference: str
    first_day: date
    last_day: date
    shifts: bool
    vat: Decimal
    quota: Quota
    services: Mapping[str, Delegated]
    branches: frozenset[str]
    ended_at: datetime | None

    def covers(self, day: date) -> bool:
        """Whether it is in force on a day of Riyadh."""
        return self.ended_at is None and self.first_day <= day <= self.last_day


_COLUMNS = (
    "id, reference, first_day, last_day, shifts, vat, quota_day, quota_month, services, branches, ended_at"
)
_OVERLAPPING = text(
    "SELECT reference, last_day FROM centre_contract WHERE centre = :centre AND ended_at IS NULL "
    "AND first_day <= :last AND last_day >= :first ORDER BY first_day LIMIT 1"
)
_SHORTEN = text(
    "UPDATE centre_contract SET last_day = CAST(:first AS date) - 1 WHERE centre = :centre "
    "AND reference = :reference AND ended_at IS NULL AND first_day < :first AND last_day >= :first "
    "RETURNING id"
)
_BRANCH = text(
    """
    INSERT INTO centre_branch (centre, code, title_ar, title_en) VALUES (:centre, :code, :ar, :en)
    ON CONFLICT (centre, code) DO UPDATE SET title_ar = :ar, title_en = :en
    """
)
_KEEP = text(
    """
    INSERT INTO centre_contract (centre, reference, first_day, last_day, shifts, vat, quota_day, quota_month,
                                 services, branches, made_by, made_at)
    VALUES (:centre, :reference, :first, :last, :shifts, :vat, :day, :month, CAST(:services AS jsonb),
            :branches, :actor, :at)
    ON CONFLICT (centre, reference) DO NOTHING
    RETURNING id
    """
)
_ALL = text(f"SELECT {_COLUMNS} FROM centre_contract WHERE centre = :centre ORDER BY first_day, id")
_END = text("UPDATE centre_contract SET ended_at = :at WHERE centre = :centre AND ended_at IS NULL")


def load(path: Path) -> Contract:
    """A contract from its file.

    Raises:
        DefinitionError: with file, line and reason.
    """
    return load_yaml(path, Contract)


def keep(session: Session, centre: str, contract: Contract, actor: str, at: datetime) -> int:
    """Keep a contract, and the branches that it names.

    Args:
        centre: locked (see `integrations.centres.centre.locked`).

    Returns:
        Its id.

    Raises:
        Conflict: the reference is taken, or another contract covers one of its days.
    """
    days = {"centre": centre, "first": contract.first_day, "last": contract.last_day}
    other = session.execute(_OVERLAPPING, days).one_or_none()
    if other is not None:
        raise Conflict(
            f"The contract {other.reference} of {centre} covers days of this one, until {other.last_day}.",
            remedy=f"Begin after that day, or let it take its place: --instead-of {other.reference}",
            message_ar=f"يشمل عقد آخر للمركز ({other.reference}) أيامًا من هذا العقد، "
            f"وينتهي في {other.last_day}.",
        )
    for code, title in contract.branches.items():
        session.execute(_BRANCH, {"centre": centre, "code": code, "ar": title.ar, "en": title.en})
    services = {code: each.model_dump(mode="json") for code, each in contract.services.items()}
    made = session.execute(
        _KEEP,
        {
            **days,
            "reference": contract.reference,
            "shifts": contract.shifts,
            "vat": contract.vat,
            "day": contract.quota.day,
            "month": contract.quota.month,
            "services": json.dumps(services),
            "branches": sorted(contract.branches),
            "actor": actor,
            "at": at,
        },
    ).scalar()
    if made is None:
        raise Conflict(
            f"{centre} has a contract {contract.reference!r} already.",
            remedy="Take another reference.",
            message_ar="للمركز عقد آخر بهذا الرقم.",
        )
    return int(made)


def shorten(session: Session, centre: str, reference: str, first: date, today: date) -> None:
    """Let a contract end with the day before another one begins.

    Args:
        centre: locked.
        reference: of the one that ends.
        first: day of the other one, of Riyadh; after today, whose acts were done under the old one.

    Raises:
        InvalidInput: that day is not to come.
        Conflict: the centre has no such contract on that day and the one before.
    """
    if first <= today:
        raise InvalidInput(
            f"A contract that takes another's place begins tomorrow or later, not on {first}.",
            remedy="Give it a later first day.",
            message_ar="العقد الذي يحل محل عقد قائم يبدأ من الغد أو بعده.",
        )
    words = {"centre": centre, "reference": reference, "first": first}
    if session.execute(_SHORTEN, words).scalar() is None:
        raise Conflict(
            f"{centre} has no contract {reference!r} that is in force before and on {first}.",
            remedy=f"See: rakeeza centre show {centre}",
            message_ar="ليس للمركز عقد بهذا الرقم يسري قبل ذلك اليوم وفيه.",
        )


def all_of(session: Session, centre: str) -> list[Agreed]:
    """Every contract of a centre, by its first day."""
    return [read(row) for row in session.execute(_ALL, {"centre": centre})]


def end(session: Session, centre: str, at: datetime) -> None:
    """End what contracts of a centre are not ended; the centre is locked."""
    session.execute(_END, {"centre": centre, "at": at})


def read(row: Row[Any]) -> Agreed:
    """A contract in a row that has the columns of the table, whatever else it has."""
    return Agreed(
        id=row.id,
        reference=row.reference,
        first_day=row.first_day,
        last_day=row.last_day,
        shifts=row.shifts,
        vat=row.vat,
        quota=Quota(day=row.quota_day, month=row.quota_month),
        services={code: Delegated.model_validate(each) for code, each in row.services.items()},
        branches=frozenset(row.branches),
        ended_at=row.ended_at,
    )


def view(agreed: Agreed) -> dict[str, Any]:
    """A contract, as JSON; amounts and percentages are text."""
    services = [
        {
            "service": code,
            "percent": amount_text(each.share.percent),
            "fixed": amount_text(each.share.fixed),
            "procedures": list(each.procedures or ()),
            "branches": list(each.branches or ()),
        }
        for code, each in sorted(agreed.services.items())
    ]
    return {
        "reference": agreed.reference,
        "first_day": agreed.first_day.isoformat(),
        "last_day": agreed.last_day.isoformat(),
        "ended_at": moment(agreed.ended_at) if agreed.ended_at is not None else None,
        "shifts": agreed.shifts,
        "quota": {"day": agreed.quota.day, "month": agreed.quota.month},
        "services": services,
        "branches": sorted(agreed.branches),
    }
