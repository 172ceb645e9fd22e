"""The `about` block: what is accepted, and how what is not is told."""

from pathlib import Path

import pytest

from foundation.errors import DefinitionError, InvalidInput, NotFound
from infra.plays.definition import Playbook, find_playbook, load_playbook, load_playbooks
from tests.infra.conftest import WritePlaybook

PING = "- ansible.builtin.ping:"


def change(path: Path, old: str, new: str) -> int:
    """Change a line of a file; returns its number."""
    text = path.read_text(encoding="utf-8")
    assert text.count(old) == 1
    path.write_text(text.replace(old, new), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1


def refusal(path: Path) -> DefinitionError:
    with pytest.raises(DefinitionError) as caught:
        load_playbook(path)
    return caught.value


@pytest.fixture
def playbook(write_playbook: WritePlaybook) -> Playbook:
    return load_playbook(write_playbook("wait", PING))


def test_the_products_own_playbooks_are_sound() -> None:
    found = load_playbooks(())
    assert isinstance(found["baseline"], Playbook)
    assert [name for name, entry in found.items() if isinstance(entry, DefinitionError)] == []


def test_a_block_is_read_with_its_parameters(playbook: Playbook) -> None:
    assert playbook.about.title.ar == "اختبار"
    assert list(playbook.about.parameters) == ["seconds", "word"]
    assert playbook.values({}) == {"seconds": 0, "word": "word"}


def test_an_unknown_key_is_named_with_file_and_line(write_playbook: WritePlaybook) -> None:
    path = write_playbook("wait", PING)
    line = change(path, "      risk: low", "      risk: low\n      danger: none") + 1
    error = refusal(path)
    assert error.place == f"{path}:{line}"
    assert "/danger: unknown key" in error.message


def test_yaml_that_does_not_parse_is_named_with_file_and_line(write_playbook: WritePlaybook) -> None:
    path = write_playbook("wait", PING)
    line = change(path, "  gather_facts: false", "  gather_facts: [false")
    error = refusal(path)
    assert error.place.startswith(f"{path}:")
    # Where the parser notices is the line after the open bracket.
    assert int(error.place.rpartition(":")[2]) == line + 1
    assert "not YAML" in error.message


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("unit: s", "unit: ''", "at least 1 character"),
        ("          unit: s\n", "", "unit: Field required"),
        ("maximum: 600", "maximum: -1", "minimum is greater than maximum"),
        ("default: 0", "default: 700", "the default of seconds must be a whole number of s from 0 to 600"),
        ("type: integer", "type: quantity", "quantity"),
        ("        word:\n", "        ansible_host:\n", "'ansible_host' is no name for a parameter"),
        ("targets: [host]", "targets: []", "too few stand here; at least 1"),
        ("risk: low", "risk: some", "'reads', 'low', 'medium' or 'high'"),
    ],
)
def test_a_faulty_block_is_refused_with_its_reason(
    write_playbook: WritePlaybook, old: str, new: str, reason: str
) -> None:
    path = write_playbook("wait", PING)
    change(path, old, new)
    assert reason in refusal(path).message


def test_a_play_without_a_block_is_refused_at_its_line(tmp_path: Path) -> None:
    path = tmp_path / "bare.yml"
    path.write_text("# A comment.\n- hosts: all\n  tasks: []\n", encoding="utf-8")
    error = refusal(path)
    assert error.place == f"{path}:2"
    assert "no about block" in error.message


@pytest.mark.parametrize("text", ["", "hosts: all\n", "[]\n"])
def test_a_file_that_is_no_list_of_plays_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "odd.yml"
    path.write_text(text, encoding="utf-8")
    assert "must be a list of plays" in refusal(path).message


def test_ansibles_own_tags_beside_the_block_do_not_disturb(write_playbook: WritePlaybook) -> None:
    path = write_playbook("wait", "- ansible.builtin.debug: {msg: !unsafe '{{ raw }}'}")
    assert load_playbook(path).name == "wait"


