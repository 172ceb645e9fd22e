"""The share that a centre earns by each paid licence: reckoned once, posted into the ledger, taken back.

A share accrues in the transaction that fulfils a case which the centre opened and whose bill was paid. It is
the percentage that was agreed when the case was opened, of the fees that the bill claims without tax, and the
fixed amount beside it; half a halala goes up. `centre_share` (an expense) is debited and `payable:CODE`
credited. Where the bill is void later and what was paid for it owed back, the share is taken back whole.
Table: `centre_share`, one row a case.
"""

from decimal import Decimal

from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation.chain import JSON
from integrations.cases import ledger
from integrations.cases.case import Case, Work
from integrations.cases.ledger import Posting, Row
from integrations.cases.money import amount_text, plus
from integrations.cases.numbers import is_test
from integrations.centres.contract import Share

SHARE = "centre_share"
"""The account of what shares cost the municipality."""

# Once: the row of the case. The application of a case whose bill is not settled earns nothing.
_EARNED = text(
    """
    SELECT application.centre, application.percent, application.fixed, invoice.bill_number, quote.lines
    FROM centre_application AS application
    JOIN LATERAL (
        SELECT bill_number, quote_id, state FROM case_invoice WHERE case_id = application.case_id
        ORDER BY id DESC LIMIT 1
    ) AS invoice ON invoice.state = 'settled'
    JOIN case_quote AS quote ON quote.id = invoice.quote_id
    WHERE application.case_id = :case
    """
)
_ACCRUE = text(
    """
    INSERT INTO centre_share (case_id, bill_number, net, amount, day, accrued_at)
    VALUES (:case, :bill_number, :net, :amount, :day, :at) ON CONFLICT (case_id) DO NOTHING RETURNING case_id
    """
)
_TAKE_BACK = text(
    """
    UPDATE centre_share AS share SET taken_back_day = :day, taken_back_at = :at
    FROM centre_application AS application
    WHERE share.case_id = :case AND application.case_id = share.case_id AND share.taken_back_at IS NULL
    RETURNING application.centre, share.bill_number, share.amount
    """
)
# As the index says it, which would not serve an account alone.
_OWED = text(
    "SELECT coalesce(sum(credit - debit), 0.00) FROM case_ledger "
    "WHERE account LIKE 'payable:_%' AND account = :account"
)


def payable(centre: str) -> str:
    """The account of what is owed to a centre."""
    return f"payable:{centre}"


def accrue(work: Work) -> dict[str, JSON]:
    """Let a centre earn its share by a case that is fulfilled; once, however often it is asked.

    Args:
        work: of a case that a centre with a contract opened.

    Returns:
        `centre_share`, for the journal; nothing where nothing was paid or agreed, or the case is a test.
    """
    if is_test(work.case.number):
        return {}
    row = work.session.execute(_EARNED, {"case": work.case.id}).one_or_none()
    if row is None:
        return {}
    net = plus(Decimal(line["net"]) for line in row.lines)
    amount = Share(percent=row.percent, fixed=row.fixed).of(net)
    if not amount:
        return {}
    words = {
        "case": work.case.id,
        "bill_number": row.bill_number,
        "net": net,
        "amount": amount,
        "day": work.day,
        "at": work.at,
    }
    if work.session.execute(_ACCRUE, words).scalar() is None:
        return {}
    _post(work, work.case, "share", row.centre, row.bill_number, amount)
    return {"centre_share": amount_text(amount)}


def take_back(work: Work, case: Case) -> None:
    """Let a centre have earned nothing by a case whose bill is void from now on.

    Args:
        case: whose bill it was; not always the one that is worked on.
    """
    words = {"case": case.id, "day": work.day, "at": work.at}
    row = work.session.execute(_TAKE_BACK, words).one_or_none()
    if row is not None:
        _post(work, case, "share_back", row.centre, row.bill_number, -row.amount)


def owed(session: Session, centre: str) -> Decimal:
    """What the books owe a centre now and no statement holds yet, SAR."""
    return Decimal(session.execute(_OWED, {"account": payable(centre)}).scalar_one())


def _post(work: Work, case: Case, kind: str, centre: str, reference: str, amount: Decimal) -> None:
    rows = (Row(SHARE, amount), Row(payable(centre), -amount))
    ledger.post(work.session, Posting(kind, case.context, reference, work.day, work.at, rows))
