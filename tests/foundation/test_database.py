"""The database: transactions, the table of errors, migrations."""

from sqlalchemy import text

from foundation.database import Database


def test_a_fresh_database_is_migrated_and_empty(database: Database) -> None:
    with database.transaction() as session:
        assert session.execute(text("SELECT count(*) FROM event")).scalar_one() == 0
