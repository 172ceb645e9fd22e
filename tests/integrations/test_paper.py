import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from foundation.errors import InvalidInput
from integrations.cases import application
from integrations.licensing import NotReady
from tests.integrations.desk import APPLICANT, CENTRE, FORM, Desk

ROOT = Path(__file__).parents[2]
# A worker whose rendering never ends, so that it can be killed in the middle of it.
WORKER = """
import sys, time
from pathlib import Path
import integrations.licensing as licensing
from foundation.database import Database
from tests.integrations.desk import open_desk

def render(document, fonts):
    print("rendering", flush=True)
    time.sleep(3600)

licensing.render = render
open_desk(Database(sys.argv[1]), Path(sys.argv[2])).jobs.work()
"""


def printable() -> str:
    allowed = [chr(code) for code in range(0x20, 0x2100) if application._PRINTED.fullmatch(chr(code))]
    # A mark needs a letter to sit on.
    return "".join(
        f"ب{c}" if re.match("[\u0610-\u061a\u064b-\u065f\u0670\u06d6-\u06ed]", c) else c for c in allowed
    )


def pdfs(desk: Desk) -> list[bytes]:
    with desk.database.transaction() as session:
        return [bytes(pdf) for pdf in session.execute(text("SELECT pdf FROM licence_document")).scalars()]


def test_the_worker_makes_the_paper_once(desk: Desk) -> None:
    _, number = desk.issued()
    with pytest.raises(NotReady):
        desk.licensing.document(CENTRE, number)
    desk.work_off()
    paper = desk.licensing.document(CENTRE, number)
    assert paper.startswith(b"%PDF")
    desk.licensing._make_document({"licence": number}, 2)
    assert pdfs(desk) == [paper]


def test_every_letter_that_a_form_may_have_can_be_printed(desk: Desk) -> None:
    letters = printable()
    numbers = []
    for start in range(0, len(letters), 60):
        street = f"x{letters[start : start + 60]}x"
        form = {**FORM, "street": street}
        numbers.append(desk.issued(form, f"ref-{start}")[1])
    desk.work_off()
    for number in numbers:
        assert desk.licensing.document(CENTRE, number).startswith(b"%PDF")


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
    form = longest(desk.licensing.services.get("shop_licence").fields)
    applicant = {**APPLICANT, "name": "عبدالرحمن بن عبدالعزيز " * 5}
    number = str(desk.do.submit(CENTRE, "shop_licence", applicant, form).body["number"])
    desk.do.quote(CENTRE, number)
    bill = desk.do.invoice(CENTRE, number).body
    desk.pay(bill["bill_number"], bill["amount"])
    desk.work_off()
    licence = desk.licensing.case(CENTRE, number)["licence"]
    assert desk.licensing.document(CENTRE, licence).startswith(b"%PDF")


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
    assert desk.licensing.resume() == 0
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    worker.stdout.close()
    deadline = time.monotonic() + 120
    while desk.licensing.resume() == 0:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    desk.work_off()
    assert desk.licensing.document(CENTRE, number).startswith(b"%PDF")
    assert len(pdfs(desk)) == 1
