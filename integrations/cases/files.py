"""Documents of a case: what the checklist asks, what was handed in, and the content, sealed.

A content lies by its SHA-256 within its case, once however often it is handed in. It is not shared between
cases: then the time a put takes, or the size of the table, would tell whether somebody else had handed in the
same paper, and erasing one case would need the leave of all others. What was replaced stays until the case is
erased, for somebody may have decided on it.

The journal holds a salted hash of the content's hash: with the salt it proves what was handed in, and without
it, after erasure, it says nothing. A file's name may be a person's, and is sealed too.

Tables: `case_document`, `stored_content`.
"""

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation.errors import InvalidInput, NotFound, TooLarge
from foundation.personal import Vault, salted
from integrations.cases import facts, media
from integrations.cases.case import Case, Work
from integrations.procedure import Procedure, Requirement
from integrations.service import Service

MOST_BYTES = 100_000_000
"""Content kept for one case, in bytes; what was replaced counts."""
MOST_PUTS = 200
"""Documents handed in for one case, at most; what was replaced counts."""

_LONGEST_NAME = 120
_ENDINGS = {"application/pdf": ".pdf", "image/jpeg": ".jpg", "image/png": ".png"}
_NOT_IN_NAMES = re.compile(r'[\\/:*?"<>|\s]+')

_HELD = text("SELECT DISTINCT code FROM case_document WHERE case_id = :case_id AND removed_at IS NULL")
_SO_FAR = text(
    """
    SELECT count(*) AS puts,
           coalesce(max(version) FILTER (WHERE code = :code), 0) AS version,
           (SELECT coalesce(sum(size), 0) FROM stored_content WHERE case_id = :case_id) AS bytes,
           EXISTS (SELECT FROM stored_content WHERE case_id = :case_id AND sha256 = :sha256) AS known
    FROM case_document WHERE case_id = :case_id
    """
)
_REPLACE = text(
    "UPDATE case_document SET removed_at = :at "
    "WHERE case_id = :case_id AND code = :code AND removed_at IS NULL"
)
_STORE = text(
    "INSERT INTO stored_content (case_id, sha256, size, sealed) VALUES (:case_id, :sha256, :size, :sealed)"
)
_INSERT = text(
    """
    INSERT INTO case_document
        (case_id, code, version, type, size, sha256, salt, name, digest, put_by, put_at)
    VALUES (:case_id, :code, :version, :type, :size, :sha256, :salt, :name, :digest, :put_by, :put_at)
    """
)
_OF_CASE = text(
    """
    SELECT code, version, type, size, sha256, name, put_by, put_at, removed_at FROM case_document
    WHERE case_id = :case_id AND (removed_at IS NULL OR :all) ORDER BY code, version
    """
)
_CONTENT = text(
    """
    SELECT document.type, document.sha256, content.sealed
    FROM case_document AS document
    LEFT JOIN stored_content AS content USING (case_id, sha256)
    WHERE document.case_id = :case_id AND document.code = :code
      AND (document.version = :version OR CAST(:version AS integer) IS NULL AND document.removed_at IS NULL)
    """
)
_FORGET = text("UPDATE case_document SET sha256 = NULL, salt = NULL, name = NULL WHERE case_id = :case_id")
_DELETE = text("DELETE FROM stored_content WHERE case_id = :case_id")


@dataclass(frozen=True)
class Document:
    """A document that was handed in.

    Args:
        code: of the requirement it answers.
        version: 1 for the first of its code.
        name: cleaned; None once erased.
        type: by its content.
        size: in bytes.
        sha256: of its content, in hex; None once erased.
        put_by: who handed it in, as the audit trail names him.
        removed_at: when another took its place; None for the present one.
    """

    code: str
    version: int
    name: str | None
    type: str
    size: int
    sha256: str | None
    put_by: str
    put_at: datetime
    removed_at: datetime | None


def checklist(service: Service, procedure: Procedure) -> list[Requirement]:
    """What a procedure may ask for, in the definition's order."""
    return [each for each in service.documents if each.code in procedure.documents]


def needed(work: Work) -> list[Requirement]:
    """What this case has to have."""
    asked = [each for each in checklist(work.service, work.procedure) if each.required]
    if not any(each.when for each in asked):
        return asked
    known = facts.of(work)
    return [each for each in asked if each.when is None or each.when.holds(known)]


