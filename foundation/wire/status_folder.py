"""Status lists kept as files, for whoever verifies without a network: the command line, a kiosk."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from foundation.errors import SettingsError
from foundation.whole_file import alone, write_whole
from foundation.wire.credential_keys import KeySet
from foundation.wire.status_list import MAX_TOKEN, ListRefused, StatusList, StatusLists, open_list

STATUS_FOLDER = "rakeeza-status"
"""Name of the folder of lists, in the platform's folder beside the public keys."""

_ENDING = ".cwt"


@dataclass(frozen=True)
class Unused:
    """A file that was passed over.

    Args:
        place: the file.
        refusal: why.
    """

    place: Path
    refusal: ListRefused


def read_lists(place: Path, keys: KeySet) -> tuple[StatusLists, list[Unused]]:
    """The lists in a folder, or in one file; of each name the newest.

    Args:
        place: a folder that need not exist, whose files ending in .cwt are read, or one file.
        keys: the public keys that are trusted.

    Returns:
        The lists, and the files that are none: one broken file must not hide the others.

    Raises:
        SettingsError: the place cannot be read.
    """
    lists: list[StatusList] = []
    unused: list[Unused] = []
    try:
        for file in _files(place):
            try:
                lists.append(open_list(_read(file), keys))
            except ListRefused as refusal:
                unused.append(Unused(file, refusal))
    except OSError as error:
        raise SettingsError(
            f"The status lists cannot be read ({error.strerror}).",
            place=str(place),
            remedy="Name a folder of lists, or one list.",
        ) from error
    return StatusLists(lists), unused


def keep(
    folder: Path, token: bytes, keys: KeySet, uri: str | None = None, now: datetime | None = None
) -> StatusList:
    """Keep a list as a file, in place of an older one of its name.

    Args:
        folder: made if it does not exist.
        token: the list as it was fetched.
        keys: the public keys that are trusted.
        uri: name of the list that is wanted; None takes any.
        now: as `StatusLists.hold` takes it.

    Returns:
        The list.

    Raises:
        ListRefused: it is not accepted, or older than the one that is kept.
        SettingsError: the file cannot be written.
    """
    content = open_list(token, keys, uri)
    file = folder / _name(content)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # Comparing with what is kept and writing is one step: of two who fetch at once, the newer list stays.
        with alone(folder):
            StatusLists(_kept(file, keys)).hold(content, now)
            write_whole(file, token)
    except OSError as error:
        raise SettingsError(
            f"The status list cannot be kept ({error.strerror}).",
            place=str(file),
            remedy="Make the folder writable.",
        ) from error
    return content


def _files(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    try:
        return sorted(file for file in place.iterdir() if file.suffix == _ENDING)
    except FileNotFoundError:
        return []


def _kept(file: Path, keys: KeySet) -> list[StatusList]:
    try:
        return [open_list(_read(file), keys)] if file.exists() else []
    except ListRefused:
        # Broken, or of a key that is trusted no more: anything right is better.
        return []


def _name(content: StatusList) -> str:
    # A name is a stranger's text; as a file it is its hash.
    return hashlib.sha256(f"{content.municipality} {content.uri}".encode()).hexdigest()[:32] + _ENDING


def _read(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(MAX_TOKEN + 1)
