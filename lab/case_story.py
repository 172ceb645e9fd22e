"""The middle of the story: what a municipality's desks do with cases, money and licences in a day."""

import csv
import hashlib
import io
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from PIL import Image, ImageDraw

from foundation.calendar import today
from foundation.errors import NotAuthenticated, Refused
from lab.municipality import Municipality
from lab.observing import Api, Observation, Step, contains, holding, same
from lab.receiver import Message, Receiver, verify

APPLICANT: dict[str, Any] = {
    "kind": "national_id",
    "identifier": "1058529940",
    "name": "سعد بن محمد الأحمدي",
    "mobile": "+966501234567",
}
"""Who applies."""

BAKERY: dict[str, Any] = {
    "trade_name": "مخبز الندى",
    "commercial_register": "4030123456",
    "activity": "107101",
    "area_m2": 120.5,
    "years": 1,
    "district": "حي الروضة",
    "street": "شارع الأمير سلطان",
    "building_number": "7214",
    "postal_code": "23434",
}
"""An activity that is licensed at once."""

APPLICATION: dict[str, Any] = {"service": "shop_licence", "applicant": APPLICANT, "form": BAKERY}
"""An application for a bakery."""

_RESTAURANT = {**BAKERY, "trade_name": "مطعم المذاق", "activity": "561010", "area_m2": 95}
_TRUE_AREA = 140
_SEND_BACK = "المساحة لا تطابق عقد الإيجار؛ صححها وأرفق المستندات."
_GROUNDS = "صُحح وضع اللوحة قبل الزيارة، والصورة المرفقة تبيّن ذلك."


