"""The municipality's status lists: they say how every credential stands, and never go back."""

import threading
import zlib
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import base45  # type: ignore[import-untyped] # it ships no types
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation.database import Database
from foundation.wire.credential import PREFIX, KeySet, Signer, SigningKey, StatusReference, read_claims, seal
from foundation.wire.paper_certificates import PaperCertificates
from foundation.wire.status_list import ENTRIES, StatusList, StatusLists, StatusValue, open_list
from foundation.wire.verification import Answer, verify
from integrations.licences import status_lists as lists
from integrations.licences.licence import Licence, versions
from lab.credential_vectors import unpacked
from tests.integrations.desk import Desk
from tests.integrations.face import Face
from tests.integrations.licence_office import LicenceOffice, open_licence_office

pytest_plugins = ["tests.integrations.face_fixtures"]

LIFE, TTL = timedelta(days=7), timedelta(hours=12)


@pytest.fixture
def office(database: Database, tmp_path: Path) -> LicenceOffice:
    return open_licence_office(database, tmp_path)


def publisher(office: LicenceOffice, key: SigningKey | None = None) -> lists.StatusLists:
    signing = office.key if key is None else key
    return lists.StatusLists(
        office.database, lambda _: signing.municipality, lambda *_: signing, lambda: office.now[-1], LIFE, TTL
    )


def published(office: LicenceOffice, number: int = 0, key: SigningKey | None = None) -> StatusList:
    with office.database.transaction() as session:
        found = publisher(office).token(session, number)
    assert found is not None
    assert found.token is not None
    keys = office.keys() if key is None else KeySet([key.public])
    content = open_list(found.token, keys, found.uri)
    assert (content.version, content.issued_at) == (found.version, found.made_at)
    return content


def value_of(office: LicenceOffice, licence: Licence) -> StatusValue | None:
    place = read_claims(licence.credential).status
    assert place is not None
    return published(office).value(place.index)


def test_what_an_act_makes_of_a_licence_is_in_the_next_list(office: LicenceOffice) -> None:
    made = publisher(office)
    stall, other = office.do("stall", "issue"), office.do("stall", "issue")
    assert made.rebuild() == 1
    assert (value_of(office, stall), value_of(office, other)) == (0, 0)
    for act, value in (("suspend", 2), ("reinstate", 0), ("revoke", 1), ("uphold", 0), ("close", 1)):
        office.on(stall, act)
        assert made.rebuild() == 1
        assert (value_of(office, stall), value_of(office, other)) == (value, 0)
    office.on(other, "void")
    made.rebuild()
    assert value_of(office, other) is StatusValue.REVOKED


def test_a_newer_version_and_a_copy_replace_the_credential_before(office: LicenceOffice) -> None:
    made = publisher(office)
    stall = office.do("stall", "issue")
    copy = office.on(stall, "copy")
    second = office.on(stall, "copy")
    made.rebuild()
    assert [value_of(office, each) for each in (stall, copy, second)] == [3, 3, 0]
    amended = office.on(stall, "amend", form={"name": "بسطة"})
    made.rebuild()
    assert [value_of(office, each) for each in (stall, copy, second, amended)] == [3, 3, 3, 0]
    office.on(stall, "suspend")
    made.rebuild()
    assert [value_of(office, each) for each in (stall, second, amended)] == [3, 3, 2]
    office.on(stall, "revoke")
    made.rebuild()
    assert {value_of(office, each) for each in (stall, copy, second, amended)} == {StatusValue.REVOKED}


def test_what_hangs_on_a_licence_falls_and_rises_with_it_in_the_list(office: LicenceOffice) -> None:
    made = publisher(office)
    stall, sign, lamp = office.family()
    office.on(stall, "suspend")
    made.rebuild()
    assert [value_of(office, each) for each in (stall, sign, lamp)] == [2, 2, 2]
    office.on(stall, "reinstate")
    made.rebuild()
    assert [value_of(office, each) for each in (stall, sign, lamp)] == [0, 0, 0]


