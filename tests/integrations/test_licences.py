"""Licences in themselves: how long they hold, what fits into their code, what may be asked of them."""

import random
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from foundation.calendar import LAST_DATE, HijriDate, hijri
from foundation.database import Database
from foundation.definitions import Bilingual, parse_yaml
from foundation.errors import Conflict, InvalidInput, NotFound, TooLarge
from foundation.wire.credential import MAX_CHARACTERS, LicenceClaims, SigningKey, seal
from integrations.licences.sealing import check_fits, most_characters
from integrations.licences.validity import issued, last_day, renewed
from integrations.procedure import Validity
from integrations.service import Service
from tests.integrations.licence_office import (
    AUDITOR,
    BUYER,
    CENTRE,
    KEEPER,
    OTHER_CENTRE,
    OWNER,
    REVIEWER,
    LicenceOffice,
    definition,
    open_licence_office,
)

KEY = SigningKey.generate("sample")
DAY = timedelta(days=1)
DAYS = st.dates(date(2024, 1, 1), date(2072, 1, 1))
CALENDARS = st.sampled_from(["gregorian", "umm_al_qura"])


@pytest.fixture
def office(database: Database, tmp_path: Path) -> LicenceOffice:
    return open_licence_office(database, tmp_path)


def validity(**words: Any) -> Validity:
    return Validity.model_validate(words)


def _in(day: date, calendar: str) -> date | HijriDate:
    return day if calendar == "gregorian" else hijri(day)


@pytest.mark.parametrize(
    ("rule", "first", "last"),
    [
        ({"years": 1, "calendar": "gregorian"}, date(2026, 11, 22), date(2027, 11, 21)),
        ({"years": 1, "calendar": "gregorian"}, date(2028, 2, 29), date(2029, 2, 27)),
        ({"years": 4, "calendar": "gregorian"}, date(2028, 2, 29), date(2032, 2, 28)),
        ({"months": 1, "calendar": "gregorian"}, date(2027, 1, 31), date(2027, 2, 27)),
        ({"days": 90, "calendar": "umm_al_qura"}, date(2026, 11, 22), date(2027, 2, 19)),
        # 30 Muharram 1435 has no anniversary in 1436, where the month has 29 days.
        (
            {"years": 1, "calendar": "umm_al_qura"},
            HijriDate(1435, 1, 30).gregorian(),
            HijriDate(1436, 1, 28).gregorian(),
        ),
        # Three Hijri years are 33 days less than three Gregorian ones.
        ({"years": 3, "calendar": "umm_al_qura"}, date(2026, 11, 22), HijriDate(1451, 6, 11).gregorian()),
        # The health card of a season ends on a fixed day; on that day itself it is a licence of one day.
        (
            {"fixed_end": {"month": 1, "day": 15}, "calendar": "umm_al_qura"},
            HijriDate(1448, 1, 16).gregorian(),
            HijriDate(1449, 1, 15).gregorian(),
        ),
        (
            {"fixed_end": {"month": 1, "day": 15}, "calendar": "umm_al_qura"},
            HijriDate(1448, 1, 15).gregorian(),
            HijriDate(1448, 1, 15).gregorian(),
        ),
        (
            {"fixed_end": {"month": 2, "day": 31}, "calendar": "gregorian"},
            date(2027, 1, 1),
            date(2027, 2, 28),
        ),
    ],
)
def test_the_last_day_is_the_eve_of_the_anniversary_in_the_named_calendar(
    rule: dict[str, Any], first: date, last: date
) -> None:
    assert last_day(validity(**rule), {}, first) == last


def test_the_table_ends_with_1500_and_no_licence_goes_beyond(office: LicenceOffice) -> None:
    edge = HijriDate(1499, 12, 29).gregorian()
    assert hijri(last_day(validity(years=1, calendar="umm_al_qura"), {}, edge)) == HijriDate(1500, 12, 28)
    for rule in (
        {"years": 1, "calendar": "umm_al_qura"},
        {"years": 1, "calendar": "gregorian"},
        {"months": 12, "calendar": "umm_al_qura"},
        {"days": 3_000_000, "calendar": "gregorian"},
        {"fixed_end": {"month": 1, "day": 1}, "calendar": "umm_al_qura"},
    ):
        with pytest.raises(InvalidInput, match="Umm al-Qura"):
            last_day(validity(**rule), {}, LAST_DATE - timedelta(days=20))
    assert office.count("licence") == 0


