"""Runs of real playbooks by real Ansible over a real sshd."""

import contextlib
import json
import os
import signal
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from foundation.errors import Unavailable
from infra.plays.definition import load_playbook
from infra.plays.inventory import build_inventory
from infra.plays.results import HostResult, Progress, Report
from infra.plays.runner import Order, run
from lab.sshd import SshServer
from tests.infra.conftest import FakeAsset, MakeAsset, WritePlaybook, assert_refused, processes_of
from tests.lab.test_sshd import ssh

OTHER_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBuLj2LmiRMoyhh+Zx2k2J/v6XvwJGWnWv2dUzM/f4V/"


class Outcome:
    """One run to its end: what was told, the result of each host, and how it ended."""

    def __init__(self, folder: Path, order: Order) -> None:
        self.folder = folder
        progress = Progress(order.inventory.limited(order.limit))
        self.reports: list[Report] = []
        self.end: dict[str, Any] = {}
        for batch in run(folder, order):
            self.reports += [report for event in batch if (report := progress.take(event))]
            self.end = next((event for event in batch if event["event"] == "end"), self.end)
        self.hosts: dict[str, HostResult] = progress.results

    def told(self, kind: str) -> list[dict[str, Any]]:
        return [report.payload for report in self.reports if report.kind == kind]


def order(path: Path, *assets: FakeAsset, **changes: Any) -> Order:
    playbook = load_playbook(path)
    inventory = build_inventory(assets, playbook.about.targets)
    parameters = playbook.values(changes.pop("parameters", {}))
    return replace(Order(playbook.name, playbook.files(), inventory, parameters=parameters), **changes)


def left(folder: Path) -> list[str]:
    """What is left of a run; a killed process can be seen until the last of its threads is gone."""
    limit = time.monotonic() + 2
    while (found := processes_of(folder)) and time.monotonic() < limit:
        time.sleep(0.01)
    return found


def kill(folder: Path, program: str) -> bool:
    """Kill the one process of a run that is this program, and none of its forks; whether there was one."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0")
            named = any(word.endswith(program.encode()) for word in words)
            if named and any(word.startswith(os.fsencode(folder)) for word in words):
                parent = (entry / "stat").read_bytes().rpartition(b")")[2].split()[1]
                found[int(entry.name)] = int(parent)
    mains = [pid for pid, parent in found.items() if parent not in found]
    for pid in mains:
        os.kill(pid, signal.SIGKILL)
    return bool(mains)


@pytest.fixture
def baseline() -> Path:
    return Path(__file__).parents[2] / "playbooks" / "baseline.yml"


def test_the_baseline_is_written_once_and_seen_from_outside(
    baseline: Path, asset: MakeAsset, server: SshServer, tmp_path: Path
) -> None:
    parameters = {"baseline_folder": "~/managed", "minimum_free": "20"}
    play = order(baseline, asset("lab-server"), parameters=parameters)
    checked = Outcome(tmp_path / "1", replace(play, check=True, diff=True))
    assert checked.hosts["lab-server"].state == "changed"
    assert ssh(server, tmp_path / "known_hosts", "ls managed").returncode != 0

    first = Outcome(tmp_path / "2", play)
    assert first.end == {"event": "end", "status": "successful", "code": 0}
    assert first.hosts["lab-server"].state == "changed"
    seen = json.loads(ssh(server, tmp_path / "known_hosts", "cat", "managed/baseline.json").stdout)
    kernel = ssh(server, tmp_path / "known_hosts", "uname", "-r").stdout.strip()
    assert (seen["host"], seen["kernel"], seen["minimum_free_mb"]) == ("lab-server", kernel, 20)

    second = Outcome(tmp_path / "3", play)
    assert second.hosts["lab-server"].changed == 0
    assert second.hosts["lab-server"].state == "ok"


def test_a_host_that_does_not_meet_the_baseline_says_what_is_missing(
    baseline: Path, asset: MakeAsset, tmp_path: Path
) -> None:
    play = order(baseline, asset("lab-server"), parameters={"oldest_debian": 99})
    result = Outcome(tmp_path / "run", play).hosts["lab-server"]
    assert (result.state, result.task) == ("failed", "Check operating system and kernel")
    assert "Debian 99 or newer and kernel 5.10 or newer are needed." in str(result.message)


def test_bad_hosts_have_their_reason_and_do_not_lose_the_good_one(
    write_playbook: WritePlaybook, asset: MakeAsset, tmp_path: Path
) -> None:
    outcome = Outcome(
        tmp_path / "run",
        order(
            write_playbook("ping", "- name: Say hello\n  ansible.builtin.ping:"),
            asset("good"),
            asset("closed", ansible_port=1),
            asset("changed", host_key=OTHER_KEY),
            asset("unrecorded", host_key=None),
            asset("nameless", ansible_host="host.invalid"),
            asset("stranger", ssh_key_file=str(tmp_path / "no-key")),
        ),
    )
    hosts = outcome.hosts
    assert hosts.pop("good").state == "ok"
    assert_refused(hosts.pop("closed"))
    assert {name: (host.state, host.reason) for name, host in hosts.items()} == {
        "changed": ("unreachable", "host_key_changed"),
        "unrecorded": ("unreachable", "host_key_unknown"),
        "nameless": ("unreachable", "name_unknown"),
        "stranger": ("unreachable", "login_refused"),
    }
    assert all(host.task == "Say hello" for host in hosts.values())
    assert "asset edit changed" in str(hosts["changed"].message)


@pytest.mark.parametrize(
    ("message", "reason", "remedy"),
    [
        ("ssh: connect to host 192.0.2.1 port 22: Connection refused", "connection_refused", "ansible_port"),
        (
            "Data could not be sent to remote host '192.0.2.1'. Make sure this host can be reached over SSH.",
            "connection_ended",
            "Run it again",
        ),
        ("ssh: connect to host 192.0.2.1 port 22: Connection timed out", "no_answer", "cable"),
        ("kex_exchange_identification: read: what nobody foresaw", "unreachable", "what nobody foresaw"),
    ],
)
def test_why_a_host_cannot_be_reached_has_a_name_and_a_remedy(message: str, reason: str, remedy: str) -> None:
    progress = Progress(["switch"])
    report = progress.take(
        {"event": "runner_on_unreachable", "host": "switch", "task": "Ping", "message": message}
    )
    assert report is not None
    assert report.payload["reason"] == progress.results["switch"].reason == reason
    assert remedy in report.payload["message"]


def test_results_of_every_sort_are_counted(
    write_playbook: WritePlaybook, asset: MakeAsset, tmp_path: Path
) -> None:
    tasks = """
