"""What the checks expect of a fault, in both versions of SOAP, and what is told where it is another."""

from collections.abc import Callable
from dataclasses import dataclass

from lxml import etree

from integrations.centres.conformance import expecting
from integrations.centres.conformance.checking import THEIRS, Failed
from integrations.centres.conformance.envelopes import (
    RIGHT,
    VERSIONS,
    Signing,
    signed,
    written,
)
from integrations.centres.conformance.messages import Said, http_headers, post, read
from integrations.centres.conformance.talking import Server
from integrations.contracts.binding import request_text
from integrations.contracts.names import by_id

READ = by_id()["get_centre"]
PAYLOAD = request_text(READ, {}, None)
"""What is asked where any operation will do: the centre's own contract, which changes nothing."""


@dataclass(frozen=True)
class Refusal:
    """A fault that is named by the contract.

    Args:
        kind: the last part of the problem's type.
        element: in the fault's detail.
        code: the standard's, where it has one; else empty.
    """

    kind: str
    element: str
    code: str = ""


def security(code: str) -> Refusal:
    """The fault of a message whose security does not hold, with a code of WS-Security."""
    return Refusal("not-authenticated", "NotAuthenticated", code)


FAILED_CHECK = security("wsse:FailedCheck")
INVALID = security("wsse:InvalidSecurity")
NOT_PROVEN = security("wsse:FailedAuthentication")
EXPIRED = security("wsu:MessageExpired")
UNSUPPORTED = security("wsse:UnsupportedAlgorithm")
UNSUPPORTED_TOKEN = security("wsse:UnsupportedSecurityToken")
MALFORMED = Refusal("malformed", "Malformed")


def answered(said: Said, name: str, title: str, remedy: str) -> Said:
    """An answer of success.

    Args:
        name: of its element.
        title: which face it came by.

    Raises:
        Failed: it is a fault, or another answer.
    """
    if said.kind:
        detail = str(said.json.get("detail", ""))
        raise Failed(f"{title}: the server refused it as {said.kind} ({said.code}): {detail}", remedy)
    if said.element != name:
        raise Failed(f"{title}: the answer is {said.element}, not {name}.", THEIRS)
    return said


def refused(said: Said, expected: Refusal, title: str, remedy: str = THEIRS) -> None:
    """A fault as it is expected, told in both languages.

    Raises:
        Failed: it is another, or none.
    """
    if not said.kind:
        raise Failed(
            f"{title}: the message was answered with {said.element}, not with the fault {expected.element}.",
            remedy,
        )
    seen, wanted = (said.kind, said.element), (expected.kind, expected.element)
    if seen != wanted:
        raise Failed(
            f"{title}: the fault is {said.element} {said.kind}, not {expected.element} {expected.kind}."
            f" It says: {said.json.get('detail')}",
            remedy,
        )
    if expected.code and said.code != expected.code:
        raise Failed(f"{title}: the code of the fault is {said.code}, not {expected.code}.", remedy)
    expecting.check_languages(said.json, expected.kind)


def each_refused(
    server: Server, make: Callable[[str], tuple[bytes, dict[str, str]]], expected: Refusal
) -> None:
    """Send a message in each version of SOAP, and expect a fault.

    Args:
        make: octets and HTTP headers, for the namespace of an envelope.
    """
    for title, soap in VERSIONS.items():
        octets, headers = make(soap)
        refused(read(post(server, octets, headers), soap), expected, title)


def signed_refused(
    server: Server,
    expected: Refusal,
    how: Signing = RIGHT,
    then: Callable[[etree._Element], object] | None = None,
    payload: str = PAYLOAD,
) -> None:
    """Send a message that is signed wrongly, or changed after it was signed.

    Args:
        then: changes the signed message.
    """

    def make(soap: str) -> tuple[bytes, dict[str, str]]:
        message = signed(server, payload, soap, how)
        if then is not None:
            then(message)
        return written(message), http_headers(soap, None)

    each_refused(server, make, expected)
