"""The state machine: lives of cases of every definition, in any order that anybody can think of."""

import copy
import threading
import uuid
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import permutations
from random import Random
from typing import ClassVar, get_args

from hypothesis import event, target
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from foundation.errors import IdempotencyMismatch
from foundation.idempotency import Answer
from integrations.procedure import Outcome as Outcomes
from tests.integrations.machine import checks, ops
from tests.integrations.machine.choices import Chooser
from tests.integrations.machine.forms import Writer
from tests.integrations.machine.office import Office
from tests.integrations.machine.ops import Op, Outcome
from tests.integrations.machine.profiles import Edge
from tests.integrations.machine.terms import taker
from tests.integrations.machine.world import World

OPENS = datetime(2026, 11, 22, 7, 0, tzinfo=UTC)
# So many that each is as likely as every other: of a larger span small numbers come oftener.
SEEDS = st.integers(0, 2**24 - 1)
# Steps that take any case to its end: four parties answer, documents are handed in, it is billed and paid.
LONG = 18
_KINDS = ("national_id", "national_id", "iqama", "unified_number", "border_number")


class Lives(RuleBasedStateMachine):
    """One life: some people, their cases and licences, and everybody who works on them.

    What is chosen is chosen by one seed a step, so that a step draws the same whatever came of those before:
    two threads may end either way.

    `wanted` are steps that some cases are led to: each a service, a flow, an action and the state it leaves.
    """

    office: ClassVar[Office]
    seen: ClassVar[Counter[str]]
    wanted: ClassVar[tuple[Edge, ...]] = ()
    whole = False

    @initialize(seed=SEEDS)
    def begin(self, seed: int) -> None:
        """People who were never seen before."""
        # Of no seed: a life that is lived again must not meet the people and payments of the first.
        self.born = seed
        self.prefix = uuid.uuid4().hex
        fresh = Random(self.prefix)
        self.mark = "Mark" + "".join(fresh.choices("abcdefghijklmnopqrstuvwxyz", k=10)) + "."
        self.world = World()
        self.people = [Writer(fresh, self.mark).person(kind) for kind in _KINDS]
        self.told: dict[tuple[str, str], dict[str, object]] = {}
        self.done: list[tuple[Op, str, Answer]] = []
        self.keys = 0
        self.started = datetime.now(UTC)
        self.first_job = self.office.rows("SELECT coalesce(max(id), 0) AS n FROM procrastinate_jobs")[0]["n"]
        rng = Random(seed)
        self.office.begin(OPENS + timedelta(hours=rng.randrange(24 * 400)))
        self.whole = True
        # A town has licences already, and some of its people act by agents.
        if rng.random() < 0.5:
            self.do(self.chooser(seed).delegate(whole=True))
        for number in range(rng.randrange(4)):
            self.apply_and_drive(self.chooser(seed + number), ("issue",), LONG, 0.95)

    @rule(seed=SEEDS)
    def somebody_applies(self, seed: int) -> None:
        """Rightly."""
        self.do(self.chooser(seed).open_right())

    @rule(seed=SEEDS)
    def somebody_applies_wrongly(self, seed: int) -> None:
        """For what is not his, in a form that is not right, at a desk that does not do it."""
        self.do(self.chooser(seed).open_wrong())

    @rule(seed=SEEDS)
    def a_case_lives_on(self, seed: int) -> None:
        """As far as it goes, by whoever may."""
        self.go_far(seed, 3)

    @rule(seed=SEEDS)
    def a_case_lives_to_its_end(self, seed: int) -> None:
        """A new one."""
        self.apply_and_drive(self.chooser(seed), (), LONG, 0.7)

    @rule(seed=SEEDS)
    def the_office_decides_on_a_licence(self, seed: int) -> None:
        """Or its holder does."""
        outcomes = get_args(Outcomes)
        self.apply_and_drive(
            self.chooser(seed), tuple(each for each in outcomes if each != "issue"), LONG, 0.85
        )

    @rule(seed=SEEDS)
    def a_new_case_goes_astray(self, seed: int) -> None:
        """Somewhere on its way: it is sent back, withdrawn, rejected, or left until its time is over."""
        chooser = self.chooser(seed)
        outcomes = get_args(Outcomes)
        some = () if chooser.rng.random() < 0.5 else tuple(each for each in outcomes if each != "issue")
        number = self.apply_and_drive(chooser, some, chooser.rng.randrange(8), 1.0)
        case = self.world.cases[number] if number is not None else None
        if case is None or case.final:
            return
        if case.timer_at is not None and chooser.rng.random() < 0.5:
            self.office.now.append(max(self.office.at, case.timer_at))
            self.do(ops.time_passed(self.office))
        else:
            chooser.world = self.world
            self.do(chooser.go_on(case.number, astray=True))

    @rule(seed=SEEDS)
    def a_case_is_led_to_a_step(self, seed: int) -> None:
        """That is wanted: to the state that it leaves, by the shortest way, and through it."""
        chooser = self.chooser(seed)
        if not self.wanted:
            return
        service, flow, action, start = chooser.rng.choice(self.wanted)
        op = chooser.open_right(flow=(service, flow))
        if op is None:
            # It may be for an agent alone, and nobody was let act.
            self.do(chooser.delegate(whole=True))
            chooser.world = self.world
            op = chooser.open_right(flow=(service, flow))
        if op is None:
            # It needs a licence that is not there: one of its own service, or one to hang on.
            above = self.office.terms[service].content.get("parent", {}).get("service", service)
            self.apply_and_drive(chooser, ("issue",), LONG, 1.0, above)
            chooser.world = self.world
            op = chooser.open_right(flow=(service, flow))
        if op is None or not isinstance(self.do(op), Answer):
            return
        number = [*self.world.cases][-1]
        for _ in range(LONG):
            chooser.world, case = self.world, self.world.cases[number]
            if case.final or action in case.done:
                return
            timed = [a for a in case.terms.leaving(case.procedure, case.state) if taker(a) == "timed"]
            if case.state == start and any(a["name"] == action for a in timed) and case.timer_at is not None:
                self.office.now.append(max(self.office.at, case.timer_at))
                self.do(ops.time_passed(self.office))
            elif case.state == start:
                self.do(chooser.exactly(case, action))
            else:
                self.do(chooser.go_on(number, 1.0, goal=start))

    @rule(seed=SEEDS)
    def an_open_case_lives_to_its_end(self, seed: int) -> None:
        """Any."""
        self.go_far(seed, LONG)

    @rule(seed=SEEDS)
    def anybody_does_anything(self, seed: int) -> None:
        """To any case, also to one that is over."""
        chooser = self.chooser(seed)
        if number := self.pick(chooser.rng, any_=True):
            self.do(chooser.act(number))

    @rule(seed=SEEDS)
    def anybody_hands_anything_in(self, seed: int) -> None:
        """A document, or what is none."""
        chooser = self.chooser(seed)
        if number := self.pick(chooser.rng, any_=True):
            self.do(chooser.document(self.world.cases[number]))

    @rule(seed=SEEDS)
    def somebody_pays_oddly(self, seed: int) -> None:
        """Too much, too little, twice, late, or for nothing."""
        self.do(self.chooser(seed).pay_oddly())

    @rule(seed=SEEDS)
    def finance_works(self, seed: int) -> None:
        """On what waits and on refunds."""
        chooser = self.chooser(seed)
        for _ in range(3):
            self.do(chooser.money())

    @rule(seed=SEEDS)
    def an_owner_delegates(self, seed: int) -> None:
        """Or takes it back."""
        chooser = self.chooser(seed)
        self.do(chooser.end_delegation() if chooser.rng.random() < 0.2 else chooser.delegate())

    @rule(hours=st.sampled_from([1, 5, 24, 72, 24 * 7, 24 * 31, 24 * 61]))
    def time_goes_on(self, hours: int) -> None:
        """By itself: nobody looks at deadlines yet."""
        self.office.now.append(self.office.at + timedelta(hours=hours))

    @rule()
    def the_clock_is_set_back(self) -> None:
        """By a day."""
        event("clock set back")
        self.office.now.append(self.office.at - timedelta(days=1))

    @rule()
    def the_worker_looks_at_deadlines(self) -> None:
        """Now."""
        self.do(ops.time_passed(self.office))

    @rule(seed=SEEDS, late=st.sampled_from([-1, 0, 1]))
    def a_deadline_comes(self, seed: int, late: int) -> None:
        """To the second before it, to it, or past it."""
        timers = [each.timer_at for each in self.world.cases.values() if each.timer_at is not None]
        if timers:
            moment = Random(seed).choice(sorted(timers))
            self.office.now.append(max(self.office.at, moment + timedelta(seconds=late)))
            self.do(ops.time_passed(self.office))

    @rule(seed=SEEDS, days=st.sampled_from([-60, -30, 0, 1, 61]))
    def a_licence_nears_its_end(self, seed: int, days: int) -> None:
        """Or is past it."""
        ends = [each.valid_to for each in self.world.licences.values()]
        if ends:
            day = Random(seed).choice(sorted(ends)) + timedelta(days=days)
            moment = datetime(day.year, day.month, day.day, 6, tzinfo=UTC)
            if moment < self.office.at + timedelta(days=500):
                self.office.now.append(max(self.office.at, moment))

    @rule(seed=SEEDS)
    def a_request_is_repeated(self, seed: int) -> None:
        """The same key gets the same answer, the same key with another request none."""
        if not self.done:
            return
        op, key, answer = Random(seed).choice(self.done)
        again = op.run(key)
        assert isinstance(again, Answer), f"{op.name} repeated: {again}"
        assert (again.status, again.body, again.replayed) == (answer.status, answer.body, True), op.name
        self.tell("repeated")
        if op.differently is not None:
            try:
                op.differently(key)
            except IdempotencyMismatch:
                self.tell("key with another request")
            else:
                raise AssertionError(f"{op.name}: a key was taken for another request")
        self.look()

    @rule(seed=SEEDS)
    def two_act_at_once(self, seed: int) -> None:
        """On one case or two; what comes of it is what comes of one after the other."""
        chooser = self.chooser(seed)
        first = self.pick(chooser.rng)
        if first is None:
            return
        second = first if chooser.rng.random() < 0.8 else self.pick(chooser.rng) or first
        pair = [op for number in (first, second) if (op := chooser.go_on(number)) is not None]
        # The back-ends that obey us say one thing at a time.
        if len(pair) == 2 and sum(op.name.startswith(("answer", "retry")) for op in pair) < 2:
            self.do_both(pair)

    def teardown(self) -> None:
        """What must hold at the end of each life."""
        # Of a life that broke off, the step that broke it is told and not what followed.
        if not self.whole:
            return
        # Chance alone may leave this out of all lives of a short run.
        self.a_request_is_repeated(self.born)
        checks.nothing_forbidden(self.office, self.world)
        checks.journals_are(self.office, self.world)
        checks.checklists_are(self.office, self.world)
        checks.nothing_personal(self.office, self.world, self.people, self.mark, self.started, self.first_job)
        checks.parties_are_told_nothing_personal(self.office, self.world, self.people)
        checks.answers_are_kept(self.office, self.told)
        ended = [each for each in self.world.cases.values() if each.final]
        target(float(len({(each.terms.code, each.procedure, each.state) for each in ended})), label="ends")

    def do(self, op: Op | None) -> Outcome | None:
        """Do one thing, and compare it with the model."""
        if op is None:
            return None
        key, self.whole = self.key(), False
        outcome = op.run(key)
        judged = ops.judge(op, outcome, self.world, self.office)
        self.world = judged.world
        self.keep(op, key, outcome)
        for name in judged.happened:
            self.tell(name)
        self.look()
        self.whole = True
        return outcome

    def do_both(self, pair: list[Op]) -> None:
        """Do two things at one moment, and find an order that explains them."""
        keys, barrier = [self.key(), self.key()], threading.Barrier(2)

        def run(index: int) -> Outcome:
            barrier.wait()
            return pair[index].run(keys[index])

        with ThreadPoolExecutor(2) as pool:
            outcomes = list(pool.map(run, range(2)))
        self.whole = False
        self.settle(pair, outcomes)
        self.whole = True
        for op, key, outcome in zip(pair, keys, outcomes, strict=True):
            self.keep(op, key, outcome)
        self.tell("two at once: " + " and ".join(sorted(type(outcome).__name__ for outcome in outcomes)))

    def settle(self, pair: list[Op], outcomes: list[Outcome]) -> None:
        """Take over the world of the order that explains what two actions came to."""
        against = []
        for order in permutations(range(2)):
            world = copy.deepcopy(self.world)
            try:
                for index in order:
                    world = ops.judge(pair[index], outcomes[index], world, self.office).world
                self.compare(world)
            except AssertionError as wrong:
                against.append(str(wrong))
                continue
            self.world = world
            return
        raise AssertionError(f"no order explains {[op.name for op in pair]} -> {outcomes}: {against}")

    def keep(self, op: Op, key: str, outcome: Outcome) -> None:
        """Remember what was told under a key."""
        if isinstance(outcome, Answer) and op.caller.kind != "system":
            self.told[op.caller.actor, key] = outcome.body
            self.done.append((op, key, outcome))

    def look(self) -> None:
        """Compare the tables with the model."""
        self.compare(self.world)

    def compare(self, world: World) -> None:
        """Raises AssertionError where a world is not what the tables say."""
        for check in (checks.cases_are, checks.licences_are, checks.money_is):
            look: Callable[[Office, World], None] = check
            look(self.office, world)

    def go_far(self, seed: int, most: int) -> None:
        """Let some open case go on."""
        chooser = self.chooser(seed)
        number = self.pick(chooser.rng)
        if number is not None:
            self.drive(chooser, number, most)

    def apply_and_drive(
        self,
        chooser: Chooser,
        outcomes: tuple[str, ...],
        most: int,
        straight: float,
        service: str | None = None,
    ) -> str | None:
        """Open a case, and let it go on; its number."""
        op = chooser.open_right(*outcomes, service=service)
        if op is None or not isinstance(self.do(op), Answer):
            return None
        number = [*self.world.cases][-1]
        self.drive(chooser, number, most, straight)
        return number

    def drive(self, chooser: Chooser, number: str, most: int, straight: float = 0.7) -> None:
        """Let a case go on as far as somebody can move it."""
        for _ in range(most):
            chooser.world = self.world
            if self.world.cases[number].final or self.do(chooser.go_on(number, straight)) is None:
                return

    def pick(self, rng: Random, any_: bool = False) -> str | None:
        """A case; an open one."""
        found = [number for number, case in self.world.cases.items() if any_ or not case.final]
        return rng.choice(found) if found else None

    def chooser(self, seed: int) -> Chooser:
        """Who chooses in this step."""
        # Mixed with the life and how far it has come: hypothesis likes to draw one seed again and again.
        rng = Random(f"{self.born}-{seed}-{self.keys}")
        return Chooser(self.office, self.world, rng, self.mark, self.people, self.key)

    def key(self) -> str:
        """A key that nobody used."""
        self.keys += 1
        return f"{self.prefix}-{self.keys}"

    def tell(self, name: str) -> None:
        """Count what happened."""
        self.seen[name] += 1
        event(name)
