"""Notices: what is told to people and programs by mail and webhook."""

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass
