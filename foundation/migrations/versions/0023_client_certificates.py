"""Certificates of API clients, and signed assertions that were used."""

from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE client_certificate (
            serial text CONSTRAINT pk_client_certificate PRIMARY KEY,
            client_id text NOT NULL
                CONSTRAINT fk_client_certificate_client_id REFERENCES api_client (client_id),
            thumbprint text NOT NULL CONSTRAINT uq_client_certificate_thumbprint UNIQUE,
            key_thumbprint text NOT NULL,
            certificate bytea NOT NULL,
            not_before timestamptz NOT NULL,
            not_after timestamptz NOT NULL,
            issued_at timestamptz NOT NULL,
            issued_by text NOT NULL,
            renews text CONSTRAINT fk_client_certificate_renews REFERENCES client_certificate (serial),
            revoked_at timestamptz,
            revoked_because text,
            warned_days integer,
            CONSTRAINT ck_client_certificate_times CHECK (not_before < not_after),
            CONSTRAINT ck_client_certificate_revoked CHECK ((revoked_at IS NULL) = (revoked_because IS NULL))
        )
        """
    )
    op.execute("CREATE INDEX ix_client_certificate_client_id ON client_certificate (client_id, not_after)")
    op.execute("CREATE INDEX ix_client_certificate_key_thumbprint ON client_certificate (key_thumbprint)")
    op.execute(
        "CREATE INDEX ix_client_certificate_not_after ON client_certificate (not_after) "
        "WHERE revoked_at IS NULL"
    )
    # Kept over a crash, unlike the nonces of messages: a token is asked for every ten minutes only.
    op.execute(
        """
        CREATE TABLE client_assertion (
            client_id text NOT NULL,
            jti bytea NOT NULL,
            expires timestamptz NOT NULL,
            CONSTRAINT pk_client_assertion PRIMARY KEY (client_id, jti)
        )
        """
    )
    op.execute("CREATE INDEX ix_client_assertion_expires ON client_assertion (expires)")
