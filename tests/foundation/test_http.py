import inspect
import json
import logging
import re
import socket
from collections.abc import Iterator
from datetime import date
from typing import Annotated, Any, Literal

import httpx
import pytest
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from foundation import errors
from foundation.errors import RakeezaError
from foundation.http_faults import refused
from tests.foundation.http_face import FILE_LIMIT, LIMIT, PROBLEM, Face, refusal
from tests.processes import PATIENCE

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
    # Of every route at the path.
    assert response.headers["allow"] == "POST, PUT"


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


def test_what_is_put_has_a_limit_of_its_own(http: httpx.Client) -> None:
    assert http.put("/shops", content=b"x" * FILE_LIMIT).json() == {"size": FILE_LIMIT}
    refusal(http.put("/shops", content=b"x" * (FILE_LIMIT + 1)), 413, "too-large")
    pieces = (b"x" * 1_000 for _ in range(FILE_LIMIT // 1_000 + 1))
    assert str(FILE_LIMIT) in refusal(http.put("/shops", content=pieces), 413, "too-large")["detail"]


class _Everything(BaseModel):
    model_config = ConfigDict(extra="forbid")

    text: Annotated[str, Field(min_length=2, max_length=3, pattern="^[a-z]*$")] = "ab"
    whole: Annotated[int, Field(ge=1, le=3)] = 1
    share: Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)] = 0.5
    choice: Literal["a", "b"] = "a"
    flag: bool = True
    day: date = date(2026, 11, 22)
    moment: AwareDatetime | None = None
    several: Annotated[list[int], Field(min_length=1, max_length=2)] = [1]
    words: dict[str, str] = {}


@pytest.mark.parametrize(
    "wrong",
    [
        {"text": 1},
        {"text": "a"},
        {"text": "abcd"},
        {"text": "A1"},
        {"text": "\ud800a"},
        {"whole": "x"},
        {"whole": 1.5},
        {"whole": None},
        {"whole": 0},
        {"whole": 4},
        {"whole": "9" * 5_000},
        {"share": "x"},
        {"share": []},
        {"share": 0},
        {"share": 1},
        {"share": float("inf")},
        {"choice": "c"},
        {"flag": "perhaps"},
        {"flag": []},
        {"day": "yesterday"},
        {"day": []},
        {"day": "2026-11-22T10:00:00"},
        {"moment": "2026-11-22T10:00:00"},
        {"moment": "2026-13-22T10:00:00Z"},
        {"moment": []},
        {"several": {}},
        {"several": []},
        {"several": [1, 2, 3]},
        {"words": 1},
        {"colour": "red"},
    ],
)
def test_every_fault_that_pydantic_tells_is_told_in_arabic_of_its_own(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        _Everything.model_validate(wrong)
    items = [{**item, "loc": ("body", *item["loc"])} for item in caught.value.errors()]
    document = errors.problem(refused(items))
    for told in document["errors"]:
        assert re.search(r"[\u0621-\u064a]{2}", told["detail_ar"])
        assert "{" not in told["detail_ar"]
        assert told["detail_ar"] != "القيمة غير صحيحة.", items
    assert document["errors"][0]["detail_ar"] in document["detail_ar"]
    json.dumps(document, ensure_ascii=False).encode()


def test_a_fault_outside_the_body_is_named_and_no_pointer(http: httpx.Client) -> None:
    (told,) = http.post("/shops?limit=x", json={"name": "x", "areas": {}}).json()["errors"]
    assert told["pointer"] == ""
    assert told["detail_ar"] == "معامل العنوان \u2068limit\u2069: يجب أن يكون عددًا صحيحًا."


def test_of_many_faults_the_first_fifty_are_told() -> None:
    item = {"loc": ("body", "x"), "type": "missing", "msg": "Field required"}
    document = errors.problem(refused([item] * 900))
    assert len(document["errors"]) == 50
    assert "900" in document["detail_ar"]


def test_an_endless_body_is_cut_off(http: httpx.Client) -> None:
    address = (http.base_url.host, http.base_url.port or 0)
    with socket.create_connection(address, timeout=PATIENCE) as raw:
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
