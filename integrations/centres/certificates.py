"""Client certificates of service centres: issued, renewed, revoked, and watched until they end.

The row decides: a certificate whose row is revoked or missing opens nothing, on every process, from the next
request that reads it. Several may be in force for one client, so that a centre changes over without a gap.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from foundation import audit
from foundation.chain import JSON
from foundation.client_keys import (
    ClientCertificate,
    Held,
    State,
    certificate_for,
    held,
    key_thumbprint,
    thumbprint,
)
from foundation.errors import Conflict, InvalidInput, NotFound
from foundation.events import publish
from foundation.identity_records import ApiClient
from integrations.centres.authority import REASONS, Authority, Revoked, requested_key

_log = logging.getLogger(__name__)

__all__ = [
    "EXPIRING",
    "MOST_AT_ONCE",
    "REASONS",
    "WARNINGS",
    "Certificates",
    "ClientCertificate",
    "Expiring",
    "Held",
    "State",
    "certificate_for",
    "expiring",
    "held",
    "key_thumbprint",
    "of_client",
    "revoke",
    "revoke_all",
    "revoked",
    "standing",
    "thumbprint",
    "watch",
]

EXPIRING = "client_certificate.expiring"
"""A certificate ends soon, and its client holds none that lasts longer. Payload: client_id, serial,
not_after, days (that it has at most)."""
WARNINGS = (30, 14, 7, 1)
"""Days before its end at which that is told, once each."""
MOST_AT_ONCE = 5
"""Certificates of one client in force at the same time."""

# As the rules of centres lock it: a write that is under way ends first, and the next sees what was changed.
_ALONE = text("SELECT pg_advisory_xact_lock(5, hashtext(:client))")
# One key is one client's: who asks for a certificate of the same key waits.
_KEY = text("SELECT pg_advisory_xact_lock(6, hashtext(:key))")


class Certificates:
    """Issues the certificates of clients; each method works in the caller's transaction.

    Args:
        authority: signs them.
    """

    def __init__(self, authority: Authority) -> None:
        self._authority = authority

    def issue(
        self, session: Session, client_id: str, request: str, at: datetime, *, actor: str = "system"
    ) -> ClientCertificate:
        """A certificate for the key of a request; those that are in force go on until they end.

        Args:
            client_id: of the API client; a centre's code is its client id.
            request: PKCS #10, PEM.
            at: the moment of issue, aware.
            actor: who orders it.

        Raises:
            NotFound: there is no such client.
            Malformed: the request cannot be read, or its signature does not hold.
            InvalidInput: its key is of a kind or size that is not taken.
            Conflict: the key is another client's or was revoked, or too many certificates are in force.
        """
        key = requested_key(request)
        _client(session, client_id)
        mark = key_thumbprint(key)
        session.execute(_KEY, {"key": mark})
        _check_key(session, client_id, mark)
        in_force = held(session, client_id, at)
        if len(in_force) >= MOST_AT_ONCE:
            raise Conflict(
                f"{client_id} has {MOST_AT_ONCE} certificates in force already.",
                place=f"client {client_id}",
                remedy="Revoke those that are not used any more.",
                message_ar="بلغت الشهادات السارية لهذا المركز الحد الأعلى؛ ألغِ ما لا يُستخدم منها.",
            )
        latest = certificate_for(session, in_force[0].thumbprint) if in_force else None
        renews = None if latest is None else latest.serial
        made = _row(self._authority.certify(key, client_id, at), client_id, mark, at, actor, renews)
        session.add(made)
        session.flush()
        told = {"serial": made.serial, "thumbprint": made.thumbprint, "not_after": _text(made.not_after)}
        _record(session, client_id, actor, "certificate_issued", {**told, "renews": renews})
        return made

    def crl(self, session: Session, at: datetime) -> bytes:
        """The list of revocations at a moment, DER."""
        return self._authority.crl(revoked(session, at), at)

    def authority_der(self) -> bytes:
        """The authority's own certificate, DER."""
        return self._authority.certificate.public_bytes(Encoding.DER)


