"""`rakeeza calendar`: what a person sees of working time, and what he writes down."""

import re
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.console.rakeeza_types import Rakeeza

pytest_plugins = ["tests.console.rakeeza_command"]

OUTAGE = ("--title-ar", "عطل في مركز البيانات الرئيس", "--title-en", "Outage of the main data centre")


def test_days_are_shown_in_both_calendars_with_their_holidays(rakeeza: Rakeeza) -> None:
    rows = rakeeza("calendar", "show", "--from", "2026-03-12", "--days", "3", "--format", "json").rows
    assert rows[0] == {
        "gregorian": "2026-03-12",
        "hijri": "1447-09-23",
        "works": True,
        "hours": ["10:00-15:00"],
        "title_en": None,
        "title_ar": None,
    }
    assert (rows[2]["hijri"], rows[2]["works"], rows[2]["hours"]) == ("1447-09-25", False, [])
    assert (rows[2]["title_en"], rows[2]["title_ar"]) == ("Eid al-Fitr holiday", "إجازة عيد الفطر")


@pytest.mark.parametrize("width", ["80", "120", "200"])
def test_the_lines_of_a_table_stay_straight_beside_arabic(
    rakeeza: Rakeeza, monkeypatch: pytest.MonkeyPatch, width: str
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    times = ("--from", "2026-03-15T09:00", "--until", "2026-03-15T10:00")
    assert rakeeza("calendar", "closure", "add", *OUTAGE, *times, "--place", "north").code == 0
    shown = rakeeza("calendar", "show", "--from", "2026-03-11", "--days", "6", "--place", "north").out
    listed = rakeeza("calendar", "closure", "list").out
    for out in (shown, listed):
        title, *lines = out.splitlines()
        assert len({cell_len(line) for line in lines}) == 1
        assert cell_len(lines[0]) <= int(width)
        for line in (title, *lines):
            # Whatever is Arabic stands in an isolate that ends on its own line.
            assert not re.search("[\u0600-\u06ff]", re.sub("\u2067[^\u2067\u2069]*\u2069", "", line))
            assert line.count("\u2067") == line.count("\u2069")
    words = re.sub("[^\u0600-\u06ff]+", " ", listed)
    assert "عطل في مركز البيانات الرئيس" in words


def test_where_no_closure_is_noted_a_sentence_says_so(rakeeza: Rakeeza) -> None:
    assert rakeeza("calendar", "closure", "list").out == "Closures: none.\n"
    assert rakeeza("calendar", "closure", "list", "--open").out == "Closures: none.\n"
    assert rakeeza("calendar", "closure", "list", "--format", "csv").out.count("\n") == 1


def test_files_hold_the_bare_text(rakeeza: Rakeeza) -> None:
    rakeeza("calendar", "closure", "add", *OUTAGE, "--from", "2026-03-15T09:00", "--outage")
    shown = rakeeza("calendar", "show", "--from", "2026-03-15", "--days", "1", "--format", "csv").out
    listed = rakeeza("calendar", "closure", "list", "--format", "csv").out
    assert "\u2067" not in shown + listed
    assert shown.splitlines()[1].startswith("2026-03-15,1447-09-26,False,,Eid al-Fitr holiday; Outage")
    assert listed.splitlines()[1].startswith("1,2026-03-15T06:00:00Z,,,True,cli/")


def test_a_deadline_is_told_in_both_calendars_and_languages(rakeeza: Rakeeza) -> None:
    done = rakeeza("calendar", "deadline", "--from", "2026-11-22T09:30", "--working-days", "3")
    lines = done.out.splitlines()
    assert lines[2] == "ends    Wed 25 November 2026, 14:30 (15 Jumada al-Akhirah 1448 AH)"
    assert "15 جمادى الآخرة 1448هـ الموافق 25 نوفمبر 2026م" in lines[3]
    assert lines[4] == "utc     2026-11-25T11:30:00Z"
    hours = rakeeza("calendar", "deadline", "--from", "2026-11-22T06:30:00Z", "--hours", "24").out
    assert hours.endswith("utc     2026-11-23T06:30:00Z\n")


def test_an_outage_prolongs_a_deadline_where_it_was(rakeeza: Rakeeza) -> None:
    times = ("--from", "2026-11-23T07:30", "--until", "2026-11-23T13:00")
    rakeeza("calendar", "closure", "add", *OUTAGE, *times, "--outage", "--place", "north")
    asked = ("calendar", "deadline", "--from", "2026-11-22T09:30")
    for place, days, hours in (
        ("north", "2026-11-24T11:30:00Z", "2026-11-23T12:00:00Z"),
        ("south", "2026-11-23T11:30:00Z", "2026-11-23T06:30:00Z"),
    ):
        assert days in rakeeza(*asked, "--working-days", "1", "--place", place).out
        assert hours in rakeeza(*asked, "--hours", "24", "--place", place).out


def test_a_closure_holds_until_it_is_ended(rakeeza: Rakeeza) -> None:
    assert rakeeza("calendar", "closure", "add", *OUTAGE).out == "Noted closure 1.\n"
    (row,) = rakeeza("calendar", "closure", "list", "--open", "--format", "json").rows
    assert (row["id"], row["ends_at"], row["outage"], row["place"]) == (1, None, False, None)
    assert row["title_ar"] == "عطل في مركز البيانات الرئيس"
    assert "still" in rakeeza("calendar", "closure", "list").out
    early = rakeeza("calendar", "closure", "end", "1", "--at", "2020-01-01T00:00")
    assert (early.code, "cannot end at" in early.err) == (65, True)
    ended = rakeeza("calendar", "closure", "end", "1", "--at", "2070-01-01T03:00")
    assert ended.out == "Closure 1 has ended.\n"
    assert rakeeza("calendar", "closure", "list", "--open", "--format", "json").rows == []
    (row,) = rakeeza("calendar", "closure", "list", "--format", "json").rows
    assert row["ends_at"] == "2070-01-01T00:00:00Z"
    assert rakeeza("calendar", "closure", "end", "1").code == 65
    assert rakeeza("calendar", "closure", "end", "2").code == 66
    entries = rakeeza("audit", "list", "--chain", "calendar/closures", "--format", "json").rows
    assert [entry["action"] for entry in entries] == ["added", "ended"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("show", "--from", "22/11/2026"), 65, "is no date"),
        (("show", "--from", "2077-11-16"), 65, "outside the Umm al-Qura table"),
        (("show", "--from", "9999-12-31"), 65, "outside the Umm al-Qura table"),
        (("show", "--calendar", "mars"), 66, "There is no calendar 'mars'"),
        (("deadline", "--from", "noon", "--hours", "1"), 65, "is no moment"),
        (("deadline", "--from", "0001-01-01", "--hours", "1"), 65, "outside the Umm al-Qura table"),
        (("deadline", "--hours", "999999999999"), 65, "lies outside the calendar's table"),
        (("deadline", "--working-days", "999999999999"), 65, "lies outside the calendar's table"),
        (("deadline",), 2, "Give either"),
        (("deadline", "--hours", "1", "--working-days", "1"), 2, "Give either"),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(
    rakeeza: Rakeeza, arguments: tuple[str, ...], code: int, said: str
) -> None:
    done = rakeeza("calendar", *arguments)
    assert (done.code, said in done.err) == (code, True)


def test_a_calendar_of_a_further_folder_is_used(rakeeza: Rakeeza, tmp_path: Path) -> None:
    ours = Path(__file__).parents[2] / "foundation" / "calendars" / "saudi_government.yaml"
    text = ours.read_text(encoding="utf-8").replace("code: saudi_government", "code: early")
    (tmp_path / "early.yaml").write_text(text.replace("07:30-14:30", "06:00-12:00"), encoding="utf-8")
    chosen = ("--calendar", "early", "--folder", str(tmp_path))
    rows = rakeeza(
        "calendar", "show", "--from", "2026-11-22", "--days", "1", *chosen, "--format", "json"
    ).rows
    assert rows[0]["hours"] == ["06:00-12:00"]


def test_a_closure_that_never_was_is_withdrawn(rakeeza: Rakeeza) -> None:
    rakeeza("calendar", "closure", "add", *OUTAGE)
    assert rakeeza("calendar", "closure", "withdraw", "1").out == "Closure 1 is withdrawn.\n"
    assert rakeeza("calendar", "closure", "list", "--format", "json").rows == []
    assert rakeeza("calendar", "closure", "withdraw", "1").code == 65
    assert rakeeza("calendar", "closure", "withdraw", "2").code == 66
