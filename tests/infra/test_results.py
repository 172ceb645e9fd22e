"""What a run's events mean, where several hosts are told of at a time."""

from typing import Any

from infra.plays.results import Progress


def stats(**counts: dict[str, int]) -> dict[str, Any]:
    names = ("ok", "changed", "failures", "dark", "skipped", "rescued", "ignored", "processed")
    return {"event": "playbook_on_stats", "stats": {name: counts.get(name, {}) for name in names}}


def start(host: str, task: str) -> dict[str, Any]:
    return {"event": "runner_on_start", "host": host, "task": task}


def test_a_failed_round_of_a_loop_is_kept_while_other_hosts_begin_other_tasks() -> None:
    progress = Progress(["a", "b"])
    progress.take(start("a", "Loops"))
    progress.take(
        {
            "event": "runner_item_on_failed",
            "host": "a",
            "task": "Loops",
            "item": "3",
            "message": "no such thing",
        }
    )
    # As in a sliced run, where another process is further on.
    progress.take({"event": "playbook_on_task_start", "play": "p", "task": "Next"})
    progress.take(start("b", "Next"))
    progress.take(
        {"event": "runner_on_failed", "host": "a", "task": "Loops", "message": "One or more items failed"}
    )
    assert progress.results["a"].message == "3: no such thing"

    progress.take(start("a", "Another"))
    progress.take({"event": "runner_on_failed", "host": "a", "task": "Another", "message": "by itself"})
    assert progress.results["a"].message == "by itself"


def test_the_last_count_is_of_the_hosts_it_names_and_leaves_the_others_at_their_task() -> None:
    progress = Progress(["a", "b"])
    progress.take(start("a", "Waits"))
    progress.take(start("b", "Waits"))
    progress.take(stats(processed={"b": 1}, ok={"b": 2}, changed={"b": 1}))
    assert progress.at == {"a": "Waits"}
    assert (progress.results["b"].ok, progress.results["b"].state) == (2, "changed")
    assert progress.results["a"].state == "untouched"


def test_a_diff_and_its_digest_are_handed_on_with_a_result_and_with_a_round_of_a_loop() -> None:
    progress = Progress(["a"])
    about = {"host": "a", "task": "Copies", "changed": True, "diff": "+x", "diff_digest": "0" * 64}
    for kind in ("runner_on_ok", "runner_item_on_ok"):
        report = progress.take({"event": kind, "item": "", **about})
        assert report is not None
        assert (report.payload["diff"], report.payload["diff_digest"]) == ("+x", "0" * 64)
    report = progress.take({"event": "runner_on_ok", "host": "a", "task": "Looks", "changed": False})
    assert report is not None
    assert not {"diff", "diff_digest"} & set(report.payload)


def test_a_warning_names_its_host_and_task() -> None:
    progress = Progress(["a"])
    warning = {"event": "warning", "text": "Beware.", "host": "a", "task": "Looks"}
    report = progress.take(warning)
    assert report is not None
    assert report.payload == {"level": "warning", "text": "Beware.", "host": "a", "task": "Looks"}
    report = progress.take({"event": "warning", "text": "Beware."})
    assert report is not None
    assert report.payload == {"level": "warning", "text": "Beware."}
