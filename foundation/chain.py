"""One primitive: an entry's hash covers its content and the hash before it.

Whoever changes, removes or reorders an entry must recompute every later hash of the chain; whoever keeps a
later hash elsewhere then sees it.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from typing import TypeAlias, Union

from foundation.errors import InvalidInput

JSON: TypeAlias = Union[bool, int, str, "list[JSON]", "tuple[JSON, ...]", "Mapping[str, JSON]", None]

GENESIS = bytes(32)
"""What stands before the first entry of every chain."""

# PostgreSQL's jsonb keeps any whole number, but most other readers of JSON only these (RFC 8259, section 6).
_LARGEST = 2**53 - 1
_NO_TEXT = re.compile("[\0\ud800-\udfff]")


def canonical(content: Mapping[str, JSON]) -> bytes:
    """The one spelling of a content: keys sorted by code point, no spaces, UTF-8, nothing escaped needlessly.

    Args:
        content: text, whole numbers, true, false, null, lists and mappings of them. A number with a fraction
            is written as text: two writers may spell one float differently.

    Raises:
        InvalidInput: a float or another type, a whole number beyond 2**53 - 1, a key that is not text, text
            with a NUL or half a surrogate pair, which PostgreSQL cannot keep.
    """
    _check(content, "")
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def entry_hash(previous: bytes, content: Mapping[str, JSON]) -> bytes:
    """SHA-256 over the previous entry's hash and the canonical content.

    Args:
        previous: 32 bytes, the hash of the entry before, or GENESIS.
        content: what the entry says; see `canonical`.

    Returns:
        32 bytes.

    Raises:
        InvalidInput: the content has no canonical spelling.

    Source: FIPS 180-4 (SHA-256).
    """
    if len(previous) != 32:
        raise ValueError(f"a previous hash has 32 bytes, not {len(previous)}")
    return hashlib.sha256(previous + canonical(content)).digest()


def _check(value: object, pointer: str) -> None:
    if value is None or isinstance(value, bool):
        return
    if isinstance(value, int):
        if abs(value) > _LARGEST:
            raise _refused(pointer, "is a larger number than JSON's readers agree on")
    elif isinstance(value, str):
        if _NO_TEXT.search(value):
            raise _refused(pointer, "holds a character that is no text")
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            _check(item, f"{pointer}/{index}")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise _refused(pointer, f"has the key {key!r}, which is no text")
            _check(key, f"{pointer}/{key!r}")
            _check(item, f"{pointer}/{key}")
    else:
        raise _refused(pointer, f"is of type {type(value).__name__}")


def _refused(pointer: str, detail: str) -> InvalidInput:
    return InvalidInput(
        f"{pointer or 'The content'} {detail}.", remedy="Write numbers with a fraction, and dates, as text."
    )
