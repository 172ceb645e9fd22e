"""What people say of a case: the words are sealed, they may name a person; the chain has a salted hash."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation.errors import InvalidInput
from foundation.personal import Vault, salted
from integrations.cases.case import Case
from integrations.cases.faults import check_message

LONGEST = 2_000
"""Characters of a comment, at most."""

_INSERT = text(
    """
    INSERT INTO case_comment (case_id, actor, action, body, salt, digest, at)
    VALUES (:case_id, :actor, :action, :body, :salt, :digest, :at)
    """
)
_READ = text("SELECT actor, action, body, at FROM case_comment WHERE case_id = :case_id ORDER BY id")
_ERASE = text("UPDATE case_comment SET body = NULL, salt = NULL WHERE case_id = :case_id")


@dataclass(frozen=True)
class Comment:
    """One comment.

    Args:
        actor: who said it, as the audit trail names him.
        action: that it was said with; None for a comment by itself.
        text: None once erased.
    """

    actor: str
    action: str | None
    text: str | None
    at: datetime


def keep(
    session: Session, vault: Vault, case: Case, actor: str, action: str | None, said: str, at: datetime
) -> str:
    """Keep a comment.

    Args:
        action: that it is said with, if any.
        said: 1 to `LONGEST` characters.

    Returns:
        Its salted hash in hex: what the journal may hold of it.

    Raises:
        InvalidInput: it is empty, too long, or has characters that no paper shows.
    """
    check(said)
    salt, digest = salted(said)
    values = {
        "case_id": case.id,
        "actor": actor,
        "action": action,
        "body": vault.seal({"text": said}, context(case)),
        "salt": salt,
        "digest": bytes.fromhex(digest),
        "at": at,
    }
    session.execute(_INSERT, values)
    return digest


def check(said: str) -> None:
    """Refuse a comment that could not be kept. Raises as `keep` does."""
    if not said.strip() or len(said) > LONGEST:
        raise InvalidInput(
            f"A comment has 1 to {LONGEST} characters.",
            place="/comment",
            remedy="Say it in fewer words." if said.strip() else "Say why.",
            message_ar=f"التعليق من حرف واحد إلى {LONGEST} حرف.",
        )
    # A person writes lines; in everything else a comment is text like that of a form.
    check_message({"comment": said.replace("\r\n", "\n").replace("\n", " ")})


def of_case(session: Session, vault: Vault, case: Case) -> list[Comment]:
    """The comments of a case, oldest first.

    Raises:
        Damaged: one does not open.
    """
    return [
        Comment(row.actor, row.action, _said(vault, case, row.body), row.at)
        for row in session.execute(_READ, {"case_id": case.id})
    ]


def erase(session: Session, case_id: int) -> None:
    """Delete the words of all comments of a case; who spoke, when, and the salted hashes stay."""
    session.execute(_ERASE, {"case_id": case_id})


def context(case: Case) -> str:
    """What the comments of a case are sealed to."""
    return f"{case.context}/comment"


def _said(vault: Vault, case: Case, body: bytes | None) -> str | None:
    if body is None:
        return None
    opened: Mapping[str, str] = vault.open(body, context(case))
    return opened["text"]
