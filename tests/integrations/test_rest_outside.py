"""Webhooks, the stream of events and calls to back-ends, over REST."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from foundation.database import Database
from foundation.settings import Backend
from tests.integrations import outside_office
from tests.integrations.desk import REVIEWED, open_desk
from tests.integrations.face import CENTRE, KIOSK, OTHER, REVIEWER, Face, open_face, submission
from tests.integrations.webhook_office import verified
from tests.receiver import receiving

pytest_plugins = ["tests.integrations.face_fixtures"]


def _subscribed(api: Face, url: str, *kinds: str, who: str = CENTRE, key: str = "") -> dict[str, Any]:
    answer = api.write(who, "/v1/webhooks", {"url": url, "kinds": list(kinds)}, key=key)
    assert answer.status_code == 201, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_a_centre_is_told_signed_and_replays_what_it_missed(api: Face) -> None:
    with receiving() as receiver:
        hook = _subscribed(api, receiver.url, "case.submitted", "licence.")
        assert hook["secret"].startswith("whsec_")
        assert "secret" not in api.get(CENTRE, "/v1/webhooks")["items"][0]
        number, _ = api.issued()
        api.submit(who=OTHER)
        api.desk.licensing.outside.deliver_now()
        told = [verified(each, hook["secret"], api.desk.now[-1]) for each in receiver.received]
        assert [each["type"] for each in told] == ["case.submitted", "licence.issued"]
        assert told[0]["data"]["subject"] == f"case/{number}"
        before = list(receiver.ids)
        path = f"/v1/webhooks/{hook['id']}"
        api.done(CENTRE, f"{path}/replay", {"since": "2020-01-01T00:00:00Z"})
        api.desk.licensing.outside.deliver_now()
        assert receiver.ids == before * 2
        api.done(CENTRE, f"{path}/replay", {"after": before[0].removeprefix("evt_")})
        api.desk.licensing.outside.deliver_now()
        assert receiver.ids == [*before * 2, before[1]]


def test_a_webhook_is_paused_resumed_given_a_new_secret_and_ended(api: Face) -> None:
    with receiving() as receiver:
        hook = _subscribed(api, receiver.url)
        path = f"/v1/webhooks/{hook['id']}"
        assert api.done(CENTRE, f"{path}/pause")["state"] == "paused"
        api.submit()
        api.desk.licensing.outside.deliver_now()
        assert receiver.received == []
        new = api.done(CENTRE, f"{path}/secret")
        assert new["secret"] != hook["secret"]
        assert api.done(CENTRE, f"{path}/resume")["state"] == "active"
        api.desk.licensing.outside.deliver_now()
        assert receiver.received
        # For a day both secrets sign.
        for secret in (hook["secret"], new["secret"]):
            verified(receiver.received[0], secret, api.desk.now[-1])
        assert api.call(CENTRE, "DELETE", path).status_code == 204
        assert api.call(CENTRE, "DELETE", path).status_code == 404
        assert api.write(CENTRE, f"{path}/resume").status_code == 404
        assert api.get(CENTRE, "/v1/webhooks")["items"] == []


def test_the_secret_of_a_webhook_lies_nowhere_in_clear(api: Face) -> None:
    hook = _subscribed(api, "http://127.0.0.1:9/", key="same")
    again = _subscribed(api, "http://127.0.0.1:9/", key="same")
    assert again == hook
    with api.desk.database.transaction() as session:
        connection = session.connection().connection.cursor()
        connection.execute("SELECT body::text FROM idempotency UNION ALL SELECT webhook::text FROM webhook")
        kept = [row[0] for row in connection.fetchall()]
    assert len(kept) >= 2
    assert all(hook["secret"] not in each for each in kept)
    api.done(CENTRE, f"/v1/webhooks/{hook['id']}/secret")
    # The first answer promised a secret that holds no more: it is not made up, and not the new one.
    assert "secret" not in _subscribed(api, "http://127.0.0.1:9/", key="same")


def test_a_webhook_is_its_centres_alone(api: Face) -> None:
    hook = _subscribed(api, "http://127.0.0.1:9/")
    assert api.get(OTHER, "/v1/webhooks")["items"] == []
    path = f"/v1/webhooks/{hook['id']}"
    assert api.call(OTHER, "DELETE", path).status_code == 404
    for deed in ("replay", "pause", "resume", "secret"):
        body = {"since": "2026-01-01T00:00:00Z"} if deed == "replay" else None
        assert api.write(OTHER, f"{path}/{deed}", body).status_code == 404
        assert api.write(REVIEWER, f"{path}/{deed}", body).status_code == 403
    assert api.write(KIOSK, "/v1/webhooks", {"url": "http://127.0.0.1:9/"}).status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {"url": "ftp://127.0.0.1/"},
        {"url": "http://"},
        {"url": "http://user:word@127.0.0.1/"},
        {"url": "http://127.0.0.1:99999/"},
        {"url": "http://a b/"},
        {"url": "http://127.0.0.1/\r\nX: y"},
        {"url": "http://\u202e.example/"},
        {"url": "http://" + "x" * 600},
        {"url": "http://127.0.0.1/", "kinds": ["%"]},
        {"url": "http://127.0.0.1/", "kinds": ["a"] * 21},
        {"url": "http://127.0.0.1/", "client": "client/centre-2"},
        {},
    ],
)
def test_a_subscription_that_cannot_be_sent_to_is_refused(api: Face, body: dict[str, Any]) -> None:
    assert api.write(CENTRE, "/v1/webhooks", body).status_code == 422
    assert api.desk.count("webhook") == 0


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"after": "1-1", "since": "2026-01-01T00:00:00Z"},
        {"after": "x"},
        {"after": None},
        {"since": "2026-01-01"},
        {"since": 0},
    ],
)
def test_a_replay_begins_at_one_place(api: Face, body: dict[str, Any]) -> None:
    hook = _subscribed(api, "http://127.0.0.1:9/")
    assert api.write(CENTRE, f"/v1/webhooks/{hook['id']}/replay", body).status_code == 422


class _Listener:
    """Events as a browser's EventSource reads them, in a thread."""

    def __init__(self, response: httpx.Response) -> None:
        self.events: list[dict[str, str]] = []
        self.came = threading.Condition()
        self._response = response
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        block: dict[str, str] = {}
        try:
            for line in self._response.iter_lines():
                name, _, value = line.partition(": ")
                if line and name:
                    block[name] = value
                elif block:
                    with self.came:
                        self.events.append(block)
                        self.came.notify_all()
                    block = {}
        except httpx.HTTPError:
            # The test has seen enough.
            pass

    def wait(self, count: int) -> list[dict[str, str]]:
        """So many events."""
        with self.came:
            assert self.came.wait_for(lambda: len(self.events) >= count, 60)
            return self.events[:count]


