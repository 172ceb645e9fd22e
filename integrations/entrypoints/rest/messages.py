"""What comes in over REST: bodies, headers and parameters, each with its limits."""

import re
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from fastapi import Depends, Path, Query, Request
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from foundation.errors import Malformed
from foundation.http_faults import fault
from foundation.idempotency import HEADER
from integrations.centres.proof import DEVICE

_CENTURY = r"^20[0-9]{2}-"
_NAME = r"^[a-z][a-z0-9_]{0,62}$"
_NUMBER = r"^[A-Za-z0-9-]{1,40}$"
# Without control characters; PostgreSQL takes no NUL, and no line of a log is broken.
_LINE = r"^[^\x00-\x1f\x7f]*$"
_AMOUNT = r"^([1-9][0-9]{0,11}(\.[0-9]{1,2})?|0\.([1-9][0-9]?|0[1-9]))$"
_REFERENCE = r"^[A-Za-z0-9._/-]{1,64}$"
_CURSOR = r"^[0-9]{1,19}-[0-9]{1,18}$"
_MOST_ID = 2**53 - 1
_DEVICE = r"[a-z][a-z0-9_-]{0,31}"
_VERSION = re.compile(r'"([0-9]{1,9})"')


def _written(value: Any) -> Any:
    # A number would be read as seconds since 1970: of what clock, nobody said.
    if not isinstance(value, str) or not re.match(_CENTURY, value):
        raise fault(
            "a time is text of this century, such as 2026-11-22T10:00:00Z",
            "يُكتب الوقت نصًا ويقع في هذا القرن، مثل 2026-11-22T10:00:00Z.",
        )
    return value


def _in_utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


def _plain_day(value: Any) -> Any:
    # Python's reader takes all of ISO 8601, as 20261122 and 2026-W47-7; the contract does not.
    if not isinstance(value, str) or not re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", value):
        raise fault("a day is text such as 2026-11-22", "يُكتب التاريخ نصًا مثل 2026-11-22.")
    return value


def _amount(value: Any) -> Any:
    if not isinstance(value, str) or not re.fullmatch(_AMOUNT, value):
        raise fault(
            'an amount is text such as "1234.50", more than zero, never a JSON number',
            "يُكتب المبلغ نصًا مثل «1234.50»، أكبر من صفر، لا رقمًا.",
        )
    return value


def _digits(value: Any) -> Any:
    # Pydantic reads 1.0, 1_000 and blanks as numbers too.
    if isinstance(value, str) and not re.fullmatch(r"-?[0-9]{1,20}", value):
        raise fault("is no whole number", "يجب أن يكون عددًا صحيحًا.")
    return value


def _flag(value: Any) -> Any:
    if value not in ("true", "false"):
        raise fault("is true or false", "القيمة true أو false.")
    return value


def _given(value: Any) -> Any:
    if value is None:
        raise fault("is null; leave it out instead", "القيمة null غير مقبولة؛ احذف الحقل بدلًا منها.")
    return value


def _bare(schema: dict[str, Any]) -> None:
    # What may be left out has no default on the wire, and is not null.
    schema.pop("default", None)
    schema.update(next((each for each in schema.pop("anyOf", ()) if each.get("type") != "null"), {}))


