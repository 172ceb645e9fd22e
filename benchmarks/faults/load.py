"""Clients that issue licences as fast as they are served: BASE CLIENTS LICENCES; prints licences a second.

Tokens and the application come as JSON on the standard input.
"""

import http.client
import json
import sys
import threading
import time
import uuid
from typing import Any
from urllib.parse import urlsplit


def main() -> None:
    """Run, and print."""
    base, clients, licences = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    given = json.load(sys.stdin)
    faults: list[str] = []
    threads = [
        threading.Thread(target=_work, args=(base, given, licences // clients, faults))
        for _ in range(clients)
    ]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        sys.exit(faults[0])
    print(licences // clients * clients / (time.perf_counter() - start))


def _work(base: str, given: dict[str, Any], count: int, faults: list[str]) -> None:
    try:
        client = _Client(base, given["tokens"])
        for _ in range(count):
            _licence(client, given["application"])
    except Exception as error:  # noqa: BLE001 -- told by the main thread
        faults.append(repr(error))


def _licence(client: "_Client", application: dict[str, Any]) -> None:
    key = str(uuid.uuid4())
    number = client.post("centre", "/v1/cases", f"{key}-1", application)["number"]
    client.post("centre", f"/v1/cases/{number}/quote", f"{key}-2", None)
    bill = client.post("centre", f"/v1/cases/{number}/invoice", f"{key}-3", None)
    notice = {
        "bill_number": bill["bill_number"],
        "amount": bill["amount"],
        "paid_at": "2026-11-22T12:00:00Z",
        "reference": key,
    }
    if not client.post("payment", "/v1/payments", f"{key}-4", notice)["settled"]:
        raise RuntimeError(f"the bill of {number} is not settled")


class _Client:
    def __init__(self, base: str, tokens: dict[str, str]) -> None:
        address = urlsplit(base)
        self._connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=60)
        self._tokens = tokens

    def post(self, role: str, path: str, key: str, body: Any) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {self._tokens[role]}", "Idempotency-Key": key}
        content = None
        if body is not None:
            content, headers["Content-Type"] = json.dumps(body).encode(), "application/json"
        self._connection.request("POST", path, content, headers)
        answer = self._connection.getresponse()
        told = answer.read()
        if answer.status != 201:
            raise RuntimeError(f"{path}: {answer.status} {told[:300]!r}")
        found: dict[str, Any] = json.loads(told)
        return found


if __name__ == "__main__":
    main()
