"""What the worker's round does about keys: what a retired one signed, and this machine's own file of them."""

from datetime import timedelta

from foundation.wire.credential import open_credential
from foundation.wire.credential_keys import KEYS_FILE, read_keys
from integrations.licences.keyring import Keyring
from tests.integrations.desk import CENTRE, Desk


def test_a_licence_of_a_retired_key_has_a_new_paper_and_this_machine_knows_its_keys(desk: Desk) -> None:
    _, number = desk.issued()
    desk.work_off()
    file = desk.settings.platform.folder / KEYS_FILE
    desk.licensing.rounds()
    (first,) = read_keys(file)
    ring = Keyring(desk.settings, desk.settings.secrets(), lambda: desk.now[-1])
    with desk.database.transaction() as session:
        key = ring.rotate(session, actor="cli/tester", overlap=timedelta(hours=1))
    desk.later(hours=2)
    with desk.database.transaction() as session:
        ring.retire(session, first.kid.hex(), because="The disk was stolen.", actor="cli/tester")
    desk.later(hours=1)
    desk.licensing.rounds()
    desk.work_off()
    code = desk.licensing.licences.licence(number)["credential"]
    trusted = read_keys(file)
    assert open_credential(code, trusted, today=desk.now[-1].date()).key.kid == key.public.kid
    revoked = trusted.get(first.kid)
    assert revoked is not None
    assert revoked.revoked_at is not None
    assert desk.licensing.licences.document(CENTRE, number).startswith(b"%PDF")
