"""What the checks expect of an answer by REST, and what is told where it is another."""

from typing import Any

import httpx

from integrations.centres.conformance.checking import THEIRS, Failed

PROBLEM = "application/problem+json"
URN = "urn:rakeeza:problem:"
_LONGEST = 300
_ARABIC = range(0x600, 0x700)


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
        says = f" It says: {detail(answer)}" if detail(answer) else ""
        raise Failed(f"The server answered {answer.status_code} {seen}, not {status} {kind}.{says}", remedy)
    document = json_of(answer)
    check_languages(document, kind)
    return document


def check_languages(document: dict[str, Any], kind: str) -> None:
    """Hold a refusal to be told in English and Arabic.

    Raises:
        Failed: it is not.
    """
    for name in ("title", "title_ar", "detail", "detail_ar"):
        said = str(document.get(name) or "")
        if not said:
            raise Failed(f"The refusal {kind} has no {name}.", THEIRS)
        if name.endswith("_ar") and not any(ord(each) in _ARABIC for each in said):
            raise Failed(f"The refusal {kind} has a {name} that is not in Arabic.", THEIRS)


def success(answer: httpx.Response, remedy: str) -> dict[str, Any]:
    """The JSON of an answer that is none of a refusal.

    Raises:
        Failed: it is one.
    """
    if answer.status_code not in (200, 201):
        raise Failed(
            f"The server answered {answer.status_code} {told(answer)}: {detail(answer)}".rstrip(": "), remedy
        )
    return json_of(answer)


def told(answer: httpx.Response) -> str:
    """What a problem document is called; of another answer, its type."""
    kind = answer.headers.get("content-type", "").partition(";")[0]
    if kind != PROBLEM:
        return f"({kind or 'nothing'})"
    return str(json_of(answer).get("type", "")).removeprefix(URN)


def detail(answer: httpx.Response) -> str:
    """The sentence of a refusal; of another answer, its beginning."""
    if answer.headers.get("content-type", "").partition(";")[0] == PROBLEM:
        return str(json_of(answer).get("detail", ""))[:_LONGEST]
    return answer.text[:_LONGEST] if answer.text.isprintable() else ""


def json_of(answer: httpx.Response) -> dict[str, Any]:
    """The JSON object of an answer.

    Raises:
        Failed: it holds none.
    """
    try:
        found = answer.json()
    except ValueError as error:
        raise Failed(f"The body of the answer {answer.status_code} is no JSON.", THEIRS) from error
    if not isinstance(found, dict):
        raise Failed(f"The JSON of the answer {answer.status_code} is no object.", THEIRS)
    return found
