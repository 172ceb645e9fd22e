"""Device locks: one holder a device, with the token that fences off an older one."""

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    pass
