"""What a retired key signed is signed anew: all that may hold, and once."""

import random
import string
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from foundation.database import Database
from foundation.errors import Conflict
from foundation.wire import qr_reader
from foundation.wire.credential import read_claims
from foundation.wire.status_list import StatusValue
from foundation.wire.verification import Answer
from integrations.licences.reissue import Progress, Stage, look_again
from tests.integrations.licence_office import open_licence_office
from tests.integrations.reissue_town import Town, town_of


@pytest.fixture
def town(database: Database, tmp_path: Path) -> Town:
    return town_of(open_licence_office(database, tmp_path))


def test_what_may_hold_gets_a_paper_of_the_present_key_and_nothing_else_does(town: Town) -> None:
    office = town.office
    valid, suspended, revoked, closed, renewed, copied = town.issued(6)
    expired = office.do("stall", "issue", form={"name": "بسطة", "years": 1})
    office.on(suspended, "suspend")
    office.on(revoked, "revoke")
    office.on(closed, "close")
    office.on(copied, "copy")
    with office.database.transaction() as session:
        session.execute(
            text("UPDATE licence SET valid_from = :day - 9, valid_to = :day - 1 WHERE id = :id"),
            {"day": office.day, "id": expired.id},
        )
    key = town.stolen()
    later = office.on(renewed, "amend", form={"name": "اسم جديد"})
    after = office.do("stall", "issue")
    assert town.answer(valid) is Answer.REVOKED_KEY
    town.finish()
    told = {
        name: (len(town.made(each)), town.answer(each))
        for name, each in {
            "valid": valid,
            "suspended": suspended,
            "revoked": revoked,
            "copied": copied,
            "closed": closed,
            "expired": expired,
            "renewed": renewed,
            "after": after,
        }.items()
    }
    assert told == {
        "valid": (2, Answer.VALID),
        "suspended": (3, Answer.SUSPENDED),
        # Who was revoked may be granted his objection.
        "revoked": (3, Answer.REVOKED),
        "copied": (3, Answer.VALID),
        "closed": (2, Answer.REVOKED_KEY),
        "expired": (1, Answer.REVOKED_KEY),
        "renewed": (2, Answer.VALID),
        "after": (1, Answer.VALID),
    }
    assert office.read(renewed).credential == later.credential
    assert office.read(after).credential == after.credential
    assert town.progress(key) == Progress(Stage.ENDED, 4, 0)


def test_the_new_paper_says_what_the_old_one_said(town: Town) -> None:
    (licence,) = town.issued()
    town.work_off()
    key = town.stolen()
    town.finish()
    again = town.office.read(licence)
    before, now = read_claims(licence.credential), read_claims(again.credential)
    assert now == replace(before, issued_at=now.issued_at, status=now.status)
    assert now.issued_at > before.issued_at
    assert now.status != before.status
    assert again == replace(licence, version=2, credential=again.credential)
    assert town.made(licence) == [(1, "issue"), (2, "reissue")]
    with town.office.database.transaction() as session:
        papers = [town.office.desk.papers.read(session, again, version, 0) for version in (1, 2)]
    assert [qr_reader.read(paper) for paper in papers] == [[licence.credential], [again.credential]]
    (told,) = [event for event in town.office.events(licence.context) if event[0] == "licence.reissued"]
    assert told[1] == {
        "number": licence.number,
        "service": "stall",
        "version": 2,
        "valid_from": licence.valid_from.isoformat(),
        "valid_to": licence.valid_to.isoformat(),
        "status": "valid",
        "key": key.kid,
    }
    action, details = town.office.chain(licence)[-1]
    assert (action, details["in_place_of"], details["version"]) == ("reissued", key.kid, 2)


def test_the_list_calls_the_old_paper_replaced(town: Town) -> None:
    (licence,) = town.issued()
    town.stolen()
    town.finish()
    lists = town.office.desk.lists
    with town.office.database.transaction() as session:
        old = lists.standing(session, read_claims(licence.credential))
        new = lists.standing(session, read_claims(town.office.read(licence).credential))
    assert old is not None
    assert new is not None
    assert (old.value, new.value) == (StatusValue.REPLACED, StatusValue.VALID)
    # And whoever has the keys refuses it for its key, whatever list he has.
    assert town.answer(licence, licence.credential) is Answer.REVOKED_KEY