def test_a_faulty_playbook_does_not_hide_its_neighbours(write_playbook: WritePlaybook) -> None:
    folder = write_playbook("good", PING).parent
    (folder / "bad.yml").write_text("- [", encoding="utf-8")
    found = load_playbooks([folder])
    assert isinstance(found["good"], Playbook)
    assert isinstance(found["bad"], DefinitionError)
    with pytest.raises(DefinitionError, match="not YAML"):
        find_playbook("bad", [folder])


def test_a_name_that_stands_in_two_folders_is_refused_with_both(write_playbook: WritePlaybook) -> None:
    path = write_playbook("baseline", PING)
    with pytest.raises(DefinitionError, match=r"defined twice.*baseline\.yml"):
        find_playbook("baseline", [path.parent])


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(NotFound, match="Known: baseline"):
        find_playbook("basline", ())


@pytest.mark.parametrize(("given", "value"), [("30", 30), (30, 30), ("0", 0), (600, 600)])
def test_a_whole_number_is_taken_as_text_or_number(playbook: Playbook, given: object, value: int) -> None:
    assert playbook.values({"seconds": given})["seconds"] == value


@pytest.mark.parametrize("given", ["30s", "0.5", "-1", "601", "", "NaN", "Infinity", True, [30]])
def test_a_wrong_number_is_named_with_unit_and_bounds(playbook: Playbook, given: object) -> None:
    with pytest.raises(
        InvalidInput, match="seconds must be a whole number of s from 0 to 600, without the unit"
    ):
        playbook.values({"seconds": given})


def test_every_wrong_parameter_is_named_at_once(playbook: Playbook) -> None:
    with pytest.raises(InvalidInput) as caught:
        playbook.values({"minutes": "1", "seconds": "x", "word": "a word of more than twenty letters"})
    pointers = [field.pointer for field in caught.value.fields]
    assert pointers == ["/parameters/minutes", "/parameters/seconds", "/parameters/word"]
    assert "minutes is no parameter of wait" in caught.value.message


@pytest.mark.parametrize("text", ["{{ lookup('env', 'HOME') }}", "{% if 1 %}", "{# x #}"])
def test_a_template_is_no_text_for_a_parameter(playbook: Playbook, text: str) -> None:
    with pytest.raises(InvalidInput):
        playbook.values({"word": text[:20]})


def test_the_revision_changes_with_a_role_the_playbook_names_and_with_no_other(
    write_playbook: WritePlaybook,
) -> None:
    path = write_playbook("wait", "- ansible.builtin.include_role: {name: outer}")
    roles = path.parent / "roles"
    for role, text in (
        ("outer", "- ansible.builtin.import_role: {name: inner}"),
        ("inner", PING),
        ("other", PING),
    ):
        (roles / role / "tasks").mkdir(parents=True)
        (roles / role / "tasks" / "main.yml").write_text(text, encoding="utf-8")
    first = load_playbook(path)
    assert set(first.files()) == {"wait.yml", "roles/outer/tasks/main.yml", "roles/inner/tasks/main.yml"}
    (roles / "other" / "tasks" / "main.yml").write_text("- ansible.builtin.debug:", encoding="utf-8")
    assert load_playbook(path).revision == first.revision
    (roles / "inner" / "tasks" / "main.yml").write_text("- ansible.builtin.debug:", encoding="utf-8")
    assert load_playbook(path).revision != first.revision


def test_a_role_named_by_a_template_takes_every_role_in(write_playbook: WritePlaybook) -> None:
    path = write_playbook("wait", "- ansible.builtin.include_role: {name: '{{ word }}'}")
    (path.parent / "roles" / "one" / "files").mkdir(parents=True)
    (path.parent / "roles" / "one" / "files" / "data.bin").write_bytes(b"\xff\x00")
    assert "roles/one/files/data.bin" in load_playbook(path).files()
