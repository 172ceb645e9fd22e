"""`rakeeza freeze`: what a person declares, ends and sees of the hours in which changes may be made."""

import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.console.rakeeza_types import Rakeeza

pytest_plugins = ["tests.console.rakeeza_command"]

VISIT = (
    "--reason-ar",
    "زيارة رسمية إلى مركز البيانات الرئيس",
    "--reason-en",
    "Official visit to the data centre",
)
SITES = """\
assets:
- {kind: site, name: north, title: {ar: الشمال, en: North}}
- {kind: site, name: south, title: {ar: الجنوب, en: South}}
"""


@pytest.fixture
def sites(rakeeza: Rakeeza, tmp_path: Path) -> None:
    file = tmp_path / "sites.yaml"
    file.write_text(SITES, encoding="utf-8")
    assert rakeeza("asset", "import", str(file)).code == 0


@pytest.mark.usefixtures("sites")
def test_a_freeze_is_declared_listed_shown_and_ended(rakeeza: Rakeeza) -> None:
    # Far ahead: what has ended cannot be declared.
    times = ("--from", "1493-03-24", "--until", "1493-03-25")
    done = rakeeza("freeze", "add", *VISIT, *times, "--site", "north", "--risk", "medium", "--risk", "high")
    assert done.out == (
        "Freeze 1 holds from Monday 5 May 2070, 00:00 (24 Rabi al-Awwal 1493 AH) "
        "until Wednesday 7 May 2070, 00:00 (26 Rabi al-Awwal 1493 AH).\n"
    )
    (row,) = rakeeza("freeze", "list", "--format", "json").rows
    assert (row["id"], row["sites"], row["risks"]) == (1, ["north"], ["medium", "high"])
    assert (row["starts_at"], row["ends_at"]) == ("2070-05-04T21:00:00Z", "2070-05-06T21:00:00Z")
    assert row["declared_by"].startswith("cli/")
    shown = ("freeze", "show", "--from", "2070-05-05", "--days", "3", "--format", "json")
    north = rakeeza(*shown, "--site", "north").rows
    assert [day["open"] for day in north] == [[], [], ["00:00-04:00", "22:00-24:00"]]
    assert north[0]["why_en"].startswith("Official visit to the data centre (freeze 1, declared by cli/")
    assert "زيارة رسمية إلى مركز البيانات الرئيس (التجميد رقم 1، أعلنه cli/" in north[0]["why_ar"]
    assert [day["hijri"] for day in north] == ["1493-03-24", "1493-03-25", "1493-03-26"]
    south = rakeeza(*shown, "--site", "south").rows
    assert south[0] == {
        "gregorian": "2070-05-05",
        "hijri": "1493-03-24",
        "open": ["00:00-04:00", "22:00-24:00"],
        "why_en": None,
        "why_ar": None,
    }
    # Whoever stands at no known site is held by it.
    assert rakeeza(*shown).rows[0]["open"] == []
    assert rakeeza("freeze", "end", "1").out == "Freeze 1 had not begun, and never holds.\n"
    assert rakeeza(*shown, "--site", "north").rows[0]["open"] == south[0]["open"]
    assert rakeeza("freeze", "list").out == "Freezes: none.\n"
    assert [row["id"] for row in rakeeza("freeze", "list", "--all", "--format", "json").rows] == [1]


def test_a_freeze_without_an_end_holds_until_it_is_ended(rakeeza: Rakeeza) -> None:
    assert rakeeza("freeze", "add", *VISIT).out.endswith("until it is ended.\n")
    row = rakeeza("freeze", "list", "--format", "json").rows[0]
    assert (row["ends_at"], row["sites"], row["risks"]) == (None, None, ["low", "medium", "high"])
    later = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert rakeeza("freeze", "end", "1", "--at", later).out.startswith("Freeze 1 ends on ")
    assert rakeeza("freeze", "end", "1").code == 0
    again = rakeeza("freeze", "end", "1")
    assert again.code == 65
    assert "ends at" in again.err


