"""What a centre is subject to whenever it comes, also to read: `foundation.identity` asks beside its record.

What may be half a second old is enough here: each write is judged anew by `integrations.centres.rules`.
"""

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation.calendar import today
from foundation.errors import RakeezaError
from foundation.standing import Terms, TermsOf
from integrations.centres.refusals import CentreSuspended, ContractNotInForce

_STATE = text(
    """
    SELECT centre.state, agreed.first_day, agreed.last_day, agreed.ended_at
    FROM centre
    LEFT JOIN LATERAL (
        SELECT * FROM centre_contract AS each WHERE each.centre = centre.code
        ORDER BY (each.ended_at IS NULL AND :day BETWEEN each.first_day AND each.last_day) DESC,
                 (each.first_day <= :day) DESC, each.last_day DESC
        LIMIT 1
    ) AS agreed ON true
    WHERE centre.code = :centre
    """
)


def terms_of(clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> TermsOf:
    """What `foundation.identity.Identity` asks of each client.

    Args:
        clock: the present moment, aware.

    Returns:
        Gives a centre with a record as one that has to prove itself by its key, and shuts it out while it is
        suspended or without a contract in force; any other client as before.
    """

    def terms(session: Session, client_id: str) -> Terms:
        day = today(now=clock())
        row = session.execute(_STATE, {"centre": client_id, "day": day}).one_or_none()
        if row is None:
            return Terms()
        shut: RakeezaError | None = None
        if row.state != "active":
            shut = CentreSuspended(client_id, ended=row.state == "ended")
        elif row.first_day is None or row.ended_at is not None or not row.first_day <= day <= row.last_day:
            shut = ContractNotInForce(client_id, row.first_day, row.last_day, row.ended_at is not None, day)
        return Terms(keyed=True, shut=shut)

    return terms