@given(first=DAYS, length=st.integers(1, 5), calendar=CALENDARS, unit=st.sampled_from(["years", "months"]))
def test_more_time_never_ends_earlier_and_a_later_start_neither(
    first: date, length: int, calendar: str, unit: str
) -> None:
    rule = validity(**{unit: length, "calendar": calendar})
    longer = validity(**{unit: length + 1, "calendar": calendar})
    end = last_day(rule, {}, first)
    assert end >= first
    assert last_day(longer, {}, first) > end
    assert last_day(rule, {}, first + DAY) >= end


@given(first=DAYS, month=st.integers(1, 12), day=st.integers(1, 30), calendar=CALENDARS)
def test_a_fixed_end_is_the_next_of_its_days_and_at_most_a_year_away(
    first: date, month: int, day: int, calendar: str
) -> None:
    end = last_day(validity(fixed_end={"month": month, "day": day}, calendar=calendar), {}, first)
    assert timedelta(0) <= end - first <= timedelta(days=366)
    here, after = ((each.month, each.day) for each in (_in(end, calendar), _in(end + DAY, calendar)))
    # That day, or the month's last one where the month is too short for it.
    assert here == (month, day) or (here[0] == month and here[1] < day and after[1] == 1)


@given(
    first=st.dates(date(2024, 1, 1), date(2060, 1, 1)),
    lengths=st.lists(st.integers(1, 3), min_size=1, max_size=5),
    calendar=CALENDARS,
)
def test_renewals_in_a_row_leave_no_gap_and_no_day_twice(
    first: date, lengths: list[int], calendar: str
) -> None:
    rule = validity(years="years", calendar=calendar)
    start, covered = first, 0
    for length in lengths:
        end = last_day(rule, {"years": length}, start)
        covered += (end - start).days + 1
        start = end + DAY
    assert covered == (start - first).days


CLAIMS = LicenceClaims(
    number="SL-9999-847301965",
    service="shop_licence",
    title=Bilingual(ar="رخصة محل تجاري", en="Shop licence"),
    municipality="sample",
    valid_from=date(2026, 11, 22),
    valid_to=date(2027, 11, 21),
    issued_at=datetime(2026, 11, 22, 9, 30, tzinfo=UTC),
)
TEXTS = st.text(
    st.characters(min_codepoint=0x20, max_codepoint=0x6FF, exclude_categories=("Cs", "Cc")), max_size=160
)
PUBLIC = st.dictionaries(st.from_regex(r"[a-z][a-z_]{1,20}", fullmatch=True), TEXTS, max_size=8)


def length(claims: LicenceClaims) -> int:
    """Characters of the credential, however long it is."""
    try:
        return len(seal(claims, KEY))
    except TooLarge as error:
        return int(str(error).split("credential has ")[1].split()[0])


@settings(max_examples=200, deadline=None)
@given(PUBLIC)
def test_what_is_reckoned_to_fit_without_a_signature_fits_with_every_signature(
    public: dict[str, str],
) -> None:
    claims = replace(CLAIMS, public=public)
    assert length(claims) <= most_characters(claims)