def left_out(description: str) -> Any:
    """A field that may be left out."""
    return Field(None, json_schema_extra=_bare, description=description)


Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_written),
    AfterValidator(_in_utc),
    Field(json_schema_extra={"pattern": _CENTURY}),
]
Day = Annotated[date, BeforeValidator(_plain_day)]
NameText = Annotated[str, Field(pattern=_NAME)]
NumberText = Annotated[str, Field(pattern=_NUMBER)]
OptionalName = Annotated[NameText | None, BeforeValidator(_given)]
OptionalNumber = Annotated[NumberText | None, BeforeValidator(_given)]
OptionalDay = Annotated[Day | None, BeforeValidator(_given)]
OptionalObject = Annotated[dict[str, Any] | None, BeforeValidator(_given)]
Words = Annotated[str, Field(min_length=1, max_length=2_000, pattern=r"^[^\x00]*$")]
HashText = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
CursorText = Annotated[str, Field(pattern=_CURSOR)]
FileText = Annotated[str, Field(min_length=1, max_length=1_000_000, pattern=r"^[^\x00]*$")]
KindText = Literal["national_id", "iqama", "border_number", "unified_number"]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Submission(_Body):
    """An application."""

    service: str = Field(pattern=_NAME, description="Code of the service.")
    procedure: OptionalName = left_out(description="By default the one that issues.")
    licence: OptionalNumber = left_out(description="The licence it is about.")
    parent: OptionalNumber = left_out(description="The licence that the new one hangs on.")
    applicant: OptionalObject = left_out(
        description="kind, identifier, name, mobile; capacity and actor where another acts for the owner."
    )
    form: dict[str, Any] = Field(description="As the procedure's JSON Schema has it.")

    def message(self) -> dict[str, Any]:
        """As licensing takes it: what was sent, and no part more."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class Submissions(_Body):
    """Several applications; each is a case of its own, and is looked at by itself."""

    cases: list[dict[str, Any]] = Field(
        min_length=1, max_length=200, description="Each as the body of POST /v1/cases."
    )


class Step(_Body):
    """What is sent with an action."""

    comment: Annotated[Words | None, BeforeValidator(_given)] = left_out(
        description="Why; some actions need it."
    )
    form: OptionalObject = left_out(
        description="Fields that the action lets the caller change; null takes one out."
    )


class Comment(_Body):
    """A comment on a case."""

    comment: Words


class Assignment(_Body):
    """Who is to work on a case."""

    to: Annotated[str, Field(min_length=1, max_length=80, pattern=r"^[!-~]*$")] | None = Field(
        description="As person/NAME or client/NAME; null gives it back to the desk."
    )


class PaymentNotice(_Body):
    """A bank's notification of one payment."""

    bill_number: str = Field(pattern=r"^[0-9]{1,32}$")
    amount: Annotated[str, Field(pattern=_AMOUNT), BeforeValidator(_amount)] = Field(
        description="SAR with halalas, as text; more than zero."
    )
    paid_at: Moment
    reference: str = Field(pattern=_REFERENCE, description="The bank's own; one a payment.")
    status: Literal["paid", "refused"] = Field(
        "paid", description="Whether the bank took the money; paid without it.", json_schema_extra=_bare
    )


class PaymentReference(_Body):
    """A payment, by the bank's own reference."""

    reference: str = Field(pattern=_REFERENCE, description="The bank's own.")


class PaymentAssignment(PaymentReference):
    """A payment that waits, and the bill it was meant for."""

    bill_number: str = Field(pattern=r"^[0-9]{1,32}$")


class Sent(_Body):
    """A refund that has left."""

    reference: str = Field(
        pattern=r"^[!-~]([ -~]{0,138}[!-~])?$", description="Of the outgoing payment, as the bank has it."
    )


class Reason(_Body):
    """Why something is done."""

    reason: str = Field(min_length=1, max_length=500, pattern=r"^[^\x00]*$")


class Reconciliation(_Body):
    """The files of a day, as text; a message is small, and so are they."""

    day: Day = Field(description="The day that is compared, in Riyadh.")
    bank: FileText = Field(description="The bank's file: CSV or camt.053.")
    ledger: FileText = Field(description="The export of the ledger, as the financial system hands it back.")


class Subject(_Body):
    """A person or establishment, by identifier; in a body, because addresses are logged."""

    kind: KindText
    identifier: str = Field(pattern=r"^[0-9]{10}$")


class Party(Subject):
    """A person or establishment, with the name."""

    name: str = Field(min_length=2, max_length=120)


class DelegationOrder(_Body):
    """An owner lets another act for him."""

    principal: Party = Field(description="The owner.")
    agent: Party = Field(description="Who acts for him.")
    actor: Annotated[Party | None, BeforeValidator(_given)] = left_out(
        description="Who stands at the desk, where that is said; only the owner gives."
    )
    capacity: Literal["manager", "agent"]
    services: list[NameText] = Field(
        [], max_length=50, description="Codes; none is every service.", json_schema_extra=_bare
    )
    procedures: list[NameText] = Field(
        [], max_length=50, description="None is every procedure.", json_schema_extra=_bare
    )
    valid_from: OptionalDay = left_out(description="First day; today without it.")
    valid_until: OptionalDay = left_out(description="Last day; an agent needs one.")
    evidence: Annotated[HashText | None, BeforeValidator(_given)] = left_out(
        description="SHA-256 of the paper that shows it."
    )


