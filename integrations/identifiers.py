"""Who may apply: identifiers of people and establishments in the Kingdom."""

import re
from typing import Literal

from stdnum import luhn

from foundation.definitions import Bilingual

Kind = Literal["national_id", "iqama", "unified_number"]

_RULES: dict[Kind, tuple[str, Bilingual]] = {
    "national_id": ("1", Bilingual(ar="رقم الهوية الوطنية", en="The national id")),
    "iqama": ("2", Bilingual(ar="رقم الإقامة", en="The iqama number")),
    "unified_number": ("7", Bilingual(ar="الرقم الموحد للمنشأة", en="The unified number")),
}


def title(kind: Kind) -> Bilingual:
    """What this kind of identifier is called."""
    return _RULES[kind][1]


def fault(kind: Kind, number: str) -> Bilingual | None:
    """What is wrong with an identifier, or None.

    A national id has ten digits and starts with 1, an iqama with 2; both end in a Luhn check digit. A unified
    number has ten digits and starts with 7; no rule for its check digit is published, so none is applied.

    Source: ISO/IEC 7812-1, annex B (Luhn); SAMA circular 42007290 (unified number).
    """
    first, name = _RULES[kind]
    if not re.fullmatch(r"[0-9]{10}", number) or number[0] != first:
        return Bilingual(
            ar=f"{name.ar} عشرة أرقام أولها {first}.", en=f"{name.en} is ten digits that start with {first}."
        )
    if kind != "unified_number" and not luhn.is_valid(number):
        return Bilingual(
            ar=f"{name.ar} غير صحيح: رقم التحقق لا يطابق.",
            en=f"{name.en} is mistyped: its check digit does not fit.",
        )
    return None
