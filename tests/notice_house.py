"""Notices in a house of the tests: a database, a mail server, and a clock that can be moved."""

import base64
import hashlib
import hmac
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation import events
from foundation.database import Database
from foundation.definitions import Bilingual
from foundation.events import StoredEvent
from foundation.mail import MailServer
from foundation.notice_recipients import recipients_of
from foundation.notices import TRIES_FOR, Circle, Notices, Telling
from foundation.outgoing import Outgoing
from foundation.secret import Secret, SecretFile
from foundation.signed_post import new_secret
from tests.mail_office import MailOffice, mail_secrets, mail_settings
from tests.receiver import Received

LOOSE = Outgoing(allow_private=True, timeout_s=2)
TOPICS = {"alarm", "news"}


def tell(session: Session, event: StoredEvent) -> Telling | None:
    """Words of the tests' own events."""
    session.execute(text("SELECT 1"))
    if event.kind == "play.silent":
        return None
    word = event.payload["word"]
    both = Bilingual(ar=f"خبر {word}", en=f"News {word}")
    return Telling("news" if event.kind == "play.news" else "alarm", both, both, {"word": word})


@dataclass
class House:
    """Notices on a database, and a clock that a test may move."""

    database: Database
    folder: Path
    office: MailOffice
    secret: str
    shift: timedelta = timedelta()

    def notices(
        self, *recipients: str, outgoing: Outgoing = LOOSE, tries_for: timedelta = TRIES_FOR
    ) -> Notices:
        known = recipients_of(
            recipients, topics=TOPICS, usual={"alarm"}, outgoing=outgoing, place="plays.notify"
        )
        secrets = SecretFile(self.folder / "secrets.json", self.folder / "secrets.key")
        server = MailServer(mail_settings(self.office), secrets, self.office.trust, timeout_s=5)
        return Notices(
            self.database,
            [Circle("plays", "play.", known, tell)],
            server,
            outgoing,
            secrets,
            lambda: datetime.now(UTC) + self.shift,
            tries_for,
        )

    def happen(self, *words: str, kind: str = "play.alarm", subject: str = "play/7") -> None:
        with self.database.transaction() as session:
            for word in words:
                events.publish(session, kind, subject, {"word": word})

    def rows(self) -> list[dict[str, Any]]:
        with self.database.transaction() as session:
            return [dict(row) for row in session.execute(text("SELECT * FROM notice ORDER BY id")).mappings()]

    def run(self, statement: str) -> None:
        with self.database.transaction() as session:
            session.execute(text(statement))

    def let_time_pass(self, **time: float) -> None:
        self.shift += timedelta(**time)
        self.run("UPDATE notice SET leased_until = NULL")


def made_house(database: Database, folder: Path, office: MailOffice) -> House:
    secret = new_secret()
    mail_secrets(folder).set("notify-webhook", Secret(secret))
    return House(database, folder, office, secret)


def content_of(request: Received, secret: str) -> dict[str, Any]:
    """What a receiver reads of a message, having checked its signature."""
    signed = f"{request.id}.{request.headers['webhook-timestamp']}.".encode() + request.body
    mac = hmac.new(base64.b64decode(secret.removeprefix("whsec_")), signed, hashlib.sha256)
    assert request.headers["webhook-signature"] == f"v1,{base64.b64encode(mac.digest()).decode()}"
    found: dict[str, Any] = json.loads(request.body)
    return found


def subjects(office: MailOffice) -> list[str]:
    return [str(got["subject"]).rpartition(" ")[2].strip("\u2069") for _, got in office.taken]
