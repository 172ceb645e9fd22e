"""One call of a SOAP 1.1 service by a contract that lies here: written and bound by zeep, believed by us.

The order of judging a reply is: status, XML, whether it is a Fault, the signature, the schema, and only then
zeep, which gets nothing but the Body that was verified. zeep itself would check the signature before it looks
for a Fault, and so tell every unsigned Fault as a broken signature (its issue 1197).

Source: SOAP 1.1, sections 4.4 and 6; WSDL 1.1, section 3.
"""

import copy
import functools
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import zeep
from lxml import etree
from zeep.exceptions import ExternalReferenceForbidden

from foundation.errors import Malformed
from integrations.backend import BackendUnavailable
from integrations.entrypoints.soap import reader
from integrations.soap_client import failures
from integrations.soap_client.exchange import Received
from integrations.soap_client.signing import SigningKey, sign
from integrations.ws_security import names
from integrations.ws_security.faults import FailedCheck, SecurityFault
from integrations.ws_security.keys import Lookup
from integrations.ws_security.verification import verify

_SOAP = f"{{{names.SOAP_11}}}"
_ENVELOPE, _BODY, _FAULT = f"{_SOAP}Envelope", f"{_SOAP}Body", f"{_SOAP}Fault"
# 500 is what a Fault comes with (SOAP 1.1, section 6.2).
_READ = frozenset({200, 500})
_STATUSES = {401: "credentials", 403: "credentials", 407: "credentials", 408: "timeout", 429: "rate_limit"}

_log = logging.getLogger(__name__)


class SignedFault(Exception):
    """A service reports a fault and signs it: it can be believed, as far as it is about our message.

    Not of our tree: the driver says what it means.

    Args:
        detail: the element that its contract declares for it; None if there is none.
    """

    def __init__(self, detail: etree._Element | None) -> None:
        super().__init__("The service reports a fault.")
        self.detail = detail


@dataclass(frozen=True)
class Contract:
    """A service's contract as it lies here.

    Args:
        binding: of its one port, as zeep read it.
        schema: of its messages.
    """

    binding: Any
    schema: etree.XMLSchema


@functools.cache
def contract(wsdl: Path, xsd: Path) -> Contract:
    """Read a contract, once in a process, from this folder and from nowhere else.

    Args:
        wsdl: a file with one service of one port.
        xsd: the schema that it imports.

    Raises:
        zeep.exceptions.Error: it cannot be read, or imports something from elsewhere.
    """
    settings = zeep.Settings(strict=True, forbid_dtd=True, forbid_entities=True, forbid_external=True)
    # zeep has no types.
    make: Any = zeep.Client
    client = make(str(wsdl), transport=_ThisFolder(wsdl.parent), settings=settings)
    (service,) = client.wsdl.services.values()
    (port,) = service.ports.values()
    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True)
    return Contract(port.binding, etree.XMLSchema(etree.parse(str(xsd), parser)))


class _ThisFolder(zeep.Transport):
    """What zeep reads its contract by: files of one folder. It never sends anything."""

    def __init__(self, folder: Path) -> None:
        # Not its own: that one opens a session that follows the environment's proxies.
        self._folder = folder.resolve()
        self._close_session = False
        self.cache = None
        self.session = None
        self.logger = _log

    def load(self, url: str) -> bytes:
        path = Path(url).resolve()
        if urlsplit(url).scheme or path.parent != self._folder:
            raise _forbidden(url)
        return path.read_bytes()


def _forbidden(url: str) -> Exception:
    make: Any = ExternalReferenceForbidden
    error: Exception = make(url)
    return error