def test_what_passes_at_the_counter_is_never_refused_at_the_issue() -> None:
    source = random.Random(3)
    letters = [chr(code) for code in (*range(0xC0, 0x17F), *range(0x620, 0x6D0))]
    passed, refused = 0, 0
    for size in range(120, 330, 2):
        name = "".join(source.choices(letters, k=size // 2)) + "محل الندى للتجارة " * 3
        claims = replace(
            CLAIMS, public={"name": name, "street": "".join(source.choices(letters, k=size // 2))}
        )
        try:
            check_fits(claims, KEY)
        except InvalidInput:
            refused += 1
            # It is refused for what it is, and not for a bound that is far too wide.
            assert length(claims) > MAX_CHARACTERS - 60
            continue
        passed += 1
        for number in range(6):
            later = replace(
                claims,
                number=f"SL-2026-{source.randrange(10**6):06}",
                issued_at=CLAIMS.issued_at + timedelta(hours=number, seconds=source.randrange(10**6)),
            )
            assert length(later) <= MAX_CHARACTERS
    assert passed > 10
    assert refused > 10


def test_a_usual_licence_is_judged_without_a_signature() -> None:
    fields = ("trade_name", "activity", "district", "street", "building_number")
    claims = replace(CLAIMS, public=dict.fromkeys(fields, "مخبز الندى للحلويات"))
    assert most_characters(claims) <= MAX_CHARACTERS


def test_a_childs_period_never_leaves_its_parents() -> None:
    written = definition("sign", "SG", "parent: {service: stall}\n", "{months: 6, calendar: gregorian}")
    service = parse_yaml(written, "test.yaml", Service)
    free = service.model_copy(
        update={"parent": service.parent and service.parent.model_copy(update={"ends_with_parent": False})}
    )
    day = date(2026, 11, 22)

    class _Parent:
        number, valid_to = "STL-2026-000001", date(2027, 1, 1)

    parent: Any = _Parent()
    assert issued(service, {}, day, parent).last == date(2027, 1, 1)
    assert issued(free, {}, day, parent).last == date(2027, 5, 21)
    parent.valid_to = day - DAY
    with pytest.raises(Conflict, match="ends on 2026-11-21"):
        issued(service, {}, day, parent)


def test_anyone_is_told_how_a_licence_stands_and_since_when_and_nothing_of_a_person(
    office: LicenceOffice,
) -> None:
    stall = office.do("stall", "issue")
    desk = office.desk
    assert desk.verify(stall.number)["since"] == "2026-11-22"
    office.on(stall, "amend", form={"name": "بسطة الورد"})
    office.pass_days(2)
    office.on(stall, "suspend")
    for told in (desk.verify(stall.number), desk.licence(stall.number)):
        assert (told["status"], told["since"], told["version"]) == ("suspended", "2026-11-24", 2)
        assert told["status_title"]["ar"] == "موقوفة"
        for secret in (OWNER["name"], OWNER["identifier"], KEEPER):
            assert secret not in str(told)
    assert {
        "number",
        "service",
        "status",
        "title",
        "municipality",
        "valid_from",
        "valid_to",
        "lines",
        "credential",
    } <= desk.licence(stall.number).keys()
    office.on(stall, "reinstate")
    office.pass_days(400)
    told = desk.verify(stall.number)
    assert (told["status"], told["since"]) == ("expired", (stall.valid_to + DAY).isoformat())
    for number in ("STL-2026-999999", "no number"):
        with pytest.raises(NotFound):
            desk.verify(number)


def test_history_tells_each_case_each_change_and_what_hangs_on_it(office: LicenceOffice) -> None:
    stall, sign, _ = office.family()
    office.on(stall, "copy")
    office.on(stall, "suspend")
    told = office.desk.history(CENTRE, stall.number)
    assert [(step["outcome"], step["version"], step["copy"], step["status"]) for step in told["steps"]] == [
        ("issue", 1, 0, "valid"),
        ("copy", 1, 1, "valid"),
        ("suspend", 1, 1, "suspended"),
    ]
    assert told["steps"][1]["case"] == "STC-2026-000002"
    assert [entry["action"] for entry in told["entries"]] == ["suspended"]
    assert [(child["number"], child["status"], child["with_parent"]) for child in told["children"]] == [
        (sign.number, "suspended", True)
    ]
    assert office.desk.history(REVIEWER, sign.number)["parent"] == stall.number
    assert office.desk.children(AUDITOR, stall.number)["items"] == told["children"]
    assert OWNER["name"] not in str(told)


def test_a_centre_sees_the_licences_it_acted_for_and_loses_sight_with_the_holder(
    office: LicenceOffice,
) -> None:
    stall = office.do("stall", "issue")
    for look in (office.desk.history, office.desk.children, office.desk.document):
        with pytest.raises(NotFound, match=stall.number):
            look(OTHER_CENTRE, stall.number)
    office.on(stall, "transfer", form={"new_holder": BUYER}, caller=OTHER_CENTRE)
    with pytest.raises(NotFound, match=stall.number):
        office.desk.history(CENTRE, stall.number)
    assert office.desk.history(OTHER_CENTRE, stall.number)["version"] == 2


def test_a_licence_whose_holder_was_erased_gets_no_paper_and_no_new_version(office: LicenceOffice) -> None:
    stall = office.do("stall", "issue")
    office.on(stall, "copy")
    with office.database.transaction() as session:
        session.execute(text("UPDATE licence SET personal = NULL"))
        session.execute(text("UPDATE licence_version SET personal = NULL"))
    office.work_off()
    assert office.count("licence_document") == 0
    assert office.desk.verify(stall.number)["status"] == "valid"
    with pytest.raises(NotFound, match="no paper of version 1"):
        office.desk.document(CENTRE, stall.number)
    assert "erased" in office.refused(stall, "amend", form={"name": "x"}).message


def test_a_renewal_long_after_the_end_begins_on_its_day(office: LicenceOffice) -> None:
    stall = office.do("stall", "issue")
    service = office.services.get("stall")
    day = stall.valid_to + timedelta(days=1_000)
    assert renewed(service, {"years": 1}, stall, day, None).first == day
