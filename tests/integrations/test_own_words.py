"""A service that keeps nobody's own words: whole lives, then everything that was kept, opened and read."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from foundation.database import Database
from foundation.errors import Conflict, InvalidInput, RakeezaError
from foundation.identity import Caller
from integrations.service import load_services
from tests.integrations.definition_texts import HEALTH, refused
from tests.integrations.desk import (
    AUDITOR,
    CENTRE,
    PNG,
    REVIEWED,
    REVIEWER,
    SUPERVISOR,
    Desk,
    message,
    new_key,
    open_desk,
)
from tests.integrations.health_card_paths import (
    CARD,
    EXAMINED,
    EXAMINER,
    FORM,
    FORMS,
    ISSUE,
    PAID,
    PATHS,
    PATHS_ON_A_CARD,
    PATHS_ON_A_REVOKED_CARD,
    PATHS_WITH_CENTRE,
    WITH_CENTRE,
)
from tests.integrations.paths import Path as Way
from tests.integrations.paths import Walker, caller_of

MEDICAL = "السكري"
"""Said everywhere that somebody could say something."""
SAID = f"تبيّن في تحليل الدم أن لديه {MEDICAL}."
EDUCATOR = caller_of(["educator"])
EVERYBODY = (CENTRE, REVIEWER, EXAMINER, EDUCATOR, SUPERVISOR)


class Talkative(Walker):
    """Goes paths, and on each step first tries to say something medical wherever anybody could."""

    def go(self, number: str, steps: Any) -> None:
        for step in steps:
            self.talk(number)
            super().go(number, [step])
        self.talk(number)

    def talk(self, number: str) -> None:
        for caller in EVERYBODY:
            for attempt in self.attempts(caller, number):
                with pytest.raises(RakeezaError):
                    attempt()
            self.call_a_file_so(caller, number)

    def attempts(self, caller: Caller, number: str) -> Iterator[Callable[[], object]]:
        """Ways to say something; each is refused."""
        desk, case = self.desk, self.desk.case(number)
        flow = self.service.flow_of(case["procedure"])
        yield partial(desk.licensing.inbox.comment, caller, number, SAID, new_key())
        for action in flow.actions:
            if action.from_ and action.taker == "role" and action.effect != "settle":
                take = partial(desk.do.take, caller, number, action.name)
                yield partial(take, comment=SAID)
                yield partial(take, form={"notes": SAID})
                yield partial(take, form={"profession": SAID})

    def call_a_file_so(self, caller: Caller, number: str) -> None:
        """Hand in whatever is still taken, under a name that tells something."""
        for code in [each.code for each in self.service.documents]:
            with suppress(RakeezaError):
                self.desk.licensing.files.put(caller, number, code, f"{SAID}.png", PNG, new_key())


@pytest.fixture
def desk(database: Database, tmp_path: Path) -> Desk:
    return open_desk(database, tmp_path)


def kept(desk: Desk) -> Iterator[str]:
    """All that the database holds: every table as it lies there, and of every case what is sealed, opened."""
    tables = text("SELECT tablename FROM pg_tables WHERE schemaname = current_schema()")
    with desk.database.transaction() as session:
        for table in session.scalars(tables).all():
            yield from session.scalars(text(f'SELECT row_to_json(t)::text FROM "{table}" t'))
        numbers = session.scalars(text("SELECT number FROM case_file")).all()
    for number in numbers:
        for read in (desk.case, lambda n: desk.licensing.files.list(AUDITOR, n)):
            yield json.dumps(read(number), ensure_ascii=False, default=str)
        yield json.dumps(desk.licensing.inbox.comments(AUDITOR, number), ensure_ascii=False)


def live(desk: Desk, form: dict[str, Any], ways: list[Way], before: tuple[Way, ...] = ()) -> None:
    """Go some paths, each on a card of its own where it needs one."""
    walker = Talkative(desk, CARD, {**FORMS, "issue": form})
    quiet = Walker(desk, CARD, {**FORMS, "issue": form})
    for way in ways:
        on_none = CARD.procedures[way[0]].outcome == "issue"
        card = None if on_none else quiet.issued(ISSUE)
        for each in before:
            quiet.follow(each, card)
        walker.follow(way, card)


@pytest.mark.parametrize(
    ("form", "ways", "before"),
    [
        (FORM, [ISSUE, *[way for way in PATHS if way[1].endswith(("unfit", "reject", "confirm lapse"))]], ()),
        (WITH_CENTRE, PATHS_WITH_CENTRE[1:2], ()),
        (FORM, [way for way in PATHS_ON_A_CARD if way[0] in ("amend", "cancel", "revoke")], ()),
        (FORM, PATHS_ON_A_REVOKED_CARD, (("revoke", "propose decide"),)),
    ],
)
def test_after_whole_lives_the_database_opened_holds_no_word_that_anybody_tried_to_say(
    desk: Desk, form: dict[str, Any], ways: list[Way], before: tuple[Way, ...]
) -> None:
    live(desk, form, ways, before)
    assert [row for row in kept(desk) if MEDICAL in row] == []


def test_the_same_reading_finds_what_another_service_kept(desk: Desk) -> None:
    number = desk.submit(REVIEWED)
    desk.licensing.inbox.comment(REVIEWER, number, SAID, new_key())
    desk.licensing.files.put(CENTRE, number, "shopfront_photo", f"{MEDICAL}.png", PNG, new_key())
    found = [row for row in kept(desk) if MEDICAL in row]
    # A file's name and a comment, opened; as they lie in the tables, neither.
    assert len(found) == 2


def test_a_document_comes_only_while_a_step_will_look_at_it_and_has_its_own_name(desk: Desk) -> None:
    walker = Walker(desk, CARD, FORMS)
    number = walker.ask("issue")
    desk.licensing.files.put(CENTRE, number, "photo", "تقرير طبي.png", PNG, new_key())
    (photo,) = [each for each in desk.licensing.files.list(AUDITOR, number) if each["present"]]
    assert photo["document"]["name"] == "photo.png"
    walker.go(number, ["confirm"])
    for caller in (EXAMINER, CENTRE):
        with pytest.raises(Conflict, match="takes no such document as it stands"):
            desk.do.put(caller, number, "photo")
    assert desk.count("case_document") == 1


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (
            ("        roles: examiner\n        comment: none\n", "        roles: examiner\n"),
            "needs reasons, or comment: none",
        ),
        (
            ("    max_mb: 2\n", "    max_mb: 2\n    required: false\n"),
            "takes no document that no step needs",
        ),
        (
            (
                "  - name: cancelled_for\n",
                "  - {name: notes, label: {ar: ملاحظات, en: Notes}, type: text, max_length: 90, example: x}\n"
                "  - name: cancelled_for\n",
            ),
            "'notes' needs a pattern",
        ),
        (
            (
                "        comment: required\n        reasons:\n          no_card",
                "        comment: none\n        reasons:\n          no_card",
            ),
            "no reason is chosen",
        ),
    ],
)
def test_a_definition_without_own_words_has_no_room_for_them(
    tmp_path: Path, change: tuple[str, str], reason: str
) -> None:
    asked = [("form: cancelled_for\n", "form: [cancelled_for, notes]\n")] if "notes" in reason else []
    error = refused(tmp_path, HEALTH, change, *asked)
    assert any(reason in field.detail for field in error.fields)


def test_a_payment_and_an_application_carry_no_words(desk: Desk) -> None:
    with pytest.raises(InvalidInput):
        desk.do.submit(CENTRE, {**message(FORM, "health_card"), "comment": SAID})
    number = Walker(desk, CARD, FORMS).issued(("issue", f"{EXAMINED} {PAID}"))
    assert number.startswith("HL-")


def test_where_a_service_says_nothing_of_it_a_case_that_nobody_moves_may_be_spoken_of() -> None:
    closing = load_services(()).get("advertising_licence").flows["closing"]
    assert [state for state in closing.states if closing.is_silent(state)] == []
    assert CARD.flows["examined"].is_silent("medical")