def test_a_licence_signed_anew_lives_on_like_any_other(town: Town) -> None:
    stall, sign, lamp = town.office.family()
    town.stolen()
    town.finish()
    copied = town.office.on(town.office.read(stall), "copy")
    assert (copied.version, copied.copies) == (2, 1)
    assert town.answer(stall) is Answer.VALID
    town.office.on(stall, "suspend")
    assert [town.office.read(each).status for each in (sign, lamp)] == ["suspended", "suspended"]
    town.office.on(stall, "reinstate")
    assert [town.answer(each) for each in (stall, sign, lamp)] == [Answer.VALID] * 3


def test_done_twice_is_done_once(town: Town) -> None:
    licences = town.issued(3)
    key = town.stolen()
    town.finish()
    before = [town.made(each) for each in licences]
    for _ in range(3):
        town.finish()
    assert town.steps() == []
    with town.office.database.transaction() as session:
        look_again(session, key, actor="cli/tester", at=town.office.now[-1])
        # While it is under way, nothing is begun anew.
        look_again(session, key, actor="cli/tester", at=town.office.now[-1])
    assert town.progress(key).stage is Stage.WAITS
    town.finish()
    assert [town.made(each) for each in licences] == before == [[(1, "issue"), (2, "reissue")]] * 3
    assert town.progress(key) == Progress(Stage.ENDED, 3, 0)
    assert town.office.count("licence_document") == 6


def test_a_key_that_is_not_retired_asks_for_nothing(town: Town) -> None:
    town.issued(2)
    key = town.next_key()
    town.finish()
    assert town.steps("succeeded") == []
    with pytest.raises(Conflict, match="is not retired"):
        town.progress(key)


def test_what_was_signed_while_the_key_was_retired_is_found_afterwards(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    early, *_ = town.issued(3)
    key = town.stolen()
    town.reissue.follow()
    town.step()
    assert town.answer(early) is Answer.VALID
    town.later(timedelta(seconds=1))
    with monkeypatch.context() as patch:
        # Another process, which had read the table just before.
        patch.setattr(town.ring, "signer", lambda *_: town.office.key)
        town.office.on(early, "amend", form={"name": "اسم جديد"})
    assert town.answer(early) is Answer.REVOKED_KEY
    assert town.progress(key) == Progress(Stage.RUNS, 3, 0)
    town.finish()
    assert town.answer(early) is Answer.VALID
    assert town.made(early) == [(1, "issue"), (2, "reissue"), (3, "amend"), (4, "reissue")]
    assert town.progress(key) == Progress(Stage.ENDED, 4, 0)


def test_one_licence_that_cannot_be_signed_holds_up_no_other(town: Town) -> None:
    # By chance: what repeats, packs well.
    chance = random.Random(7)
    letters = [chr(code) for code in (*range(0xC0, 0x17F), *range(0x620, 0x6D0))]
    (first,) = town.issued()
    long = town.office.do(
        "stall", "issue", form={"name": "".join(chance.choices(letters, k=165)), "years": 1}
    )
    (last,) = town.issued()
    longer = "https://" + "".join(chance.choices(string.ascii_letters, k=250))
    key = town.stolen()
    with town.office.database.transaction() as session:
        (uri,) = session.execute(text("SELECT uri FROM status_list")).scalars()
        session.execute(text("UPDATE status_list SET uri = :uri"), {"uri": longer})
    town.finish()
    assert [town.answer(each) for each in (first, long, last)] == [
        Answer.VALID,
        Answer.REVOKED_KEY,
        Answer.VALID,
    ]
    assert town.progress(key) == Progress(Stage.ENDED, 2, 1)
    # Mended, it is done by another look.
    with town.office.database.transaction() as session:
        session.execute(text("UPDATE status_list SET uri = :uri"), {"uri": uri})
        look_again(session, key, actor="cli/tester", at=town.office.now[-1])
    town.finish()
    assert town.answer(long) is Answer.VALID
    assert town.progress(key) == Progress(Stage.ENDED, 3, 0)


def test_a_holder_who_was_erased_gets_no_paper(town: Town) -> None:
    (licence,) = town.issued()
    key = town.stolen()
    with town.office.database.transaction() as session:
        session.execute(text("UPDATE licence SET personal = NULL"))
    town.finish()
    assert town.made(licence) == [(1, "issue")]
    assert town.progress(key) == Progress(Stage.ENDED, 0, 0)
