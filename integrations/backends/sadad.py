"""A payment system that presents bills at every bank, as SADAD does.

It is asked by JSON at three places below the URL of its section: `/uploads` takes bills, `/settlements` gives
a day's payments page by page, `/inquiries` says how one bill stands (`bill_number`; `paid` passes, `unpaid`,
`partly_paid`, `expired` and `unknown` do not). It tells us of each payment by a request of its own.

Everything it says is signed, by the keys that `answer_keys` names: its answers as `signed` has it, its
notices as HTTP messages over method, path and body. An answer counts only if it is whole: it names our upload
or our day, and its counts and sums are those of what we told and of what it sent.

Source: sadad.com ("How SADAD works": summary bills, discrepancies, notices, settlement and its report at the
end of the day); RFC 9421. The messages themselves are not published; these are of our own making, see
`lab/backends/sadad.openapi.yaml`.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Literal, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
)

from foundation.definitions import Bilingual
from foundation.errors import Damaged, InvalidInput, NotAuthenticated, RakeezaError, SettingsError
from foundation.secret import SecretFile
from foundation.settings import Backend as Section
from foundation.wire.content_digest import check_digest
from foundation.wire.http_signature import (
    Message,
    PublicKey,
    Signed,
    holds,
    read_inputs,
    read_signatures,
    signature_base,
)
from integrations import answer_signature
from integrations.backend import Backend, Nature, Question, Reply
from integrations.bill_presentment import Bill, Discrepancy, Movement, Presenter, Request, Settlement
from integrations.cases.money import amount_text, plus, read_amount
from integrations.cases.payments import Notice
from integrations.json_backend import Answer, Day, JsonBackend, Said
from integrations.json_client import JsonClient, Received

NATURE = Nature(
    answers={"paid": True, "unpaid": False, "partly_paid": False, "expired": False, "unknown": False}
)

MOST_PAGES = 5_000
"""Pages of a settlement that are asked for at most."""
COVERED = frozenset({"@method", "@path", "content-digest"})
"""What the signature of a notice covers at least."""
Shape = TypeVar("Shape", bound=BaseModel)


def _amount(value: object) -> Decimal:
    if value in ("0.00", "0"):
        return Decimal("0.00")
    try:
        return read_amount(value, "/amount")
    except RakeezaError as error:
        raise ValueError("an amount is written 1234.50") from error


def _written(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("a moment is written 2026-11-22T07:00:00Z")
    return value


_Amount = Annotated[Decimal, BeforeValidator(_amount)]
_Paid = Annotated[_Amount, Field(gt=0)]
_BillNumber = Annotated[str, Field(pattern=r"^[0-9]{1,32}$")]
# As our own contract has it, and never a formula for a spreadsheet that opens a report.
_Reference = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,63}$")]
_Moment = Annotated[
    AwareDatetime, BeforeValidator(_written), AfterValidator(lambda moment: moment.astimezone(UTC))
]


class _Read(BaseModel):
    # What else it says is not read, and so not kept.
    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class _Wrong(_Read):
    bill_number: _BillNumber
    code: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")
    text: Bilingual | None = None


class _Taken(_Read):
    upload: str
    taken: int = Field(ge=0, strict=True)
    amount: _Amount
    discrepancies: tuple[_Wrong, ...]


class _Movement(_Read):
    reference: _Reference
    bill_number: _BillNumber
    amount: _Paid
    day: Day


class _Page(_Read):
    day: Day
    page: int = Field(ge=1, strict=True)
    pages: int = Field(ge=1, le=MOST_PAGES, strict=True)
    count: int = Field(ge=0, strict=True)
    amount: _Amount
    movements: tuple[_Movement, ...]


class _Notice(_Read):
    bill_number: _BillNumber
    reference: _Reference
    amount: _Paid
    paid_at: _Moment
    status: Literal["paid", "refused"]


class _Inquiry(Answer):
    answer: Literal["paid", "unpaid", "partly_paid", "expired", "unknown"]


class Sadad:
    """The payment system.

    Args:
        name: in the settings.
        section: its settings.
        secrets: holds our token.
        clock: the present moment, aware.

    Raises:
        SettingsError: a file that the section names cannot be used, or its signatures could not be checked.
    """

    def __init__(
        self, name: str, section: Section, secrets: SecretFile, clock: Callable[[], datetime]
    ) -> None:
        if section.signed == "no" or section.answer_keys is None:
            raise SettingsError(
                "A payment system is believed by its signature alone.",
                place=f"backends.{name}.signed",
                remedy="Set signed, and answer_keys to a PEM file with its public keys.",
            )
        self._keys = answer_signature.read_keys(section.answer_keys)
        self._clock = clock
        self._uploads = JsonClient(name, _below(section, "uploads"), secrets, clock)
        self._settlements = JsonClient(name, _below(section, "settlements"), secrets, clock)
        self._inquiries = JsonBackend(
            name,
            _below(section, "inquiries"),
            secrets,
            clock,
            parameters={"bill_number": "[0-9]{13}"},
            shape=_Inquiry,
            nature=NATURE,
            say=lambda answer, _day: Said(answer.answer),
        )

    def ask(self, question: Question) -> Reply:
        """How a bill stands. Raises as `integrations.backend.Backend.ask` does."""
        return self._inquiries.ask(question)

    def upload(self, key: str, bills: Sequence[Bill]) -> list[Discrepancy]:
        """Tell it of bills; see `Presenter.upload`."""
        told = [
            {
                "bill_number": bill.bill_number,
                "status": bill.status,
                "amount": amount_text(bill.amount),
                "due": bill.due.isoformat(),
            }
            for bill in bills
        ]
        answer = self._read(self._uploads, self._uploads.post(key, {"upload": key, "bills": told}), _Taken)
        wrong = {each.bill_number for each in answer.discrepancies}
        taken = [bill for bill in bills if bill.bill_number not in wrong]
        whole = (
            answer.upload == key
            and len(wrong) == len(answer.discrepancies)
            and wrong <= {bill.bill_number for bill in bills}
            and answer.taken == len(taken)
            and answer.amount == plus(bill.amount for bill in taken)
        )
        if not whole:
            raise self._uploads.unavailable(
                "not_ours", "The payment system answers another upload than ours, or not all of it.", 200
            )
        return [Discrepancy(each.bill_number, each.code, each.text) for each in answer.discrepancies]

    def settlement(self, day: date) -> Settlement:
        """The settlement of a day; see `Presenter.settlement`."""
        first = self._page(day, 1)
        pages = [first, *(self._page(day, number) for number in range(2, first.pages + 1))]
        movements = [each for page in pages for each in page.movements]
        summed = plus(each.amount for each in movements)
        agree = all(
            (page.pages, page.count, page.amount) == (first.pages, first.count, first.amount)
            for page in pages
        )
        if not agree or (len(movements), summed) != (first.count, first.amount):
            raise self._settlements.unavailable(
                "not_whole",
                "The settlement does not come to the count and the sum that it says.",
                200,
                remedy="It is asked for again later; tell the payment system if it goes on.",
            )
        found = (Movement(each.reference, each.bill_number, each.amount, each.day) for each in movements)
        return Settlement(day, tuple(found))

    def notice(self, request: Request) -> Notice:
        """The payment that a signed request tells of; see `Presenter.notice`."""
        self._check(request)
        try:
            told = _Notice.model_validate_json(request.body)
        except ValidationError as error:
            where = "/".join(str(step) for step in error.errors()[0]["loc"])
            raise InvalidInput(
                "This is no notice of a payment.", place=f"/{where}", remedy="Send it as agreed."
            ) from None
        return Notice(told.bill_number, told.amount, told.paid_at, told.reference, told.status)

    def _page(self, day: date, number: int) -> _Page:
        asked = {"day": day.isoformat(), "page": number}
        client = self._settlements
        page = self._read(client, client.post(f"settlement/{day.isoformat()}/{number}", asked), _Page)
        later = any(each.day > day for each in page.movements)
        if (page.day, page.page) != (day, number) or number > page.pages or later:
            raise client.unavailable("not_ours", "The payment system gives another page than ours.", 200)
        return page

    def _read(self, client: JsonClient, received: Received, shape: type[Shape]) -> Shape:
        try:
            return shape.model_validate(client.read(received, once_each=True))
        except ValidationError as error:
            where = "/".join(str(step) for step in error.errors()[0]["loc"]) or "the whole"
            raise client.unavailable(
                "wrong_shape", f"The payment system's answer is not as agreed ({where}).", 200
            ) from None

    def _check(self, request: Request) -> None:
        # Its path and not its address: under which name we were reached is no matter of the payment.
        message = Message(request.method, f"https://localhost{request.path}", request.fields)
        try:
            inputs = read_inputs(", ".join(message.lines("signature-input")))
            signatures = read_signatures(", ".join(message.lines("signature")))
            good = any(
                label in signatures and self._is_good(message, signed, signatures[label])
                for label, signed in inputs.items()
            )
            if good:
                check_digest(", ".join(message.lines("content-digest")), request.body)
        except (InvalidInput, Damaged) as error:
            raise _unsigned() from error
        if not good:
            raise _unsigned()

    def _is_good(self, message: Message, signed: Signed, signature: bytes) -> bool:
        if not signed.names >= COVERED or not answer_signature.is_of_now(signed, self._clock()):
            return False
        base = signature_base(message, signed)
        return any(_holds(base, signature, key, signed.alg) for key in self._keys)


def _holds(base: bytes, signature: bytes, key: PublicKey, alg: str | None) -> bool:
    try:
        return holds(base, signature, key, alg)
    except InvalidInput:
        # The algorithm is not one of this key; of the next it may be.
        return False


def _unsigned() -> NotAuthenticated:
    return NotAuthenticated(
        "The notice is not signed by the payment system, or not just now.",
        remedy="Sign method, path and content digest as RFC 9421 has it, and send it at once.",
        message_ar="إشعار السداد غير موقّع من نظام المدفوعات أو مضى على توقيعه وقت.",
    )


def _below(section: Section, place: str) -> Section:
    return section.model_copy(update={"url": f"{section.url.rstrip('/')}/{place}"})


def open_backend(name: str, section: Section, secrets: SecretFile, clock: Callable[[], datetime]) -> Backend:
    """The payment system of a section of the settings, for inquiries."""
    return Sadad(name, section, secrets, clock)


def open_presenter(
    name: str, section: Section, secrets: SecretFile, clock: Callable[[], datetime]
) -> Presenter:
    """The payment system of a section of the settings."""
    return Sadad(name, section, secrets, clock)