def test_a_verifier_without_a_network_tells_a_suspended_licence(office: LicenceOffice) -> None:
    stall = office.do("stall", "issue")
    made = publisher(office)
    made.rebuild()

    def answer() -> Answer:
        return verify(
            stall.credential, office.keys(), StatusLists([published(office)]), office.now[-1]
        ).answer

    assert answer() is Answer.VALID
    office.on(stall, "suspend")
    assert answer() is Answer.VALID
    made.rebuild()
    assert answer() is Answer.SUSPENDED


def test_without_a_change_nothing_is_published_until_half_its_time(office: LicenceOffice) -> None:
    made = publisher(office)
    stall = office.do("stall", "issue")
    made.rebuild()
    first = published(office)
    assert made.rebuild() == 0
    # A further licence changes no list: its place says valid already.
    office.do("stall", "issue")
    office.on(stall, "suspend")
    office.on(stall, "reinstate")
    assert made.rebuild() == 0
    assert published(office) == first
    office.now.append(first.issued_at + TTL / 2 - timedelta(seconds=1))
    assert made.rebuild() == 0
    office.now.append(first.issued_at + TTL / 2)
    assert made.rebuild() == 1
    assert published(office).version == first.version + 1
    assert published(office).expires_at == office.now[-1] + LIFE


def test_a_list_renewed_for_its_age_is_right_again_whatever_was_missed(office: LicenceOffice) -> None:
    made = publisher(office)
    stall = office.do("stall", "issue")
    made.rebuild()
    with office.database.transaction() as session:
        session.execute(text("UPDATE licence SET status = 'revoked'"))
    assert made.rebuild() == 0
    office.now.append(office.now[-1] + TTL)
    assert made.rebuild() == 1
    assert value_of(office, stall) is StatusValue.REVOKED


def test_a_new_key_signs_the_lists_anew_at_once(office: LicenceOffice) -> None:
    office.do("stall", "issue")
    publisher(office).rebuild()
    other = SigningKey.generate("sample")
    assert publisher(office, key=other).rebuild() == 1
    assert published(office, key=other).version == 2
    assert publisher(office, key=other).rebuild() == 0


def test_a_clock_that_was_set_back_makes_no_older_list(office: LicenceOffice) -> None:
    stall = office.do("stall", "issue")
    publisher(office).rebuild()
    first = published(office)
    office.on(stall, "suspend")
    office.now.append(office.now[-1] - timedelta(hours=2))
    publisher(office).rebuild()
    second = published(office)
    assert (second.version, second.issued_at) == (2, first.issued_at)
    StatusLists([first]).hold(second)


def test_a_clock_that_ran_wild_does_not_keep_every_list_after_it_in_the_future(office: LicenceOffice) -> None:
    stall = office.do("stall", "issue")
    right = office.now[-1]
    office.now.append(right + timedelta(days=2_000))
    publisher(office).rebuild()
    wild = published(office)
    office.now.append(right)
    # At once, though nothing changed: until then no verifier can judge by it.
    assert publisher(office).rebuild() == 1
    healed = published(office)
    assert (healed.version, healed.issued_at) == (wild.version + 1, right.replace(microsecond=0))
    verifier = StatusLists([wild])
    verifier.hold(healed, now=right)
    assert verify(stall.credential, office.keys(), verifier, right).answer is Answer.VALID
    assert publisher(office).rebuild() == 0


def test_a_list_is_signed_by_the_key_of_the_moment_that_it_says(office: LicenceOffice) -> None:
    asked: list[datetime] = []
    made = publisher(office)

    def signer(session: Session, at: datetime) -> Signer:
        asked.append(at)
        return made.signer(session, at)

    stall = office.do("stall", "issue")
    made.rebuild()
    office.on(stall, "suspend")
    # Set back behind a rotation, the clock of this machine must not bring the old key back.
    office.now.append(office.now[-1] - timedelta(hours=2))
    assert replace(made, signer=signer).rebuild() == 1
    assert set(asked) == {published(office).issued_at}


