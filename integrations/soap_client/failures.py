"""The one table by which everything that can go wrong with a SOAP service is told at the edge.

Nearly all of it says nothing of what was asked: `BackendUnavailable`. A rejection is only what we could not
even write down, and what a service says in a signed Fault.
"""

from dataclasses import dataclass

import httpcore
from lxml import etree
from zeep import exceptions as zeep

from foundation.errors import Malformed, TooLarge
from integrations.backend import BackendRejection, BackendUnavailable
from integrations.ws_security.faults import MessageExpired, SecurityFault


@dataclass(frozen=True)
class Told:
    """How a failure is told.

    Args:
        reason: one word that a program can compare.
        message: one sentence, with nothing in it that came from outside.
        rejects: the question itself is wrong.
    """

    reason: str
    message: str
    rejects: bool = False


_BROKEN = Told("malformed", "The service's reply is broken or forbidden XML.")
_SHAPE = Told("wrong_shape", "The service's reply is not as its contract has it.")
_CONTRACT = Told("contract", "The service's contract, which we hold, cannot be used.")
_PROTOCOL = Told("protocol", "The service broke off, or does not speak HTTP.")
_TIMEOUT = Told("timeout", "The service did not answer in time.")
_LOST = Told("network", "The connection to the service was lost.")

TABLE: dict[type[Exception], Told] = {
    # The way there and back.
    httpcore.TimeoutException: _TIMEOUT,
    httpcore.ReadTimeout: _TIMEOUT,
    httpcore.WriteTimeout: _TIMEOUT,
    httpcore.PoolTimeout: _TIMEOUT,
    httpcore.ConnectTimeout: Told("connect_timeout", "The service could not be reached in time."),
    httpcore.NetworkError: _LOST,
    httpcore.ReadError: _LOST,
    httpcore.WriteError: _LOST,
    httpcore.ConnectError: Told("connect", "The service cannot be reached."),
    httpcore.ProxyError: Told("connect", "The service cannot be reached."),
    httpcore.ConnectionNotAvailable: Told("connect", "The service cannot be reached."),
    httpcore.ProtocolError: _PROTOCOL,
    httpcore.LocalProtocolError: _PROTOCOL,
    httpcore.RemoteProtocolError: _PROTOCOL,
    httpcore.UnsupportedProtocol: Told("protocol", "The service's URL is of no known protocol."),
    TooLarge: Told("too_large", "The service's reply is too large."),
    # What came back, before anything of it is bound.
    Malformed: _BROKEN,
    SecurityFault: Told("wrong_signature", "The service's reply is not signed as it must be."),
    MessageExpired: Told("expired", "The service's reply is not of now: its clock, ours, or an old reply."),
    etree.DocumentInvalid: _SHAPE,
    # zeep, in writing what is asked and in binding the reply.
    zeep.Error: Told("exchange", "The service could not be asked."),
    zeep.ValidationError: Told("question", "The question does not fit the service's contract.", rejects=True),
    zeep.XMLSyntaxError: _BROKEN,
    zeep.DTDForbidden: _BROKEN,
    zeep.EntitiesForbidden: _BROKEN,
    zeep.ExternalReferenceForbidden: _BROKEN,
    zeep.XMLParseError: _SHAPE,
    zeep.UnexpectedElementError: _SHAPE,
    zeep.IncompleteMessage: _SHAPE,
    zeep.LookupError: _CONTRACT,
    zeep.NamespaceError: _CONTRACT,
    zeep.WsdlSyntaxError: _CONTRACT,
    zeep.IncompleteOperation: _CONTRACT,
    zeep.TransportError: Told("transport", "The service could not be asked."),
    # Not raised by us, who judge both before zeep sees them: of itself neither is an answer.
    zeep.Fault: Told("unsigned_fault", "The service reports a fault, and does not sign it."),
    zeep.SignatureVerificationFailed: Told(
        "wrong_signature", "The service's reply is not signed as it must be."
    ),
}
"""By class; the most specific one decides."""

ERRORS = (
    httpcore.TimeoutException,
    httpcore.NetworkError,
    httpcore.ProtocolError,
    httpcore.ProxyError,
    httpcore.UnsupportedProtocol,
    httpcore.ConnectionNotAvailable,
    TooLarge,
    Malformed,
    SecurityFault,
    etree.DocumentInvalid,
    zeep.Error,
)
"""All that the table knows, as `except` takes it."""


def told(error: Exception) -> Told:
    """How an error is told: the most specific class in the table decides.

    Raises:
        KeyError: the table does not know it; it is a fault of ours.
    """
    for kind in type(error).__mro__:
        if kind in TABLE:
            return TABLE[kind]
    raise KeyError(type(error).__name__)


def unavailable(
    name: str,
    reason: str,
    message: str,
    *,
    status: int | None = None,
    retry_after: float | None = None,
    remedy: str = "It is asked again later.",
) -> BackendUnavailable:
    """Nothing is known yet of what was asked.

    Args:
        name: of the back-end in the settings.
    """
    return BackendUnavailable(
        message,
        reason=reason,
        status=status,
        retry_after=retry_after,
        place=f"backend {name}",
        remedy=remedy,
    )


def rejection(name: str, reason: str, message: str, *, status: int | None = None) -> BackendRejection:
    """The question itself is wrong. Args: as of `unavailable`."""
    return BackendRejection(
        message,
        reason=reason,
        status=status,
        place=f"backend {name}",
        remedy="Correct the check in the definition, or the application, then retry.",
    )


def translated(name: str, error: Exception) -> BackendUnavailable | BackendRejection:
    """An error of the table as the port has it; its own words stay out, as they may hold personal data."""
    found = told(error)
    if found.rejects:
        return rejection(name, found.reason, found.message)
    return unavailable(name, found.reason, found.message)
