"""Questions as JSON over HTTP: what every back-end's driver shares that is asked so.

A question is one POST of a JSON object with `Idempotency-Key` and, where the settings name one, a bearer
token. Status 200 with JSON, signed where the settings say so, is what a driver reads on; every other outcome
is no answer, and the tables below say which. What was asked or answered stands in no error.

Source: RFC 9110 (status codes, Retry-After); draft-ietf-httpapi-idempotency-key-header, section 2.7 (409
while the first request of a key is still being worked on).
"""

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx

from foundation.errors import Damaged, NotFound, SettingsError
from foundation.secret import SecretFile
from foundation.settings import Backend as Section
from integrations import answer_signature
from integrations.backend import BackendRejection, BackendUnavailable

LARGEST_QUESTION = 64_000
"""Bytes of a question that are sent at most."""
LARGEST_REPLY = 64_000
"""Bytes of a reply that are read at most."""
LONGEST_WAIT = 86_400.0
"""Seconds that a back-end can ask us at most to stay away."""

FAILURES: dict[type[httpx.HTTPError], tuple[str, str]] = {
    httpx.HTTPError: ("exchange", "The exchange with the back-end failed."),
    httpx.TimeoutException: ("timeout", "The back-end did not answer in time."),
    httpx.ConnectTimeout: ("connect_timeout", "The back-end could not be reached in time."),
    httpx.ConnectError: ("connect", "The back-end cannot be reached."),
    httpx.NetworkError: ("network", "The connection to the back-end was lost."),
    httpx.RemoteProtocolError: ("protocol", "The back-end broke off, or does not speak HTTP."),
    httpx.UnsupportedProtocol: ("protocol", "The back-end's URL is of no known protocol."),
}
"""How a failed exchange is told: the most specific class decides. None of them is an answer."""

STATUSES: dict[int, str] = {
    401: "credentials",
    403: "credentials",
    407: "credentials",
    408: "timeout",
    409: "in_progress",
    425: "too_early",
    429: "rate_limit",
}
"""Why there is no answer with some statuses below 500; with all others it is an unexpected one."""
REJECTS = frozenset({400, 413, 422})
"""Statuses that say that the question is wrong. A gateway whose back-end is just away says 404 of all."""


@dataclass(frozen=True)
class Received:
    """A reply of status 200 whose type is JSON, signed by the back-end where the settings say so.

    Args:
        body: as it was received, whole.
        fields: the header's lines, names in any case.
    """

    body: bytes = field(repr=False)
    fields: tuple[tuple[str, str], ...] = field(repr=False)


