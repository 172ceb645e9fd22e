"""Who may apply: identifiers of people and establishments in the Kingdom."""

import re
from typing import Literal

from stdnum import luhn

from foundation.definitions import Bilingual

Kind = Literal["national_id", "iqama", "border_number", "unified_number"]

_TITLES: dict[Kind, Bilingual] = {
    "national_id": Bilingual(ar="رقم الهوية الوطنية", en="The national id"),
    "iqama": Bilingual(ar="رقم الإقامة", en="The iqama number"),
    "border_number": Bilingual(ar="رقم الحدود", en="The border number"),
    "unified_number": Bilingual(ar="الرقم الموحد للمنشأة", en="The unified number"),
}
_FIRST_DIGIT: dict[Kind, str] = {"national_id": "1", "iqama": "2", "unified_number": "7"}
_CHECKED: frozenset[Kind] = frozenset({"national_id", "iqama"})


def title(kind: Kind) -> Bilingual:
    """What this kind of identifier is called."""
    return _TITLES[kind]


def fault(kind: Kind, number: str) -> Bilingual | None:
    """What is wrong with an identifier, or None.

    Each has ten digits. A national id starts with 1, an iqama with 2; both end in a Luhn check digit. A
    unified number starts with 7; no rule for its check digit is published, so none is applied. Of the border
    number
    neither a first digit nor a check digit is published: ten digits are all that can be asked of it.

    Source: ISO/IEC 7812-1, annex B (Luhn); SAMA circular 42007290 (unified number).
    """
    name, first = _TITLES[kind], _FIRST_DIGIT.get(kind)
    if not re.fullmatch(r"[0-9]{10}", number) or (first is not None and number[0] != first):
        ar, en = (f" أولها {first}", f" that start with {first}") if first else ("", "")
        return Bilingual(ar=f"{name.ar} عشرة أرقام{ar}.", en=f"{name.en} is ten digits{en}.")
    if kind in _CHECKED and not luhn.is_valid(number):
        return Bilingual(
            ar=f"{name.ar} غير صحيح: رقم التحقق لا يطابق.",
            en=f"{name.en} is mistyped: its check digit does not fit.",
        )
    return None
