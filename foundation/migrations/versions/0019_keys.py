"""Signing keys of licences, and how far the licences are that a retired one signed."""

from alembic import op

revision = "0019"
down_revision = "0018"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE licence_key (
            kid text CONSTRAINT pk_licence_key PRIMARY KEY,
            municipality text NOT NULL,
            jwk jsonb NOT NULL,
            store text NOT NULL CONSTRAINT ck_licence_key_store CHECK (store IN ('file', 'pkcs11')),
            label text NOT NULL,
            published_at timestamptz NOT NULL,
            made_by text NOT NULL,
            not_before timestamptz,
            not_after timestamptz,
            retired_at timestamptz,
            retired_because text,
            CONSTRAINT ck_licence_key_not_after CHECK (not_after >= not_before),
            CONSTRAINT ck_licence_key_retired_because CHECK ((retired_at IS NULL) = (retired_because IS NULL))
        )
        """
    )
    # Of a municipality's keys one at most has no end: the one that signs, or the one that will.
    op.execute(
        """
        CREATE UNIQUE INDEX uq_licence_key_last ON licence_key (municipality)
        WHERE not_after IS NULL AND retired_at IS NULL
        """
    )
    op.execute(
        """
        CREATE TABLE licence_reissue (
            kid text CONSTRAINT pk_licence_reissue PRIMARY KEY
                CONSTRAINT fk_licence_reissue_kid REFERENCES licence_key (kid),
            began_at timestamptz NOT NULL,
            seen bigint NOT NULL DEFAULT 0,
            done integer NOT NULL DEFAULT 0,
            failed integer NOT NULL DEFAULT 0,
            turn integer NOT NULL DEFAULT 0,
            job bigint,
            ended_at timestamptz
        )
        """
    )
    # A version that no case made: its paper was signed anew. Still, whatever runs twice, a case is fulfilled
    # once.
    op.execute("ALTER TABLE licence_version DROP CONSTRAINT pk_licence_version")
    op.execute("ALTER TABLE licence_version ALTER COLUMN case_id DROP NOT NULL")
    op.execute("ALTER TABLE licence_version ADD CONSTRAINT uq_licence_version_case_id UNIQUE (case_id)")
    op.execute(
        "ALTER TABLE licence_version ADD CONSTRAINT ck_licence_version_case_id "
        "CHECK ((case_id IS NULL) = (outcome = 'reissue'))"
    )
