"""Licences, their versions and papers."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE licence (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_licence PRIMARY KEY,
            number text NOT NULL CONSTRAINT uq_licence_number UNIQUE,
            service text NOT NULL,
            version integer NOT NULL,
            subject bytea NOT NULL,
            personal bytea,
            form jsonb NOT NULL,
            municipality jsonb NOT NULL,
            title jsonb NOT NULL,
            lines jsonb NOT NULL,
            parent_id bigint CONSTRAINT fk_licence_parent_id REFERENCES licence (id),
            valid_from date NOT NULL,
            valid_to date NOT NULL,
            calendar text NOT NULL,
            credential text NOT NULL,
            status text NOT NULL,
            status_since timestamptz NOT NULL,
            status_reason text NOT NULL,
            with_parent boolean NOT NULL,
            standings jsonb NOT NULL,
            excused boolean NOT NULL,
            copies integer NOT NULL,
            issued_at timestamptz NOT NULL,
            CONSTRAINT ck_licence_status
                CHECK (status IN ('valid', 'suspended', 'revoked', 'closed', 'void')),
            CONSTRAINT ck_licence_valid_to CHECK (valid_from <= valid_to)
        )
        """
    )
    op.execute("CREATE INDEX ix_licence_subject ON licence (subject)")
    op.execute("CREATE INDEX ix_licence_parent_id ON licence (parent_id) WHERE parent_id IS NOT NULL")
    # By its case: whatever runs twice, a case is fulfilled once.
    op.execute(
        """
        CREATE TABLE licence_version (
            case_id bigint CONSTRAINT pk_licence_version PRIMARY KEY
                CONSTRAINT fk_licence_version_case_id REFERENCES case_file (id),
            licence_id bigint NOT NULL CONSTRAINT fk_licence_version_licence_id REFERENCES licence (id),
            version integer NOT NULL,
            copy integer NOT NULL,
            outcome text NOT NULL,
            status text NOT NULL,
            subject bytea NOT NULL,
            valid_from date NOT NULL,
            valid_to date NOT NULL,
            shown jsonb,
            form jsonb,
            personal bytea,
            credential text,
            made_at timestamptz NOT NULL
        )
        """
    )
    op.execute("CREATE INDEX ix_licence_version_licence_id ON licence_version (licence_id, version)")
    op.execute("CREATE INDEX ix_licence_version_subject ON licence_version (subject)")
    op.execute(
        "CREATE UNIQUE INDEX uq_licence_version_licence_id ON licence_version (licence_id, version) "
        "WHERE credential IS NOT NULL"
    )
    op.execute(
        """
        CREATE TABLE licence_document (
            licence_id bigint NOT NULL CONSTRAINT fk_licence_document_licence_id REFERENCES licence (id),
            version integer NOT NULL,
            copy integer NOT NULL,
            pdf bytea,
            sha256 bytea NOT NULL,
            made_at timestamptz NOT NULL,
            CONSTRAINT pk_licence_document PRIMARY KEY (licence_id, version, copy)
        )
        """
    )
    op.execute(
        "ALTER TABLE case_file ADD CONSTRAINT fk_case_file_licence_id "
        "FOREIGN KEY (licence_id) REFERENCES licence (id)"
    )
    op.execute(
        "ALTER TABLE case_file ADD CONSTRAINT fk_case_file_parent_id "
        "FOREIGN KEY (parent_id) REFERENCES licence (id)"
    )
    op.execute("CREATE INDEX ix_case_file_parent_id ON case_file (parent_id) WHERE parent_id IS NOT NULL")
