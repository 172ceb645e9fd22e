"""Runs in slices: several real processes of Ansible, one stream of events, one end."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from foundation.errors import InvalidInput, Unavailable
from infra.plays.results import Progress
from infra.plays.slices import run_sliced
from tests.infra.conftest import MakeAsset, WritePlaybook
from tests.infra.test_runner import kill, left, order

PING = "- name: Say hello\n  ansible.builtin.ping:"
WAIT = "- name: Wait\n  ansible.builtin.command: sleep {{ seconds }}"
HOSTS = ["e", "a", "d", "b", "c"]


def follow(progress: Progress, stream: Iterable[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    events = []
    for batch in stream:
        events += batch
        for event in batch:
            progress.take(event)
    return events


def processes_of_runs(folder: Path) -> list[str]:
    return [line for part in folder.glob("slice-*") if (part / "run.json").exists() for line in left(part)]


def limits(folder: Path) -> dict[str, str]:
    return {
        path.parent.name: json.loads(path.read_text(encoding="utf-8"))["limit"]
        for path in folder.glob("slice-*/run.json")
    }


def test_slices_tell_one_story_with_one_end(
    write_playbook: WritePlaybook, asset: MakeAsset, tmp_path: Path
) -> None:
    assets = [asset(name) for name in HOSTS[:-1]] + [asset("c", ansible_port=1)]
    play = order(write_playbook("ping", PING), *assets, slice_hosts=2)
    progress = Progress(HOSTS)
    events = follow(progress, run_sliced(tmp_path / "run", play, HOSTS))
    assert limits(tmp_path / "run") == {"slice-1": "a,b", "slice-2": "c,d", "slice-3": "e"}
    assert [event["event"] for event in events[-2:]] == ["playbook_on_stats", "end"]
    assert sum(event["event"] in ("end", "playbook_on_stats") for event in events) == 2
    assert set(events[-2]["stats"]["processed"]) == set(HOSTS)
    assert (events[-1]["status"], events[-1]["code"]) == ("failed", 4)
    states = {name: result.state for name, result in progress.results.items()}
    assert states == {"a": "ok", "b": "ok", "c": "unreachable", "d": "ok", "e": "ok"}
    assert progress.at == {}
    assert processes_of_runs(tmp_path / "run") == []


def test_one_slice_is_an_ordinary_run(
    write_playbook: WritePlaybook, asset: MakeAsset, tmp_path: Path
) -> None:
    play = order(write_playbook("ping", PING), asset("a"), asset("b"), slice_hosts=2)
    events = [event for batch in run_sliced(tmp_path / "run", play, ["a", "b"]) for event in batch]
    assert events[-1] == {"event": "end", "status": "successful", "code": 0}
    assert (tmp_path / "run" / "run.json").exists()
    assert limits(tmp_path / "run") == {}


def test_a_cancel_ends_every_slice_and_begins_no_other(
    write_playbook: WritePlaybook, asset: MakeAsset, tmp_path: Path
) -> None:
    hosts = [f"host-{number:02}" for number in range(20)]
    assets = [asset(name) for name in hosts]
    play = order(write_playbook("wait", WAIT), *assets, slice_hosts=1, parameters={"seconds": 600})
    progress = Progress(hosts)
    stream = run_sliced(tmp_path / "run", play, hosts, cancelled=lambda: len(progress.at) > 1)
    events = follow(progress, stream)
    assert events[-1] == {"event": "end", "status": "canceled", "code": None}
    assert 2 <= len(progress.at) < 20
    assert set(progress.at.values()) == {"Wait"}
    assert len(limits(tmp_path / "run")) < 20
    assert processes_of_runs(tmp_path / "run") == []


def test_a_killed_slice_does_not_lose_what_the_others_did(
    write_playbook: WritePlaybook, asset: MakeAsset, tmp_path: Path
) -> None:
    tasks = "- name: Wait\n  ansible.builtin.command: sleep {{ 600 if inventory_hostname == 'a' else 0 }}"
    assets = [asset(name) for name in HOSTS]
    play = order(write_playbook("some_wait", tasks), *assets, slice_hosts=2)
    progress, folder = Progress(HOSTS), tmp_path / "run"
    stream = run_sliced(folder, play, HOSTS)
    while progress.at.get("a") != "Wait" or progress.results["b"].state != "changed":
        for event in next(stream):
            progress.take(event)
    assert kill(folder / "slice-1", "ansible_process.py")
    with pytest.raises(Unavailable, match=r"ended by itself.*a at task 'Wait'"):
        follow(progress, stream)
    assert {name: result.state for name, result in progress.results.items() if name != "a"} == dict.fromkeys(
        "bcde", "changed"
    )
    assert progress.at == {"a": "Wait"}
    assert processes_of_runs(folder) == []


def test_a_reader_that_leaves_ends_every_slice(
    write_playbook: WritePlaybook, asset: MakeAsset, tmp_path: Path
) -> None:
    play = order(
        write_playbook("wait", WAIT), asset("a"), asset("b"), slice_hosts=1, parameters={"seconds": 600}
    )
    progress = Progress(["a", "b"])
    stream = run_sliced(tmp_path / "run", play, ["a", "b"])
    while len(progress.at) < 2:
        for event in next(stream):
            progress.take(event)
    stream.close()
    assert processes_of_runs(tmp_path / "run") == []


def test_what_is_wrong_with_the_order_is_said_as_without_slices(
    write_playbook: WritePlaybook, asset: MakeAsset, tmp_path: Path
) -> None:
    play = order(write_playbook("ping", PING), asset("a"), asset("b"), slice_hosts=1)
    files = {**play.files, "../outside": b""}
    play = order(write_playbook("ping", PING), asset("a"), asset("b"), slice_hosts=1, files=files)
    with pytest.raises(InvalidInput, match="below its folder"):
        list(run_sliced(tmp_path / "run", play, ["a", "b"]))
