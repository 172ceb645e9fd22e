"""Lives of shop-licence cases, in any order that callers of any role can think of."""

from decimal import Decimal

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    multiple,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from foundation.errors import Conflict, NotFound, PermissionDenied
from foundation.identity import Caller
from tests.integrations.desk import BANK, CENTRE, FORM, KIOSK, REVIEWED, REVIEWER, Desk, message, new_key

CALLERS = st.sampled_from([CENTRE, BANK, REVIEWER, KIOSK])
# Who may take what from where: the shop licence in a few words, written apart from its definition. "own" is
# whoever opened the case.
ALLOWED = {
    ("quote", "submitted"): ("quoted", "own"),
    ("quote", "approved"): ("quoted", "own"),
    ("invoice", "quoted"): ("invoiced", "own"),
    ("approve", "under_review"): ("approved", "reviewer"),
    ("reject", "under_review"): ("rejected", "reviewer"),
    ("send_back", "under_review"): ("returned", "reviewer"),
    ("resubmit", "returned"): ("under_review", "own"),
    ("withdraw", "submitted"): ("withdrawn", "own"),
    ("withdraw", "returned"): ("withdrawn", "own"),
    ("withdraw", "approved"): ("withdrawn", "own"),
    ("withdraw", "quoted"): ("withdrawn", "own"),
    ("withdraw_billed", "invoiced"): ("withdrawn", "own"),
}
ACTIONS = st.sampled_from(sorted({action for action, _ in ALLOWED}))
DOCUMENTS = ("lease_or_deed", "shopfront_photo", "building_permit", "safety_report")

# Cases whose licence does not stand, alone, on one settled bill and payments of exactly its amount.
_WRONG = text(
    """
    SELECT file.number FROM case_file AS file
    WHERE (file.state = 'issued') <> (file.licence_id IS NOT NULL)
       OR (SELECT count(*) FROM licence_version AS version
           WHERE version.case_id = file.id AND version.licence_id = file.licence_id)
          <> (file.state = 'issued')::int
       OR (SELECT count(*) FROM case_invoice AS bill
           WHERE bill.case_id = file.id AND bill.state = 'settled'
             AND bill.amount = (SELECT sum(payment.credited) FROM case_payment AS payment
                                WHERE payment.invoice_id = bill.id))
          <> (file.state = 'issued')::int
    """
)


class Lives(RuleBasedStateMachine):
    desk: Desk
    seen: set[str]
    cases: Bundle[str] = Bundle("cases")

    def __init__(self) -> None:
        super().__init__()
        self.states: dict[str, str] = {}
        self.owners: dict[str, Caller] = {}
        self.complete: set[str] = set()
        self.bills: dict[str, str] = {}
        self.rest: dict[str, Decimal] = {}

    @rule(target=cases, form=st.sampled_from([FORM, REVIEWED]), caller=CALLERS)
    def submit(self, form: dict[str, object], caller: Caller) -> str | MultipleResults[str]:
        try:
            answer = self.desk.do.submit(caller, message(form))
        except PermissionDenied:
            assert caller not in (CENTRE, KIOSK)
            return multiple()
        number = str(answer.body["number"])
        self.states[number] = "submitted" if form is FORM else "under_review"
        self.owners[number] = caller
        return number

    @rule(number=cases)
    def hand_in(self, number: str) -> None:
        if self.states[number] == "under_review" and number not in self.complete:
            for code in DOCUMENTS:
                self.desk.do.put(self.owners[number], number, code)
            self.complete.add(number)

    @rule(number=cases, verdict=st.sampled_from(["approve", "approve", "reject", "send_back"]))
    def go_on(self, number: str, verdict: str) -> None:
        # Whoever may does what comes next; without this few cases would come to their end.
        state = self.states[number]
        if state == "invoiced":
            self.pay(number, 0, BANK)
        elif state == "under_review":
            self.hand_in(number)
        for action in ("quote", "invoice", "resubmit", verdict):
            if (action, state) in ALLOWED:
                self.act(number, action, self.who(number, action, state))

    @rule(number=cases, action=ACTIONS, caller=CALLERS)
    def act(self, number: str, action: str, caller: Caller) -> None:
        state = self.states[number]
        goes = ALLOWED.get((action, state), (None, None))[0]
        mine = goes is not None and caller is self.who(number, action, state)
        may = mine and (action != "approve" or number in self.complete)
        write = self.desk.do
        try:
            if action == "invoice":
                bill = write.invoice(caller, number).body
                self.bills[number], self.rest[number] = bill["bill_number"], Decimal(bill["amount"])
            else:
                write.take(caller, number, action, comment="اكتملت الدراسة.")
        except (PermissionDenied, NotFound, Conflict):
            assert not may
            return
        assert may
        assert goes is not None
        self.states[number] = goes

    @rule(number=cases, halalas=st.sampled_from([-1, 0, 0, 1]), caller=CALLERS)
    def pay(self, number: str, halalas: int, caller: Caller) -> None:
        amount = self.rest.get(number, Decimal(0)) + Decimal(halalas).scaleb(-2)
        if number not in self.bills or amount <= 0:
            return
        try:
            answer = self.desk.pay_as(caller, self.bills[number], amount, new_key())
        except PermissionDenied:
            assert caller is not BANK
            return
        assert caller is BANK
        if self.states[number] == "issued":
            assert answer["outcome"] == "surplus"
        elif self.states[number] == "withdrawn":
            assert answer["outcome"] == "held"
        elif halalas < 0:
            assert answer["outcome"] == "partial"
            self.rest[number] -= amount
        else:
            assert answer["outcome"] == ("over" if halalas else "settled")
            self.states[number] = "issued"
        self.seen.add(answer["outcome"])

    def who(self, number: str, action: str, state: str) -> Caller:
        return REVIEWER if ALLOWED[action, state][1] == "reviewer" else self.owners[number]

    def teardown(self) -> None:
        for number, state in self.states.items():
            assert self.desk.state(number) == state
            self.seen.add(state)
        with self.desk.database.transaction() as session:
            assert list(session.execute(_WRONG).scalars()) == []


def test_no_order_of_actions_loses_money_or_issues_without_it(desk: Desk) -> None:
    class Lived(Lives):
        pass

    Lived.desk, Lived.seen = desk, set()
    run_state_machine_as_test(
        Lived,
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
    # The lives were not all short ones.
    assert {"issued", "rejected", "settled"} <= Lived.seen
    assert desk.breaks() == []
