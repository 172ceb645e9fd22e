"""A private service centre of the story: its own key, its own software in PHP, and what stops it."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from foundation.errors import Refused
from lab.case_story import APPLICATION, CaseStory
from lab.municipality import Municipality
from lab.observing import PATIENCE, Api, Observation, Step, contains, output, same

# Of the examples for developers of centres: PHP's own SoapClient, and not a line of ours in between.
_CLIENT = Path(__file__).parents[1] / "tests" / "clients" / "php" / "centre_client.php"
_REFUSED = 22
_CODE, _CLERK = "centre-7", "amal"
_PERSON = ("--name", "أمل بنت محمد العتيبي", "--kind", "national_id", "--identifier", "1028374658")
_CONTRACT = {
    "reference": "1448/7",
    "first_day": "2026-01-01",
    "last_day": "2028-12-31",
    "services": {"shop_licence": {"share": {"percent": "12.50"}}},
    "branches": {"mall": {"ar": "المجمع", "en": "The mall"}},
    "quota": {"day": 200},
}


class CentreStory:
    """The steps about a private centre, in order.

    Args:
        lab: the running lab.
        api: its API.
        cases: the desks beside it; the bank is theirs.
    """

    def __init__(self, lab: Municipality, api: Api, cases: CaseStory) -> None:
        self._lab, self._api, self._cases = lab, api, cases
        self._folder = lab.folder / _CODE
        self._told: dict[str, str] = {}

    def steps(self) -> list[Step]:
        """These steps, from top to bottom."""
        return [
            Step("Agree with a private centre and certify its key", self._agree),
            Step("Issue a licence by SOAP, from the centre's own software", self._issue),
            Step("Stop the centre", self._stop),
        ]

    def _agree(self) -> Iterator[Observation]:
        lab, folder = self._lab, self._folder
        # In a folder that was used before the centre is known already; a new key is given all the same.
        known = folder.exists()
        folder.mkdir(exist_ok=True)
        folder.chmod(0o700)
        if not known:
            contract = folder / "contract.yaml"
            contract.write_text(yaml.safe_dump(_CONTRACT, allow_unicode=True), encoding="utf-8")
            titles = ("--title-ar", "مركز الخدمة السابع", "--title-en", "Service centre 7")
            lab.rakeeza("centre", "add", _CODE, str(contract), *titles)
            lab.rakeeza("centre", "clerk", "add", _CODE, _CLERK, *_PERSON, "--branch", "mall")
        key, request, certificate = folder / "centre.key", folder / "centre.csr", folder / "centre.pem"
        output("openssl", "req", "-new", "-newkey", "rsa:2048", "-noenc", "-subj", f"/CN={_CODE}",
               "-keyout", key, "-out", request)  # fmt: skip
        lab.rakeeza("centre", "rotate-key", _CODE, str(request), "--out", str(certificate), "--revoke-old")
        authority = folder / "authority.pem"
        found = self._api.asked("/.well-known/rakeeza-centres.cer").content
        (folder / "authority.cer").write_bytes(found)
        output("openssl", "x509", "-inform", "DER", "-in", folder / "authority.cer", "-out", authority)
        contains("the verdict", output("openssl", "verify", "-CAfile", authority, certificate), "OK")
        days = output("openssl", "x509", "-in", certificate, "-noout", "-enddate").strip()
        yield Observation("its certificate holds under the municipality's authority", "openssl verify", days)
        secret = lab.rakeeza("centre", "clerk", "secret", _CODE, _CLERK).strip()
        self._told = {
            "API": lab.faces.tls,
            "CENTRE_KEY": str(key),
            "CENTRE_CERT": str(certificate),
            "CLERK": f"{_CLERK}@{_CODE}",
            "CLERK_SECRET": secret,
            "CA": str(authority),
            "SOAP": "1.2",
        }

    def _issue(self) -> Iterator[Observation]:
        opened = self._soap("Submit", {**APPLICATION, "idempotencyKey": f"{self._api.telling}-submit"})
        number = str(opened["number"])
        yield Observation("an application, signed by the centre and its clerk", "PHP's SoapClient", number)
        for operation in ("Quote", "Invoice"):
            key = f"{self._api.telling}-{operation}"
            bill = self._soap(operation, {"number": number, "idempotencyKey": key})
        self._cases.pay({"bill_number": bill["bill_number"]}, str(bill["amount"]), "centre")
        case = self._soap("GetCase", {"number": number})
        same("the state", case["state"], "issued")
        licence = str(case["licence"])
        same("the status", self._api.get(f"/v1/verify/{licence}")["status"], "valid")
        yield Observation("its licence verifies for everyone", "REST without a token", licence)
        journal = self._api.get(f"/v1/cases/{number}", "reviewer")["journal"]
        acts = {entry["details"].get("clerk") for entry in journal}
        contains("the journal", str(acts), _CLERK)
        yield Observation("the journal names the clerk", "REST", f"{_CLERK} of {_CODE}")

    def _stop(self) -> Iterator[Observation]:
        self._lab.rakeeza("centre", "suspend", _CODE, "--reason", "زيارة تفتيشية")
        try:
            problem = self._refusal("Submit", {**APPLICATION, "idempotencyKey": f"{self._api.telling}-late"})
        finally:
            self._lab.rakeeza("centre", "resume", _CODE, "--reason", "انتهت الزيارة")
        contains("the fault", problem["type"], "centre-suspended")
        yield Observation("once suspended it is refused at once", "PHP's SoapClient", problem["detail_ar"])
        again = self._soap("ListServices", {})
        contains("what the centre reads", json.dumps(again), "shop_licence")
        yield Observation("and works on when it is resumed", "PHP's SoapClient", "ListServices")

    def _soap(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        done = self._ask(operation, request)
        if done.returncode:
            raise Refused(f"{operation} by SOAP ended with {done.returncode}: {done.stdout}{done.stderr}")
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def _refusal(self, operation: str, request: dict[str, Any]) -> dict[str, Any]:
        done = self._ask(operation, request)
        same(f"the outcome of {operation}", done.returncode, _REFUSED)
        problem: dict[str, Any] = json.loads(done.stdout)["problem"]
        return problem

    def _ask(self, operation: str, request: dict[str, Any]) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["php", str(_CLIENT), operation],
            input=json.dumps(request),
            env={"PATH": os.environ["PATH"], **self._told},
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
