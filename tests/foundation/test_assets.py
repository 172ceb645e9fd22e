import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

from foundation import audit, events
from foundation.asset import parse_asset
from foundation.asset_kinds import RULES
from foundation.assets import Asset, Kind
from foundation.database import Database
from foundation.errors import Conflict, InvalidInput, NotFound, RakeezaError
from tests.foundation.inventory import ASSETS, INVENTORY, asset, get, imported, write


def _edit(database: Database, asset: Asset) -> Asset:
    with database.transaction() as session:
        return ASSETS.edit(session, asset, actor="cli/test")


def _names(assets: Sequence[Asset]) -> list[str]:
    return [asset.name for asset in assets]


@pytest.fixture
def filled(database: Database, tmp_path: Path) -> Database:
    imported(database, write(tmp_path / "filled.yaml", INVENTORY))
    return database


def test_an_imported_file_is_there_whatever_the_order_of_its_rows(filled: Database) -> None:
    server = get(filled, "server-1")
    assert server.kind == "host"
    assert (server.parent, server.version, server.address) == ("rack-1", 1, "10.0.0.5")
    assert server.attributes["ansible_port"] == 2222
    assert server.attributes["serial_number"] == "0123456"
    assert server.title.ar == "server-1"
    assert get(filled, "dc").attributes == {"latitude": "21.4858", "longitude": "39.1925"}
    assert get(filled, "pdu-1").links == {"powers": ("server-1",)}
    with filled.transaction() as session:
        assert _names(ASSETS.list(session)) == ["coast", "dc", "pdu-1", "rack-1", "server-1"]
        assert _names(ASSETS.list(session, kind="host")) == ["server-1"]
        assert _names(ASSETS.list(session, under="dc")) == ["pdu-1", "rack-1", "server-1"]
        assert _names(ASSETS.list(session, kind="pdu", under="coast")) == ["pdu-1"]
        with pytest.raises(NotFound, match="absent"):
            ASSETS.list(session, under="absent")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"kind": "host"}, "/name is missing"),
        ({"name": "a"}, "/kind is missing; it is one of"),
        ({"name": "Server_1", "kind": "host"}, "/name should be of small Latin letters"),
        ({"name": "a", "kind": "centre"}, "/title is missing"),
        ({"name": "a", "kind": "host", "title": {"ar": "خادم"}}, "/title/en is missing"),
        ({"name": "a", "kind": "host", "attributes": {"ansible_port": 70000}}, "/attributes/ansible_port"),
        ({"name": "a", "kind": "host", "attributes": {"ansible_port": True}}, "should be a whole number"),
        ({"name": "a", "kind": "host", "attributes": {"ansible_password": "x"}}, "is unknown for this kind"),
        ({"name": "a", "kind": "host", "attributes": {"host_key": "secret"}}, "/attributes/host_key"),
        ({"name": "a", "kind": "host", "attributes": {"snmp_address": "10.0.0.5"}}, "should be HOST:PORT"),
        ({"name": "a", "kind": "host", "attributes": {"snmp_address": "::1:161"}}, "stands in brackets"),
        (
            {"name": "a", "kind": "ups", "attributes": {"snmp_address": "a:161"}},
            "needs snmp_community_secret",
        ),
        (
            {"name": "a", "kind": "ups", "attributes": {"snmp_address": "a:161", "snmp_version": "3"}},
            "needs snmp_user",
        ),
        ({"name": "a", "kind": "rack", "attributes": {"units": 0}}, "/attributes/units"),
        ({"name": "a", "kind": "host", "links": {"heats": ["b"]}}, "/links/heats is unknown"),
        (
            {"name": "a", "kind": "site", "title": {"ar": "أ", "en": "a"}, "attributes": {"latitude": "21"}},
            "latitude and longitude stand together",
        ),
        (
            {"name": "a", "kind": "municipality", "title": {"ar": "أ", "en": "a"}},
            "/attributes/fee_class is missing",
        ),
    ],
)
def test_what_breaks_a_rule_of_its_kind_is_refused(data: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        parse_asset(data)


@pytest.mark.parametrize(
    ("asset", "sentence"),
    [
        (asset("x", "rack"), "a rack stands in one of: room, site"),
        (asset("x", "rack", "nowhere"), "there is no asset 'nowhere'"),
        (asset("x", "rack", "server-1"), r"a rack does not stand in a host \(server-1\)"),
        (asset("x", "host", "x"), "it would stand in itself: x in x"),
        (asset("x", "host", "dc", links={"powers": ["server-1"]}), "a host powers nothing"),
        (asset("x", "ups", "dc", links={"cools": ["server-1"]}), "a ups cools nothing"),
        (asset("x", "ups", "dc", links={"powers": ["nothing"]}), "there is no asset 'nothing'"),
    ],
)
def test_what_does_not_fit_among_the_others_is_refused(filled: Database, asset: Asset, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence), filled.transaction() as session:
        ASSETS.add(session, asset, actor="cli/test")


def test_a_circle_of_parents_is_refused(filled: Database, tmp_path: Path) -> None:
    with filled.transaction() as session:
        ASSETS.add(session, asset("guest", "host", "server-1"), actor="cli/test")
    with pytest.raises(InvalidInput, match="server-1 in guest in server-1"), filled.transaction() as session:
        ASSETS.edit(session, asset("server-1", "host", "guest"), actor="cli/test")
    circle = {"assets": [asset("a", "host", "b").plain(), asset("b", "host", "a").plain()]}
    with pytest.raises(InvalidInput, match="a in b in a"):
        imported(filled, write(tmp_path / "circle.yaml", yaml.safe_dump(circle)))


def test_a_kind_that_changes_must_still_bear_what_stands_in_it(filled: Database) -> None:
    with pytest.raises(InvalidInput, match=r"pdu-1 stands in it, and a pdu does not stand in a host"):
        _edit(filled, asset("rack-1", "host", "dc"))


def test_a_change_is_audited_and_published(filled: Database) -> None:
    with filled.transaction() as session:
        before = ASSETS.get(session, "server-1")
        changed = parse_asset({**before.plain(), "attributes": {"address": "10.0.0.6"}})
        kept = ASSETS.edit(session, changed, actor="person/amal", version=1)
    assert (kept.version, kept.address) == (2, "10.0.0.6")
    with filled.transaction() as session:
        added, entry = audit.entries(session, "asset/server-1")
        told = events.read(session, after=None, subject="asset/server-1")
    assert (added.action, added.actor) == ("added", "cli/test")
    assert (entry.action, entry.actor, entry.details["version"]) == ("changed", "person/amal", 2)
    assert entry.details["before"] == {"attributes": dict(before.attributes)}
    assert entry.details["after"] == {"attributes": {"address": "10.0.0.6"}}
    assert [(event.kind, event.payload) for event in told] == [
        ("asset.added", {"kind": "host", "version": 1}),
        ("asset.changed", {"kind": "host", "version": 2}),
    ]


def test_a_change_without_difference_leaves_no_trace(filled: Database) -> None:
    with filled.transaction() as session:
        kept = ASSETS.edit(session, ASSETS.get(session, "server-1"), actor="cli/test")
        assert kept.version == 1
        assert len(audit.entries(session, "asset/server-1")) == 1


def test_a_change_decided_on_an_old_version_is_refused(filled: Database) -> None:
    with filled.transaction() as session:
        ASSETS.edit(session, asset("server-1", "host", "rack-1"), actor="cli/one")
    with pytest.raises(Conflict, match="version 2, not 1"), filled.transaction() as session:
        ASSETS.edit(session, asset("server-1", "host", "dc"), actor="cli/two", version=1)


def test_a_name_is_given_once(filled: Database) -> None:
    with pytest.raises(Conflict, match="already"), filled.transaction() as session:
        ASSETS.add(session, asset("dc", "site"), actor="cli/test")
    with pytest.raises(NotFound, match="absent"), filled.transaction() as session:
        ASSETS.edit(session, asset("absent", "site"), actor="cli/test")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("rack-1", "pdu-1 stands in it; server-1 stands in it"), ("pdu-1", "it powers server-1")],
)
def test_what_others_hang_on_is_not_removed(filled: Database, name: str, sentence: str) -> None:
    with pytest.raises(Conflict, match=sentence), filled.transaction() as session:
        ASSETS.remove(session, name, actor="cli/test")
    assert get(filled, name).name == name


