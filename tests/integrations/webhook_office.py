"""What tests of webhooks share: an office that may send to loopback, and a verifier of signatures."""

import base64
import hashlib
import hmac
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import text

from foundation.database import Database
from foundation.events import publish_all
from foundation.idempotency import Answer
from foundation.identity import Caller
from foundation.settings import Webhooks
from lab.registry import Registry
from tests.integrations.outside_office import CENTRE, SYSTEM, OutsideOffice, open_office
from tests.receiver import Received, Receiver

ATTEMPTS = 4
LOOSE = Webhooks(allow_private=True, timeout=1, attempts=ATTEMPTS)
"""How these offices send."""


def verified(request: Received, secret: str, now: datetime) -> dict[str, Any]:
    """What Standard Webhooks 1.0.0 asks of a consumer, written from its text and nothing of ours."""
    prefix, encoded = secret[:6], secret[6:]
    assert prefix == "whsec_"
    key = base64.b64decode(encoded, validate=True)
    assert 24 <= len(key) <= 64
    id, stamp = request.headers["webhook-id"], request.headers["webhook-timestamp"]
    assert "." not in id
    assert abs(int(stamp) - now.timestamp()) <= 300
    mac = hmac.new(key, b".".join([id.encode(), stamp.encode(), request.body]), hashlib.sha256)
    wanted = base64.b64encode(mac.digest()).decode()
    given = [entry.split(",", 1) for entry in request.headers["webhook-signature"].split(" ")]
    assert any(version == "v1" and hmac.compare_digest(value, wanted) for version, value in given)
    body: dict[str, Any] = json.loads(request.body)
    return body


def webhook_office(database: Database, folder: Path, commerce: Registry) -> OutsideOffice:
    """An office on a database; several may share one."""
    return open_office(
        database,
        folder,
        {"commerce": commerce.url},
        webhooks=LOOSE,
    )


def subscribe(
    office: OutsideOffice, url: str, *kinds: str, caller: Caller = CENTRE, key: str = "s-1"
) -> Answer:
    """Subscribe; the answer with its secret."""
    return office.outside.subscribe(caller, url, kinds, key)


def kinds_of(receiver: Receiver) -> list[str]:
    """Kinds of the events received, in order."""
    return [json.loads(each.body)["type"] for each in receiver.received]


def happen(office: OutsideOffice, count: int, caller: Caller = CENTRE) -> list[str]:
    """Publish events of a client's cases; their webhook-ids, in order."""
    told = [("case.moved", f"case/TC-{n}", {"centre": caller.actor}) for n in range(count)]
    query = text("SELECT 'evt_' || transaction || '-' || id FROM event ORDER BY transaction, id")
    with office.database.transaction() as session:
        before = len(session.execute(query).all())
        publish_all(session, told)
        return list(session.execute(query).scalars())[before:]


def first_come(receiver: Receiver) -> list[str]:
    """The webhook-ids received, each where it came first: what is left when repeated ones are dropped."""
    return list(dict.fromkeys(receiver.ids))


def deliver_elsewhere(url: str, folder: str) -> None:
    """Deliver until killed: what a process of its own does."""
    office = open_office(Database(url), Path(folder), {}, webhooks=LOOSE)
    office.outside.deliver(lambda: False)


def only(office: OutsideOffice) -> dict[str, Any]:
    """The one subscription."""
    (found,) = office.outside.webhooks(SYSTEM)
    return found


def let_time_pass(office: OutsideOffice) -> None:
    """So long that whatever was put off is due."""
    office.pass_time(days=1, seconds=1)