- name: Changes
  ansible.builtin.command: "true"
- name: Is skipped
  ansible.builtin.ping:
  when: false
- name: Fails and is ignored
  ansible.builtin.command: "false"
  ignore_errors: true
- name: Rescue
  block:
    - name: Fails and is rescued
      ansible.builtin.fail: {msg: healed}
  rescue:
    - ansible.builtin.ping:
- name: Loops
  ansible.builtin.command: sh -c "exit {{ item }}"
  loop: [0, 3]
- name: Is never reached
  ansible.builtin.ping:
"""
    outcome = Outcome(tmp_path / "run", order(write_playbook("sorts", tasks), asset("host")))
    host = outcome.hosts["host"]
    assert (host.ok, host.changed, host.failed, host.skipped) == (3, 2, 1, 1)
    assert (host.rescued, host.ignored) == (1, 1)
    assert (host.state, host.task) == ("failed", "Loops")
    assert str(host.message).startswith("3: non-zero return code")
    assert [item["result"] for item in outcome.told("item")] == ["changed", "failed"]
    assert "Is never reached" not in [start["task"] for start in outcome.told("task_started")]


def test_long_output_and_bytes_that_are_no_text_are_bounded(
    write_playbook: WritePlaybook, asset: MakeAsset, tmp_path: Path
) -> None:
    tasks = r"""
- name: Prints bytes
  ansible.builtin.command: printf '\377\376\000 %s' end
  failed_when: true
  ignore_errors: true
- name: Prints very much
  ansible.builtin.shell: head -c 5000000 /dev/zero | tr '\0' x; exit 1
