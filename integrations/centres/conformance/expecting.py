"""What the checks expect of an answer, and what is told where it is another."""

from typing import Any

import httpx

from integrations.centres.conformance.checking import Failed

PROBLEM = "application/problem+json"
_URN = "urn:rakeeza:problem:"
_LONGEST = 300


def problem(answer: httpx.Response, status: int, kind: str, remedy: str) -> dict[str, Any]:
    """A refusal of a kind, told in both languages.

    Args:
        kind: the last part of the problem's `type`.
        remedy: what the reader can do where the answer is another.

    Raises:
        Failed: it is another answer.
    """
    seen = told(answer)
    if answer.status_code != status or seen != kind:
        raise Failed(f"The server answered {answer.status_code} {seen}, not {status} {kind}.", remedy)
    document: dict[str, Any] = answer.json()
    for name in ("title", "title_ar", "detail", "detail_ar"):
        if not document.get(name):
            raise Failed(
                f"The problem {kind} has no {name}.", "Tell the municipality; this is the server's fault."
            )
    return document


def success(answer: httpx.Response, remedy: str) -> Any:
    """The JSON of an answer that is none of a refusal.

    Raises:
        Failed: it is one.
    """
    if answer.status_code not in (200, 201):
        raise Failed(f"The server answered {answer.status_code} {told(answer)}: {_detail(answer)}", remedy)
    return answer.json()


def told(answer: httpx.Response) -> str:
    """What a problem document is called; of another answer, its type."""
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if kind != PROBLEM:
        return f"({kind or 'nothing'})"
    return str(answer.json().get("type", "")).removeprefix(_URN)


def _detail(answer: httpx.Response) -> str:
    if answer.headers.get("content-type") == PROBLEM:
        return str(answer.json().get("detail", ""))[:_LONGEST]
    return answer.text[:_LONGEST]
