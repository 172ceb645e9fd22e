"""What stops a centre stops it on three processes: reads and writes, over both faces, and an open stream."""

import json
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any, cast

import httpx
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)
from sqlalchemy import text

from console.bootstrap import Platform, open_platform
from foundation.caller import Caller
from foundation.definitions import Bilingual
from foundation.events import publish
from integrations.centres.certificates import revoke
from integrations.centres.contract import Contract, Delegated
from tests.clients.python.centre_client import CentreAuth
from tests.console.three_apis import A_SECOND_LATER, PROCESSES, Apis, Diary, token_of
from tests.integrations.centre_keys import Files
from tests.integrations.desk import FORM, message
from tests.integrations.face import submission
from tests.integrations.signed_town import Kit, Town, pem
from tests.integrations.soap.signed_soap import SoapTown
from tests.integrations.soap.soap_client import PATH, SOAP_11, asked, content_type
from tests.processes import PATIENCE, until

pytest_plugins = ["tests.console.three_apis_fixtures"]

SYSTEM = Caller("test", "system", frozenset())
AMAL, BRANCH = "amal", "mall"
STOPPED = "stopped"
READ, WRITE, SOAP_READ, SOAP_WRITE = "read", "write", "read by SOAP", "write by SOAP"


@dataclass(frozen=True)
class Answer:
    """What one process said, and the place in the diary before it was asked."""

    process: int
    kind: str
    sent: int
    served: bool
    problem: str


@dataclass
class Centre:
    """A centre with its keys, as it is connected to the processes.

    Args:
        known: key and certificate.
        secret: of amal, by SOAP.
    """

    code: str
    apis: Apis
    platform: Platform
    known: Files
    serial: str
    clerk_key: ec.EllipticCurvePrivateKey
    clerk_thumbprint: str
    secret: str
    diary: Diary = field(default_factory=Diary)
    answers: list[Answer] = field(default_factory=list)
    failed: list[Exception] = field(default_factory=list)

    def ask(self, number: int, stop: Callable[[], bool]) -> None:
        """Ask a process in every way, again and again."""
        try:
            self._ask(number, stop)
        except Exception as error:
            # The test looks for it: it would wait in vain.
            self.failed.append(error)
            raise

    def _ask(self, number: int, stop: Callable[[], bool]) -> None:
        url = f"https://localhost:{self.apis.ports[number]}"
        key, certificate = self.known.key.read_bytes(), self.known.certificate.read_bytes()
        signer = CentreAuth(url, self.code, key, certificate, pem(self.clerk_key))
        with self.apis.client(number, self.known) as client:
            header = {"Authorization": f"Bearer {token_of(client, self.code)}"}
            ways: dict[str, Callable[[], httpx.Response]] = {
                READ: lambda: client.get("/v1/cases", headers=header),
                WRITE: lambda: client.post(
                    "/v1/cases",
                    json=message(FORM),
                    headers={"Idempotency-Key": str(uuid.uuid4())},
                    auth=signer,
                ),
                SOAP_READ: lambda: self._by_soap(client, "list_cases", {}, None),
                SOAP_WRITE: lambda: self._by_soap(
                    client, "submit", {"idempotencyKey": str(uuid.uuid4())}, submission(FORM)
                ),
            }
            while not stop():
                for kind, way in ways.items():
                    sent = self.diary.note(f"{kind} to {number}")
                    response = way()
                    served = response.status_code in (200, 201)
                    self.answers.append(Answer(number, kind, sent, served, _problem(response)))

    def follow(self, number: int, came: list[str]) -> None:
        """Read a process's stream of events until it ends."""
        with self.apis.client(number, self.known) as client:
            header = {"Authorization": f"Bearer {token_of(client, self.code)}"}
            with client.stream("GET", "/v1/events", headers=header) as response:
                assert response.status_code == 200
                came.append("open")
                for line in response.iter_lines():
                    # One by one: the test looks on.
                    if line.startswith("data:"):
                        came.append(line)
        came.append("ended")

    def happen(self, what: str) -> None:
        """Let something happen to a case of the centre."""
        with self.platform.database.transaction() as session:
            publish(session, "case.moved", f"case/{what}", {"centre": f"client/{self.code}"})

    def _by_soap(
        self, client: httpx.Client, operation: str, parameters: dict[str, str], body: Any
    ) -> httpx.Response:
        private = cast(ec.EllipticCurvePrivateKey, load_pem_private_key(self.known.key.read_bytes(), None))
        kit = Kit(self.code, private, self.known.certificate.read_bytes(), "", self.serial)
        town = SoapTown(cast(Town, None), "", self.apis.folder, {}, [timedelta()])
        sent = json.dumps(body).encode() if body is not None else None
        # Processes share the folder that the signer reads its key from.
        with _SIGNING:
            said = town.sealed(
                asked(operation, parameters, sent), kit, username=f"{AMAL}@{self.code}", secret=self.secret
            )
        return client.post(PATH, content=said, headers=content_type(SOAP_11))


_SIGNING = threading.Lock()


def _problem(response: httpx.Response) -> str:
    # Of a problem document or of a fault that holds one.
    _, _, rest = response.text.partition("urn:rakeeza:problem:")
    return rest[:40].partition("<")[0].partition('"')[0]


