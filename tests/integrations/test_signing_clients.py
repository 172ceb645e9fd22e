"""The clients of docs/centres.md, each on its own: they issue a licence, or are told why they may not."""

import json
import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from sqlalchemy import text

from foundation.errors import RakeezaError, problem
from integrations.centres import proof_refusals, refusals
from tests.integrations.desk import ADMINISTRATOR, FORM, PNG, REVIEWED, REVIEWER, message
from tests.integrations.signed_town import AMAL, CODE, DEVICE, Kit, Town, pem
from tests.processes import PATIENCE

pytest_plugins = ["tests.integrations.signed_fixtures"]

SIGNER = Path(__file__).parents[1] / "clients" / "curl" / "sign.sh"
DOCS = Path(__file__).parents[2] / "docs" / "centres.md"


@dataclass
class Curl:
    """A developer with a shell, openssl and curl.

    Args:
        folder: holds the files that the shell names.
    """

    town: Town
    kit: Kit
    folder: Path
    more: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.folder / "centre.key").write_bytes(pem(self.kit.key))
        (self.folder / "centre.pem").write_bytes(self.kit.certificate)
        (self.folder / "clerk.key").write_bytes(pem(self.kit.clerks[AMAL].key))

    def __call__(self, method: str, path: str, body: bytes = b"", **more: str) -> tuple[int, bytes]:
        """Status and body of one request."""
        (self.folder / "body").write_bytes(body)
        told = {
            "PATH": os.environ["PATH"],
            "API": self.town.url,
            "CENTRE": self.kit.code,
            "CENTRE_KEY": "centre.key",
            "CENTRE_CERT": "centre.pem",
            "CLERK_KEY": "clerk.key",
            **self.more,
            **more,
        }
        command = ["sh", str(SIGNER), method, path, *(["body"] if body else [])]
        done = subprocess.run(
            command, cwd=self.folder, env=told, capture_output=True, timeout=PATIENCE, check=False
        )
        lines = done.stderr.decode().splitlines()
        assert lines[-1].startswith("HTTP "), done.stderr.decode()
        status = int(lines[-1].removeprefix("HTTP "))
        assert done.returncode == (0 if 200 <= status < 300 else 22)
        return status, done.stdout


@dataclass
class Httpx:
    """A developer with Python and httpx."""

    town: Town
    http: httpx.Client

    def __call__(self, method: str, path: str, body: bytes = b"", **more: str) -> tuple[int, bytes]:
        """Status and body of one request."""
        kind = more.get("CONTENT_TYPE", "application/json")
        headers = {"Content-Type": kind} if body else {}
        if method != "GET":
            headers["Idempotency-Key"] = more.get("IDEMPOTENCY", str(uuid.uuid4()))
        answer = self.http.request(method, self.town.url + path, content=body, headers=headers)
        return answer.status_code, answer.content


Client = Callable[..., tuple[int, bytes]]


@pytest.fixture(params=["curl", "curl with RSA", "httpx", "httpx with RSA"])
def client(request: pytest.FixtureRequest, town: Town, kit: Kit, tmp_path: Path) -> Iterator[Client]:
    """Each client, with a key of each kind."""
    if request.param.endswith("RSA"):
        town.certify(CODE, kit.key)
        by_rsa = town.certify(CODE, rsa.generate_private_key(65537, 2048))
        by_rsa.clerks = kit.clerks
        kit = town.kits[CODE] = by_rsa
    if request.param.startswith("curl"):
        yield Curl(town, kit, tmp_path)
        return
    with httpx.Client(auth=town.auth(kit), timeout=60) as http:
        yield Httpx(town, http)


def done(answer: tuple[int, bytes]) -> dict[str, Any]:
    """The JSON of a request that succeeded."""
    status, body = answer
    assert status in (200, 201), body
    told: dict[str, Any] = json.loads(body)
    return told


def submission(form: dict[str, Any]) -> bytes:
    """An application, as it is sent."""
    return json.dumps(message(form), ensure_ascii=False).encode()


