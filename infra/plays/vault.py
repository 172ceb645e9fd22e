"""The secret variables of groups and hosts: files sealed by ansible-vault or age, beside no database.

A file is named for a group or a host: `site_dc-1.vault.yml`, `db-1.age`. Of a run it gets what concerns its
hosts, sealed; what was opened stays in memory, to be masked wherever the run says anything.
"""

import hashlib
import secrets as random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from stat import S_ISREG

import yaml

from foundation.errors import DefinitionError, NotFound, SettingsError
from foundation.secret import Secret, SecretFile
from infra.plays.age import open_age
from infra.plays.inventory import Inventory
from infra.plays.secrets import PlaySecrets
from infra.plays.vault_format import (
    Sealed,
    find_sealed,
    is_sealed,
    open_sealed,
    password_name,
    seal,
    sealed_id,
)

_VAULT, _AGE = ".vault.yml", ".age"
# Shorter texts would be masked in every second word that a run says.
_LEAST, _LEAST_LINE = 6, 8
_FRAME = "-----"
_READ_AS_ANOTHER = (".yml", ".yaml", ".json")


@dataclass(frozen=True)
class _File:
    path: Path
    name: str
    ending: str


@dataclass(frozen=True)
class Resealing:
    """With what the content of `.age` files is sealed again, for Ansible opens none of age's.

    Args:
        vault_id: names the password to its reader.
        password: of that vault.
    """

    vault_id: str
    password: Secret


def load_secrets(
    folders: Sequence[Path],
    inventory: Inventory,
    secrets: SecretFile,
    identities: Sequence[Path],
    hosts: Iterable[str] | None = None,
    resealing: Callable[[], Resealing] | None = None,
) -> PlaySecrets:
    """The secret variables that concern some hosts.

    Args:
        folders: with the files; each is read, not what lies below it.
        inventory: says what groups and hosts there are.
        secrets: keeps the passwords of the vaults, as `vault-password-<vault id>`.
        identities: files with the keys that open what age sealed.
        hosts: the hosts of the run; every host of the inventory by default.
        resealing: asked where there is something that age sealed; a password of this once by default.

    Raises:
        DefinitionError: a file is named for nobody, twice there, open to others, not sealed, damaged, of
            another password, or holds no YAML mapping.
        NotFound: the password of a vault is not kept.
        SettingsError: a folder or an identity cannot be read, or an identity is open to others.
        Unavailable: age is not installed.
    """
    chosen = inventory.hosts if hosts is None else list(hosts)
    concerned = {
        **dict.fromkeys(chosen, "host_vars"),
        **dict.fromkeys(inventory.groups_of(chosen), "group_vars"),
    }
    passwords = _Passwords(secrets)
    again: Resealing | None = None
    files: dict[str, bytes] = {}
    digests: dict[str, str] = {}
    values: set[str] = set()
    for file in _named_files(folders, inventory):
        if file.name not in concerned:
            continue
        place, content = str(file.path), _read(file.path)
        target = f"{concerned[file.name]}/{file.name}"
        digests[f"{target}/{file.ending}"] = hashlib.sha256(content).hexdigest()
        if file.ending == _VAULT:
            plain = passwords.opened(content, place)
            files[f"{target}/vault.yml"] = content
        else:
            plain = open_age(content, identities, place)
            again = again or (resealing or _once)()
            passwords.used[again.vault_id] = again.password
            files[f"{target}/age.yml"] = seal(plain, again.password, again.vault_id)
        values |= _values(plain, place) | _found_within(plain, place, passwords, variables=True)
    return PlaySecrets(files, passwords.used, frozenset(values), digests)


def open_in_files(files: Mapping[str, bytes], secrets: SecretFile) -> PlaySecrets:
    """Passwords and values of what is sealed within files of a playbook: `!vault` values, and whole files.

    Args:
        files: by path, as `Playbook.files()` gives them.
        secrets: keeps the passwords of the vaults.

    Raises:
        DefinitionError: something is damaged, or of another password; with file and line.
        NotFound: the password of a vault is not kept.
    """
    passwords = _Passwords(secrets)
    values: set[str] = set()
    for path, content in sorted(files.items()):
        values |= _found_within(content, path, passwords, variables=_holds_variables(path))
    return PlaySecrets({}, passwords.used, frozenset(values))


def vault_ids(files: Mapping[str, bytes]) -> set[str]:
    """Ids of the vaults whose passwords are needed to read some files."""
    return {
        found.vault_id
        for path, content in files.items()
        for found in _found(content, variables=_holds_variables(path))
    }


class _Passwords:
    """The passwords asked for, and which of them were used."""

    def __init__(self, secrets: SecretFile) -> None:
        self._secrets = secrets
        self.used: dict[str, Secret] = {}

    def opened(self, sealed: bytes, place: str) -> bytes:
        vault_id = sealed_id(sealed, place)
        if vault_id not in self.used:
            try:
                # Without the blanks around it, as Ansible reads a password from a file or a program.
                kept = self._secrets.get(password_name(vault_id)).reveal()
                self.used[vault_id] = Secret(kept.strip())
            except NotFound:
                raise NotFound(
                    f"The password of the vault {vault_id!r} is not kept, so what it sealed cannot be read.",
                    place=place,
                    remedy=f"Keep it with: rakeeza secret set {password_name(vault_id)}",
                ) from None
        return open_sealed(sealed, self.used[vault_id], place)


