"""Client certificates of centres: issued, renewed, revoked, watched."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from cryptography import x509
from sqlalchemy import text

from foundation import audit, events
from foundation.client_keys import State, key_thumbprint, thumbprint
from foundation.database import Database
from foundation.errors import Conflict, InvalidInput, Malformed, NotFound
from foundation.identity import Identity
from foundation.settings import Platform, Settings
from integrations.centres.authority import LIFETIME, REASONS, Authority
from integrations.centres.certificates import (
    EXPIRING,
    MOST_AT_ONCE,
    Certificates,
    ClientCertificate,
    certificate_for,
    expiring,
    held,
    of_client,
    revoke,
    revoke_all,
    revoke_of,
    revoked,
    standing,
    watch,
)
from tests.integrations.centre_keys import new_key, request_for

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)
Done = TypeVar("Done")


@dataclass
class Office:
    """Certificates on a database, each call in a transaction of its own."""

    database: Database
    certificates: Certificates

    def issue(self, client: str = "centre-7", at: datetime = NOW, request: str = "") -> ClientCertificate:
        asked = request or request_for(new_key())
        return self.do(self.certificates.issue, client, asked, at, actor="cli/test")

    def revoke(self, made: ClientCertificate, reason: str = "superseded") -> ClientCertificate:
        return self.do(revoke, made.serial, reason, NOW, actor="cli/test")

    def do(self, act: Callable[..., Done], *given: Any, **more: Any) -> Done:
        with self.database.transaction() as session:
            return act(session, *given, **more)


@pytest.fixture
def office(database: Database, tmp_path: Path) -> Office:
    settings = Settings(platform=Platform(folder=tmp_path))
    identity = Identity(database, settings.secrets(), 600)
    with database.transaction() as session:
        for name in ("centre-7", "centre-8"):
            identity.add_client(session, name, ["centre"], name)
    return Office(database, Certificates(Authority(settings, settings.secrets())))


def test_what_is_issued_stands_under_its_thumbprint(office: Office) -> None:
    key = new_key()
    made = office.issue(request=request_for(key))
    read = x509.load_der_x509_certificate(made.certificate)
    assert made.thumbprint == thumbprint(made.certificate)
    assert (made.key_thumbprint, made.public_key()) == (key_thumbprint(key.public_key()), key.public_key())
    assert int(made.serial, 16) == read.serial_number
    assert made.state(NOW) is State.ACTIVE
    assert x509.load_pem_x509_certificate(made.to_pem().encode()) == read
    for text_ in (made.thumbprint, made.thumbprint.upper()):
        found = office.do(standing, text_)
        assert found is not None
        assert (found.client_id, found.serial) == ("centre-7", made.serial)
    assert office.do(standing, "0" * 64) is None
    assert office.do(certificate_for, "x") is None
    (own,) = office.do(held, "centre-7")
    assert (own.thumbprint, own.key_thumbprint) == (made.thumbprint, made.key_thumbprint)
    assert office.do(held, "centre-8") == []
    with office.database.transaction() as session:
        entry = audit.entries(session, "client/centre-7")[-1]
    assert (entry.action, entry.actor, entry.details["serial"]) == (
        "certificate_issued",
        "cli/test",
        made.serial,
    )


def test_it_counts_from_its_first_moment_to_its_last_and_never_once_revoked(office: Office) -> None:
    made = office.issue()
    moments = {
        made.not_before - DAY: State.EARLY,
        made.not_before: State.ACTIVE,
        made.not_after: State.ACTIVE,
        made.not_after + DAY: State.EXPIRED,
    }
    for at, state in moments.items():
        assert made.state(at) is state
        found = office.do(standing, made.thumbprint, at)
        assert (found is not None) is (state is State.ACTIVE)
        keys = office.do(held, "centre-7", at)
        assert bool(keys) is (state is State.ACTIVE)
    gone = office.revoke(made)
    assert {gone.state(at) for at in moments} == {State.REVOKED}
    assert office.do(standing, made.thumbprint, NOW) is None
    assert office.do(held, "centre-7", NOW) == []
    kept = office.do(certificate_for, made.thumbprint)
    assert kept is not None
    assert (kept.client_id, kept.state(NOW)) == ("centre-7", State.REVOKED)


def test_a_revocation_is_kept_as_it_was_first_said(office: Office) -> None:
    made = office.issue()
    first = office.revoke(made, "key_compromise")
    again = office.do(revoke, made.serial, "superseded", NOW + DAY)
    assert (again.revoked_at, again.revoked_because) == (NOW, "key_compromise")
    assert first.serial == again.serial
    with office.database.transaction() as session:
        said = [
            each for each in audit.entries(session, "client/centre-7") if each.action == "certificate_revoked"
        ]
    assert [each.details["reason"] for each in said] == ["key_compromise"]
    with pytest.raises(InvalidInput, match="cannot be revoked because of 'boredom'"):
        office.revoke(made, "boredom")
    with pytest.raises(NotFound, match="no certificate of serial"):
        office.do(revoke, "ff", "superseded", NOW)


def test_a_serial_is_taken_as_openssl_prints_it(office: Office) -> None:
    made = office.issue()
    digits = made.serial.rjust(len(made.serial) + len(made.serial) % 2, "0").upper()
    printed = ":".join(digits[place : place + 2] for place in range(0, len(digits), 2))
    assert office.do(revoke, printed, "superseded", NOW).serial == made.serial


def test_a_key_belongs_to_one_client_and_a_revoked_one_to_none(office: Office) -> None:
    key = new_key()
    made = office.issue(request=request_for(key))
    with pytest.raises(Conflict, match="another client has a certificate for it"):
        office.issue("centre-8", request=request_for(key))
    # Its own client may have it certified again.
    assert office.issue(request=request_for(key)).serial != made.serial
    office.revoke(made)
    with pytest.raises(Conflict, match="a certificate for it was revoked"):
        office.issue(request=request_for(key))


def test_a_renewed_certificate_goes_on_until_its_end(office: Office) -> None:
    old = office.issue(at=NOW - LIFETIME + 10 * DAY)
    new = office.issue()
    assert (old.renews, new.renews, new.client_id) == (None, old.serial, "centre-7")
    keys = office.do(held, "centre-7", NOW)
    assert [each.thumbprint for each in keys] == [new.thumbprint, old.thumbprint]
    assert [each.serial for each in office.do(of_client, "centre-7")] == [
        new.serial,
        old.serial,
    ]
    office.revoke(old)
    office.revoke(new)
    # What was revoked is followed by nothing: the next one is a beginning.
    assert office.issue().renews is None


def test_a_certificate_is_revoked_for_its_own_client_alone(office: Office) -> None:
    made = office.issue()
    with pytest.raises(NotFound, match="no certificate"):
        office.do(revoke_of, "centre-8", made.serial, "key_compromise", NOW)
    assert [each.thumbprint for each in office.do(held, "centre-7", NOW)] == [made.thumbprint]
    assert office.do(revoke_of, "centre-7", made.serial, "key_compromise", NOW).revoked_at == NOW
    assert office.do(held, "centre-7", NOW) == []


def test_what_cannot_be_certified_leaves_nothing_behind(office: Office) -> None:
    with pytest.raises(NotFound, match="no API client 'centre-9'"):
        office.issue("centre-9")
    with pytest.raises(Malformed, match="no request"):
        office.issue(request="x")
    for _ in range(MOST_AT_ONCE):
        office.issue()
    with pytest.raises(Conflict, match=f"has {MOST_AT_ONCE} certificates in force"):
        office.issue()
    office.issue("centre-8")
    with office.database.transaction() as session:
        assert session.scalar(text("SELECT count(*) FROM client_certificate")) == MOST_AT_ONCE + 1


def test_all_of_a_client_are_revoked_at_once_and_nobody_elses(office: Office) -> None:
    mine = [office.issue(), office.issue()]
    other = office.issue("centre-8")
    office.revoke(mine[0], "key_compromise")
    assert office.do(revoke_all, "centre-7", "privilege_withdrawn", NOW) == 1
    assert office.do(held, "centre-7", NOW) == []
    assert len(office.do(held, "centre-8", NOW)) == 1
    listed = office.do(revoked, NOW)
    assert {(each.serial, each.reason) for each in listed} == {
        (int(mine[0].serial, 16), "key_compromise"),
        (int(mine[1].serial, 16), "privilege_withdrawn"),
    }
    assert int(other.serial, 16) not in {each.serial for each in listed}


def test_the_list_holds_what_was_revoked_until_its_own_end(office: Office) -> None:
    for reason in REASONS:
        office.revoke(office.issue(), reason)
    made = x509.load_der_x509_crl(office.do(office.certificates.crl, NOW))
    assert len(list(made)) == len(REASONS)
    later = NOW + LIFETIME + DAY
    assert list(x509.load_der_x509_crl(office.do(office.certificates.crl, later))) == []


def test_a_certificate_that_ends_is_told_of_once_at_each_warning(office: Office) -> None:
    made = office.issue()
    end = made.not_after
    told = []
    for days in (40, 30, 29, 14, 13, 8, 7, 2, 1, 0.5):
        at = end - timedelta(days=days)
        if office.do(watch, at):
            told.append(days)
        assert office.do(watch, at) == 0
    assert told == [30, 14, 7, 1]
    assert office.do(watch, end + DAY) == 0
    with office.database.transaction() as session:
        found = events.read(session, after=None, kind_prefix=EXPIRING)
    assert [(each.subject, each.payload["days"]) for each in found] == [
        ("client/centre-7", days) for days in (30, 14, 7, 1)
    ]
    assert found[0].payload["serial"] == made.serial


def test_a_watch_that_was_late_tells_only_the_nearest_warning(office: Office) -> None:
    made = office.issue()
    assert office.do(watch, made.not_after - 2 * DAY) == 1
    with office.database.transaction() as session:
        (found,) = events.read(session, after=None, kind_prefix=EXPIRING)
    assert found.payload["days"] == 7


def test_what_was_renewed_or_revoked_is_not_warned_of_and_what_ends_is_listed(office: Office) -> None:
    old = office.issue(at=NOW - LIFETIME + 10 * DAY)
    gone = office.issue("centre-8", at=NOW - LIFETIME + 5 * DAY)
    office.revoke(gone)
    assert [each.certificate.serial for each in office.do(expiring, 30, NOW)] == [old.serial]
    assert office.do(expiring, 9, NOW) == []
    new = office.issue()
    (listed,) = office.do(expiring, 30, NOW)
    assert (listed.certificate.serial, listed.renewed) == (old.serial, True)
    assert office.do(watch, NOW) == 0
    # What followed it is taken away: then nothing lasts longer.
    office.revoke(new)
    assert office.do(watch, NOW) == 1
