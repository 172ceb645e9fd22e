"""Three processes of the API, and a key that is revoked while its holder is connected to all of them."""

import threading
from contextlib import ExitStack
from datetime import UTC, datetime

from sqlalchemy import text

from integrations.centres.certificates import revoke
from tests.console.three_apis import (
    A_SECOND_LATER,
    CENTRE,
    PROCESSES,
    REVOKED,
    Apis,
    Diary,
    Request,
    token_of,
)
from tests.processes import until

pytest_plugins = ["tests.console.three_apis_fixtures"]


def test_a_revoked_key_is_refused_by_every_process_within_a_second(apis: Apis) -> None:
    known, serial = apis.enrol()
    diary, stop = Diary(), threading.Event()
    requests: list[Request] = []
    with ExitStack() as stack:
        clients = [stack.enter_context(apis.client(number, known)) for number in range(PROCESSES)]
        # One token for all of them: it is the platform's, not a process's.
        header = {"Authorization": f"Bearer {token_of(clients[0])}"}

        def keep_asking(number: int) -> None:
            # Without a pause: each process always has a belief that is fresh.
            while not stop.is_set():
                sent = diary.note(f"sent to {number}")
                answer = clients[number].get("/v1/cases", headers=header)
                stream = answer.extensions["network_stream"]
                requests.append(
                    Request(number, sent, answer.status_code, stream.get_extra_info("client_addr"))
                )

        threads = [threading.Thread(target=keep_asking, args=(number,)) for number in range(PROCESSES)]
        for thread in threads:
            thread.start()
        try:
            until(lambda: {each.process for each in requests} == set(range(PROCESSES)))
            before = diary.note("before the revocation")
            with apis.database.transaction() as session:
                revoke(session, serial, "key_compromise", datetime.now(UTC))
            diary.note(REVOKED)
            with apis.database.transaction() as session:
                session.execute(text("SELECT pg_sleep(1)"))
            later = diary.note(A_SECOND_LATER)
            until(lambda: {each.process for each in requests if each.sent > later} == set(range(PROCESSES)))
        finally:
            stop.set()
            for thread in threads:
                thread.join()
    assert diary.entries.index(REVOKED) < diary.entries.index(A_SECOND_LATER)
    for number in range(PROCESSES):
        mine = [each for each in requests if each.process == number]
        assert {each.socket for each in mine} == {mine[0].socket}
        # The last that was sent before may have met the revocation on its way.
        early = [each.status for each in mine if each.sent < before]
        assert early[0] == 200
        assert set(early[:-1]) <= {200}
        # Sent a second after: refused, all of them.
        assert {each.status for each in mine if each.sent > later} == {401}
        # Once refused it stays refused.
        statuses = [each.status for each in mine]
        assert statuses == sorted(statuses)


def test_a_key_that_is_revoked_gets_no_token_from_any_process(apis: Apis) -> None:
    known, serial = apis.enrol()
    grant = {"grant_type": "client_credentials", "client_id": CENTRE}
    with ExitStack() as stack:
        clients = [stack.enter_context(apis.client(number, known)) for number in range(PROCESSES)]
        assert [client.post("/v1/oauth/token", data=grant).status_code for client in clients] == [200] * 3
        with apis.database.transaction() as session:
            revoke(session, serial, "superseded", datetime.now(UTC))
        # At once: what gives tokens believes nothing.
        answers = [client.post("/v1/oauth/token", data=grant) for client in clients]
        assert [answer.status_code for answer in answers] == [401] * 3
        assert {answer.json()["error"] for answer in answers} == {"invalid_client"}