class JsonClient:
    """Asks one URL. May be used by several threads.

    Args:
        name: of the back-end in the settings.
        section: its settings; `timeout` holds for connecting, for sending and between two parts of the reply,
            `total` for all of it.
        secrets: holds the bearer token, read for each question so that a new one is taken up.
        clock: the present moment, aware.

    Raises:
        SettingsError: a file that the section names cannot be used.
    """

    def __init__(
        self, name: str, section: Section, secrets: SecretFile, clock: Callable[[], datetime]
    ) -> None:
        self._name = name
        self._section = section
        self._secrets = secrets
        self._clock = clock
        self._trust = _trust(name, section)
        self._keys = () if section.answer_keys is None else answer_signature.read_keys(section.answer_keys)

    def post(self, key: str, body: Mapping[str, Any]) -> Received:
        """Ask, once.

        Args:
            key: of the question.
            body: what is sent, plain JSON.

        Raises:
            BackendUnavailable: nothing is known yet.
            BackendRejection: the question itself is wrong.
        """
        content = json.dumps(dict(body), ensure_ascii=False).encode()
        if len(content) > LARGEST_QUESTION:
            raise self.rejection("question_too_large", "The question is too large for a back-end.")
        headers = self._headers(key)
        # Not by the environment's proxies, and never where a redirect leads: personal data goes to one place.
        # A connection for each question: one kept open may be gone when the next question is sent by it.
        client = httpx.Client(verify=self._trust, timeout=self._section.timeout, trust_env=False)
        cut = _Cut(self._section.whole_time)
        try:
            with (
                cut,
                client,
                client.stream(
                    "POST",
                    self._section.url,
                    content=content,
                    headers=headers,
                    extensions={"trace": cut.trace},
                ) as response,
            ):
                self._judge(response)
                received = self._body(response)
        except httpx.HTTPError as error:
            if cut.over:
                raise self._too_slow() from None
            raise self._failed(error) from error
        if cut.over:
            # A reply that ends with its connection would pass for whole where we cut it off.
            raise self._too_slow()
        found = Received(received, tuple(response.headers.multi_items()))
        self._verify(found)
        return found

    def read(self, received: Received, once_each: bool = False) -> Any:
        """The JSON of a reply.

        Args:
            once_each: whether an object with two members of one name is broken too.

        Raises:
            BackendUnavailable: it is broken.
        """
        try:
            return json.loads(received.body, object_pairs_hook=_once_each if once_each else None)
        except (ValueError, RecursionError):
            # Not even as its cause: the words of some of these show what they could not read.
            raise self.unavailable("malformed", "The back-end's reply is broken JSON.", 200) from None

    def unavailable(
        self,
        reason: str,
        message: str,
        status: int | None = None,
        wait: float | None = None,
        remedy: str = "It is asked again later.",
    ) -> BackendUnavailable:
        """An error of this back-end: nothing is known yet."""
        return BackendUnavailable(
            message,
            reason=reason,
            status=status,
            retry_after=wait,
            place=f"backend {self._name}",
            remedy=remedy,
        )

    def rejection(self, reason: str, message: str, status: int | None = None) -> BackendRejection:
        """An error of this back-end: the question itself is wrong."""
        return BackendRejection(
            message,
            reason=reason,
            status=status,
            place=f"backend {self._name}",
            remedy="Correct the check in the definition, or the application, then retry.",
        )

    def _headers(self, key: str) -> dict[str, str]:
        headers = {
            "Idempotency-Key": key,
            "Content-Type": "application/json",
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }
        if self._section.secret is not None:
            try:
                headers["Authorization"] = f"Bearer {self._secrets.get(self._section.secret).reveal()}"
            except NotFound as error:
                raise self.unavailable("credentials", error.message, remedy=error.remedy) from error
        return headers

    def _judge(self, response: httpx.Response) -> None:
        status = response.status_code
        if status == 200:
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json":
                raise self.unavailable("not_json", "The back-end answers something that is no JSON.", status)
            return
        if status in REJECTS:
            message = f"The back-end rejects the question (status {status})."
            raise self.rejection(f"status_{status}", message, status)
        reason = STATUSES.get(status, "server" if status >= 500 else "unexpected_status")
        wait = _retry_after(response.headers.get("retry-after"), self._clock())
        message = f"The back-end did not answer the question (status {status})."
        raise self.unavailable(reason, message, status, wait)

    def _verify(self, received: Received) -> None:
        scheme = self._section.signed
        if scheme == "no":
            return
        try:
            answer_signature.check(scheme, 200, received.fields, received.body, self._keys, self._clock())
        except Damaged as error:
            raise self.unavailable("wrong_signature", error.message, 200, remedy=error.remedy) from None

    def _body(self, response: httpx.Response) -> bytes:
        body = bytearray()
        for part in response.iter_raw():
            body += part
            if len(body) > LARGEST_REPLY:
                raise self.unavailable("too_large", "The back-end's reply is too large.", 200)
        return bytes(body)

    def _failed(self, error: httpx.HTTPError) -> BackendUnavailable:
        reason, message = next(FAILURES[kind] for kind in type(error).__mro__ if kind in FAILURES)
        return self.unavailable(reason, message)

    def _too_slow(self) -> BackendUnavailable:
        return self.unavailable("timeout", "The back-end's reply came too slowly.")


class _Cut:
    """Cuts the connection when the time for the question is over: a back-end may send a byte a second."""

    def __init__(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self.over = False

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def trace(self, event: str, told: Mapping[str, Any]) -> None:
        # httpx tells what goes on within an exchange; the socket is what can be ended from outside.
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            with self._lock:
                self._socket = told["return_value"].get_extra_info("socket")
                self._shut()

    def _cut(self) -> None:
        with self._lock:
            self.over = True
            self._shut()

    def _shut(self) -> None:
        if self.over and self._socket is not None:
            # The plain socket's: that of TLS would change what the other thread is reading with.
            with contextlib.suppress(OSError):
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)


def _trust(name: str, section: Section) -> ssl.SSLContext:
    if section.ca is None:
        context = httpx.create_ssl_context(trust_env=False)
    else:
        with _usable(f"backends.{name}.ca", section.ca):
            context = ssl.create_default_context(cafile=str(section.ca))
    if section.certificate is not None:
        with _usable(f"backends.{name}.certificate", section.certificate):
            # A key with a password would be asked for on the terminal.
            context.load_cert_chain(section.certificate, section.key, password=lambda: b"")
    return context


@contextlib.contextmanager
def _usable(option: str, file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        # Of these, those of TLS have words that name lines of its library.
        what = error.strerror if not isinstance(error, ssl.SSLError) else "no certificate or key in PEM"
        raise SettingsError(
            f"{option} cannot be used ({what}).",
            place=str(file),
            remedy="Name a PEM file that this user can read, its key without a password.",
        ) from error


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Of two members of one name, two readers may see different ones.
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands twice")
    return found


def _retry_after(value: str | None, now: datetime) -> float | None:
    # RFC 9110, section 10.2.3: seconds, or a date.
    if value is None:
        return None
    if value.isascii() and value.strip().isdigit():
        return min(LONGEST_WAIT, float(value))
    try:
        seconds = (parsedate_to_datetime(value) - now).total_seconds()
    except (ValueError, TypeError):
        # A date without its zone is as good as none.
        return None
    return min(LONGEST_WAIT, max(0.0, seconds))
