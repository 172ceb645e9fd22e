"""The keys of licence credentials: what signs for a municipality, and the public keys anyone may hold.

The first signing key is made on first use and lies in the secrets file. The public keys are a JWK Set, served
under `/.well-known/rakeeza-keys.json`: with that file a licence is checked without any network.
"""

import base64
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cwt import COSEKey
from cwt.cose_key_interface import COSEKeyInterface

from foundation.errors import Malformed, SettingsError
from foundation.secret import Secret, SecretFile

LICENCE_KEY = "licence-signing-key"
"""Name of the first signing key in the secrets file; later ones have theirs behind it and a stroke."""

KEYS_FILE = "rakeeza-keys.json"
"""Name of the file of public keys, in the platform's folder and under `/.well-known/`."""

_BYTES = 32  # one coordinate of P-256
_ES256 = ec.ECDSA(hashes.SHA256())
_LATEST = datetime(9999, 12, 31, tzinfo=UTC).timestamp()


@dataclass(frozen=True)
class PublicKey:
    """A public key and what it may speak for.

    Args:
        x: first coordinate on P-256, 32 bytes.
        y: second coordinate, 32 bytes.
        municipality: code of the only municipality whose credentials it verifies.
        not_before: aware; a credential issued earlier is refused. None: no bound.
        not_after: aware; a credential issued later is refused. None: no bound.
        revoked_at: aware; since then nothing it signed is believed, whenever that says it was signed: whoever
            has a stolen key writes what date he likes. None: it is not revoked.

    Its `kid` is the first 8 bytes of its JWK thumbprint, its `cose` the key as the COSE library takes it.

    Raises:
        ValueError: this is no point of the curve.

    Source: RFC 7638, section 3 (thumbprint); RFC 9053, section 7.1.1 (COSE key).
    """

    x: bytes
    y: bytes
    municipality: str
    not_before: datetime | None = None
    not_after: datetime | None = None
    revoked_at: datetime | None = None

    kid: bytes = field(init=False)
    cose: COSEKeyInterface = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Built now, so that a point off the curve is refused with the key and not at its first credential.
        object.__setattr__(self, "kid", _thumbprint(self.x, self.y)[:8])
        params = {1: 2, 2: self.kid, 3: -7, -1: 1, -2: self.x, -3: self.y}
        object.__setattr__(self, "cose", COSEKey.new(params))

    def covers(self, moment: datetime) -> bool:
        """Whether a credential issued at this moment may be signed by this key."""
        early = self.not_before is not None and moment < self.not_before
        late = self.not_after is not None and moment > self.not_after
        return not early and not late

    def to_jwk(self) -> dict[str, Any]:
        """The key as a JWK; its additional members `iss`, `nbf` and `exp` mean what they mean in a JWT.

        `revoked_at` is a member of ours, seconds like those two.

        Source: RFC 7517, section 4; RFC 7518, section 6.2.1.
        """
        jwk: dict[str, Any] = {
            "kty": "EC",
            "crv": "P-256",
            "x": _text(self.x),
            "y": _text(self.y),
            "kid": _text(self.kid),
            "use": "sig",
            "alg": "ES256",
            "iss": self.municipality,
        }
        if self.not_before is not None:
            jwk["nbf"] = int(self.not_before.timestamp())
        if self.not_after is not None:
            jwk["exp"] = int(self.not_after.timestamp())
        if self.revoked_at is not None:
            jwk["revoked_at"] = int(self.revoked_at.timestamp())
        return jwk


class Signer(Protocol):
    """Whatever holds a municipality's private key and signs with it: a file, a hardware token.

    Args:
        public: the public half; its `kid` names the key in what it signs.
        municipality: code of the municipality whose key it is.
    """

    @property
    def public(self) -> PublicKey: ...

    @property
    def municipality(self) -> str: ...

    def sign(self, data: bytes) -> bytes:
        """The signature over the data: r and s of ECDSA with SHA-256, 32 bytes each, one after the other.

        Source: RFC 9053, section 2.1.
        """
        ...