def missing(work: Work) -> list[Requirement]:
    """What this case has to have and has not."""
    wanted = needed(work)
    if not wanted:
        return []
    held = set(work.session.scalars(_HELD, {"case_id": work.case.id}))
    return [each for each in wanted if each.code not in held]


def requirement(service: Service, procedure: Procedure, code: str) -> Requirement:
    """What a procedure asks for under a code.

    Raises:
        NotFound: nothing; says what it does ask for.
    """
    asked = checklist(service, procedure)
    found = next((each for each in asked if each.code == code), None)
    if found is None:
        known = ", ".join(each.code for each in asked) or "none"
        raise NotFound(
            "This procedure asks for no such document.",
            remedy=f"Its documents are: {known}.",
            message_ar="هذا المستند ليس من مستندات هذا الإجراء.",
        )
    return found


def listed(
    session: Session, service: Service, case: Case, vault: Vault | None = None, for_party: bool = False
) -> list[dict[str, Any]]:
    """The checklist of a case and what was handed in for it.

    Args:
        vault: opens the names of the files, which `document` then has as `name`; without it, it has none.
        for_party: only what the parties that are asked may see, and its name is not: it may be a person's.

    Returns:
        For each requirement code, title, required, conditional (needed only if its condition holds), types,
        max_mb, and `document`: version, type, size, sha256, put_by, put_at, erased; None where there is none.
    """
    rows = session.execute(_OF_CASE, {"case_id": case.id, "all": False})
    held = {row.code: _handed_in(row._asdict(), case, vault) for row in rows}
    if for_party and vault is not None:
        held = {code: {**each, "name": None} for code, each in held.items()}
    return [
        {
            "code": each.code,
            "title": each.title.model_dump(),
            "required": each.required,
            "conditional": each.when is not None,
            "types": list(each.types),
            "max_mb": each.max_mb,
            "document": held.get(each.code),
        }
        for each in checklist(service, service.procedures[case.procedure])
        if each.parties or not for_party
    ]


def check(requirement: Requirement, content: bytes) -> media.MediaType:
    """What a content is, if it can answer a requirement.

    Raises:
        TooLarge: it has more bytes than the requirement takes.
        NotADocument: it is damaged, or no document.
        InvalidInput: it is of a type that the requirement does not take.
    """
    if len(content) > requirement.max_mb * 1_000_000:
        raise TooLarge(
            f"{requirement.title.en!r} has {len(content)} bytes; at most {requirement.max_mb} MB are taken.",
            remedy="Scan it with 300 dots per inch, or in shades of grey.",
            message_ar=f"حجم «{requirement.title.ar}» أكبر من {requirement.max_mb} ميجابايت.",
        )
    kind = media.sniff(content)
    if kind not in requirement.types:
        known = ", ".join(requirement.types)
        raise InvalidInput(
            f"{requirement.title.en!r} is taken as {known}; this is {kind}.",
            remedy="Send it as one of these.",
            message_ar=f"«{requirement.title.ar}» يُقبل بالصيغ: {known.replace(', ', '، ')}؛ وهذا {kind}.",
        )
    return kind


