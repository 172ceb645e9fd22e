"""What messages of centres were seen, so that none is taken twice; and since when that is remembered."""

from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A crash empties both tables, and so does a standby that becomes the primary: a commit then waits for no
    # disk. What was seen before is forgotten with the row that says since when all is remembered.
    op.execute(
        """
        CREATE UNLOGGED TABLE message_nonce (
            sender text NOT NULL,
            nonce bytea NOT NULL,
            expires timestamptz NOT NULL,
            CONSTRAINT pk_message_nonce PRIMARY KEY (sender, nonce),
            CONSTRAINT ck_message_nonce_nonce CHECK (octet_length(nonce) = 32)
        )
        """
    )
    op.execute("CREATE INDEX ix_message_nonce_expires ON message_nonce (expires)")
    op.execute(
        """
        CREATE UNLOGGED TABLE message_memory (
            one boolean CONSTRAINT pk_message_memory PRIMARY KEY DEFAULT true,
            since timestamptz NOT NULL,
            CONSTRAINT ck_message_memory_one CHECK (one)
        )
        """
    )
    # Before this step no message was taken.
    op.execute("INSERT INTO message_memory (since) VALUES ('-infinity')")
