"""Changes: runs that are checked, approved and bound to what was shown; what a check would change."""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        ALTER TABLE play_run
            ADD COLUMN targets text[] NOT NULL DEFAULT '{}',
            ADD COLUMN site text,
            ADD COLUMN risk text NOT NULL DEFAULT 'low',
            ADD COLUMN slices integer NOT NULL DEFAULT 1,
            ADD COLUMN approval_needed boolean NOT NULL DEFAULT false,
            ADD COLUMN plan text,
            ADD COLUMN planned_at timestamptz,
            ADD COLUMN approved_by text,
            ADD COLUMN approved_at timestamptz,
            ADD COLUMN approved_plan text,
            ADD COLUMN decided_reason text,
            ADD COLUMN emergency text,
            ADD COLUMN not_before timestamptz,
            ADD COLUMN waits_for text,
            ADD COLUMN waiting text,
            ADD COLUMN cancelled_by text,
            ADD COLUMN cancel_reason text,
            ADD COLUMN retry_of bigint CONSTRAINT fk_play_run_retry_of REFERENCES play_run (id),
            ADD COLUMN schedule text,
            ADD COLUMN lease bigint,
            ADD COLUMN turn integer NOT NULL DEFAULT 0,
            DROP CONSTRAINT ck_play_run_state,
            ADD CONSTRAINT ck_play_run_state CHECK (
                state IN (
                    'queued', 'checking', 'awaiting_approval', 'approved', 'running',
                    'successful', 'failed', 'cancelled', 'interrupted', 'rejected'
                )
            ),
            -- Behind the program's own rule: nobody approves what he asked for.
            ADD CONSTRAINT ck_play_run_two_people CHECK (
                regexp_replace(approved_by, '^.*/', '') <> regexp_replace(requested_by, '^.*/', '')
            ),
            ADD CONSTRAINT ck_play_run_approved CHECK (
                (approved_by IS NULL) = (approved_plan IS NULL)
                AND (approved_by IS NULL) = (approved_at IS NULL)
            )
        """
    )
    op.execute("DROP INDEX ix_play_run_state")
    op.execute(
        """
        CREATE INDEX ix_play_run_state ON play_run (state)
        WHERE state IN ('queued', 'checking', 'awaiting_approval', 'approved', 'running')
        """
    )
    op.execute("CREATE INDEX ix_play_run_playbook ON play_run (playbook, id DESC)")
    op.execute(
        """
        CREATE TABLE play_change (
            run_id bigint NOT NULL
                CONSTRAINT fk_play_change_run_id REFERENCES play_run (id) ON DELETE CASCADE,
            host text NOT NULL,
            number integer NOT NULL,
            task text NOT NULL,
            item text,
            diff text NOT NULL,
            digest text NOT NULL,
            CONSTRAINT pk_play_change PRIMARY KEY (run_id, host, number)
        )
        """
    )
