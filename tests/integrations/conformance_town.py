"""What the conformance suite is given, and servers that answer otherwise than ours."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import text

from foundation.definitions import Bilingual
from integrations.centres.conformance import GROUPS, Report, Server, carry_out
from integrations.centres.conformance.talking import Credentials, credentials, soap_clerk
from integrations.centres.contract import Contract, Delegated
from integrations.entrypoints import interface, verify
from tests.integrations.desk import ADMINISTRATOR, message
from tests.integrations.proving_ground import FORM, PERMIT
from tests.integrations.signed_town import AMAL, BRANCH, CODE, DEVICE, Kit, Town, pem

TEST_CENTRE = "dev-1"
APPLICATION = message(FORM, PERMIT.code)
"""Of the test service, which needs nobody at the municipality."""

Change = Callable[[httpx.Request, httpx.Response], httpx.Response]


def serve_rest_of_contract(town: Town) -> None:
    """Let a town serve what has no centres in it too: by what anybody verifies a licence, and its version."""
    town.app.include_router(verify.router(town.desk.licensing))
    assert town.app.middleware_stack is not None
    town.app.middleware_stack = interface.Versioned(town.app.middleware_stack)


def soap_secret(town: Town, code: str = CODE) -> str:
    """A secret for SOAP of the clerk, in a town that remembers from before."""
    with town.desk.database.transaction() as session:
        session.execute(text("UPDATE message_memory SET since = now() - interval '1 hour'"))
    return town.desk.licensing.centres.new_secret(ADMINISTRATOR, code, AMAL).reveal()


def known_of(kit: Kit, application: dict[str, Any] | None = None, secret: str | None = None) -> Credentials:
    """What a centre gives to the suite."""
    clerk = pem(kit.clerks[AMAL].key)
    by_soap = soap_clerk(AMAL, secret) if secret else None
    return credentials(kit.code, pem(kit.key), kit.certificate, clerk, DEVICE, by_soap, application)


def report_of(town: Town, known: Credentials, transport: httpx.BaseTransport | None = None) -> Report:
    """The report of the town's server, or of what a transport makes of it."""
    with httpx.Client(timeout=60, transport=transport) as http:
        return Report(town.url, known.centre, tuple(carry_out(Server(town.url, known, http), GROUPS)))


def results(report: Report) -> dict[str, str]:
    """Each check's result, by name."""
    return {each.name: each.result for each in report.outcomes}


def failures(report: Report) -> dict[str, str]:
    """What each failed check saw."""
    return {each.name: each.detail for each in report.outcomes if each.result == "failed"}


def left_out(report: Report) -> set[str]:
    """The checks that were left out."""
    return {name for name, result in results(report).items() if result == "left out"}


def add_test_centre(town: Town) -> Kit:
    """A test centre, whose contract delegates the test service alone, with a device and the clerk `amal`."""
    centres = town.desk.licensing.centres
    centres.add(
        ADMINISTRATOR,
        TEST_CENTRE,
        Bilingual(ar="مركز تجريبي", en="Test centre"),
        Contract(
            reference=f"{TEST_CENTRE}/1",
            first_day=date(2020, 1, 1),
            last_day=date(2099, 12, 31),
            services={PERMIT.code: Delegated()},
            branches={BRANCH: Bilingual(ar="المجمع", en="The mall")},
        ),
        lambda session: town.identity.add_client(session, TEST_CENTRE, ("centre",), TEST_CENTRE),
        test=True,
    )
    centres.add_device(ADMINISTRATOR, TEST_CENTRE, DEVICE, BRANCH, "Counter 1")
    kit = town.certify(TEST_CENTRE, ec.generate_private_key(ec.SECP256R1()))
    town.add_clerk(kit, AMAL)
    return kit


@contextmanager
def papers_made(town: Town) -> Iterator[None]:
    """While it lasts a worker makes the papers of the town's licences."""
    ends = threading.Event()

    def work() -> None:
        while not ends.wait(0.05):
            town.desk.work_off()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        ends.set()
        thread.join()


@dataclass
class Lying(httpx.BaseTransport):
    """Speaks with the real server, and changes what it answers.

    Args:
        change: of each request and its answer, what the suite is told.
    """

    change: Change
    inner: httpx.HTTPTransport = field(default_factory=httpx.HTTPTransport)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """One exchange."""
        answer = self.inner.handle_request(request)
        answer.read()
        return self.change(request, answer)

    def close(self) -> None:
        """Close the connections."""
        self.inner.close()
