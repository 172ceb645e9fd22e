"""The format of ansible-vault: sealing, opening, and finding sealed values within other text.

Source: Ansible documentation, "Ansible Vault payload format" 1.1 and 1.2 (the latter names a vault id).
"""

import re
from binascii import Error as NotHexadecimal
from binascii import hexlify, unhexlify
from collections.abc import Iterator
from dataclasses import dataclass
from secrets import token_bytes

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
from cryptography.hazmat.primitives.padding import PKCS7

from foundation.errors import DefinitionError
from foundation.secret import Secret

DEFAULT_ID = "default"

_MARK = b"$ANSIBLE_VAULT"
_ITERATIONS, _KEY, _BLOCK, _WIDTH = 10_000, 32, 16, 80
_HEADER = re.compile(rb"\$ANSIBLE_VAULT;(1\.1;AES256|1\.2;AES256;([\w.@+-]{1,100}))[ \t]*", re.ASCII)
# The lines below a header as they stand in a YAML block; or in a quoted scalar, with its escapes.
_BODY = re.compile(rb"(?:[ \t]*\r?\n[ \t]*[0-9a-fA-F]+(?=[ \t]*(?:\r?\n|\Z)))+|(?:\\n[0-9a-fA-F]+)+")


@dataclass(frozen=True)
class Sealed:
    """Something sealed, where it was found.

    Args:
        content: header and body, as `open_sealed` takes it.
        vault_id: names its password; `default` where the header names none.
        line: where it begins, from 1.
    """

    content: bytes
    vault_id: str
    line: int


def is_sealed(content: bytes) -> bool:
    """Whether a whole file is sealed by ansible-vault, or was meant to be."""
    return content.startswith(_MARK)


def seal(plain: bytes, password: Secret, vault_id: str = DEFAULT_ID) -> bytes:
    """Seal something as `ansible-vault encrypt` does.

    Args:
        plain: what to seal.
        password: of the vault.
        vault_id: names that password to its reader.
    """
    salt = token_bytes(32)
    key, mac_key, counter = _keys(password, salt)
    padder = PKCS7(_BLOCK * 8).padder()
    encryptor = Cipher(AES(key), CTR(counter)).encryptor()
    box = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
    mac = HMAC(mac_key, SHA256())
    mac.update(box)
    body = hexlify(b"\n".join(hexlify(part) for part in (salt, mac.finalize(), box)))
    header = b"1.1;AES256" if vault_id == DEFAULT_ID else b"1.2;AES256;" + vault_id.encode("ascii")
    lines = [body[start : start + _WIDTH] for start in range(0, len(body), _WIDTH)]
    return b"\n".join([_MARK + b";" + header, *lines, b""])


def open_sealed(sealed: bytes, password: Secret, place: str) -> bytes:
    """What was sealed.

    Args:
        sealed: the whole file, header first.
        password: of the vault that its header names.
        place: where it stands, for the error.

    Raises:
        DefinitionError: it is not of this format, or damaged, or of another password; the error never holds
            anything of the content.
    """
    vault_id = sealed_id(sealed, place)
    try:
        salt, mac, box = map(unhexlify, unhexlify(b"".join(sealed.split()[1:])).split(b"\n", 2))
    except (NotHexadecimal, ValueError):
        raise _damaged(place) from None
    if len(salt) < _BLOCK or len(mac) != SHA256.digest_size or not box or len(box) % _BLOCK:
        raise _damaged(place)
    key, mac_key, counter = _keys(password, salt)
    check = HMAC(mac_key, SHA256())
    check.update(box)
    try:
        check.verify(mac)
        decryptor = Cipher(AES(key), CTR(counter)).decryptor()
        unpadder = PKCS7(_BLOCK * 8).unpadder()
        return unpadder.update(decryptor.update(box) + decryptor.finalize()) + unpadder.finalize()
    except (InvalidSignature, ValueError):
        raise DefinitionError(
            f"It does not open with the password of the vault {vault_id!r}: it was sealed with another one,"
            " or changed since.",
            place=place,
            remedy=f"Keep the right one with: rakeeza secret set {password_name(vault_id)}",
        ) from None


def sealed_id(sealed: bytes, place: str) -> str:
    """The vault id of a sealed file.

    Raises:
        DefinitionError: it does not begin as a sealed file does.
    """
    match = _HEADER.fullmatch(sealed.partition(b"\n")[0].rstrip(b"\r"))
    if match is None:
        if is_sealed(sealed):
            raise _damaged(place)
        raise DefinitionError(
            "The file is not sealed by ansible-vault.",
            place=place,
            remedy=f"Seal it with: ansible-vault encrypt {place}",
        )
    return _id_of(match)


def password_name(vault_id: str) -> str:
    """The name under which the platform's secrets keep the password of a vault."""
    return f"vault-password-{vault_id}"


def find_sealed(content: bytes) -> Iterator[Sealed]:
    """Everything sealed within a file: the file itself, or values of a YAML file marked `!vault`.

    A header without anything sealed below it, as in a comment, is none.
    """
    for header in _HEADER.finditer(content):
        body = _BODY.match(content, header.end())
        if body is not None:
            lines = body[0].replace(rb"\n", b" ").split()
            line = content.count(b"\n", 0, header.start()) + 1
            yield Sealed(b"\n".join([header[0].strip(), *lines, b""]), _id_of(header), line)


def _id_of(header: "re.Match[bytes]") -> str:
    return (header[2] or DEFAULT_ID.encode()).decode("ascii")


def _keys(password: Secret, salt: bytes) -> tuple[bytes, bytes, bytes]:
    derived = PBKDF2HMAC(SHA256(), 2 * _KEY + _BLOCK, salt, _ITERATIONS).derive(password.reveal().encode())
    return derived[:_KEY], derived[_KEY : 2 * _KEY], derived[2 * _KEY :]


def _damaged(place: str) -> DefinitionError:
    return DefinitionError(
        "The file is damaged: it begins as ansible-vault seals, and does not go on so.",
        place=place,
        remedy="Restore it from its history, or seal it again.",
    )
