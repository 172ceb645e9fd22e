"""How each fault is provoked at a counter: by what a client asks, and by what happens meanwhile."""

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

from tests.integrations.clients.counter import Counter
from tests.integrations.clients.relay import relayed
from tests.integrations.desk import FORM, message

Request = dict[str, Any]
_LONGER_THAN_IS_READ = "x" * 500_000


def application(form: Mapping[str, Any] = FORM, **parts: Any) -> Request:
    """A request for Submit, with a key of its own."""
    return {"idempotencyKey": str(uuid.uuid4()), **message(form, **parts)}


def write(number: str, **more: Any) -> Request:
    """A request for a write about a case, with a key of its own."""
    return {"number": number, "idempotencyKey": str(uuid.uuid4()), **more}


@dataclass(frozen=True)
class Provoked:
    """How a fault is provoked.

    Args:
        operation: of the contract.
        request: for a case that was just opened, which is named by its number.
        type: of the problem, without what all have before it.
        status: of the problem.
        told: what the client is told otherwise.
        meanwhile: what goes on, at a counter; what it gives is told to the client too.
    """

    operation: str
    request: Callable[[str], Request]
    type: str
    status: int
    told: Mapping[str, str] = field(default_factory=dict)
    meanwhile: Callable[[Counter], AbstractContextManager[Mapping[str, str] | None]] = lambda _: nullcontext()


@contextmanager
def _through_a_relay(counter: Counter) -> Iterator[Mapping[str, str]]:
    with relayed(counter) as url:
        yield {"API": url}


FAULTS: dict[str, Provoked] = {
    "Conflict": Provoked("Invoice", write, "conflict", 409),
    "InvalidInput": Provoked("Submit", lambda _: application({"area_m2": "ten"}), "invalid-input", 422),
    "Malformed": Provoked(
        "PutDocument",
        lambda number: write(number, code="lease", name="lease.png", contentId="../../secrets"),
        "malformed",
        400,
    ),
    "NotAuthenticated": Provoked(
        "Submit", lambda _: application(), "not-authenticated", 401, told={"CLERK_SECRET": "another"}
    ),
    "NotFound": Provoked("GetCase", lambda _: {"number": "SC-2020-999999"}, "not-found", 404),
    "PermissionDenied": Provoked(
        "Submit", lambda _: application(service="health_card"), "service-not-delegated", 403
    ),
    "Problem": Provoked(
        "GetCase", lambda number: {"number": number}, "rakeeza-error", 500, meanwhile=Counter.with_a_defect
    ),
    "Stale": Provoked("Quote", lambda number: write(number, ifMatch='"99"'), "stale", 412),
    "TooLarge": Provoked(
        "Submit", lambda _: application({**FORM, _LONGER_THAN_IS_READ: "x"}), "too-large", 413
    ),
    "Unavailable": Provoked(
        "GetCase",
        lambda number: {"number": number},
        "database-unavailable",
        503,
        meanwhile=Counter.without_database,
    ),
    "UnsupportedMediaType": Provoked(
        "Submit", lambda _: application(), "unsupported-media-type", 415, meanwhile=_through_a_relay
    ),
}
"""Each fault that a client can be told, by its element."""
