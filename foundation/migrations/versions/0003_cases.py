"""Cases: kept definitions, cases with their quotes, bills and payments, licences and their papers."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE case_definition (
            fingerprint text CONSTRAINT pk_case_definition PRIMARY KEY,
            code text NOT NULL,
            version integer NOT NULL,
            content jsonb NOT NULL,
            kept_at timestamptz NOT NULL,
            CONSTRAINT uq_case_definition_code UNIQUE (code, version)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE case_counter (
            series text NOT NULL,
            year integer NOT NULL,
            last integer NOT NULL,
            CONSTRAINT pk_case_counter PRIMARY KEY (series, year)
        )
        """
    )
    op.execute("CREATE SEQUENCE case_bill_seq")
    op.execute(
        """
        CREATE TABLE case_file (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_case_file PRIMARY KEY,
            number text NOT NULL CONSTRAINT uq_case_file_number UNIQUE,
            service text NOT NULL,
            definition text NOT NULL
                CONSTRAINT fk_case_file_definition REFERENCES case_definition (fingerprint),
            state text NOT NULL,
            version integer NOT NULL,
            centre text NOT NULL,
            applicant jsonb NOT NULL,
            form jsonb NOT NULL,
            salt bytea NOT NULL,
            done jsonb NOT NULL,
            submitted_at timestamptz NOT NULL,
            changed_at timestamptz NOT NULL
        )
        """
    )
    # A centre's own cases, newest first: what every list of cases walks.
    op.execute("CREATE INDEX ix_case_file_centre_id ON case_file (centre, id)")
    op.execute(
        """
        CREATE TABLE case_quote (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_case_quote PRIMARY KEY,
            case_id bigint NOT NULL CONSTRAINT fk_case_quote_case_id REFERENCES case_file (id),
            definition text NOT NULL
                CONSTRAINT fk_case_quote_definition REFERENCES case_definition (fingerprint),
            day date NOT NULL,
            fee_class integer NOT NULL CONSTRAINT ck_case_quote_fee_class CHECK (fee_class BETWEEN 1 AND 5),
            lines jsonb NOT NULL,
            total numeric(14, 2) NOT NULL CONSTRAINT ck_case_quote_total CHECK (total > 0),
            made_at timestamptz NOT NULL
        )
        """
    )
    op.execute("CREATE INDEX ix_case_quote_case_id ON case_quote (case_id)")
    op.execute(
        """
        CREATE TABLE case_invoice (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_case_invoice PRIMARY KEY,
            bill_number text NOT NULL CONSTRAINT uq_case_invoice_bill_number UNIQUE,
            case_id bigint NOT NULL CONSTRAINT fk_case_invoice_case_id REFERENCES case_file (id),
            quote_id bigint NOT NULL CONSTRAINT fk_case_invoice_quote_id REFERENCES case_quote (id),
            amount numeric(14, 2) NOT NULL CONSTRAINT ck_case_invoice_amount CHECK (amount > 0),
            due date NOT NULL,
            state text NOT NULL CONSTRAINT ck_case_invoice_state CHECK (state IN ('open', 'settled')),
            issued_at timestamptz NOT NULL,
            settled_at timestamptz,
            CONSTRAINT ck_case_invoice_settled_at CHECK ((state = 'settled') = (settled_at IS NOT NULL))
        )
        """
    )
    op.execute("CREATE INDEX ix_case_invoice_case_id ON case_invoice (case_id)")
    op.execute(
        """
        CREATE TABLE case_payment (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_case_payment PRIMARY KEY,
            reference text NOT NULL CONSTRAINT uq_case_payment_reference UNIQUE,
            bill_number text NOT NULL,
            case_id bigint CONSTRAINT fk_case_payment_case_id REFERENCES case_file (id),
            amount numeric(14, 2) NOT NULL CONSTRAINT ck_case_payment_amount CHECK (amount > 0),
            paid_at timestamptz NOT NULL,
            outcome text NOT NULL CONSTRAINT ck_case_payment_outcome CHECK (
                outcome IN ('settled', 'partial', 'over', 'surplus', 'held', 'unknown_bill')
            ),
            client text NOT NULL,
            received_at timestamptz NOT NULL
        )
        """
    )
    op.execute("CREATE INDEX ix_case_payment_bill_number ON case_payment (bill_number)")
    op.execute("CREATE INDEX ix_case_payment_case_id ON case_payment (case_id)")
    op.execute(
        """
        CREATE TABLE licence (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_licence PRIMARY KEY,
            number text NOT NULL CONSTRAINT uq_licence_number UNIQUE,
            case_id bigint NOT NULL
                CONSTRAINT uq_licence_case_id UNIQUE
                CONSTRAINT fk_licence_case_id REFERENCES case_file (id),
            service text NOT NULL,
            municipality jsonb NOT NULL,
            title jsonb NOT NULL,
            holder jsonb NOT NULL,
            lines jsonb NOT NULL,
            private_lines jsonb NOT NULL,
            valid_from date NOT NULL,
            valid_to date NOT NULL,
            calendar text NOT NULL,
            credential text NOT NULL,
            status text NOT NULL
                CONSTRAINT ck_licence_status CHECK (status IN ('valid', 'suspended', 'revoked')),
            issued_at timestamptz NOT NULL,
            CONSTRAINT ck_licence_valid_to CHECK (valid_to >= valid_from)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE licence_document (
            licence_id bigint
                CONSTRAINT pk_licence_document PRIMARY KEY
                CONSTRAINT fk_licence_document_licence_id REFERENCES licence (id),
            pdf bytea NOT NULL,
            sha256 bytea NOT NULL,
            made_at timestamptz NOT NULL
        )
        """
    )
