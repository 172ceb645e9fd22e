"""Signed answers of back-ends: whether an answer is by one of the keys that the settings name.

A detached JWS stands in the header `x-jws-signature` and is over the body's own bytes; an HTTP signature
covers at least the status and the body's digest, and is of this moment. That an answer is to this question,
its body says.

Source: RFC 7515, appendix F, and RFC 7797 (detached JWS), RFC 9421 and RFC 9530 (HTTP signatures).
"""

import base64
import binascii
import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from cryptography.x509 import load_pem_x509_certificate

from foundation.errors import Damaged, InvalidInput, SettingsError
from foundation.wire.content_digest import check_digest
from foundation.wire.http_signature import (
    ECDSA,
    ED25519,
    PSS,
    RSA,
    SHORTEST_RSA,
    Message,
    PublicKey,
    Signed,
    holds,
    read_inputs,
    read_signatures,
    signature_base,
)

JWS_HEADER = "x-jws-signature"

ALGORITHMS = {"ES256": ECDSA, "RS256": RSA, "PS512": PSS, "EdDSA": ED25519}
"""Algorithms of a JWS (RFC 7518, RFC 8037), under their names in HTTP signatures."""

COVERED = frozenset({"@status", "content-digest"})
"""What an HTTP signature over an answer covers at least."""
OLDEST, AHEAD = timedelta(seconds=300), timedelta(seconds=60)
"""How old an HTTP signature may be, and how far its clock ahead of ours."""

_BLOCK = re.compile(r"-----BEGIN ([A-Z ]+)-----.*?-----END \1-----", re.DOTALL)

Scheme = Literal["jws", "http"]
Fields = Sequence[tuple[str, str]]


def read_keys(file: Path) -> tuple[PublicKey, ...]:
    """The public keys of a PEM file: keys, and those of certificates; at least one.

    Raises:
        SettingsError: it cannot be read, or has something else.
    """
    try:
        blocks = list(_BLOCK.finditer(file.read_text(encoding="ascii")))
        keys = tuple(_key(block[1], block[0].encode()) for block in blocks)
    except (OSError, ValueError) as error:
        raise _unusable(file) from error
    if not keys:
        raise _unusable(file)
    return keys


def check(
    scheme: Scheme, status: int, fields: Fields, body: bytes, keys: Sequence[PublicKey], now: datetime
) -> None:
    """Hold an answer against its signature.

    Args:
        status, fields, body: the answer, as it was received.
        keys: one of them has signed.
        now: aware; an HTTP signature is of about this moment.

    Raises:
        Damaged: there is no signature, or it is not one by these keys over this answer.
    """
    try:
        good = _by_jws(fields, body, keys) if scheme == "jws" else _by_http(status, fields, body, keys, now)
    except InvalidInput as error:
        raise _wrong() from error
    if not good:
        raise _wrong()


def is_of_now(signed: Signed, now: datetime) -> bool:
    """Whether an HTTP signature was made just now, and holds still."""
    if signed.created is None or not now - OLDEST <= signed.created <= now + AHEAD:
        return False
    return signed.expires is None or signed.expires > now


def _by_jws(fields: Fields, body: bytes, keys: Sequence[PublicKey]) -> bool:
    values = [value for name, value in fields if name.lower() == JWS_HEADER]
    if len(values) != 1:
        return False
    protected, _, rest = values[0].partition(".")
    payload, _, signature = rest.partition(".")
    try:
        header = json.loads(_unpacked(protected), object_pairs_hook=_once_each)
        signed = _unpacked(signature)
    except (ValueError, RecursionError):
        return False
    # RFC 7797, section 6: whoever does not know `b64` must refuse, and so must we what we do not know.
    if payload or not isinstance(header, dict) or header.get("b64") is not False:
        return False
    if header.get("crit") != ["b64"]:
        return False
    alg = header.get("alg")
    if not isinstance(alg, str) or alg not in ALGORITHMS:
        return False
    return _is_by_one(protected.encode() + b"." + body, signed, keys, ALGORITHMS[alg])


def _by_http(status: int, fields: Fields, body: bytes, keys: Sequence[PublicKey], now: datetime) -> bool:
    message = Message(None, None, fields, status)
    inputs = read_inputs(_joined(message, "signature-input"))
    signatures = read_signatures(_joined(message, "signature"))
    good = any(
        label in signatures and _is_good(message, signed, signatures[label], keys, now)
        for label, signed in inputs.items()
    )
    if good:
        check_digest(_joined(message, "content-digest"), body)
    return good


def _is_good(
    message: Message, signed: Signed, signature: bytes, keys: Sequence[PublicKey], now: datetime
) -> bool:
    if not signed.names >= COVERED or not is_of_now(signed, now):
        return False
    return _is_by_one(signature_base(message, signed), signature, keys, signed.alg)


def _is_by_one(base: bytes, signature: bytes, keys: Sequence[PublicKey], alg: str | None) -> bool:
    for key in keys:
        try:
            if holds(base, signature, key, alg):
                return True
        except InvalidInput:
            # The algorithm is not one of this key; of the next it may be.
            continue
    return False


def _joined(message: Message, name: str) -> str:
    return ", ".join(message.lines(name))


def _unpacked(text: str) -> bytes:
    # RFC 7515, section 2: base64url without padding, and nothing else.
    if not re.fullmatch(r"[A-Za-z0-9_-]*", text):
        raise ValueError("no base64url")
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error as error:
        raise ValueError("no base64url") from error


def _once_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands twice")
    return found


def _key(kind: str, pem: bytes) -> PublicKey:
    if kind not in ("CERTIFICATE", "PUBLIC KEY"):
        # A private key of the back-end has no business here.
        raise ValueError(kind)
    key = load_pem_x509_certificate(pem).public_key() if kind == "CERTIFICATE" else load_pem_public_key(pem)
    if isinstance(key, ed25519.Ed25519PublicKey):
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1):
        return key
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= SHORTEST_RSA:
        return key
    raise ValueError(kind)


def _unusable(file: Path) -> SettingsError:
    return SettingsError(
        "The keys of a back-end's answers cannot be used.",
        place=str(file),
        remedy="Give PEM with public keys or certificates: P-256, RSA from 2048 bits on, or Ed25519.",
    )


def _wrong() -> Damaged:
    return Damaged(
        "The answer is not signed by the back-end's key.",
        remedy="Ask the back-end; if its key is new, put it into the file that answer_keys names.",
        message_ar="جواب الجهة الأخرى غير موقّع بمفتاحها.",
    )
