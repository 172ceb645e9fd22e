"""The servers of `script/bench soap`: ours, and what one writes with bare FastAPI, lxml and pydantic-xml.

`python -m benchmarks._soap_servers ours|bare PORT`. Both validate the request by the contract's own XSD, bind
it, and answer the same case; neither has a database, and neither looks at a token.
"""

import sys
from datetime import datetime
from decimal import Decimal
from typing import Any

import uvicorn
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from lxml import etree
from pydantic_xml import BaseXmlModel, attr, element
from starlette.types import ASGIApp, Scope

from foundation.caller import Caller
from foundation.errors import NotAuthenticated
from foundation.http import create_app
from integrations import contracts
from integrations.contracts import promised
from integrations.contracts.names import NAMESPACE
from integrations.entrypoints.rest.messages import Key, Submission
from integrations.entrypoints.soap.app import PATH, SoapFace
from integrations.entrypoints.soap.contract_files import XSD
from integrations.entrypoints.soap.envelope import Envelope

_SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
_MOST = 1_000_000
_CASE: dict[str, Any] = {
    "number": "SC-2026-000001",
    "service": "shop_licence",
    "procedure": "issue",
    "procedure_title": {"ar": "إصدار", "en": "Issue"},
    "state": "submitted",
    "state_title": {"ar": "مقدَّم", "en": "Submitted"},
    "final": False,
    "version": 1,
    "submitted_at": "2026-11-22T10:00:00Z",
    "changed_at": "2026-11-22T10:00:00Z",
    "promised_for": "2026-11-29T10:00:00Z",
    "due": "2027-01-03T21:00:00Z",
    "escalated": False,
    "place": "mall",
    "assignee": None,
}


class _Nobody:
    def authenticated(self, _envelope: Envelope, _scope: Scope, /) -> Caller:
        raise NotAuthenticated("Nobody signs here.")

    def announced(self, _envelope: Envelope, _scope: Scope, /) -> str:
        raise NotAuthenticated("Nobody signs here.")

    def bearer(self, _token: str, _scope: Scope, /) -> str:
        return "centre-7"


def ours() -> ASGIApp:
    """Our face, before a route of REST that takes the same body as the real one."""
    app = create_app("Bench", max_body=_MOST, one_by_one=True)

    @app.post("/v1/cases", **promised("submit"))
    def submit(body: Submission, key: Key = None) -> JSONResponse:
        assert body.message()["form"]
        assert key
        return JSONResponse(_CASE, 201, {"ETag": '"1"'})

    contracts.describe(app)
    return SoapFace(
        app, authenticator=_Nobody(), public_url=None, most_message=_MOST, most_package=50 * _MOST
    )


class _Xml(BaseXmlModel, ns="", nsmap={"": NAMESPACE}):
    pass


class _Field(_Xml, tag="field"):
    name: str = attr()
    text: str | None = element(default=None)
    number: Decimal | None = element(default=None)
    flag: bool | None = element(default=None)
    nothing: str | None = element(default=None)


class _Fields(_Xml):
    field: list[_Field] = element(tag="field", default=[])


class _Submit(_Xml, tag="Submit"):
    idempotency_key: str = element(tag="idempotencyKey")
    service: str = element()
    procedure: str | None = element(default=None)
    licence: str | None = element(default=None)
    parent: str | None = element(default=None)
    applicant: _Fields | None = element(tag="applicant", default=None)
    form: _Fields = element(tag="form")


class _Bilingual(_Xml):
    ar: str = element()
    en: str = element()


class _SubmitResponse(_Xml, tag="SubmitResponse"):
    number: str = element()
    service: str = element()
    procedure: str = element()
    procedure_title: _Bilingual = element(tag="procedure_title")
    state: str = element()
    state_title: _Bilingual = element(tag="state_title")
    final: bool = element()
    version: int = element()
    submitted_at: datetime = element()
    changed_at: datetime = element()
    promised_for: datetime | None = element()
    due: datetime | None = element()
    escalated: bool = element()
    place: str | None = element()
    assignee: str | None = element()
    etag: str = element()


def bare() -> ASGIApp:
    """What one writes without us."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    schema = etree.XMLSchema(etree.parse(str(XSD)))
    envelope, body = f"{{{_SOAP}}}Envelope", f"{{{_SOAP}}}Body"

    @app.post(PATH)
    async def soap(request: Request) -> Response:
        octets = await request.body()
        if len(octets) > _MOST:
            raise HTTPException(413)
        parser = etree.XMLParser(
            resolve_entities=False, load_dtd=False, no_network=True, huge_tree=False, remove_comments=True
        )
        try:
            root = etree.fromstring(octets, parser)
        except etree.XMLSyntaxError as error:
            raise HTTPException(400) from error
        bodies = root.findall(body)
        if root.tag != envelope or root.getroottree().docinfo.internalDTD is not None or len(bodies) != 1:
            raise HTTPException(400)
        if len(bodies[0]) != 1 or not schema.validate(bodies[0][0]):
            raise HTTPException(400)
        # Its types are of lxml's newer stubs.
        request_element: Any = bodies[0][0]
        said = _Submit.from_xml_tree(request_element)
        assert said.form.field
        case: Any = _SubmitResponse(**_CASE, etag='"1"').to_xml_tree(skip_empty=True)
        answer = etree.Element(envelope, nsmap={"soap": _SOAP})
        etree.SubElement(answer, body).append(case)
        return Response(etree.tostring(answer, encoding="UTF-8", xml_declaration=True), media_type="text/xml")

    return app


def main() -> None:
    """Serve one of them."""
    made, port = {"ours": ours, "bare": bare}[sys.argv[1]](), int(sys.argv[2])
    uvicorn.run(
        made, port=port, loop="uvloop", http="httptools", log_config=None, access_log=False, lifespan="off"
    )


if __name__ == "__main__":
    main()