class CaseStory:
    """The steps about cases, in order; later ones use what earlier ones made.

    Args:
        lab: the running lab.
        api: its API.
        centre: the centre's own system, which is told by webhook.
    """

    def __init__(self, lab: Municipality, api: Api, centre: Receiver) -> None:
        self._lab = lab
        self._api = api
        self._centre = centre
        self._case = ""
        self._licence = ""
        self._seal = ""
        self._days: set[str] = set()

    def steps(self) -> list[Step]:
        """These steps, from top to bottom."""
        return [
            Step("Review a restaurant: sent back, completed, approved", self._review),
            Step("Take a part payment and the rest", self._pay_in_parts),
            Step("Suspend the licence, and uphold the objection", self._suspend),
            Step("Close the day: books, bank, audit trail", self._close),
        ]

    def subscribe(self) -> str:
        """Let the centre's system be told; the secret that signs."""
        order = {"url": self._centre.url, "kinds": ["case.", "licence."]}
        return str(self._api.post("/v1/webhooks", "centre", order)["secret"])

    def told(self, kind: str, subject: str, secret: str) -> Observation:
        """The centre's system was told of an event, and would not have believed a forged message."""
        message: Message = self._api.until(f"{kind} by webhook", lambda: self._centre.about(kind, subject))
        verify(message, secret)
        forged = replace(message, body=message.body.replace(subject.encode(), subject[:-1].encode() + b"x"))
        try:
            verify(forged, secret)
        except NotAuthenticated:
            return Observation("its system is told, and refuses a forged message", "webhook, HMAC", kind)
        raise Refused("A forged message passes for signed.", place=kind)

    def bill(self, number: str) -> dict[str, Any]:
        """Quote and bill a case; the bill."""
        quote = self._api.post(f"/v1/cases/{number}/quote", "centre")
        bill: dict[str, Any] = self._api.post(f"/v1/cases/{number}/invoice", "centre")
        same("the amount of the bill", bill["amount"], quote["total"])
        return bill

    def pay(self, bill: dict[str, Any], amount: str, reference: str) -> dict[str, Any]:
        """A bank takes money for a bill, notifies it twice as banks do, and books it."""
        reference = f"BANK-{self._api.telling}-{reference}"
        notice = {
            "bill_number": bill["bill_number"],
            "amount": amount,
            "paid_at": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "reference": reference,
        }
        first: dict[str, Any] = self._api.post("/v1/payments", "payment", notice, key=reference)
        again = self._api.post("/v1/payments", "payment", notice, key=reference)
        same("the answer to the same Idempotency-Key", again, first)
        day = today().isoformat()
        self._days.add(day)
        # The bank's own record; in a folder that was used before it goes on.
        statement = self._lab.folder / "bank.csv"
        if not statement.exists():
            statement.write_text("reference,amount,day,bill_number\n", encoding="utf-8")
        with statement.open("a", encoding="utf-8") as file:
            file.write(f"{reference},{amount},{day},{bill['bill_number']}\n")
        return first

    def _review(self) -> Iterator[Observation]:
        api = self._api
        # Noted outside the database: what was written until now can no longer be taken out unseen.
        self._seal = self._lab.rakeeza("audit", "seal").strip()
        opened = api.post("/v1/cases", "centre", {**APPLICATION, "form": _RESTAURANT})
        self._case = number = opened["number"]
        same("the state", opened["state"], "under_review")
        self._in_inbox(number)
        yield Observation("a restaurant waits in the officer's inbox", "REST", number)
        problem = api.refused(f"/v1/cases/{number}/actions/send_back", "reviewer", status=422)
        contains("the refusal", problem["detail_ar"], "ذكر السبب")
        returned = api.post(f"/v1/cases/{number}/actions/send_back", "reviewer", {"comment": _SEND_BACK})
        same("the state", returned["state"], "returned")
        comments = api.get(f"/v1/cases/{number}/comments", "centre")["items"]
        same("the comment that the centre reads", comments[-1]["text"], _SEND_BACK)
        yield Observation(
            "it is sent back with a reason, never without", "REST", returned["state_title"]["ar"]
        )
        handed = self._hand_in(number)
        change = {"form": {"area_m2": _TRUE_AREA}}
        again = api.post(f"/v1/cases/{number}/actions/resubmit", "centre", change)
        same("the state", again["state"], "under_review")
        yield Observation("the centre corrects it and hands in what is asked", "REST", f"{handed} documents")
        self._in_inbox(number)
        approved = api.post(f"/v1/cases/{number}/actions/approve", "reviewer")
        same("the state", approved["state"], "approved")
        yield Observation(
            "the officer approves; nothing is issued yet", "REST", approved["state_title"]["ar"]
        )

    def _in_inbox(self, number: str) -> None:
        page = self._api.get("/v1/inbox?whose=unassigned", "reviewer")
        contains("the officer's inbox", " ".join(item["number"] for item in page["items"]), number)

    def _hand_in(self, number: str) -> int:
        case = self._api.get(f"/v1/cases/{number}", "centre")
        wanted = [asked["code"] for asked in case["documents"] if asked["required"]]
        for code in wanted:
            scan = _scan(f"{number} {code}")
            path = f"/v1/cases/{number}/documents/{code}"
            self._api.put(path, "centre", f"{code}.png", scan)
            kept = self._api.asked(path, "reviewer").content
            same("the hash of a document", hashlib.sha256(kept).hexdigest(), hashlib.sha256(scan).hexdigest())
        return len(wanted)

    def _pay_in_parts(self) -> Iterator[Observation]:
        api, number = self._api, self._case
        bill = self.bill(number)
        # By the definition: 6 SAR a square metre in a municipality of class 1, and 20 for the visit.
        same("the fee", bill["amount"], f"{6 * _TRUE_AREA + 20}.00")
        part = "300.00"
        rest = str(Decimal(bill["amount"]) - Decimal(part))
        self.pay(bill, part, "part")
        owed = api.get(f"/v1/bills/{bill['bill_number']}", "finance")
        same("the rest of the bill", owed["rest"], rest)
        same("the state after a part payment", api.get(f"/v1/cases/{number}", "centre")["state"], "invoiced")
        yield Observation("a part is paid: nothing is issued", "REST", f"{rest} of {bill['amount']} SAR open")
        self.pay(bill, rest, "rest")
        case = api.until("the restaurant's licence", lambda: self._issued(number))
        self._licence = case["licence"]
        same("the rest of the bill", api.get(f"/v1/bills/{bill['bill_number']}", "finance")["rest"], "0.00")
        yield Observation("the rest is paid: the licence is issued", "REST", self._licence)

    def _suspend(self) -> Iterator[Observation]:
        api, licence = self._api, self._licence
        form = {"grounds": "اللوحة تخالف الاشتراطات البلدية."}
        order = {"service": "shop_licence", "procedure": "suspend", "licence": licence, "form": form}
        number = api.post("/v1/cases", "inspector", order)["number"]
        api.refused(f"/v1/cases/{number}/actions/decide", "inspector", status=403)
        yield Observation("who proposes a suspension cannot decide it", "REST", number)
        api.post(f"/v1/cases/{number}/actions/decide", "reviewer")
        same("the status", api.get(f"/v1/verify/{licence}")["status"], "suspended")
        self._lab.kiosk.scan(licence)
        screen = api.until("the kiosk's screen", lambda: holding(licence, self._lab.kiosk.screen()))
        contains("the kiosk's screen", screen, "موقوفة")
        self._lab.kiosk.press("finish")
        yield Observation("another decides, and everyone sees it", "REST and the kiosk's screen", "موقوفة")
        objection = {
            "service": "shop_licence",
            "procedure": "uphold",
            "licence": licence,
            "applicant": APPLICANT,
            "form": {"grounds": _GROUNDS},
        }
        raised = api.post("/v1/cases", "centre", objection)["number"]
        why = {"comment": "ثبت تصحيح الوضع قبل الزيارة."}
        api.post(f"/v1/cases/{raised}/actions/approve", "reviewer", why)
        same("the status", api.get(f"/v1/verify/{licence}")["status"], "valid")
        steps = [step["outcome"] for step in api.get(f"/v1/licences/{licence}/history", "centre")["steps"]]
        same("the licence's history", steps, ["issue", "suspend", "uphold"])
        yield Observation("the holder objects and is upheld", "REST without a token", "valid again")

    def _close(self) -> Iterator[Observation]:
        lab = self._lab
        balance = self._api.get("/v1/ledger/balance", "finance")
        same("the credits", balance["credit"], balance["debit"])
        for day in sorted(self._days):
            export = lab.folder / f"ledger-{day}.csv"
            lab.rakeeza("money", "ledger", "--from", day, "--to", day, "--output", str(export))
            debit, credit = _sums(export.read_text(encoding="utf-8"))
            same("the credits of the export", credit, debit)
            yield Observation("the books balance", "Python's csv", f"{debit} SAR on each side")
            statement = lab.folder / "bank.csv"
            of = ("--ledger", str(export), "--day", day)
            lab.rakeeza("money", "reconcile", "--bank", str(statement), *of)
            wrong = lab.folder / "bank-wrong.csv"
            wrong.write_text(_a_halala_more(statement.read_text(encoding="utf-8")), encoding="utf-8")
            found = lab.rakeeza_fails("money", "reconcile", "--bank", str(wrong), *of, "--format", "csv")
            contains("what is found", found, "amounts_differ")
            agree = "engine, bank and ledger agree, and a halala off is found"
            yield Observation(agree, "rakeeza money reconcile", day)
        said = lab.rakeeza("audit", "verify", "--noted", self._seal)
        contains("the verdict", said, "The audit trail is whole.")
        yield Observation(
            "the trail is whole, and holds the seal noted before",
            "rakeeza audit verify",
            self._seal[:20] + "…",
        )

    def _issued(self, number: str) -> Any:
        case = self._api.get(f"/v1/cases/{number}", "centre")
        return case if case["state"] == "issued" else None


def _scan(words: str) -> bytes:
    """A page from a scanner, no two alike."""
    page = Image.new("L", (620, 877), 250)
    ImageDraw.Draw(page).text((60, 80), words, fill=20)
    file = io.BytesIO()
    page.save(file, "PNG")
    return file.getvalue()


def _a_halala_more(statement: str) -> str:
    head, _, last = statement.rstrip("\n").rpartition("\n")
    reference, amount, rest = last.split(",", 2)
    return f"{head}\n{reference},{Decimal(amount) + Decimal('0.01')},{rest}\n"


def _sums(export: str) -> tuple[Decimal, Decimal]:
    rows = list(csv.DictReader(io.StringIO(export)))
    debit, credit = (
        sum((Decimal(row[side] or "0") for row in rows), Decimal(0)) for side in ("debit", "credit")
    )
    return debit, credit