def test_a_change_that_is_not_committed_yet_is_neither_lost_nor_waited_for(office: LicenceOffice) -> None:
    stall, other = office.do("stall", "issue"), office.do("stall", "issue")
    made = publisher(office)
    made.rebuild()
    with office.database.transaction() as open_one:
        open_one.execute(text("UPDATE licence SET status = 'revoked' WHERE id = :id"), {"id": stall.id})
        open_one.execute(text("INSERT INTO status_change (licence_id) VALUES (:id)"), {"id": stall.id})
        office.on(other, "suspend")
        assert made.rebuild() == 1
        assert (value_of(office, stall), value_of(office, other)) == (0, 2)
    assert made.rebuild() == 1
    assert (value_of(office, stall), value_of(office, other)) == (1, 2)
    assert office.count("status_change") == 0


def test_rounds_at_once_publish_every_change_and_count_up(office: LicenceOffice) -> None:
    stalls = [office.do("stall", "issue") for _ in range(4)]
    seen: list[tuple[int, Any]] = []
    made, stop = publisher(office), threading.Event()
    made.rebuild()

    def rounds() -> None:
        while not stop.is_set():
            made.rebuild()

    workers = [threading.Thread(target=rounds) for _ in range(3)]
    for worker in workers:
        worker.start()
    try:
        for _ in range(3):
            for stall in stalls:
                office.on(stall, "suspend")
                content = published(office)
                seen.append((content.version, content.issued_at))
                office.on(stall, "reinstate")
        for stall in stalls[:2]:
            office.on(stall, "revoke")
    finally:
        stop.set()
        for worker in workers:
            worker.join()
    made.rebuild()
    assert [value_of(office, stall) for stall in stalls] == [1, 1, 0, 0]
    assert seen == sorted(seen)
    with office.database.transaction() as session:
        assert made._read_all(session, 0) == bytearray(published(office).packed)


def test_while_another_round_is_at_work_this_one_leaves_it_to_it(office: LicenceOffice) -> None:
    stall = office.do("stall", "issue")
    made = publisher(office)
    made.rebuild()
    office.on(stall, "suspend")
    with office.database.transaction() as session:
        session.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": lists._LOCK})
        assert made.rebuild() == 0
    assert made.rebuild() == 1


def test_a_place_beyond_a_list_begins_the_next(office: LicenceOffice) -> None:
    with office.database.transaction() as session:
        session.execute(text("SELECT setval('licence_status_index', :last)"), {"last": ENTRIES - 2})
    last, first = office.do("stall", "issue"), office.do("stall", "issue")
    assert [read_claims(each.credential).status for each in (last, first)] == [
        StatusReference(ENTRIES - 1, "/v1/status-lists/0"),
        StatusReference(0, "/v1/status-lists/1"),
    ]
    office.on(first, "suspend")
    assert publisher(office).rebuild() == 2
    assert published(office, 0).value(ENTRIES - 1) is StatusValue.VALID
    assert published(office, 1).value(0) is StatusValue.SUSPENDED


def test_a_list_keeps_its_name_when_the_platform_moves(office: LicenceOffice) -> None:
    with office.database.transaction() as session:
        first = lists.new_place(session, "https://old.example.gov.sa/")
        second = lists.new_place(session, "https://new.example.gov.sa")
    assert first.reference.uri == second.reference.uri == "https://old.example.gov.sa/v1/status-lists/0"
    assert second.index == first.index + 1


def test_a_place_that_was_rolled_back_is_given_to_nobody(office: LicenceOffice) -> None:
    with office.database.transaction() as session:
        lost = lists.new_place(session, None)
        session.rollback()
    place = read_claims(office.do("stall", "issue").credential).status
    assert place == StatusReference(lost.index + 1, "/v1/status-lists/0")


