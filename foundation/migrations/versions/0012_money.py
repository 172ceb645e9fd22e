"""Money: quotes, bills, payments, refunds, the ledger."""

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass
