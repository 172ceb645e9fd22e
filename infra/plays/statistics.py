"""How plays fared over time: what came of them, how long they took, what fails most, how long approvals took.

Runs in check mode change nothing and are not counted. A time that nothing is known of is None, and no number.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

MOST = 10
"""Hosts and tasks that are named."""
TASKS_OF = 50
"""So many of the latest successful runs of each playbook are looked through for slow tasks."""

_THESE = """
    FROM play_run AS run
    WHERE run.requested_at >= :since AND NOT run.check_mode
      AND (CAST(:playbook AS text) IS NULL OR run.playbook = :playbook)
"""
_STATES = text(
    f"""
    SELECT run.playbook, run.state, count(*) AS runs, max(run.finished_at) AS last
    {_THESE} GROUP BY run.playbook, run.state
    """
)
# Its record says when a run was first taken up: to be checked. When it was done is an event.
_TIMES = text(
    f"""
    SELECT playbook, percentile_cont(0.5) WITHIN GROUP (ORDER BY took) AS p50,
        percentile_cont(0.95) WITHIN GROUP (ORDER BY took) AS p95
    FROM (
        SELECT these.playbook, extract(epoch FROM these.finished_at - started.at)::float8 AS took
        FROM (SELECT run.* {_THESE} AND run.state = 'successful') AS these
        JOIN event AS started ON started.subject = 'play/' || these.id AND started.kind = 'play.started'
    ) AS times
    GROUP BY playbook
    """
)
_HOSTS = text(
    f"""
    WITH these AS MATERIALIZED (SELECT run.id {_THESE} AND run.finished_at IS NOT NULL),
    unwell AS (
        SELECT result.host,
            count(*) FILTER (WHERE result.state = 'failed') AS failed,
            count(*) FILTER (WHERE result.state = 'unreachable') AS unreachable,
            count(*) FILTER (WHERE result.state = 'interrupted') AS interrupted
        FROM play_host_result AS result JOIN these ON these.id = result.run_id
        WHERE result.state IN ('failed', 'unreachable', 'interrupted')
        GROUP BY result.host ORDER BY count(*) DESC, result.host LIMIT :most
    )
    SELECT unwell.*, whole.runs
    FROM unwell JOIN (
        SELECT result.host, count(*) AS runs
        FROM play_host_result AS result JOIN these ON these.id = result.run_id
        WHERE result.host IN (SELECT host FROM unwell) GROUP BY result.host
    ) AS whole USING (host)
    ORDER BY failed + unreachable + interrupted DESC, host
    """
)
# A task lasts until the next one begins. The parts of a run that was cut tell of theirs side by side, so that
# no time can be read from them.
_TASKS = text(
    f"""
    WITH latest AS MATERIALIZED (
        SELECT id, playbook FROM (
            SELECT run.id, run.playbook,
                row_number() OVER (PARTITION BY run.playbook ORDER BY run.id DESC) AS place
            {_THESE} AND run.state = 'successful' AND run.slices = 1
        ) AS ranked WHERE place <= :runs
    ),
    times AS (
        SELECT latest.playbook, step.task, extract(epoch FROM step.took)::float8 AS took
        FROM latest CROSS JOIN LATERAL (
            SELECT kind, payload ->> 'task' AS task, lead(at) OVER later - at AS took,
                count(*) FILTER (WHERE kind = 'play.started') OVER later AS begun
            FROM event
            WHERE subject = 'play/' || latest.id
                AND kind IN ('play.started', 'play.task_started', 'play.finished')
            WINDOW later AS (ORDER BY transaction, id)
        ) AS step
        WHERE step.kind = 'play.task_started' AND step.took IS NOT NULL AND step.begun > 0
    )
    SELECT playbook, task, count(*) AS times, max(took) AS longest,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY took) AS p50
    FROM times GROUP BY playbook, task ORDER BY p50 DESC, playbook, task LIMIT :most
    """
)
# Each plan that was shown, and what an engineer then said of it.
_APPROVALS = text(
    f"""
    WITH turns AS (
        SELECT turn.kind, turn.at - lag(turn.at) OVER shown AS took, lag(turn.kind) OVER shown AS before
        FROM (SELECT run.id {_THESE} AND run.approval_needed) AS these
        JOIN event AS turn ON turn.subject = 'play/' || these.id
            AND turn.kind IN ('play.started', 'play.planned', 'play.approved', 'play.rejected')
        WINDOW shown AS (PARTITION BY turn.subject ORDER BY turn.transaction, turn.id)
    ),
    decided AS (
        SELECT kind, extract(epoch FROM took)::float8 AS took FROM turns
        WHERE kind IN ('play.approved', 'play.rejected') AND before = 'play.planned'
    )
    SELECT count(*) FILTER (WHERE kind = 'play.approved') AS approved,
        count(*) FILTER (WHERE kind = 'play.rejected') AS rejected,
        percentile_cont(0.5) WITHIN GROUP (ORDER BY took) AS p50,
        percentile_cont(0.95) WITHIN GROUP (ORDER BY took) AS p95
    FROM decided
    """
)
# However long ago it was asked for.
_WAITING = text(
    """
    SELECT count(*) AS waiting, extract(epoch FROM clock_timestamp() - min(planned_at))::float8 AS oldest
    FROM play_run
    WHERE state = 'awaiting_approval' AND (CAST(:playbook AS text) IS NULL OR playbook = :playbook)
    """
)


@dataclass(frozen=True)
class PlaybookFigures:
    """Of one playbook.

    Args:
        runs: by their state.
        success_rate: of the runs that came to an end by themselves (successful, failed, interrupted), 0 to 1.
        p50_s, p95_s: seconds that its successful runs took from their begin to their end, approval and
            waiting not among them.
        last_success: when its last successful run ended.
    """

    playbook: str
    runs: Mapping[str, int]
    success_rate: float | None
    p50_s: float | None
    p95_s: float | None
    last_success: datetime | None


@dataclass(frozen=True)
class HostFigures:
    """Of one host: in how many runs it was, and in how many it was not well."""

    host: str
    runs: int
    failed: int
    unreachable: int
    interrupted: int


@dataclass(frozen=True)
class TaskFigures:
    """Of one task: how often it was done, and seconds that half of the times and the longest took."""

    playbook: str
    task: str
    times: int
    p50_s: float
    longest_s: float


@dataclass(frozen=True)
class ApprovalFigures:
    """Of approvals.

    Args:
        waiting: runs that await one now.
        oldest_waiting_s: seconds since the plan of the one that waits longest was shown.
        approved, rejected: plans.
        p50_s, p95_s: seconds from when a plan was shown until it was decided.
    """

    waiting: int
    oldest_waiting_s: float | None
    approved: int
    rejected: int
    p50_s: float | None
    p95_s: float | None


@dataclass(frozen=True)
class Statistics:
    """All figures, of the runs that were asked for since a moment.

    Args:
        playbooks: by name.
        hosts: that were not well most often, the worst first.
        tasks: the slowest first.
    """

    playbooks: tuple[PlaybookFigures, ...]
    hosts: tuple[HostFigures, ...]
    tasks: tuple[TaskFigures, ...]
    approvals: ApprovalFigures


def statistics(session: Session, *, now: datetime, days: int, playbook: str | None = None) -> Statistics:
    """The figures of the last days.

    Args:
        session: any.
        now: aware; the days are counted back from it.
        days: how many.
        playbook: only of this one; None means all.
    """
    words: dict[str, Any] = {"since": now - timedelta(days=days), "playbook": playbook}
    hosts = session.execute(_HOSTS, {**words, "most": MOST})
    tasks = session.execute(_TASKS, {**words, "most": MOST, "runs": TASKS_OF})
    approvals = session.execute(_APPROVALS, words).one()
    waiting = session.execute(_WAITING, words).one()
    return Statistics(
        _playbooks(session, words),
        tuple(HostFigures(row.host, row.runs, row.failed, row.unreachable, row.interrupted) for row in hosts),
        tuple(TaskFigures(row.playbook, row.task, row.times, row.p50, row.longest) for row in tasks),
        ApprovalFigures(
            waiting.waiting,
            waiting.oldest,
            approvals.approved,
            approvals.rejected,
            approvals.p50,
            approvals.p95,
        ),
    )


def _playbooks(session: Session, words: Mapping[str, Any]) -> tuple[PlaybookFigures, ...]:
    runs: dict[str, dict[str, int]] = {}
    last: dict[str, datetime] = {}
    for row in session.execute(_STATES, words):
        runs.setdefault(row.playbook, {})[row.state] = row.runs
        if row.state == "successful":
            last[row.playbook] = row.last
    times = {row.playbook: (row.p50, row.p95) for row in session.execute(_TIMES, words)}
    return tuple(
        PlaybookFigures(name, states, _success_rate(states), *times.get(name, (None, None)), last.get(name))
        for name, states in sorted(runs.items())
    )


def _success_rate(states: Mapping[str, int]) -> float | None:
    # Who cancels or rejects a run says nothing of how good its playbook is.
    ended = sum(states.get(state, 0) for state in ("successful", "failed", "interrupted"))
    return states.get("successful", 0) / ended if ended else None
