"""What comes in over REST of a centre's shifts, with its limits."""

from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from foundation.http_faults import fault
from integrations.cases.money import half_up

_AMOUNT = r"^([1-9][0-9]{0,11}(\.[0-9]{1,2})?|0\.([1-9][0-9]?|0[1-9]))$"
_AMOUNT_OR_NOTHING = r"^(0|[1-9][0-9]{0,11})(\.[0-9]{1,2})?$"
_LINE = r"^[^\x00-\x1f\x7f]*$"


def _text(value: Any) -> Any:
    if not isinstance(value, str):
        raise fault(
            'an amount is text such as "300.00", never a JSON number',
            "يُكتب المبلغ نصًا مثل «300.00»، لا رقمًا.",
        )
    return value


def _without_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ShiftOpening(_Body):
    """A shift begins."""

    float: Annotated[str, Field(pattern=_AMOUNT_OR_NOTHING), BeforeValidator(_text)] = Field(
        description="SAR in the drawer, as text; zero or more."
    )

    def amount(self) -> Decimal:
        """SAR in the drawer."""
        return half_up(Decimal(self.float))


class ShiftMovement(_Body):
    """Money goes into a drawer or out of it."""

    direction: Literal["in", "out"]
    amount: Annotated[str, Field(pattern=_AMOUNT), BeforeValidator(_text)] = Field(
        description="SAR with halalas, as text; more than zero."
    )
    reason: str = Field(min_length=1, max_length=200, pattern=_LINE)


class ShiftCount(_Body):
    """A drawer was counted."""

    counted: Annotated[str, Field(pattern=_AMOUNT_OR_NOTHING), BeforeValidator(_text)] = Field(
        description="SAR that was found in the drawer, as text; zero or more."
    )
    note: str = Field(
        "",
        max_length=500,
        pattern=_LINE,
        description="What explains a difference.",
        json_schema_extra=_without_default,
    )
