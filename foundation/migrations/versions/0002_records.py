"""Records: audit, assets, people and API clients."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE audit (
            chain text NOT NULL,
            position integer NOT NULL,
            at timestamptz NOT NULL,
            actor text NOT NULL,
            action text NOT NULL,
            details jsonb NOT NULL,
            previous bytea NOT NULL,
            hash bytea NOT NULL,
            CONSTRAINT pk_audit PRIMARY KEY (chain, position)
        )
        """
    )
    op.execute("CREATE INDEX ix_audit_at ON audit (at)")
    # Room in each page: a head is written with every entry of its chain.
    op.execute(
        """
        CREATE TABLE audit_head (
            chain text NOT NULL CONSTRAINT pk_audit_head PRIMARY KEY,
            position integer NOT NULL,
            hash bytea NOT NULL,
            sealed integer NOT NULL DEFAULT 0
        ) WITH (fillfactor = 70)
        """
    )
    op.execute("CREATE INDEX ix_audit_head_unsealed ON audit_head (chain) WHERE sealed <> position")
    op.execute(
        """
        CREATE TABLE audit_seal (
            position integer NOT NULL CONSTRAINT pk_audit_seal PRIMARY KEY,
            at timestamptz NOT NULL,
            heads jsonb NOT NULL,
            previous bytea NOT NULL,
            hash bytea NOT NULL
        )
        """
    )
    op.execute(
        """
        CREATE TABLE asset (
            name text NOT NULL CONSTRAINT pk_asset PRIMARY KEY,
            kind text NOT NULL,
            title_ar text NOT NULL,
            title_en text NOT NULL,
            parent text,
            attributes jsonb NOT NULL,
            version integer NOT NULL,
            CONSTRAINT fk_asset_parent FOREIGN KEY (parent) REFERENCES asset (name)
                DEFERRABLE INITIALLY DEFERRED
        )
        """
    )
    op.execute("CREATE INDEX ix_asset_parent ON asset (parent)")
    op.execute("CREATE INDEX ix_asset_kind ON asset (kind)")
    op.execute(
        """
        CREATE TABLE asset_link (
            source text NOT NULL,
            relation text NOT NULL CONSTRAINT ck_asset_link_relation
                CHECK (relation IN ('powers', 'cools', 'connects')),
            target text NOT NULL,
            CONSTRAINT pk_asset_link PRIMARY KEY (source, relation, target),
            CONSTRAINT fk_asset_link_source FOREIGN KEY (source) REFERENCES asset (name)
                DEFERRABLE INITIALLY DEFERRED,
            CONSTRAINT fk_asset_link_target FOREIGN KEY (target) REFERENCES asset (name)
                DEFERRABLE INITIALLY DEFERRED
        )
        """
    )
    op.execute("CREATE INDEX ix_asset_link_target ON asset_link (target)")
    op.execute(
        """
        CREATE TABLE person (
            username text NOT NULL CONSTRAINT pk_person PRIMARY KEY,
            password_hash text NOT NULL,
            roles text[] NOT NULL,
            places text[] NOT NULL DEFAULT '{}',
            enabled boolean NOT NULL,
            created timestamptz NOT NULL
        )
        """
    )
    op.execute(
        """
        CREATE TABLE api_client (
            client_id text NOT NULL CONSTRAINT pk_api_client PRIMARY KEY,
            verifier bytea NOT NULL,
            roles text[] NOT NULL,
            places text[] NOT NULL DEFAULT '{}',
            title text NOT NULL,
            enabled boolean NOT NULL,
            created timestamptz NOT NULL
        )
        """
    )
