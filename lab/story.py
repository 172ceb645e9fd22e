"""The story of the demo: what the platform does in a day, each step observed from outside the platform.

A step asks the platform to do something as its user would (command line, REST, a scanned code) and then looks
at the result with something that is not ours: OpenSSH's client, net-snmp's, Prometheus's query API, poppler,
zbar. Only what was seen that way is reported.
"""

import json
import re
import subprocess
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import base45  # type: ignore[import-untyped] # it ships no types
import httpx

from foundation.errors import Refused, Unavailable
from lab.municipality import Municipality

PATIENCE = 30.0

_BROWSER = ("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking")

APPLICATION: dict[str, Any] = {
    "service": "shop_licence",
    "applicant": {
        "kind": "national_id",
        "identifier": "1058529940",
        "name": "سعد بن محمد الأحمدي",
        "mobile": "+966501234567",
    },
    "form": {
        "trade_name": "مخبز الندى",
        "commercial_register": "4030123456",
        "activity": "107101",
        "area_m2": 120.5,
        "years": 1,
        "district": "حي الروضة",
        "street": "شارع الأمير سلطان",
        "building_number": "7214",
        "postal_code": "23434",
    },
}
"""An application for a bakery, an activity that is licensed at once."""


@dataclass(frozen=True)
class Observation:
    """What was seen.

    Args:
        what: the fact, in one short sentence.
        seen_by: who saw it; never the platform itself.
        value: what was read.
    """

    what: str
    seen_by: str
    value: str


@dataclass(frozen=True)
class Step:
    """One step of the story."""

    title: str
    perform: Callable[[], Iterator[Observation]]


