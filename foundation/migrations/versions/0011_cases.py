"""Cases: kept definitions, counters, cases and what people say of them."""

from alembic import op

revision = "0011"
down_revision = "0010"
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
    # Room in each page: a case is written again with every action.
    op.execute(
        """
        CREATE TABLE case_file (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_case_file PRIMARY KEY,
            number text NOT NULL CONSTRAINT uq_case_file_number UNIQUE,
            service text NOT NULL,
            procedure text NOT NULL,
            definition text NOT NULL
                CONSTRAINT fk_case_file_definition REFERENCES case_definition (fingerprint),
            state text NOT NULL,
            version integer NOT NULL,
            centre text NOT NULL,
            licence_id bigint,
            parent_id bigint,
            subject bytea NOT NULL,
            personal bytea,
            form jsonb NOT NULL,
            done jsonb NOT NULL,
            checks jsonb NOT NULL,
            quote_free boolean NOT NULL,
            desk text,
            place text,
            assignee text,
            due timestamptz,
            timer_at timestamptz,
            escalated boolean NOT NULL,
            entered_at timestamptz NOT NULL,
            promised_for timestamptz,
            submitted_at timestamptz NOT NULL,
            changed_at timestamptz NOT NULL,
            closed_at timestamptz,
            erased_at timestamptz
        ) WITH (fillfactor = 80)
        """
    )
    # A centre's own cases, newest first: what every list of cases walks.
    op.execute("CREATE INDEX ix_case_file_centre_id ON case_file (centre, id)")
    # And of those who see more: in a state, or within their places, however few among all.
    op.execute("CREATE INDEX ix_case_file_state_id ON case_file (state, id)")
    op.execute("CREATE INDEX ix_case_file_place_id ON case_file (place, id)")
    op.execute("CREATE INDEX ix_case_file_subject ON case_file (subject)")
    # Inboxes: the open cases of a desk, of its place, service or centre, or a person's own; the most urgent
    # first. Expressions without NULL and all ascending: a page goes on by one comparison of rows.
    urgency = "(NOT escalated), (coalesce(due, 'infinity'::timestamptz)), id"
    for name, first in (
        ("inbox", "desk"),
        ("inbox_place", "desk, place"),
        ("inbox_service", "desk, service"),
        ("inbox_centre", "centre, desk"),
    ):
        op.execute(
            f"CREATE INDEX ix_case_file_{name} ON case_file ({first}, {urgency}) WHERE desk IS NOT NULL"
        )
    op.execute(
        f"CREATE INDEX ix_case_file_inbox_assignee ON case_file (assignee, {urgency}) "
        "WHERE desk IS NOT NULL AND assignee IS NOT NULL"
    )
    op.execute("CREATE INDEX ix_case_file_timer_at ON case_file (timer_at) WHERE timer_at IS NOT NULL")
    # One open case a procedure on one licence.
    op.execute(
        "CREATE UNIQUE INDEX uq_case_file_licence_id ON case_file (licence_id, procedure) "
        "WHERE licence_id IS NOT NULL AND closed_at IS NULL"
    )
    op.execute("CREATE INDEX ix_case_file_licence ON case_file (licence_id) WHERE licence_id IS NOT NULL")
    op.execute(
        """
        CREATE TABLE case_comment (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_case_comment PRIMARY KEY,
            case_id bigint NOT NULL CONSTRAINT fk_case_comment_case_id REFERENCES case_file (id),
            actor text NOT NULL,
            action text,
            body bytea,
            salt bytea,
            digest bytea NOT NULL,
            at timestamptz NOT NULL
        )
        """
    )
    op.execute("CREATE INDEX ix_case_comment_case_id ON case_comment (case_id, id)")
