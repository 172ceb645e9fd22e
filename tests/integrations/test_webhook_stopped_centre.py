"""A centre that was stopped is told nothing by webhooks: not even the rest of a turn that has begun."""

import threading
import time
from collections.abc import Callable
from datetime import date, timedelta

import pytest
from sqlalchemy import text

from foundation.definitions import Bilingual
from foundation.identity import Identity
from foundation.secret import SecretFile
from integrations.centres import centre as centres
from integrations.centres import contract as contracts
from integrations.centres.contract import Contract, Delegated
from integrations.desks.centres import CentresDesk
from tests.integrations.outside_office import CENTRE, SYSTEM, OutsideOffice
from tests.integrations.webhook_office import happen, subscribe
from tests.processes import until
from tests.receiver import Receiver

pytest_plugins = ["tests.integrations.webhook_fixtures"]

# Longer than a sender goes on without asking whether the subscription is still its own.
_UNASKED = 0.1


@pytest.fixture
def desk(office: OutsideOffice, receiver: Receiver, tmp_path_factory: pytest.TempPathFactory) -> CentresDesk:
    """The desk of a town where the client of a webhook has become a private centre."""
    subscribe(office, receiver.url)
    folder, code, at = tmp_path_factory.mktemp("secrets"), CENTRE.name, office.now[-1]
    secrets = SecretFile(folder / "secrets.json", folder / "secrets.key")
    agreed = Contract(
        reference="1",
        first_day=date(2020, 1, 1),
        last_day=date(2099, 12, 31),
        services={"stand": Delegated()},
        branches={"mall": Bilingual(ar="المجمع", en="Mall")},
    )
    with office.database.transaction() as session:
        Identity(office.database, secrets, 600).add_client(session, code, ["centre"], code)
        centres.add(session, code, Bilingual(ar="مركز", en="Centre"), SYSTEM.actor, at)
        contracts.keep(session, code, agreed, SYSTEM.actor, at)
    return CentresDesk(office.desk)


def _run_out(desk: CentresDesk) -> None:
    yesterday = desk.desk.today() - timedelta(days=1)
    with desk.desk.database.transaction() as session:
        session.execute(text("UPDATE centre_contract SET last_day = :day"), {"day": yesterday})


@pytest.mark.parametrize(
    "stop",
    [
        lambda desk: desk.suspend(SYSTEM, CENTRE.name, "a complaint"),
        lambda desk: desk.end(SYSTEM, CENTRE.name, "over"),
        _run_out,
    ],
    ids=["suspended", "ended", "over"],
)
def test_what_happens_after_the_stop_waits(
    office: OutsideOffice, receiver: Receiver, desk: CentresDesk, stop: Callable[[CentresDesk], None]
) -> None:
    before = happen(office, 2)
    assert office.outside.deliver_now() == 2
    stop(desk)
    happen(office, 3)
    assert office.outside.deliver_now() == 0
    assert receiver.ids == before


def test_a_turn_that_has_begun_ends_with_the_message_that_is_under_way_and_goes_on_when_it_is_resumed(
    office: OutsideOffice, receiver: Receiver, desk: CentresDesk
) -> None:
    ids = happen(office, 6)
    receiver.hold_at = 2
    sending = threading.Thread(target=office.outside.deliver_now)
    sending.start()
    until(lambda: len(receiver.received) == 2, "the message that is held")
    desk.suspend(SYSTEM, CENTRE.name, "a complaint")
    time.sleep(_UNASKED)
    receiver.release.set()
    sending.join()
    assert receiver.ids == ids[:2]
    assert office.outside.deliver_now() == 0
    desk.resume(SYSTEM, CENTRE.name, "it was wrong")
    office.outside.deliver_now()
    # Nothing is lost; what was under way may come twice.
    assert list(dict.fromkeys(receiver.ids)) == ids
