"""Plays: runs of playbooks, and what became of each host."""

from alembic import op

revision = "0010"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE play_run (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_play_run PRIMARY KEY,
            playbook text NOT NULL,
            revision text NOT NULL,
            parameters jsonb NOT NULL,
            target_limit text,
            check_mode boolean NOT NULL,
            diff boolean NOT NULL,
            requested_by text NOT NULL,
            state text NOT NULL,
            reason text,
            requested_at timestamptz NOT NULL DEFAULT clock_timestamp(),
            started_at timestamptz,
            finished_at timestamptz,
            worker text,
            job_id bigint,
            at jsonb NOT NULL DEFAULT '{}',
            batches integer NOT NULL DEFAULT 0,
            statistics jsonb,
            CONSTRAINT ck_play_run_state CHECK (
                state IN ('queued', 'running', 'successful', 'failed', 'cancelled', 'interrupted')
            )
        )
        """
    )
    # Few runs are under way, however many there have been: what reconciling looks through.
    op.execute("CREATE INDEX ix_play_run_state ON play_run (state) WHERE state IN ('queued', 'running')")
    op.execute(
        """
        CREATE TABLE play_host_result (
            run_id bigint NOT NULL
                CONSTRAINT fk_play_host_result_run_id REFERENCES play_run (id) ON DELETE CASCADE,
            host text NOT NULL,
            state text NOT NULL,
            ok integer NOT NULL,
            changed integer NOT NULL,
            failed integer NOT NULL,
            unreachable integer NOT NULL,
            skipped integer NOT NULL,
            rescued integer NOT NULL,
            ignored integer NOT NULL,
            task text,
            message text,
            reason text,
            CONSTRAINT pk_play_host_result PRIMARY KEY (run_id, host)
        )
        """
    )
