"""Fingerprints of requests under a key: those kept before, which anybody could try numbers against, go."""

from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # The answers stay: a request that is repeated across this step is answered as it was, and not done twice.
    op.execute("UPDATE idempotency SET fingerprint = ''")
