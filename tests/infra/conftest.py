"""One real sshd for the tests of plays, and assets that point at it."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from foundation.guard import Guard
from lab import sshd
from lab.sshd import SshServer


@dataclass(frozen=True)
class FakeAsset:
    """The part of an asset that an inventory reads."""

    name: str
    kind: str = "host"
    parent: str | None = None
    attributes: Mapping[str, Any] = field(default_factory=dict)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with Guard() as guard:
        yield sshd.start(guard, tmp_path_factory.mktemp("sshd"))


@pytest.fixture
def asset(server: SshServer) -> Callable[..., FakeAsset]:
    def make(name: str, **changes: Any) -> FakeAsset:
        return FakeAsset(name, attributes={**server.attributes(), **changes})

    return make


@pytest.fixture
def write_playbook(tmp_path: Path) -> Callable[[str, str], Path]:
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
