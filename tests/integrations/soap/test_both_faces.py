"""Every service's main path by REST and by both versions of SOAP leaves the same things behind."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import text

from foundation.database import Database
from integrations.contracts.names import operations
from integrations.service import load_services
from tests.integrations import (
    advertising_town,
    building_permit_paths,
    demolition_permit_paths,
    excavation_town,
    health_card_paths,
    permit_paths,
)
from tests.integrations.desk import APPLICANT, REVIEWED, REVIEWER, Desk, open_desk
from tests.integrations.paths import Walker, for_owner
from tests.integrations.proving_ground import open_ground
from tests.integrations.soap.soap_client import SOAP_11, SOAP_12, OverSoap
from tests.integrations.soap.soap_town import FaceDesk, open_soap

# What is made by chance or by the clock of the database: references, signatures, salts, hashes over them.
_BY_CHANCE = frozenset(
    {"at", "reference", "hash", "previous", "credential", "document_sha256", "sha256", "proof"}
)


def _shop(desk: Desk) -> str:
    number, _ = desk.issued(REVIEWED)
    return number


def _walked(walker: Walker, path: tuple[str, str]) -> str:
    walker.delegate()
    return str(walker.follow(path)["number"])


def _building(desk: Desk) -> str:
    paths = building_permit_paths
    return _walked(Walker(desk, paths.PERMIT, paths.FORMS, {}, for_owner()), permit_paths.ISSUE)


def _demolition(desk: Desk) -> str:
    paths = demolition_permit_paths
    return _walked(Walker(desk, paths.PERMIT, paths.FORMS, {}, for_owner()), permit_paths.ISSUE)


def _health(desk: Desk) -> str:
    paths = health_card_paths
    return _walked(Walker(desk, paths.CARD, paths.FORMS, {}, APPLICANT), paths.ISSUE)


def _excavation(desk: Desk) -> str:
    town = excavation_town.Town(desk)
    number = town.sent()
    town.all_agree(number)
    desk.do.take(REVIEWER, number, "approve")
    town.pay(number)
    return number


def _advertising(desk: Desk) -> str:
    _, shop = desk.issued()
    town = advertising_town.Town(desk, shop)
    number = town.sent()
    desk.do.take(REVIEWER, number, "approve")
    town.pay(number)
    return number


def _test(desk: Desk) -> str:
    assert isinstance(desk, FaceDesk)
    ground = open_ground(desk)
    desk.face.vouch(ground.office.code, ground.office.caller)
    number, _ = ground.issued()
    return number


MAIN_PATHS: dict[str, Callable[[Desk], str]] = {
    "shop_licence": _shop,
    "building_permit": _building,
    "demolition_permit": _demolition,
    "health_card": _health,
    "excavation_permit": _excavation,
    "advertising_licence": _advertising,
    "test_permit": _test,
}


@contextmanager
def _office(url: str, name: str, folder: Path) -> Iterator[Desk]:
    """An office in a database of its own."""
    with psycopg.connect(url, autocommit=True) as connection:
        identifier = sql.Identifier(name)
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(identifier, sql.Identifier("rakeeza_template"))
        )
        database = Database(url.replace("@/rakeeza?", f"@/{name}?"), role="test")
        folder.mkdir()
        try:
            yield open_desk(database, folder)
        finally:
            database.dispose()
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(identifier))


def _same(value: Any) -> Any:
    """A value without what is made by chance."""
    if isinstance(value, dict):
        # Of what is personal a journal has hashes, salted anew in each office.
        return {
            name: sorted(each) if name == "personal" else _same(each)
            for name, each in value.items()
            if name not in _BY_CHANCE
        }
    return [_same(each) for each in value] if isinstance(value, list) else value


def _differences(one: Any, other: Any, place: str = "") -> Iterator[str]:
    """Where two values differ, and how."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        for name in one:
            yield from _differences(one[name], other[name], f"{place}/{name}")
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, (mine, theirs) in enumerate(zip(one, other, strict=True)):
            yield from _differences(mine, theirs, f"{place}/{number}")
    elif one != other:
        yield f"{place}: {one!r} and {other!r}"


def _left(desk: Desk, number: str) -> dict[str, Any]:
    """All that a path left behind."""
    case = desk.case(number)
    with desk.database.transaction() as session:
        chains = text("SELECT chain, actor, action, details FROM audit ORDER BY chain, position")
        entries = [
            [row.chain, row.actor, row.action, row.details]
            for row in session.execute(chains)
            # Of the office itself: its clients and centres, and its signing key, which is another in each.
            if not row.chain.startswith(("client/", "centre/", "key/"))
        ]
        posted = text("SELECT account, debit, credit FROM case_ledger ORDER BY transaction, line")
        ledger = [[row.account, str(row.debit), str(row.credit)] for row in session.execute(posted)]
    assert desk.breaks() == []
    licence = _same(desk.licensing.licences.licence(case["licence"]))
    return {"case": _same(case), "entries": _same(entries), "ledger": ledger, "licence": licence}


def test_the_main_path_of_every_service_is_among_these() -> None:
    assert set(MAIN_PATHS) == {service.code for service in load_services(()).items()}


@pytest.mark.parametrize("service", MAIN_PATHS)
def test_a_service_leaves_the_same_behind_by_every_face(
    service: str, postgres_url: str, tmp_path: Path
) -> None:
    left = {}
    for face in ("rest", "soap_11", "soap_12"):
        with (
            _office(postgres_url, f"both_{service}_{face}", tmp_path / face) as desk,
            open_soap(desk) as town,
        ):
            way = {"rest": town.rest, "soap_11": town.face(SOAP_11), "soap_12": town.face(SOAP_12)}[face]
            number = MAIN_PATHS[service](FaceDesk.of(way))
            left[face] = _left(desk, number)
            if face != "rest":
                transport = way.anyone._transport
                assert isinstance(transport, OverSoap)
                assert transport.sent >= 4
            way.anyone.close()

    assert left["rest"]["case"]["service"] == service
    assert len(left["rest"]["case"]["journal"]) >= 4
    for face in ("soap_11", "soap_12"):
        differences = list(_differences(left["rest"], left[face]))
        assert differences == [], "\n".join(differences)


def test_every_operation_of_the_contract_has_its_elements() -> None:
    assert len({each.name for each in operations()}) == len(operations()) >= 40
