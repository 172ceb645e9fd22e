"""A history of plays, written straight into the database: as many runs as a test needs."""

from sqlalchemy import text
from sqlalchemy.orm import Session

_RUNS = text(
    """
    INSERT INTO play_run (playbook, revision, parameters, check_mode, diff, requested_by, state, targets,
        requested_at, started_at, finished_at, approval_needed, planned_at)
    SELECT 'play-' || number % 20, 'r', '{}', number % 50 = 0, false, 'person/omar',
        CASE WHEN number % 10 = 0 THEN 'failed' WHEN number % 97 = 1 THEN 'interrupted' ELSE 'successful' END,
        ARRAY['host-1'], begun, begun, begun + make_interval(secs => 300 + number % 60), number % 4 = 0, begun
    FROM (
        SELECT number, clock_timestamp() - make_interval(secs => (:runs - number) * :every + 900) AS begun
        FROM generate_series(1, :runs) AS number
    ) AS numbers
    ORDER BY number
    """
)
_RESULTS = text(
    """
    INSERT INTO play_host_result (run_id, host, state, ok, changed, failed, unreachable, skipped, rescued,
        ignored)
    SELECT run.id, 'host-' || (run.id * 7 + place) % 200,
        CASE WHEN place > 0 OR run.state = 'successful' THEN 'ok'
            WHEN run.state = 'failed' THEN 'failed' ELSE 'interrupted' END,
        1, 0, 0, 0, 0, 0, 0
    FROM play_run AS run, generate_series(0, 4) AS place
    ON CONFLICT DO NOTHING
    """
)
_EVENTS = text(
    """
    INSERT INTO event (kind, subject, payload, at)
    SELECT kind, 'play/' || id, jsonb_build_object('task', 'task ' || after),
        begun + make_interval(secs => after)
    FROM (
        SELECT run.id, run.requested_at AS begun, step.kind, step.after, run.approval_needed
        FROM play_run AS run, (VALUES
            ('play.requested', 0), ('play.planned', 10), ('play.approved', 190), ('play.started', 200),
            ('play.task_started', 201), ('play.host_ok', 202), ('play.task_started', 221),
            ('play.host_changed', 225), ('play.task_started', 226), ('play.finished', 300)
        ) AS step (kind, after)
    ) AS steps
    WHERE approval_needed OR kind NOT IN ('play.planned', 'play.approved')
    ORDER BY id, after
    """
)


def write_history(session: Session, runs: int, *, every: int = 20) -> None:
    """Write runs that ended, with the results of five hosts and ten events each.

    Args:
        runs: how many.
        every: seconds between two of them; the last was asked for a quarter of an hour ago.
    """
    session.execute(_RUNS, {"runs": runs, "every": every})
    session.execute(_RESULTS)
    session.execute(_EVENTS)
