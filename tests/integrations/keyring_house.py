"""A machine that issues licences, with its ring of keys and a clock that a test sets."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from foundation.database import Database
from foundation.definitions import Bilingual
from foundation.secret import SecretFile
from foundation.settings import Settings, load
from foundation.wire.credential import LicenceClaims, open_credential, seal
from foundation.wire.credential_keys import KeySet, Signer
from integrations.licences.keyring import Keyring
from integrations.licences.signing_keys import Key

START = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
HOUR, DAY, SECOND = timedelta(hours=1), timedelta(days=1), timedelta(seconds=1)


@dataclass
class House:
    """A machine that issues, with a clock that a test sets."""

    database: Database
    settings: Settings
    secrets: SecretFile
    now: datetime = START

    def __post_init__(self) -> None:
        self.ring = self.another(cache_s=0)

    def another(self, cache_s: float) -> Keyring:
        """The ring as another process has it."""
        return Keyring(self.settings, self.secrets, lambda: self.now, cache_s)

    def signer(self, at: datetime | None = None, ring: Keyring | None = None) -> Signer:
        with self.database.transaction() as session:
            return (ring or self.ring).signer(session, at or self.now)

    def kid(self, at: datetime | None = None) -> str:
        return self.signer(at).public.kid.hex()

    def published(self) -> KeySet:
        with self.database.transaction() as session:
            return self.ring.published(session)

    def listed(self) -> list[Key]:
        with self.database.transaction() as session:
            return self.ring.keys(session)

    def states(self) -> dict[str, str]:
        return {key.kid: key.state(self.now).value for key in self.listed()}

    def rotate(self, overlap: timedelta = DAY) -> Key:
        with self.database.transaction() as session:
            return self.ring.rotate(session, actor="cli/tester", overlap=overlap)

    def retire(self, kid: str, because: str = "The disk was stolen.") -> Key:
        with self.database.transaction() as session:
            return self.ring.retire(session, kid, because=because, actor="cli/tester")

    def opens(self, at: datetime) -> None:
        """What is issued at a moment verifies by the set as it is published."""
        claims = LicenceClaims(
            number="L-1",
            service="sample",
            title=Bilingual(ar="رخصة", en="Licence"),
            municipality="sample",
            valid_from=date(2026, 1, 1),
            valid_to=date(2028, 1, 1),
            issued_at=at,
        )
        open_credential(seal(claims, self.signer(at)), self.published(), today=date(2026, 12, 1))


def house_of(database: Database, folder: Path, **variables: str) -> House:
    given = {f"RAKEEZA_{name}": value for name, value in variables.items()}
    settings = load(None, {"RAKEEZA_PLATFORM_FOLDER": str(folder), **given})
    return House(database, settings, settings.secrets())
