"""What is told where there was no answer: one sentence and a remedy for each thing that keeps one away."""

import socket
import ssl
from collections.abc import Iterator

import httpx

_CA = (
    "Name the authority of the server's certificate with --ca, or let the municipality renew the certificate."
)


def told(error: httpx.HTTPError, url: str) -> tuple[str, str]:
    """A sentence and a remedy.

    Args:
        url: of the server.
    """
    causes = list(_causes(error))
    for cause in causes:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"The TLS certificate of {url} is not trusted: {cause.verify_message}.", _CA
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            reason = (cause.reason or str(cause)).replace("_", " ").lower()
            return f"There is no TLS connection to {url}: {reason}.", "Is this the port that speaks TLS?"
    for cause in causes:
        if isinstance(cause, socket.gaierror):
            return f"The name in {url} is not known.", "Is it written rightly, and does the network know it?"
    if isinstance(error, httpx.TimeoutException):
        return f"{url} did not answer in time.", "Try again; if it stays so, ask the municipality."
    if isinstance(error, httpx.ConnectError):
        return (
            f"Nobody answers at {url}: {_reason(causes)}.",
            "Is the server up, the address right, and the way open?",
        )
    return (
        f"{url} broke off the conversation: {_reason(causes)}.",
        "Does another program, such as a proxy, stand between?",
    )


def _reason(causes: list[BaseException]) -> str:
    for cause in causes:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
    words = [str(each).rstrip(".") for each in causes if str(each)]
    return words[-1] if words else type(causes[0]).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    each: BaseException | None = error
    while each is not None:
        yield each
        each = each.__cause__ or each.__context__
