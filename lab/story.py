"""The story of the demo: what the platform does in a day, each step observed from outside the platform.

A step asks the platform to do something as its user would (command line, REST, a scanned code) and then looks
at the result with something that is not ours: OpenSSH's client, net-snmp's, Prometheus's query API, poppler,
zbar. Only what was seen that way is reported.
"""

import contextlib
import json
import re
import zlib
from collections.abc import Iterator

import base45  # type: ignore[import-untyped] # it ships no types

from lab.case_story import APPLICATION, CaseStory
from lab.centre_story import CentreStory
from lab.change_story import ChangeStory
from lab.municipality import Municipality
from lab.observing import Api, Observation, Step, contains, holding, output, same
from lab.receiver import receiving

_BROWSER = ("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")


class Story:
    """The steps, in order; later ones use what earlier ones made.

    Args:
        municipality: the running lab.
    """

    def __init__(self, municipality: Municipality) -> None:
        self._lab = municipality
        self._open = contextlib.ExitStack()
        self._api = Api(municipality)
        self._open.callback(self._api.close)
        self._cases = CaseStory(municipality, self._api, self._open.enter_context(receiving()))
        self._licence = ""
        self._qr = ""
        self._pdf = municipality.folder / "licence.pdf"

    def steps(self) -> list[Step]:
        """The story from top to bottom."""
        review, pay, suspend, close = self._cases.steps()
        return [
            Step("Run the playbook baseline on lab-server", self._play),
            *ChangeStory(self._lab, self._api).steps(),
            Step("Read lab-server by SNMP", self._reading),
            Step("Issue a bakery's licence by REST", self._issue),
            Step("Verify the licence, online and offline", self._verify),
            Step("Scan the licence at the kiosk and print a receipt", self._kiosk),
            review,
            pay,
            suspend,
            *CentreStory(self._lab, self._api, self._cases).steps(),
            close,
        ]

    def close(self) -> None:
        """Close the connections of the story's clients."""
        self._open.close()

    def _play(self) -> Iterator[Observation]:
        lab = self._lab
        lab.rakeeza("play", "run", "baseline", "--limit", "lab-server")
        written = json.loads(lab.ssh("cat", ".rakeeza/baseline.json"))
        yield Observation("the playbook left its record there", "ssh", written["operating_system"])
        runs = self._api.get("/v1/plays", "engineer")["runs"]
        yield Observation("the run is successful", "REST", f"{runs[0]['playbook']}: {runs[0]['state']}")
        kinds = self._api.streamed(f"/v1/plays/runs/{runs[0]['id']}/events", "engineer", "play.finished")
        yield Observation("its events are streamed", "server-sent events", f"{len(kinds)} events")

    def _reading(self) -> Iterator[Observation]:
        lab = self._lab
        name = lab.snmpget("1.3.6.1.2.1.1.5.0")
        rows = json.loads(
            lab.rakeeza(
                "monitor", "poll", lab.snmpd.address, "--community", lab.snmpd.community, "--format", "json"
            )
        )
        uptime = next(row["value"] for row in rows if row["oid"].startswith("1.3.6.1.2.1.1.3"))
        yield Observation(f"{len(rows)} samples were read", "rakeeza monitor poll", f"uptime {uptime} s")
        wanted = 'system_info{instance="lab-server"}'
        labels, _ = self._api.until("Prometheus to scrape lab-server", lambda: self._query(wanted))
        same("sysName", labels.get("sys_name"), name)
        yield Observation("Prometheus holds what net-snmp says", "Prometheus query API", f"sysName {name}")

    def _issue(self) -> Iterator[Observation]:
        api, cases = self._api, self._cases
        secret = cases.subscribe()
        number = api.post("/v1/cases", "centre", APPLICATION)["number"]
        bill = cases.bill(number)
        cases.pay(bill, bill["amount"], "bakery")
        yield Observation("the same payment twice is one payment", "REST", f"bill {bill['bill_number']}")
        case = api.get(f"/v1/cases/{number}", "centre")
        same("the state", case["state"], "issued")
        self._licence = case["licence"]
        yield Observation("the licence is issued", "REST", f"{self._licence}, {bill['amount']} SAR")
        yield cases.told("licence.issued", f"licence/{self._licence}", secret)
        self._pdf.write_bytes(api.until("the document", self._document))
        text = output("pdftotext", "-layout", self._pdf, "-")
        contains("the text of the PDF", text, self._licence)
        yield Observation(
            "the PDF holds the licence's number", "pdftotext", f"{self._pdf.stat().st_size:,} bytes"
        )

    def _verify(self) -> Iterator[Observation]:
        answer = self._api.get(f"/v1/verify/{self._licence}")
        same("the status", answer["status"], "valid")
        yield Observation("anyone can verify it online", "REST without a token", answer["status"])
        keys = self._lab.folder / "keys.json"
        keys.write_text(json.dumps(self._api.get("/.well-known/rakeeza-keys.json")))
        self._api.until("the status list", lambda: self._api.get("/.well-known/rakeeza-status.json")["lists"])
        self._lab.rakeeza("licence", "lists", self._lab.faces.api, "--keys", str(keys))
        self._lab.rakeeza("licence", "verify", str(self._pdf), "--keys", str(keys))
        yield Observation(
            "its QR verifies from the PDF, with the public keys and the status list",
            "rakeeza licence verify",
            "valid",
        )
        pages = self._lab.folder / "licence"
        output("pdftoppm", "-r", "150", "-png", "-singlefile", str(self._pdf), str(pages))
        qr = self._qr = output("zbarimg", "-q", "--raw", f"{pages}.png").strip()
        yield Observation("another reader sees the same QR", "zbarimg", f"{qr[:24]}… ({len(qr)} characters)")
        forged = _with_another_number(qr, self._licence)
        refused = self._lab.rakeeza_fails("licence", "verify", forged, "--keys", str(keys))
        yield Observation(
            "a QR with another number is refused", "rakeeza licence verify", refused.splitlines()[0]
        )

    def _kiosk(self) -> Iterator[Observation]:
        kiosk = self._lab.kiosk
        kiosk.scan(self._licence)
        self._api.until("the kiosk's screen", lambda: holding(self._licence, kiosk.screen()))
        page = output(*_BROWSER, "--dump-dom", kiosk.url)
        contains("the page", page, self._licence)
        contains("the page", page, '<html lang="ar" dir="rtl"')
        yield Observation("the screen shows the licence, right to left", "Chromium", _heading(page))
        kiosk.press("en")
        contains("the page", kiosk.screen(), '<html lang="en" dir="ltr"')
        yield Observation("and in English by a button", "HTTP", _heading(kiosk.screen()))
        kiosk.press("print")
        paper = self._api.until("the printer", kiosk.receipt)
        qr = output("zbarimg", "-q", "--raw", paper).strip()
        same("the QR on the paper", qr, self._qr)
        yield Observation(
            "the printer cut off the receipt", "zbarimg on the paper", f"{paper.name}, the same QR"
        )
        kiosk.press("finish")
        same("the licence's number on the screen", holding(self._licence, kiosk.screen()), None)

    def _document(self) -> bytes | None:
        answer = self._api.asked(f"/v1/licences/{self._licence}/document.pdf", "centre")
        return answer.content if answer.status_code == 200 else None

    def _query(self, expression: str) -> tuple[dict[str, str], str] | None:
        url = f"{self._lab.faces.prometheus}/api/v1/query"
        result = self._api.asked(url, query=expression).raise_for_status().json()["data"]["result"]
        return (result[0]["metric"], result[0]["value"][1]) if result else None


def _with_another_number(qr: str, number: str) -> str:
    # A forger's work: unpacked, one digit changed, packed again. Only the signature can tell.
    head, _, body = qr.partition(":")
    signed = zlib.decompress(base45.b45decode(body))
    changed = signed.replace(number.encode(), number[:-1].encode() + (b"7" if number[-1] != "7" else b"8"))
    return f"{head}:{base45.b45encode(zlib.compress(changed)).decode()}"


def _heading(page: str) -> str:
    heading = page.partition("<h1")[2].partition(">")[2].partition("</h1>")[0]
    return re.sub("<[^>]*>", "", heading).strip()
