"""Hooks of Schemathesis: a right Idempotency-Key is a new one each time, as the contract asks of a client."""

import itertools
import re
from typing import Any

import schemathesis

_RIGHT = re.compile(r"[!#-\[\]-~]{1,128}")
_numbers = itertools.count(1)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:  # noqa: ARG001 -- its signature
    """Put a new key in the place of a right one; a wrong one stays, for it has to be refused."""
    headers = case.headers or {}
    for name, value in headers.items():
        if name.lower() == "idempotency-key" and isinstance(value, str) and _RIGHT.fullmatch(value):
            headers[name] = f"fuzz-{next(_numbers)}"
