"""Both faces of the contract, asked alike: an operation, its parameters and its body."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote, urlencode

import httpx

from integrations.centres.conformance import expecting
from integrations.centres.conformance.checking import THEIRS, Failed, LeftOut
from integrations.centres.conformance.envelopes import SOAP_11, SOAP_12, Signing, signed, written
from integrations.centres.conformance.messages import Said, http_headers, post, read
from integrations.centres.conformance.packages import packed, unpacked
from integrations.centres.conformance.refusing import answered
from integrations.centres.conformance.soap_security import NO_SECRET
from integrations.centres.conformance.talking import Server
from integrations.contracts.binding import request_text
from integrations.contracts.names import Operation, by_id

_HELP = "See the operation in the contract, and what the refusal says."


@dataclass(frozen=True)
class Answer:
    """What an operation answered.

    Args:
        headers: of HTTP, names in small letters.
        content: JSON or bytes.
        kind: the last part of a refusal's type; empty of an answer of success.
    """

    headers: Mapping[str, str]
    content: bytes
    kind: str = ""

    @property
    def json(self) -> dict[str, Any]:
        """The content as JSON."""
        return expecting.json_of(httpx.Response(200, content=self.content))

    @property
    def replayed(self) -> bool:
        """Whether the server says that it was done before."""
        return self.headers.get("idempotency-replayed") == "true"


class Face(Protocol):
    """One of the faces."""

    name: str

    def ask(self, operation_id: str, parameters: Mapping[str, str] | None = None, body: Any = None) -> Answer:
        """Ask for an operation, signed by the centre and its clerk.

        Args:
            operation_id: of the contract.
            parameters: by their elements, as `idempotencyKey`.
            body: JSON, or bytes.
        """

    def done(
        self, operation_id: str, parameters: Mapping[str, str] | None = None, body: Any = None
    ) -> Answer:
        """The same; only an answer of success.

        Raises:
            Failed: it was refused.
        """


class Rest:
    """The face of REST."""

    name = "REST"

    def __init__(self, server: Server) -> None:
        self._server = server

    def ask(self, operation_id: str, parameters: Mapping[str, str] | None = None, body: Any = None) -> Answer:
        """See `Face`."""
        answer = self._sent(by_id()[operation_id], parameters or {}, body)
        kind = expecting.told(answer) if answer.status_code >= 400 else ""
        return Answer(answer.headers, answer.content, kind)

    def done(
        self, operation_id: str, parameters: Mapping[str, str] | None = None, body: Any = None
    ) -> Answer:
        """See `Face`."""
        answer = self._sent(by_id()[operation_id], parameters or {}, body)
        if answer.status_code >= 300:
            expecting.success(answer, _HELP)
        return Answer(answer.headers, answer.content)

    def _sent(self, operation: Operation, parameters: Mapping[str, str], body: Any) -> httpx.Response:
        path, query, headers = operation.path, [], {}
        for each in operation.parameters:
            value = parameters.get(each.element)
            if value is None:
                continue
            if each.where == "path":
                path = path.replace(f"{{{each.name}}}", quote(value, safe=""))
            elif each.where == "query":
                query.append((each.name, value))
            else:
                headers[each.name] = value
        if operation.binary is not None and body is not None:
            headers["Content-Type"] = parameters.get(operation.binary.type_element, operation.binary.types[0])
        asked = f"?{urlencode(query)}" if query else ""
        request = self._server.request(operation.method, path + asked, body, **headers)
        return self._server.send(self._server.signed(request))


class Soap:
    """The face of SOAP, with the clerk's token; a document goes as an attachment (MTOM).

    Raises:
        LeftOut: no secret of a clerk was given.
    """

    def __init__(self, server: Server, soap: str = SOAP_11) -> None:
        if server.credentials.soap_clerk is None:
            raise LeftOut(NO_SECRET)
        self._server, self._soap = server, soap
        self.name = "SOAP 1.2" if soap == SOAP_12 else "SOAP 1.1"

    def ask(
        self,
        operation_id: str,
        parameters: Mapping[str, str] | None = None,
        body: Any = None,
        without: str | None = None,
    ) -> Answer:
        """See `Face`.

        Args:
            without: an element of the request that is left out, though the schema asks for it.
        """
        said = self._said(by_id()[operation_id], parameters or {}, body, without)
        return Answer(said.headers, said.content or b"", said.kind)

    def done(
        self, operation_id: str, parameters: Mapping[str, str] | None = None, body: Any = None
    ) -> Answer:
        """See `Face`."""
        operation = by_id()[operation_id]
        said = answered(self._said(operation, parameters or {}, body), operation.response, self.name, _HELP)
        return Answer(said.headers, said.content or b"")

    def _said(
        self, operation: Operation, parameters: Mapping[str, str], body: Any, without: str | None = None
    ) -> Said:
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        payload = request_text(operation, parameters, content)
        if without is not None:
            payload = re.sub(rf"<{without}>.*</{without}>|<{without}/>", "", payload, flags=re.DOTALL)
        message = signed(self._server, payload, self._soap, Signing(clerk=True))
        headers, octets = http_headers(self._soap, operation), written(message)
        if operation.binary is not None and content:
            octets, outer = packed(message, content, self._soap)
            headers = {**headers, "Content-Type": outer}
        return read(post(self._server, octets, headers), self._soap)

    def packed_answer(self, operation_id: str, parameters: Mapping[str, str]) -> bytes:
        """A document that comes as an attachment, as who asks for it so gets it.

        Raises:
            Failed: it is refused, or the package is not as MTOM has it.
        """
        operation = by_id()[operation_id]
        message = signed(
            self._server, request_text(operation, parameters, None), self._soap, Signing(clerk=True)
        )
        headers = {**http_headers(self._soap, operation), "Accept": "multipart/related, application/xop+xml"}
        answer = post(self._server, written(message), headers)
        if not answer.headers.get("content-type", "").startswith("multipart/related"):
            answered(read(answer, self._soap), operation.response, self.name, _HELP)
            raise Failed(f"{self.name}: the document came in the message, not as an attachment.", THEIRS)
        return unpacked(answer, self._soap)