def test_each_credential_has_a_place_of_its_own(office: LicenceOffice) -> None:
    stall = office.do("stall", "issue")
    office.on(stall, "copy")
    office.on(stall, "amend", form={"name": "بسطة"})
    with office.database.transaction() as session:
        kept = versions(session, stall)
    told = [read_claims(each.credential).status for each in kept if each.credential is not None]
    assert [place.index for place in told if place] == [each.status_index for each in kept]
    assert len(set(told)) == 3


def test_the_lists_are_served_with_type_tag_and_time_to_keep(api: Face, desk: Desk) -> None:
    assert api.get(None, "/.well-known/rakeeza-status.json")["lists"] == []
    assert api.call(None, "GET", "/v1/status-lists/0").status_code == 404
    _, number = desk.issued()
    assert desk.licensing.licences.lists.rebuild() == 1
    (head,) = api.get(None, "/.well-known/rakeeza-status.json")["lists"]
    answer = api.call(None, "GET", head["path"])
    assert answer.headers["content-type"] == "application/statuslist+cwt"
    assert answer.headers["cache-control"] == "public, max-age=43200"
    keys = KeySet.from_json(api.call(None, "GET", "/.well-known/rakeeza-keys.json").text)
    content = open_list(answer.content, keys, head["uri"])
    assert (content.version, len(answer.content)) == (head["version"], head["size"])
    tag = answer.headers["etag"]
    for asked in (tag, f'"x", {tag}', f"W/{tag}"):
        again = api.call(None, "GET", head["path"], If_None_Match=asked)
        assert (again.status_code, again.content) == (304, b"")
    other = api.call(None, "GET", head["path"], If_None_Match='"0-99"')
    assert other.status_code == 200
    code = api.get(None, f"/v1/verify/{number}")
    assert code["answer"] == "valid"


def test_a_code_is_verified_online_by_the_register_itself(api: Face, desk: Desk) -> None:
    _, number = desk.issued()
    licence = desk.licensing.licences.licence(number)["credential"]

    def told(code: str) -> dict[str, Any]:
        return dict(api.get(None, f"/v1/verify?{urlencode({'code': code})}"))

    # No round was made: this is how it stands now.
    assert (told(licence)["answer"], told(licence)["licence"]["number"]) == ("valid", number)
    assert told(licence)["list"]["age_seconds"] == 0
    desk.issued({}, "ref-2", procedure="copy", licence=number)
    assert told(licence)["answer"] == "replaced"
    assert told(licence[:-2])["answer"] == "damaged"
    assert told("hello")["answer"] == "not_ours"
    # Packed otherwise, it is the same code.
    again = PREFIX + base45.b45encode(zlib.compress(unpacked(licence), 0)).decode()
    assert again != licence
    assert told(again)["answer"] == "replaced"
    stranger = seal(read_claims(licence), SigningKey.generate(read_claims(licence).municipality))
    assert told(stranger)["answer"] == "unknown_key"
    # Whoever has the key can sign what he likes; the register knows what it issued.
    with desk.licensing.desk.database.transaction() as session:
        stolen = desk.licensing.desk.office.keys.signer(session, read_claims(licence).issued_at)
    for change in ({"number": "SL-2026-999999"}, {"valid_to": date(2099, 1, 1)}, {"status": None}):
        forged: dict[str, Any] = change
        assert told(seal(replace(read_claims(licence), **forged), stolen))["answer"] == "not_registered"
    assert api.call(None, "GET", "/v1/verify").status_code == 422


def test_the_certificates_of_papers_are_served_to_anyone(api: Face, desk: Desk) -> None:
    path = "/.well-known/rakeeza-certificates.json"
    assert api.get(None, path) == {"certificates": []}
    certificate = desk.licensing.licences.papers.keys.current().certificate
    answer = api.call(None, "GET", path)
    assert answer.headers["access-control-allow-origin"] == "*"
    (published,) = PaperCertificates.from_json(answer.text)
    assert published == certificate
