"""curl and openssl at the real API over TLS: tests/clients/curl/sign.sh issues, and is told each problem."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from integrations.contracts import licensing
from tests.integrations.clients.counter import Counter
from tests.integrations.desk import FORM, PNG, REVIEWED, message
from tests.integrations.signed_town import pem
from tests.integrations.test_signing_clients import Curl

MOST = 1_000_000


@dataclass(frozen=True)
class Provoked:
    """How a problem is provoked.

    Args:
        status, type: of the problem.
        method: of HTTP.
        path: NUMBER in it is a case that was just opened.
        body: as it is sent.
        told: what the shell is told otherwise.
        meanwhile: what goes on.
    """

    status: int
    type: str
    method: str
    path: str
    body: bytes = b""
    told: Mapping[str, str] = field(default_factory=dict)
    meanwhile: Callable[[Counter], AbstractContextManager[None]] = lambda _: nullcontext()


def _application(form: Mapping[str, Any] = FORM, **parts: Any) -> bytes:
    return json.dumps(message(form, **parts), ensure_ascii=False).encode()


CASES, CASE, QUOTE = "/v1/cases", "/v1/cases/NUMBER", "/v1/cases/NUMBER/quote"
PROBLEMS: dict[str, Provoked] = {
    "Malformed": Provoked(400, "malformed", "POST", CASES, b'{"service":'),
    "NotAuthenticated": Provoked(
        401, "not-authenticated", "POST", CASES, _application(), told={"TOKEN": "another"}
    ),
    "PermissionDenied": Provoked(
        403, "service-not-delegated", "POST", CASES, _application(service="health_card")
    ),
    "NotFound": Provoked(404, "not-found", "GET", "/v1/cases/SC-2020-999999"),
    "Conflict": Provoked(409, "conflict", "POST", "/v1/cases/NUMBER/invoice"),
    "Stale": Provoked(412, "stale", "POST", QUOTE, told={"IF_MATCH": '"99"'}),
    "TooLarge": Provoked(413, "too-large", "POST", CASES, b" " * (MOST + 1)),
    "UnsupportedMediaType": Provoked(
        415, "unsupported-media-type", "POST", CASES, _application(), told={"CONTENT_TYPE": "text/plain"}
    ),
    "InvalidInput": Provoked(422, "invalid-input", "POST", CASES, _application({"area_m2": "ten"})),
    "Unavailable": Provoked(503, "database-unavailable", "GET", CASE, meanwhile=Counter.without_database),
    "a defect": Provoked(500, "rakeeza-error", "GET", CASE, meanwhile=Counter.with_a_defect),
    "a clerk's key is not known": Provoked(
        403, "clerk-key-unknown", "POST", CASES, _application(), told={"CLERK_KEY": "stranger.key"}
    ),
    "no clerk has signed": Provoked(
        403, "proof-missing", "POST", CASES, _application(), told={"CLERK_KEY": ""}
    ),
    "a device is not the centre's": Provoked(
        403, "device-not-allowed", "POST", CASES, _application(), told={"DEVICE": "elsewhere"}
    ),
}


@pytest.fixture
def shell(counter: Counter, tmp_path: Path) -> Curl:
    """A developer with a shell, who shows the centre's certificate over TLS too."""
    told = counter.environment
    options = f"--cacert {told['CA']} --cert {told['CENTRE_CERT']} --key {told['CENTRE_KEY']}"
    (tmp_path / "stranger.key").write_bytes(pem(ec.generate_private_key(ec.SECP256R1())))
    return Curl(counter.town, counter.kit, tmp_path, {"CURL": options})


def done(answer: tuple[int, bytes]) -> dict[str, Any]:
    """The JSON of a request that succeeded."""
    assert answer[0] in (200, 201), answer
    told: dict[str, Any] = json.loads(answer[1])
    return told


def test_curl_issues_a_licence_and_fetches_its_paper(shell: Curl, counter: Counter) -> None:
    number = done(shell("POST", CASES, _application(REVIEWED)))["number"]
    case = CASE.replace("NUMBER", number)
    for asked in done(shell("GET", case))["documents"]:
        if asked["required"]:
            done(shell("PUT", f"{case}/documents/{asked['code']}?name=a.png", PNG, CONTENT_TYPE="image/png"))
    counter.approve(number)
    done(shell("POST", f"{case}/quote"))
    bill = done(shell("POST", f"{case}/invoice"))
    counter.pay(bill["bill_number"], bill["amount"])
    licence = done(shell("GET", case))["licence"]
    status, paper = shell("GET", f"/v1/licences/{licence}/document.pdf")

    assert done(shell("GET", f"/v1/licences/{licence}"))["number"] == licence
    assert (status, paper[:5]) == (200, b"%PDF-")


@pytest.mark.parametrize("name", PROBLEMS)
def test_curl_is_told_each_problem_in_both_languages(shell: Curl, counter: Counter, name: str) -> None:
    provoked = PROBLEMS[name]
    number = done(shell("POST", CASES, _application()))["number"]
    more = dict(provoked.told)
    if "TOKEN" not in more:
        # Asked for before whatever happens meanwhile.
        more["TOKEN"] = counter.town.token(counter.kit)
    with provoked.meanwhile(counter):
        path = provoked.path.replace("NUMBER", number)
        status, body = shell(provoked.method, path, provoked.body, **more)

    problem = json.loads(body)
    assert (status, problem["status"]) == (provoked.status, provoked.status), problem
    assert problem["type"] == f"urn:rakeeza:problem:{provoked.type}"
    assert problem["title_ar"]
    assert problem["detail_ar"]
    assert done(shell("GET", CASE.replace("NUMBER", number)))["number"] == number


def test_every_answer_of_the_api_names_its_version_and_the_files_of_it_are_there(counter: Counter) -> None:
    http, url = counter.town.http, counter.town.url
    (listed,) = http.get(f"{url}/interface").raise_for_status().json()["versions"]
    for path in (listed["rest"] + "/services", listed["rest"] + "/cases", listed["soap"] + "?wsdl"):
        assert http.get(url + path).headers["interface-version"] == str(listed["version"])
    told = http.post(url + listed["soap"], content=b"<x/>", headers={"Content-Type": "text/xml"})
    assert (told.status_code, told.headers["interface-version"]) == (500, "1")
    for file in listed["files"]:
        assert http.get(url + file).raise_for_status().content
    wsdl = http.get(f"{url}/interface/1/licensing.wsdl").text
    assert wsdl.count(f'location="{url}/v1/soap"') == 2


def test_there_is_a_way_to_each_problem_that_the_contract_names() -> None:
    assert set(PROBLEMS) >= set(_named())


def _named() -> Iterator[str]:
    for methods in licensing()["paths"].values():
        for said in methods.values():
            for code, response in said["responses"].items():
                if int(code) >= 400:
                    yield response["$ref"].rpartition("/")[2]
