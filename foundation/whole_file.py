"""Files that are whole or not there, also after a power cut."""

import os
import secrets
from pathlib import Path


def write_whole(path: Path, data: bytes) -> None:
    """Write a file in place of what is there; a reader sees the old one or the new one, never half of one.

    Args:
        path: in a folder that exists.
        data: all of it.

    Raises:
        OSError: it cannot be written; what was there is left.
    """
    # A name of its own for each writer: two must not write into one draft.
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}.new")
    try:
        with draft.open("xb") as file:
            file.write(data)
            file.flush()
            # The rename must not reach the disk before the bytes do.
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
