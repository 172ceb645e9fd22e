"""What a terminal keeps through a power cut: the public keys and the status lists, as files.

A list proves itself by its signature, which is asked again whenever it is read. The keys are what all else is
trusted by, and nobody signs them: they are sealed with the terminal's own secret. So a torn file, or one that
somebody without that secret put there, is as none.
"""

import hashlib
import hmac
import logging
from datetime import datetime
from pathlib import Path

from foundation.errors import Malformed, SettingsError
from foundation.secret import Secret
from foundation.whole_file import write_whole
from foundation.wire.credential import KeySet
from foundation.wire.status_folder import keep, read_lists
from foundation.wire.status_list import ListRefused, StatusLists

log = logging.getLogger(__name__)

_KEYS = "keys.sealed"
_PURPOSE = b"rakeeza kiosk, public keys, 1"
_LARGEST = 1_000_000  # bytes


class Keeping:
    """The files of one terminal. Nothing is made before there is something to keep.

    What cannot be read or written is logged and is as none: a full disk stops no terminal.

    Args:
        folder: of the files.
        secret: of the terminal's API client.
        url: of its headquarters; what another one said does not count.
    """

    def __init__(self, folder: Path, secret: Secret, url: str) -> None:
        self._folder = folder
        self._secret = secret
        self._url = url

    def keys(self) -> KeySet | None:
        """The keys, as they were kept last; None where there are none that hold."""
        file = self._folder / _KEYS
        try:
            with file.open("rb") as opened:
                seal, _, text = opened.read(_LARGEST).partition(b"\n")
            if not hmac.compare_digest(seal, self._seal(text)):
                raise Malformed("Their seal does not hold.")
            return KeySet.from_json(text.decode(), str(file))
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError, Malformed) as error:
            log.warning("The keys that were kept are not used: %s", error)
            return None

    def lists(self, keys: KeySet) -> StatusLists:
        """The lists that were kept and that these keys still verify."""
        try:
            lists, unused = read_lists(self._folder, keys)
        except SettingsError as error:
            log.warning("%s", error)
            return StatusLists()
        for each in unused:
            log.warning("A list that was kept is not used: %s", each.refusal)
        return lists

    def keep_keys(self, keys: KeySet) -> None:
        """Keep the keys in place of those before."""
        text = keys.to_json().encode()
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_whole(self._folder / _KEYS, self._seal(text) + b"\n" + text)
        except OSError as error:
            log.warning("The keys cannot be kept in %s (%s).", self._folder, error.strerror)

    def keep_list(self, token: bytes, keys: KeySet, now: datetime) -> None:
        """Keep a list that was accepted, in place of the one of its name.

        Args:
            token: the list as it was fetched.
            keys: what verifies it.
            now: the present moment, aware.
        """
        try:
            keep(self._folder, token, keys, now=now)
        except (SettingsError, ListRefused) as error:
            log.warning("%s", error)

    def _seal(self, text: bytes) -> bytes:
        content = b"\0".join((_PURPOSE, self._url.encode(), text))
        return hmac.new(self._secret.reveal().encode(), content, hashlib.sha256).hexdigest().encode()
