"""Every released version is served at an address that stays, told in answers, and kept for three years."""

import asyncio
from datetime import UTC, date, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest
import zeep
from fastapi import FastAPI
from lxml import etree

from foundation.errors import Conflict, DefinitionError
from foundation.http import create_app
from integrations.contracts.compatibility import RELEASED
from integrations.contracts.versions import FILES, KEPT_YEARS, Version, headers, read_versions, versions
from integrations.entrypoints.interface import Versioned, router

TOWN = "https://licences.example.sa"


@pytest.fixture
def app() -> FastAPI:
    """An application with the versions, one route that answers and one that refuses."""
    made = create_app("A town", max_body=1_000)
    made.add_middleware(Versioned)
    made.include_router(router(TOWN))

    @made.get("/v1/good")
    def good() -> dict[str, str]:
        return {}

    @made.get("/v1/refused")
    def refused() -> None:
        raise Conflict("It is not to be.")

    return made


def get(app: FastAPI, path: str, **sent: str) -> httpx.Response:
    """What the application answers."""

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://inside") as http:
            return await http.get(path, headers=sent)

    return asyncio.run(ask())


def test_every_version_is_listed_with_its_files(app: FastAPI) -> None:
    listed = get(app, "/interface").json()["versions"]
    assert [each["version"] for each in listed] == sorted(int(each.name) for each in RELEASED.iterdir())
    for each in listed:
        assert (each["rest"], each["soap"]) == (f"/v{each['version']}", f"/v{each['version']}/soap")
        assert [Path(file).name for file in each["files"]] == list(FILES)
        for file in each["files"]:
            assert get(app, file).status_code == 200


def test_a_file_is_the_one_that_was_released_and_is_not_sent_twice(app: FastAPI) -> None:
    for name in ("licensing.openapi.yaml", "licensing.xsd"):
        answer = get(app, f"/interface/1/{name}")
        assert answer.content == (RELEASED / "1" / name).read_bytes()
        assert answer.headers["content-type"].startswith(FILES[name])
        assert answer.headers["interface-version"] == "1"
        again = get(app, f"/interface/1/{name}", **{"If-None-Match": answer.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_the_wsdl_of_a_version_names_this_server_and_nothing_else_is_another(app: FastAPI) -> None:
    served = etree.fromstring(get(app, "/interface/1/licensing.wsdl").content)
    addresses = [each for each in served.iter() if str(each.tag).endswith("}address")]
    assert {each.get("location") for each in addresses} == {f"{TOWN}/v1/soap"}
    released = etree.parse(RELEASED / "1" / "licensing.wsdl").getroot()
    for each in addresses:
        each.set("location", "")
    for each in released.iter():
        if str(each.tag).endswith("}address"):
            each.set("location", "")
    assert etree.tostring(served, method="c14n") == etree.tostring(released, method="c14n")


@pytest.mark.parametrize(
    "path", ["/interface/99/licensing.wsdl", "/interface/1/names.py", "/interface/1/%2e%2e%2fnames.py"]
)
def test_there_is_nothing_else(app: FastAPI, path: str) -> None:
    answer = get(app, path)
    assert answer.status_code in (404, 422)
    assert answer.json()["detail_ar"]


def test_every_answer_tells_its_version_and_no_other_does(app: FastAPI) -> None:
    for path, status in (("/v1/good", 200), ("/v1/refused", 409), ("/v1/nothing", 404)):
        answer = get(app, path)
        assert (answer.status_code, answer.headers["interface-version"]) == (status, "1")
        assert "deprecation" not in answer.headers
    for path in ("/interface", "/v9/good", "/v1"):
        assert "interface-version" not in get(app, path).headers


def test_a_version_that_will_end_says_so_as_the_standards_have_it() -> None:
    ending = Version(deprecated=date(2027, 1, 1), sunset=date(2030, 1, 1))
    said = headers(1, {1: ending, 2: Version()})
    assert said["interface-version"] == "1"
    # RFC 9745, section 2.1: a date of structured fields.
    assert said["deprecation"] == f"@{int(datetime(2027, 1, 1, tzinfo=UTC).timestamp())}"
    assert said["sunset"] == "Tue, 01 Jan 2030 00:00:00 GMT"
    assert parsedate_to_datetime(said["sunset"]) == datetime(2030, 1, 1, tzinfo=UTC)
    assert '</interface>; rel="deprecation sunset"' in said["link"]
    assert '</interface/2/licensing.openapi.yaml>; rel="successor-version"' in said["link"]
    assert headers(2, {1: ending, 2: Version()}) == {"interface-version": "2"}


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("{1: {}}", "were released"),
        ("{1: {}, 2: {}, 3: {}}", "were released"),
        ("{1: {}, 2: {deprecated: 2027-01-01, sunset: 2030-01-01}}", "there is none after it"),
        ("{1: {deprecated: 2027-01-01, sunset: 2029-12-31}, 2: {}}", f"kept for {KEPT_YEARS} years"),
        ("{1: {sunset: 2030-01-01}, 2: {}}", "says both"),
        ("{1: {deprecated: 2027-01-01}, 2: {}}", "says both"),
        ("{1: {ends: 2030-01-01}, 2: {}}", "ends"),
        ("{1: {deprecated: 2027-01-01, sunset: 2030-01-01}, 2: {}}", ""),
        ("{1: {deprecated: 2028-02-29, sunset: 2031-03-01}, 2: {}}", ""),
    ],
)
def test_what_is_said_of_versions_is_judged(tmp_path: Path, said: str, reason: str) -> None:
    for number in ("1", "2"):
        (tmp_path / "released" / number).mkdir(parents=True)
    file = tmp_path / "versions.yaml"
    file.write_text(f"versions: {said}\n")
    if not reason:
        assert list(read_versions(file, tmp_path / "released")) == [1, 2]
        return
    with pytest.raises(DefinitionError) as caught:
        read_versions(file, tmp_path / "released")
    assert reason in str(caught.value) + str(caught.value.fields)


def test_a_client_is_made_from_a_version_without_a_server() -> None:
    for number in versions():
        made = zeep.Client(str(RELEASED / str(number) / "licensing.wsdl"))  # type: ignore[no-untyped-call] # zeep has no types
        assert "Licensing" in made.wsdl.services
