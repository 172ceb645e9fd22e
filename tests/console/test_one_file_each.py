"""One new thing is one new file: a service, a device model, a driver and a playbook, each run end to end.

The four files stand in `one_file_each/`; the lab's settings name folders they are copied to, and nothing else
of the product is touched.
"""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from PIL import Image

from lab.municipality import Municipality, municipality
from tests.processes import PATIENCE, ROOT, until

FILES = Path(__file__).parent / "one_file_each"
PRODUCT = ("foundation", "infra", "monitoring", "integrations", "kiosks", "console", "playbooks")
STX, ETX = b"\x02", b"\x03"


def fingerprint() -> str:
    """What the product's own folders hold, byte for byte."""
    whole = hashlib.sha256()
    for part in PRODUCT:
        for path in sorted((ROOT / part).rglob("*")):
            if path.is_file() and path.suffix != ".pyc":
                whole.update(str(path.relative_to(ROOT)).encode() + b"\0" + path.read_bytes())
    return whole.hexdigest()


@pytest.fixture(scope="module")
def lab() -> Iterator[Municipality]:
    before = fingerprint()
    folder = Path(tempfile.mkdtemp(prefix="rakeeza-test-"))
    added = {}
    for name in ("street_stall.yaml", "snmp_engine.yaml", "framed_scanner.py", "greeting.yml"):
        added[name] = folder / Path(name).stem
        added[name].mkdir()
        shutil.copy(FILES / name, added[name])
    settings = {
        "licences": {"folders": [str(added["street_stall.yaml"])]},
        "monitoring": {"folders": [str(added["snmp_engine.yaml"])]},
        "plays": {"folders": [str(added["greeting.yml"])]},
    }
    terminal = {"driver_folders": [str(added["framed_scanner.py"])]}
    scanner = {"class": "BarcodeReader", "driver": "framed_scanner"}
    # PostgreSQL's own user must be able to pass through the folder around the lab's as well.
    folder.chmod(0o711)
    with municipality(folder / "lab", settings, terminal, scanner) as running:
        yield running
    shutil.rmtree(folder)
    assert fingerprint() == before


@pytest.fixture(scope="module")
def api(lab: Municipality) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=lab.faces.api, timeout=PATIENCE) as client:
        yield client


def token(api: httpx.Client, lab: Municipality, account: str) -> dict[str, str]:
    who = lab.accounts[account]
    answer = api.post(
        "/v1/oauth/token", data={"grant_type": "client_credentials"}, auth=(who.client_id, who.secret)
    )
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


@pytest.fixture(scope="module")
def permit(lab: Municipality, api: httpx.Client) -> str:
    """A street stall permit, issued by REST."""
    centre, payment = token(api, lab, "centre"), token(api, lab, "payment")

    def post(path: str, who: dict[str, str], body: dict[str, object]) -> dict[str, str]:
        answer = api.post(path, json=body, headers={**who, "Idempotency-Key": path.replace("/", ".")})
        assert answer.status_code == 201, answer.text
        done: dict[str, str] = answer.json()
        return done

    applicant = {
        "kind": "national_id",
        "identifier": "1058529940",
        "name": "سعد بن محمد الأحمدي",
        "mobile": "+966501234567",
    }
    form = {"goods": "تمور", "years": 1}
    application: dict[str, object] = {"service": "street_stall", "applicant": applicant, "form": form}
    number = post("/v1/cases", centre, application)["number"]
    assert post(f"/v1/cases/{number}/quote", centre, {})["total"] == "100.00"
    bill = post(f"/v1/cases/{number}/invoice", centre, {})
    notice = {"bill_number": bill["bill_number"], "amount": bill["amount"]}
    post("/v1/payments", payment, {**notice, "paid_at": "2026-11-22T10:00:00Z", "reference": "STALL-1"})
    return str(api.get(f"/v1/cases/{number}", headers=centre).json()["licence"])


def test_a_service_is_one_file(api: httpx.Client, permit: str) -> None:
    assert permit.startswith("ST-")
    answer = api.get(f"/v1/verify/{permit}").json()
    assert answer["status"] == "valid"
    assert answer["title"]["ar"] == "تصريح بسطة"


def test_a_kiosk_driver_is_one_file(lab: Municipality, permit: str) -> None:
    lab.kiosk.devices.scanner_sends(STX + permit.encode() + ETX)
    until(lambda: permit in lab.kiosk.screen(), "the permit on the screen")
    lab.kiosk.press("print")
    until(lambda: lab.kiosk.receipt() is not None, "the receipt")
    printed = lab.kiosk.receipt()
    assert printed is not None
    with Image.open(printed) as paper:
        assert paper.convert("L").getextrema() == (0, 255)


def test_a_device_model_is_one_file(lab: Municipality) -> None:
    metric = "snmp_engine_boot_events_total"
    poll = ("monitor", "poll", lab.snmpd.address, "--community", lab.snmpd.community, "--format", "json")
    rows = [row for row in json.loads(lab.rakeeza(*poll)) if row["metric"] == metric]
    boots = float(lab.snmpget("1.3.6.1.6.3.10.2.1.2.0"))
    assert [row["value"] for row in rows] == [boots]
    page = httpx.get(f"{lab.faces.collector}/probe", params={"target": "lab-server"}, timeout=PATIENCE).text
    assert f"\n{metric} {boots:g}\n" in page


def test_a_playbook_is_one_file(lab: Municipality) -> None:
    lab.rakeeza("play", "run", "greeting", "--limit", "lab-server", "--param", "greeted=municipality")
    assert lab.ssh("cat", "greetings/greeting.txt") == "Welcome, municipality.\n"
