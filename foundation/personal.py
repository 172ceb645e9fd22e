"""Personal data at rest: encrypted so that erasing is deleting, indexed blindly, and shown masked.

Each record is encrypted under a data key of its own, and that key, wrapped by a master key of the platform,
lies in the same bytes. Whoever deletes the bytes has erased the data; what stays elsewhere is a blind index
(equal for equal people, and nothing else) and salted hashes in the chain (nothing without their salt, which
is deleted with the record).

The bytes: format 1 (1 byte), number of the master key (2), nonce and wrapped key (12 + 48), nonce and data
with its tag (12 + n + 16).

Source: NIST SP 800-38D (GCM; section 8.3: with random nonces one key seals at most 2**32 times, so rotate
before that), FIPS 198-1 (HMAC).
"""

import hashlib
import hmac
import json
import re
import secrets
import struct
import unicodedata
from collections.abc import Mapping
from functools import cached_property
from typing import Any, cast

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from foundation.chain import JSON, canonical
from foundation.errors import Damaged, InvalidInput
from foundation.secret import Secret, SecretFile

MASTER_KEY = "personal-data-key"
"""In the secrets file the master keys are named so, with their number: "personal-data-key-1"."""

INDEX_KEY = "personal-index-key"
REQUEST_KEY = "request-fingerprint-key"

_FORMAT = 1
_HEADER = struct.Struct(">BH")
_NONCE, _TAG, _KEY = 12, 16, 32
_SALT = 16
_WRAPPED = _HEADER.size + _NONCE + _KEY + _TAG
# A number so long or longer shows its ends; of a shorter one they would be most of it.
_SHOWS_ENDS = 8