def standing(session: Session, thumbprint: str, at: datetime | None = None) -> ClientCertificate | None:
    """The certificate of a thumbprint if it counts at a moment; None if unknown, revoked or out of time.

    Args:
        thumbprint: SHA-256 of the certificate (DER), hexadecimal.
        at: aware; the database's own present without it.
    """
    found = certificate_for(session, thumbprint)
    if found is None:
        return None
    moment = at or session.execute(text("SELECT clock_timestamp()")).scalar_one()
    return found if found.state(moment) is State.ACTIVE else None


def revoke(
    session: Session, serial: str, reason: str, at: datetime, *, actor: str = "system"
) -> ClientCertificate:
    """Let a certificate count no more; with it goes every token that is bound to it or to its key.

    One that is revoked already stays as it was revoked first.

    Args:
        serial: hexadecimal, as the certificate's row has it.
        reason: of `REASONS`.
        at: the moment of the revocation, aware.
        actor: who orders it.

    Raises:
        NotFound: there is no certificate of this serial.
        InvalidInput: there is no such reason.
    """
    if reason not in REASONS:
        raise InvalidInput(
            f"A certificate cannot be revoked because of {reason!r}.",
            place="reason",
            remedy=f"Known: {', '.join(REASONS)}.",
            message_ar="سبب الإلغاء غير معروف.",
        )
    session.execute(_ALONE, {"client": _of_serial(session, serial).client_id})
    found = _of_serial(session, serial, locked=True)
    if found.revoked_at is None:
        found.revoked_at, found.revoked_because = at, reason
        session.flush()
        told = {"serial": found.serial, "thumbprint": found.thumbprint, "reason": reason}
        _record(session, found.client_id, actor, "certificate_revoked", told)
    return found


def revoke_of(
    session: Session, client_id: str, serial: str, reason: str, at: datetime, *, actor: str = "system"
) -> ClientCertificate:
    """Revoke a certificate of one client; another's is not found. Else as `revoke`."""
    found = _of_serial(session, serial)
    if found.client_id != client_id:
        raise _unknown(serial)
    return revoke(session, found.serial, reason, at, actor=actor)


def revoke_all(session: Session, client_id: str, reason: str, at: datetime, *, actor: str = "system") -> int:
    """Revoke every certificate of a client whose time has not ended; how many there were."""
    row = ClientCertificate
    serials = session.scalars(
        select(row.serial).where(row.client_id == client_id, row.revoked_at.is_(None), row.not_after >= at)
    ).all()
    for serial in serials:
        revoke(session, serial, reason, at, actor=actor)
    return len(serials)


def of_client(session: Session, client_id: str) -> Sequence[ClientCertificate]:
    """Every certificate a client ever had, the latest first."""
    row = ClientCertificate
    found = select(row).where(row.client_id == client_id).order_by(row.issued_at.desc(), row.serial)
    return session.scalars(found).all()


def revoked(session: Session, at: datetime) -> list[Revoked]:
    """The lines of the list of revocations: what was revoked, and has not ended since."""
    row = ClientCertificate
    found = session.scalars(
        select(row)
        .where(row.revoked_at.is_not(None), row.not_after >= at)
        .order_by(row.revoked_at, row.serial)
    )
    return [
        Revoked(int(each.serial, 16), each.revoked_at, each.revoked_because or "unspecified")
        for each in found
        if each.revoked_at is not None
    ]


@dataclass(frozen=True)
class Expiring:
    """A certificate that ends soon.

    Args:
        certificate: its row.
        renewed: whether its client holds one that lasts longer.
    """

    certificate: ClientCertificate
    renewed: bool


