"""What the benchmarks stand on: offices filled with copies, in which work goes on."""

from pathlib import Path

from sqlalchemy import text

from benchmarks.million import filled
from foundation.postgres import PrivatePostgres


def test_an_office_filled_with_copies_goes_on_issuing(platform_folder: Path) -> None:
    server = PrivatePostgres(platform_folder / "postgres", max_connections=40)
    with server.lease() as url, filled(url, platform_folder, 60) as office:
        office.issue(1)
        office.decide(2)
        with office.database.transaction() as session:
            kept = session.execute(
                text(
                    "SELECT (SELECT count(*) FROM case_file), count(*), count(DISTINCT status_index) "
                    "FROM licence_version"
                )
            ).one()
    # Three by hand, their copies, and the two: 48 of 60 copies are of the one that was issued.
    assert tuple(kept) == (3 + 60 + 2, 1 + 48 + 1, 1 + 48 + 1)
