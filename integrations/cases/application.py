"""Checks an application against its service: every fault at once, each told in Arabic and English."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError

from foundation.definitions import Bilingual
from foundation.errors import FieldError, InvalidInput
from integrations.cases.conditions import Facts
from integrations.cases.explore import activity_facts
from integrations.form import ActivityField
from integrations.identifiers import fault
from integrations.service import Service

_MOST_FAULTS = 50
_DEEPEST = 8
_LARGEST = 10**15
# Arabic and Latin letters, their digits and signs: what the paper's font can print (a test prints them all).
# No mark that turns the order of letters round: a name that contains one reads as another name.
_PRINTED = re.compile(
    "[ -~\u00a0-\u00ac\u00ae-\u017f\u0606-\u061b\u061e-\u06dc\u06de-\u06ff"
    "\u200c\u200d\u2010-\u2015\u2018-\u2022\u2026]*"
)

_APPLICANT: dict[str, Any] = {
    "type": "object",
    "properties": {
        "kind": {"type": "string", "x-title": {"ar": "نوع الهوية", "en": "Kind of identifier"}},
        "identifier": {
            "type": "string",
            "x-title": {"ar": "رقم الهوية", "en": "Identifier"},
            "maxLength": 20,
        },
        "name": {
            "type": "string",
            "x-title": {"ar": "اسم مقدم الطلب", "en": "Name of the applicant"},
            "minLength": 2,
            "maxLength": 120,
        },
        "mobile": {
            "type": "string",
            "x-title": {"ar": "رقم الجوال", "en": "Mobile number"},
            "pattern": "^\\+9665[0-9]{8}$",
        },
    },
    "required": ["kind", "identifier", "name", "mobile"],
    "additionalProperties": False,
}

_APPLICANT_PATTERNS = {
    "mobile": Bilingual(
        ar="رقم الجوال هو +9665 تليها ثمانية أرقام.",
        en="The mobile number is +9665 followed by eight digits.",
    )
}

_KINDS = {
    "string": ("text", "نصًا"),
    "number": ("a number", "رقمًا"),
    "integer": ("a whole number", "عددًا صحيحًا"),
    "boolean": ("true or false", "نعم أو لا"),
    "object": ("an object", "كائنًا"),
}


@dataclass(frozen=True)
class Application:
    """An application that its service takes.

    Args:
        applicant: kind, identifier, name, mobile.
        form: the fields, as JSON.
    """

    applicant: dict[str, str]
    form: dict[str, Any]


def check_readable(applicant: Any, form: Any) -> None:
    """Refuse what no schema needs to see: broken text, numbers that are none, nesting without an end.

    Raises:
        InvalidInput: with every such place.
    """
    faults = [
        *_unreadable(applicant, "/applicant", _DEEPEST),
        *_unreadable(form, "/form", _DEEPEST),
    ]
    if faults:
        raise _wrong(faults)


def read_application(service: Service, applicant: Any, form: Any) -> Application:
    """The application in a message.

    Args:
        applicant, form: JSON that `check_readable` let pass.

    Raises:
        InvalidInput: with every wrong field, in both languages.
    """
    faults = [*_faults(_applicant_schema(service), applicant, "/applicant", _APPLICANT_PATTERNS)]
    if not faults:
        wrong = fault(applicant["kind"], applicant["identifier"])
        if wrong is not None:
            faults.append(_field("/applicant/identifier", wrong))
    patterns = {
        name: field.pattern_text
        for name, field in service.fields.items()
        if field.type == "text" and field.pattern
    }
    faults += _faults(service.schema_of_form, form, "/form", patterns)
    if faults:
        raise _wrong(faults)
    return Application(dict(applicant), _settled(form))


def facts_of(service: Service, form: Mapping[str, Any], done: frozenset[str] = frozenset()) -> Facts:
    """What conditions and fees are judged on: the form's fields, and what the activity says of itself."""
    fields = dict(exact(form))
    name = next((field.name for field in service.form if isinstance(field, ActivityField)), None)
    chosen = next((a for a in service.activities if name is not None and a.code == form.get(name)), None)
    return Facts({**fields, **(activity_facts(chosen) if chosen else {})}, done)


def exact(value: Any) -> Any:
    """JSON with each float as the Decimal it was written as: 120.1 is 1201 tenths."""
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, Mapping):
        return {key: exact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [exact(item) for item in value]
    return value


def _wrong(faults: list[FieldError]) -> InvalidInput:
    shown = tuple(faults[:_MOST_FAULTS])
    return InvalidInput(
        f"The application has {len(faults)} wrong field{'s' if len(faults) > 1 else ''}. {shown[0].detail}",
        fields=shown,
        message_ar=f"في الطلب حقول غير صحيحة (عددها {len(faults)}). {shown[0].detail_ar}",
    )


def _settled(value: Any) -> Any:
    # One way to write a number: 120.0 is 120, before the database and after it, and so is its digest.
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _settled(item) for key, item in value.items()}
    return value


def _applicant_schema(service: Service) -> dict[str, Any]:
    kind = {**_APPLICANT["properties"]["kind"], "enum": list(service.applicant.identifiers)}
    return {**_APPLICANT, "properties": {**_APPLICANT["properties"], "kind": kind}}


