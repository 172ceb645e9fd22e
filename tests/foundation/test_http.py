import inspect
import json
import logging
import socket
from collections.abc import Iterator

import httpx
import pytest

from foundation import errors
from foundation.errors import RakeezaError
from tests.foundation.http_face import LIMIT, PROBLEM, Face, refusal

pytest_plugins = ["tests.foundation.http_fixtures"]


def test_every_error_of_ours_is_a_problem_document(http: httpx.Client) -> None:
    kinds = [
        kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, RakeezaError)
    ]
    assert len(kinds) > 10
    for kind in kinds:
        expected = errors.problem(kind("It broke.", remedy="Mend it."))
        response = http.get(f"/raise/{kind.__name__}")
        assert response.json() == expected
        refusal(response, expected["status"], expected["type"].rpartition(":")[2])
        assert ("retry-after" in response.headers) is kind.retryable


def test_wrong_fields_are_named_by_pointer(http: httpx.Client) -> None:
    body = {"areas": {"a/b~c": -1}, "colour": "red"}
    document = refusal(http.post("/shops?limit=x", json=body), 422, "invalid-input")
    assert {(item["pointer"], item["detail"]) for item in document["errors"]} == {
        ("", "query parameter limit: Input should be a valid integer, unable to parse string as an integer"),
        ("/name", "Field required"),
        ("/areas/a~1b~0c", "Input should be greater than 0"),
        ("/colour", "is unknown"),
    }
    assert "(3 more)" in document["detail"]


@pytest.mark.parametrize(
    ("content", "kind", "status", "problem", "sentence"),
    [
        (b'{"name": ', "application/json", 400, "malformed", "not JSON: Expecting value at character 10"),
        (b'{"name": "\xff"}', "application/json", 400, "malformed", "UTF-8"),
        (b"[" * 1_900, "application/json", 400, "malformed", ""),
        (b"", "application/json", 422, "invalid-input", "Field required"),
        (b"<a/>", "text/xml", 415, "unsupported-media-type", "text/xml; send application/json"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(
    http: httpx.Client, content: bytes, kind: str, status: int, problem: str, sentence: str
) -> None:
    response = http.post("/shops", content=content, headers={"Content-Type": kind})
    assert sentence in refusal(response, status, problem)["detail"]


def test_an_unknown_path_and_a_wrong_method_are_problems_too(http: httpx.Client) -> None:
    assert "/nowhere" in refusal(http.get("/nowhere"), 404, "not-found")["detail"]
    response = http.delete("/shops")
    refusal(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "POST"


def test_a_body_over_the_limit_is_refused_by_its_announced_length(http: httpx.Client) -> None:
    response = http.post("/shops", json={"name": "x" * LIMIT})
    assert str(LIMIT) in refusal(response, 413, "too-large")["detail"]
    assert response.headers["connection"] == "close"
    assert http.post("/shops", json={"name": "x", "areas": {}}).status_code == 200


def test_a_chunked_body_over_the_limit_is_refused_when_it_passes_it(http: httpx.Client) -> None:
    def chunks(count: int) -> Iterator[bytes]:
        yield b'{"areas": {}, "name": "'
        yield from (b"x" * 100 for _ in range(count))
        yield b'"}'

    kind = {"Content-Type": "application/json"}
    refusal(http.post("/shops", content=chunks(30), headers=kind), 413, "too-large")
    assert http.post("/shops", content=chunks(10), headers=kind).status_code == 200


def test_an_endless_body_is_cut_off(http: httpx.Client) -> None:
    address = (http.base_url.host, http.base_url.port or 0)
    with socket.create_connection(address, timeout=30) as raw:
        raw.sendall(b"POST /shops HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n")
        raw.sendall(b"Transfer-Encoding: chunked\r\n\r\n")
        sent = 0
        try:
            while sent < 50_000_000:
                sent += raw.send(b"3e8\r\n" + b" " * 1000 + b"\r\n")
        except OSError:
            # The server has closed its end.
            pass
        assert sent < 50_000_000


def test_an_unforeseen_error_is_logged_and_tells_nothing(
    http: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        response = http.get("/raise/Unforeseen")
    document = refusal(response, 500, "rakeeza-error")
    assert "swordfish" not in response.text
    assert "KeyError" not in response.text
    assert document["reference"] in document["instance"]
    logged = [
        record for record in caplog.records if record.__dict__.get("reference") == document["reference"]
    ]
    assert len(logged) == 1
    assert logged[0].exc_info is not None


def test_every_response_has_safe_headers(http: httpx.Client) -> None:
    for response in (http.post("/shops", json={"name": "x", "areas": {}}), http.get("/nowhere")):
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["content-language"] == "en, ar"
        assert "server" not in response.headers
    cached = http.get("/cached").headers
    assert (cached["cache-control"], "server" in cached) == ("max-age=60", False)


def test_events_are_streamed_with_their_cursors(http: httpx.Client, face: Face) -> None:
    response = http.get("/events?count=3")
    assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    blocks = [
        dict(line.split(": ", 1) for line in block.splitlines()) for block in response.text.split("\n\n")[:-1]
    ]
    assert [(block["id"], block["event"]) for block in blocks] == [
        (f"7-{n}", "play.host_ok") for n in range(3)
    ]
    assert json.loads(blocks[2]["data"]) == {
        "subject": "play/1",
        "at": "2026-11-22T00:00:00+00:00",
        "number": 2,
        "note": "سطر\nسطر",
    }
    assert face.streams.closed.wait(30)


def test_a_silent_stream_beats_and_its_source_is_closed_when_the_reader_goes(
    http: httpx.Client, face: Face
) -> None:
    with http.stream("GET", "/events?count=1") as response:
        lines = response.iter_lines()
        seen = [next(lines) for _ in range(8)]
        assert seen[0] == "id: 7-0"
        assert seen.count(": still here") >= 2
        assert not face.streams.closed.is_set()
    assert face.streams.closed.wait(30)


def test_the_description_names_problems_and_the_way_to_a_token(http: httpx.Client) -> None:
    described = http.get("/openapi.json").json()
    (scheme,) = described["components"]["securitySchemes"].values()
    assert scheme["flows"]["clientCredentials"]["tokenUrl"] == "/v1/oauth/token"
    assert described["paths"]["/me"]["get"]["security"]
    for path in described["paths"].values():
        for operation in path.values():
            assert PROBLEM in operation["responses"]["default"]["content"]
            assert "422" not in operation["responses"]
    refusal(http.get("/docs"), 404, "not-found")
