"""What a centre did in a period: applications, licences, refusals, its share, its quotas, its shifts.

A period is of days in Riyadh, both inclusive. Counted by what is written in the same transactions as the acts
themselves: nothing is gathered, and nothing can lag behind.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from integrations.cases.money import amount_text, plus
from integrations.centres import contract as contracts
from integrations.centres import settlement, share
from integrations.centres.contract import Quota
from integrations.centres.rules import periods

_SPAN = """
    at >= CAST(CAST(:first AS date) AS timestamp) AT TIME ZONE 'Asia/Riyadh'
    AND at < CAST(CAST(:last AS date) + 1 AS timestamp) AT TIME ZONE 'Asia/Riyadh'
"""
# A case that closed without a version of a licence was refused, withdrawn or ran out.
_ACTS = text(
    f"""
    WITH acts AS (
        SELECT application.service, application.clerk, application.at, 'opened' AS act
        FROM centre_application AS application WHERE application.centre = :centre
        UNION ALL
        SELECT application.service, application.clerk, version.made_at, 'licence'
        FROM centre_application AS application
        JOIN licence_version AS version ON version.case_id = application.case_id
        WHERE application.centre = :centre
        UNION ALL
        SELECT application.service, application.clerk, file.closed_at, 'refused'
        FROM centre_application AS application
        JOIN case_file AS file ON file.id = application.case_id AND file.closed_at IS NOT NULL
        WHERE application.centre = :centre
          AND NOT EXISTS (SELECT FROM licence_version AS version WHERE version.case_id = file.id)
    )
    SELECT service, clerk, count(*) FILTER (WHERE act = 'opened') AS opened,
           count(*) FILTER (WHERE act = 'licence') AS licences,
           count(*) FILTER (WHERE act = 'refused') AS refused
    FROM acts WHERE {_SPAN} GROUP BY service, clerk ORDER BY service, clerk
    """
)
_SHARES = text(
    """
    SELECT application.service,
           coalesce(sum(share.amount) FILTER (WHERE share.day BETWEEN :first AND :last), 0) AS accrued,
           coalesce(sum(share.amount) FILTER (WHERE share.taken_back_day BETWEEN :first AND :last), 0) AS back
    FROM centre_share AS share JOIN centre_application AS application USING (case_id)
    WHERE application.centre = :centre
      AND (share.day BETWEEN :first AND :last OR share.taken_back_day BETWEEN :first AND :last)
    GROUP BY application.service ORDER BY application.service
    """
)
_REFUSALS = text(
    "SELECT kind, sum(times) AS times FROM centre_refusal "
    "WHERE centre = :centre AND day BETWEEN :first AND :last GROUP BY kind ORDER BY kind"
)
_USED = text(
    """
    SELECT agreed.reference, used.period, used.used,
           CASE WHEN length(used.period) = 7 THEN agreed.quota_month ELSE agreed.quota_day END AS quota
    FROM centre_quota_use AS used JOIN centre_contract AS agreed ON agreed.id = used.contract_id
    WHERE agreed.centre = :centre AND used.service = ''
      AND used.period BETWEEN to_char(CAST(:first AS date), 'YYYY-MM') AND to_char(CAST(:last AS date),
                                                                                  'YYYY-MM-DD')
      AND (length(used.period) = 7 OR used.period >= to_char(CAST(:first AS date), 'YYYY-MM-DD'))
    ORDER BY used.period
    """
)
_SHIFTS = text(
    f"""
    SELECT count(*) AS opened, count(closed_at) AS closed,
           coalesce(sum(counted - (opening_float + moved_in - moved_out)), 0) AS difference,
           count(*) FILTER (WHERE counted <> opening_float + moved_in - moved_out) AS differing
    FROM (SELECT *, opened_at AS at FROM centre_shift WHERE centre = :centre) AS shift WHERE {_SPAN}
    """
)
_USED_NOW = text(
    "SELECT period, service, used FROM centre_quota_use "
    "WHERE contract_id = :contract AND period = ANY(:periods)"
)


def report(session: Session, centre: str, first: date, last: date) -> dict[str, Any]:
    """What a centre did in a period, as JSON; amounts are text, SAR.

    Args:
        centre: its code.
        first, last: days of Riyadh, both inclusive.
    """
    words = {"centre": centre, "first": first, "last": last}
    acts = list(session.execute(_ACTS, words))
    shares = {row.service: (row.accrued, row.back) for row in session.execute(_SHARES, words)}
    shifts = session.execute(_SHIFTS, words).one()
    nothing = (Decimal("0.00"), Decimal("0.00"))
    services = [
        {"service": code, **_counts(acts, "service", code), **_share(*shares.get(code, nothing))}
        for code in sorted({row.service for row in acts} | set(shares))
    ]
    return {
        "centre": centre,
        "from": first.isoformat(),
        "to": last.isoformat(),
        "currency": "SAR",
        "services": services,
        "clerks": [
            {"clerk": clerk, **_counts(acts, "clerk", clerk)} for clerk in sorted({row.clerk for row in acts})
        ],
        "total": {
            **_counts(acts),
            **_share(
                plus(accrued for accrued, _ in shares.values()), plus(back for _, back in shares.values())
            ),
        },
        "owed": amount_text(plus((share.owed(session, centre), settlement.unpaid(session, centre)))),
        "refusals": [
            {"kind": row.kind, "times": int(row.times)} for row in session.execute(_REFUSALS, words)
        ],
        "quotas": [
            {"contract": row.reference, "period": row.period, "used": row.used, "quota": row.quota}
            for row in session.execute(_USED, words)
        ],
        "shifts": {
            "opened": shifts.opened,
            "closed": shifts.closed,
            "differing": shifts.differing,
            "difference": amount_text(shifts.difference),
        },
    }


def quotas(session: Session, agreed: contracts.Agreed, day: date) -> dict[str, Any]:
    """What is used of a contract's quotas on a day and in its month, as JSON; a quota of null has no end."""
    by_day, by_month = periods(day)
    words = {"contract": agreed.id, "periods": [by_day, by_month]}
    used = {row.period: row.used for row in session.execute(_USED_NOW, words) if not row.service}
    return _used(by_day, by_month, used, agreed.quota)


def service_quotas(session: Session, agreed: contracts.Agreed, day: date) -> dict[str, Any]:
    """As `quotas`, by code of the services that have one of their own."""
    by_day, by_month = periods(day)
    words = {"contract": agreed.id, "periods": [by_day, by_month]}
    found = list(session.execute(_USED_NOW, words))
    limited = {code: each.quota for code, each in agreed.services.items() if each.quota != Quota()}
    return {
        code: _used(by_day, by_month, {row.period: row.used for row in found if row.service == code}, quota)
        for code, quota in sorted(limited.items())
    }


def _used(day: str, month: str, used: Mapping[str, int], quota: Quota) -> dict[str, Any]:
    return {
        "day": {"period": day, "used": used.get(day, 0), "quota": quota.day},
        "month": {"period": month, "used": used.get(month, 0), "quota": quota.month},
    }


def _counts(acts: Sequence[Any], column: str = "", value: str = "") -> dict[str, int]:
    of = [row for row in acts if not column or getattr(row, column) == value]
    return {
        "applications": sum(row.opened for row in of),
        "licences": sum(row.licences for row in of),
        "refused": sum(row.refused for row in of),
    }


def _share(accrued: Decimal, back: Decimal) -> dict[str, str]:
    return {
        "share": amount_text(accrued - back),
        "accrued": amount_text(accrued),
        "taken_back": amount_text(back),
    }
