"""Time: closures beside the calendar, and how long cases stay in each state."""

from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE calendar_closure (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_calendar_closure PRIMARY KEY,
            place text,
            starts_at timestamptz NOT NULL,
            ends_at timestamptz,
            title_ar text NOT NULL,
            title_en text NOT NULL,
            outage boolean NOT NULL,
            noted_by text NOT NULL,
            noted_at timestamptz NOT NULL,
            CONSTRAINT ck_calendar_closure_ends_at CHECK (ends_at > starts_at)
        )
        """
    )
    # A deadline asks for what held after it began; what still holds has no end.
    op.execute("CREATE INDEX ix_calendar_closure_ends_at ON calendar_closure (ends_at)")
    op.execute(
        """
        CREATE TABLE case_stay (
            service text NOT NULL,
            procedure text NOT NULL,
            state text NOT NULL,
            place text NOT NULL,
            count bigint NOT NULL,
            stayed_s bigint NOT NULL,
            working_s bigint NOT NULL,
            stayed_buckets bigint[] NOT NULL,
            working_buckets bigint[] NOT NULL,
            CONSTRAINT pk_case_stay PRIMARY KEY (service, procedure, state, place)
        )
        """
    )
    # One row: how far the events are counted, changed in the transaction that counts them.
    op.execute(
        """
        CREATE TABLE case_stay_reader (
            id integer CONSTRAINT pk_case_stay_reader PRIMARY KEY
                CONSTRAINT ck_case_stay_reader_id CHECK (id = 1),
            cursor text
        )
        """
    )
    op.execute("INSERT INTO case_stay_reader (id) VALUES (1)")
