"""What was sent and what came, kept for the report, with secrets and tokens masked.

A refusal is only right if it is one for the right reason: therefore each check has its exchanges, also where
it passed.
"""

import re
from dataclasses import dataclass, field

import httpx

from integrations.ws_security.names import SOAP_11, SOAP_12

MASKED = "<masked>"
_LONGEST_ANSWER = 4_000  # characters
_PROBLEM = re.compile(rb"urn:rakeeza:problem:([a-z0-9-]+)")
_ENVELOPES = {SOAP_11.encode(): "SOAP 1.1", SOAP_12.encode(): "SOAP 1.2"}
_OPERATION = re.compile(rb"<(?:\w+:)?Body\b[^>]*><(?:\w+:)?(\w+)")
_OAUTH = re.compile(rb'"error"\s*:\s*"([a-z_]+)"')

# Each leaves its first group as it is. Of an assertion the claims may be seen, and not what makes it good.
_MASKS = tuple(
    re.compile(pattern, re.DOTALL | re.IGNORECASE)
    for pattern in (
        r"(^authorization: \w+ )[^\n]+",
        r"(^(?:cookie|set-cookie|proxy-authorization): )[^\n]+",
        r"((?:^|&)client_assertion=[^&.\s]*\.[^&.\s]*\.)[^&\s]+",
        r"((?:^|&)(?:client_secret|password)=)[^&\s]+",
        r'("(?:access_token|refresh_token|secret|client_secret)"\s*:\s*")[^"]+',
        r"(<(?:\w+:)?Password\b[^>]*>)[^<]+",
    )
)
_BY_LINE = 2  # so many of the masks are for one line of a header


@dataclass
class Exchange:
    """A request and its answer.

    Args:
        request: as it went out.
        answer: None where there was none.
    """

    request: httpx.Request
    answer: httpx.Response | None = None

    @property
    def sent(self) -> str:
        """What was sent, in a line."""
        content = self.request.content
        size = f" ({len(content)} bytes)" if content else ""
        said = f"{self.request.method} {self.request.url.raw_path.decode('ascii')}"
        for namespace, title in _ENVELOPES.items():
            if namespace in content:
                found = _OPERATION.search(content)
                return f"{found[1].decode() if found else 'a message'} by {title}, {said}{size}"
        return said + size

    @property
    def came(self) -> str:
        """What came, in a line: the status, and what the refusal is called."""
        if self.answer is None:
            return "no answer"
        body = self.answer.content
        found = _PROBLEM.search(body) or _OAUTH.search(body)
        kind = self.answer.headers.get("content-type", "").partition(";")[0]
        return f"{self.answer.status_code} {found[1].decode() if found else kind}".strip()

    def request_text(self) -> str:
        """The request, byte for byte where it is text."""
        target = self.request.url.raw_path.decode("ascii")
        first = f"{self.request.method} {target} HTTP/1.1"
        return _text(first, self.request.headers, self.request.content)

    def answer_text(self) -> str:
        """The answer; of a long one the beginning."""
        if self.answer is None:
            return ""
        first = f"HTTP/1.1 {self.answer.status_code} {self.answer.reason_phrase}".strip()
        text = _text(first, self.answer.headers, self.answer.content)
        return text if len(text) <= _LONGEST_ANSWER else f"{text[:_LONGEST_ANSWER]}…"


@dataclass
class Exchanges:
    """Everything that a client sends and gets, in order."""

    all: list[Exchange] = field(default_factory=list)

    def watch(self, http: httpx.Client) -> None:
        """Keep what a client sends from now on."""
        hooks = http.event_hooks
        http.event_hooks = {
            "request": [*hooks["request"], self._asked],
            "response": [*hooks["response"], self._answered],
        }

    def _asked(self, request: httpx.Request) -> None:
        self.all.append(Exchange(request))

    def _answered(self, answer: httpx.Response) -> None:
        answer.read()
        self.all[-1].answer = answer


def masked(text: str) -> str:
    """A text of headers, form, JSON or XML without what opens anything."""
    for mask in _MASKS[_BY_LINE:]:
        text = mask.sub(rf"\1{MASKED}", text)
    return text


def _text(first: str, headers: httpx.Headers, body: bytes) -> str:
    lines = [first]
    for name, value in headers.multi_items():
        line = f"{name}: {value}"
        for mask in _MASKS[:_BY_LINE]:
            line = mask.sub(rf"\1{MASKED}", line)
        lines.append(line)
    return "\n".join([*lines, "", *([_readable(body)] if body else [])])


def _readable(body: bytes) -> str:
    # A package holds a picture between its texts: what is no text is told by its length.
    if b"\0" in body:
        parts = re.split(rb"([^\n]*\0.*?)(?=\r\n--|\Z)", body, flags=re.DOTALL)
        return "".join(
            f"<{len(part)} bytes>" if b"\0" in part else masked(part.decode("utf-8", "replace"))
            for part in parts
        )
    return masked(body.decode("utf-8", "replace"))
