"""What holds for every playbook of the product, without a machine."""

import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from foundation.asset_kinds import RULES
from infra.plays.definition import Playbook, find_playbook, load_playbook, load_playbooks

FOLDER = Path(__file__).parents[2] / "playbooks"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yml"))
# What stands in a play or a task beside the name of its module. A module is written as `ansible.builtin.X`.
_BLOCKS = ("block", "rescue", "always")
_SHELLS = ("ansible.builtin.shell", "ansible.builtin.raw", "ansible.builtin.script")
_ARABIC, _LATIN = re.compile(r"[\u0621-\u064a]{2}"), re.compile(r"[A-Za-z]{3}")
_SECRET_NAME = re.compile(r"(^|_)(password|passphrase|secret|token|private_key|community)s?$")
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\$6\$|\$y\$|\$ANSIBLE_VAULT")


class _Loader(yaml.SafeLoader):
    """YAML as Ansible writes it: its own tags are taken for what stands behind them."""


_Loader.add_multi_constructor("!", lambda loader, _suffix, node: loader.construct_scalar(node))


def read(path: Path) -> Any:
    """A file of YAML."""
    return yaml.load(path.read_text(encoding="utf-8"), _Loader)


def task_files() -> list[Path]:
    """Files of tasks and handlers in the roles."""
    folders = [path for kind in ("tasks", "handlers") for path in FOLDER.glob(f"roles/*/{kind}")]
    return sorted(path for folder in folders for path in folder.rglob("*.y*ml"))


def flat(tasks: Any) -> Iterator[dict[str, Any]]:
    """Every task of a list, and those in its blocks."""
    for task in tasks or []:
        yield task
        for part in _BLOCKS:
            yield from flat(task.get(part))


def all_tasks() -> list[tuple[str, dict[str, Any]]]:
    """Every task of every playbook and role, with where it stands."""
    found = [(str(path.relative_to(FOLDER)), task) for path in task_files() for task in flat(read(path))]
    for name in NAMES:
        for play in read(FOLDER / f"{name}.yml"):
            for part in ("pre_tasks", "tasks", "post_tasks", "handlers"):
                found += [(name, task) for task in flat(play.get(part))]
    return found


def modules(task: dict[str, Any]) -> list[str]:
    """The modules that a task names: one, or none where it is a block."""
    return [key for key in task if "." in key]


def where(place: str, task: dict[str, Any]) -> str:
    """A task in an assertion's words."""
    return f"{place}: {task.get('name') or task}"


@pytest.fixture(params=NAMES)
def playbook(request: pytest.FixtureRequest) -> Playbook:
    return load_playbook(FOLDER / f"{request.param}.yml")


def test_there_are_playbooks_and_each_is_found_by_its_name() -> None:
    assert len(NAMES) >= 3
    assert {"baseline", "kiosk_terminal", "router"} <= set(NAMES)
    assert set(load_playbooks(())) >= set(NAMES)
    assert [find_playbook(name, ()).name for name in NAMES] == NAMES


def test_ansible_reads_each_playbook_with_its_roles(tmp_path: Path) -> None:
    inventory = tmp_path / "hosts.yml"
    inventory.write_text("all: {hosts: {}}\n", encoding="utf-8")
    program = Path(sys.executable).with_name("ansible-playbook")
    files = [str(FOLDER / f"{name}.yml") for name in NAMES]
    environment = {**os.environ, "ANSIBLE_HOME": str(tmp_path / "ansible"), "ANSIBLE_NOCOLOR": "1"}
    answer = subprocess.run(
        [str(program), "--syntax-check", "--inventory", str(inventory), *files],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        check=False,
    )
    assert answer.returncode == 0, answer.stderr
    assert [line for line in answer.stdout.splitlines() if line.startswith("playbook: ")] == [
        f"playbook: {file}" for file in files
    ]


def test_each_says_in_both_languages_what_it_is_and_does(playbook: Playbook) -> None:
    texts = [playbook.about.title, playbook.about.purpose]
    texts += [parameter.title for parameter in playbook.about.parameters.values()]
    for text in texts:
        assert _ARABIC.search(text.ar), text
        assert _LATIN.search(text.en), text
        assert not _ARABIC.search(text.en), text
    assert len({text.ar for text in texts}) == len(texts)


