"""Schedules of plays, and freezes that somebody declared."""

from alembic import op

revision = "0030"
down_revision = "0029"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
        CREATE TABLE change_freeze (
            id bigint GENERATED ALWAYS AS IDENTITY CONSTRAINT pk_change_freeze PRIMARY KEY,
            sites text[],
            risks text[] NOT NULL,
            starts_at timestamptz NOT NULL,
            ends_at timestamptz,
            reason_ar text NOT NULL,
            reason_en text NOT NULL,
            declared_by text NOT NULL,
            declared_at timestamptz NOT NULL,
            ended_by text,
            CONSTRAINT ck_change_freeze_ends_at CHECK (ends_at >= starts_at),
            CONSTRAINT ck_change_freeze_sites CHECK (cardinality(sites) > 0),
            CONSTRAINT ck_change_freeze_risks CHECK (
                cardinality(risks) > 0 AND risks <@ ARRAY['low', 'medium', 'high']
            )
        )
        """
    )
    # Every look whether something may be changed asks for those that have not ended.
    op.execute("CREATE INDEX ix_change_freeze_ends_at ON change_freeze (ends_at)")
    op.execute(
        """
        CREATE TABLE play_schedule (
            name text CONSTRAINT pk_play_schedule PRIMARY KEY,
            playbook text NOT NULL,
            target_limit text,
            parameters jsonb NOT NULL,
            check_mode boolean NOT NULL,
            diff boolean NOT NULL,
            rule text NOT NULL,
            created_by text NOT NULL,
            created_at timestamptz NOT NULL,
            enabled boolean NOT NULL,
            next_at timestamptz,
            last_at timestamptz,
            last_run bigint CONSTRAINT fk_play_schedule_last_run REFERENCES play_run (id) ON DELETE SET NULL,
            late_after interval NOT NULL,
            CONSTRAINT ck_play_schedule_late_after CHECK (late_after > interval '0'),
            CONSTRAINT ck_play_schedule_next_at CHECK (enabled OR next_at IS NULL)
        )
        """
    )
    op.execute("CREATE INDEX ix_play_schedule_next_at ON play_schedule (next_at) WHERE enabled")
