"""A centre that floods the SOAP face waits for itself: a fault tells it when to come again."""

import asyncio
import json

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from foundation import admission as bulkhead
from foundation.admission import BURST, Admission
from foundation.caller import Caller
from foundation.errors import NotFound, problem
from foundation.http_admission import caller_of
from integrations.contracts.names import by_id
from integrations.entrypoints.soap.app import SoapFace
from integrations.entrypoints.soap.envelope import Envelope, Version
from integrations.ws_security.names import WSSE
from tests.integrations.soap.soap_client import (
    PATH,
    SOAP_11,
    SOAP_12,
    Said,
    asked,
    content_type,
    enveloped,
    said,
)

NOTHING = json.dumps(problem(NotFound("There is no such case.", message_ar="لا توجد معاملة."))).encode()
HERE: Scope = {"client": ("127.0.0.1", 123)}


class Anybody:
    """Believes whatever a message says of its sender."""

    def authenticated(self, _envelope: Envelope, _scope: Scope, /) -> Caller:
        return Caller("centre-7", "client", frozenset({"centre"}))

    def announced(self, _envelope: Envelope, _scope: Scope, /) -> str:
        return "centre-7"

    def bearer(self, _token: str, _scope: Scope, /) -> str:
        return "centre-7"


async def nothing(_scope: Scope, _receive: Receive, send: Send) -> None:
    headers = [(b"content-type", b"application/problem+json")]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    await send({"type": "http.response.body", "body": NOTHING})


def message(sender: str) -> str:
    name = f"<w:UsernameToken><w:Username>amal@{sender}</w:Username></w:UsernameToken>"
    return f'<w:Security xmlns:w="{WSSE}">{name}</w:Security>'


@pytest.mark.parametrize("soap", [SOAP_11, SOAP_12])
def test_who_used_up_his_share_gets_a_fault_and_the_others_an_answer(
    monkeypatch: pytest.MonkeyPatch, soap: Version
) -> None:
    monkeypatch.setattr(bulkhead, "PATIENCE", 0.1)
    now = [100.0]

    async def act() -> tuple[Said, Said]:
        admission = Admission(0.1, lambda: now[0], lambda: now[0])
        face = SoapFace(
            nothing,
            authenticator=Anybody(),
            public_url=None,
            most_message=100_000,
            most_package=100_000,
            admission=admission,
        )
        async with admission.turn(caller_of(HERE, "centre-7")):
            now[0] += BURST + 5
        transport = httpx.ASGITransport(face, client=("127.0.0.1", 123))
        async with httpx.AsyncClient(transport=transport, base_url="http://rakeeza") as http:
            found = []
            for sender in ("centre-8", "centre-7"):
                content = enveloped(asked("get_case", {"number": "SC-2026-000001"}), soap, message(sender))
                headers = content_type(soap, by_id()["get_case"])
                found.append(said(await http.post(PATH, content=content, headers=headers), soap))
        return found[0], found[1]

    other, flood = asyncio.run(act())

    assert other.json["type"] == "urn:rakeeza:problem:not-found"
    assert flood.json["type"] == "urn:rakeeza:problem:too-many-at-once"
    assert (flood.name, flood.json["status"], flood.http.headers["retry-after"]) == ("Unavailable", 503, "2")
    assert flood.code == ("Server" if soap is SOAP_11 else "Receiver")
    assert flood.json["detail_ar"]
