"""One real sshd for the tests of plays, and assets that point at it."""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from foundation.definitions import Bilingual
from foundation.guard import Guard
from infra.plays.records import PlayHostResult
from infra.plays.results import HostResult
from lab import sshd
from lab.sshd import SshServer


@dataclass(frozen=True)
class FakeAsset:
    """The part of an asset that an inventory reads."""

    name: str
    kind: str = "host"
    parent: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)
    links: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    title: Bilingual = field(default_factory=lambda: Bilingual(ar="أصل", en="An asset"))


def assert_refused(host: HostResult | PlayHostResult) -> None:
    """Nothing listens there; where ssh was gone before Ansible had written to it, its words are lost."""
    assert host.state == "unreachable"
    assert host.reason in ("connection_refused", "connection_ended")


def processes_of(folder: Path) -> list[str]:
    """Command lines of every process of a run, by its folder and by the folder of its ssh connections."""
    run_json = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    # ssh's shared connections overwrite their command line and environment with the name of their socket.
    markers = (os.fsencode(folder), os.fsencode(run_json["sockets"]))
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes() + (path / "environ").read_bytes()
        except OSError:
            continue
        if any(marker in words for marker in markers) and int(path.name) != os.getpid():
            found.append((path / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


MakeAsset = Callable[..., FakeAsset]
WritePlaybook = Callable[[str, str], Path]


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with Guard() as guard:
        yield sshd.start(guard, tmp_path_factory.mktemp("sshd"))


@pytest.fixture
def asset(server: SshServer) -> MakeAsset:
    def make(name: str, **changes: Any) -> FakeAsset:
        return FakeAsset(name, attributes={**server.attributes(), **changes})

    return make


@pytest.fixture
def write_playbook(tmp_path: Path) -> WritePlaybook:
    def write(name: str, tasks: str) -> Path:
        folder = tmp_path / "playbooks"
        folder.mkdir(exist_ok=True)
        path = folder / f"{name}.yml"
        indented = "\n".join(f"    {line}" for line in tasks.strip().splitlines())
        path.write_text(HEAD + indented + "\n", encoding="utf-8")
        return path

    return write


HEAD = """\
- name: A play of the tests
  hosts: all
  gather_facts: false
  vars:
    about:
      title: {ar: اختبار, en: Test}
      purpose: {ar: للاختبار فقط, en: For the tests only}
      risk: low
      approval: none
      window: always
      targets: [host]
      parameters:
        seconds:
          type: integer
          unit: s
          minimum: 0
          maximum: 600
          default: 0
          title: {ar: مدة الانتظار, en: Waiting time}
        word:
          type: text
          max_length: 20
          default: word
          title: {ar: كلمة, en: Word}
    seconds: "{{ about.parameters.seconds.default }}"
    word: "{{ about.parameters.word.default }}"
  tasks:
"""
