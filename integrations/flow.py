"""The flow of a procedure: states, the actions between them, and what happens when nobody acts in time."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, model_validator

from foundation.definitions import Strict
from integrations.cases.conditions import CheckAnswer, Condition
from integrations.form import Name, Names, Text, Words, one_or_more

Effect = Literal["quote", "invoice", "settle", "void_bill", "fulfil"]
Taker = Literal["role", "automatic", "timed"]


class Deadline(Strict):
    """How long a case may stay in a state, and what happens then.

    Args:
        working_days: until the end of that working day; the day of entry does not count.
        hours: of the clock.
        periods: in their place: until the last period of the parties that the state asks is over.
        then: action that the clock takes; it is one marked `timed`.
        escalate: role that is shown the case from then on; the case stays where it is.
    """

    working_days: int | None = Field(None, ge=1, le=365)
    hours: int | None = Field(None, ge=1, le=8_760)
    periods: Literal["last"] | None = None
    then: Name | None = None
    escalate: Name | None = None

    @model_validator(mode="after")
    def _one(self) -> "Deadline":
        if sum(each is not None for each in (self.working_days, self.hours, self.periods)) != 1:
            raise ValueError("a deadline is exactly one of working_days, hours and periods")
        if (self.then is None) == (self.escalate is None):
            raise ValueError("a deadline says what happens: either then or escalate")
        return self


class State(Strict):
    """A state of a case.

    Args:
        title: how people read it.
        final: left by no action.
        applicant: it is the applicant's turn; the time promised to him stands still.
        deadline: how long a case may stay.
        checks: questions to back-ends and parties that are asked on entering it.
    """

    title: Text
    final: bool = False
    applicant: bool = False
    deadline: Deadline | None = None
    checks: Names = ()


class Action(Strict):
    """A step from one state to the next.

    Args:
        from_: states it starts from; the one action without them opens a case.
        roles: who may take it. An automatic action has none and is taken as soon as it can be; a timed one
            has none and is taken by the clock.
        when: taken only if this holds.
        effect: what it does beside the change of state.
        answers: what a party answers with it, by the name of the check. An answer may be given again as long
            as a state allows the action; taken by itself it answers for who is not concerned.
        comment: whether whoever takes it has to say why; with "none" nothing may be said.
        reasons: what may be said with it, by code: a comment is one of these codes, and nothing else is kept.
        edits: fields of the form that may be sent changed with it; "*" is all that the procedure asks for.
        complete: the checklist of documents must be complete.
        four_eyes: not by who opened the case.
        extends: checks whose parties get more time with it, as often as their period allows.
    """

    name: Name
    title: Text
    from_: Names = Field((), alias="from")
    to: Name
    roles: Names = ()
    automatic: bool = False
    timed: bool = False
    when: Condition | None = None
    effect: Effect | None = None
    answers: dict[Name, CheckAnswer] | None = Field(None, min_length=1)
    comment: Literal["optional", "required", "none"] = "optional"
    reasons: dict[Name, Text] | None = Field(None, min_length=1)
    edits: Words = ()
    complete: bool = False
    four_eyes: bool = False
    # None and not empty: the content of a definition without the key stays what it was.
    extends: Annotated[tuple[Name, ...] | None, BeforeValidator(one_or_more)] = Field(None, min_length=1)

    @property
    def taker(self) -> Taker:
        """Who takes it: a caller with a role, the engine, or the clock."""
        if self.automatic:
            return "automatic"
        return "timed" if self.timed else "role"

    @property
    def takes_own_words(self) -> bool:
        """Whether whoever takes it may say something in words of his own."""
        # An application and a payment have none beside their fields.
        said = bool(self.from_) and self.taker == "role" and self.effect != "settle"
        return said and self.comment != "none" and self.reasons is None


class Flow(Strict):
    """States and the actions between them; several procedures may follow one flow."""

    states: dict[Name, State] = Field(min_length=2)
    actions: tuple[Action, ...] = Field(min_length=1)

    def is_silent(self, state: str) -> bool:
        """Whether nothing may be said of a case in a state: no step of a person from it takes own words."""
        # A payment has none either.
        taken = [a for a in self.actions if state in a.from_ and a.taker == "role" and a.effect != "settle"]
        return bool(taken) and not any(action.takes_own_words for action in taken)

    @property
    def opening(self) -> Action:
        """The action that opens a case."""
        return next(action for action in self.actions if not action.from_)