def test_each_is_for_kinds_of_assets_that_plays_can_reach(playbook: Playbook) -> None:
    for kind in playbook.about.targets:
        assert {"ansible_host", "ansible_user", "host_key"} <= set(RULES[kind].attributes.model_fields), kind


def test_each_parameter_is_a_variable_with_the_blocks_own_default(playbook: Playbook) -> None:
    variables = read(playbook.path)[0]["vars"]
    for name, parameter in playbook.about.parameters.items():
        if parameter.default is not None:
            assert variables.get(name) == f"{{{{ about.parameters.{name}.default }}}}", name


def test_each_parameter_is_used(playbook: Playbook) -> None:
    texts = [content.decode("utf-8", "replace") for content in playbook.files().values()]
    for name in playbook.about.parameters:
        # Once as the parameter, twice in the line of its default; whatever uses it comes on top.
        given = 3 if playbook.about.parameters[name].default is not None else 1
        assert sum(len(re.findall(rf"\b{name}\b", text)) for text in texts) > given, name


def test_each_says_in_its_first_lines_what_is_verified_from_outside(playbook: Playbook) -> None:
    lines = playbook.path.read_text(encoding="utf-8").splitlines()
    head = " ".join(line.lstrip("# ") for line in itertools.takewhile(lambda one: one.startswith("#"), lines))
    assert re.search(r"second engineer verifies from outside", head), playbook.name
    assert (Path(__file__).parent / f"test_{playbook.name}.py").exists() or playbook.name in _tested()


def _tested() -> set[str]:
    """Playbooks that a test of another name plays."""
    texts = [path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py")]
    return {name for name in NAMES if any(re.search(rf'(play|twice)\(\s*"{name}"', text) for text in texts)}


def test_every_role_stands_in_a_playbook() -> None:
    taking_part = {
        part for name in NAMES for part in load_playbook(FOLDER / f"{name}.yml").files() if "roles/" in part
    }
    roles = {path.name for path in (FOLDER / "roles").iterdir() if path.is_dir()}
    assert roles == {part.split("/")[1] for part in taking_part}


def test_every_task_is_named_and_uses_what_comes_with_ansible() -> None:
    for place, task in all_tasks():
        assert str(task.get("name") or "").strip(), where(place, task)
        # One module, and none from a collection that would have to be installed.
        named = modules(task)
        assert named or any(part in task for part in _BLOCKS), where(place, task)
        assert all(name.startswith("ansible.builtin.") for name in named), where(place, task)


def test_every_shell_says_when_it_changes_something() -> None:
    for place, task in all_tasks():
        assert "changed_when" in task or not set(modules(task)) & set(_SHELLS), where(place, task)


def test_no_task_swallows_every_error() -> None:
    for place, task in all_tasks():
        if task.get("failed_when") is False or task.get("ignore_errors") is True:
            assert task.get("register"), where(place, task)


def test_no_file_holds_a_secret() -> None:
    for path in sorted(
        path for path in FOLDER.rglob("*") if path.is_file() and "__pycache__" not in path.parts
    ):
        text = path.read_text(encoding="utf-8")
        assert not _PRIVATE_KEY.search(text), path
        if path.suffix in (".yml", ".yaml"):
            for name, value in _leaves(read(path)):
                # A template or nothing: what is secret is given, and never written down here.
                if _SECRET_NAME.search(name) and isinstance(value, str):
                    assert not value or "{{" in value or value in ("!", "*", "/dev/null"), f"{path}: {name}"


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _leaves(inner, str(key))
    elif isinstance(value, list):
        for inner in value:
            yield from _leaves(inner, name)
    else:
        yield name, value


def test_every_task_that_is_given_a_secret_hides_it() -> None:
    for place, task in all_tasks():
        given = json.dumps([task[name] for name in modules(task)], default=str)
        used = re.sub("'[^']*'", "", " ".join(re.findall(r"\{\{.*?\}\}", given)))
        # The value of one: not whether it is there or was changed, nor what a module said of its file.
        if re.search(r"\b\w*(password|secret|passphrase|community)\b(?! is |\.)", used):
            assert task.get("no_log"), where(place, task)
