"""Files that are whole or not there, also after a power cut; and folders that one at a time writes to."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def write_whole(path: Path, data: bytes, mode: int = 0o666) -> None:
    """Write a file in place of what is there; a reader sees the old one or the new one, never half of one.

    Args:
        path: in a folder that exists.
        data: all of it.
        mode: who may read and write it, less what the process's umask closes.

    Raises:
        OSError: it cannot be written; what was there is left.
    """
    # A name of its own for each writer: two must not write into one draft.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    try:
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(data)
            file.flush()
            # The rename must not reach the disk before the bytes do.
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Let what was renamed in a folder outlast a power cut.

    Raises:
        OSError: it cannot be opened or written.
    """
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Have a folder to oneself for this block: whoever else asks, in any process, waits until it ends.

    Raises:
        OSError: it cannot be opened or locked.
    """
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)
