"""Licences that a retired key signed: each gets a new paper, which says the same under another key.

Whoever retires a key takes every paper with it that the key signed, and the holders have done nothing wrong.
So all that holds, or may hold again, becomes a new version of itself: same holder, words and validity, a
credential of the present key, a place of its own in the status lists; the old credential's place says
"replaced" from then on.

Table `licence_reissue`: how far it is, by key. The work is a chain of jobs, each of which looks at some
licences, orders the papers of a few, and then its successor, behind those papers in their queue: so what is
issued meanwhile waits for a few papers, and not for thousands. Each licence is one transaction, which also
counts it. A job that is repeated finds those done signed by another key; the worker's round (`follow`) sees
to it that the chain goes on, whatever ended a job. Each job has its turn: one whose successor was ordered
before its worker was killed must not start a second chain.

Actions that were under way at the retirement may still have been signed by the key. So the licences are
looked through once more, some minutes after it.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import Row, RowMapping, text
from sqlalchemy.orm import Session

from foundation import audit
from foundation.calendar import today
from foundation.chain import JSON
from foundation.database import Database
from foundation.errors import Conflict, NotFound, RakeezaError, SettingsError, Unavailable
from foundation.wire.credential import REFUSALS, KeySet, RevokedKey, Signer, open_credential, read_claims
from integrations.licences import licence as licences
from integrations.licences import sealing, signing_keys
from integrations.licences.licence import Licence, Version
from integrations.licences.outcomes import DOCUMENT_JOB
from integrations.licences.signing_keys import Key
from integrations.licences.status_lists import new_place
from integrations.municipality import Office

REISSUE_JOB = "licence.reissue"
"""Job that looks at some licences, and signs those anew that a retired key signed. Payload: key, turn."""

REISSUED = "licence.reissued"
"""A licence has a new paper, because the key of the one before was retired. Subject: licence/NUMBER. Payload:
number, service, version, valid_from, valid_to, status, key (the retired one)."""

COMPLETED = "key.replaced"
"""All that a retired key signed was looked at. Payload: kid, done, failed (licences)."""

OUTCOME = "reissue"
"""What such a version of a licence is called; it is the only one that no case made."""

_ACTOR = "system/reissue"
_SEEN_AT_ONCE = 500
_PAPERS_AT_ONCE = 10
# After the retirement: until every process knows of it, and what was under way then has ended.
_SETTLED = timedelta(minutes=5)

_UNENDED = text(
    """
    SELECT key.kid FROM licence_key AS key LEFT JOIN licence_reissue AS reissue USING (kid)
    WHERE key.municipality = :municipality AND key.retired_at IS NOT NULL AND reissue.ended_at IS NULL
    ORDER BY key.retired_at
    """
)
_BEGIN = text("INSERT INTO licence_reissue (kid, began_at) VALUES (:kid, :at) ON CONFLICT DO NOTHING")
_PROGRESS = text("SELECT * FROM licence_reissue WHERE kid = :kid")
_HELD = text("SELECT job FROM licence_reissue WHERE kid = :kid FOR UPDATE")
_NEXT_TURN = text("UPDATE licence_reissue SET turn = turn + 1 WHERE kid = :kid RETURNING turn")
_NEXT_JOB = text("UPDATE licence_reissue SET job = :job WHERE kid = :kid")
_SEEN = text("UPDATE licence_reissue SET seen = :seen WHERE kid = :kid")
_COUNTED = text(
    "UPDATE licence_reissue SET seen = :seen, done = done + :done, failed = failed + :failed WHERE kid = :kid"
)
_ROUND = text(
    "UPDATE licence_reissue SET began_at = :at, seen = 0, failed = 0, ended_at = NULL WHERE kid = :kid"
)
_END = text(
    "UPDATE licence_reissue SET turn = turn + 1, job = NULL, ended_at = :at WHERE kid = :kid "
    "RETURNING done, failed"
)
# Whoever was revoked may be granted his objection; what has expired gets its next paper when it is renewed.
_MAY_HOLD = "status IN ('valid', 'suspended', 'revoked') AND valid_to >= :day AND personal IS NOT NULL"
_PAGE = text(
    f"SELECT id, number, credential FROM licence WHERE id > :seen AND {_MAY_HOLD} ORDER BY id LIMIT :most"
)
_STILL = text(f"SELECT EXISTS (SELECT FROM licence WHERE id = :id AND credential = :code AND {_MAY_HOLD})")

_log = logging.getLogger(__name__)


class Stage(StrEnum):
    """Of what becomes of the licences of a retired key."""

    WAITS = "waits for the worker"
    RUNS = "under way"
    ENDED = "ended"


@dataclass(frozen=True)
class Progress:
    """How far the licences of a retired key are.

    Args:
        done: licences signed anew.
        failed: licences that could not be, since the last look through all of them began.
    """

    stage: Stage
    done: int
    failed: int


def progress(session: Session, key: Key) -> Progress:
    """How far the licences are that a key signed.

    Raises:
        Conflict: the key is not retired.
    """
    _check_retired(key)
    row = session.execute(_PROGRESS, {"kid": key.kid}).mappings().one_or_none()
    if row is None:
        return Progress(Stage.WAITS, 0, 0)
    stage = Stage.ENDED if row["ended_at"] else Stage.RUNS if row["job"] else Stage.WAITS
    return Progress(stage, row["done"], row["failed"])


def look_again(session: Session, key: Key, *, actor: str, at: datetime) -> None:
    """Let the worker look through all licences once more; while it does so anyway, nothing is changed.

    Args:
        actor: who orders it.
        at: the present moment, aware.

    Raises:
        Conflict: the key is not retired.
    """
    if progress(session, key).stage is Stage.ENDED:
        session.execute(_ROUND, {"kid": key.kid, "at": at})
        audit.record(session, chain=_chain(key.kid), actor=actor, action="looked_again", details={})


@dataclass(frozen=True)
class Reissue:
    """Signs anew what retired keys signed.

    Args:
        database: of the licences.
        office: whose keys sign; with its jobs, `step` is registered as `REISSUE_JOB`, in the queue of papers.
        clock: the present moment, aware.
    """

    database: Database
    office: Office
    clock: Callable[[], datetime]

    def follow(self) -> None:
        """Let the work on every retired key go on, wherever it was left; for each round of the worker."""
        with self.database.transaction() as session:
            code = self.office.municipality(session).code
            unended = session.execute(_UNENDED, {"municipality": code}).scalars().all()
            # Also one that has a successor: that waits for its lock.
            self.office.jobs.put_back(session, REISSUE_JOB)
            for kid in unended:
                session.execute(_BEGIN, {"kid": kid, "at": self.clock()})
                if not self._waits(session, session.execute(_HELD, {"kid": kid}).scalar_one()):
                    self._order_step(session, kid)

    def step(self, payload: dict[str, JSON], attempt: int) -> None:  # noqa: ARG002 -- a job's signature
        """Job `REISSUE_JOB`: look at the next licences of one retired key.

        Raises:
            Unavailable: no key can sign now, or the database does not answer.
            SettingsError: the present key cannot be used here.
        """
        kid, turn = str(payload["key"]), payload["turn"]
        with self.database.transaction() as session:
            row = session.execute(_PROGRESS, {"kid": kid}).mappings().one()
            key = next(key for key in signing_keys.read(session) if key.kid == kid)
            # Asked once: what is wrong with the present key is not the fault of a licence.
            self.office.keys.signer(session, self.clock())
            words = {"seen": row["seen"], "day": today(now=self.clock()), "most": _SEEN_AT_ONCE}
            page = session.execute(_PAGE, words).all()
        if row["turn"] != turn:
            return
        retired, papers = KeySet([key.public]), 0
        for each in page:
            if _signed_by(retired, each.credential):
                self._sign_anew(kid, each)
                papers += 1
            if papers == _PAPERS_AT_ONCE:
                self._go_on(kid, each.id)
                return
        if len(page) == _SEEN_AT_ONCE:
            self._go_on(kid, page[-1].id)
        else:
            self._end_round(key, row)

    def _go_on(self, kid: str, seen: int) -> None:
        with self.database.transaction() as session:
            session.execute(_SEEN, {"kid": kid, "seen": seen})
            self._order_step(session, kid)

    def _end_round(self, key: Key, row: RowMapping) -> None:
        assert key.public.revoked_at is not None, "it was retired, and for ever"
        settled = key.public.revoked_at + _SETTLED
        with self.database.transaction() as session:
            if row["began_at"] < settled:
                session.execute(_ROUND, {"kid": key.kid, "at": settled})
                self._order_step(session, key.kid, at=settled)
                return
            ended = session.execute(_END, {"kid": key.kid, "at": self.clock()}).one()
            told = {"done": ended.done, "failed": ended.failed}
            audit.record_all(
                session,
                chain=_chain(key.kid),
                entries=[(_ACTOR, "replaced", told)],
                events=[(COMPLETED, _chain(key.kid), {"kid": key.kid, **told})],
            )

    def _sign_anew(self, kid: str, found: Row[Any]) -> None:
        try:
            with self.database.transaction() as session:
                licence = licences.by_id(session, found.id, lock=True)
                asked = {"id": found.id, "code": found.credential, "day": today(now=self.clock())}
                if session.execute(_STILL, asked).scalar_one():
                    self._write(session, licence, kid)
                    session.execute(_COUNTED, {"kid": kid, "seen": found.id, "done": 1, "failed": 0})
        except (Unavailable, SettingsError):
            raise
        except Exception as error:  # noqa: BLE001 -- whatever is wrong with one, the others must get theirs
            ours = isinstance(error, RakeezaError)
            _log.warning("The licence %s is not signed anew: %s", found.number, error, exc_info=not ours)
            with self.database.transaction() as session:
                session.execute(_COUNTED, {"kid": kid, "seen": found.id, "done": 0, "failed": 1})

    def _write(self, session: Session, licence: Licence, kid: str) -> None:
        at = self.clock()
        signer = self.office.keys.signer(session, at)
        place = new_place(session, self.office.public_url)
        content = replace(read_claims(licence.credential), issued_at=at, status=place.reference)
        licence.credential = sealing.sealed(content, signer)
        licence.version += 1
        licence.copies = 0
        licences.save(session, licence)
        licences.add_version(session, _version(licence, at, place.index))
        self.office.jobs.enqueue(
            session,
            DOCUMENT_JOB,
            {"licence": licence.number, "version": licence.version, "copy": licence.copies},
        )
        self._tell(session, licence, kid, signer)

    def _tell(self, session: Session, licence: Licence, kid: str, signer: Signer) -> None:
        details: dict[str, JSON] = {
            "version": licence.version,
            "key": signer.public.kid.hex(),
            "in_place_of": kid,
        }
        payload = {
            "number": licence.number,
            "service": licence.service,
            "version": licence.version,
            "valid_from": licence.valid_from.isoformat(),
            "valid_to": licence.valid_to.isoformat(),
            "status": licence.status,
            "key": kid,
        }
        audit.record_all(
            session,
            chain=licence.context,
            entries=[(_ACTOR, "reissued", details)],
            events=[(REISSUED, licence.context, payload)],
        )

    def _waits(self, session: Session, job: int | None) -> bool:
        if job is None:
            return False
        try:
            return self.office.jobs.state(session, job).status in ("todo", "doing")
        except NotFound:
            return False

    def _order_step(self, session: Session, kid: str, at: datetime | None = None) -> None:
        turn = session.execute(_NEXT_TURN, {"kid": kid}).scalar_one()
        payload = {"key": kid, "turn": turn}
        job = self.office.jobs.enqueue(session, REISSUE_JOB, payload, lock=f"reissue/{kid}", at=at)
        session.execute(_NEXT_JOB, {"kid": kid, "job": job})


def _signed_by(keys: KeySet, code: str) -> bool:
    try:
        open_credential(code, keys, today=today())
    except RevokedKey:
        return True
    except REFUSALS:
        # Another key's, which is told before anything else is looked at; or what is kept is no credential.
        return False
    return False


def _version(licence: Licence, at: datetime, index: int) -> Version:
    return Version(
        case_id=None,
        licence_id=licence.id,
        version=licence.version,
        copy=licence.copies,
        outcome=OUTCOME,
        status=licence.status,
        subject=licence.subject,
        valid_from=licence.valid_from,
        valid_to=licence.valid_to,
        shown={"title": licence.title, "municipality": licence.municipality, "lines": licence.lines},
        form=licence.form,
        personal=licence.personal,
        credential=licence.credential,
        made_at=at,
        status_index=index,
    )


def _check_retired(key: Key) -> None:
    if key.public.revoked_at is None:
        raise Conflict(
            f"The key {key.kid} is not retired; what it signed holds.",
            remedy="If it may be in other hands, retire it: rakeeza keys retire",
            message_ar="لم يُلغَ هذا المفتاح، وما وُقّع به سارٍ.",
        )


def _chain(kid: str) -> str:
    return f"key/{kid}"
