"""The real agent as a process, over simulated devices and a recorded headquarters; no browser."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import httpx
import pytest
from PIL import Image, ImageChops

from foundation.wire.qr_reader import read
from kiosks.licence import Licence
from kiosks.receipt import draw_receipt
from lab.kiosk_devices import KioskDevices
from tests.kiosks.conftest import Town
from tests.kiosks.recorded_headquarters import SECRET
from tests.processes import PATIENCE, until

NUMBER = "SL-2026-004512"


def press(town: Town, button: str) -> None:
    assert httpx.post(f"{town.kiosk.url}press/{button}", timeout=PATIENCE).status_code == 303


def page(town: Town) -> str:
    return httpx.get(town.kiosk.url, timeout=PATIENCE).text


def state(town: Town) -> str:
    return page(town).partition('data-state="')[2].partition('"')[0]


def rows(devices: KioskDevices) -> int:
    return int(devices.printer()["rows"])


def test_a_scan_shows_the_licence_and_a_press_prints_it(town: Town, licence: Licence) -> None:
    kiosk = town.kiosk
    kiosk.scan(licence.credential)
    kiosk.wait_for("shown")
    assert licence.lines[0].value.ar in page(town)
    assert kiosk.receipt() is None
    press(town, "print")
    told = kiosk.wait_for("printed")
    paper = kiosk.receipt()
    assert paper is not None
    assert read(paper.read_bytes()) == [licence.credential]
    # What came out of the printer, decoded from its bytes, is the picture that was drawn, dot for dot.
    at = datetime.fromisoformat(told["at"]).astimezone(ZoneInfo("Asia/Riyadh"))
    drawn = [
        draw_receipt(licence, language="ar", terminal="kiosk-1", printed_at=at - timedelta(minutes=back))
        for back in (0, 1)
    ]
    with Image.open(paper) as printed:
        assert any(
            printed.size == one.size and ImageChops.logical_xor(printed.convert("1"), one).getbbox() is None
            for one in drawn
        )


@pytest.mark.parametrize("town", [{"print_at_once": True}], indirect=True)
def test_an_unattended_terminal_prints_at_once(town: Town) -> None:
    town.kiosk.scan(NUMBER)
    assert town.kiosk.wait_for("printed")["cut"] is True


def test_what_it_tells_holds_nothing_of_the_citizen(town: Town, licence: Licence) -> None:
    town.kiosk.scan(licence.credential)
    town.kiosk.wait_for("shown")
    press(town, "print")
    town.kiosk.wait_for("printed")
    town.kiosk.scan("SL-2026-555555")
    town.kiosk.wait_for("not_found")
    told = town.kiosk.log.read_text(encoding="utf-8")
    trade_name = licence.lines[0].value.ar
    for private in (licence.number, licence.credential, trade_name, "4030123456", "555555", SECRET):
        assert private not in told


@pytest.mark.parametrize("town", [{"visit_timeout": 1.0}], indirect=True)
def test_a_citizen_who_walks_away_leaves_nothing_on_the_screen(town: Town) -> None:
    press(town, "en")
    town.kiosk.scan(NUMBER)
    town.kiosk.wait_for("shown")
    assert town.kiosk.wait_for("ended")["reason"] == "timeout"
    # On a slow machine the time was over before the scan, and is over once more.
    until(lambda: NUMBER not in page(town) and state(town) == "attract")
    assert 'lang="ar"' in page(town)


def test_a_code_scanned_while_paper_moves_is_ignored_and_does_not_wait(town: Town) -> None:
    kiosk = town.kiosk
    kiosk.devices.printer(bytes_per_second=20_000)
    kiosk.scan(NUMBER)
    kiosk.wait_for("shown")
    press(town, "print")
    until(lambda: state(town) == "printing")
    kiosk.scan("SL-2026-111111")
    assert kiosk.wait_for("ignored")["state"] == "printing"
    kiosk.wait_for("printed")
    assert kiosk.events("not_found") == []


@pytest.mark.parametrize(
    "fault", [{"paper": "out"}, {"cover_open": True}, {"cutter_error": True}, {"mute": True}]
)
def test_paper_is_owed_until_the_printer_works_again(town: Town, fault: dict[str, bool | str]) -> None:
    kiosk = town.kiosk
    kiosk.devices.printer(**fault)
    kiosk.scan(NUMBER)
    kiosk.wait_for("shown")
    press(town, "print")
    kiosk.wait_for("pending")
    repaired = {"paper": "full", "cover_open": False, "cutter_error": False, "mute": False}
    kiosk.devices.printer(**repaired)
    kiosk.wait_for("printed")
    assert len(kiosk.devices.receipts()) == 1


def test_paper_that_ends_in_mid_receipt_is_owed_and_then_comes_whole(town: Town, licence: Licence) -> None:
    kiosk = town.kiosk
    kiosk.devices.printer(rows_left=400)
    kiosk.scan(NUMBER)
    kiosk.wait_for("shown")
    press(town, "print")
    assert kiosk.wait_for("pending")["paper"] == "out"
    kiosk.devices.printer(paper="full", rows_left=None)
    kiosk.wait_for("printed")
    paper = kiosk.receipt()
    assert paper is not None
    assert read(paper.read_bytes()) == [licence.credential]


@pytest.mark.parametrize("town", [{"visit_timeout": 5.0}], indirect=True)
def test_refilled_paper_never_prints_an_old_citizens_receipt(town: Town) -> None:
    kiosk = town.kiosk
    kiosk.devices.printer(rows_left=300)
    kiosk.scan(NUMBER)
    kiosk.wait_for("shown")
    press(town, "print")
    kiosk.wait_for("pending")
    kiosk.wait_for("expired")
    before = rows(kiosk.devices)
    kiosk.devices.printer(paper="full", rows_left=None)
    kiosk.scan("SL-2026-111111")
    kiosk.wait_for("not_found")
    assert rows(kiosk.devices) == before
    assert kiosk.receipt() is None


def test_a_printer_that_hangs_up_in_mid_receipt_is_told_as_uncertain(town: Town) -> None:
    kiosk = town.kiosk
    kiosk.devices.printer(hang_up_after=20_000)
    kiosk.scan(NUMBER)
    kiosk.wait_for("shown")
    press(town, "print")
    kiosk.wait_for("uncertain")
    assert "لا نعلم هل خرجت ورقتك" in page(town)
    press(town, "print")
    kiosk.wait_for("printed")
    assert kiosk.receipt() is not None


def test_a_cutter_that_fails_does_not_undo_the_print(town: Town) -> None:
    town.kiosk.devices.printer(cutter_jams=True)
    town.kiosk.scan(NUMBER)
    town.kiosk.wait_for("shown")
    press(town, "print")
    assert town.kiosk.wait_for("printed")["cut"] is False
    assert state(town) == "ended"


def test_a_headquarters_that_is_away_is_told_and_the_terminal_recovers(town: Town) -> None:
    kiosk = town.kiosk
    town.guard.stop("headquarters")
    kiosk.scan(NUMBER)
    assert kiosk.wait_for("offline")["reason"] == "Unavailable"
    assert "الخدمة غير متاحة الآن" in page(town)
    town.start_headquarters()
    kiosk.scan(NUMBER)
    kiosk.wait_for("shown")


def test_while_headquarters_is_away_a_code_is_judged_by_itself(town: Town, licence: Licence) -> None:
    kiosk = town.kiosk
    kiosk.scan(licence.credential)
    kiosk.wait_for("shown")
    town.guard.stop("headquarters")
    kiosk.scan(licence.credential)
    # Its headquarters publishes no list: that it was not suspended is not known, and not claimed.
    assert kiosk.wait_for("judged_offline")["answer"] == "list_missing"
    shown = page(town)
    assert licence.number in shown
    assert "بحسب رمز الرخصة وحده" in shown
    assert "لا توجد هنا قائمة" in shown
    # A number proves nothing.
    kiosk.scan(NUMBER)
    kiosk.wait_for("offline")
    until(lambda: "بحسب رمز الرخصة وحده" not in page(town))


def test_a_headquarters_that_forgot_our_token_is_asked_for_another(town: Town) -> None:
    town.kiosk.scan(NUMBER)
    town.kiosk.wait_for("shown")
    town.mood(revoke=True)
    town.kiosk.scan(NUMBER)
    town.kiosk.wait_for("shown", 2)
    assert town.mood()["tokens_given"] == 2


def test_an_answer_that_is_no_licence_shows_nothing(town: Town) -> None:
    town.mood(garbage=True)
    town.kiosk.scan(NUMBER)
    assert town.kiosk.wait_for("offline")["reason"] == "Refused"
    assert state(town) == "trouble"


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"\x1b]0;owned\x07SL-2026-004512\r", "controlCharacters"),
        (b"<script>alert(1)</script>\r", "notALicence"),
        (b"A" * 3000 + b"\r", "tooLong"),
        ("رخصة\r".encode(), "notAscii"),
    ],
)
def test_what_a_stranger_scans_is_refused_and_never_shown(town: Town, sent: bytes, reason: str) -> None:
    kiosk = town.kiosk
    kiosk.devices.scanner_sends(sent)
    assert kiosk.wait_for("refused")["reason"] == reason
    told = kiosk.log.read_text(encoding="utf-8") + page(town)
    for part in ("alert(1)", "AAAA", "owned", "\x1b"):
        assert part not in told
    kiosk.scan(NUMBER)
    kiosk.wait_for("shown")


def test_a_scanner_that_is_pulled_out_is_told_and_comes_back(town: Town) -> None:
    kiosk = town.kiosk
    kiosk.devices.plug_scanner(False)
    assert kiosk.wait_for("reader", 2)["state"] == "offline"
    assert state(town) == "out_of_order"
    kiosk.devices.plug_scanner(True)
    assert kiosk.wait_for("reader", 3)["state"] == "online"
    kiosk.scan(NUMBER)
    kiosk.wait_for("shown")


def test_finish_forgets_and_buttons_that_are_not_offered_do_nothing(town: Town) -> None:
    press(town, "print")
    assert state(town) == "attract"
    town.kiosk.scan(NUMBER)
    town.kiosk.wait_for("shown")
    press(town, "finish")
    assert NUMBER not in page(town)
    press(town, "print")
    assert state(town) == "attract"
    assert town.kiosk.receipt() is None
