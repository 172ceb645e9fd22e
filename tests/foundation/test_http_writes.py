from base64 import b64encode
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from sqlalchemy import text

from tests.foundation.http_face import Face, bearer, new_secret, refusal
from tests.processes import PATIENCE

pytest_plugins = ["tests.foundation.http_fixtures"]


def test_a_token_opens_the_door_and_nothing_else_does(http: httpx.Client, face: Face) -> None:
    assert http.get("/me", headers=bearer(face, "c", "kiosk")).json() == {"name": "c"}
    cases = [
        ({}, 401, "not-authenticated", 'Bearer realm="rakeeza"'),
        ({"Authorization": "Basic eDp5"}, 401, "not-authenticated", None),
        ({"Authorization": "Bearer"}, 401, "not-authenticated", None),
        ({"Authorization": "Bearer x.y.z"}, 401, "not-authenticated", None),
        (bearer(face, "p", "payment"), 403, "permission-denied", None),
    ]
    for headers, status, kind, challenge in cases:
        response = http.get("/me", headers=headers)
        refusal(response, status, kind)
        named = response.headers["www-authenticate"]
        word = "insufficient_scope" if status == 403 else "invalid_token"
        assert named == (challenge or f'Bearer realm="rakeeza", error="{word}"')


def test_the_token_endpoint_takes_basic_and_form(http: httpx.Client, face: Face) -> None:
    secret = new_secret(face, "c", "centre", "kiosk").reveal()
    grant = {"grant_type": "client_credentials"}
    by_form = http.post("/v1/oauth/token", data={**grant, "client_id": "c", "client_secret": secret})
    by_basic = http.post("/v1/oauth/token", data=grant, auth=("c", secret))
    for response in (by_form, by_basic):
        body = response.json()
        assert response.status_code == 200
        assert (response.headers["cache-control"], response.headers["pragma"]) == ("no-store", "no-cache")
        assert (body["token_type"], body["expires_in"], body["scope"]) == ("Bearer", 600, "centre kiosk")
        headers = {"Authorization": f"bearer {body['access_token']}"}
        assert http.get("/me", headers=headers).json() == {"name": "c"}


@pytest.mark.parametrize(
    ("form", "header", "status", "code"),
    [
        ({"grant_type": "password"}, "", 400, "unsupported_grant_type"),
        ({"client_id": "c"}, "", 400, "invalid_request"),
        ({"grant_type": "client_credentials"}, "", 401, "invalid_client"),
        (
            {"grant_type": "client_credentials", "client_id": "c", "client_secret": "x"},
            "",
            401,
            "invalid_client",
        ),
        ({"grant_type": "client_credentials"}, "Basic !!!", 401, "invalid_client"),
        ({"grant_type": "client_credentials"}, "Basic " + b64encode(b"c:x").decode(), 401, "invalid_client"),
        ({"grant_type": "client_credentials", "client_secret": "x"}, "Basic eDp5", 400, "invalid_request"),
    ],
)
def test_the_token_endpoint_refuses_as_oauth_has_it(
    http: httpx.Client, face: Face, form: dict[str, str], header: str, status: int, code: str
) -> None:
    new_secret(face, "c", "centre")
    response = http.post("/v1/oauth/token", data=form, headers={"Authorization": header} if header else {})
    assert (response.status_code, response.json()["error"]) == (status, code)
    assert response.headers["content-type"] == "application/json"
    assert ("www-authenticate" in response.headers) is (status == 401)


def test_the_token_endpoint_takes_no_json_and_no_double_field(http: httpx.Client) -> None:
    for content, kind in (
        (b"{}", "application/json"),
        (b"grant_type=a&grant_type=b", "application/x-www-form-urlencoded"),
    ):
        response = http.post("/v1/oauth/token", content=content, headers={"Content-Type": kind})
        assert (response.status_code, response.json()["error"]) == (400, "invalid_request")


def test_sixteen_requests_of_one_key_have_one_effect_and_one_answer(http: httpx.Client, face: Face) -> None:
    headers = {**bearer(face, "c", "centre"), "Idempotency-Key": "5f6b8f6e-0001"}

    def ask(_: int) -> httpx.Response:
        return httpx.post(f"{http.base_url}/notes", json={"words": "أهلًا"}, headers=headers, timeout=PATIENCE)

    with ThreadPoolExecutor(16) as pool:
        responses = list(pool.map(ask, range(16)))
    assert {response.status_code for response in responses} == {201}
    assert len({response.content for response in responses}) == 1
    assert responses[0].json() == {"number": 1, "a": "أهلًا", "النص": "نعم"}
    replayed = [response.headers.get("idempotency-replayed") for response in responses]
    assert sorted(replayed, key=str) == [None, *["true"] * 15]
    with face.database.transaction() as session:
        assert session.scalar(text("SELECT count(*) FROM note")) == 1


def test_a_key_stands_for_one_request_of_one_caller(http: httpx.Client, face: Face) -> None:
    mine, theirs = bearer(face, "c", "centre"), bearer(face, "d", "centre")
    key = {"Idempotency-Key": '"quoted-key"'}
    assert http.post("/notes", json={"words": "a", "b": 1}, headers={**mine, **key}).status_code == 201
    again = http.post(
        "/notes", json={"b": 1, "words": "a"}, headers={**mine, "Idempotency-Key": "quoted-key"}
    )
    assert again.headers["idempotency-replayed"] == "true"
    other = http.post("/notes", json={"words": "b"}, headers={**mine, **key})
    assert "quoted-key" in refusal(other, 422, "idempotency-mismatch")["detail"]
    assert http.post("/notes", json={"words": "b"}, headers={**theirs, **key}).json()["number"] == 2


def test_a_write_that_failed_may_be_tried_again_under_its_key(http: httpx.Client, face: Face) -> None:
    headers = {**bearer(face, "c", "centre"), "Idempotency-Key": "k"}
    face.fail_next = True
    refusal(http.post("/notes", json={"words": "a"}, headers=headers), 409, "conflict")
    assert http.post("/notes", json={"words": "a"}, headers=headers).json()["number"] == 1


@pytest.mark.parametrize("key", [None, "", "a b", "k" * 129, "مفتاح", '"'])
def test_a_write_without_a_good_key_is_refused(http: httpx.Client, face: Face, key: str | None) -> None:
    headers = [(name.encode(), value.encode()) for name, value in bearer(face, "c", "centre").items()]
    if key is not None:
        headers.append((b"Idempotency-Key", key.encode()))
    response = http.post("/notes", json={"words": "a"}, headers=headers)
    assert "Idempotency-Key" in refusal(response, 400, "malformed")["detail"]
