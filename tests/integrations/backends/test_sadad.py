"""The driver of the payment system as a back-end that is asked how a bill stands."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from foundation.secret import Secret, SecretFile
from foundation.settings import Settings
from integrations.backend import Backend
from integrations.backend_drivers import open_backends
from lab.backends.running import Running
from tests.integrations.backends.conformance import NOW, PATIENT, TOKEN, Conformance, Example, Subject
from tests.integrations.backends.payment_system import PaymentSystem, payment_system, section_of

PAID, PARTLY, UNPAID, EXPIRED, UNKNOWN = (f"26000000000{number}" for number in (13, 21, 39, 47, 54))


class TestSadad(Conformance):
    driver = "sadad"
    examples = (
        Example({"bill_number": PAID}, "paid"),
        Example({"bill_number": PARTLY}, "partly_paid"),
        Example({"bill_number": UNPAID}, "unpaid"),
        Example({"bill_number": EXPIRED}, "expired"),
        Example({"bill_number": UNKNOWN}, "unknown"),
    )
    wrong = ("bill_number", "26000000000x1")

    @pytest.fixture(scope="class")
    @classmethod
    def running(cls) -> Iterator[Running]:
        """A payment system that knows these bills."""
        with payment_system(NOW) as one:
            _tell(one, "first", [(each, "new", "115.58") for each in (PAID, PARTLY, UNPAID, EXPIRED)])
            _tell(one, "second", [(EXPIRED, "expired", "0.00")])
            one.pay(PAID, "115.58", notified=False)
            one.pay(PARTLY, "15.58", notified=False)
            yield one

    @pytest.fixture
    def subject(self, running: Running, tmp_path: Path) -> Subject:
        """The driver; it believes nothing that is not signed."""
        secrets = SecretFile(tmp_path / "secrets.json", tmp_path / "secrets.key")
        secrets.set("token", Secret(TOKEN))
        running.behave("answer")

        def opened(**more: Any) -> Backend:
            limits = {"timeout": PATIENT, "attempts": 1, "failures": 0, "secret": "token"}
            section = section_of(running, tmp_path, **{**limits, **more})
            return open_backends(Settings(backends={"asked": section}), secrets, lambda: NOW)["asked"]

        return Subject(running, opened)


def _tell(system: PaymentSystem, key: str, bills: list[tuple[str, str, str]]) -> None:
    told = [
        {"bill_number": number, "status": status, "amount": amount, "due": "2026-12-01"}
        for number, status, amount in bills
    ]
    headers = {"Authorization": f"Bearer {TOKEN}", "Idempotency-Key": key}
    answer = system.post("/bills/uploads", {"upload": key, "bills": told}, **headers)
    assert answer["discrepancies"] == []
