"""A private service centre: its record, its state, and the lock that its rules and their changes meet at.

A centre's code is the id of its API client: what it does stands in journals as `client/CODE`. A client with
the role `centre` and without a record here is a counter of the municipality itself. Table: `centre`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation import audit
from foundation.chain import JSON
from foundation.definitions import Bilingual
from foundation.errors import Conflict, InvalidInput, NotFound
from foundation.events import publish
from integrations.cases.ledger import moment

State = Literal["active", "suspended", "ended"]

ADDED, SUSPENDED, RESUMED, ENDED = "centre.added", "centre.suspended", "centre.resumed", "centre.ended"
CHANGED = "centre.changed"
"""What happened to a centre; of `CHANGED` the payload says `what`: a contract, a clerk, a key, a device.
Subject: centre/CODE. Payload: centre, state, reason where one was given."""

_LONGEST_REASON = 500

_ADD = text(
    """
    INSERT INTO centre (code, title_ar, title_en, state, state_since, state_reason, added_at, test)
    VALUES (:code, :ar, :en, 'active', :at, '', :at, :test) ON CONFLICT (code) DO NOTHING RETURNING code
    """
)
_COLUMNS = "code, title_ar, title_en, state, state_since, state_reason, added_at, test"
_FOUND = text(f"SELECT {_COLUMNS} FROM centre WHERE code = :code")
_ALL = text(f"SELECT {_COLUMNS} FROM centre ORDER BY code")
# Whoever is about to be refused by the change waits for it, and it for those whom it finds writing; see
# migration 0022.
_LOCK = text("SELECT pg_advisory_xact_lock(5, hashtext(:code))")
_STATE = text(
    "UPDATE centre SET state = :state, state_since = :at, state_reason = :reason WHERE code = :code"
)


@dataclass(frozen=True)
class Centre:
    """A private service centre.

    Args:
        code: the id of its API client.
        state_since: when it came into its state, aware.
        state_reason: why, in the municipality's words.
        test: a developer's, for test services alone; it never becomes a real one.
    """

    code: str
    title: Bilingual
    state: State
    state_since: datetime
    state_reason: str
    added_at: datetime
    test: bool = False

    @property
    def actor(self) -> str:
        """As journals name it."""
        return actor_of(self.code)


def actor_of(code: str) -> str:
    """As journals name a centre: "client/centre-7"."""
    return f"client/{code}"


def add(
    session: Session, code: str, title: Bilingual, actor: str, at: datetime, test: bool = False
) -> Centre:
    """Keep a new centre, whose API client there is.

    Args:
        test: for test services alone.

    Raises:
        Conflict: there is a centre of this code.
    """
    _lock(session, code)
    words = {"code": code, "ar": title.ar, "en": title.en, "at": at, "test": test}
    if session.execute(_ADD, words).scalar() is None:
        raise Conflict(f"There is a centre {code!r} already.", remedy="See: rakeeza centre list")
    made = Centre(code, title, "active", at, "", at, test)
    tell(session, made, ADDED, actor, {"title": title.en, **({"test": True} if test else {})})
    return made


def find(session: Session, code: str) -> Centre:
    """A centre as it stands.

    Raises:
        NotFound: there is none of this code.
    """
    row = session.execute(_FOUND, {"code": code}).one_or_none()
    if row is None:
        raise NotFound(
            f"There is no centre {code!r}.",
            remedy="See: rakeeza centre list",
            message_ar="لا يوجد مركز خدمة بهذا الرمز.",
        )
    return _read(row)


def every(session: Session) -> Sequence[Centre]:
    """All centres, by code."""
    return [_read(row) for row in session.execute(_ALL)]


def locked(session: Session, code: str) -> Centre:
    """A centre that is about to be changed. What its clerks are writing ends first; what they begin after
    waits for this transaction, and is judged by what it wrote. Raises as `find` does."""
    _lock(session, code)
    return find(session, code)


def enter(session: Session, centre: Centre, state: State, reason: str, actor: str, at: datetime) -> Centre:
    """Let a centre be suspended, active again, or ended.

    Args:
        centre: locked.
        reason: why; for a reader of its journal.

    Raises:
        Conflict: it is in this state, or was ended.
        InvalidInput: no reason is given, or one of more than 500 characters.
    """
    if centre.state in (state, "ended"):
        raise Conflict(
            f"The centre {centre.code} is {centre.state} since {moment(centre.state_since)}.",
            remedy="See: rakeeza centre show",
            message_ar="المركز في هذه الحالة من قبل، أو أُنهي التعامل معه.",
        )
    if not reason.strip() or len(reason) > _LONGEST_REASON or not reason.isprintable():
        raise InvalidInput(
            "It is not said why.",
            remedy=f"Give a reason of 1 to {_LONGEST_REASON} characters in one line.",
            message_ar="اكتب السبب بإيجاز.",
        )
    words = {"code": centre.code, "state": state, "at": at, "reason": reason}
    session.execute(_STATE, words)
    moved = Centre(centre.code, centre.title, state, at, reason, centre.added_at, centre.test)
    kind = {"active": RESUMED, "suspended": SUSPENDED, "ended": ENDED}[state]
    tell(session, moved, kind, actor, {"reason": reason})
    return moved


def tell(session: Session, centre: Centre, kind: str, actor: str, details: dict[str, JSON]) -> None:
    """Write a change of a centre into its chain `centre/CODE`, and publish it."""
    chain = f"centre/{centre.code}"
    action = kind.removeprefix("centre.")
    audit.record(session, chain=chain, actor=actor, action=action, details=details)
    publish(session, kind, chain, {"centre": centre.code, "state": centre.state, **details})


def view(centre: Centre) -> dict[str, Any]:
    """A centre, as JSON."""
    return {
        "code": centre.code,
        "title": centre.title.model_dump(),
        "state": centre.state,
        "state_since": moment(centre.state_since),
        "state_reason": centre.state_reason,
    }


def _lock(session: Session, code: str) -> None:
    session.execute(_LOCK, {"code": code})


def _read(row: Any) -> Centre:
    return Centre(
        row.code,
        Bilingual(ar=row.title_ar, en=row.title_en),
        row.state,
        row.state_since,
        row.state_reason,
        row.added_at,
        row.test,
    )
