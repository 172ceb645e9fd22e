"""What a playbook consists of, and the one number that changes when any of it does."""

import hashlib
from pathlib import Path

import yaml

from foundation.errors import DefinitionError

# Folders beside a playbook that Ansible searches without being told; a playbook's own companions.
_COMPANIONS = ("tasks", "handlers", "templates", "files", "vars", "library", "filter_plugins", "module_utils")
_ROLE_ACTIONS = ("import_role", "include_role")


def playbook_files(path: Path) -> dict[str, bytes]:
    """Every file that takes part in a playbook, by its path relative to the playbook's folder.

    The playbook, the roles it names (and those they name), and the companion folders whole. Where a role's
    name is a template, every role beside the playbook takes part: too many is safe, too few is not.

    Raises:
        DefinitionError: the playbook or one of its files cannot be read.
    """
    folder = path.parent
    try:
        files = {path.name: path.read_bytes()}
        for companion in _COMPANIONS:
            files |= _tree(folder, folder / companion)
        waiting, seen = _roles_in(files[path.name]), set[str]()
        for content in list(files.values())[1:]:
            waiting |= _roles_in(content)
        while waiting:
            name = waiting.pop()
            if "{{" in name:
                waiting |= {entry.name for entry in (folder / "roles").iterdir() if entry.is_dir()} - seen
                seen.add(name)
            elif name not in seen:
                seen.add(name)
                part = _tree(folder, folder / "roles" / name)
                files |= part
                for relative, content in part.items():
                    if relative.endswith((".yml", ".yaml")):
                        waiting |= _roles_in(content) - seen
    except OSError as error:
        raise DefinitionError(
            f"The playbook cannot be read ({error.strerror}).",
            place=str(error.filename or path),
            remedy="Check that the file exists and its permissions.",
        ) from error
    return files


def revision_of(files: dict[str, bytes]) -> str:
    """SHA-256 over names and contents, in hexadecimal; the order of reading does not matter."""
    digest = hashlib.sha256()
    for name in sorted(files):
        # Lengths in front, so that no two sets of files run together to the same bytes.
        digest.update(b"%d:%s%d:" % (len(name.encode()), name.encode(), len(files[name])))
        digest.update(files[name])
    return digest.hexdigest()


def _tree(folder: Path, part: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(part.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def _roles_in(content: bytes) -> set[str]:
    try:
        root = yaml.compose(content, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError):
        # Not ours to judge here: a faulty playbook is refused where it is loaded, a template is no YAML.
        return set()
    return _roles_under(root) if root is not None else set()


def _roles_under(node: yaml.Node) -> set[str]:
    found: set[str] = set()
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            found |= _roles_under(item)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            word = str(key.value).rpartition(".")[2]
            if word in ("roles", "dependencies") and isinstance(value, yaml.SequenceNode):
                found |= {name for item in value.value if (name := _role_name(item))}
            elif word in _ROLE_ACTIONS and (name := _role_name(value)):
                found.add(name)
            else:
                found |= _roles_under(value)
    return found


def _role_name(node: yaml.Node) -> str:
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    if isinstance(node, yaml.MappingNode):
        names = {key.value: value.value for key, value in node.value if isinstance(value, yaml.ScalarNode)}
        return str(names.get("role") or names.get("name") or "")
    return ""
