"""Sending to addresses that strangers chose: never into our own networks, never where a redirect leads.

A name is resolved once, every address it has is judged, and the connection goes to an address that was
judged: a second answer of the name server changes nothing. The whole exchange has one deadline, so that a
receiver who dribbles holds no sender.

Source: Standard Webhooks 1.0.0, "Server side request forgery"; RFC 6890 (special-purpose addresses).
"""

import contextlib
import http.client
import ipaddress
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import SplitResult, urlsplit

from foundation.errors import InvalidInput, Unavailable

LARGEST_ANSWER = 64_000
"""Bytes of an answer that are read; what comes after them is nobody's concern."""

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Resolve = Callable[[str, int], list[str]]

# The well-known prefix of RFC 6052, behind which a gateway reaches IPv4.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
_LONGEST_URL = 2_000
# What may stand in an http URL (RFC 3986), without the user's part, whose @ is caught below.
_URL = re.compile(r"https?://[!-~]+", re.IGNORECASE)


class Undelivered(Unavailable):
    """What was sent did not arrive, as far as we know.

    Args:
        reason: in one word that a program can compare, as "timeout" or "status_500".
        gone: the receiver wants nothing more.
        retry_after: seconds that it asks to be left alone.
    """

    retryable: ClassVar[bool] = True

    def __init__(
        self, message: str, *, reason: str, gone: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message, remedy="It is sent again later.", message_ar="تعذّر التسليم إلى المستقبِل.")
        self.reason = reason
        self.gone = gone
        self.retry_after = retry_after


