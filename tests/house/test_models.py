"""The hand-written migrations and the tables that the code believes in are the same."""

from typing import Any

import pytest
import sqlalchemy
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.types import TypeEngine

from console import reference
from foundation import migrations
from foundation.database import Base, Database

# procrastinate's own, from the schema that its release ships; Alembic's; and what is written in SQL alone,
# because its types are PostgreSQL's (xid8) or its statements are not an ORM's.
WITHOUT_MODEL = {
    "event",
    "job_failure",
    "case_comment",
    "case_call",
    "webhook",
    "notice",
    "notice_reader",
    "play_artifacts_removal",
    "case_document",
    "stored_content",
    "delegation",
    "status_list",
    "licence_reissue",
    "act_proof",
    "backend_look_up",
    "backend_standing",
    "bill_settlement",
    "bill_upload",
    "bill_upload_line",
    "centre",
    "centre_application",
    "centre_branch",
    "centre_clerk",
    "centre_contract",
    "centre_device",
    "centre_quota_use",
    "centre_refusal",
    "centre_settlement",
    "centre_share",
    "centre_shift",
    "centre_shift_movement",
    "clerk_key",
    "clerk_secret_before",
    "message_memory",
    "message_nonce",
    migrations.VERSION_TABLE,
}
FOREIGN = "procrastinate_"


@pytest.fixture
def models() -> sqlalchemy.MetaData:
    # A table's model lives in the module that owns it; every module is imported, so none is forgotten.
    assert len(list(reference.modules())) > 20
    return Base.metadata


# Indices and rules between rows are the migrations' alone: the database may be stricter than a model says.
STRICTER = {"remove_index", "remove_fk", "remove_constraint"}


def _other_type(
    _context: Any, _column: Any, _model: Any, made: TypeEngine[Any], said: TypeEngine[Any]
) -> bool | None:
    # A text without a length is one type on PostgreSQL, whatever its name.
    texts = isinstance(made, sqlalchemy.Text) and isinstance(said, sqlalchemy.String) and said.length is None
    return False if texts else None


def _differences(database: Database, models: sqlalchemy.MetaData) -> list[Any]:
    def is_modelled(name: str | None, kind: str, _parents: Any) -> bool:
        return kind != "table" or name in models.tables

    with database.engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": _other_type, "include_name": is_modelled}
        )
        found = compare_metadata(context, models)
    return [item for item in found if not (isinstance(item, tuple) and item[0] in STRICTER)]


def test_the_migrated_database_is_what_the_models_say(
    database: Database, models: sqlalchemy.MetaData
) -> None:
    assert len(models.tables) > 5
    assert _differences(database, models) == []


def test_a_default_that_a_model_leaves_to_the_database_is_there(
    database: Database, models: sqlalchemy.MetaData
) -> None:
    made = sqlalchemy.inspect(database.engine)
    for table in models.sorted_tables:
        columns = {column["name"]: column for column in made.get_columns(table.name)}
        for column in table.columns:
            if column.server_default is not None:
                default = columns[column.name].get("default") or columns[column.name].get("identity")
                assert default is not None, f"{table.name}.{column.name}"


def test_every_sequence_of_the_models_is_made(database: Database, models: sqlalchemy.MetaData) -> None:
    made = set(sqlalchemy.inspect(database.engine).get_sequence_names())
    assert set(models._sequences) <= made


def test_every_table_has_a_model_or_is_named_here(database: Database, models: sqlalchemy.MetaData) -> None:
    made = set(sqlalchemy.inspect(database.engine).get_table_names())
    assert {name for name in made if not name.startswith(FOREIGN)} == {*models.tables, *WITHOUT_MODEL}


def test_a_column_that_no_migration_makes_is_noticed(database: Database) -> None:
    models = sqlalchemy.MetaData()
    sqlalchemy.Table("asset", models, sqlalchemy.Column("colour", sqlalchemy.Text))
    assert "add_column" in {found[0] for found in _differences(database, models) if isinstance(found, tuple)}