class Vault:
    """Seals personal data and opens it; may be used by several threads.

    Args:
        secrets: holds the master keys, the key of the index and that of requests; the first of each is made
            on first use.
    """

    def __init__(self, secrets: SecretFile) -> None:
        self._secrets = secrets
        self._masters: dict[int, AESGCM] = {}

    def seal(self, values: Mapping[str, Any], context: str) -> bytes:
        """Values, encrypted.

        Args:
            values: plain JSON.
            context: the record they belong to, as "case/SC-2026-000001"; they open there and nowhere else.

        Raises:
            InvalidInput: they cannot be written as JSON.
        """
        try:
            written = json.dumps(dict(values), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
            return self._seal(written.encode(), f"values {context}")
        except (TypeError, ValueError) as error:
            raise InvalidInput(
                "The values cannot be written as JSON.",
                place=context,
                remedy="Write dates and amounts as text.",
            ) from error

    def open(self, blob: bytes, context: str) -> dict[str, Any]:
        """The values that `seal` was given.

        Raises:
            Damaged: the bytes or the context are not what was sealed, or their key is not here.
        """
        opened: dict[str, Any] = json.loads(self._open(blob, f"values {context}", context))
        return opened

    def seal_bytes(self, content: bytes, context: str) -> bytes:
        """A document, encrypted; see `seal`."""
        return self._seal(content, f"bytes {context}")

    def open_bytes(self, blob: bytes, context: str) -> bytes:
        """The document that `seal_bytes` was given.

        Raises:
            Damaged: the bytes or the context are not what was sealed, or their key is not here.
        """
        return self._open(blob, f"bytes {context}", context)

    def rewrap(self, blob: bytes, context: str) -> bytes:
        """The same data, its key wrapped by the newest master key.

        Raises:
            Damaged: the wrapped key or the context are not what was sealed, or the master key is not here.
        """
        for kind in ("values", "bytes"):
            try:
                data_key = self._unwrap(blob, f"{kind} {context}")
            except InvalidTag:
                continue
            return self._wrap(data_key, f"{kind} {context}") + blob[_WRAPPED:]
        raise _damaged(context)

    def subject(self, kind: str, identifier: str) -> bytes:
        """A blind index: 32 bytes, the same for the same person, by which all records of one are found.

        Args:
            kind: of the identifier, as "national-id"; the same number of another kind is another person.
            identifier: its digits in any script, spaces around it do not count.
        """
        digits = (str(unicodedata.decimal(c)) if c.isdecimal() else c for c in identifier.strip())
        return hmac.digest(self._index_key, json.dumps([kind, "".join(digits)]).encode(), "sha256")

    def keyed(self, digest: bytes) -> bytes:
        """A digest as it may be kept: 32 bytes, equal for equal digests, and nothing else without the key.

        Args:
            digest: of a text that names a person. Identifiers are few enough to try all of them against a
                plain one.
        """
        return hmac.digest(self._request_key, digest, "sha256")

    def _seal(self, content: bytes, bound: str) -> bytes:
        data_key, nonce = secrets.token_bytes(_KEY), secrets.token_bytes(_NONCE)
        body = AESGCM(data_key).encrypt(nonce, content, bound.encode())
        return self._wrap(data_key, bound) + nonce + body

    def _open(self, blob: bytes, bound: str, context: str) -> bytes:
        if len(blob) < _WRAPPED + _NONCE + _TAG:
            raise _damaged(context)
        nonce, body = blob[_WRAPPED : _WRAPPED + _NONCE], blob[_WRAPPED + _NONCE :]
        try:
            return AESGCM(self._unwrap(blob, bound)).decrypt(nonce, body, bound.encode())
        except InvalidTag as error:
            raise _damaged(context) from error

    def _wrap(self, data_key: bytes, bound: str) -> bytes:
        number = max(self._masters or self._known())
        header, nonce = _HEADER.pack(_FORMAT, number), secrets.token_bytes(_NONCE)
        return header + nonce + self._masters[number].encrypt(nonce, data_key, header + bound.encode())

    def _unwrap(self, blob: bytes, bound: str) -> bytes:
        # Every way in which it does not verify is one: which one it was helps only whoever forged it.
        if len(blob) < _WRAPPED:
            raise InvalidTag
        header, nonce = blob[: _HEADER.size], blob[_HEADER.size : _HEADER.size + _NONCE]
        version, number = _HEADER.unpack(header)
        # Another process may have added a key since this one looked.
        master = self._masters.get(number) or self._known().get(number)
        if version != _FORMAT or master is None:
            raise InvalidTag
        return master.decrypt(nonce, blob[_HEADER.size + _NONCE : _WRAPPED], header + bound.encode())

    def _known(self) -> dict[int, AESGCM]:
        numbers = _numbers(self._secrets) or [1]
        keys = {number: _master(self._secrets, number) for number in numbers}
        self._masters = {number: AESGCM(bytes.fromhex(key.reveal())) for number, key in keys.items()}
        return self._masters

    @cached_property
    def _index_key(self) -> bytes:
        return bytes.fromhex(self._secrets.get_or_make(INDEX_KEY, _new_key).reveal())

    @cached_property
    def _request_key(self) -> bytes:
        return bytes.fromhex(self._secrets.get_or_make(REQUEST_KEY, _new_key).reveal())


def rotate(secrets: SecretFile) -> int:
    """Add a master key, which new data is sealed under; what the older ones sealed still opens.

    A process that runs takes the new key when it first meets data sealed under it, or starts anew.

    Returns:
        The number of the new key.
    """
    number = max(_numbers(secrets), default=0) + 1
    _master(secrets, number)
    return number


def salted(value: JSON) -> tuple[bytes, str]:
    """What a chain may keep of a value: its salted hash. Without the salt nobody can try values against it.

    Returns:
        The salt, 16 bytes, to be kept with the value and deleted with it; and the hash in hex.

    Raises:
        InvalidInput: the value has no one spelling (see `foundation.chain.canonical`).

    Source: FIPS 180-4 (SHA-256).
    """
    salt = secrets.token_bytes(_SALT)
    return salt, _digest(value, salt)


def matches(value: JSON, salt: bytes, digest: str) -> bool:
    """Whether a hash of `salted` is of this value.

    Args:
        salt: the 16 bytes that came with it.
        digest: the hash in hex.
    """
    return hmac.compare_digest(_digest(value, salt).encode(), digest.encode())


def masked(text: str) -> str:
    """The text for people who need not see all of it: "10******40" of a number, "A**** S***" of a name."""
    return re.sub(r"\S+", lambda word: _masked_word(word[0]), text)


def _masked_word(word: str) -> str:
    if not any(character.isdecimal() for character in word):
        return word[0] + "*" * (len(word) - 1)
    if len(word) < _SHOWS_ENDS:
        return "*" * len(word)
    return f"{word[:2]}{'*' * (len(word) - 4)}{word[-2:]}"


def _digest(value: JSON, salt: bytes) -> str:
    # Any value has a canonical spelling; the type names only what an entry of a chain is.
    return hashlib.sha256(salt + canonical(cast("Mapping[str, JSON]", value))).hexdigest()


def _numbers(secrets: SecretFile) -> list[int]:
    found = (re.fullmatch(rf"{MASTER_KEY}-([1-9]\d*)", name) for name in secrets.names())
    return [int(name[1]) for name in found if name]


def _master(secrets: SecretFile, number: int) -> Secret:
    return secrets.get_or_make(f"{MASTER_KEY}-{number}", _new_key)


def _new_key() -> Secret:
    return Secret(secrets.token_hex(_KEY))


def _damaged(context: str) -> Damaged:
    return Damaged(
        "The personal data does not open: it was changed, is of another record, or its key is gone.",
        place=context,
        remedy="Restore the record, or the secrets file with its key, from one backup.",
        message_ar="تعذّر فتح البيانات الشخصية المحفوظة: إمّا عُدّلت، أو نُقلت من سجل آخر، أو فُقد مفتاحها.",
    )