def test_what_is_removed_is_no_longer_powered_and_stays_in_the_trail(filled: Database) -> None:
    with filled.transaction() as session:
        ASSETS.remove(session, "server-1", actor="cli/test")
    with filled.transaction() as session:
        assert ASSETS.get(session, "pdu-1").links == {}
        assert ASSETS.get(session, "pdu-1").version == 2
        assert [entry.action for entry in audit.entries(session, "asset/server-1")] == ["added", "removed"]
        assert events.read(session, after=None, subject="asset/server-1")[-1].kind == "asset.removed"
    with pytest.raises(NotFound):
        get(filled, "server-1")
    with filled.transaction() as session:
        ASSETS.add(session, asset("server-1", "host", "rack-1"), actor="cli/test")
    with filled.transaction() as session:
        assert audit.verify(session) == []


def test_two_that_would_stand_in_each_other_do_not_both_succeed(filled: Database) -> None:
    with filled.transaction() as session:
        for name in ("a", "b"):
            ASSETS.add(session, asset(name, "host", "dc"), actor="cli/test")
    refused: list[RakeezaError] = []

    def move(name: str, into: str) -> None:
        try:
            with filled.transaction() as session:
                ASSETS.edit(session, asset(name, "host", into), actor="cli/test")
        except InvalidInput as error:
            refused.append(error)

    threads = [threading.Thread(target=move, args=pair) for pair in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 1
    assert sorted([get(filled, "a").parent, get(filled, "b").parent], key=str) in (["a", "dc"], ["b", "dc"])


def test_every_kind_has_a_rule_and_every_attribute_is_text_or_a_number() -> None:
    assert set(RULES) == set(Kind)
    for kind, rule in RULES.items():
        assert rule.parents or kind is Kind.AMANAH
        for name in rule.attributes.model_fields:
            assert "password" not in name, "a secret stands in an asset by its name only"
