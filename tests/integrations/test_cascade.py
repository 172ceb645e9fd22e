"""What hangs on a licence follows it: down every generation, back again, and against the clock of others."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text

from foundation import audit
from foundation.calendar import add_months
from foundation.database import Database
from foundation.errors import Conflict
from integrations.licences import licence as licences
from integrations.licences.licence import Licence
from tests.integrations.desk import CENTRE, Desk
from tests.integrations.licence_office import (
    FORMS,
    START,
    LicenceOffice,
    open_licence_office,
)
from tests.integrations.test_row_fees import BOARDS, SIGNS


@pytest.fixture
def office(database: Database, tmp_path: Path) -> LicenceOffice:
    return open_licence_office(database, tmp_path)


def statuses(office: LicenceOffice, *of: Licence) -> list[str]:
    return [office.read(each).status for each in of]


def test_a_suspension_reaches_grandchildren_and_its_end_restores_exactly_what_was(
    office: LicenceOffice,
) -> None:
    family = office.family()
    stall, sign, lamp = family
    before = office.standing(sign, lamp)
    office.pass_days(3)
    office.on(stall, "suspend")
    assert statuses(office, *family) == ["suspended"] * 3
    fallen = office.read(lamp)
    assert (fallen.with_parent, fallen.status_reason) == (True, sign.number)
    assert fallen.status_since == office.now[-1]
    assert office.journal("STC-2026-000002")["children"] == {"suspended": 2}
    office.pass_days(3)
    office.on(stall, "reinstate")
    assert office.standing(sign, lamp) == before
    assert office.read(stall).status_since == office.now[-1]
    kinds = [kind for kind, _ in office.events(lamp.context)]
    assert kinds == ["licence.issued", "licence.suspended", "licence.reinstated"]
    assert office.events(lamp.context)[1][1]["parent"] == sign.number
    assert [action for action, _ in office.chain(lamp)] == ["suspended", "reinstated"]
    assert office.chain(lamp)[0][1] == {
        "from": "valid",
        "to": "suspended",
        "parent": sign.number,
        "case": "STC-2026-000002",
    }


@pytest.mark.parametrize("end", ["revoke", "close", "void"])
def test_a_licence_that_ends_takes_with_it_all_that_hangs_on_it(office: LicenceOffice, end: str) -> None:
    stall, sign, lamp = office.family()
    office.on(stall, end)
    assert statuses(office, sign, lamp) == ["revoked", "revoked"]
    error = office.refused(lamp, "uphold")
    assert sign.number in error.message
    assert sign.number in error.message_ar


def test_an_objection_granted_to_the_parent_brings_its_children_back(office: LicenceOffice) -> None:
    family = office.family()
    before = office.standing(*family)
    office.pass_days(1)
    office.on(family[0], "revoke")
    office.pass_days(1)
    office.on(family[0], "uphold")
    assert office.standing(*family) == before


def test_what_was_suspended_by_itself_stays_so_when_its_parent_returns(office: LicenceOffice) -> None:
    stall, sign, lamp = office.family()
    office.on(sign, "suspend")
    before = office.standing(sign, lamp)
    office.pass_days(1)
    office.on(stall, "suspend")
    assert office.standing(sign, lamp) == before
    office.on(stall, "reinstate")
    assert office.standing(sign, lamp) == before


def test_a_child_reinstated_under_a_suspended_parent_waits_for_it(office: LicenceOffice) -> None:
    stall, sign, lamp = office.family()
    office.on(sign, "suspend")
    office.on(stall, "suspend")
    office.pass_days(1)
    waits = office.on(sign, "reinstate")
    assert (waits.status, waits.with_parent, waits.status_reason) == ("suspended", True, stall.number)
    assert "fell with the licence" in office.refused(sign, "reinstate").message
    office.on(stall, "reinstate")
    assert statuses(office, sign, lamp) == ["valid", "valid"]


def test_a_suspension_that_becomes_a_revocation_is_one_for_the_children_too(office: LicenceOffice) -> None:
    stall, sign, lamp = office.family()
    office.on(stall, "suspend")
    office.pass_days(1)
    office.on(stall, "revoke")
    assert statuses(office, sign, lamp) == ["revoked", "revoked"]
    assert office.on(stall, "uphold").status == "suspended"
    assert statuses(office, sign, lamp) == ["suspended", "suspended"]


def test_a_child_needs_a_parent_of_the_right_kind_that_stands_and_lives_long_enough(
    office: LicenceOffice,
) -> None:
    stall = office.do("stall", "issue")
    for parent in (None, office.do("sign", "issue", parent=stall.number).number):
        with pytest.raises(Conflict, match="hangs on one of stall") as caught:
            office.do("sign", "issue", parent=parent)
        assert "رخصة أصل" in caught.value.message_ar
    office.pass_days((stall.valid_to - office.day).days - 80)
    with pytest.raises(Conflict, match=r"it must hold to .* at least, \d+ days longer") as caught:
        office.do("sign", "issue", parent=stall.number)
    assert "ينقصها" in caught.value.message_ar
    office.on(office.do("stall", "issue"), "suspend")
    with pytest.raises(Conflict, match="is suspended"):
        office.do("sign", "issue", parent="STL-2027-000001")


def test_a_child_ends_with_its_parent_at_the_latest(office: LicenceOffice) -> None:
    stall, sign, lamp = office.family()
    assert sign.valid_to < stall.valid_to
    assert lamp.valid_to == sign.valid_to
    office.pass_days((lamp.valid_to - office.day).days - 3)
    assert "Renew that one first" in str(office.refused(lamp, "renew", form={"name": "x"}))
    renewed = office.on(sign, "renew", form={"name": "x"})
    assert office.on(lamp, "renew", form={"name": "x"}).valid_to == renewed.valid_to


def test_a_child_issued_while_its_parent_is_revoked_does_not_survive(
    database: Database, tmp_path: Path
) -> None:
    office = open_licence_office(database, tmp_path)
    for _ in range(6):
        stall = office.do("stall", "issue", form={**FORMS["stall"], "years": 3})
        sign = office.do("sign", "issue", parent=stall.number)
        start = threading.Barrier(3)

        def hang(service: str, parent: Licence, start: threading.Barrier = start) -> bool:
            start.wait()
            try:
                office.do(service, "issue", parent=parent.number)
            except Conflict:
                return False
            return True

        def end(stall: Licence = stall, start: threading.Barrier = start) -> bool:
            start.wait()
            return office.on(stall, "revoke").status == "revoked"

        with ThreadPoolExecutor(3) as pool:
            done = [pool.submit(hang, "sign", stall), pool.submit(hang, "lamp", sign), pool.submit(end)]
            assert done[2].result(60)
            assert {each.result(60) for each in done[:2]} <= {True, False}
    assert office.count("licence WHERE status <> 'revoked'") == 0


def test_whoever_hangs_a_licence_on_another_waits_for_who_revokes_it(office: LicenceOffice) -> None:
    stall = office.do("stall", "issue", form={**FORMS["stall"], "years": 3})
    sign = office.do("sign", "issue", parent=stall.number)
    with ThreadPoolExecutor(1) as pool:
        with office.database.transaction() as session:
            office.open(session, "stall", "revoke", licence=stall.number)
            late = pool.submit(office.do, "lamp", "issue", parent=sign.number)
            waits = text(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' "
                "AND datname = current_database()"
            )
            with office.database.engine.connect() as watcher:
                while watcher.execute(waits).scalar_one() == 0:
                    assert not late.done()
                    watcher.rollback()
        with pytest.raises(Conflict, match="is revoked"):
            late.result(60)
    assert office.count("licence") == 2


# What restores comes oftener than what ends: else most families would be dead after a few steps.
ACTS = st.sampled_from(
    [*["suspend", "reinstate", "uphold"] * 4, *["revoke"] * 2, "close", "renew", "amend", "copy"]
)


class Families(RuleBasedStateMachine):
    """One family, whatever happens to whom; kept beside a model that knows only what each did by itself."""

    office: LicenceOffice
    seen: set[str]

    @initialize()
    def found(self) -> None:
        # Each family begins on the same day: no calendar reaches as far as all of them one after another.
        self.office.now[:] = [START]
        self.family = list(self.office.family())
        self.own: list[list[str]] = [["valid"] for _ in self.family]

    @rule(which=st.integers(0, 2), act=ACTS, days=st.sampled_from([0, 1, 30]))
    def act(self, which: int, act: str, days: int) -> None:
        self.office.pass_days(days)
        form = {"renew": {"years": 1} if which == 0 else {"name": "x"}, "amend": {"name": "y"}}
        try:
            self.office.on(self.family[which], act, form=form.get(act, {}))
        except Conflict:
            return
        self.seen.add(act)
        own = self.own[which]
        if act == "reinstate":
            own[:] = ["valid"]
        elif act == "uphold":
            own.pop()
        elif act in ("suspend", "revoke", "close"):
            own.append({"suspend": "suspended", "revoke": "revoked", "close": "closed"}[act])

    @rule(which=st.integers(0, 2), fall=st.sampled_from(["suspend", "revoke"]), days=st.integers(0, 70))
    def fall_and_rise(self, which: int, fall: str, days: int) -> None:
        # Without this few would ever come back.
        self.act(which, fall, 0)
        self.act(which, "reinstate" if fall == "suspend" else "uphold", days)

    @rule(days=st.integers(1, 40))
    def hang(self, days: int) -> None:
        self.office.pass_days(days)
        try:
            child = self.office.do("lamp", "issue", parent=self.family[1].number)
        except Conflict:
            assert self.expected(1) != "valid" or self.now(1).valid_to < self.office.day
            return
        assert self.expected(1) == "valid"
        assert child.valid_to <= self.now(1).valid_to

    @invariant()
    def each_stands_as_it_and_those_above_it_let_it(self) -> None:
        for index in range(len(getattr(self, "family", []))):
            assert self.now(index).status == self.expected(index)

    @invariant()
    def no_child_outlives_its_parent(self) -> None:
        with self.office.database.transaction() as session:
            outliving = session.execute(
                text(
                    "SELECT child.number FROM licence child JOIN licence parent "
                    "ON parent.id = child.parent_id WHERE child.valid_to > parent.valid_to "
                    "OR (child.status = 'valid' AND parent.status <> 'valid')"
                )
            )
            assert list(outliving.scalars()) == []

    def now(self, index: int) -> Licence:
        return self.office.read(self.family[index])

    def expected(self, index: int) -> str:
        worst = {"valid": 0, "suspended": 1, "revoked": 2, "closed": 2}
        above = [self.own[each][-1] for each in range(index)]
        own = self.own[index][-1]
        if worst[own] == 2:
            return own
        shared = max([worst[each] for each in above], default=0)
        return ["valid", "suspended", "revoked"][max(shared, worst[own])]


def test_no_order_of_acts_leaves_a_licence_better_than_what_it_hangs_on(office: LicenceOffice) -> None:
    class Lived(Families):
        pass

    Lived.office, Lived.seen = office, set()
    run_state_machine_as_test(
        Lived,
        settings=settings(
            max_examples=20,
            stateful_step_count=15,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
    assert {"suspend", "revoke", "uphold", "reinstate"} <= Lived.seen
    with office.database.transaction() as session:
        assert audit.verify(session) == []


def test_children_are_found_and_locked_parents_first(office: LicenceOffice) -> None:
    stall, sign, lamp = office.family()
    second = office.do("sign", "issue", parent=stall.number)
    with office.database.transaction() as session:
        below = licences.descendants(session, stall)
        assert [each.id for each in below] == [sign.id, second.id, lamp.id]
        assert [each.id for each in licences.children(session, stall)] == [sign.id, second.id]


def test_a_parent_with_just_enough_time_on_the_day_of_the_application_is_enough(desk: Desk) -> None:
    # Paid a day later it has a day too little: who applied in time loses nothing by what came after.
    _, shop = desk.issued()
    end = date.fromisoformat(desk.licensing.licences.licence(shop)["valid_to"])
    last = next(
        day
        for day in (end - timedelta(days=back) for back in range(200))
        if add_months(day, 3) - timedelta(days=1) <= end
    )
    form = {**SIGNS, "boards": BOARDS}
    desk.later(days=(last - desk.now[-1].date()).days + 1)
    with pytest.raises(Conflict, match="1 days longer"):
        desk.submit(form, service="sign_permit", parent=shop)
    desk.later(days=-1)
    number = desk.submit(form, service="sign_permit", parent=shop)
    desk.do.quote(CENTRE, number)
    bill = desk.do.invoice(CENTRE, number).body
    desk.later(days=1)
    assert desk.pay(bill["bill_number"], bill["amount"], "ref-sign")["outcome"] == "settled"
    permit = desk.licensing.licences.licence(str(desk.case(number)["licence"]))
    assert (permit["status"], permit["valid_to"] <= end.isoformat()) == ("valid", True)
