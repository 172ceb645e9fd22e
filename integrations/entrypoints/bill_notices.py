"""What the payment system tells us by itself: a payment, signed by it. Its contract, and not one of ours."""

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse
from starlette.concurrency import run_in_threadpool

from integrations.bill_presentment import Request as Signed
from integrations.desks.bills import BillsDesk

PATH = "/bills/notices"


def router(bills: BillsDesk) -> APIRouter:
    """The route; whoever else calls it finds no payment system, or is not authenticated."""
    routes = APIRouter()

    @routes.post(PATH, include_in_schema=False)
    async def bill_notice(request: Request) -> JSONResponse:
        """Take a payment."""
        # Bytes as they came: a signature is over them.
        body = await request.body()
        path = (request.scope.get("raw_path") or request.url.path.encode()).decode("latin-1")
        fields = [
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in request.scope["headers"]
        ]
        signed = Signed(request.method, path.partition("?")[0], fields, body)
        answer = await run_in_threadpool(bills.notified, signed)
        return answer.response()

    return routes
