"""Files sealed by age, opened by the program of that name."""

import os
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from stat import S_ISREG

from foundation.errors import DefinitionError, RakeezaError, SettingsError, Unavailable

_PROGRAM = "age"
_LIMIT = 30.0  # seconds
_IDENTITY = re.compile(r'reading "(.+?)": ')


def open_age(sealed: bytes, identities: Sequence[Path], place: str) -> bytes:
    """What a file sealed by age holds. It stays in memory; no file of it is written.

    Args:
        sealed: the file's bytes.
        identities: files with age's secret keys, of which one must fit; only their owner may read them.
        place: where it stands, for the error.

    Raises:
        DefinitionError: it is damaged, or sealed for others; the error never holds anything of the content.
        SettingsError: there is no identity, or one cannot be used.
        Unavailable: age is not installed, or does not answer.
    """
    if not identities:
        raise SettingsError(
            "The file is sealed by age, and no identity is named that could open it.",
            place=place,
            remedy="Name a file with an age key in plays.age_identities.",
        )
    for identity in identities:
        _check(identity)
    argv = [_PROGRAM, "--decrypt", *(word for path in identities for word in ("--identity", str(path)))]
    try:
        # A session of its own has no terminal, where age would ask for a passphrase and wait.
        done = subprocess.run(
            argv,
            input=sealed,
            capture_output=True,
            timeout=_LIMIT,
            start_new_session=True,
            env={"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C"},
            check=False,
        )
    except FileNotFoundError:
        raise Unavailable("age is not installed.", place=place, remedy="Run script/bootstrap.") from None
    except subprocess.TimeoutExpired:
        raise Unavailable(f"age does not answer within {_LIMIT:.0f} s.", place=place) from None
    if done.returncode != 0:
        # What age says may hold a piece of what it read: it is understood here, and not handed on.
        raise _said(done.stderr.decode("utf-8", "replace"), place)
    return done.stdout


def _check(identity: Path) -> None:
    try:
        mode = identity.stat().st_mode
        readable = S_ISREG(mode) and os.access(identity, os.R_OK)
    except OSError as error:
        raise SettingsError(
            f"The age identity cannot be read ({error.strerror}).",
            place=str(identity),
            remedy="Correct plays.age_identities.",
        ) from None
    if not readable:
        raise SettingsError(
            "The age identity is no file that we may read.",
            place=str(identity),
            remedy="Let the platform's user own it, or correct plays.age_identities.",
        )
    if mode & 0o077:
        raise SettingsError(
            f"The age identity is open to others (mode {mode & 0o777:04o}).",
            place=str(identity),
            remedy=f"Close it with: chmod 600 {identity}",
        )


def _said(words: str, place: str) -> RakeezaError:
    if identity := _IDENTITY.search(words):
        return SettingsError(
            "The file is no age identity.", place=identity[1], remedy="Make one with: age-keygen -o FILE"
        )
    if "passphrase" in words:
        return DefinitionError(
            "The file, or its identity, is sealed by a passphrase, and nobody is there to give it.",
            place=place,
            remedy="Seal it for an identity without one: age -r RECIPIENT",
        )
    if "no identity matched" in words:
        return DefinitionError(
            "None of our identities opens the file: it is sealed for others.",
            place=place,
            remedy="Seal it for ours too, or name theirs in plays.age_identities.",
        )
    return DefinitionError(
        "The file is damaged, or was not sealed by age.",
        place=place,
        remedy="Restore it from its history, or seal it again.",
    )
