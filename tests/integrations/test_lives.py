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

from foundation import audit
from foundation.errors import Conflict, NotFound, PermissionDenied
from foundation.identity import Caller
from tests.integrations.desk import APPLICANT, BANK, CENTRE, FORM, KIOSK, REVIEWED, REVIEWER, Desk, new_key

CALLERS = st.sampled_from([CENTRE, BANK, REVIEWER, KIOSK])
ACTIONS = st.sampled_from(["quote", "invoice", "approve", "reject"])
# Who may take what from where: the shop licence in a few words, written apart from its definition.
ALLOWED = {
    ("quote", "submitted"): ("quoted", CENTRE),
    ("quote", "approved"): ("quoted", CENTRE),
    ("invoice", "quoted"): ("invoiced", CENTRE),
    ("approve", "under_review"): ("approved", REVIEWER),
    ("reject", "under_review"): ("rejected", REVIEWER),
}

# Cases whose licence does not stand, alone, on one settled bill and one payment of exactly its amount.
_WRONG = text(
    """
    SELECT file.number FROM case_file AS file
    LEFT JOIN licence ON licence.case_id = file.id
    LEFT JOIN case_invoice AS bill ON bill.case_id = file.id AND bill.state = 'settled'
    LEFT JOIN case_payment AS payment ON payment.bill_number = bill.bill_number
        AND payment.outcome = 'settled' AND payment.amount = bill.amount
    GROUP BY file.id
    HAVING count(DISTINCT licence.id) <> count(payment.id)
        OR count(DISTINCT licence.id) <> (file.state = 'issued')::int
    """
)


class Lives(RuleBasedStateMachine):
    desk: Desk
    seen: set[str]
    cases: Bundle[str] = Bundle("cases")

    def __init__(self) -> None:
        super().__init__()
        self.states: dict[str, str] = {}
        self.bills: dict[str, tuple[str, Decimal]] = {}

    @rule(target=cases, form=st.sampled_from([FORM, REVIEWED]), caller=CALLERS)
    def submit(self, form: dict[str, object], caller: Caller) -> str | MultipleResults[str]:
        try:
            answer = self.desk.do.submit(caller, "shop_licence", APPLICANT, form)
        except PermissionDenied:
            assert caller is not CENTRE
            return multiple()
        assert caller is CENTRE
        number = str(answer.body["number"])
        self.states[number] = "submitted" if form is FORM else "under_review"
        return number

    @rule(number=cases, verdict=st.sampled_from(["approve", "approve", "reject"]))
    def go_on(self, number: str, verdict: str) -> None:
        # Whoever may does what comes next; without this few cases would come to their end.
        state = self.states[number]
        if state == "invoiced":
            self.pay(number, 0, BANK)
        for action in ("quote", "invoice", verdict):
            if (action, state) in ALLOWED:
                self.act(number, action, ALLOWED[action, state][1])

    @rule(number=cases, action=ACTIONS, caller=CALLERS)
    def act(self, number: str, action: str, caller: Caller) -> None:
        goes, who = ALLOWED.get((action, self.states[number]), (None, None))
        write = self.desk.do
        try:
            if action == "quote":
                write.quote(caller, number)
            elif action == "invoice":
                bill = write.invoice(caller, number).body
                self.bills[number] = (bill["bill_number"], Decimal(bill["amount"]))
            else:
                write.decide(caller, number, action)
        except (PermissionDenied, NotFound, Conflict):
            assert goes is None or caller is not who
            return
        assert goes is not None
        assert caller is who
        self.states[number] = goes

    @rule(number=cases, halalas=st.sampled_from([-1, 0, 1]), caller=CALLERS)
    def pay(self, number: str, halalas: int, caller: Caller) -> None:
        if number not in self.bills:
            return
        bill, amount = self.bills[number]
        try:
            answer = self.desk.pay_as(caller, bill, amount + Decimal(halalas).scaleb(-2), new_key())
        except PermissionDenied:
            assert caller is not BANK
            return
        assert caller is BANK
        if self.states[number] == "issued":
            assert answer["outcome"] == "surplus"
        elif halalas == 0:
            assert answer["outcome"] == "settled"
            self.states[number] = "issued"
        else:
            assert answer["outcome"] == ("over" if halalas > 0 else "partial")
        self.seen.add(answer["outcome"])

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
    with desk.database.transaction() as session:
        assert audit.verify(session) == []
