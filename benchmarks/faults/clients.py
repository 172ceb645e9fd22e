"""Clients of the API that never give up a request, and note what they are told in a file."""

import json
import random
import threading
import time
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

import httpx

Habit = Literal["immediate", "reviewed", "withdrawn"]
"""What a client does with its cases: an activity that needs no review; one that an officer approves, with
documents, paid in two parts; one that is withdrawn when it is billed, and then paid all the same."""

_REVIEWED = "561010"
# The least PNG that is one: what a document is, is judged by its content.
_PICTURE = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c63f8cfc0f01f00050001ff89993d1d"
    "0000000049454e44ae426082"
)


class Teller:
    """One client: case after case, each request repeated under its key until it is answered.

    Args:
        base: URL of the API.
        tokens: bearer tokens of the roles centre, reviewer and payment.
        application: body of a submission.
        told: file that gets one JSON line for each request begun and each answer.
        habit: what it does with a case.
        pause: most seconds between two cases.
    """

    def __init__(
        self,
        base: str,
        tokens: dict[str, str],
        application: dict[str, Any],
        told: Path,
        habit: Habit = "immediate",
        pause: float = 0.0,
    ) -> None:
        self._tokens = tokens
        self._application = application
        if habit == "reviewed":
            self._application = {**application, "form": {**application["form"], "activity": _REVIEWED}}
        self._file = told.open("a", encoding="utf-8")
        self._client = httpx.Client(base_url=base, timeout=20.0)
        self._habit = habit
        self._pause = pause
        self.retries = 0
        self.faults: list[str] = []

    def work(self, stop: threading.Event) -> None:
        """Bring case after case to its end until told to stop; the one begun is the last."""
        try:
            while not stop.is_set() and not self.faults:
                self.case(str(uuid.uuid4()))
                stop.wait(random.uniform(0.0, self._pause))
        except Exception as error:  # noqa: BLE001 -- told by the campaign
            self.faults.append(repr(error))
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._file.close()
        self._client.close()

    def case(self, key: str) -> None:
        """Bring one case to its end.

        Args:
            key: of the case; each request's own begins with it.
        """
        number = self._post(key, "submit", "centre", "/v1/cases", self._application)["number"]
        path = f"/v1/cases/{number}"
        if self._habit == "reviewed":
            self._hand_in(key, path)
            self._post(key, "approve", "reviewer", f"{path}/actions/approve", {})
        self._post(key, "quote", "centre", f"{path}/quote")
        bill = self._post(key, "invoice", "centre", f"{path}/invoice")
        if self._habit == "withdrawn":
            self._post(key, "withdraw", "centre", f"{path}/actions/withdraw_billed", {})
        parts = [Decimal(bill["amount"])]
        if self._habit == "reviewed":
            parts = [Decimal("100.00"), parts[0] - 100]
        for place, amount in enumerate(parts, 1):
            notice = {
                "bill_number": bill["bill_number"],
                "amount": f"{amount:.2f}",
                "paid_at": "2026-11-22T09:00:00+03:00",
                "reference": f"{key}-{place}",
            }
            self._post(key, f"pay-{place}", "payment", "/v1/payments", notice)

    def _hand_in(self, key: str, path: str) -> None:
        headers = {"Authorization": f"Bearer {self._tokens['centre']}"}
        asked = self._answered(lambda: self._client.get(f"{path}/documents", headers=headers), 200, path)
        for document in asked["items"]:
            if document["required"]:
                code = document["code"]
                self._write(
                    key, f"document-{code}", "centre", "PUT", f"{path}/documents/{code}?name=p.png", None
                )

    def _post(self, key: str, step: str, role: str, path: str, body: Any = None) -> dict[str, Any]:
        return self._write(key, step, role, "POST", path, body)

    def _write(self, key: str, step: str, role: str, method: str, path: str, body: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._tokens[role]}", "Idempotency-Key": f"{key}-{step}"}
        mine = {"key": key, "step": step, "habit": self._habit}
        content = None
        if method == "PUT":
            content, headers["Content-Type"] = _PICTURE, "image/png"
        elif body is not None:
            content, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        self._keep({**mine, "sent": body})
        told = self._answered(
            lambda: self._client.request(method, path, content=content, headers=headers), 201, f"{step} {key}"
        )
        self._keep({**mine, "told": told})
        return told

    def _answered(self, ask: Any, wanted: int, name: str) -> dict[str, Any]:
        while True:
            try:
                answer = ask()
            except httpx.HTTPError:
                answer = None
            if answer is not None and answer.status_code == wanted:
                told: dict[str, Any] = answer.json()
                return told
            # What the platform may say while a part of it is gone is 503, and nothing else.
            if answer is not None and answer.status_code != 503:
                raise _Refused(f"{name}: {answer.status_code} {answer.text[:400]}")
            self.retries += 1
            time.sleep(random.uniform(0.02, 0.2))

    def _keep(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._file.flush()


class _Refused(Exception):
    """An answer that no client should get."""
