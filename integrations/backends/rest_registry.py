"""A registry that is asked by JSON over HTTP.

A question is a POST to its URL with the parameters as one JSON object, `Idempotency-Key` and a bearer token.
It answers 200 with `{"passed": true | false, "code": "...", "text": {"ar": "...", "en": "..."}}`; code and
text may be missing. Every other outcome is no answer, and the tables below say which.

Source: RFC 9110 (status codes, Retry-After); draft-ietf-httpapi-idempotency-key-header, section 2.7 (409
while the first request of a key is still being worked on).
"""

import json
import time
from collections.abc import Callable
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Annotated, Any

import httpx
from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError

from foundation.definitions import Bilingual
from foundation.errors import NotFound
from foundation.secret import SecretFile
from foundation.settings import Backend as Section
from integrations.backend import Backend, BackendRejection, BackendUnavailable, Question, Reply

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
"""Statuses below 500 that say nothing of the question; all others from 400 on reject it."""


class _Answer(BaseModel):
    # More members than these are the registry's own business.
    model_config = ConfigDict(extra="ignore", frozen=True)

    passed: StrictBool
    code: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{0,64}$")] = ""
    text: Bilingual | None = None


class RestRegistry:
    """One registry.

    Args:
        name: in the settings.
        url: that is posted to.
        timeout_s: for connecting, for sending, and between two parts of the reply; the reply as a whole gets
            twice that.
        token: gives the bearer token, read for each question so that a new one is taken up; None sends none.
        clock: the present moment, aware.
    """

    def __init__(
        self,
        name: str,
        url: str,
        timeout_s: float,
        token: Callable[[], str] | None,
        clock: Callable[[], datetime],
    ) -> None:
        self._name = name
        self._url = url
        self._timeout = timeout_s
        self._token = token
        self._clock = clock
        self._trust = httpx.create_ssl_context(trust_env=False)

    def ask(self, question: Question) -> Reply:
        """Ask it, once. Raises as `integrations.backend.Backend.ask` does."""
        headers = {
            "Idempotency-Key": question.key,
            "Accept": "application/json",
            "Accept-Encoding": "identity",
        }
        if self._token is not None:
            headers["Authorization"] = f"Bearer {self._bearer(self._token)}"
        # Not by the environment's proxies, and never where a redirect leads: personal data goes to one place.
        # A connection for each question: one kept open may be gone when the next question is sent by it.
        client = httpx.Client(verify=self._trust, timeout=self._timeout, trust_env=False)
        try:
            with (
                client,
                client.stream("POST", self._url, json=dict(question.parameters), headers=headers) as response,
            ):
                self._judge(response)
                body = self._body(response)
        except httpx.HTTPError as error:
            raise self._failed(error) from error
        return self._reply(body)

    def _bearer(self, token: Callable[[], str]) -> str:
        try:
            return token()
        except NotFound as error:
            raise self._unavailable("credentials", error.message, remedy=error.remedy) from error

    def _judge(self, response: httpx.Response) -> None:
        status = response.status_code
        if status == 200:
            kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json":
                raise self._unavailable("not_json", "The back-end answers something that is no JSON.", status)
            return
        if 400 <= status < 500 and status not in STATUSES:
            raise BackendRejection(
                f"The back-end rejects the question (status {status}).",
                reason=f"status_{status}",
                status=status,
                place=f"backend {self._name}",
                remedy="Correct the check in the definition, or the application, then retry.",
            )
        reason = STATUSES.get(status, "server" if status >= 500 else "unexpected_status")
        wait = _retry_after(response.headers.get("retry-after"), self._clock())
        raise self._unavailable(
            reason, f"The back-end did not answer the question (status {status}).", status, wait
        )

    def _body(self, response: httpx.Response) -> bytes:
        limit = time.monotonic() + 2 * self._timeout
        body = bytearray()
        for part in response.iter_raw():
            body += part
            if len(body) > LARGEST_REPLY:
                raise self._unavailable("too_large", "The back-end's reply is too large.", 200)
            if time.monotonic() > limit:
                raise self._unavailable("timeout", "The back-end's reply came too slowly.", 200)
        return bytes(body)

    def _reply(self, body: bytes) -> Reply:
        try:
            data: Any = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise self._unavailable("malformed", "The back-end's reply is broken JSON.", 200) from error
        try:
            answer = _Answer.model_validate(data)
        except ValidationError as error:
            # The reply itself is not shown: it may hold personal data.
            where = "/".join(str(step) for step in error.errors()[0]["loc"]) or "the whole"
            raise self._unavailable(
                "wrong_shape", f"The back-end's reply is not as agreed ({where}).", 200
            ) from None
        return Reply(answer.passed, self._clock(), answer.code, answer.text)

    def _failed(self, error: httpx.HTTPError) -> BackendUnavailable:
        reason, message = next(FAILURES[kind] for kind in type(error).__mro__ if kind in FAILURES)
        return self._unavailable(reason, message)

    def _unavailable(
        self,
        reason: str,
        message: str,
        status: int | None = None,
        wait: float | None = None,
        remedy: str = "It is asked again later.",
    ) -> BackendUnavailable:
        return BackendUnavailable(
            message,
            reason=reason,
            status=status,
            retry_after=wait,
            place=f"backend {self._name}",
            remedy=remedy,
        )


def open_backend(name: str, section: Section, secrets: SecretFile, clock: Callable[[], datetime]) -> Backend:
    """The registry of a section of the settings."""
    secret = section.secret
    token = None if secret is None else lambda: secrets.get(secret).reveal()
    return RestRegistry(name, section.url, section.timeout, token, clock)


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
