"""What pydantic found wrong with a request, told field by field in English and in Arabic."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import PydanticCustomError

from foundation.errors import FieldError, InvalidInput

_SOURCES = {
    "query": ("query parameter", "معامل العنوان"),
    "path": ("path parameter", "جزء العنوان"),
    "header": ("header parameter", "ترويسة الطلب"),
    "cookie": ("cookie parameter", "ملف الارتباط"),
}
_NO_INTEGER = "يجب أن يكون عددًا صحيحًا."
_NO_NUMBER = "يجب أن يكون رقمًا."
_NO_BOOLEAN = "يجب أن يكون نعم أو لا (true أو false)."
_NO_OBJECT = "يجب أن يكون كائنًا."
_NO_DAY = "يجب أن يكون تاريخًا مثل 2026-11-22."
_NO_MOMENT = "يجب أن يكون وقتًا مع منطقته الزمنية مثل 2026-11-22T10:00:00Z."
# Pydantic's kinds of fault; what stands in braces is its own context of the fault.
_SENTENCES = {
    "missing": "هذا الحقل مطلوب.",
    "extra_forbidden": "هذا الحقل غير معروف.",
    "string_type": "يجب أن يكون نصًا.",
    "string_unicode": "في النص رموز غير صالحة.",
    "string_too_short": "أقل طول للنص {min_length}.",
    "string_too_long": "أكبر طول للنص {max_length}.",
    "string_pattern_mismatch": "صيغة النص غير صحيحة.",
    "int_type": _NO_INTEGER,
    "int_parsing": _NO_INTEGER,
    "int_parsing_size": "هذا العدد خارج المدى.",
    "int_from_float": _NO_INTEGER,
    "float_type": _NO_NUMBER,
    "float_parsing": _NO_NUMBER,
    "finite_number": "هذا الرقم خارج المدى.",
    "decimal_type": _NO_NUMBER,
    "decimal_parsing": _NO_NUMBER,
    "bool_type": _NO_BOOLEAN,
    "bool_parsing": _NO_BOOLEAN,
    "greater_than": "يجب أن يكون أكبر من {gt}.",
    "greater_than_equal": "يجب ألا يقل عن {ge}.",
    "less_than": "يجب أن يكون أصغر من {lt}.",
    "less_than_equal": "يجب ألا يزيد على {le}.",
    "multiple_of": "يجب أن يكون من مضاعفات {multiple_of}.",
    "list_type": "يجب أن يكون قائمة.",
    "dict_type": _NO_OBJECT,
    "mapping_type": _NO_OBJECT,
    "model_type": _NO_OBJECT,
    "model_attributes_type": _NO_OBJECT,
    "too_short": "أقل عدد للعناصر {min_length}.",
    "too_long": "أكبر عدد للعناصر {max_length}.",
    "literal_error": "القيمة ليست من القيم المعروفة.",
    "enum": "القيمة ليست من القيم المعروفة.",
    "date_type": _NO_DAY,
    "date_parsing": _NO_DAY,
    "date_from_datetime_parsing": _NO_DAY,
    "date_from_datetime_inexact": _NO_DAY,
    "datetime_type": _NO_MOMENT,
    "datetime_parsing": _NO_MOMENT,
    "datetime_from_date_parsing": _NO_MOMENT,
    "datetime_object_invalid": _NO_MOMENT,
    "timezone_aware": _NO_MOMENT,
}
_WRONG = "القيمة غير صحيحة."
_MOST = 50


def fault(en: str, ar: str) -> PydanticCustomError:
    """What a validator of ours raises, in both languages."""
    return PydanticCustomError("told", "{en}", {"en": en, "ar": ar})


def refused(items: Sequence[Mapping[str, Any]]) -> InvalidInput:
    """The refusal of a request.

    Args:
        items: pydantic's errors, their places as FastAPI gives them; the first fifty are told.
    """
    fields = tuple(_field(item) for item in items[:_MOST])
    more = f" ({len(items) - 1} more)" if len(items) > 1 else ""
    told = f"{fields[0].pointer} {fields[0].detail}".strip().removesuffix(".")
    return InvalidInput(
        f"{told}{more}.",
        remedy="Correct the request and send it again.",
        fields=fields,
        message_ar=f"في الطلب قيم غير صحيحة (عددها {len(items)}). {fields[0].detail_ar}",
    )


def _field(item: Mapping[str, Any]) -> FieldError:
    source, *steps = item["loc"]
    context = item.get("ctx", {})
    if item["type"] == "told":
        en, ar = str(context["en"]), str(context["ar"])
    else:
        en = "is unknown" if item["type"] == "extra_forbidden" else item["msg"].removeprefix("Value error, ")
        ar = _SENTENCES.get(item["type"], _WRONG).format_map(context)
    if source == "body":
        return FieldError("".join(f"/{_escaped(step)}" for step in steps), en, detail_ar=ar)
    # A JSON Pointer leads into the body only.
    word, word_ar = _SOURCES.get(source, (str(source), "الطلب"))
    name = ".".join(map(str, steps))
    return FieldError("", f"{word} {name}: {en}", detail_ar=f"{word_ar} \u2068{name}\u2069: {ar}")


def _escaped(step: object) -> str:
    # RFC 6901; a stranger's key may be long or hold half a surrogate pair, which no answer could carry.
    readable = str(step)[:60].encode("utf-8", "replace").decode()
    return readable.replace("~", "~0").replace("/", "~1")
