"""What is asked of others and told to them: calls to back-ends, webhooks."""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Room in each page: a call is written again with every attempt, a subscription with every delivery.
    op.execute(
        """
        CREATE TABLE case_call (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_case_call PRIMARY KEY,
            key text NOT NULL CONSTRAINT uq_case_call_key UNIQUE,
            case_id bigint NOT NULL CONSTRAINT fk_case_call_case_id REFERENCES case_file (id),
            kind text NOT NULL CONSTRAINT ck_case_call_kind CHECK (kind IN ('check', 'notice')),
            name text NOT NULL,
            backend text NOT NULL,
            state text NOT NULL CONSTRAINT ck_case_call_state
                CHECK (state IN ('waiting', 'answered', 'parked', 'dropped')),
            attempts integer NOT NULL,
            attempts_most integer NOT NULL,
            reason text,
            next_at timestamptz,
            words jsonb NOT NULL,
            answer jsonb,
            asked_at timestamptz NOT NULL,
            answered_at timestamptz
        ) WITH (fillfactor = 80)
        """
    )
    op.execute("CREATE INDEX ix_case_call_case_id ON case_call (case_id, id)")
    op.execute("CREATE INDEX ix_case_call_parked ON case_call (id) WHERE state = 'parked'")
    op.execute("CREATE INDEX ix_case_call_waiting ON case_call (next_at) WHERE state = 'waiting'")
    # What back-ends said in free words, to be forgotten with the case.
    op.execute("CREATE INDEX ix_case_call_text ON case_call (case_id) WHERE answer ? 'text'")
    # Of its own, and taken first: the secret is sealed to the number.
    op.execute("CREATE SEQUENCE webhook_id_seq")
    op.execute(
        """
        CREATE TABLE webhook (
            id bigint CONSTRAINT pk_webhook PRIMARY KEY,
            client text NOT NULL,
            url text NOT NULL,
            kinds jsonb NOT NULL,
            secret bytea NOT NULL,
            secret_version integer NOT NULL,
            previous_until timestamptz,
            cursor text,
            generation integer NOT NULL,
            state text NOT NULL CONSTRAINT ck_webhook_state CHECK (state IN ('active', 'failing', 'paused')),
            failures integer NOT NULL,
            reason text,
            next_at timestamptz NOT NULL,
            lease text,
            leased_until timestamptz,
            created timestamptz NOT NULL
        ) WITH (fillfactor = 80)
        """
    )
    op.execute("CREATE INDEX ix_webhook_client ON webhook (client)")
