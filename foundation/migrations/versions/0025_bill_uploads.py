"""What payment systems are told of bills, and how each back-end fares."""

from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # What the payment system is to show of a bill; nothing of one that is owed no more.
    op.execute("ALTER TABLE case_invoice ADD COLUMN told numeric(14, 2)")
    # Only the bills of which it is to be told are in it: a few, however many there are.
    op.execute(
        """
        CREATE INDEX ix_case_invoice_untold ON case_invoice (id)
        WHERE COALESCE(told, 0) <> CASE WHEN state = 'open' THEN amount - credited ELSE 0 END
        """
    )
    op.execute(
        """
        CREATE TABLE bill_upload (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_bill_upload PRIMARY KEY,
            key text NOT NULL DEFAULT gen_random_uuid()::text CONSTRAINT uq_bill_upload_key UNIQUE,
            state text NOT NULL DEFAULT 'waiting',
            bills integer NOT NULL,
            attempts integer NOT NULL DEFAULT 0,
            reason text,
            made_at timestamptz NOT NULL,
            next_at timestamptz,
            ended_at timestamptz,
            CONSTRAINT ck_bill_upload_state CHECK (state IN ('waiting', 'answered', 'parked', 'dropped')),
            CONSTRAINT ck_bill_upload_bills CHECK (bills > 0),
            CONSTRAINT ck_bill_upload_next CHECK ((state = 'waiting') = (next_at IS NOT NULL))
        )
        """
    )
    # One after the other: what is told of a bill later must not arrive first.
    op.execute("CREATE UNIQUE INDEX uq_bill_upload_waiting ON bill_upload (state) WHERE state = 'waiting'")
    op.execute(
        """
        CREATE TABLE bill_upload_line (
            upload_id bigint NOT NULL
                CONSTRAINT fk_bill_upload_line_upload_id REFERENCES bill_upload (id),
            bill_number text NOT NULL,
            status text NOT NULL,
            amount numeric(14, 2) NOT NULL,
            due date NOT NULL,
            discrepancy text,
            seen_by text,
            CONSTRAINT pk_bill_upload_line PRIMARY KEY (upload_id, bill_number),
            CONSTRAINT ck_bill_upload_line_status CHECK (status IN ('new', 'updated', 'expired')),
            CONSTRAINT ck_bill_upload_line_amount CHECK ((amount > 0) = (status <> 'expired')),
            CONSTRAINT ck_bill_upload_line_seen CHECK (seen_by IS NULL OR discrepancy IS NOT NULL)
        )
        """
    )
    op.execute(
        """
        CREATE INDEX ix_bill_upload_line_unseen ON bill_upload_line (upload_id)
        WHERE discrepancy IS NOT NULL AND seen_by IS NULL
        """
    )
    op.execute("CREATE INDEX ix_bill_upload_line_bill_number ON bill_upload_line (bill_number)")
    op.execute(
        """
        CREATE TABLE bill_settlement (
            day date CONSTRAINT pk_bill_settlement PRIMARY KEY,
            state text NOT NULL,
            attempts integer NOT NULL,
            reason text,
            next_at timestamptz,
            file bytea,
            report jsonb,
            taken_at timestamptz,
            CONSTRAINT ck_bill_settlement_state CHECK (state IN ('waiting', 'taken')),
            CONSTRAINT ck_bill_settlement_next CHECK ((state = 'waiting') = (next_at IS NOT NULL)),
            CONSTRAINT ck_bill_settlement_taken CHECK (
                (state = 'taken') = (file IS NOT NULL AND report IS NOT NULL AND taken_at IS NOT NULL)
            )
        )
        """
    )
    # How a back-end stands, as far as any process knows.
    op.execute(
        """
        CREATE TABLE backend_standing (
            backend text CONSTRAINT pk_backend_standing PRIMARY KEY,
            circuit text NOT NULL DEFAULT 'closed'
                CONSTRAINT ck_backend_standing_circuit CHECK (circuit IN ('closed', 'half_open', 'open')),
            answered_at timestamptz,
            unanswered_since timestamptz,
            reason text,
            CONSTRAINT ck_backend_standing_reason CHECK ((unanswered_since IS NULL) = (reason IS NULL))
        ) WITH (fillfactor = 50)
        """
    )
    op.execute(
        """
        CREATE TABLE backend_look_up (
            backend text NOT NULL,
            outcome text NOT NULL,
            count bigint NOT NULL,
            seconds double precision NOT NULL,
            buckets bigint[] NOT NULL,
            CONSTRAINT pk_backend_look_up PRIMARY KEY (backend, outcome)
        ) WITH (fillfactor = 50)
        """
    )
    # Since when a parked call awaits its back-end; none of one that awaits a person.
    op.execute("ALTER TABLE case_call ADD COLUMN awaits_since timestamptz")
