import os
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from foundation.chain import JSON
from foundation.errors import Conflict, InvalidInput, NotFound, Unavailable
from foundation.wire import qr_reader
from integrations.cases import faults
from integrations.licences.papers import NotNow, NotReady
from tests.integrations.desk import (
    APPLICANT,
    CENTRE,
    FORM,
    INSPECTOR,
    MANAGER,
    OTHER_APPLICANT,
    OWNER,
    REVIEWER,
    Desk,
    message,
)
from tests.integrations.paper_signing import time_stamp_server
from tests.integrations.test_document import extracted

ROOT = Path(__file__).parents[2]
# A worker whose rendering never ends, so that it can be killed in the middle of it.
WORKER = """
import sys, time
from pathlib import Path
from integrations.licences import papers
from foundation.database import Database
from tests.integrations.desk import open_desk

def render(document, fonts):
    print("rendering", flush=True)
    time.sleep(3600)

papers.render = render
open_desk(Database(sys.argv[1]), Path(sys.argv[2])).jobs.work()
"""


def printable() -> str:
    allowed = [chr(code) for code in range(0x20, 0x2100) if faults._PRINTED.fullmatch(chr(code))]
    # A mark needs a letter to sit on.
    return "".join(
        f"ب{c}" if re.match("[\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed]", c) else c for c in allowed
    )


def kept(desk: Desk) -> list[bytes]:
    with desk.database.transaction() as session:
        return [bytes(pdf) for pdf in session.execute(text("SELECT pdf FROM licence_document")).scalars()]


def decided(desk: Desk, procedure: str, licence: str, form: dict[str, Any]) -> str:
    """Let the office decide something about a licence; number of the case."""
    said = message(form, applicant=None, procedure=procedure, licence=licence)
    number = str(desk.do.submit(INSPECTOR, said).body["number"])
    desk.do.take(REVIEWER, number, "decide", comment="ظهر ذلك في الزيارة.")
    return number


def test_the_worker_makes_the_paper_once_and_keeps_it_closed(desk: Desk) -> None:
    _, number = desk.issued()
    with pytest.raises(NotReady):
        desk.licensing.licences.document(CENTRE, number)
    desk.work_off()
    paper = desk.licensing.licences.document(CENTRE, number)
    assert paper.startswith(b"%PDF")
    before = kept(desk)
    desk.licensing.licences.papers.make({"licence": number, "version": 1, "copy": 0}, 2)
    assert kept(desk) == before
    assert len(before) == 1
    assert b"%PDF" not in before[0]


def test_a_replacement_copy_says_so_and_carries_a_code_of_its_own(desk: Desk, tmp_path: Path) -> None:
    _, number = desk.issued()
    desk.work_off()
    original = desk.licensing.licences.document(CENTRE, number)
    desk.issued({}, "ref-2", procedure="copy", licence=number)
    with pytest.raises(NotReady):
        desk.licensing.licences.document(CENTRE, number)
    desk.work_off()
    copy = desk.licensing.licences.document(CENTRE, number)
    assert qr_reader.read(copy) == [desk.licensing.licences.licence(number)["credential"]]
    assert qr_reader.read(copy) != qr_reader.read(original)
    words = extracted(copy, tmp_path)
    assert "نسخة بدل فاقد رقم" in words
    assert "Replacement copy 1" in words
    assert "Replacement" not in extracted(original, tmp_path)
    assert len(kept(desk)) == 2


def test_an_amended_licence_gets_a_paper_of_its_version_and_the_old_one_is_for_officers_alone(
    desk: Desk, tmp_path: Path
) -> None:
    _, number = desk.issued()
    desk.work_off()
    changed = {"trade_name": "مخبز الورد", "activity": FORM["activity"], "area_m2": 90}
    desk.issued(changed, "ref-2", procedure="amend", licence=number)
    desk.work_off()
    words = extracted(desk.licensing.licences.document(CENTRE, number), tmp_path)
    for expected in ("مخبز الورد", "الإصدار رقم", "Version 2", OWNER, MANAGER):
        assert expected in words
    with pytest.raises(Conflict, match="not the present one"):
        desk.licensing.licences.document(CENTRE, number, 1)
    old = extracted(desk.licensing.licences.document(REVIEWER, number, 1), tmp_path)
    assert "مخبز الندى" in old
    assert "Version" not in old
    with pytest.raises(NotFound, match="version 3"):
        desk.licensing.licences.document(REVIEWER, number, 3)


def test_a_transferred_licence_shows_its_new_holder_alone(desk: Desk, tmp_path: Path) -> None:
    _, number = desk.issued()
    desk.work_off()
    desk.issued({"new_holder": OTHER_APPLICANT}, "ref-2", procedure="transfer", licence=number)
    desk.work_off()
    words = extracted(desk.licensing.licences.document(CENTRE, number), tmp_path)
    assert OTHER_APPLICANT["name"] in words
    assert OWNER not in words
    assert MANAGER not in words


