"""People around a case: delegations, documents."""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE delegation (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_delegation PRIMARY KEY,
            principal bytea NOT NULL,
            agent bytea NOT NULL,
            capacity text NOT NULL CONSTRAINT ck_delegation_capacity CHECK (capacity IN ('manager', 'agent')),
            services text[] NOT NULL,
            procedures text[] NOT NULL,
            valid_from date NOT NULL,
            valid_until date,
            personal bytea,
            evidence bytea,
            granted_by text NOT NULL,
            granted_at timestamptz NOT NULL,
            ended_by text,
            ended_at timestamptz,
            erased_at timestamptz,
            CONSTRAINT ck_delegation_valid_until CHECK (valid_from <= valid_until),
            CONSTRAINT ck_delegation_agent_ends CHECK (capacity = 'manager' OR valid_until IS NOT NULL),
            CONSTRAINT ck_delegation_agent CHECK (principal <> agent),
            CONSTRAINT ck_delegation_ended CHECK ((ended_at IS NULL) = (ended_by IS NULL))
        )
        """
    )
    op.execute("CREATE INDEX ix_delegation_principal ON delegation (principal, agent)")
    op.execute("CREATE INDEX ix_delegation_agent ON delegation (agent)")
    # The content lies by its hash within its case. Across cases it does not: whether somebody else had handed
    # in the same paper could then be found out, and no case could be erased by itself.
    op.execute(
        """
        CREATE TABLE stored_content (
            case_id bigint NOT NULL CONSTRAINT fk_stored_content_case_id REFERENCES case_file (id),
            sha256 bytea NOT NULL,
            size bigint NOT NULL,
            sealed bytea NOT NULL,
            CONSTRAINT pk_stored_content PRIMARY KEY (case_id, sha256)
        )
        """
    )
    # What is encrypted does not shrink.
    op.execute("ALTER TABLE stored_content ALTER COLUMN sealed SET STORAGE EXTERNAL")
    op.execute(
        """
        CREATE TABLE case_document (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_case_document PRIMARY KEY,
            case_id bigint NOT NULL CONSTRAINT fk_case_document_case_id REFERENCES case_file (id),
            code text NOT NULL,
            version integer NOT NULL,
            type text NOT NULL,
            size bigint NOT NULL,
            sha256 bytea,
            salt bytea,
            name bytea,
            digest text NOT NULL,
            put_by text NOT NULL,
            put_at timestamptz NOT NULL,
            removed_at timestamptz,
            CONSTRAINT uq_case_document_version UNIQUE (case_id, code, version),
            CONSTRAINT fk_case_document_content
                FOREIGN KEY (case_id, sha256) REFERENCES stored_content (case_id, sha256)
        )
        """
    )
    op.execute(
        "CREATE UNIQUE INDEX uq_case_document_current ON case_document (case_id, code) "
        "WHERE removed_at IS NULL"
    )
    # What is due for erasure: closed cases that still hold personal data.
    op.execute(
        "CREATE INDEX ix_case_file_retention ON case_file (closed_at, id) "
        "WHERE closed_at IS NOT NULL AND erased_at IS NULL"
    )
