"""Amounts of money: Saudi riyals with halalas, exact.

An amount is a Decimal with two places. It travels as text ("1234.50") and lies in NUMERIC(14, 2). Rounding
happens in one function: half a halala goes up, away from zero (half-up). A float is refused wherever an
amount is read, because it has already lost what it meant.
"""

import re
from collections.abc import Iterable
from decimal import ROUND_HALF_UP, Context, Decimal
from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from foundation.errors import FieldError, InvalidInput

HALALA = Decimal("0.01")
LARGEST = Decimal("999999999999.99")

PATTERN = r"^[0-9]{1,12}(\.[0-9]{1,2})?$"
"""An amount as it travels."""

_TEXT = re.compile(PATTERN)
# Wide enough for any product of a rate, a quantity and years: only half_up may round.
_EXACT = Context(prec=60, rounding=ROUND_HALF_UP)


def _not_float(value: Any) -> Any:
    if isinstance(value, float | bool):
        raise ValueError('an amount is text with halalas, such as "1234.50", never a float')
    return value


Amount = Annotated[
    Decimal, BeforeValidator(_not_float), Field(ge=0, le=LARGEST, decimal_places=2, allow_inf_nan=False)
]


def half_up(value: Decimal) -> Decimal:
    """The value rounded to whole halalas, half a halala away from zero."""
    return value.quantize(HALALA, context=_EXACT)


def multiply(*factors: Decimal | int) -> Decimal:
    """The exact product, unrounded."""
    product = Decimal(1)
    for factor in factors:
        product = _EXACT.multiply(product, Decimal(factor))
    return product


def plus(amounts: Iterable[Decimal]) -> Decimal:
    """The exact sum, unrounded; of nothing 0.00."""
    total = Decimal("0.00")
    for amount in amounts:
        total = _EXACT.add(total, amount)
    return total


def amount_text(amount: Decimal) -> str:
    """The amount as it travels: "1234.50"."""
    return f"{half_up(amount):f}"


def read_amount(value: Any, pointer: str) -> Decimal:
    """The amount in a message.

    Args:
        value: text such as "1234.50"; more than zero, at most twelve digits and two decimals.
        pointer: JSON Pointer of the field, for the error.

    Raises:
        InvalidInput: anything else, numbers included.
    """
    if isinstance(value, str) and _TEXT.fullmatch(value) and Decimal(value) > 0:
        return half_up(Decimal(value))
    raise InvalidInput(
        "The amount is not readable.",
        remedy='Send text with halalas, such as "1234.50".',
        fields=(
            FieldError(
                pointer,
                'An amount is text such as "1234.50", more than zero, never a JSON number.',
                detail_ar="يُكتب المبلغ نصًا مثل «1234.50»، أكبر من صفر، لا رقمًا.",
            ),
        ),
    )