def test_the_paper_of_what_does_not_hold_is_not_given_out(desk: Desk) -> None:
    _, number = desk.issued()
    desk.work_off()
    decided(desk, "suspend", number, {"grounds": "مخالفة اشتراطات السلامة."})
    with pytest.raises(Conflict, match="suspended") as caught:
        desk.licensing.licences.document(CENTRE, number)
    assert "موقوفة" in caught.value.message_ar
    assert desk.licensing.licences.document(REVIEWER, number).startswith(b"%PDF")
    assert len(kept(desk)) == 1
    decided(desk, "reinstate", number, {"grounds": "أزيلت المخالفة كلها."})
    assert desk.licensing.licences.document(CENTRE, number).startswith(b"%PDF")


def test_every_letter_that_a_form_may_have_can_be_printed(desk: Desk) -> None:
    letters = printable()
    numbers = []
    for start in range(0, len(letters), 60):
        street = f"x{letters[start : start + 60]}x"
        form = {**FORM, "street": street}
        numbers.append(desk.issued(form, f"ref-{start}")[1])
    desk.work_off()
    for number in numbers:
        assert desk.licensing.licences.document(CENTRE, number).startswith(b"%PDF")


def test_a_paper_that_cannot_be_made_now_is_tried_until_the_settings_are_mended(
    desk: Desk, tmp_path: Path
) -> None:
    _, number = desk.issued()
    papers = desk.licensing.licences.papers
    payload: dict[str, JSON] = {"licence": number, "version": 1, "copy": 0}
    with pytest.raises(NotNow, match="fonts") as caught:
        replace(papers, fonts=tmp_path / "none").make(payload, 1)
    assert caught.value.retryable
    assert "fonts-hosny-amiri" in caught.value.remedy
    with pytest.raises(Unavailable, match="does not answer"):
        replace(papers, timestamp_url="http://127.0.0.1:9/").make(payload, 2)
    with time_stamp_server(tmp_path / "tsa") as url, pytest.raises(NotNow, match="no stamp"):
        replace(papers, timestamp_url=f"{url}/denied").make(payload, 3)
    with pytest.raises(NotReady):
        desk.licensing.licences.document(CENTRE, number)
    papers.make(payload, 4)
    assert desk.licensing.licences.document(CENTRE, number).startswith(b"%PDF")


@pytest.mark.parametrize("letter", ["字", "😀", "\u202e", "\u0301", "\ufffe", "\u00ad", "\u061c"])
def test_a_letter_that_no_paper_could_show_is_refused_before_any_money_is_taken(
    desk: Desk, letter: str
) -> None:
    with pytest.raises(InvalidInput, match="other than Arabic and Latin"):
        desk.submit({**FORM, "trade_name": f"مخبز {letter}"})


def longest(service_fields: dict[str, Any]) -> dict[str, Any]:
    filled = {**FORM, "area_m2": 4999.99}
    for name, field in service_fields.items():
        if field.type == "text" and field.pattern is None:
            words = "محل الأمانة النموذجية للمخبوزات والحلويات الشرقية والغربية وما إليها " * 3
            filled[name] = words[: field.max_length].strip()
    return filled


def test_the_longest_texts_fit_the_paper_and_its_code(desk: Desk) -> None:
    service = desk.licensing.services.get("shop_licence")
    asked = service.form_of("issue")
    form = longest({name: field for name, field in service.fields.items() if name in asked})
    applicant = {**APPLICANT, "name": "عبدالرحمن بن عبدالعزيز " * 5}
    number = str(desk.do.submit(CENTRE, message(form, applicant=applicant)).body["number"])
    desk.do.quote(CENTRE, number)
    bill = desk.do.invoice(CENTRE, number).body
    desk.pay(bill["bill_number"], bill["amount"])
    desk.work_off()
    licence = desk.case(number)["licence"]
    assert desk.licensing.licences.document(CENTRE, licence).startswith(b"%PDF")
    # With the line that says which copy it is, too.
    desk.issued({}, "ref-2", procedure="copy", licence=licence, applicant=applicant)
    desk.work_off()
    assert desk.licensing.licences.document(CENTRE, licence).startswith(b"%PDF")


def test_texts_that_no_code_can_hold_are_refused_before_any_money_is_taken(desk: Desk) -> None:
    letters = [chr(code) for code in (*range(0xC0, 0x17F), *range(0x620, 0x6D0))]
    # Each text its own: what repeats, packs well.
    source = random.Random(7)
    name, street, district = ("".join(source.choices(letters, k=length)) for length in (80, 80, 60))
    with pytest.raises(InvalidInput, match="does not fit into its code"):
        desk.submit({**FORM, "trade_name": name, "street": street, "district": district})
    assert desk.count("case_file") == 0


def test_a_worker_killed_amid_a_paper_is_resumed_and_the_paper_made_once(
    desk: Desk, database_url: str
) -> None:
    _, number = desk.issued()
    folder = str(desk.settings.platform.folder)
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, database_url, folder],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert worker.stdout is not None
    assert worker.stdout.readline() == "rendering\n"
    assert desk.licensing.licences.resume() == 0
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    worker.stdout.close()
    deadline = time.monotonic() + 120
    while desk.licensing.licences.resume() == 0:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    desk.work_off()
    assert desk.licensing.licences.document(CENTRE, number).startswith(b"%PDF")
    assert len(kept(desk)) == 1
