"""What becomes of a job that fails: tried again while that may help, and its reason kept."""

from typing import Any

import pytest
from sqlalchemy import text

from foundation.database import Database
from foundation.errors import DeviceUnreachable, Refused
from foundation.jobs import Jobs, JobState
from tests.foundation.job_running import ended, enqueue, working


def test_a_passing_error_is_tried_again_and_its_reason_kept(database: Database) -> None:
    jobs, attempts = Jobs(database), []

    def reach(_: dict[str, Any], attempt: int) -> None:
        attempts.append(attempt)
        if attempt < 3:
            raise DeviceUnreachable(f"No answer to question {attempt}.")

    jobs.register("reach", reach, backoff=0.01)
    job = enqueue(database, jobs, "reach", {})
    with working(jobs):
        state = ended(database, jobs, job)
    assert attempts == [1, 2, 3]
    assert state == JobState("reach", "succeeded", 3, "No answer to question 2.")


def test_a_job_that_has_failed_for_weeks_is_still_tried(database: Database) -> None:
    jobs, attempts = Jobs(database), []

    def reach(_: dict[str, Any], attempt: int) -> None:
        attempts.append(attempt)
        if len(attempts) == 1:
            raise DeviceUnreachable("No answer.")

    jobs.register("reach", reach, attempts=10_000, backoff=1e-12)
    job = enqueue(database, jobs, "reach", {})
    with database.transaction() as session:
        session.execute(text("UPDATE procrastinate_jobs SET attempts = 5000 WHERE id = :id"), {"id": job})
    with working(jobs):
        assert ended(database, jobs, job).status == "succeeded"
    assert attempts == [5001, 5002]


def test_after_the_last_attempt_a_job_is_failed_with_its_reason(database: Database) -> None:
    jobs, attempts = Jobs(database), []

    def reach(_: dict[str, Any], attempt: int) -> None:
        attempts.append(attempt)
        raise DeviceUnreachable("No answer.", place="10.0.0.1")

    jobs.register("reach", reach, attempts=2, backoff=0.01)
    job = enqueue(database, jobs, "reach", {})
    with working(jobs):
        assert ended(database, jobs, job) == JobState("reach", "failed", 2, "10.0.0.1: No answer.")
    assert attempts == [1, 2]


@pytest.mark.parametrize(
    ("error", "reason"),
    [(Refused("The answer is no."), "The answer is no."), (KeyError("x"), "KeyError: 'x'")],
)
def test_a_final_error_is_not_tried_again(database: Database, error: Exception, reason: str) -> None:
    jobs, attempts = Jobs(database), []

    def fail(_: dict[str, Any], attempt: int) -> None:
        attempts.append(attempt)
        raise error

    jobs.register("fail", fail)
    job = enqueue(database, jobs, "fail", {})
    with working(jobs):
        assert ended(database, jobs, job) == JobState("fail", "failed", 1, reason)
    assert attempts == [1]