def test_a_client_issues_a_shop_licence(town: Town, client: Client) -> None:
    number = done(client("POST", "/v1/cases", submission(REVIEWED)))["number"]
    for asked in done(client("GET", f"/v1/cases/{number}"))["documents"]:
        if asked["required"]:
            path = f"/v1/cases/{number}/documents/{asked['code']}?name=scan.png&x=%D8%B5"
            done(client("PUT", path.partition("&")[0], PNG, CONTENT_TYPE="application/octet-stream"))
    town.desk.do.take(REVIEWER, number, "approve")
    done(client("POST", f"/v1/cases/{number}/quote"))
    bill = done(client("POST", f"/v1/cases/{number}/invoice"))
    town.desk.pay(bill["bill_number"], bill["amount"])
    case = done(client("GET", f"/v1/cases/{number}"))
    licence = done(client("GET", f"/v1/licences/{case['licence']}"))
    assert (licence["number"], case["state"]) == (case["licence"], "issued")
    # Each write kept the proof of who asked for it, and the chains that name them are whole.
    with town.desk.database.transaction() as session:
        clerks = session.execute(text("SELECT DISTINCT caller, clerk FROM act_proof")).all()
        assert [tuple(row) for row in clerks] == [(f"client/{CODE}", AMAL)]
    assert town.desk.breaks() == []


def test_a_write_that_is_sent_again_is_done_once(town: Town, client: Client) -> None:
    first, again = (
        done(client("POST", "/v1/cases", submission(FORM), IDEMPOTENCY="the-same-key-twice"))
        for _ in range(2)
    )
    assert first["number"] == again["number"]
    assert town.desk.count("case_file") == 1


def test_a_client_is_told_why_it_is_refused(town: Town, client: Client) -> None:
    centres = town.desk.licensing.centres
    done(client("POST", "/v1/cases", submission(FORM)))
    centres.revoke_key(ADMINISTRATOR, CODE, AMAL, town.kits[CODE].clerks[AMAL].thumbprint)
    status, body = client("POST", "/v1/cases", submission(FORM))
    assert (status, json.loads(body)["type"]) == (403, "urn:rakeeza:problem:clerk-key-revoked")
    assert json.loads(body)["detail_ar"]
    centres.suspend(ADMINISTRATOR, CODE, "An inspection.")
    status, body = client("GET", "/v1/cases")
    assert status in (400, 403)
    assert town.desk.count("case_file") == 1


def test_the_shell_works_at_a_device_and_says_which(town: Town, kit: Kit, tmp_path: Path) -> None:
    shell = Curl(town, kit, tmp_path, {"DEVICE": DEVICE})
    done(shell("POST", "/v1/cases", submission(FORM)))
    with town.desk.database.transaction() as session:
        proof = session.execute(text("SELECT proof FROM act_proof")).scalar_one()
    assert proof["device"] == DEVICE
    status, body = Curl(town, kit, tmp_path, {"DEVICE": "elsewhere"})("POST", "/v1/cases", submission(FORM))
    assert (status, json.loads(body)["type"]) == (403, "urn:rakeeza:problem:device-not-allowed")


def test_the_shell_fills_up_the_shorter_numbers_of_a_signature() -> None:
    functions = SIGNER.read_text().partition("\nb64()")[2].partition("\n# Signs standard input")[0]
    for r, s in ((2**255, 1), (2**247 + 1, 2**256 - 1), (127, 128), (0x0A << 240, 0xFF00FF)):
        given = subprocess.run(
            ["sh", "-euc", f"b64(){functions}\ntwo_numbers"],
            input=encode_dss_signature(r, s),
            capture_output=True,
            timeout=PATIENCE,
            check=True,
        ).stdout
        assert given == r.to_bytes(32, "big") + s.to_bytes(32, "big")


def test_the_page_for_developers_names_every_refusal_of_a_signature() -> None:
    page = DOCS.read_text(encoding="utf-8")
    kinds = [
        kind
        for module in (proof_refusals, refusals)
        for kind in vars(module).values()
        if isinstance(kind, type) and issubclass(kind, RakeezaError) and kind.__module__ == module.__name__
    ]
    assert kinds
    for kind in kinds:
        sample = kind.__new__(kind)
        RakeezaError.__init__(sample, "")
        assert f"`{problem(sample)['type'].rpartition(':')[2]}`" in page, kind