@contextmanager
def _listening(api: Face, who: str, after: str | None = None) -> Iterator[_Listener]:
    headers = {**api.bearer(who), **({"Last-Event-ID": after} if after else {})}
    with api.anyone.stream("GET", "/v1/events", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        yield _Listener(response)
        response.close()


def test_events_are_followed_and_taken_up_again_where_they_were_left(api: Face) -> None:
    earlier = api.submit()
    with _listening(api, CENTRE) as listener:
        number = api.submit()
        api.submit(who=OTHER)
        api.done(CENTRE, f"/v1/cases/{number}/quote")
        seen = listener.wait(2)
        assert [each["event"] for each in seen] == ["case.submitted", "case.moved"]
        subjects = {json.loads(each["data"])["subject"] for each in seen}
        # Neither what was before, nor another centre's.
        assert subjects == {f"case/{number}"}
        assert earlier not in subjects
    api.done(CENTRE, f"/v1/cases/{number}/invoice")
    with _listening(api, CENTRE, seen[0]["id"]) as listener:
        again = listener.wait(3)
        assert again[0] == seen[1]
        assert {"case.moved", "invoice.presented"} == {each["event"] for each in again[1:]}


def test_an_officer_follows_the_cases_of_his_places(api: Face) -> None:
    with _listening(api, REVIEWER) as here, _listening(api, "reviewer-there") as there:
        number = api.submit(REVIEWED)
        assert json.loads(here.wait(1)[0]["data"])["subject"] == f"case/{number}"
        elsewhere = api.submit({**REVIEWED, "district": "حي الملز"})
        assert json.loads(there.wait(1)[0]["data"])["subject"] == f"case/{elsewhere}"


@pytest.mark.parametrize("after", ["x", "1", "1-", "-1-1", "99999999999999999999-1", "1-1-1", "1_0-1"])
def test_a_stream_is_not_begun_at_what_is_no_event(api: Face, after: str) -> None:
    assert api.call(CENTRE, "GET", "/v1/events", Last_Event_ID=after).status_code == 400


@pytest.fixture
def stand(database: Database, tmp_path: Path) -> Iterator[Face]:
    """An office whose one back-end is not there."""
    folder = tmp_path / "services"
    folder.mkdir()
    (folder / "stand.yaml").write_text(outside_office.DEFINITION, encoding="utf-8")
    backends = {"commerce": Backend(url="http://127.0.0.1:9/", timeout=1)}
    with open_face(open_desk(database, tmp_path, (folder,), backends=backends)) as opened:
        yield opened


def test_a_call_that_got_no_answer_waits_for_a_person_who_puts_it_back(stand: Face) -> None:
    said = submission({"register": "4030123456"}, service="stand")
    number = stand.done(CENTRE, "/v1/cases", said)["number"]
    stand.desk.work_off()
    (call,) = stand.get(CENTRE, f"/v1/cases/{number}/calls")["items"]
    assert (call["state"], call["attempts"], call["backend"]) == ("parked", 3, "commerce")
    parked = stand.get(REVIEWER, "/v1/calls/parked")
    assert (parked["items"], parked["next"]) == ([call], None)
    path = f"/v1/calls/{call['id']}/retry"
    assert stand.write(CENTRE, path).status_code == 403
    assert stand.write("auditor", path).status_code == 403
    assert stand.call(CENTRE, "GET", "/v1/calls/parked").status_code == 403
    back = stand.done(REVIEWER, path)
    assert (back["state"], back["attempts"], back["reason"]) == ("waiting", 0, None)
    assert stand.write(REVIEWER, path).status_code == 409
    assert stand.write(REVIEWER, "/v1/calls/999999/retry").status_code == 404
    assert stand.get("administrator", "/v1/calls/parked")["items"] == []
    assert stand.call(REVIEWER, "GET", "/v1/calls/parked?after=x").status_code == 400