class Story:
    """The steps, in order; later ones use what earlier ones made.

    Args:
        municipality: the running lab.
    """

    def __init__(self, municipality: Municipality) -> None:
        self._lab = municipality
        self._api = httpx.Client(base_url=municipality.faces.api, timeout=PATIENCE)
        # In a folder that was used before, the keys of then would be answered as they were then.
        self._telling = uuid.uuid4().hex[:12]
        self._licence = ""
        self._qr = ""
        self._pdf = municipality.folder / "licence.pdf"

    def steps(self) -> list[Step]:
        """The story from top to bottom."""
        return [
            Step("Run the playbook baseline on lab-server", self._play),
            Step("Read lab-server by SNMP", self._reading),
            Step("Issue a shop licence by REST", self._issue),
            Step("Verify the licence, online and offline", self._verify),
            Step("Scan the licence at the kiosk and print a receipt", self._kiosk),
        ]

    def close(self) -> None:
        """Close the connections of the story's clients."""
        self._api.close()

    def _play(self) -> Iterator[Observation]:
        lab = self._lab
        lab.rakeeza("play", "run", "baseline", "--limit", "lab-server")
        written = json.loads(lab.ssh("cat", ".rakeeza/baseline.json"))
        yield Observation("the playbook left its record there", "ssh", written["operating_system"])
        token = self._token("engineer")
        runs = self._get("/v1/plays", token)["runs"]
        yield Observation("the run is successful", "REST", f"{runs[0]['playbook']}: {runs[0]['state']}")
        kinds = self._streamed(f"/v1/plays/runs/{runs[0]['id']}/events", token, "play.finished")
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
        labels, _ = self._until("Prometheus to scrape lab-server", lambda: self._query(wanted))
        _same("sysName", labels.get("sys_name"), name)
        yield Observation("Prometheus holds what net-snmp says", "Prometheus query API", f"sysName {name}")

    def _issue(self) -> Iterator[Observation]:
        centre, payment = self._token("centre"), self._token("payment")
        case = self._post("/v1/cases", centre, "submit", APPLICATION)
        number = case["number"]
        quote = self._post(f"/v1/cases/{number}/quote", centre, "quote")
        invoice = self._post(f"/v1/cases/{number}/invoice", centre, "invoice")
        _same("the amount of the invoice", invoice["amount"], quote["total"])
        notice = {
            "bill_number": invoice["bill_number"],
            "amount": invoice["amount"],
            "paid_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "reference": f"BANK-{self._telling}",
        }
        first = self._post("/v1/payments", payment, "payment", notice)
        _same(
            "the answer to the same Idempotency-Key",
            self._post("/v1/payments", payment, "payment", notice),
            first,
        )
        yield Observation("the same payment twice is one payment", "REST", f"bill {invoice['bill_number']}")
        issued = self._until("the case to be issued", lambda: self._issued(number, centre))
        self._licence = issued["licence"]
        yield Observation("the licence is issued", "REST", f"{self._licence}, {invoice['amount']} SAR")
        self._pdf.write_bytes(self._until("the document", lambda: self._document(centre)))
        text = _output("pdftotext", "-layout", str(self._pdf), "-")
        _contains("the text of the PDF", text, self._licence)
        yield Observation(
            "the PDF holds the licence's number", "pdftotext", f"{self._pdf.stat().st_size:,} bytes"
        )

    def _verify(self) -> Iterator[Observation]:
        answer = self._get(f"/v1/verify/{self._licence}")
        _same("the status", answer["status"], "valid")
        yield Observation("anyone can verify it online", "REST without a token", answer["status"])
        keys = self._lab.folder / "keys.json"
        keys.write_text(json.dumps(self._get("/.well-known/rakeeza-keys.json")))
        self._lab.rakeeza("licence", "verify", str(self._pdf), "--keys", str(keys))
        yield Observation(
            "its QR verifies from the PDF, with the public keys alone", "rakeeza licence verify", "valid"
        )
        pages = self._lab.folder / "licence"
        _output("pdftoppm", "-r", "150", "-png", "-singlefile", str(self._pdf), str(pages))
        qr = self._qr = _output("zbarimg", "-q", "--raw", f"{pages}.png").strip()
        yield Observation("another reader sees the same QR", "zbarimg", f"{qr[:24]}… ({len(qr)} characters)")
        forged = _with_another_number(qr, self._licence)
        refused = self._lab.rakeeza_fails("licence", "verify", forged, "--keys", str(keys))
        yield Observation(
            "a QR with another number is refused", "rakeeza licence verify", refused.splitlines()[0]
        )

    def _kiosk(self) -> Iterator[Observation]:
        kiosk = self._lab.kiosk
        kiosk.scan(self._licence)
        self._until("the kiosk's screen", lambda: _holding(self._licence, kiosk.screen()))
        page = _output(*_BROWSER, "--dump-dom", kiosk.url)
        _contains("the page", page, self._licence)
        _contains("the page", page, '<html lang="ar" dir="rtl"')
        yield Observation("the screen shows the licence, right to left", "Chromium", _heading(page))
        kiosk.press("en")
        _contains("the page", kiosk.screen(), '<html lang="en" dir="ltr"')
        yield Observation("and in English by a button", "HTTP", _heading(kiosk.screen()))
        kiosk.press("print")
        paper = self._until("the printer", kiosk.receipt)
        qr = _output("zbarimg", "-q", "--raw", paper).strip()
        _same("the QR on the paper", qr, self._qr)
        yield Observation(
            "the printer cut off the receipt", "zbarimg on the paper", f"{paper.name}, the same QR"
        )

    def _token(self, account: str) -> str:
        who = self._lab.accounts[account]
        answer = self._api.post(
            "/v1/oauth/token", data={"grant_type": "client_credentials"}, auth=(who.client_id, who.secret)
        )
        return str(_accepted(answer)["access_token"])

    def _get(self, path: str, token: str | None = None) -> Any:
        return _accepted(self._api.get(path, headers=_bearer(token)))

    def _post(self, path: str, token: str, key: str, body: dict[str, Any] | None = None) -> Any:
        headers = {**_bearer(token), "Idempotency-Key": f"{self._telling}-{key}"}
        return _accepted(self._api.post(path, json=body or {}, headers=headers))

    def _issued(self, number: str, token: str) -> Any:
        case = self._get(f"/v1/cases/{number}", token)
        return case if case["state"] == "issued" else None

    def _document(self, token: str) -> bytes | None:
        answer = self._api.get(f"/v1/licences/{self._licence}/document.pdf", headers=_bearer(token))
        return answer.content if answer.status_code == 200 else None

    def _streamed(self, path: str, token: str, last: str) -> list[str]:
        kinds: list[str] = []
        with self._api.stream("GET", path, headers=_bearer(token)) as answer:
            for line in answer.iter_lines():
                if line.startswith("event:"):
                    kinds.append(line.removeprefix("event:").strip())
                    if kinds[-1] == last:
                        return kinds
        raise Refused(f"The event stream ended without {last}.", place=path)

    def _query(self, expression: str) -> tuple[dict[str, str], str] | None:
        url = f"{self._lab.faces.prometheus}/api/v1/query"
        result = _accepted(self._api.get(url, params={"query": expression}))["data"]["result"]
        return (result[0]["metric"], result[0]["value"][1]) if result else None

    def _until(self, what: str, look: Callable[[], Any]) -> Any:
        limit = time.monotonic() + PATIENCE
        while time.monotonic() < limit:
            seen = look()
            if seen:
                return seen
            time.sleep(0.1)
        raise Unavailable(
            f"Waited {PATIENCE:.0f} s for {what}.", remedy=f"Read the logs in {self._lab.faces.logs}."
        )


def _bearer(token: str | None) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"} if token else {}


def _accepted(answer: httpx.Response) -> Any:
    if answer.is_error:
        raise Refused(f"{answer.status_code}: {answer.text}", place=str(answer.url))
    return answer.json()


def _with_another_number(qr: str, number: str) -> str:
    # A forger's work: unpacked, one digit changed, packed again. Only the signature can tell.
    head, _, body = qr.partition(":")
    signed = zlib.decompress(base45.b45decode(body))
    changed = signed.replace(number.encode(), number[:-1].encode() + (b"7" if number[-1] != "7" else b"8"))
    return f"{head}:{base45.b45encode(zlib.compress(changed)).decode()}"


def _heading(page: str) -> str:
    heading = page.partition("<h1")[2].partition(">")[2].partition("</h1>")[0]
    return re.sub("<[^>]*>", "", heading).strip()


def _holding(part: str, text: str) -> str | None:
    return text if part in text else None


def _same(what: str, seen: object, wanted: object) -> None:
    if seen != wanted:
        raise Refused(f"{what} is {seen!r} and not {wanted!r}.")


def _contains(what: str, text: str, part: str) -> None:
    if part not in text:
        raise Refused(f"{part!r} does not stand in {what}.")


def _output(*argv: str | Path) -> str:
    done = subprocess.run(
        [str(word) for word in argv], capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    if done.returncode:
        raise Refused(f"{argv[0]} ended with {done.returncode}: {done.stderr.strip()}")
    return done.stdout
