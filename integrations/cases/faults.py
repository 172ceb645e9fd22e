"""What is wrong with a message, field by field: every fault at once, each told in Arabic and English."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.exceptions import ValidationError

from foundation.definitions import Bilingual
from foundation.errors import FieldError, InvalidInput

_MOST_FAULTS = 50
_DEEPEST = 8
_LARGEST = 10**15
# Arabic and Latin letters, their digits and signs: what the paper's font can print (a test prints them all).
# No mark that turns the order of letters round: a name that contains one reads as another name.
_PRINTED = re.compile(
    "[ -~\u00a0-\u00ac\u00ae-\u017f\u0606-\u061b\u061e-\u06dc\u06de-\u06ff"
    "\u200c\u200d\u2010-\u2015\u2018-\u2022\u2026]*"
)

_KINDS = {
    "string": ("text", "نصًا"),
    "number": ("a number", "رقمًا"),
    "integer": ("a whole number", "عددًا صحيحًا"),
    "boolean": ("true or false", "نعم أو لا"),
    "object": ("an object", "كائنًا"),
    "array": ("a list", "قائمة"),
}


class Checked:
    """A JSON Schema with its validator, made once.

    Args:
        schema: draft 2020-12; `x-title` of a property is what its field is called, and `x-error` what to tell
            who breaks it, in both languages.
    """

    def __init__(self, schema: dict[str, Any]) -> None:
        self._validator = Draft202012Validator(schema, format_checker=FormatChecker(["date"]))

    def faults(self, value: Any, pointer: str) -> Iterator[FieldError]:
        """What is wrong with a value, each field once.

        Args:
            pointer: JSON Pointer of the value in its message.
        """
        errors = list(self._validator.iter_errors(exact(value)))
        seen: set[str] = set()
        for error in sorted(errors, key=_order):
            for place, text in _explained(error):
                at = "".join([pointer, *(f"/{escaped(str(step))}" for step in (*error.path, *place))])
                # One sentence a field: a text that is too short and breaks its pattern is wrong once.
                if at not in seen:
                    seen.add(at)
                    yield field(at, text)


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
        raise refused(faults)


def check_message(message: Any) -> None:
    """The same for a message of another shape; pointers lead from its root.

    Raises:
        InvalidInput: with every such place.
    """
    faults = [*_unreadable(message, "", _DEEPEST)]
    if faults:
        raise refused(faults)


def exact(value: Any) -> Any:
    """JSON with each float as the Decimal it was written as: 120.1 is 1201 tenths."""
    if isinstance(value, float):
        return Decimal(repr(value))
    if isinstance(value, Mapping):
        return {key: exact(item) for key, item in value.items()}
    if isinstance(value, list):
        return [exact(item) for item in value]
    return value


def refused(faults: list[FieldError]) -> InvalidInput:
    """The error for an application with these faults; the first fifty are told."""
    shown = tuple(faults[:_MOST_FAULTS])
    return InvalidInput(
        f"The application has {len(faults)} wrong field{'s' if len(faults) > 1 else ''}. {shown[0].detail}",
        fields=shown,
        message_ar=f"في الطلب حقول غير صحيحة (عددها {len(faults)}). {shown[0].detail_ar}",
    )


def _order(error: ValidationError) -> tuple[list[str], bool]:
    # Of two faults of one field the pattern's own text says most.
    return list(map(str, error.path)), error.validator != "pattern"


def _unreadable(value: Any, pointer: str, levels: int) -> Iterator[FieldError]:
    if levels == 0:
        yield field(pointer, Bilingual(ar="التداخل أعمق من المسموح.", en="This is nested too deep."))
    elif isinstance(value, str):
        if not _PRINTED.fullmatch(value):
            en = "The text has characters other than Arabic and Latin letters, digits and signs."
            yield field(pointer, Bilingual(ar="في النص رموز غير الحروف العربية واللاتينية والأرقام.", en=en))
        elif value and not value.strip():
            yield field(pointer, Bilingual(ar="النص فارغ.", en="The text is blank."))
    elif isinstance(value, int | float) and not abs(value) <= _LARGEST:
        # Infinity and what is no number (NaN) compare as false.
        yield field(pointer, Bilingual(ar="هذا الرقم خارج المدى.", en="This number is out of range."))
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _unreadable(item, f"{pointer}/{escaped(key)}", levels - 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unreadable(item, f"{pointer}/{index}", levels - 1)


def _explained(error: ValidationError) -> Iterator[tuple[tuple[str, ...], Bilingual]]:
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
        case "minItems":
            yield (
                (),
                Bilingual(
                    ar=f"أقل عدد في «{label.ar}» هو {limit}.", en=f"{label.en} needs at least {limit}."
                ),
            )
        case "maxItems":
            yield (
                (),
                Bilingual(ar=f"أكثر عدد في «{label.ar}» هو {limit}.", en=f"{label.en} has at most {limit}."),
            )
        case "const":
            yield (), Bilingual(ar=f"قيمة «{label.ar}» هي {limit}.", en=f"{label.en} is {limit}.")
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
            told = error.schema.get("x-error") if isinstance(error.schema, Mapping) else None
            plain = Bilingual(
                ar=f"صيغة «{label.ar}» غير صحيحة.", en=f"{label.en} is not written as it should be."
            )
            yield (), Bilingual(**told) if told else plain


def _label(schema: Any, name: str) -> Bilingual:
    title = schema.get("x-title") if isinstance(schema, Mapping) else None
    return Bilingual(**title) if title else Bilingual(ar=name, en=name)


def field(pointer: str, text: Bilingual) -> FieldError:
    """One wrong field, told in both languages."""
    return FieldError(pointer, text.en, detail_ar=text.ar)


def escaped(key: str) -> str:
    """A key as a step of a JSON Pointer."""
    # RFC 6901; a stranger's key may be long or hold half a surrogate pair, which no answer could carry.
    readable = key[:60].encode("utf-8", "replace").decode()
    return readable.replace("~", "~0").replace("/", "~1")
