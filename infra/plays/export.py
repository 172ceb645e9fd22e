"""An inventory folder that is carried away: plain `ansible-playbook` runs with it while the platform is down.

Nothing in it names a place of this machine but the private keys, and `-e rakeeza_keys=FOLDER` moves those.
"""

import contextlib
import os
import secrets as random
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from foundation.errors import InvalidInput, NotFound
from foundation.secret import SecretFile
from foundation.whole_file import sync_folder
from infra.plays.definition import Playbook
from infra.plays.inventory import Inventory
from infra.plays.secrets import PlaySecrets
from infra.plays.vault import Resealing, vault_ids
from infra.plays.vault_format import password_name

_RESEALED = "export"
_CONFIGURATION = """\
[defaults]
inventory = hosts.yml
host_key_checking = True
retry_files_enabled = False
nocows = True
# Names of sites and municipalities are ours, with their hyphens.
force_valid_group_names = ignore

[inventory]
# Another would read the whole of it too, to find that it is not its own.
enable_plugins = yaml

[ssh_connection]
pipelining = True
ssh_args = -F none -o ControlMaster=auto -o ControlPersist=60s
"""


@dataclass(frozen=True)
class Exported:
    """What was written.

    Args:
        folder: the new folder.
        hosts: how many hosts are in it.
        playbooks: paths of the playbooks, relative to it, by name.
        vault_ids: of the vaults whose passwords are needed to run with it.
    """

    folder: Path
    hosts: int
    playbooks: Mapping[str, str]
    vault_ids: tuple[str, ...]


def export_resealing(secrets: SecretFile) -> Resealing:
    """With what an exported folder seals what lies sealed by age: a password that people can know.

    Raises:
        NotFound: it is not kept.
    """
    name = password_name(_RESEALED)
    try:
        return Resealing(_RESEALED, secrets.get(name))
    except NotFound:
        raise NotFound(
            "Ansible opens nothing that age sealed, and there is no password to seal it again with.",
            remedy=f"Keep one with: rakeeza secret set {name}",
        ) from None


def export(
    folder: Path, inventory: Inventory, secrets: PlaySecrets, playbooks: Sequence[Playbook] = ()
) -> Exported:
    """Write an inventory folder, whole or not at all.

    Args:
        folder: that is not there yet, or empty.
        inventory: its hosts.
        secrets: its secret variables, sealed; the passwords are not written.
        playbooks: to copy, with their roles. Those of one folder stay together: `playbooks`, `playbooks-2`, …

    Raises:
        InvalidInput: something is in the folder already, or it cannot be written.
    """
    if folder.is_symlink() or (folder.exists() and not (folder.is_dir() and not any(folder.iterdir()))):
        raise InvalidInput(
            "There is something here already.",
            place=str(folder),
            remedy="Name a folder that is new or empty.",
        )
    copied = _copies(playbooks)
    ids = sorted({*vault_ids(secrets.files), *vault_ids(copied)})
    placed = {
        playbook.name: f"{_places(playbooks)[playbook.path.parent]}/{playbook.name}.yml"
        for playbook in playbooks
    }
    exported = Exported(folder, len(inventory.hosts), placed, tuple(ids))
    written = {
        **secrets.files,
        **copied,
        "ansible.cfg": _CONFIGURATION.encode(),
        "README.txt": _readme(exported, playbooks).encode(),
    }
    # Beside its place: a rename is whole only within one file system.
    draft = folder.with_name(f".{folder.name}.{random.token_hex(8)}.new")
    try:
        draft.mkdir(mode=0o700)
        inventory.write(draft, portable=True)
        for name, content in written.items():
            path = draft / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        _sync(draft)
        draft.rename(folder)
        sync_folder(folder.parent)
    except OSError as error:
        shutil.rmtree(draft, ignore_errors=True)
        raise InvalidInput(
            f"The folder cannot be written ({error.strerror}); nothing was.",
            place=str(folder),
            remedy="Name another, with room.",
        ) from error
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    return exported