def _centre(apis: Apis, platform: Platform, code: str) -> Centre:
    known, serial = apis.enrol(code)
    contract = Contract(
        reference="1",
        first_day=date(2020, 1, 1),
        last_day=date(2099, 12, 31),
        services={"shop_licence": Delegated()},
        branches={BRANCH: Bilingual(ar="المجمع", en="Mall")},
    )
    centres = platform.licensing.centres
    centres.add(SYSTEM, code, Bilingual(ar="مركز سبعة", en="Centre seven"), contract, lambda _: None)
    _, secret = centres.add_clerk(SYSTEM, code, AMAL, "أمل بنت سعد", BRANCH)
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    thumbprint = centres.enrol_key(SYSTEM, code, AMAL, public)
    return Centre(code, apis, platform, known, serial, key, thumbprint, secret.reveal())


def _suspend(centre: Centre) -> None:
    centre.platform.licensing.centres.suspend(SYSTEM, centre.code, "a complaint")


def _end(centre: Centre) -> None:
    centre.platform.licensing.centres.end(SYSTEM, centre.code, "over")


def _run_out(centre: Centre) -> None:
    # As midnight does it after the last day.
    with centre.platform.database.transaction() as session:
        words = {"centre": centre.code}
        over = "UPDATE centre_contract SET last_day = current_date - 2 WHERE centre = :centre"
        session.execute(text(over), words)


def _revoke_certificate(centre: Centre) -> None:
    with centre.platform.database.transaction() as session:
        revoke(session, centre.serial, "key_compromise", datetime.now(UTC))


def _revoke_clerk(centre: Centre) -> None:
    centre.platform.licensing.centres.revoke_key(SYSTEM, centre.code, AMAL, centre.clerk_thumbprint)


WAYS = (READ, WRITE, SOAP_READ, SOAP_WRITE)
CAUSES: dict[str, tuple[Callable[[Centre], None], tuple[str, ...], set[str]]] = {
    "suspended": (_suspend, WAYS, {"centre-suspended"}),
    "ended": (_end, WAYS, {"centre-suspended", "not-authenticated", "centre-key-revoked"}),
    "over": (_run_out, WAYS, {"contract-not-in-force"}),
    "revoked": (_revoke_certificate, WAYS, {"not-authenticated", "centre-key-revoked"}),
    # His key signs by REST alone, and writes alone.
    "clerk-revoked": (_revoke_clerk, (WRITE,), {"clerk-key-revoked"}),
}
"""What stops a centre, what is refused then, and as what."""


def test_three_processes_refuse_within_a_second_what_is_read_and_at_once_what_is_written(apis: Apis) -> None:
    with open_platform(apis.settings, "test") as platform:
        with platform.database.transaction() as session:
            # Messages of before a crash are refused for a while; this database remembers from before.
            session.execute(text("UPDATE message_memory SET since = now() - interval '1 hour'"))
        for cause, (stop, refused, problems) in CAUSES.items():
            centre, streams = _centre(apis, platform, cause), [list[str]() for _ in range(PROCESSES)]
            answers, before, stopped, later = _stopped(centre, streams, stop, shut_out=refused == WAYS)
            for number in range(PROCESSES):
                for kind in WAYS:
                    mine = [each for each in answers if (each.process, each.kind) == (number, kind)]
                    # The last that was sent before may have met the stop on its way.
                    early = [each.served for each in mine if each.sent < before]
                    assert early[0], mine[0]
                    assert all(early[:-1])
                    # A write is judged in its own transaction; what is read is believed for half a second.
                    settled = stopped if kind in (WRITE, SOAP_WRITE) else later
                    for each in mine:
                        if each.sent > settled:
                            assert each.served == (kind not in refused), (cause, each)
                            assert each.served or each.problem in problems, (cause, each)
            # Nothing that happened after it was shut out was told to it.
            told = ["case/after" in "".join(came) for came in streams]
            assert told == [refused != WAYS] * PROCESSES, cause


def _stopped(
    centre: Centre, streams: list[list[str]], stop: Callable[[Centre], None], *, shut_out: bool
) -> tuple[list[Answer], int, int, int]:
    # Asks in all ways and follows all streams while the centre is stopped: the answers, and the places in the
    # diary of what was before, of the stop and of a second later.
    enough = threading.Event()
    with ExitStack() as ended:
        ended.callback(enough.set)
        for number, came in enumerate(streams):
            _begin(ended, centre.follow, number, came)
        until(lambda: all(streams))
        centre.happen("before")
        until(lambda: all(len(came) > 1 for came in streams), "the first event")
        for number in range(PROCESSES):
            _begin(ended, centre.ask, number, enough.is_set)
        until(lambda: _asked(centre, -1) == PROCESSES * len(WAYS))
        before = centre.diary.note("before the stop")
        stop(centre)
        stopped = centre.diary.note(STOPPED)
        time.sleep(1)
        later = centre.diary.note(A_SECOND_LATER)
        centre.happen("after")
        until(lambda: _asked(centre, later) == PROCESSES * len(WAYS))
        answers = list(centre.answers)
        if not shut_out:
            until(lambda: all("case/after" in "".join(came) for came in streams), "the event after")
            enough.set()
            _suspend(centre)
        until(lambda: all(came[-1] == "ended" for came in streams), "the end of the streams")
        enough.set()
    return answers, before, stopped, later


def _begin(ended: ExitStack, act: Callable[..., None], *given: object) -> None:
    thread = threading.Thread(target=act, args=given)
    thread.start()
    ended.callback(thread.join, PATIENCE)


def _asked(centre: Centre, after: int) -> int:
    assert not centre.failed
    return len({(each.process, each.kind) for each in list(centre.answers) if each.sent > after})