@dataclass(frozen=True)
class SoapClient:
    """Calls a service.

    Args:
        name: of the back-end in the settings.
        contract: of the service.
        post: sends a message to the service, with the SOAPAction.
        key: gives the key that we sign by, for each message; None of it sends that without a signature.
        lookup: knows the certificates that the service signs by.
        clock: the present moment, aware.
    """

    name: str
    contract: Contract
    post: Callable[[bytes, str], Received]
    key: Callable[[], SigningKey | None]
    lookup: Lookup
    clock: Callable[[], datetime]

    def call(self, operation: str, values: Mapping[str, Any]) -> Any:
        """Call an operation, once.

        Args:
            values: members of its request, by name.

        Returns:
            The reply as zeep binds it: signed, whole and as its schema has it.

        Raises:
            SignedFault: the service reports a fault that can be believed.
            BackendUnavailable: there is no reply that can be believed.
            BackendRejection: the question cannot be written down.
        """
        try:
            message = self._written(operation, values)
            action = str(self.contract.binding.get(operation).soapaction)
            received = self.post(message, action)
            return self._read(operation, received)
        except failures.ERRORS as error:
            # Not even as its cause: the words of some of these show what they could not read or write.
            raise failures.translated(self.name, error) from None

    def _written(self, operation: str, values: Mapping[str, Any]) -> bytes:
        envelope: etree._Element = self.contract.binding.get(operation).create(**values).content
        key = self.key()
        if key is not None:
            sign(envelope, key, self.clock())
        return etree.tostring(envelope, encoding="UTF-8", xml_declaration=True)

    def _read(self, operation: str, received: Received) -> Any:
        self._judge(received)
        try:
            envelope = reader.read(received.body, received.charset, reader.reading())
            found = _body(envelope)
        except Malformed as error:
            if received.status != 200:
                raise self._status(received) from error
            raise
        is_fault = [child.tag for child in found] == [_FAULT]
        try:
            body = verify(envelope, self.lookup, self.clock()).body
        except SecurityFault as error:
            if is_fault:
                raise self._unsigned(received) from error
            raise
        # Verified is what stands where a Body stands; it is also what was looked at for a Fault.
        if body is not found:
            raise FailedCheck("another-body", "Another Body was signed.", "وُقّع متن آخر غير متن الرسالة.")
        if is_fault:
            raise SignedFault(self._detail(body[0]))
        if received.status != 200:
            raise self._status(received)
        return self._bound(operation, body)

    def _bound(self, operation: str, body: etree._Element) -> Any:
        for child in body:
            self.contract.schema.assertValid(child)
        # Of the whole message zeep sees what was verified, and nothing beside it.
        bare = etree.Element(_ENVELOPE)
        bare.append(copy.deepcopy(body))
        return self.contract.binding.get(operation).process_reply(bare)

    def _detail(self, fault: etree._Element) -> etree._Element | None:
        # In SOAP 1.1 the parts of a Fault have no namespace.
        detail = fault.find("detail")
        if detail is None or len(detail) != 1:
            return None
        self.contract.schema.assertValid(detail[0])
        return detail[0]

    def _judge(self, received: Received) -> None:
        if received.status not in _READ:
            raise self._status(received)
        if received.media_type != "text/xml":
            if received.status != 200:
                raise self._status(received)
            raise failures.unavailable(
                self.name, "not_xml", "The service answers something that is no SOAP 1.1.", status=200
            )

    def _status(self, received: Received) -> BackendUnavailable:
        # Also of 400 to 499: a status has no signature, and cannot say that the question is wrong.
        status = received.status
        reason = _STATUSES.get(status, "server" if status >= 500 else "unexpected_status")
        wait = received.fields.get("retry-after", "").strip()
        return failures.unavailable(
            self.name,
            reason,
            f"The service did not answer the question (status {status}).",
            status=status,
            retry_after=min(86_400.0, float(wait)) if wait.isascii() and wait.isdigit() else None,
        )

    def _unsigned(self, received: Received) -> BackendUnavailable:
        return failures.unavailable(
            self.name,
            "unsigned_fault",
            "The service reports a fault, and does not sign it.",
            status=received.status,
        )


def _body(envelope: etree._Element) -> etree._Element:
    found = [child for child in envelope if child.tag == _BODY]
    if envelope.tag != _ENVELOPE or len(found) != 1:
        raise Malformed("The reply is no Envelope of SOAP 1.1 with one Body.")
    return found[0]