def _places(playbooks: Iterable[Playbook]) -> dict[Path, str]:
    # Roles of one name in two folders are two roles.
    folders = dict.fromkeys(playbook.path.parent for playbook in playbooks)
    return {
        folder: "playbooks" if number == 1 else f"playbooks-{number}"
        for number, folder in enumerate(folders, start=1)
    }


def _copies(playbooks: Sequence[Playbook]) -> dict[str, bytes]:
    places = _places(playbooks)
    return {
        f"{places[playbook.path.parent]}/{name}": content
        for playbook in playbooks
        for name, content in playbook.files().items()
    }


def _sync(folder: Path) -> None:
    for parent, folders, files in os.walk(folder, topdown=False):
        for name in files:
            path = Path(parent, name)
            _close(path, 0o600)
            with path.open("rb") as file:
                os.fsync(file.fileno())
        for name in folders:
            _close(Path(parent, name), 0o700)
            sync_folder(Path(parent, name))
    sync_folder(folder)


def _close(path: Path, mode: int) -> None:
    # Some file systems of sticks know no modes, and say so in this way.
    with contextlib.suppress(PermissionError):
        path.chmod(mode)


def _readme(exported: Exported, playbooks: Sequence[Playbook]) -> str:
    given = "".join(f" --vault-id {vault_id}@prompt" for vault_id in exported.vault_ids)
    named = [
        (",".join(f"kind_{kind}" for kind in playbook.about.targets), exported.playbooks[playbook.name])
        for playbook in playbooks
    ] or [("GROUP_OR_HOST", "PLAYBOOK.yml")]
    commands = [f"    ansible-playbook{given} --limit {limit} {path}" for limit, path in named]
    vaults_en, vaults_ar = (
        (
            f"Passwords asked for, by vault: {', '.join(exported.vault_ids)}. They are not in this folder.",
            f"كلمات المرور المطلوبة بحسب الخزنة: {', '.join(exported.vault_ids)}. وهي ليست في هذا المجلد.",
        )
        if exported.vault_ids
        else ("No secret variable is in this folder.", "لا توجد متغيرات سرية في هذا المجلد.")
    )
    body = "\n".join(commands)
    return f"""\
Rakeeza: inventory of {exported.hosts} hosts, written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC.

To run while the platform is down: any machine with ansible-core 2.19 and ssh, in this folder.

    export ANSIBLE_CONFIG="$PWD/ansible.cfg"
{body}

Add --check --diff to see what would change, and change nothing. No approval, no change window and no lock of
the platform holds here: agree with your colleagues who plays on what. Keep --limit: a playbook says `hosts:
all`, and only the platform knows which kinds it is for.
{vaults_en}
The private keys are not here either. Where they lie in another folder than on the platform's machine:
-e rakeeza_keys=/folder/of/the/keys
Host keys are checked against known_hosts in this folder; a host that is not there is not played on.

ركيزة: جرد يضم {exported.hosts} من الخوادم والأجهزة، كُتب في التاريخ المذكور أعلاه.

للتشغيل أثناء توقف المنصة: من أي جهاز عليه ansible-core 2.19 و ssh، ومن داخل هذا المجلد، بالأوامر نفسها:

    export ANSIBLE_CONFIG="$PWD/ansible.cfg"
{body}

أضف ‎--check --diff‎ لترى ما سيتغير دون تغيير شيء. لا تسري هنا موافقات المنصة ولا نوافذ التغيير
ولا أقفال الأجهزة: اتفق مع زملائك على من ينفّذ وعلى أي جهاز. أبقِ ‎--limit‎ لأن المنصة وحدها تعرف
أنواع الأجهزة التي كُتب لها كل ملف تشغيل.
{vaults_ar}
والمفاتيح الخاصة ليست هنا أيضًا. إن كانت في مجلد غير مجلدها على جهاز المنصة فأضف:
-e rakeeza_keys=/folder/of/the/keys
تُقارن مفاتيح الخوادم بالملف known_hosts في هذا المجلد، ولا يُنفَّذ شيء على خادم ليس فيه.
"""
