"""Ground: jobs (procrastinate), events and idempotency keys."""

from importlib import resources

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    # procrastinate's schema as its locked version ships it; a test holds its checksum, so that a new version
    # of the library comes with a migration of its own.
    schema = resources.files("procrastinate").joinpath("sql/schema.sql").read_text(encoding="utf-8")
    # By the driver itself: many statements in one text, with percent signs that are no parameters.
    driver = op.get_bind().connection.driver_connection
    assert driver is not None
    driver.execute(schema)
    op.execute(
        """
        CREATE TABLE job_failure (
            job_id bigint NOT NULL
                CONSTRAINT fk_job_failure_job_id REFERENCES procrastinate_jobs (id) ON DELETE CASCADE,
            attempt integer NOT NULL,
            reason text NOT NULL,
            at timestamptz NOT NULL DEFAULT clock_timestamp(),
            CONSTRAINT pk_job_failure PRIMARY KEY (job_id, attempt)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE event (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_event PRIMARY KEY,
            transaction xid8 NOT NULL DEFAULT pg_current_xact_id(),
            kind text NOT NULL,
            subject text NOT NULL,
            payload jsonb NOT NULL,
            at timestamptz NOT NULL DEFAULT clock_timestamp()
        )
        """
    )
    op.execute("CREATE INDEX ix_event_transaction_id ON event (transaction, id)")
    op.execute("CREATE INDEX ix_event_subject_transaction_id ON event (subject, transaction, id)")
    op.execute(
        """
        CREATE TABLE idempotency (
            caller text NOT NULL,
            key text NOT NULL,
            fingerprint bytea NOT NULL,
            status integer NOT NULL,
            body jsonb NOT NULL,
            at timestamptz NOT NULL DEFAULT clock_timestamp(),
            CONSTRAINT pk_idempotency PRIMARY KEY (caller, key)
        )
        """
    )
    op.execute("CREATE INDEX ix_idempotency_at ON idempotency (at)")
