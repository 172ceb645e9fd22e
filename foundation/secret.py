"""Secrets: a type that never shows itself, and the encrypted file that keeps them."""

import contextlib
import fcntl
import json
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from foundation.errors import NotFound, SettingsError
from foundation.whole_file import write_whole

_FORMAT = "rakeeza-secrets/1"


class Secret:
    """A value that prints as `<secret>`; `reveal()` is the only way to it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself, for the one call that needs it."""
        return self._value

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format("<secret>", spec)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and secrets.compare_digest(
            self._value.encode(), other._value.encode()
        )

    def __hash__(self) -> int:
        return hash((Secret, self._value))

    def __bool__(self) -> bool:
        return bool(self._value)

    def __reduce__(self) -> str | tuple[object, ...]:
        # Pickles and copies end in files and queues; a secret must not travel in one by accident.
        raise TypeError("A secret cannot be pickled; reveal() it where it is used.")


class SecretFile:
    """Named secrets in one file, sealed by AES-256-GCM under a key that lies in another file.

    The key file is made on first use (32 random bytes, mode 0600). A file readable by others is refused,
    because a key that others could read is no longer a key.

    Args:
        path: the sealed file.
        key_path: the key file; keep a copy of it apart from the backup of `path`.

    Source: NIST SP 800-38D (GCM).
    """

    def __init__(self, path: Path, key_path: Path) -> None:
        self._path = path
        self._key_path = key_path

    def exists(self) -> bool:
        """Whether a secret was ever kept; unlike every other question, asking this makes no key."""
        return self._path.exists()

    def get(self, name: str) -> Secret:
        """The secret of this name.

        Raises:
            NotFound: no secret has this name.
            SettingsError: the key or the file cannot be read or does not open.
        """
        values = self._read()
        if name not in values:
            raise NotFound(
                f"No secret is named {name!r}.",
                place=str(self._path),
                remedy=f"Set it with: rakeeza secret set {name}",
            )
        return Secret(values[name])

    def names(self) -> list[str]:
        """The names kept, sorted; never the values."""
        return sorted(self._read())

    def set(self, name: str, value: Secret) -> None:
        """Keep a secret under a name, replacing an earlier one."""
        with self._alone():
            self._write({**self._read(), name: value.reveal()})

    def get_or_make(self, name: str, make: Callable[[], Secret]) -> Secret:
        """The secret of this name; if there is none, it is made and kept.

        Of several processes or threads that ask together one makes it, and all of them get that one.

        Args:
            name: the name.
            make: gives the new secret; called at most once, while other writers wait.
        """
        with self._alone():
            values = self._read()
            if name not in values:
                values[name] = make().reveal()
                self._write(values)
            return Secret(values[name])

    def remove(self, name: str) -> None:
        """Forget a secret.

        Raises:
            NotFound: no secret has this name.
        """
        with self._alone():
            self.get(name)
            self._write({kept: value for kept, value in self._read().items() if kept != name})

    def _key(self) -> bytes:
        place = str(self._key_path)
        # The file is looked at before its key: another process may make both between the two looks.
        sealed = self._path.exists()
        if not self._key_path.exists():
            if sealed:
                raise SettingsError(
                    "The key of the secrets file is missing.",
                    place=place,
                    remedy=f"Restore it from its backup; {self._path} cannot be opened without it.",
                )
            self._make_key()
        try:
            mode = self._key_path.stat().st_mode
            key = self._key_path.read_bytes()
        except OSError as error:
            raise SettingsError(
                f"The key of the secrets file cannot be read ({error.strerror}).",
                place=place,
                remedy="Run as the user that owns it.",
            ) from error
        if mode & 0o077:
            raise SettingsError(
                f"The key of the secrets file is open to others (mode {mode & 0o777:04o}).",
                place=place,
                remedy=f"Close it with: chmod 600 {place}",
            )
        if len(key) != 32:
            raise SettingsError(
                f"The key of the secrets file has {len(key)} bytes instead of 32.",
                place=place,
                remedy="Restore it from its backup.",
            )
        return key

    def _make_key(self) -> None:
        with _kept(self._key_path):
            self._key_path.parent.mkdir(parents=True, exist_ok=True)
        # A name of its own for each maker: two threads of one process must not write into one draft.
        draft = self._key_path.with_suffix(f".{secrets.token_hex(8)}.new")
        _write_private(draft, secrets.token_bytes(32))
        # A link appears whole and fails if the name exists: of two processes that start together, one makes
        # the key and the other reads that one.
        with contextlib.suppress(FileExistsError):
            self._key_path.hardlink_to(draft)
        draft.unlink()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        # Reading, changing and writing back is one step: a second writer waits.
        self._key()
        with self._key_path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _read(self) -> dict[str, str]:
        key = self._key()
        try:
            sealed = json.loads(self._path.read_bytes())
            nonce, box = bytes.fromhex(sealed["nonce"]), bytes.fromhex(sealed["box"])
            plain = AESGCM(key).decrypt(nonce, box, _FORMAT.encode())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, KeyError, TypeError, InvalidTag) as error:
            raise SettingsError(
                "The secrets file does not open with its key.",
                place=str(self._path),
                remedy=f"Restore both from one backup: this file and {self._key_path}.",
            ) from error
        values: dict[str, str] = json.loads(plain)
        return values

    def _write(self, values: dict[str, str]) -> None:
        nonce = secrets.token_bytes(12)
        box = AESGCM(self._key()).encrypt(nonce, json.dumps(values).encode(), _FORMAT.encode())
        text = json.dumps({"format": _FORMAT, "nonce": nonce.hex(), "box": box.hex()})
        _write_private(self._path, text.encode())


def _write_private(path: Path, data: bytes) -> None:
    with _kept(path):
        write_whole(path, data, mode=0o600)


@contextlib.contextmanager
def _kept(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise SettingsError(
            f"Secrets cannot be kept here ({error.strerror}).",
            place=str(path.parent),
            remedy="Set platform.folder to a folder that this user may write to.",
        ) from error
