"""Sending to addresses that strangers chose: never into our own networks, never where a redirect leads.

A name is resolved once for each connection, every address it has is judged, and the connection goes to an
address that was judged: a second answer of the name server changes nothing, and a connection that is kept
leads where it always led. Each exchange has one deadline, so that a receiver who dribbles holds no sender.

Source: Standard Webhooks 1.0.0, "Server side request forgery"; RFC 6890 (special-purpose addresses).
"""

import contextlib
import http.client
import ipaddress
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
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
        timeout_s: for one whole exchange, in seconds.
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
        parts = self.parts(url)
        # A name that does not resolve today may tomorrow; it is judged again at each sending.
        with contextlib.suppress(Undelivered):
            self._addresses(parts)

    def line(self, url: str) -> "Line":
        """A way to one receiver, on which its connection is kept; nothing is opened or judged yet."""
        return Line(self, url)

    def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> int:
        """Send once, by a connection of its own; see `Line.post`."""
        with contextlib.closing(self.line(url)) as line:
            return line.post(body, headers)

    def parts(self, url: str) -> SplitResult:
        """The parts of a URL, judged by its text.

        Raises:
            InvalidInput: it is no URL that may be sent to.
        """
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

    def connect(self, parts: SplitResult, limit: float) -> "_Connection":
        """A new connection to an address that was judged, by a moment of the monotonic clock."""
        opened = _connect(self._addresses(parts), _port(parts), limit)
        try:
            # A message is two small packets, and none waits until the one before is acknowledged.
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            # From here on the deadline is kept by who watches, and the socket simply blocks.
            opened.settimeout(None)
            if parts.scheme == "https":
                opened = (self.trust or self._known).wrap_socket(
                    opened, server_hostname=parts.hostname, do_handshake_on_connect=False
                )
            return _Connection(parts, opened, limit)
        except BaseException:
            opened.close()
            raise

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

    @cached_property
    def _known(self) -> ssl.SSLContext:
        # The system's certificates take 19 ms to read: once, and not for each connection.
        return ssl.create_default_context()


class Line:
    """A way to one receiver, for one thread: its connection is kept from message to message; to be closed."""

    def __init__(self, outgoing: Outgoing, url: str) -> None:
        self._outgoing = outgoing
        self._url = url
        self._kept: _Connection | None = None

    def post(self, body: bytes, headers: Mapping[str, str]) -> int:
        """Send, once; a second time only if the connection that was kept is found broken.

        Returns:
            The status, 200 to 299.

        Raises:
            Undelivered: by every other status, and wherever the exchange failed.
            InvalidInput: the URL may not be sent to.
        """
        parts = self._outgoing.parts(self._url)
        limit = time.monotonic() + self._outgoing.timeout_s
        try:
            status, retry_after = self._exchanged(parts, body, headers, limit)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _undelivered(error, time.monotonic() >= limit) from error
        if not 200 <= status <= 299:
            raise Undelivered(
                f"The receiver answered with status {status}.",
                reason=f"status_{status}",
                gone=status == 410,
                retry_after=retry_after,
            )
        return status

    def close(self) -> None:
        """Close the connection, if there is one."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def _exchanged(
        self, parts: SplitResult, body: bytes, headers: Mapping[str, str], limit: float
    ) -> tuple[int, float | None]:
        if self._kept is not None and self._kept.is_silent:
            try:
                return self._kept.exchange(body, headers, limit)
            except (OSError, http.client.HTTPException):
                # A receiver may close an idle connection in the moment in which we write: no failure of it.
                if time.monotonic() >= limit:
                    raise
        self.close()
        self._kept = self._outgoing.connect(parts, limit)
        return self._kept.exchange(body, headers, limit)


class _Connection:
    """An open connection, broken off by a thread of its own once the deadline of its exchange has passed.

    Each part of an exchange could stay below a timeout of its own for ever. A thread a connection costs less
    than a timer a message, and a socket that blocks less than one that is asked first: in a busy process each
    wait is another one for the interpreter's lock.
    """

    def __init__(self, parts: SplitResult, opened: socket.socket, limit: float) -> None:
        self._socket = opened
        self._target = f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}"
        self._host = parts.netloc
        self._http = http.client.HTTPConnection(parts.hostname or "", _port(parts))
        # It has this socket, and never opens one to whatever the name means by now.
        self._http.sock = opened
        self._http.auto_open = 0
        self._limit = limit
        self._closed = threading.Event()
        threading.Thread(target=self._watch, name="deadline", daemon=True).start()
        if isinstance(opened, ssl.SSLSocket):
            with self._closed_by_a_fault():
                opened.do_handshake()

    @property
    def is_silent(self) -> bool:
        """Whether it is open and nothing came unasked: neither its end nor words that answer no request."""
        if self._http.sock is None or self._closed.is_set():
            return False
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not poll.poll(0)

    def exchange(self, body: bytes, headers: Mapping[str, str], limit: float) -> tuple[int, float | None]:
        """Send and be answered: the status, and for how many seconds the receiver asks to be left alone."""
        self._limit = limit
        with self._closed_by_a_fault():
            given = {"Host": self._host, "Accept-Encoding": "identity", **headers}
            self._http.request("POST", self._target, body, given)
            with contextlib.closing(self._http.getresponse()) as response:
                # The status is the answer. The rest is read so that the receiver may finish, and forgotten.
                with contextlib.suppress(OSError, http.client.HTTPException):
                    response.read(LARGEST_ANSWER)
                if not response.isclosed():
                    # What is left of it would be taken for the next answer.
                    self.close()
        return response.status, _seconds(response.getheader("Retry-After"))

    def close(self) -> None:
        """Close it, and end the thread that watches."""
        self._closed.set()
        self._http.close()
        self._socket.close()

    @contextlib.contextmanager
    def _closed_by_a_fault(self) -> Iterator[None]:
        try:
            yield
        except BaseException:
            self.close()
            raise

    def _watch(self) -> None:
        while not self._closed.wait(max(0.0, self._limit - time.monotonic())):
            # The next exchange has put it off meanwhile, if there was one.
            if time.monotonic() >= self._limit:
                _break_off(self._socket)
                return


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


def _undelivered(error: Exception, late: bool) -> Undelivered:
    # Ours was the hand that broke it off if its time was up, whatever it looks like then.
    if late or isinstance(error, TimeoutError):
        return Undelivered("The receiver did not answer in time.", reason="timeout")
    if isinstance(error, ssl.SSLError):
        return Undelivered("The receiver's certificate or TLS does not hold.", reason="tls")
    return Undelivered("The receiver cannot be reached.", reason="connection")


def _seconds(value: str | None) -> float | None:
    # Of the two forms of RFC 9110, section 10.2.3, the one that needs no clock of theirs.
    known = value is not None and value.isascii() and value.strip().isdigit()
    return float(value or 0) if known else None


def _refused(message: str, message_ar: str) -> InvalidInput:
    return InvalidInput(
        message, remedy="Name an https URL that the public internet reaches.", message_ar=message_ar
    )
