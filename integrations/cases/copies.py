"""A person's own copy: everything that is held about him, and what each part is, in both languages.

Found by blind indexes: the cases he applied in, the licences he holds or held, the delegations he gave or
holds; and by the latter the cases in which he acted for another. Of others it holds nothing: what he sees of
a case he only acted in is his own name and number.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation.definitions import Bilingual
from foundation.personal import Vault
from integrations.cases import case_store, comments, delegations, files, views
from integrations.cases.case import Case
from integrations.cases.case_store import CASES
from integrations.cases.definitions import Definitions
from integrations.licences import licence as licences
from integrations.licences.licence import LICENCES, VERSIONS, Licence

PARTS: dict[str, Bilingual] = {
    "cases": Bilingual(
        ar="المعاملات التي قدّمتَها أو قُدّمت نيابةً عنك، وما ورد فيها عنك.",
        en="The applications you made, or that were made for you, and what they say of you.",
    ),
    "acted_in": Bilingual(
        ar="المعاملات التي تصرّفتَ فيها عن غيرك؛ وتظهر بياناتك أنت وحدك.",
        en="The applications in which you acted for somebody else; only your own data is shown.",
    ),
    "licences": Bilingual(
        ar="الرخص التي تحملها أو كنت تحملها.", en="The licences that you hold or once held."
    ),
    "delegations": Bilingual(
        ar="التفويضات التي منحتَها أو مُنحت لك.", en="The delegations that you gave or were given."
    ),
    "documents": Bilingual(
        ar="المستندات المرفقة بمعاملاتك؛ ومحتواها في الملف المضغوط إن طُلب.",
        en="The documents handed in with your applications; their content is in the ZIP file.",
    ),
    "comments": Bilingual(
        ar="ما كُتب عن معاملاتك من المركز والأمانة.",
        en="What the centre and the municipality wrote of your applications.",
    ),
    "payments": Bilingual(
        ar="المدفوعات المستلمة عن فواتير معاملاتك.",
        en="The payments received for the bills of your applications.",
    ),
    "not_searched": Bilingual(
        ar="لا يمكن البحث عن الأسماء المذكورة في معاملات الآخرين دون رقم هوية، كاسم المدير المسؤول، "
        "لأن البيانات مشفّرة. وسجل التدقيق لا يحوي بيانات شخصية، بل بصمات لا تُعرف منها. "
        "ولا تظهر البيانات التي مُحيت.",
        en="Names in the applications of others without an identifier, such as that of a shop's manager, "
        "cannot be searched, because the data is encrypted. The audit trail holds no personal data but "
        "hashes that tell nothing of it. What was erased is not here.",
    ),
}
"""What each part of a copy is."""

_PAYMENTS = text(
    """
    SELECT case_invoice.bill_number, case_payment.amount, case_payment.status, case_payment.paid_at
    FROM case_invoice JOIN case_payment ON case_payment.invoice_id = case_invoice.id
    WHERE case_invoice.case_id = :case_id ORDER BY case_payment.id
    """
)


def copy(
    session: Session, vault: Vault, definitions: Definitions, kind: str, identifier: str, at: datetime
) -> dict[str, Any]:
    """Everything that is held about a person.

    Returns:
        `subject`, `made_at`, `explanations` (both languages, by part), and the parts as lists.

    Raises:
        Damaged: something does not open.
    """
    subject = vault.subject(kind, identifier)
    given = delegations.of_person(session, subject)
    cases = _cases(session, subject)
    return {
        "subject": {"kind": kind, "identifier": identifier},
        "made_at": views.moment(at),
        "explanations": {name: part.model_dump() for name, part in PARTS.items()},
        "cases": [_case(session, vault, definitions, case) for case in cases],
        "acted_in": list(_acted_in(session, vault, given, subject, kind, identifier)),
        "licences": [_licence(session, vault, each, subject) for each in _licences(session, subject)],
        "delegations": [_delegation(vault, each, subject) for each in given],
        "documents": [
            {"case": case.number, **_document(document)}
            for case in cases
            for document in files.of_case(session, vault, case, everything=True)
        ],
        "comments": [
            {
                "case": case.number,
                "by": _side(case, said.actor),
                "text": said.text,
                "at": views.moment(said.at),
            }
            for case in cases
            for said in comments.of_case(session, vault, case)
        ],
        "payments": [
            {
                "case": case.number,
                "bill_number": row.bill_number,
                "amount": str(row.amount),
                "status": row.status,
                "paid_at": views.moment(row.paid_at),
            }
            for case in cases
            for row in session.execute(_PAYMENTS, {"case_id": case.id})
        ],
    }


def contents(session: Session, vault: Vault, kind: str, identifier: str) -> Iterator[tuple[str, bytes]]:
    """The documents of a person's cases, one at a time: a file's name in an archive, and its content."""
    for case in _cases(session, vault.subject(kind, identifier)):
        for document in files.of_case(session, vault, case, everything=True):
            if document.name is not None:
                name = f"{case.number}/{document.code}-{document.version}-{document.name}"
                yield name, files.content(session, vault, case, document.code, document.version)[0]


def _cases(session: Session, subject: bytes) -> list[Case]:
    query = case_store.ALL.where(CASES.c.subject == subject).order_by(CASES.c.id)
    return [case_store.read(row) for row in session.execute(query).mappings()]


def _case(session: Session, vault: Vault, definitions: Definitions, case: Case) -> dict[str, Any]:
    envelope = vault.open(case.personal, case.context) if case.personal is not None else {}
    return {
        **views.summary(definitions.of(session, case), case),
        "centre": case.centre,
        "closed_at": views.maybe(case.closed_at),
        "applicant": envelope.get("applicant"),
        "form": {**case.form, **envelope.get("form", {})},
    }


def _acted_in(
    session: Session,
    vault: Vault,
    given: list[delegations.Delegation],
    subject: bytes,
    kind: str,
    identifier: str,
) -> Iterator[dict[str, Any]]:
    for principal in sorted({each.principal for each in given if each.agent == subject}):
        for case in _cases(session, principal):
            if case.personal is None:
                continue
            applicant = vault.open(case.personal, case.context)["applicant"]
            if (
                vault.subject(applicant.get("actor_kind", ""), applicant.get("actor_identifier", ""))
                == subject
            ):
                yield {
                    "number": case.number,
                    "service": case.service,
                    "procedure": case.procedure,
                    "submitted_at": views.moment(case.submitted_at),
                    "kind": kind,
                    "identifier": identifier,
                    "name": applicant["actor_name"],
                    "capacity": applicant["capacity"],
                }


def _licences(session: Session, subject: bytes) -> list[Licence]:
    held = session.scalars(
        LICENCES.select()
        .with_only_columns(LICENCES.c.id)
        .where(LICENCES.c.subject == subject)
        .union(
            VERSIONS.select().with_only_columns(VERSIONS.c.licence_id).where(VERSIONS.c.subject == subject)
        )
    )
    return [licences.by_id(session, each) for each in sorted(held)]


def _licence(session: Session, vault: Vault, licence: Licence, subject: bytes) -> dict[str, Any]:
    mine = [
        {
            "version": version.version,
            "outcome": version.outcome,
            "from": version.valid_from.isoformat(),
            "to": version.valid_to.isoformat(),
            "data": _said(vault, version.personal, licence),
        }
        for version in licences.versions(session, licence)
        if version.subject == subject
    ]
    return {
        "number": licence.number,
        "service": licence.service,
        "holder_now": licence.subject == subject,
        "status": licence.status,
        "data": _said(vault, licence.personal, licence) if licence.subject == subject else None,
        "versions": mine,
    }


def _said(vault: Vault, personal: bytes | None, licence: Licence) -> Mapping[str, Any] | None:
    return vault.open(personal, licence.context) if personal is not None else None


def _delegation(vault: Vault, each: delegations.Delegation, subject: bytes) -> dict[str, Any]:
    gave = each.principal == subject
    people = delegations.people(vault, each)
    return {
        "id": each.id,
        "role": "principal" if gave else "agent",
        **delegations.terms(each),
        "me": people.get("principal" if gave else "agent"),
        # Whom he chose, and who chose him: the name, and not the number, which is the other's.
        "other": people.get("agent" if gave else "principal", {}).get("name"),
        "granted_by": each.granted_by,
        "granted_at": views.moment(each.granted_at),
        "ended_at": views.maybe(each.ended_at),
    }


def _document(document: files.Document) -> dict[str, Any]:
    return {
        "code": document.code,
        "version": document.version,
        "name": document.name,
        "type": document.type,
        "size": document.size,
        "sha256": document.sha256,
        "put_at": views.moment(document.put_at),
        "replaced_at": views.maybe(document.removed_at),
    }


def _side(case: Case, actor: str) -> str:
    # Which officer it was is the officer's own data.
    return "centre" if actor == case.centre else "municipality"