class SigningKey:
    """A private key in memory that signs credentials (ES256: ECDSA on P-256 with SHA-256)."""

    def __init__(self, private: ec.EllipticCurvePrivateKey, municipality: str) -> None:
        self._private = private
        self.municipality = municipality
        numbers = private.public_key().public_numbers()
        self.public = PublicKey(
            numbers.x.to_bytes(_BYTES, "big"), numbers.y.to_bytes(_BYTES, "big"), municipality
        )

    def __repr__(self) -> str:
        return f"SigningKey(kid={self.public.kid.hex()}, municipality={self.municipality!r})"

    @classmethod
    def generate(cls, municipality: str) -> "SigningKey":
        """A new key from the system's random source."""
        return cls(ec.generate_private_key(ec.SECP256R1()), municipality)

    @classmethod
    def from_pem(cls, pem: Secret, municipality: str, name: str = LICENCE_KEY) -> "SigningKey":
        """The key from its PEM form (PKCS #8).

        Args:
            pem: the key.
            municipality: code of the one that it signs for.
            name: of the secret, for the reader of an error.

        Raises:
            SettingsError: this is no unencrypted P-256 private key.
        """
        try:
            private = load_pem_private_key(pem.reveal().encode(), password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise _unusable("it is no unencrypted PEM private key", name) from error
        if not isinstance(private, ec.EllipticCurvePrivateKey) or not isinstance(private.curve, ec.SECP256R1):
            raise _unusable("it is not on the curve P-256", name)
        return cls(private, municipality)

    def sign(self, data: bytes) -> bytes:
        """The signature over the data, as a `Signer` gives it."""
        r, s = decode_dss_signature(self._private.sign(data, _ES256))
        return r.to_bytes(_BYTES, "big") + s.to_bytes(_BYTES, "big")

    def to_pem(self) -> Secret:
        """The key in PEM form (PKCS #8), as the secrets file keeps it."""
        pem = self._private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return Secret(pem.decode())

    @cached_property
    def cose(self) -> COSEKeyInterface:
        """The key as COSE takes it."""
        d = self._private.private_numbers().private_value.to_bytes(_BYTES, "big")
        public = self.public
        return COSEKey.new({1: 2, 2: public.kid, 3: -7, -1: 1, -2: public.x, -3: public.y, -4: d})


def _unusable(reason: str, name: str) -> SettingsError:
    return SettingsError(
        f"The signing key of licences cannot be used: {reason}.",
        place=f"secret {name}",
        remedy="Restore the secrets file from its backup.",
    )


class KeySet:
    """Public keys by identifier.

    Args:
        keys: the keys; of two with one identifier the later is kept.

    Source: RFC 7517, section 5 (JWK Set).
    """

    def __init__(self, keys: Iterable[PublicKey]) -> None:
        self._keys = {key.kid: key for key in keys}

    def __iter__(self) -> Iterator[PublicKey]:
        return iter(self._keys.values())

    def __len__(self) -> int:
        return len(self._keys)

    def get(self, kid: bytes) -> PublicKey | None:
        """The key with this identifier, if it is in the set."""
        return self._keys.get(kid)

    def to_json(self) -> str:
        """The set as a JWK Set, the body of `/.well-known/rakeeza-keys.json`."""
        return json.dumps({"keys": [key.to_jwk() for key in self]}, ensure_ascii=False, indent=2)

    @classmethod
    def from_json(cls, text: str, place: str = "key set") -> "KeySet":
        """The set from a JWK Set. Keys for another purpose are passed over, as the standard asks.

        Args:
            text: JSON.
            place: what errors call it.

        Raises:
            Malformed: this is no JWK Set, a key in it is damaged, or none in it can verify a credential.
        """
        remedy = "Get it again from /.well-known/rakeeza-keys.json of the municipality."
        try:
            rows = json.loads(text)["keys"]
            keys = [_public_key(row) for row in rows if _is_for_us(row)]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            detail = "a member is missing" if isinstance(error, KeyError) else "it is damaged"
            raise Malformed(
                f"This is no usable set of keys: {detail}.", place=place, remedy=remedy
            ) from error
        if not keys:
            raise Malformed("No key in it can verify a licence.", place=place, remedy=remedy)
        return cls(keys)


def _is_for_us(row: Mapping[str, Any]) -> bool:
    return (
        row.get("kty") == "EC"
        and row.get("crv") == "P-256"
        and row.get("use", "sig") == "sig"
        and row.get("alg", "ES256") == "ES256"
        and "iss" in row
    )


def _public_key(row: Mapping[str, Any]) -> PublicKey:
    municipality = row["iss"]
    if not isinstance(municipality, str) or not municipality:
        raise ValueError("iss")
    key = PublicKey(
        _bytes(row["x"]),
        _bytes(row["y"]),
        municipality,
        *(_moment(row.get(name)) for name in ("nbf", "exp", "revoked_at")),
    )
    # A key under another's name would make good licences look forged, far from the cause.
    if _bytes(row["kid"]) != key.kid:
        raise ValueError("kid")
    return key


def _moment(value: Any) -> datetime | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LATEST:
        raise ValueError("NumericDate")
    return datetime.fromtimestamp(value, UTC)


def _thumbprint(x: bytes, y: bytes) -> bytes:
    members = {"crv": "P-256", "kty": "EC", "x": _text(x), "y": _text(y)}
    return hashlib.sha256(json.dumps(members, separators=(",", ":")).encode()).digest()


def _text(data: bytes) -> str:
    # base64url without padding: RFC 7515, section 2.
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if _text(data) != text:
        raise ValueError("base64url")
    return data


def licence_key(secrets: SecretFile, municipality: str) -> SigningKey:
    """The municipality's signing key, made and kept on first use.

    Of several processes that start together, one makes the key and all of them use that one.

    Args:
        secrets: the platform's secrets file.
        municipality: code of the municipality that issues.

    Raises:
        SettingsError: the secrets file or the key in it cannot be used.
    """
    pem = secrets.get_or_make(LICENCE_KEY, lambda: SigningKey.generate(municipality).to_pem())
    return SigningKey.from_pem(pem, municipality)


def trusted_keys(secrets: SecretFile, municipality: str, file: Path) -> KeySet:
    """The public keys this machine trusts: those of its file of keys, and its own first while that has none.

    Nothing is made by asking. Once the file speaks for the municipality, a private key that lies here makes
    nothing trusted: it may have been retired since, or it was never published.

    Args:
        secrets: the platform's secrets file.
        municipality: code of the municipality that issues here.
        file: a JWK Set, brought up to date by `key_file.keep_keys`; it need not exist.

    Returns:
        The keys; none where neither has any.

    Raises:
        Malformed: the file is no JWK Set.
        SettingsError: the file or the secrets cannot be read.
    """
    keys = list(read_keys(file)) if file.exists() else []
    spoken_for = any(key.municipality == municipality for key in keys)
    if not spoken_for and secrets.exists() and LICENCE_KEY in secrets.names():
        keys.append(SigningKey.from_pem(secrets.get(LICENCE_KEY), municipality).public)
    return KeySet(keys)


def read_keys(file: Path) -> KeySet:
    """The public keys in a file.

    Raises:
        Malformed: it is no JWK Set.
        SettingsError: it cannot be read.
    """
    try:
        return KeySet.from_json(file.read_text(encoding="utf-8"), str(file))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"The public keys cannot be read ({error}).", place=str(file), remedy="Export them again."
        ) from error
