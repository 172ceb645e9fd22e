"""The file of public keys that a machine verifies by, written: `credential_keys.trusted_keys` reads it."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

from foundation.errors import SettingsError
from foundation.whole_file import alone, write_whole
from foundation.wire.credential_keys import KeySet, PublicKey, read_keys


def keep_keys(file: Path, read: Callable[[], Iterable[PublicKey]]) -> bool:
    """Let a file say what is known of some keys; what it says of others stays.

    A key that it calls revoked stays revoked: who restores an old database must not make believed again what
    was signed with a stolen key.

    Args:
        file: a JWK Set; it is made where there is a key, and its folder in any case.
        read: gives the keys as they are now. It is called while other writers wait, so that none of them
            writes what it read earlier.

    Returns:
        Whether the file was changed.

    Raises:
        Malformed: the file is no JWK Set.
        SettingsError: it cannot be read or written.
    """
    with _alone(file):
        held = {key.kid: key for key in read_keys(file)} if file.exists() else {}
        told = held | {key.kid: _still_revoked(key, held.get(key.kid)) for key in read()}
        if told == held:
            return False
        write_keys(file, KeySet(told.values()))
        return True


def write_keys(file: Path, keys: KeySet) -> None:
    """Write keys as a JWK Set; a verifier reads the old ones or the new ones, never half a file.

    Raises:
        SettingsError: it cannot be written.
    """
    with _writing(file):
        write_whole(file, f"{keys.to_json()}\n".encode())


def _still_revoked(key: PublicKey, before: PublicKey | None) -> PublicKey:
    if before is None or before.revoked_at is None or key.revoked_at is not None:
        return key
    return replace(key, revoked_at=before.revoked_at)


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    with ExitStack() as held:
        with _writing(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            held.enter_context(alone(file.parent))
        yield


@contextmanager
def _writing(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SettingsError(
            f"The keys cannot be written ({error.strerror}).", place=str(file), remedy="Name another file."
        ) from error