def _faults(
    schema: dict[str, Any], value: Any, pointer: str, patterns: Mapping[str, Bilingual | None]
) -> Iterator[FieldError]:
    validator = Draft202012Validator(schema, format_checker=FormatChecker(["date"]))
    seen: set[str] = set()
    for error in sorted(validator.iter_errors(exact(value)), key=_order):
        for place, text in _explained(error, patterns):
            at = "".join([pointer, *(f"/{_escaped(str(step))}" for step in (*error.path, *place))])
            # One sentence a field: a text that is too short and breaks its pattern is wrong once.
            if at not in seen:
                seen.add(at)
                yield _field(at, text)


def _order(error: ValidationError) -> tuple[list[str], bool]:
    # Of two faults of one field the pattern's own text says most.
    return list(map(str, error.path)), error.validator != "pattern"


def _unreadable(value: Any, pointer: str, levels: int) -> Iterator[FieldError]:
    if levels == 0:
        yield _field(pointer, Bilingual(ar="التداخل أعمق من المسموح.", en="This is nested too deep."))
    elif isinstance(value, str):
        if not _PRINTED.fullmatch(value):
            en = "The text has characters other than Arabic and Latin letters, digits and signs."
            yield _field(pointer, Bilingual(ar="في النص رموز غير الحروف العربية واللاتينية والأرقام.", en=en))
        elif value and not value.strip():
            yield _field(pointer, Bilingual(ar="النص فارغ.", en="The text is blank."))
    elif isinstance(value, int | float) and not abs(value) <= _LARGEST:
        # Infinity and what is no number (NaN) compare as false.
        yield _field(pointer, Bilingual(ar="هذا الرقم خارج المدى.", en="This number is out of range."))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _unreadable(item, f"{pointer}/{_escaped(key)}", levels - 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unreadable(item, f"{pointer}/{index}", levels - 1)


def _explained(
    error: ValidationError, patterns: Mapping[str, Bilingual | None]
) -> Iterator[tuple[tuple[str, ...], Bilingual]]:
    label = _label(error.schema, str(error.path[-1]) if error.path else "value")
    # Unset only in errors that no schema raised.
    limit: Any = error.validator_value
    instance: Any = error.instance
    properties: Any = error.schema.get("properties", {}) if isinstance(error.schema, Mapping) else {}
    match error.validator:
        case "required":
            for name in limit:
                if name not in instance:
                    missing = _label(properties[name], name)
                    yield (name,), Bilingual(ar=f"«{missing.ar}» مطلوب.", en=f"{missing.en} is missing.")
        case "additionalProperties":
            for name in instance:
                if name not in properties:
                    yield (
                        (name,),
                        Bilingual(ar="هذا الحقل ليس من حقول الخدمة.", en="The service has no such field."),
                    )
        case "type":
            en, ar = _KINDS[limit]
            yield (), Bilingual(ar=f"يجب أن يكون «{label.ar}» {ar}.", en=f"{label.en} must be {en}.")
        case "minimum":
            yield (
                (),
                Bilingual(
                    ar=f"يجب ألا يقل «{label.ar}» عن {limit}.", en=f"{label.en} must be at least {limit}."
                ),
            )
        case "maximum":
            yield (
                (),
                Bilingual(
                    ar=f"يجب ألا يزيد «{label.ar}» على {limit}.", en=f"{label.en} must be at most {limit}."
                ),
            )
        case "multipleOf":
            yield (
                (),
                Bilingual(
                    ar=f"منازل «{label.ar}» العشرية كثيرة؛ أصغر خطوة {limit}.",
                    en=f"{label.en} has too many decimal places; the smallest step is {limit}.",
                ),
            )
        case "minLength":
            yield (
                (),
                Bilingual(
                    ar=f"يجب ألا يقل طول «{label.ar}» عن {limit}.",
                    en=f"{label.en} must have at least {limit} characters.",
                ),
            )
        case "maxLength":
            yield (
                (),
                Bilingual(
                    ar=f"يجب ألا يزيد طول «{label.ar}» على {limit}.",
                    en=f"{label.en} must have at most {limit} characters.",
                ),
            )
        case "enum":
            known = ", ".join(limit)
            yield (
                (),
                Bilingual(
                    ar=f"قيم «{label.ar}» هي: {known.replace(', ', '، ')}.",
                    en=f"{label.en} is one of: {known}.",
                ),
            )
        case "oneOf":
            known = ", ".join(option["const"] for option in limit)
            yield (
                (),
                Bilingual(
                    ar=f"قيم «{label.ar}» هي: {known.replace(', ', '، ')}.",
                    en=f"{label.en} is one of: {known}.",
                ),
            )
        case _:
            name = str(error.path[0]) if error.path else ""
            plain = Bilingual(
                ar=f"صيغة «{label.ar}» غير صحيحة.", en=f"{label.en} is not written as it should be."
            )
            yield (), patterns.get(name) or plain


def _label(schema: Any, name: str) -> Bilingual:
    title = schema.get("x-title") if isinstance(schema, Mapping) else None
    return Bilingual(**title) if title else Bilingual(ar=name, en=name)


def _field(pointer: str, text: Bilingual) -> FieldError:
    return FieldError(pointer, text.en, detail_ar=text.ar)


def _escaped(key: str) -> str:
    # RFC 6901; a stranger's key may be long or hold half a surrogate pair, which no answer could carry.
    readable = key[:60].encode("utf-8", "replace").decode()
    return readable.replace("~", "~0").replace("/", "~1")