class Subscription(_Body):
    """A webhook."""

    url: str = Field(max_length=500, pattern=r"^https?://[!-~]+$")
    kinds: list[Annotated[str, Field(pattern=r"^[a-z_]{1,40}(\.[a-z_]{1,40}){0,3}\.?$")]] = Field(
        [],
        max_length=20,
        description="Kinds of event, as licence.issued, or licence. for all of those; none for all.",
        json_schema_extra=_bare,
    )


class Replay(_Body):
    """From where a webhook is told again: one of the two."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"oneOf": [{"required": ["after"]}, {"required": ["since"]}]}
    )

    after: Annotated[CursorText | None, BeforeValidator(_given)] = left_out(
        description="The last event that is not wanted, as its webhook-id has it behind evt_.",
    )
    since: Annotated[Moment | None, BeforeValidator(_given)] = left_out(
        description="In its place, a moment: what came then or later."
    )


async def _key(request: Request) -> str | None:
    if not re.fullmatch(_DEVICE, request.headers.get(DEVICE, "none")):
        raise Malformed(
            "Centre-Device is no code of a device.",
            remedy="Send the code that the municipality enrolled the device under, or none.",
            message_ar="قيمة Centre-Device ليست رمز جهاز؛ أرسل الرمز الذي سُجّل به الجهاز.",
        )
    # Read past the framework: `once` tells a missing key as every other fault of a key, with status 400.
    return request.headers.get(HEADER)


async def _version(request: Request) -> int | None:
    if_match = request.headers.get("If-Match", "*")
    if if_match == "*":
        return None
    found = _VERSION.fullmatch(if_match)
    if found is None:
        raise Malformed(
            "If-Match is no version of a case.",
            remedy="Send the ETag of the case as it came.",
            message_ar="قيمة If-Match ليست إصدارًا لمعاملة؛ أرسل ETag كما ورد.",
        )
    return int(found[1])


async def _last_event(request: Request) -> str | None:
    given = request.headers.get("Last-Event-ID")
    if given is not None and not re.fullmatch(_CURSOR, given):
        raise Malformed(
            "Last-Event-ID is no id of an event.",
            remedy="Send the id of the last event that was read, or none.",
            message_ar="قيمة Last-Event-ID ليست رقم حدث.",
        )
    return given


Key = Annotated[str | None, Depends(_key)]
Version = Annotated[int | None, Depends(_version)]
LastEvent = Annotated[str | None, Depends(_last_event)]

Name = Annotated[str, Path(pattern=_NAME)]
Number = Annotated[str, Path(pattern=_NUMBER, description="Such as SC-2026-000001.")]
BillNumber = Annotated[str, Path(pattern=r"^[0-9]{1,32}$")]
Id = Annotated[int, Field(ge=1, le=_MOST_ID), BeforeValidator(_digits), Path()]

FileName = Annotated[str, Query(min_length=1, max_length=200, pattern=_LINE)]
Limit = Annotated[int, Field(ge=1, le=200), BeforeValidator(_digits), Query()]
Flag = Annotated[bool, BeforeValidator(_flag), Query()]
Whose = Annotated[Literal["all", "mine", "unassigned"], Query()]
After = Annotated[
    Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,200}$")] | None, Query(json_schema_extra=_bare)
]
Channel = Annotated[Literal["centre", "kiosk", "online", "office"] | None, Query(json_schema_extra=_bare)]
RefundState = Annotated[
    Literal["due", "approved", "sent", "confirmed", "failed"] | None,
    Query(alias="state", json_schema_extra=_bare),
]
OneName = Annotated[OptionalName, Query(json_schema_extra=_bare)]
OneLicence = Annotated[OptionalNumber, Query(json_schema_extra=_bare)]
OnePlace = Annotated[
    Annotated[str, Field(min_length=1, max_length=80, pattern=_LINE)] | None,
    Query(json_schema_extra=_bare),
]
OneVersion = Annotated[
    Annotated[int, Field(ge=1, le=2**31 - 1), BeforeValidator(_digits)] | None,
    Query(alias="version", json_schema_extra=_bare),
]
Until = Annotated[OptionalDay, Query(json_schema_extra=_bare)]
