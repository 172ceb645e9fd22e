"""`rakeeza licence lists` against servers that misbehave, by accident or not."""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from fastapi import FastAPI, Request, Response

from foundation.wire.credential import KeySet
from foundation.wire.status_folder import read_lists
from foundation.wire.status_list import StatusValue
from tests.console.licence_desk import URI, Desk, listed
from tests.foundation.http_face import served

pytest_plugins = ["tests.console.licence_desk_fixtures"]


@dataclass
class Town:
    """What a server answers: its index, and its lists by number."""

    index: bytes = b""
    lists: dict[str, bytes] = field(default_factory=dict)
    packed: bool = False
    asked: list[str] = field(default_factory=list)
    url: str = ""


@pytest.fixture
def town() -> Iterator[Town]:
    town, app = Town(), FastAPI()

    @app.get("/{path:path}")
    def answer(path: str, request: Request) -> Response:
        town.asked.append(request.url.path)
        content = town.index if path.startswith(".well-known") else town.lists.get(path.rpartition("/")[2])
        if content is None:
            return Response(status_code=404)
        headers = {"Content-Encoding": "gzip"} if town.packed else {}
        return Response(content, headers=headers)

    with served(app) as url:
        town.url = url
        yield town


@pytest.mark.parametrize(
    "index",
    [
        b"",
        b"[" * 100_000,
        b"\xff\xfe",
        b"null",
        b'{"lists": null}',
        b'{"lists": {"number": 0}}',
        b'{"lists": [7]}',
        b'{"lists": [{"number": Infinity, "uri": "x"}]}',
        b'{"lists": [{"number": NaN, "uri": "x"}]}',
        b'{"lists": [{"number": "../../x", "uri": "x"}]}',
        b'{"lists": [{"number": ' + b"9" * 5_000 + b', "uri": "x"}]}',
    ],
)
def test_what_is_no_index_is_one_sentence(desk: Desk, town: Town, index: bytes) -> None:
    town.index = index
    done = desk.run("licence", "lists", town.url)
    assert done.returncode == 65
    assert "no index of status lists" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_index_that_unpacks_to_more_than_one_can_be_is_given_up(desk: Desk, town: Town) -> None:
    town.index, town.packed = gzip.compress(bytes(50_000_000), 9), True
    done = desk.run("licence", "lists", town.url)
    assert done.returncode == 65
    assert "more than 1000000 bytes" in done.stderr


def test_an_index_without_an_end_is_asked_for_as_many_as_there_can_be(desk: Desk, town: Town) -> None:
    town.index = b'{"lists": [' + b",".join([b'{"number": 0, "uri": "x"}'] * 10_000) + b"]}"
    town.lists = {"0": b""}
    assert desk.run("licence", "lists", town.url).returncode == 65
    assert len(town.asked) == 1 + 2_048


def test_a_list_that_is_refused_keeps_no_other_away(desk: Desk, town: Town) -> None:
    head = b'{"number": %d, "uri": "%s"}'
    town.index = b'{"lists": [' + head % (0, b"x") + b"," + head % (1, URI.encode()) + b"]}"
    town.lists = {"0": b"junk", "1": listed(desk.key, StatusValue.REVOKED, timedelta(hours=1))}
    done = desk.run("licence", "lists", town.url)
    assert done.returncode == 65
    assert "no signed message" in done.stderr
    lists, _ = read_lists(desk.folder / "rakeeza-status", KeySet([desk.key.public]))
    (kept,) = lists
    assert kept.value(7) is StatusValue.REVOKED


def test_a_list_that_is_played_back_is_refused_and_the_newer_one_stays(desk: Desk, town: Town) -> None:
    town.index = b'{"lists": [{"number": 0, "uri": "%s"}]}' % URI.encode()
    town.lists = {"0": listed(desk.key, StatusValue.REVOKED, timedelta(days=2))}
    done = desk.run("licence", "lists", town.url)
    assert done.returncode == 65
    assert "is held, and it is of" in done.stderr
    lists, _ = read_lists(desk.folder / "rakeeza-status", KeySet([desk.key.public]))
    assert [each.value(7) for each in lists] == [StatusValue.VALID]


@pytest.mark.parametrize(
    "url", ["x", "", "http://", "http://[::1", "http://..", "http://" + "a" * 70 + ".sa"]
)
def test_an_address_that_cannot_be_asked_is_one_sentence(desk: Desk, url: str) -> None:
    done = desk.run("licence", "lists", url)
    assert done.returncode == 75
    assert "cannot be had" in done.stderr
