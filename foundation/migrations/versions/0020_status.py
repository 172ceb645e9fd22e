"""How each credential stands: its place in a status list, the lists, and what they do not say yet."""

from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A place that was given to what was rolled back stays empty, and reads as valid: nobody holds it.
    op.execute("CREATE SEQUENCE licence_status_index AS bigint MINVALUE 0 START 0")
    op.execute("ALTER TABLE licence_version ADD COLUMN status_index bigint")
    op.execute(
        "CREATE UNIQUE INDEX uq_licence_version_status_index ON licence_version (status_index) "
        "WHERE status_index IS NOT NULL"
    )
    # A replacement copy has a credential of its own, which takes the place of the one before.
    op.execute("DROP INDEX uq_licence_version_licence_id")
    op.execute(
        "CREATE UNIQUE INDEX uq_licence_version_licence_id ON licence_version (licence_id, version, copy) "
        "WHERE credential IS NOT NULL"
    )
    op.execute(
        """
        CREATE TABLE status_list (
            number integer CONSTRAINT pk_status_list PRIMARY KEY,
            uri text NOT NULL,
            version integer NOT NULL,
            packed bytea,
            token bytea,
            kid bytea,
            made_at timestamptz,
            expires_at timestamptz,
            ttl interval,
            CONSTRAINT ck_status_list_token CHECK ((token IS NULL) = (version = 0))
        )
        """
    )
    op.execute(
        """
        CREATE TABLE status_change (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_status_change PRIMARY KEY,
            licence_id bigint NOT NULL
        )
        """
    )