"""
    outcome = Outcome(tmp_path / "run", order(write_playbook("long", tasks), asset("host")))
    assert outcome.hosts["host"].task == "Prints very much"
    longest = max(len(json.dumps(report.payload)) for report in outcome.reports)
    assert longest < 50_000
    assert "\0" not in json.dumps([report.payload for report in outcome.reports], ensure_ascii=False)
    assert sum(path.stat().st_size for path in outcome.folder.rglob("*") if path.is_file()) < 11_000_000


def test_a_diff_shows_what_would_change(
    write_playbook: WritePlaybook, asset: MakeAsset, server: SshServer, tmp_path: Path
) -> None:
    (server.home / "greeting").write_text("old\nkept\n", encoding="utf-8")
    task = f'- ansible.builtin.copy: {{dest: {server.home}/greeting, content: "new\\nkept\\n"}}'
    play = order(write_playbook("greet", task), asset("host"), check=True, diff=True)
    told = Outcome(tmp_path / "run", play).told("host_changed")[0]
    path = server.home / "greeting"
    assert told["diff"].splitlines() == [
        f"--- {path}",
        f"+++ {path}",
        "@@ -1,2 +1,2 @@",
        "-old",
        "+new",
        " kept",
    ]
    assert (server.home / "greeting").read_text(encoding="utf-8") == "old\nkept\n"


def test_a_play_that_ansible_refuses_says_why(
    write_playbook: WritePlaybook, asset: MakeAsset, tmp_path: Path
) -> None:
    play = order(write_playbook("odd", "- no_such_module_of_anyone: {}"), asset("host"))
    progress = Progress(["host"])
    ends = [event for batch in run(tmp_path / "run", play) for event in batch if not progress.take(event)]
    assert ends[-1]["code"] not in (0, None)
    assert "no_such_module_of_anyone" in progress.complaint
    assert progress.results["host"].state == "untouched"


def test_nothing_of_a_run_stays_but_its_folder(
    write_playbook: WritePlaybook, asset: MakeAsset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []

    def make(prefix: str, dir: str) -> str:
        # Noted as it is made: other runs of this machine make and remove folders of this kind all the time.
        made.append(Path(real(prefix=prefix, dir=dir)))
        return str(made[-1])

    real = tempfile.mkdtemp
    monkeypatch.setattr(tempfile, "mkdtemp", make)
    folder = tmp_path / "run"
    Outcome(folder, order(write_playbook("ping", "- ansible.builtin.ping:"), asset("a"), asset("b")))
    assert left(folder) == []
    assert len(made) == 1
    assert not made[0].exists()
    assert not (folder / "tmp").exists()


def test_a_cancelled_run_leaves_no_process(
    write_playbook: WritePlaybook, asset: MakeAsset, tmp_path: Path
) -> None:
    path = write_playbook("wait", "- name: Wait\n  ansible.builtin.command: sleep {{ seconds }}")
    progress, ended = Progress(["host"]), []
    play = order(path, asset("host"), parameters={"seconds": 600})
    for batch in run(tmp_path / "run", play, cancelled=lambda: "host" in progress.at):
        ended += [event for event in batch if not progress.take(event) and event["event"] == "end"]
    assert ended == [{"event": "end", "status": "canceled", "code": None}]
    assert progress.at == {"host": "Wait"}
    assert left(tmp_path / "run") == []


def test_a_reader_that_leaves_early_ends_the_run(
    write_playbook: WritePlaybook, asset: MakeAsset, tmp_path: Path
) -> None:
    path = write_playbook("wait", "- ansible.builtin.command: sleep {{ seconds }}")
    folder = tmp_path / "run"
    stream = run(folder, order(path, asset("host"), parameters={"seconds": 600}))
    next(stream)
    while not any("[mux]" in line for line in processes_of(folder)):
        next(stream)
    assert any("ansible-playbook" in line for line in processes_of(folder))
    stream.close()
    assert left(folder) == []


def test_a_killed_ansible_process_is_an_error_and_no_result(
    write_playbook: WritePlaybook, asset: MakeAsset, tmp_path: Path
) -> None:
    path = write_playbook("wait", "- ansible.builtin.command: sleep {{ seconds }}")
    folder = tmp_path / "run"
    stream = run(folder, order(path, asset("host"), parameters={"seconds": 600}))
    while not any(event["event"] == "runner_on_start" for event in next(stream)):
        pass
    assert kill(folder, "ansible_process.py")
    with pytest.raises(Unavailable, match="it was killed"):
        list(stream)
    assert left(folder) == []


def test_no_secret_of_ours_or_of_a_task_reaches_the_run_folder(
    write_playbook: WritePlaybook,
    asset: MakeAsset,
    server: SshServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("RAKEEZA_DATABASE_URL", "postgresql://u:marker-of-ours@host/db")
    (server.home / "token").write_text("marker-of-the-host", encoding="utf-8")
    tasks = f"""
- name: Reads a secret
  ansible.builtin.command: cat {server.home}/token
  no_log: true
- name: Fails with a secret
  ansible.builtin.shell: cat {server.home}/token >&2; exit 1
  no_log: true
"""
    outcome = Outcome(tmp_path / "run", order(write_playbook("secret", tasks), asset("host")))
    assert outcome.hosts["host"].message == "hidden (no_log)"
    assert "marker-of" not in repr(outcome.reports)
    key = server.key_file.read_text(encoding="utf-8").splitlines()[1]
    for path in outcome.folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            for marker in (b"marker-of-ours", b"marker-of-the-host", key.encode()):
                assert marker not in content, path


def test_the_folder_of_a_run_is_enough_to_repeat_it_by_plain_ansible(
    baseline: Path, asset: MakeAsset, tmp_path: Path
) -> None:
    import subprocess
    import sys

    folder = tmp_path / "run"
    Outcome(folder, order(baseline, asset("lab-server"), parameters={"baseline_folder": "~/repeated"}))
    configuration = (folder / "ansible.cfg").read_text(encoding="utf-8")
    # The short folder of ssh's sockets went with the run.
    lines = [line for line in configuration.splitlines() if not line.startswith("control_path_dir")]
    (folder / "ansible.cfg").write_text(
        "\n".join([*lines, f"control_path_dir = {tmp_path}"]), encoding="utf-8"
    )
    program = str(Path(sys.executable).with_name("ansible-playbook"))
    argv = [program, "--ssh-extra-args=-o ControlPersist=no", "-e", "@env/extravars", "project/baseline.yml"]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "LC_ALL": "C.UTF-8"}
    environment["ANSIBLE_CONFIG"] = str(folder / "ansible.cfg")
    answer = subprocess.run(argv, cwd=folder, capture_output=True, text=True, env=environment, check=False)
    assert "changed=0" in answer.stdout, answer.stdout + answer.stderr
