"""What is asked of others and told to them: calls to back-ends, webhooks."""

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass
