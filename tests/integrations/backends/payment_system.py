"""The simulated payment system as the tests use it, beside the suite's modes."""

import contextlib
import http.client
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

from foundation.guard import free_port
from foundation.secret import Secret, SecretFile
from foundation.settings import Backend as Section
from lab.backends.running import Running
from lab.backends.sadad_server import Mode
from tests.integrations.backends.conformance import TOKEN


class PaymentSystem(Running):
    """A running payment system."""

    def told(
        self,
        mode: str = "answer",
        *,
        times: int | None = None,
        seconds: float = 0.0,
        refused: dict[str, str] | None = None,
        unsettled: tuple[str, ...] = (),
        notices: str | None = None,
        forget: bool = False,
    ) -> None:
        """Say how it is to behave, which bills it refuses, and which days it has not settled.

        Args:
            forget: all that it was told so far.
        """
        assert mode in get_args(Mode)
        wanted: dict[str, Any] = {"mode": mode, "times": times, "seconds": seconds}
        wanted |= {"refused": refused or {}, "unsettled": list(unsettled), "forget": forget}
        if notices is not None:
            wanted["notices"] = notices
        self.post("/control", wanted)

    def pay(self, bill: str, amount: str, **more: Any) -> dict[str, Any]:
        """Let somebody pay a bill at a bank: the reference, and what the biller answered to the notice."""
        found: dict[str, Any] = self.post("/pay", {"bill_number": bill, "amount": amount, **more})
        return found

    def owed(self) -> dict[str, str]:
        """What it shows of each bill as still to be paid."""
        found: dict[str, str] = self.log()["owed"]
        return found

    def uploads(self) -> list[dict[str, Any]]:
        """The uploads that it took, each once."""
        found: list[dict[str, Any]] = self.log()["uploads"]
        return found

    def post(self, path: str, body: object, **headers: str) -> Any:
        """Post JSON to it; the JSON of its answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(
                "POST", path, json.dumps(body), {"Content-Type": "application/json", **headers}
            )
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()


@contextlib.contextmanager
def payment_system(now: datetime | None = None) -> Iterator[PaymentSystem]:
    """A payment system on a free port, with a clock that stands if told so; ended with the block."""
    one = PaymentSystem("sadad_server", free_port(), TOKEN, now=now)
    try:
        one.start()
        yield one
    finally:
        one.stop()


def section_of(system: Running, folder: Path, **more: Any) -> Section:
    """The section of the settings for it, its key in a folder."""
    keys = folder / "payment-system.pem"
    keys.write_bytes(system.answer_key())
    given = {
        "url": f"http://127.0.0.1:{system.port}/bills",
        "driver": "sadad",
        "timeout": 30.0,
        "secret": "bills-token",
        "signed": "http",
        "answer_keys": keys,
    }
    return Section.model_validate({**given, **more})


def keep_token(secrets: SecretFile) -> None:
    """Keep the token that the payment system asks for."""
    secrets.set("bills-token", Secret(TOKEN))
