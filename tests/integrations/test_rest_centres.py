"""A centre's own affairs by REST; every answer is held against the contract."""

import asyncio
from typing import Any

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from foundation.http import handed_over
from foundation.identity import Caller
from tests.integrations.centre_office import CentreOffice, contract, open_centre
from tests.integrations.desk import SYSTEM, Desk, new_key
from tests.integrations.face import Face, promised, submission

pytest_plugins = ["tests.integrations.face_fixtures"]


class Signed:
    """The API as a clerk of a centre calls it, his signatures verified before.

    Args:
        caller: as a face hands him over.
    """

    def __init__(self, api: Face, caller: Caller) -> None:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            handed = handed_over(scope, caller) if scope["type"] == "http" else scope
            await api.app(handed, receive, send)

        self._transport = httpx.ASGITransport(app)

    def call(self, method: str, path: str, body: Any = None, key: str = "") -> httpx.Response:
        """One request, with a new key where it writes and none is given."""
        headers = {"Idempotency-Key": key or new_key()} if method != "GET" else {}

        async def sent() -> httpx.Response:
            async with httpx.AsyncClient(transport=self._transport, base_url="http://here") as client:
                return await client.request(method, path, json=body, headers=headers)

        response = asyncio.run(sent())
        promised(method, path, response)
        return response

    def done(self, method: str, path: str, body: Any = None) -> Any:
        """What a request gives; it has to succeed."""
        response = self.call(method, path, body)
        assert response.status_code in (200, 201), response.text
        return response.json()


@pytest.fixture
def office(desk: Desk) -> CentreOffice:
    """A centre with a quota, whose contract asks for shifts."""
    return open_centre(desk, contract(shifts=True, quota={"day": 1, "month": 9}))


def test_a_day_at_a_centre(api: Face, office: CentreOffice) -> None:
    clerk = Signed(api, office.caller(device="pc-1"))
    own = clerk.done("GET", "/v1/centre")
    assert own["contract"]["services"][0]["percent"] == "12.50"
    assert own["contract"]["used"]["day"] == {"period": "2026-11-22", "used": 0, "quota": 1}

    early = clerk.call("POST", "/v1/cases", submission())
    assert (early.status_code, early.json()["type"]) == (409, "urn:rakeeza:problem:shift-not-open")
    shift = clerk.done("POST", "/v1/centre/shifts", {"float": "300"})
    assert shift["float"] == "300.00"
    again = clerk.call("POST", "/v1/centre/shifts", {"float": "300"})
    assert (again.status_code, again.json()["type"]) == (409, "urn:rakeeza:problem:shift-open")

    assert clerk.call("POST", "/v1/cases", submission()).status_code == 201
    full = clerk.call("POST", "/v1/cases", submission())
    assert (full.status_code, full.json()["type"]) == (409, "urn:rakeeza:problem:quota-exhausted")
    assert "2026-11-22" in full.json()["detail_ar"]

    path = f"/v1/centre/shifts/{shift['id']}"
    moved = {"direction": "out", "amount": "100.5", "reason": "to the safe"}
    assert clerk.done("POST", f"{path}/movements", moved)["expected"] == "199.50"
    short = clerk.call("POST", f"{path}/movements", {**moved, "amount": "200"})
    assert (short.status_code, short.json()["type"]) == (409, "urn:rakeeza:problem:drawer-short")
    assert clerk.done("GET", "/v1/centre/shifts?open=true")["items"][0]["movements"][0]["amount"] == "100.50"
    closed = clerk.done("POST", f"{path}/close", {"counted": "199", "note": "a coin is missing"})
    assert closed["difference"] == "-0.50"
    assert clerk.done("GET", "/v1/centre/shifts?open=true")["items"] == []

    report = clerk.done("GET", "/v1/centre/report?from=2026-11-22&to=2026-11-22")
    assert report["total"]["applications"] == 1
    assert report["shifts"]["difference"] == "-0.50"
    assert {each["kind"]: each["times"] for each in report["refusals"]} == {
        "DrawerShort": 1,
        "QuotaExhausted": 1,
        "ShiftNotOpen": 1,
        "ShiftOpen": 1,
    }


def test_shifts_come_a_page_at_a_time(api: Face, office: CentreOffice) -> None:
    clerk = Signed(api, office.caller(device="pc-1"))
    ids = []
    for _ in range(3):
        ids.append(clerk.done("POST", "/v1/centre/shifts", {"float": "0"})["id"])
        clerk.done("POST", f"/v1/centre/shifts/{ids[-1]}/close", {"counted": "0"})
    first = clerk.done("GET", "/v1/centre/shifts?limit=2")
    rest = clerk.done("GET", f"/v1/centre/shifts?limit=2&after={first['next']}")
    assert [each["id"] for each in first["items"] + rest["items"]] == ids[::-1]
    assert rest["next"] is None
    assert clerk.call("GET", "/v1/centre/shifts?after=nowhere").status_code == 400


@pytest.mark.parametrize(
    ("path", "body", "pointer"),
    [
        ("", {"float": 300}, "/float"),
        ("", {"float": "-1"}, "/float"),
        ("", {"float": "1.001"}, "/float"),
        ("/1/movements", {"direction": "out", "amount": "0.00", "reason": "x"}, "/amount"),
        ("/1/movements", {"direction": "up", "amount": "1.00", "reason": "x"}, "/direction"),
        ("/1/movements", {"direction": "in", "amount": "1.00", "reason": "a\nb"}, "/reason"),
        ("/1/close", {"counted": "1.00", "note": "a\tb"}, "/note"),
        ("/1/close", {}, "/counted"),
    ],
)
def test_a_wrong_field_of_a_shift_is_named(
    api: Face, office: CentreOffice, path: str, body: dict[str, Any], pointer: str
) -> None:
    clerk = Signed(api, office.caller(device="pc-1"))
    refused = clerk.call("POST", f"/v1/centre/shifts{path}", body)
    assert refused.status_code == 422
    assert [each["pointer"] for each in refused.json()["errors"]] == [pointer]


def test_a_suspended_centre_is_told_so_in_both_languages(api: Face, office: CentreOffice) -> None:
    api.desk.licensing.centres.suspend(SYSTEM, office.code, "a complaint")
    refused = Signed(api, office.caller(device="pc-1")).call("POST", "/v1/cases", submission())
    told = refused.json()
    assert (refused.status_code, told["type"]) == (403, "urn:rakeeza:problem:centre-suspended")
    assert (told["title"], told["title_ar"]) == ("Centre suspended", "المركز موقوف")


def test_a_counter_of_the_municipality_has_no_contract(api: Face) -> None:
    assert api.call("centre-1", "GET", "/v1/centre").status_code == 404
    assert api.call("centre-1", "GET", "/v1/centre/shifts").status_code == 404
    refused = api.write("centre-1", "/v1/centre/shifts", {"float": "0"})
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:rakeeza:problem:contract-not-in-force")
    assert api.call("reviewer", "GET", "/v1/centre").status_code == 403


def test_a_centre_with_a_contract_writes_nothing_that_is_not_signed(api: Face, desk: Desk) -> None:
    open_centre(desk, code="centre-2")
    refused = api.write("centre-2", "/v1/cases", submission())
    assert (refused.status_code, refused.json()["type"]) == (403, "urn:rakeeza:problem:proof-missing")
    assert desk.count("case_file") == 0
    assert api.get("centre-2", "/v1/centre")["code"] == "centre-2"
