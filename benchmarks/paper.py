"""What a paper costs: CPU of page, code and signature; and how soon after payment it is ready.

`python -m benchmarks.paper [SECONDS]`. The first figures are of each kind of licence there is, with full
tables. No two licences are equal, because typst keeps what it has laid out before. The second figure is of a
whole office: one process takes payments, five a second, and a worker of its own process makes the papers; the
time runs from the bank's notice to the row that holds the paper.
"""

import multiprocessing
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import text

from foundation.database import Database, migrate, open_database
from foundation.definitions import Bilingual
from foundation.secret import SecretFile
from foundation.settings import Licences, Settings
from foundation.settings import Platform as PlatformSettings
from foundation.wire.credential import seal
from foundation.wire.credential_keys import SigningKey
from foundation.wire.paper_certificates import PaperCertificates
from foundation.wire.paper_check import check_paper
from integrations.form import ListField, PlainField, TextField
from integrations.licences.certificate import PaperKeys
from integrations.licences.document import LicenceDocument, render
from integrations.licences.layout import laid_out, notes_of, parts_of
from integrations.licences.paper_signature import sign
from integrations.service import Service, load_service
from tests.integrations.desk import CENTRE, FORM, Desk, message, open_desk
from tests.integrations.test_document import CLAIMS

_ROOT = Path(__file__).parents[1]
_PAPERS = 40
_ROWS = 5  # of a table, as many as stand on the page itself
_A_SECOND = 5
_LOOK = 0.01  # seconds between two looks for papers, and so what the waits are exact to


def main() -> None:
    """Print the figures."""
    seconds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    with tempfile.TemporaryDirectory() as folder:
        _cpu(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        _ready(Path(folder), seconds)


def _cpu(folder: Path) -> None:
    key = SigningKey.generate("sample")
    name = Bilingual(ar="أمانة نموذجية", en="Sample Municipality")
    keys = PaperKeys(SecretFile(folder / "secrets.json", folder / "key"), "sample", name)
    trusted, fonts, now = PaperCertificates([keys.current().certificate]), Licences().fonts, datetime.now(UTC)
    for definition in sorted((_ROOT / "integrations" / "services").glob("*.yaml")):
        service = load_service(definition)
        took: dict[str, list[float]] = {"page": [], "signature": [], "check": []}
        for number in range(1 + _PAPERS):
            claims = replace(CLAIMS, number=f"SL-2026-{number:06}")
            document = _document(service, number, seal(claims, key))
            began = time.process_time()
            page = render(document, fonts)
            drawn = time.process_time()
            paper = sign(page, keys.current(), now)
            signed = time.process_time()
            assert check_paper(paper, trusted, claims).intact
            checked = time.process_time()
            for part, seconds in zip(took, (drawn - began, signed - drawn, checked - signed), strict=True):
                took[part].append(seconds * 1000)
        # The first loads fonts and modules.
        middle = {part: statistics.median(times[1:]) for part, times in took.items()}
        whole = middle["page"] + middle["signature"]
        print(f"  paper {service.code:<20} {whole:6.1f} ms CPU: page and code {middle['page']:.1f},", end=" ")
        print(
            f"signature {middle['signature']:.1f}; {len(paper):,} bytes; checked in {middle['check']:.1f} ms"
        )


def _document(service: Service, number: int, credential: str) -> LicenceDocument:
    """The paper of a licence whose words no other has."""

    def words(field: PlainField) -> Any:
        if isinstance(field, ListField):
            return [{name: words(each) for name, each in field.row.items()}] * _ROWS
        example = field.json_schema()["examples"][0]
        if isinstance(field, TextField) and field.pattern is None:
            return f"{example} {number}"[: field.max_length]
        return example

    form = {name: words(field) for name, field in service.licence_fields.items()}
    holder = {"name": f"نورة بنت عبدالعزيز القحطاني {number}", "identifier": "1058529940"}
    layout = laid_out(service, form, holder, f"SL-2026-{number:06}")
    return LicenceDocument(
        number=f"SL-2026-{number:06}",
        title=service.licence_title,
        municipality=Bilingual(ar="أمانة نموذجية", en="Sample Municipality"),
        lines=(),
        issued_at=CLAIMS.issued_at,
        valid_from=CLAIMS.valid_from,
        valid_to=CLAIMS.valid_to,
        credential=credential,
        verify_url="https://licences.example.gov.sa/verify/",
        parts=parts_of(layout),
        notes=notes_of(layout),
    )


def _work(folder: str) -> None:
    with open_database(_settings(Path(folder)), role="paper-worker") as database:
        open_desk(database, Path(folder)).jobs.work()


def _settings(folder: Path) -> Settings:
    # One private PostgreSQL for both processes.
    return Settings(platform=PlatformSettings(folder=folder / "platform"))


def _ready(folder: Path, seconds: int) -> None:
    # The private PostgreSQL runs as a user of its own.
    folder.chmod(0o711)
    with open_database(_settings(folder), role="paper-bench") as database:
        migrate(database)
        desk = open_desk(database, folder)
        bills = [_billed(desk, number) for number in range(1 + seconds * _A_SECOND)]
        worker = multiprocessing.get_context("spawn").Process(target=_work, args=(str(folder),))
        worker.start()
        try:
            # The first is paid to see that the worker is up.
            _paid(desk, database, bills[:1])
            waits = _paid(desk, database, bills[1:])
        finally:
            worker.terminate()
            worker.join()
    waits.sort()
    print(f"  ready {len(waits)} licences at {_A_SECOND}/s: p50 {waits[len(waits) // 2]:.2f} s,", end=" ")
    print(f"p95 {waits[int(len(waits) * 0.95)]:.2f} s, most {waits[-1]:.2f} s")


def _billed(desk: Desk, number: int) -> tuple[str, str, str]:
    form = {**FORM, "trade_name": f"مخبز الندى {number}"}
    case = str(desk.do.submit(CENTRE, message(form)).body["number"])
    desk.do.quote(CENTRE, case)
    bill = desk.do.invoice(CENTRE, case).body
    return case, str(bill["bill_number"]), str(bill["amount"])


def _paid(desk: Desk, database: Database, bills: list[tuple[str, str, str]]) -> list[float]:
    """Seconds from each payment to its paper."""
    paid: dict[str, float] = {}
    ready: dict[str, float] = {}
    began = time.monotonic()
    while len(ready) < len(bills):
        now = time.monotonic() - began
        if len(paid) < len(bills) and now >= len(paid) / _A_SECOND:
            case, bill, amount = bills[len(paid)]
            paid[case] = time.monotonic()
            desk.pay(bill, amount, f"paid-{case}")
        for case in _papers(database, set(paid) - set(ready)):
            ready[case] = time.monotonic()
        if now > len(bills) / _A_SECOND + 60:
            raise SystemExit(f"only {len(ready)} of {len(bills)} papers were made")
        time.sleep(_LOOK)
    return [ready[case] - paid[case] for case in ready]


def _papers(database: Database, waiting: set[str]) -> list[str]:
    if not waiting:
        return []
    with database.transaction() as session:
        return list(
            session.execute(
                text(
                    "SELECT case_file.number FROM licence_document paper"
                    " JOIN case_file ON case_file.licence_id = paper.licence_id"
                    " WHERE case_file.number = ANY(:waiting)"
                ),
                {"waiting": list(waiting)},
            ).scalars()
        )


if __name__ == "__main__":
    main()
