"""Licences before, during and after a change of keys, as those who verify them see it."""

from datetime import timedelta
from pathlib import Path

import pytest

from foundation.database import Database
from foundation.wire.credential import RevokedKey, open_credential
from integrations.licences.keyring import Keyring
from integrations.licences.licence import Licence
from integrations.licences.signing_keys import Key
from tests.integrations.licence_office import LicenceOffice, open_licence_office


@pytest.fixture
def office(database: Database, tmp_path: Path) -> LicenceOffice:
    return open_licence_office(database, tmp_path)


@pytest.fixture
def ring(office: LicenceOffice) -> Keyring:
    """The office's ring of keys, by the office's clock."""
    ring = office.office.keys
    assert isinstance(ring, Keyring)
    ring._clock = lambda: office.now[-1]
    return ring


def kid_of(office: LicenceOffice, licence: Licence) -> str:
    opened = open_credential(licence.credential, office.keys(), today=office.day)
    return opened.key.kid.hex()


def rotated(office: LicenceOffice, ring: Keyring) -> Key:
    with office.database.transaction() as session:
        return ring.rotate(session, actor="cli/tester", overlap=timedelta(hours=24))


def test_licences_of_both_keys_verify_by_the_set_and_by_no_half_of_it(
    office: LicenceOffice, ring: Keyring
) -> None:
    first = office.do("stall", "issue")
    before = office.keys()
    key = rotated(office, ring)
    # Published at once, and signing only after its overlap.
    assert len(office.keys()) == 2
    during = office.do("stall", "issue")
    assert kid_of(office, during) == kid_of(office, first)
    open_credential(during.credential, before, today=office.day)
    office.pass_days(1)
    after = office.do("stall", "issue")
    assert kid_of(office, after) == key.kid
    assert kid_of(office, first) != key.kid
    # A copy is signed today, by the key of today.
    copied = office.on(first, "copy")
    assert kid_of(office, copied) == key.kid


def test_what_a_retired_key_signed_is_refused_and_a_copy_of_it_holds(
    office: LicenceOffice, ring: Keyring
) -> None:
    licence = office.do("stall", "issue")
    stolen = kid_of(office, licence)
    key = rotated(office, ring)
    with office.database.transaction() as session:
        ring.retire(session, stolen, because="The disk was stolen.", actor="cli/tester")
    with pytest.raises(RevokedKey):
        open_credential(licence.credential, office.keys(), today=office.day)
    # The next key signs at once, before its overlap is over.
    assert kid_of(office, office.on(licence, "copy")) == key.kid
