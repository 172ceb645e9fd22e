"""Money: notifications of payments, bills, refunds, the ledger, reconciliation."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import JSONResponse

from foundation.http import authenticated
from foundation.identity import Caller, Identity, Role
from integrations.cases.money import read_amount
from integrations.cases.payments import Notice
from integrations.contracts import promised
from integrations.entrypoints.rest.messages import (
    After,
    BillNumber,
    Day,
    Id,
    Key,
    Limit,
    PaymentAssignment,
    PaymentNotice,
    PaymentReference,
    Reason,
    Reconciliation,
    RefundState,
    Sent,
    Until,
)
from integrations.licensing import Licensing


def add(routes: APIRouter, licensing: Licensing, identity: Identity) -> None:
    """Add the routes."""
    bank = Depends(authenticated(identity, Role.PAYMENT))
    finance = Depends(authenticated(identity, Role.FINANCE))
    reader = Depends(authenticated(identity, Role.FINANCE, Role.AUDITOR))
    payer = Depends(authenticated(identity, Role.PAYMENT, Role.FINANCE, Role.CENTRE, Role.AUDITOR))

    @routes.post("/payments", **promised("payment"))
    def payment(body: PaymentNotice, caller: Caller = bank, key: Key = None) -> JSONResponse:
        """Keep a notification of a payment; the case moves when its bill is covered."""
        amount = read_amount(body.amount, "/amount")
        notice = Notice(body.bill_number, amount, body.paid_at, body.reference, body.status)
        return licensing.money.notify(caller, notice, key).response()

    @routes.get("/payments/waiting", **promised("list_waiting_payments"))
    def list_waiting_payments(
        caller: Caller = reader, after: After = None, limit: Limit = 50
    ) -> JSONResponse:
        """Payments of which something waits for a person, oldest first."""
        return JSONResponse(licensing.money.waiting(caller, after=after, limit=limit))

    @routes.post("/payments/assignment", **promised("assign_payment"))
    def assign_payment(body: PaymentAssignment, caller: Caller = finance, key: Key = None) -> JSONResponse:
        """Credit a payment that waits to the bill it was meant for."""
        return licensing.money.assign(caller, body.reference, body.bill_number, key).response()

    @routes.post("/payments/return", **promised("return_payment"))
    def return_payment(body: PaymentReference, caller: Caller = finance, key: Key = None) -> JSONResponse:
        """Let what waits of a payment be owed back."""
        return licensing.money.give_back(caller, body.reference, key).response()

    @routes.get("/bills/{bill_number}", **promised("get_bill"))
    def get_bill(bill_number: BillNumber, caller: Caller = payer) -> JSONResponse:
        """A bill: what a payment system presents, and what was paid of it."""
        return JSONResponse(licensing.money.bill(caller, bill_number))

    @routes.get("/refunds", **promised("list_refunds"))
    def list_refunds(
        caller: Caller = reader,
        after: After = None,
        limit: Limit = 50,
        state: RefundState = None,
    ) -> JSONResponse:
        """Refunds, oldest first."""
        return JSONResponse(licensing.money.refunds(caller, after=after, limit=limit, state=state))

    @routes.post("/refunds/{refund}/approval", **promised("approve_refund"))
    def approve_refund(refund: Id, caller: Caller = finance, key: Key = None) -> JSONResponse:
        """Let a refund be paid out."""
        return licensing.money.approve_refund(caller, refund, key).response()

    @routes.post("/refunds/{refund}/sending", **promised("send_refund"))
    def send_refund(refund: Id, body: Sent, caller: Caller = finance, key: Key = None) -> JSONResponse:
        """Note that a refund has left."""
        return licensing.money.refund_sent(caller, refund, body.reference, key).response()

    @routes.post("/refunds/{refund}/confirmation", **promised("confirm_refund"))
    def confirm_refund(refund: Id, caller: Caller = finance, key: Key = None) -> JSONResponse:
        """Note that a refund has arrived."""
        return licensing.money.refund_confirmed(caller, refund, key).response()

    @routes.post("/refunds/{refund}/failure", **promised("fail_refund"))
    def fail_refund(refund: Id, body: Reason, caller: Caller = finance, key: Key = None) -> JSONResponse:
        """Note that a refund came back."""
        return licensing.money.refund_failed(caller, refund, body.reason, key).response()

    @routes.get("/ledger", response_class=Response, **promised("get_ledger"))
    def get_ledger(
        since: Annotated[Day, Query(alias="from")],
        until: Annotated[Day, Query(alias="to")],
        caller: Caller = reader,
    ) -> Response:
        """The ledger of some days, for the financial system."""
        return Response(licensing.money.ledger(caller, since, until), media_type="text/csv")

    @routes.post("/reconciliation", **promised("reconcile"))
    def reconcile(body: Reconciliation, caller: Caller = reader) -> JSONResponse:
        """Compare a day in the engine, the bank's file and the ledger; nothing is changed."""
        # A fault of a file is told with the member that holds it, and the line.
        files = ("/bank", body.bank.encode()), ("/ledger", body.ledger.encode())
        told = licensing.money.reconcile(caller, *files, body.day).to_json()
        # What was left where files were taken in; here none are.
        del told["left"]
        return JSONResponse(told)

    @routes.get("/ledger/balance", **promised("get_balance"))
    def get_balance(caller: Caller = reader, until: Until = None) -> JSONResponse:
        """The trial balance; its debits are its credits."""
        return JSONResponse(licensing.money.balance(caller, until))
