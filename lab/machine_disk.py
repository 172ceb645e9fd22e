"""What lies on a machine's disk before its first boot, over the tree that all machines share."""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path


def make_key(path: Path, comment: str) -> None:
    """A new key pair of ssh: `path`, and its public half in `path.pub`."""
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path)]
    subprocess.run(words, check=True, capture_output=True)


def public_key(path: Path) -> str:
    """The public half of a key pair, type and base64."""
    return " ".join(path.with_suffix(".pub").read_text(encoding="utf-8").split()[:2])


def furnish(disk: Path, base: Path, files: Mapping[str, tuple[str, int]]) -> None:
    """Write files into the upper folder of an overlay.

    Args:
        disk: that folder.
        base: the tree below it, which says who owns what.
        files: content and mode by path; their folders are in the tree.
    """
    for name, (content, mode) in files.items():
        path = disk / name
        _make_folder(path.parent, disk, base)
        path.write_text(content, encoding="utf-8")
        path.chmod(mode)
        folder = path.parent.stat()
        os.chown(path, folder.st_uid, folder.st_gid)


def _make_folder(path: Path, disk: Path, base: Path) -> None:
    # A folder of the upper part hides the owner and mode of the tree's.
    if path.exists():
        return
    if path == disk:
        path.mkdir(mode=0o755)
        return
    _make_folder(path.parent, disk, base)
    like = (base / path.relative_to(disk)).stat()
    path.mkdir()
    path.chmod(like.st_mode & 0o7777)
    os.chown(path, like.st_uid, like.st_gid)
