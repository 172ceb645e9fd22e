"""Checks: what stands beside a signed message (MTOM) is exactly what the message names.

Who sent it is asked first: of a stranger's message nobody looks at the attachments.
"""

from collections.abc import Sequence

from lxml import etree

from integrations.centres.conformance.checking import Check
from integrations.centres.conformance.envelopes import signed, written
from integrations.centres.conformance.messages import TYPES, http_headers
from integrations.centres.conformance.refusing import MALFORMED, each_refused
from integrations.centres.conformance.soap_security import SIGNED
from integrations.centres.conformance.talking import Server
from integrations.contracts.binding import request_text
from integrations.contracts.names import NAMESPACE, by_id
from integrations.ws_security.names import XOP

_MTOM = "XOP 1.0, section 3; MTOM 1.0"


def _missing_part(server: Server) -> None:
    _packages_refused(server, "cid:missing", [_part("document")])


def _unnamed_part(server: Server) -> None:
    _packages_refused(server, "cid:document", [_part("document"), _part("another")])


def _fetched_part(server: Server) -> None:
    _packages_refused(server, "http://127.0.0.1/document", [])


def _packages_refused(server: Server, include: str, parts: Sequence[bytes]) -> None:
    """Expect that a message, signed with its document in its place, is refused with what stands beside it."""
    operation = by_id()["put_document"]
    parameters = {"number": "SC-2020-000001", "code": "lease", "name": "a.png", "idempotencyKey": "none"}

    def make(soap: str) -> tuple[bytes, dict[str, str]]:
        message = signed(server, request_text(operation, parameters, b"x"), soap)
        (holder,) = message.iter(f"{{{NAMESPACE}}}content")
        holder.text = None
        etree.SubElement(holder, f"{{{XOP}}}Include", {"href": include})
        kind = TYPES[soap]
        root = (
            f'Content-Type: application/xop+xml; charset=UTF-8; type="{kind}"\r\nContent-ID: <root>\r\n\r\n'
        )
        pieces = [root.encode() + written(message), *parts]
        body = b"".join(b"--b\r\n" + each + b"\r\n" for each in pieces) + b"--b--\r\n"
        outer = (
            f'multipart/related; type="application/xop+xml"; start="<root>"; start-info="{kind}"; boundary=b'
        )
        return body, {**http_headers(soap, operation), "Content-Type": outer}

    each_refused(server, make, MALFORMED)


def _part(name: str) -> bytes:
    return f"Content-Type: image/png\r\nContent-ID: <{name}>\r\n\r\nx".encode()


CHECKS: Sequence[Check] = (
    Check("An attachment that is missing is refused", _MTOM, _missing_part, (SIGNED,)),
    Check("An attachment that the message does not name is refused", _MTOM, _unnamed_part, (SIGNED,)),
    Check("An attachment that leads out of the message is refused", _MTOM, _fetched_part, (SIGNED,)),
)