def put(
    session: Session,
    vault: Vault,
    case: Case,
    code: str,
    kind: media.MediaType,
    name: str,
    content: bytes,
    actor: str,
    at: datetime,
) -> tuple[Document, str]:
    """Keep a document in the place of the one before it.

    Args:
        case: locked by this transaction.
        code: of the requirement it answers.
        kind: as `check` says, before this transaction: a large file takes a while.
        name: as the sender calls it; only shown, never believed.
        content: whole.

    Returns:
        The document, and the salted hash of its content's hash: what the journal may hold of it.

    Raises:
        TooLarge: all documents of the case together.
    """
    sha256 = hashlib.sha256(content).digest()
    words = {"case_id": case.id, "code": code, "sha256": sha256}
    so_far = session.execute(_SO_FAR, words).one()
    if so_far.puts >= MOST_PUTS or (not so_far.known and so_far.bytes + len(content) > MOST_BYTES):
        raise TooLarge(
            f"The documents of {case.number} come to more than {MOST_BYTES // 1_000_000} MB or {MOST_PUTS}.",
            remedy="Send smaller scans.",
            message_ar="بلغت مستندات هذه المعاملة الحد الأقصى للحجم أو العدد.",
        )
    salt, digest = salted(sha256.hex())
    shown = cleaned(name, code, kind)
    made = Document(code, so_far.version + 1, shown, kind, len(content), sha256.hex(), actor, at, None)
    if not so_far.known:
        sealed = vault.seal_bytes(content, _content_context(case, sha256))
        session.execute(_STORE, {**words, "size": len(content), "sealed": sealed})
    session.execute(_REPLACE, {**words, "at": at})
    row = {
        **words,
        "version": made.version,
        "type": kind,
        "size": len(content),
        "salt": salt,
        "name": vault.seal({"name": shown}, _name_context(case)),
        "digest": digest,
        "put_by": actor,
        "put_at": at,
    }
    session.execute(_INSERT, row)
    return made, digest


def of_case(session: Session, vault: Vault, case: Case, everything: bool = False) -> list[Document]:
    """The documents of a case, by code.

    Args:
        everything: also those that were replaced.
    """
    rows = session.execute(_OF_CASE, {"case_id": case.id, "all": everything})
    return [_document(vault, case, row._asdict()) for row in rows]


def content(
    session: Session, vault: Vault, case: Case, code: str, version: int | None = None
) -> tuple[bytes, str]:
    """A document's content and its media type.

    Args:
        version: None is the present one.

    Raises:
        NotFound: there is none, or it is erased.
        Damaged: it does not open, or is not what was handed in.
    """
    words = {"case_id": case.id, "code": code, "version": version}
    row = session.execute(_CONTENT, words).one_or_none()
    if row is None or row.sealed is None:
        raise NotFound(
            f"The case {case.number} has no such document{' any more' if row is not None else ''}.",
            message_ar="لا يوجد هذا المستند في المعاملة." if row is None else "مُحي هذا المستند.",
        )
    return vault.open_bytes(row.sealed, _content_context(case, row.sha256)), row.type


def erase(session: Session, case_id: int) -> None:
    """Delete the content, names and hashes of a case's documents; that they were there stays known."""
    session.execute(_FORGET, {"case_id": case_id})
    session.execute(_DELETE, {"case_id": case_id})


def cleaned(name: str, code: str, kind: str) -> str:
    """A file's name as it may be shown and saved: no path, no sign that turns text round, its true ending.

    Args:
        code: what it is called where nothing is left of the name.
        kind: its media type.
    """
    flat = unicodedata.normalize("NFC", name).replace("\\", "/").rpartition("/")[2]
    plain = "".join(c for c in flat if unicodedata.category(c)[0] not in "CZ" or c == " ")
    stem, dot, ending = plain.rpartition(".")
    if not dot or len(ending) > 5 or not ending.isalnum():
        stem = plain
    stem = _NOT_IN_NAMES.sub(" ", stem).strip(" .")[:_LONGEST_NAME].strip(" .")
    return f"{stem or code}{_ENDINGS[kind]}"


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _handed_in(row: Mapping[str, Any], case: Case, vault: Vault | None) -> dict[str, Any]:
    return {
        **{name: row[name] for name in ("version", "type", "size", "put_by")},
        **({"name": _name(vault, case, row["name"])} if vault is not None else {}),
        "sha256": row["sha256"].hex() if row["sha256"] is not None else None,
        "put_at": _moment(row["put_at"]),
        "erased": row["sha256"] is None,
    }


def _document(vault: Vault, case: Case, row: dict[str, Any]) -> Document:
    name = _name(vault, case, row["name"])
    sha256 = row["sha256"].hex() if row["sha256"] is not None else None
    return Document(**{**row, "name": name, "sha256": sha256})


def _name(vault: Vault, case: Case, sealed: bytes | None) -> str | None:
    return vault.open(sealed, _name_context(case))["name"] if sealed is not None else None


def _content_context(case: Case, sha256: bytes) -> str:
    return f"{case.context}/content/{sha256.hex()}"


def _name_context(case: Case) -> str:
    return f"{case.context}/document"
