"""Clients of the API that never give up a request, and note what they are told in a file."""

import json
import random
import threading
import time
import uuid
from pathlib import Path
from typing import Any

import httpx

_STEPS = ("submit", "quote", "invoice", "pay")


class Teller:
    """One client: licence after licence, each request repeated under its key until it is answered.

    Args:
        base: URL of the API.
        tokens: bearer tokens of the roles centre and payment.
        application: body of a submission.
        told: file that gets one JSON line for each request begun and each answer.
    """

    def __init__(self, base: str, tokens: dict[str, str], application: dict[str, Any], told: Path) -> None:
        self._base = base
        self._tokens = tokens
        self._application = application
        self._file = told.open("a", encoding="utf-8")
        self._client = httpx.Client(base_url=base, timeout=20.0)
        self.retries = 0
        self.faults: list[str] = []

    def work(self, stop: threading.Event) -> None:
        """Issue licences until told to stop; the one begun is brought to its end."""
        while not stop.is_set() and not self.faults:
            self._licence(str(uuid.uuid4()))
        self._file.close()

    def _licence(self, key: str) -> None:
        case = self._write(key, "submit", "centre", "/v1/cases", self._application)
        if case is None:
            return
        path = f"/v1/cases/{case['number']}"
        self._write(key, "quote", "centre", f"{path}/quote", None)
        bill = self._write(key, "invoice", "centre", f"{path}/invoice", None)
        if bill is None:
            return
        notice = {
            "bill_number": bill["bill_number"],
            "amount": bill["amount"],
            "paid_at": "2026-11-22T12:00:00+03:00",
            "reference": key,
        }
        self._write(key, "pay", "payment", "/v1/payments", notice)

    def _write(self, key: str, step: str, role: str, path: str, body: Any) -> dict[str, Any] | None:
        headers = {"Authorization": f"Bearer {self._tokens[role]}", "Idempotency-Key": f"{key}-{step}"}
        self._keep({"key": key, "step": step, "asked": True})
        while True:
            try:
                answer = self._client.post(path, json=body, headers=headers)
            except httpx.HTTPError:
                answer = None
            if answer is not None and answer.status_code == 201:
                told: dict[str, Any] = answer.json()
                self._keep({"key": key, "step": step, "told": told})
                return told
            if answer is not None and answer.status_code < 500:
                self.faults.append(f"{step} of {key}: {answer.status_code} {answer.text[:300]}")
                return None
            if answer is not None and answer.status_code == 500:
                self.faults.append(f"{step} of {key}: 500 {answer.text[:300]}")
            self.retries += 1
            time.sleep(random.uniform(0.02, 0.2))

    def _keep(self, line: dict[str, Any]) -> None:
        self._file.write(json.dumps(line, ensure_ascii=False) + "\n")
        self._file.flush()
