"""Reads applications: what a message says, checked against the procedure it names.

A form is split in two: what says nothing of a person is kept as it is, what does is sealed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from foundation.definitions import Bilingual
from foundation.errors import FieldError
from integrations.cases.faults import Checked, check_readable, escaped, exact, field, refused
from integrations.flow import Action
from integrations.form import faults_of
from integrations.identifiers import fault
from integrations.service import Service

__all__ = ["Application", "Reader", "check_readable", "exact", "split"]

_APPLICANT: dict[str, Any] = {
    "kind": {"type": "string", "x-title": {"ar": "نوع الهوية", "en": "Kind of identifier"}},
    "identifier": {
        "type": "string",
        "x-title": {"ar": "رقم الهوية", "en": "Identifier"},
        "maxLength": 20,
    },
    "name": {
        "type": "string",
        "x-title": {"ar": "الاسم", "en": "Name"},
        "minLength": 2,
        "maxLength": 120,
    },
    "mobile": {
        "type": "string",
        "x-title": {"ar": "رقم الجوال", "en": "Mobile number"},
        "pattern": "^\\+9665[0-9]{8}$",
        "x-error": {
            "ar": "رقم الجوال هو +9665 تليها ثمانية أرقام.",
            "en": "The mobile number is +9665 followed by eight digits.",
        },
    },
}
# Who stands at the counter for the applicant: a manager or an agent is a person.
_ACTOR: dict[str, Any] = {
    "type": "object",
    "x-title": {"ar": "من يتصرف عنه", "en": "Who acts for the applicant"},
    "properties": {
        **{name: _APPLICANT[name] for name in ("identifier", "name")},
        "kind": {**_APPLICANT["kind"], "enum": ["national_id", "iqama"]},
    },
    "required": ["kind", "identifier", "name"],
    "additionalProperties": False,
}

_NO_OBJECT = Bilingual(ar="يجب أن يكون الطلب كائنًا.", en="This must be an object.")
_NOT_OPEN = Bilingual(ar="لا يُعدَّل هذا الحقل في هذا الإجراء.", en="This field is not changed by this action.")
_OF_THE_OFFICE = Bilingual(
    ar="هذا الإجراء تبدؤه الأمانة على رخصة، ومقدّمه هو المرخص له.",
    en="The office begins this procedure on a licence; its applicant is the licence's holder.",
)
_NO_ACTOR = Bilingual(
    ar="اذكر من يتصرف عن المالك: نوع هويته ورقمها واسمه.",
    en="Say who acts for the owner: kind of identifier, identifier and name.",
)
_ONE_ACTOR = Bilingual(
    ar="المالك يتصرف بنفسه؛ اذكر الصفة مديرًا أو وكيلًا.",
    en="The owner acts for himself; give the capacity manager or agent.",
)


@dataclass(frozen=True)
class Application:
    """An application that its service takes.

    Args:
        applicant: kind, identifier, name, mobile, capacity and, where another acts for him, `actor_kind`,
            `actor_identifier`, `actor_name`; empty for a procedure that the office opens.
        form: the fields that say nothing of a person, as JSON.
        private: the fields that do.
    """

    applicant: dict[str, str]
    form: dict[str, Any]
    private: dict[str, Any]


class Reader:
    """Reads applications; what is made of a definition is made once.

    A definition is known by its fingerprint, so nothing that was made of one grows stale.
    """

    def __init__(self) -> None:
        self._made: dict[tuple[str, str], tuple[Checked, Checked]] = {}

    def application(self, service: Service, procedure: str, applicant: Any, form: Any) -> Application:
        """The application in a message.

        Args:
            applicant: JSON that `check_readable` let pass; None for what the office begins.
            form: the same.

        Raises:
            InvalidInput: with every wrong field, in both languages.
        """
        for_applicant, for_form = self._checked(service, procedure)
        if service.procedures[procedure].initiator == "office":
            faults = [] if applicant is None else [field("/applicant", _OF_THE_OFFICE)]
        else:
            faults = [*for_applicant.faults(applicant, "/applicant")] or _identified(applicant)
        wrong = [*for_form.faults(form, "/form")] or _unsaid(service, form)
        if faults or wrong:
            raise refused([*faults, *wrong])
        return Application(_flat(applicant or {}), *split(service, _settled(form)))

    def edited(
        self, service: Service, procedure: str, action: Action, form: Mapping[str, Any], sent: Any
    ) -> Application:
        """A form with what was sent changed in it; a field sent as null is taken out.

        Args:
            form: whole, as it stands.
            sent: JSON that `check_readable` let pass: the changed fields.

        Raises:
            InvalidInput: a field that this action does not take, or every wrong field of the new form.
        """
        if not isinstance(sent, Mapping):
            raise refused([field("/form", _NO_OBJECT)])
        takes = service.form_of(procedure) if "*" in action.edits else action.edits
        if closed := [name for name in sent if name not in takes]:
            raise refused([field(f"/form/{escaped(name)}", _NOT_OPEN) for name in closed])
        whole = {name: value for name, value in {**form, **sent}.items() if value is not None}
        wrong = [*self._checked(service, procedure)[1].faults(whole, "/form")] or _unsaid(service, whole)
        if wrong:
            raise refused(wrong)
        return Application({}, *split(service, _settled(whole)))

    def _checked(self, service: Service, procedure: str) -> tuple[Checked, Checked]:
        known = (service.fingerprint, procedure)
        if known not in self._made:
            self._made[known] = (
                Checked(_applicant_schema(service, procedure)),
                Checked(service.schema_of(procedure)),
            )
        return self._made[known]


def _settled(value: Any) -> Any:
    # One way to write a number: 120.0 is 120, before the database and after it, and so is its digest.
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _settled(item) for key, item in value.items()}
    return value


def _applicant_schema(service: Service, procedure: str) -> dict[str, Any]:
    capacities = list(service.procedures[procedure].capacities)
    properties: dict[str, Any] = {
        **_APPLICANT,
        "kind": {**_APPLICANT["kind"], "enum": list(service.applicant.identifiers)},
        "capacity": {"x-title": {"ar": "الصفة", "en": "Capacity"}, "type": "string", "enum": capacities},
        "actor": _ACTOR,
    }
    # Without a word of it, who applies is the owner.
    required = [*_APPLICANT, *([] if "owner" in capacities else ["capacity"])]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _identified(applicant: Mapping[str, Any]) -> list[FieldError]:
    actor = applicant.get("actor")
    owner = applicant.get("capacity", "owner") == "owner"
    faults = []
    if owner == (actor is not None):
        faults.append(field("/applicant/actor", _ONE_ACTOR if owner else _NO_ACTOR))
    for pointer, person in (("/applicant", applicant), ("/applicant/actor", actor)):
        wrong = fault(person["kind"], person["identifier"]) if person is not None else None
        if wrong is not None:
            faults.append(field(f"{pointer}/identifier", wrong))
    return faults


def _unsaid(service: Service, form: Mapping[str, Any]) -> list[FieldError]:
    # What no schema can say: a mistyped check digit, a ring that is not closed.
    return [
        field("".join(["/form", *(f"/{escaped(str(step))}" for step in steps)]), reason)
        for steps, reason in faults_of(service.fields, form)
    ]


def _flat(applicant: Mapping[str, Any]) -> dict[str, str]:
    if not applicant:
        return {}
    said = {name: str(value) for name, value in applicant.items() if name != "actor"}
    actor = {f"actor_{name}": str(value) for name, value in applicant.get("actor", {}).items()}
    return {"capacity": "owner", **said, **actor}


def split(service: Service, form: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A form in two: what says nothing of a person, and what does."""
    private = {name: value for name, value in form.items() if service.fields[name].personal}
    return {name: value for name, value in form.items() if name not in private}, private
