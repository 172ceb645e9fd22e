"""Notices: what is told to people and programs by mail and webhook; runs whose artifacts are gone."""

from alembic import op

revision = "0031"
down_revision = "0030"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE notice_reader (
            name text NOT NULL CONSTRAINT pk_notice_reader PRIMARY KEY,
            cursor text
        )
        """
    )
    # What happened before there were notices is told to nobody.
    op.execute(
        """
        INSERT INTO notice_reader (name, cursor) VALUES (
            'plays',
            (SELECT transaction::text || '-' || id FROM event ORDER BY transaction DESC, id DESC LIMIT 1)
        )
        """
    )
    op.execute(
        """
        CREATE TABLE notice (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_notice PRIMARY KEY,
            key uuid NOT NULL DEFAULT gen_random_uuid(),
            reader text NOT NULL CONSTRAINT fk_notice_reader REFERENCES notice_reader (name),
            cursor text NOT NULL,
            channel text NOT NULL CONSTRAINT ck_notice_channel CHECK (channel IN ('mail', 'webhook')),
            recipient text NOT NULL,
            subject text NOT NULL,
            kind text NOT NULL,
            at timestamptz NOT NULL,
            content jsonb NOT NULL,
            state text NOT NULL DEFAULT 'waiting'
                CONSTRAINT ck_notice_state CHECK (state IN ('waiting', 'sent', 'failed')),
            attempts integer NOT NULL DEFAULT 0,
            next_at timestamptz NOT NULL,
            last_error text,
            ended_at timestamptz,
            lease text,
            leased_until timestamptz,
            CONSTRAINT uq_notice_reader_cursor_recipient UNIQUE (reader, cursor, recipient),
            CONSTRAINT ck_notice_ended CHECK ((state = 'waiting') = (ended_at IS NULL))
        )
        """
    )
    # What senders look through, however many were sent; and what is forgotten after a while.
    op.execute("CREATE INDEX ix_notice_waiting ON notice (channel, recipient, id) WHERE state = 'waiting'")
    op.execute("CREATE INDEX ix_notice_failed ON notice (channel) WHERE state = 'failed'")
    op.execute("CREATE INDEX ix_notice_sent ON notice (ended_at) WHERE state = 'sent'")
    op.execute(
        """
        CREATE TABLE play_artifacts_removal (
            run_id bigint NOT NULL CONSTRAINT pk_play_artifacts_removal PRIMARY KEY
                CONSTRAINT fk_play_artifacts_removal_run_id REFERENCES play_run (id) ON DELETE CASCADE,
            removed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            machine text NOT NULL,
            rule text NOT NULL
                CONSTRAINT ck_play_artifacts_removal_rule CHECK (rule IN ('runs', 'days', 'megabytes')),
            bytes bigint NOT NULL
        )
        """
    )
    # What statistics look through: of the many events of a run the few by which its times are told.
    op.execute(
        """
        CREATE INDEX ix_event_play_turn ON event (subject, transaction, id) INCLUDE (kind, at)
        WHERE kind IN ('play.started', 'play.planned', 'play.approved', 'play.rejected')
        """
    )
    op.execute("CREATE INDEX ix_play_run_requested_at ON play_run (requested_at)")
    op.execute(
        """
        CREATE INDEX ix_play_host_result_unwell ON play_host_result (run_id, host) INCLUDE (state)
        WHERE state IN ('failed', 'unreachable', 'interrupted')
        """
    )
    op.execute("CREATE INDEX ix_play_host_result_host ON play_host_result (host, run_id)")
    # What every reading of the metrics counts.
    op.execute(
        """
        CREATE INDEX ix_play_run_ended ON play_run (playbook, state, id)
        WHERE finished_at IS NOT NULL AND NOT check_mode
        """
    )
