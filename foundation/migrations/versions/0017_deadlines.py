"""Deadlines that follow closures: a closure can be withdrawn, and open cases are reckoned anew."""

from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE calendar_closure ADD COLUMN withdrawn_at timestamptz")
    # One row: how far the closures' events are followed. `last_case` is how far the cases are walked for the
    # event that comes after `cursor`; both change in the transaction that moves the deadlines.
    op.execute(
        """
        CREATE TABLE case_deadline_reader (
            id integer CONSTRAINT pk_case_deadline_reader PRIMARY KEY
                CONSTRAINT ck_case_deadline_reader_id CHECK (id = 1),
            cursor text,
            last_case bigint NOT NULL
        )
        """
    )
    op.execute("INSERT INTO case_deadline_reader (id, last_case) VALUES (1, 0)")
    # The walk over all cases that are open.
    op.execute("CREATE INDEX ix_case_file_open ON case_file (id) WHERE closed_at IS NULL")