def _once() -> Resealing:
    # Its id too, so that it is never that of a vault of the municipality.
    return Resealing(f"once-{random.token_hex(4)}", Secret(random.token_urlsafe(32)))


def _named_files(folders: Sequence[Path], inventory: Inventory) -> Iterator[_File]:
    seen: dict[tuple[str, str], Path] = {}
    for folder in folders:
        for file in _files_of(folder):
            if not inventory.is_known(file.name):
                raise DefinitionError(
                    f"The file is for {file.name!r}, which is neither a group nor a host.",
                    place=str(file.path),
                    remedy=f"{inventory.near(file.name)} Rename the file.",
                )
            if file.name.endswith(_READ_AS_ANOTHER):
                other = file.name.rpartition(".")[0]
                raise DefinitionError(
                    f"Ansible would give the secrets of {file.name!r} to {other!r} too.",
                    place=str(file.path),
                    remedy="Rename the asset: a name with secrets must not end as a file of variables does.",
                )
            first = seen.setdefault((file.name, file.ending), file.path)
            if first != file.path:
                raise DefinitionError(
                    f"There is a file for {file.name!r} already, {first}.",
                    place=str(file.path),
                    remedy="Keep one of them.",
                )
            yield file


def _files_of(folder: Path) -> Iterator[_File]:
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise SettingsError(
            f"The folder of secret variables cannot be read ({error.strerror}).",
            place=str(folder),
            remedy="Correct plays.secrets_folders.",
        ) from error
    for path in paths:
        ending = next((ending for ending in (_VAULT, _AGE) if path.name.endswith(ending)), None)
        if ending is not None:
            yield _File(path, path.name.removesuffix(ending), ending)
        elif path.suffix in _READ_AS_ANOTHER:
            raise DefinitionError(
                f"Nothing would read this file: its name ends neither in {_VAULT} nor in {_AGE}.",
                place=str(path),
                remedy="Rename it, and seal it if it is not.",
            )


def _read(path: Path) -> bytes:
    try:
        mode = path.stat().st_mode
        # Not of a pipe, which could be waited for without end.
        content = path.read_bytes() if S_ISREG(mode) else b""
    except OSError as error:
        raise DefinitionError(
            f"The file cannot be read ({error.strerror}).",
            place=str(path),
            remedy="Let the platform's user own it.",
        ) from error
    if not S_ISREG(mode):
        raise DefinitionError("This is no file.", place=str(path), remedy="Put the file itself here.")
    if mode & 0o007:
        raise DefinitionError(
            f"The file is open to everybody on this machine (mode {mode & 0o777:04o}).",
            place=str(path),
            remedy=f"Close it with: chmod o= {path}",
        )
    return content


def _found_within(content: bytes, path: str, passwords: _Passwords, *, variables: bool) -> set[str]:
    values: set[str] = set()
    for found in _found(content, variables=variables):
        place = path if is_sealed(content) else f"{path}:{found.line}"
        plain = passwords.opened(found.content, place)
        values |= _texts(plain.decode("utf-8", "replace"))
        if is_sealed(content) and variables:
            values |= _values(plain, place)
    return values


def _found(content: bytes, *, variables: bool) -> Iterator[Sealed]:
    # A page or a template that shows how something sealed looks is no variable: Ansible opens nothing there.
    if variables or is_sealed(content):
        yield from find_sealed(content)


def _holds_variables(path: str) -> bool:
    return PurePath(path).suffix in ("", *_READ_AS_ANOTHER)


def _values(plain: bytes, place: str) -> set[str]:
    """Every scalar text of a YAML mapping, at any depth."""
    try:
        root = yaml.compose(plain, Loader=yaml.CSafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        # Its own words show what stands there.
        mark = getattr(error, "problem_mark", None)
        line = f", in line {mark.line + 1} of what was sealed" if mark is not None else ""
        raise DefinitionError(
            f"What is sealed here is not YAML{line}.", place=place, remedy="Correct it and seal it again."
        ) from None
    if root is not None and not isinstance(root, yaml.MappingNode) and root.tag != "tag:yaml.org,2002:null":
        raise DefinitionError(
            "What is sealed here is no YAML mapping of variables.",
            place=place,
            remedy="Write NAME: VALUE and seal it again.",
        )
    values: set[str] = set()
    waiting, seen = [root], set[int]()
    while waiting:
        node = waiting.pop()
        # An anchor is one node, however often it is named.
        if node is None or id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.ScalarNode) and node.tag != "!vault":
            values |= _texts(node.value) | _texts(_as_number(node))
        elif isinstance(node, yaml.MappingNode):
            waiting += [value for _, value in node.value]
        elif isinstance(node, yaml.SequenceNode):
            waiting += node.value
    return values


def _as_number(node: yaml.ScalarNode) -> str:
    # 0x1F0000 and 1_000_000 are said as the number they are.
    if node.tag not in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float"):
        return ""
    try:
        return str(yaml.load(node.value, Loader=yaml.CSafeLoader))
    except (yaml.YAMLError, ValueError):
        return ""


def _texts(text: str) -> set[str]:
    # A program that reads a key prints it line by line. The frame is the same in every key.
    lines = [line.strip() for line in text.splitlines()]
    found = {line for line in lines if len(line) >= _LEAST_LINE and not line.startswith(_FRAME)}
    return found | {text.strip()} if len(text.strip()) >= _LEAST else set()
