"""Device locks: one holder a device, with the token that fences off an older one."""

from alembic import op

revision = "0029"
down_revision = "0028"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # A number is never given twice, so that a device that names a lease which is gone is simply free.
    op.execute("CREATE SEQUENCE device_lease_id AS bigint")
    op.execute(
        """
        CREATE TABLE device_lease (
            id bigint CONSTRAINT pk_device_lease PRIMARY KEY,
            holder text NOT NULL,
            purpose text NOT NULL,
            subject text NOT NULL,
            worker text NOT NULL,
            host text NOT NULL,
            boot_id text NOT NULL,
            pid integer NOT NULL,
            started bigint NOT NULL,
            grace double precision NOT NULL,
            taken_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            renewed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            lost text,
            CONSTRAINT ck_device_lease_grace CHECK (grace > 0)
        )
        """
    )
    # A row stays when its lock is released: it keeps the last token, so that the next one is higher.
    op.execute(
        """
        CREATE TABLE device_lock (
            device text CONSTRAINT pk_device_lock PRIMARY KEY,
            token bigint NOT NULL DEFAULT 0,
            lease bigint,
            CONSTRAINT ck_device_lock_token CHECK (token > 0 OR lease IS NULL)
        )
        """
    )
    op.execute("CREATE INDEX ix_device_lock_lease ON device_lock (lease)")
    # Behind the program's own rule: whatever writes here, no token is given twice.
    op.execute(
        """
        CREATE FUNCTION device_lock_token_grows() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            IF TG_OP = 'DELETE' OR NEW.device <> OLD.device OR NEW.token < OLD.token
                OR (NEW.lease IS DISTINCT FROM OLD.lease AND NEW.lease IS NOT NULL AND NEW.token = OLD.token)
            THEN
                RAISE EXCEPTION 'the token of the device % would go back', OLD.device
                    USING ERRCODE = 'check_violation';
            END IF;
            RETURN NEW;
        END
        $$
        """
    )
    op.execute(
        """
        CREATE TRIGGER device_lock_token_grows BEFORE UPDATE OR DELETE ON device_lock
        FOR EACH ROW EXECUTE FUNCTION device_lock_token_grows()
        """
    )
