"""What centres have earned is settled: statements that are fixed once, and what was transferred for them."""

from alembic import op

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # What is transferred for a statement is noted by somebody else than who fixed it. Less than zero is owed
    # by the centre.
    op.execute(
        """
        CREATE TABLE centre_settlement (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_centre_settlement PRIMARY KEY,
            centre text NOT NULL CONSTRAINT fk_centre_settlement_centre REFERENCES centre (code),
            number integer NOT NULL CONSTRAINT ck_centre_settlement_number CHECK (number > 0),
            until date NOT NULL,
            net numeric(14, 2) NOT NULL,
            vat numeric(14, 2) NOT NULL,
            total numeric(14, 2) NOT NULL,
            made_by text NOT NULL,
            made_at timestamptz NOT NULL,
            reference text,
            paid_day date,
            paid_by text,
            paid_at timestamptz,
            CONSTRAINT uq_centre_settlement_number UNIQUE (centre, number),
            CONSTRAINT ck_centre_settlement_total CHECK (total = net + vat),
            CONSTRAINT ck_centre_settlement_paid
                CHECK (num_nulls(reference, paid_day, paid_by, paid_at) IN (0, 4)),
            CONSTRAINT ck_centre_settlement_four_eyes CHECK (paid_by <> made_by)
        )
        """
    )
    # Which statement a share stands in, and which one took it back.
    op.execute(
        """
        ALTER TABLE centre_share
            ADD COLUMN settled_in bigint
                CONSTRAINT fk_centre_share_settled_in REFERENCES centre_settlement (id),
            ADD COLUMN taken_back_in bigint
                CONSTRAINT fk_centre_share_taken_back_in REFERENCES centre_settlement (id),
            ADD CONSTRAINT ck_centre_share_taken_back_in
                CHECK (taken_back_in IS NULL OR taken_back_at IS NOT NULL)
        """
    )
    op.execute("CREATE INDEX ix_centre_share_open ON centre_share (day) WHERE settled_in IS NULL")
    op.execute(
        "CREATE INDEX ix_centre_share_back ON centre_share (taken_back_day) "
        "WHERE taken_back_in IS NULL AND taken_back_at IS NOT NULL"
    )
    op.execute("CREATE INDEX ix_centre_share_settled_in ON centre_share (settled_in)")
    op.execute(
        "CREATE INDEX ix_centre_share_taken_back_in ON centre_share (taken_back_in) "
        "WHERE taken_back_in IS NOT NULL"
    )
    _kept(
        "centre_settlement",
        "a statement stays as it was fixed, and what was transferred for it as it was noted",
        "(OLD.centre, OLD.number, OLD.until, OLD.net, OLD.vat, OLD.made_by, OLD.made_at) IS DISTINCT FROM "
        "(NEW.centre, NEW.number, NEW.until, NEW.net, NEW.vat, NEW.made_by, NEW.made_at) "
        "OR OLD.paid_at IS NOT NULL",
    )
    _kept(
        "centre_share",
        "a share that was settled stays as it was",
        "(OLD.case_id, OLD.net, OLD.amount, OLD.day) IS DISTINCT FROM "
        "(NEW.case_id, NEW.net, NEW.amount, NEW.day) "
        "OR OLD.settled_in IS NOT NULL AND OLD.settled_in IS DISTINCT FROM NEW.settled_in "
        "OR OLD.taken_back_in IS NOT NULL",
    )
    op.execute("ALTER TABLE case_ledger DROP CONSTRAINT ck_case_ledger_account")
    op.execute(
        """
        ALTER TABLE case_ledger ADD CONSTRAINT ck_case_ledger_account
            CHECK (account = 'revenue:' || fee OR (fee IS NULL AND (account LIKE 'payable:_%'
                OR account LIKE 'settlement:_%' OR account IN ('receivable', 'bank', 'vat', 'suspense',
                    'refunds_payable', 'centre_share', 'treasury'))))
        """
    )


def _kept(table: str, why: str, changed: str) -> None:
    op.execute(
        f"""
        CREATE FUNCTION {table}_kept() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE EXCEPTION '{why}'
                USING ERRCODE = 'check_violation', CONSTRAINT = 'ck_{table}_kept', TABLE = '{table}';
        END $$
        """
    )
    op.execute(
        f"CREATE TRIGGER {table}_kept BEFORE UPDATE ON {table} FOR EACH ROW WHEN ({changed}) "
        f"EXECUTE FUNCTION {table}_kept()"
    )
    op.execute(
        f"CREATE TRIGGER {table}_stays BEFORE DELETE ON {table} FOR EACH ROW EXECUTE FUNCTION {table}_kept()"
    )