@dataclass(frozen=True)
class Outgoing:
    """Sends.

    Args:
        allow_private: whether http and addresses that are not public are allowed.
        timeout_s: for the whole exchange.
        resolve: addresses of a host and port; the system's by default.
        trust: whose certificates are believed; the system's by default.
    """

    allow_private: bool
    timeout_s: float
    resolve: Resolve | None = None
    trust: ssl.SSLContext | None = None

    def check(self, url: str) -> None:
        """Refuse a URL that could not be sent to, as far as it can be told now.

        Raises:
            InvalidInput: it is no URL, not https, or leads into a private network.
        """
        parts = self._parts(url)
        # A name that does not resolve today may tomorrow; it is judged again at each sending.
        with contextlib.suppress(Undelivered):
            self._addresses(parts)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Send, once.

        Returns:
            The status, 200 to 299.

        Raises:
            Undelivered: by every other status, and wherever the exchange failed.
            InvalidInput: the URL may not be sent to.
        """
        parts = self._parts(url)
        limit = time.monotonic() + self.timeout_s
        try:
            with self._connected(parts, self._addresses(parts), limit) as opened:
                return _exchange(opened, parts, body, headers)
        except TimeoutError as error:
            raise Undelivered("The receiver did not answer in time.", reason="timeout") from error
        except ssl.SSLError as error:
            raise Undelivered("The receiver's certificate or TLS does not hold.", reason="tls") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            # Ours was the hand that broke it off if its time was up.
            late = time.monotonic() >= limit
            raise Undelivered(
                "The receiver did not answer in time." if late else "The receiver cannot be reached.",
                reason="timeout" if late else "connection",
            ) from error

    def _parts(self, url: str) -> SplitResult:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            parts, port = urlsplit(""), None
        if not _URL.fullmatch(url) or len(url) > _LONGEST_URL or not parts.hostname or port == 0:
            raise _refused("This is no http URL.", "ليس هذا عنوان ويب صحيحًا.")
        if parts.username is not None or parts.password is not None or parts.fragment:
            raise _refused(
                "The URL holds a user name, a password or a fragment.",
                "يحتوي العنوان على اسم مستخدم أو كلمة مرور أو جزء فرعي.",
            )
        if parts.scheme != "https" and not self.allow_private:
            raise _refused("The URL is not https.", "يجب أن يبدأ العنوان بـ https.")
        return parts

    def _addresses(self, parts: SplitResult) -> list[str]:
        host = parts.hostname or ""
        try:
            found = (self.resolve or resolved)(host, _port(parts))
        except (OSError, UnicodeError) as error:
            raise Undelivered("The receiver's name does not resolve.", reason="name") from error
        if not self.allow_private and not all(is_public(address) for address in found):
            raise _refused(
                "The URL leads to an address that is not public.", "يقود العنوان إلى شبكة داخلية غير عامة."
            )
        return found

    @contextlib.contextmanager
    def _connected(self, parts: SplitResult, addresses: list[str], limit: float) -> Iterator[socket.socket]:
        opened = _connect(addresses, _port(parts), limit)
        try:
            if parts.scheme == "https":
                context = self.trust or ssl.create_default_context()
                # The hands are shaken below, when the deadline watches already.
                opened = context.wrap_socket(
                    opened, server_hostname=parts.hostname, do_handshake_on_connect=False
                )
            # The one deadline: each part of an exchange could stay below a timeout of its own for ever.
            timer = threading.Timer(max(0.0, limit - time.monotonic()), _break_off, [opened])
            timer.start()
            try:
                if isinstance(opened, ssl.SSLSocket):
                    opened.do_handshake()
                yield opened
            finally:
                timer.cancel()
        finally:
            opened.close()


def _exchange(opened: socket.socket, parts: SplitResult, body: bytes, headers: Mapping[str, str]) -> int:
    connection = http.client.HTTPConnection(parts.hostname or "", _port(parts))
    # It keeps this socket instead of opening one to whatever the name means by now.
    connection.sock = opened
    target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
    given = {"Host": parts.netloc, "Accept-Encoding": "identity", "Connection": "close", **headers}
    connection.request("POST", target, body, given)
    response = connection.getresponse()
    # The status is the answer. The rest is read so that the receiver may finish, and forgotten.
    with contextlib.closing(response), contextlib.suppress(OSError, http.client.HTTPException):
        response.read(LARGEST_ANSWER)
    if not 200 <= response.status <= 299:
        raise Undelivered(
            f"The receiver answered with status {response.status}.",
            reason=f"status_{response.status}",
            gone=response.status == 410,
            retry_after=_seconds(response.getheader("Retry-After")),
        )
    return response.status


def resolved(host: str, port: int) -> list[str]:
    """The addresses of a host, as the system knows them.

    Raises:
        OSError: it does not resolve.
    """
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def is_public(address: str) -> bool:
    """Whether an address is of the public internet, also if it hides an IPv4 address in an IPv6 one."""
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        hidden = found.ipv4_mapped or found.sixtofour
        if hidden is None and found in _NAT64:
            hidden = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if hidden is not None:
            return is_public(str(hidden))
        if found.teredo is not None or found.is_site_local:
            return False
    return found.is_global and not found.is_multicast and not found.is_reserved


def _connect(addresses: list[str], port: int, limit: float) -> socket.socket:
    failed: OSError = OSError("the name has no address")
    for address in addresses:
        left = limit - time.monotonic()
        if left <= 0:
            raise TimeoutError
        try:
            return socket.create_connection((address, port), timeout=left)
        except OSError as error:
            failed = error
    raise failed


def _break_off(opened: socket.socket) -> None:
    # Not SSLSocket's own: it would say goodbye first, and wait for it.
    with contextlib.suppress(OSError):
        socket.socket.shutdown(opened, socket.SHUT_RDWR)


def _port(parts: SplitResult) -> int:
    return parts.port or (443 if parts.scheme == "https" else 80)


def _seconds(value: str | None) -> float | None:
    # Of the two forms of RFC 9110, section 10.2.3, the one that needs no clock of theirs.
    known = value is not None and value.isascii() and value.strip().isdigit()
    return float(value or 0) if known else None


def _refused(message: str, message_ar: str) -> InvalidInput:
    return InvalidInput(
        message, remedy="Name an https URL that the public internet reaches.", message_ar=message_ar
    )
