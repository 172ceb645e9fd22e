"""Money: quotes, bills, payments, refunds, the ledger."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _quotes_and_bills()
    _payments()
    _refunds()
    _ledger()


def _quotes_and_bills() -> None:
    op.execute(
        """
        CREATE TABLE case_quote (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_case_quote PRIMARY KEY,
            case_id bigint NOT NULL CONSTRAINT fk_case_quote_case_id REFERENCES case_file (id),
            definition text NOT NULL
                CONSTRAINT fk_case_quote_definition REFERENCES case_definition (fingerprint),
            day date NOT NULL,
            fee_class integer NOT NULL,
            lines jsonb NOT NULL,
            total numeric(14, 2) NOT NULL CONSTRAINT ck_case_quote_total CHECK (total >= 0),
            made_at timestamptz NOT NULL
        )
        """
    )
    op.execute("CREATE INDEX ix_case_quote_case_id ON case_quote (case_id, id)")
    # A bill is settled exactly when all of it is credited; what was credited to a void one is owed back.
    op.execute(
        """
        CREATE TABLE case_invoice (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_case_invoice PRIMARY KEY,
            bill_number text NOT NULL CONSTRAINT uq_case_invoice_bill_number UNIQUE,
            case_id bigint NOT NULL CONSTRAINT fk_case_invoice_case_id REFERENCES case_file (id),
            quote_id bigint NOT NULL CONSTRAINT fk_case_invoice_quote_id REFERENCES case_quote (id),
            amount numeric(14, 2) NOT NULL CONSTRAINT ck_case_invoice_amount CHECK (amount > 0),
            credited numeric(14, 2) NOT NULL DEFAULT 0
                CONSTRAINT ck_case_invoice_credited CHECK (credited BETWEEN 0 AND amount),
            due date NOT NULL,
            state text NOT NULL CONSTRAINT ck_case_invoice_state CHECK (state IN ('open', 'settled', 'void')),
            issued_at timestamptz NOT NULL,
            settled_at timestamptz,
            voided_at timestamptz,
            CONSTRAINT ck_case_invoice_settled CHECK ((state = 'settled') = (credited = amount)),
            CONSTRAINT ck_case_invoice_settled_at
                CHECK (state = 'void' OR (state = 'settled') = (settled_at IS NOT NULL)),
            CONSTRAINT ck_case_invoice_void
                CHECK ((state = 'void') = (voided_at IS NOT NULL) AND (state <> 'void' OR credited = 0))
        ) WITH (fillfactor = 80)
        """
    )
    op.execute("CREATE INDEX ix_case_invoice_case_id ON case_invoice (case_id, id)")
    op.execute("CREATE UNIQUE INDEX uq_case_invoice_open ON case_invoice (case_id) WHERE state = 'open'")


def _payments() -> None:
    # Of what was paid, each halala is credited to a bill, owed back, or (the rest) waits for a person.
    op.execute(
        """
        CREATE TABLE case_payment (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_case_payment PRIMARY KEY,
            reference text NOT NULL CONSTRAINT uq_case_payment_reference UNIQUE,
            bill_number text NOT NULL,
            invoice_id bigint CONSTRAINT fk_case_payment_invoice_id REFERENCES case_invoice (id),
            amount numeric(14, 2) NOT NULL CONSTRAINT ck_case_payment_amount CHECK (amount > 0),
            status text NOT NULL CONSTRAINT ck_case_payment_status CHECK (status IN ('paid', 'refused')),
            outcome text NOT NULL CONSTRAINT ck_case_payment_outcome CHECK (outcome IN
                ('settled', 'partial', 'over', 'surplus', 'late', 'held', 'unknown_bill', 'refused')),
            late boolean NOT NULL,
            settles boolean NOT NULL,
            credited numeric(14, 2) NOT NULL CONSTRAINT ck_case_payment_credited CHECK (credited >= 0),
            refunding numeric(14, 2) NOT NULL CONSTRAINT ck_case_payment_refunding CHECK (refunding >= 0),
            paid_at timestamptz NOT NULL,
            day date NOT NULL,
            client text NOT NULL,
            from_file boolean NOT NULL,
            received_at timestamptz NOT NULL,
            CONSTRAINT ck_case_payment_whole CHECK (credited + refunding <= amount),
            CONSTRAINT ck_case_payment_refused CHECK ((status = 'refused') = (outcome = 'refused')
                AND (status = 'paid' OR credited + refunding = 0)),
            CONSTRAINT ck_case_payment_credited_to CHECK (credited = 0 OR invoice_id IS NOT NULL)
        ) WITH (fillfactor = 80)
        """
    )
    op.execute("CREATE INDEX ix_case_payment_invoice_id ON case_payment (invoice_id)")
    op.execute("CREATE INDEX ix_case_payment_bill_number ON case_payment (bill_number)")
    op.execute("CREATE INDEX ix_case_payment_day ON case_payment (day)")
    op.execute(
        "CREATE INDEX ix_case_payment_waiting ON case_payment (id) "
        "WHERE status = 'paid' AND amount > credited + refunding"
    )


def _refunds() -> None:
    op.execute(
        """
        CREATE TABLE case_refund (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_case_refund PRIMARY KEY,
            payment_id bigint NOT NULL CONSTRAINT fk_case_refund_payment_id REFERENCES case_payment (id),
            amount numeric(14, 2) NOT NULL CONSTRAINT ck_case_refund_amount CHECK (amount > 0),
            reason text NOT NULL CONSTRAINT ck_case_refund_reason
                CHECK (reason IN ('over', 'surplus', 'late', 'void', 'closed', 'returned', 'failed')),
            state text NOT NULL CONSTRAINT ck_case_refund_state
                CHECK (state IN ('due', 'approved', 'sent', 'confirmed', 'failed')),
            asked_by text NOT NULL,
            due_at timestamptz NOT NULL,
            approved_by text,
            approved_at timestamptz,
            reference text CONSTRAINT uq_case_refund_reference UNIQUE,
            sent_by text,
            sent_at timestamptz,
            ended_by text,
            ended_at timestamptz,
            failure text,
            CONSTRAINT ck_case_refund_four_eyes CHECK (approved_by <> asked_by AND sent_by <> approved_by),
            CONSTRAINT ck_case_refund_approved
                CHECK ((state = 'due') = (approved_by IS NULL)
                    AND (approved_by IS NULL) = (approved_at IS NULL)),
            CONSTRAINT ck_case_refund_sent CHECK ((state IN ('due', 'approved')) = (reference IS NULL)
                AND (reference IS NULL) = (sent_at IS NULL) AND (sent_by IS NULL) = (sent_at IS NULL)),
            CONSTRAINT ck_case_refund_ended CHECK ((state IN ('confirmed', 'failed')) = (ended_at IS NOT NULL)
                AND (state = 'failed') = (failure IS NOT NULL))
        ) WITH (fillfactor = 80)
        """
    )
    op.execute("CREATE INDEX ix_case_refund_payment_id ON case_refund (payment_id)")
    op.execute("CREATE INDEX ix_case_refund_state ON case_refund (state, id)")
    # The payment's own row carries the sum and its limit: writing it is the lock that two refunds meet at.
    op.execute(
        """
        CREATE FUNCTION case_refund_counted() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            UPDATE case_payment SET refunding = refunding
                + CASE WHEN TG_OP <> 'DELETE' AND NEW.state <> 'failed' THEN NEW.amount ELSE 0 END
                - CASE WHEN TG_OP <> 'INSERT' AND OLD.state <> 'failed' THEN OLD.amount ELSE 0 END
            WHERE id = CASE WHEN TG_OP = 'DELETE' THEN OLD.payment_id ELSE NEW.payment_id END;
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER case_refund_counted AFTER INSERT OR DELETE OR UPDATE OF amount, state ON case_refund "
        "FOR EACH ROW EXECUTE FUNCTION case_refund_counted()"
    )
    op.execute(
        """
        CREATE FUNCTION case_refund_kept() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'a refund stays with its payment and its amount'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_case_refund_kept', TABLE = 'case_refund';
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER case_refund_kept BEFORE UPDATE ON case_refund FOR EACH ROW "
        "WHEN (NEW.payment_id <> OLD.payment_id OR NEW.amount <> OLD.amount) "
        "EXECUTE FUNCTION case_refund_kept()"
    )


def _ledger() -> None:
    op.execute("CREATE SEQUENCE case_ledger_seq")
    op.execute(
        """
        CREATE TABLE case_ledger (
            transaction bigint NOT NULL,
            line integer NOT NULL,
            kind text NOT NULL,
            account text NOT NULL,
            debit numeric(14, 2) NOT NULL,
            credit numeric(14, 2) NOT NULL,
            subject text NOT NULL,
            reference text NOT NULL,
            fee text,
            day date NOT NULL,
            at timestamptz NOT NULL,
            CONSTRAINT pk_case_ledger PRIMARY KEY (transaction, line),
            CONSTRAINT ck_case_ledger_account CHECK (account = 'revenue:' || fee OR (fee IS NULL
                AND account IN ('receivable', 'bank', 'vat', 'suspense', 'refunds_payable'))),
            CONSTRAINT ck_case_ledger_side
                CHECK (debit >= 0 AND credit >= 0 AND (debit = 0) <> (credit = 0))
        )
        """
    )
    op.execute("CREATE INDEX ix_case_ledger_day ON case_ledger (day, transaction)")
    op.execute("CREATE INDEX ix_case_ledger_reference ON case_ledger (reference)")
    # Rows lie in the order they are written: the least that finds a day of them costs a posting nothing.
    op.execute("CREATE INDEX ix_case_ledger_at ON case_ledger USING brin (at)")
    # Once a statement and not once a row or at the commit: a posting is one statement, and this is the
    # cheapest place that still lets no half of one in.
    op.execute(
        """
        CREATE FUNCTION case_ledger_balanced() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF EXISTS (SELECT FROM added GROUP BY transaction HAVING sum(debit) <> sum(credit)) THEN
                RAISE EXCEPTION 'a transaction of the ledger does not balance'
                    USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_case_ledger_balanced',
                          TABLE = 'case_ledger';
            END IF;
            RETURN NULL;
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER case_ledger_balanced AFTER INSERT ON case_ledger REFERENCING NEW TABLE AS added "
        "FOR EACH STATEMENT EXECUTE FUNCTION case_ledger_balanced()"
    )
    op.execute(
        """
        CREATE FUNCTION case_ledger_kept() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION 'the ledger is only added to' USING ERRCODE = 'check_violation',
                CONSTRAINT = 'ck_case_ledger_kept', TABLE = 'case_ledger';
        END $$
        """
    )
    op.execute(
        "CREATE TRIGGER case_ledger_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON case_ledger "
        "FOR EACH STATEMENT EXECUTE FUNCTION case_ledger_kept()"
    )
