"""Whether what ansible-vault sealed opens with the passwords at hand, before any host is touched.

Ansible itself opens a sealed variable when a task first uses it, which may be in the middle of a run.
"""

from collections.abc import Mapping
from pathlib import PurePosixPath

from foundation.errors import DefinitionError, InvalidInput
from foundation.secret import Secret
from infra.plays.vault_format import Sealed, find_sealed, is_sealed, open_sealed, password_name

# Files that hold variables; a template or a page that shows how something sealed looks is no variable.
_VARIABLES = ("", ".yml", ".yaml", ".json")


def check_sealed(files: Mapping[str, bytes], passwords: Mapping[str, Secret]) -> None:
    """Refuse files that no password opens.

    Args:
        files: by path; those that are not sealed are passed over.
        passwords: by vault id; each is tried, as Ansible does.

    Raises:
        InvalidInput: a sealed file or variable that none of them opens, or a vault id that cannot be written
            on a command line.
    """
    for name in passwords:
        if "@" in name or not name:
            raise InvalidInput("A vault id is a word without '@'.", place=repr(name))
    for path, content in sorted(files.items()):
        if is_sealed(content) or PurePosixPath(path).suffix in _VARIABLES:
            for found in find_sealed(content):
                if not any(_opens(found, password) for password in passwords.values()):
                    raise _refusal(path, found, passwords)


def _opens(found: Sealed, password: Secret) -> bool:
    try:
        # As Ansible reads a password from a file.
        open_sealed(found.content, Secret(password.reveal().strip()), "")
    except DefinitionError:
        return False
    return True


def _refusal(path: str, found: Sealed, passwords: Mapping[str, Secret]) -> InvalidInput:
    known = ", ".join(sorted(passwords))
    had = f"none of the passwords at hand ({known}) opens it" if known else "no vault password is at hand"
    return InvalidInput(
        f"It is sealed with the vault id {found.vault_id!r}, and {had}. No host was touched.",
        place=f"{path}:{found.line}",
        remedy=f"Keep the right password with: rakeeza secret set {password_name(found.vault_id)}",
    )