def test_yearly_freezes_are_shown_with_their_hours_and_for_each_risk(rakeeza: Rakeeza) -> None:
    shown = ("freeze", "show", "--from", "1448-12-08", "--days", "2", "--format", "json")
    medium = rakeeza(*shown).rows
    assert [day["why_en"] for day in medium] == ["Hajj freeze", "Hajj freeze; Eid al-Adha freeze"]
    assert medium[1]["why_ar"] == "تجميد موسم الحج؛ تجميد عيد الأضحى"
    low = rakeeza(*shown, "--risk", "low").rows
    assert [day["open"] for day in low] == [["00:00-06:00", "22:00-24:00"], []]
    assert rakeeza(*shown, "--risk", "low", "--always").rows[0]["open"] == ["00:00-24:00"]
    monday = ("freeze", "show", "--from", "2026-11-23", "--days", "1", "--risk", "high", "--format", "json")
    high = rakeeza(*monday).rows[0]
    assert (high["open"], high["why_en"], high["why_ar"]) == ([], "no window", "لا توجد نافذة")
    part = ("--from", "2070-05-06T12:00", "--until", "2070-05-06T23:00")
    rakeeza("freeze", "add", *VISIT, *part)
    day = rakeeza("freeze", "show", "--from", "2070-05-06", "--days", "1", "--format", "json").rows[0]
    assert day["open"] == ["00:00-04:00", "23:00-24:00"]
    assert day["why_en"].endswith(") 12:00-23:00")


@pytest.mark.parametrize("width", ["80", "120", "200"])
def test_the_lines_of_a_table_stay_straight_beside_arabic(
    rakeeza: Rakeeza, monkeypatch: pytest.MonkeyPatch, width: str
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    assert rakeeza("freeze", "add", *VISIT, "--from", "2070-05-05T12:00", "--until", "2070-05-07").code == 0
    shown = rakeeza("freeze", "show", "--from", "2070-05-05", "--days", "6").out
    listed = rakeeza("freeze", "list").out
    for out in (shown, listed):
        _title, *lines = out.splitlines()
        assert len({cell_len(line) for line in lines}) == 1
        for line in lines:
            # Whatever is Arabic stands in an isolate that ends on its own line.
            assert not re.search("[\u0600-\u06ff]", re.sub("\u2067[^\u2067\u2069]*\u2069", "", line))
    assert "1493-03-24" in shown
    assert "1493-03-24" in listed


def test_files_hold_the_bare_text(rakeeza: Rakeeza) -> None:
    rakeeza("freeze", "add", *VISIT, "--from", "2070-05-05", "--until", "2070-05-06")
    shown = rakeeza("freeze", "show", "--from", "2070-05-05", "--days", "1", "--format", "csv").out
    listed = rakeeza("freeze", "list", "--format", "csv").out
    assert "\u2067" not in shown + listed
    assert shown.splitlines()[1].startswith('2070-05-05,1493-03-24,,"Official visit')
    assert listed.splitlines()[1].startswith(
        "1,2070-05-04T21:00:00Z,2070-05-06T21:00:00Z,,low medium high,cli/"
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", *VISIT, "--from", "2027-13-01"), "'2027-13-01' is no date"),
        (("add", *VISIT, "--from", "1448-13-01"), "'1448-13-01' is no date"),
        (("add", *VISIT, "--from", "2027-05-03", "--until", "2027-05-02"), "cannot end at"),
        (("add", *VISIT, "--from", "2020-05-03", "--until", "2020-05-04"), "holds nothing back"),
        (("add", *VISIT, "--site", "nroth"), "There is no site 'nroth'"),
        (("add", "--reason-ar", " ", "--reason-en", "x"), "a reason in both languages"),
        (("end", "4"), "There is no freeze 4"),
        (("show", "--site", "nroth"), "There is no site 'nroth'"),
        (("show", "--from", "2077-11-16", "--days", "2"), "outside the Umm al-Qura table"),
    ],
)
def test_what_cannot_be_is_refused(rakeeza: Rakeeza, words: tuple[str, ...], said: str) -> None:
    done = rakeeza("freeze", *words)
    assert done.code in (65, 66)
    assert said in done.err


def test_another_calendar_holds_where_the_settings_name_it(
    rakeeza: Rakeeza, settings_file: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "calendars"
    folder.mkdir()
    own = (
        "code: own\ntitle: {ar: خاص, en: Own}\nzone: Asia/Riyadh\nwindows:\n"
        "  - {name: noon, title: {ar: الظهر, en: Noon}, sites: all, weekdays: [monday], "
        "hours: ['12:00-13:00'], risks: [medium], source: a test, sample: true}\n"
    )
    (folder / "own.yaml").write_text(own, encoding="utf-8")
    with settings_file.open("a", encoding="utf-8") as file:
        file.write(f"[changes]\nfolders = [{json.dumps(str(folder))}]\ncalendar = 'own'\n")
    shown = ("freeze", "show", "--from", "2026-11-23", "--days", "2", "--format", "json")
    assert [day["open"] for day in rakeeza(*shown).rows] == [["12:00-13:00"], []]
    (folder / "own.yaml").write_text(own.replace("12:00-13:00", "12-13"), encoding="utf-8")
    refused = rakeeza(*shown)
    assert refused.code == 65
    assert "own.yaml:5: /windows/0/hours/0: write hours as 22:00-04:00" in refused.err
