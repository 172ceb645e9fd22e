"""Periods of the parties that a case asks, each with its own end; licences found by what their forms say."""

from alembic import op

revision = "0021"
down_revision = "0020"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Of cases that are open now nobody was given a period of his own.
    op.execute("ALTER TABLE case_file ADD COLUMN periods jsonb NOT NULL DEFAULT '{}'")
    # Whether somebody is barred is asked at every application, of licences that have not ended.
    op.execute(
        "CREATE INDEX ix_licence_form ON licence USING gin (form jsonb_path_ops) "
        "WHERE status IN ('valid', 'suspended')"
    )