def expiring(session: Session, days: int, at: datetime) -> list[Expiring]:
    """The certificates in force that end within some days, the first to end first.

    Args:
        days: 0 or more.
        at: the present moment, aware.
    """
    row = ClientCertificate
    found = session.scalars(
        select(row)
        .where(row.revoked_at.is_(None), row.not_before <= at)
        .where(row.not_after >= at, row.not_after <= at + timedelta(days=days))
        .order_by(row.not_after, row.serial)
    ).all()
    lasting = {each.client_id: held(session, each.client_id, at)[0].not_after for each in found}
    return [Expiring(each, lasting[each.client_id] > each.not_after) for each in found]


def watch(session: Session, at: datetime) -> int:
    """Tell once at each of `WARNINGS` that a certificate ends and nothing follows it.

    Returns:
        How many events were published.
    """
    told = 0
    for each in expiring(session, max(WARNINGS), at):
        # Of two workers that watch at the same time, the second sees what the first has told.
        row = _of_serial(session, each.certificate.serial, locked=True)
        days = min(warning for warning in WARNINGS if row.not_after <= at + timedelta(days=warning))
        if each.renewed or row.revoked_at is not None or (row.warned_days or max(WARNINGS) + 1) <= days:
            continue
        row.warned_days = days
        payload = {"client_id": row.client_id, "serial": row.serial, "not_after": _text(row.not_after)}
        publish(session, EXPIRING, f"client/{row.client_id}", {**payload, "days": days})
        _log.warning(
            "The certificate %s of %s ends on %s, and no other lasts longer.",
            row.serial,
            row.client_id,
            payload["not_after"],
        )
        told += 1
    return told


def _row(
    made: x509.Certificate, client_id: str, mark: str, at: datetime, actor: str, renews: str | None
) -> ClientCertificate:
    der = made.public_bytes(Encoding.DER)
    return ClientCertificate(
        serial=f"{made.serial_number:x}",
        client_id=client_id,
        thumbprint=thumbprint(der),
        key_thumbprint=mark,
        certificate=der,
        not_before=made.not_valid_before_utc,
        not_after=made.not_valid_after_utc,
        issued_at=at,
        issued_by=actor,
        renews=renews,
    )


def _check_key(session: Session, client_id: str, mark: str) -> None:
    row = ClientCertificate
    before = session.scalars(select(row).where(row.key_thumbprint == mark)).all()
    if any(each.client_id != client_id for each in before):
        # Whose it is, is nobody else's business.
        raise _used("another client has a certificate for it", "المفتاح مستخدم في شهادة جهة أخرى")
    if any(each.revoked_at is not None for each in before):
        raise _used("a certificate for it was revoked", "أُلغيت من قبل شهادة لهذا المفتاح")


def _used(because: str, because_ar: str) -> Conflict:
    return Conflict(
        f"The key of the request cannot be certified: {because}.",
        place="request",
        remedy="Make a new key, and a request with it.",
        message_ar=f"{because_ar}؛ أنشئ مفتاحًا جديدًا وطلبًا له.",
    )


def _client(session: Session, client_id: str) -> None:
    # Locked against being taken away, and no further: certificates of one client may be issued at once.
    if session.get(ApiClient, client_id, with_for_update={"key_share": True, "read": True}) is None:
        raise NotFound(
            f"There is no API client {client_id!r}.",
            remedy="See: rakeeza identity client list",
            message_ar="لا توجد جهة بهذا الرمز.",
        )


def _of_serial(session: Session, serial: str, *, locked: bool = False) -> ClientCertificate:
    number = serial.strip().lower().replace(":", "").lstrip("0")
    found = session.get(
        ClientCertificate, number, with_for_update=True if locked else None, populate_existing=locked
    )
    if found is None:
        raise _unknown(serial)
    return found


def _unknown(serial: str) -> NotFound:
    return NotFound(
        f"There is no certificate of serial {serial[:64]}.",
        place="serial",
        remedy="Give it in hexadecimal digits, as the certificate has it.",
        message_ar="لا توجد شهادة بهذا الرقم التسلسلي.",
    )


def _record(session: Session, client_id: str, actor: str, action: str, details: Mapping[str, JSON]) -> None:
    audit.record(session, chain=f"client/{client_id}", actor=actor, action=action, details=details)


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
