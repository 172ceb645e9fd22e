"""Test centres, and what the database itself keeps apart, whatever a program does."""

from alembic import op

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE centre ADD COLUMN test boolean NOT NULL DEFAULT false")
    # A case of a test has a number TEST…, its bill one of no year (see integrations.cases.numbers). Behind
    # the program's own rules: no money, no share and no upload is of one.
    op.execute(
        "ALTER TABLE case_ledger ADD CONSTRAINT ck_case_ledger_no_test CHECK (subject NOT LIKE 'case/TEST%')"
    )
    op.execute(
        "ALTER TABLE centre_share ADD CONSTRAINT ck_centre_share_no_test CHECK (bill_number NOT LIKE '00%')"
    )
    op.execute(
        "ALTER TABLE bill_upload_line ADD CONSTRAINT ck_bill_upload_line_no_test "
        "CHECK (bill_number NOT LIKE '00%')"
    )
    op.execute("DROP INDEX ix_case_invoice_untold")
    op.execute(
        """
        CREATE INDEX ix_case_invoice_untold ON case_invoice (id)
        WHERE COALESCE(told, 0) <> CASE WHEN state = 'open' THEN amount - credited ELSE 0 END
            AND bill_number NOT LIKE '00%'
        """
    )
