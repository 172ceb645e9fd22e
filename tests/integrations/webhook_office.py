"""What tests of webhooks share: an office that may send to loopback, and a verifier of signatures."""

import base64
import hashlib
import hmac
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from foundation.database import Database
from foundation.idempotency import Answer
from foundation.identity import Caller
from foundation.settings import Webhooks
from lab.registry import Registry
from tests.integrations.outside_office import CENTRE, SYSTEM, OutsideOffice, open_office
from tests.integrations.receiver import Received, Receiver

ATTEMPTS = 4


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
        webhooks=Webhooks(allow_private=True, timeout=1, attempts=ATTEMPTS),
    )


def subscribe(
    office: OutsideOffice, url: str, *kinds: str, caller: Caller = CENTRE, key: str = "s-1"
) -> Answer:
    """Subscribe; the answer with its secret."""
    return office.outside.subscribe(caller, url, kinds, key)


def kinds_of(receiver: Receiver) -> list[str]:
    """Kinds of the events received, in order."""
    return [json.loads(each.body)["type"] for each in receiver.received]


def only(office: OutsideOffice) -> dict[str, Any]:
    """The one subscription."""
    (found,) = office.outside.webhooks(SYSTEM)
    return found


def let_time_pass(office: OutsideOffice) -> None:
    """So long that whatever was put off is due."""
    office.pass_time(days=1, seconds=1)
