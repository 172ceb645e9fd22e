"""Keys in a hardware token: made in it, used in it, and never out of it (PKCS#11).

A token is reached by the module its maker ships, a shared library; Debian's SoftHSM is one in software. The
library is loaded once a process and asked by one thread at a time: it was told of no others (section 5.4).

Source: OASIS PKCS#11 specification 3.1; mechanisms: section 6.3 (elliptic curves).
"""

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pkcs11
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, ObjectClass
from pkcs11 import exceptions as pkcs11_errors
from pkcs11.types import SignMixin
from pkcs11.util.ec import encode_named_curve_parameters

from foundation.errors import Conflict, DeviceUnreachable, NotFound, RakeezaError, SettingsError
from foundation.secret import Secret, SecretFile
from foundation.settings import Settings
from foundation.wire.credential_keys import PublicKey

_UNCOMPRESSED = 4  # first byte of a point that is written as both its coordinates (SEC 1, section 2.3.3)
_COORDINATE = 32
_POINT = 1 + 2 * _COORDINATE
_OCTET_STRING = bytes((4, _POINT))
# Of the whole process: two tokens may be behind one module.
_ALONE = threading.Lock()

_REACH = "Check that the token is plugged in or reachable, and the module's own settings."
_PIN_REMEDY = "Set the right one with: rakeeza secret set NAME (a token locks itself after a few wrong ones)."


@dataclass(frozen=True)
class _Row:
    kind: type[RakeezaError]
    message: str
    remedy: str
    # Whether a new session may help: the one we have is gone.
    lost: bool = False


# The most specific class of the library that stands here decides; {detail} is what the library says of it.
ERRORS: dict[type[pkcs11.PKCS11Error], _Row] = {
    pkcs11_errors.PKCS11Error: _Row(DeviceUnreachable, "The token failed ({detail}).", _REACH, lost=True),
    pkcs11_errors.PinIncorrect: _Row(SettingsError, "The token refuses the PIN.", _PIN_REMEDY),
    pkcs11_errors.PinInvalid: _Row(SettingsError, "The token refuses the PIN.", _PIN_REMEDY),
    pkcs11_errors.PinLenRange: _Row(SettingsError, "The token refuses the PIN.", _PIN_REMEDY),
    pkcs11_errors.PinExpired: _Row(SettingsError, "The token's PIN has expired.", _PIN_REMEDY),
    pkcs11_errors.PinLocked: _Row(
        SettingsError,
        "The token has locked its PIN after too many wrong ones.",
        "Let its security officer set a new one.",
    ),
    pkcs11_errors.UserPinNotInitialized: _Row(
        SettingsError, "The token has no user's PIN yet.", "Let its security officer set one."
    ),
    pkcs11_errors.NoSuchToken: _Row(
        SettingsError, "No token of this name is there.", "Name one that is, in pkcs11.token, or plug it in."
    ),
    pkcs11_errors.MultipleTokensReturned: _Row(
        SettingsError, "Several tokens have this name.", "Give each a name of its own."
    ),
    # A session that outlived its token finds nothing either.
    pkcs11_errors.NoSuchKey: _Row(
        NotFound, "The token has no such key.", "Name the token that has it in pkcs11.token.", lost=True
    ),
    pkcs11_errors.MultipleObjectsReturned: _Row(
        Conflict, "The token has two keys of this name.", "Give one of them another name."
    ),
    pkcs11_errors.MechanismInvalid: _Row(
        SettingsError,
        "The token cannot do ECDSA on P-256.",
        "Use one that can, or licences.key_store = file.",
    ),
    pkcs11_errors.TokenWriteProtected: _Row(
        SettingsError, "The token takes no new keys.", "Take its write protection away."
    ),
    pkcs11_errors.DeviceMemory: _Row(SettingsError, "The token is full.", "Remove keys that are not used."),
}

Result = TypeVar("Result")


class Token:
    """A PKCS#11 token and its keys; may be used by several threads. Nothing is opened before it is needed.

    Args:
        module: the token's shared library.
        label: name of the token.
        pin: gives the user's PIN. It is asked at each login, and one that was refused is not tried again: a
            token locks itself after a few wrong ones.
    """

    def __init__(self, module: Path, label: str, pin: Callable[[], Secret]) -> None:
        self._module = module
        self._label = label
        self._pin = pin
        self._session: pkcs11.Session | None = None
        self._private: dict[str, SignMixin] = {}
        self._refused: tuple[Secret, RakeezaError] | None = None

    def __repr__(self) -> str:
        return f"Token({self._label!r})"

    @property
    def place(self) -> str:
        """Where errors say they happened."""
        return f"token {self._label}"

    def make_key(self, label: str, municipality: str) -> "TokenSigner":
        """A new key pair on P-256, made in the token, sensitive and not extractable.

        Args:
            label: its name in the token; no other key has it.
            municipality: code of the one that it signs for.

        Raises:
            Conflict: the token has a key of this name.
            SettingsError: the token, its module or its PIN cannot be used.
            DeviceUnreachable: the token does not answer.
        """
        self._run(lambda session: self._make(session, label))
        return self.signer(label, municipality)

    def signer(self, label: str, municipality: str) -> "TokenSigner":
        """The key of this name. The token must hold its public half, too.

        Args:
            municipality: code of the one that it signs for.

        Raises:
            NotFound: the token has no such key.
            SettingsError: the token, its module, its PIN or the key cannot be used.
            DeviceUnreachable: the token does not answer.
        """
        point = self._run(lambda session: self._point(session, label))
        try:
            public = PublicKey(*coordinates(point), municipality)
        except ValueError as error:
            raise SettingsError(
                "The key in the token is not on the curve P-256.",
                place=f"{self.place}, key {label}",
                remedy="Let rakeeza make its own: rakeeza keys rotate",
            ) from error
        return TokenSigner(public, self, label)

    def labels(self) -> list[str]:
        """The names of the private keys in the token, sorted.

        Raises:
            SettingsError: the token, its module or its PIN cannot be used.
            DeviceUnreachable: the token does not answer.
        """

        def read(session: pkcs11.Session) -> list[str]:
            keys = session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})
            return sorted(str(key[Attribute.LABEL]) for key in keys)

        return self._run(read)

    def check(self) -> None:
        """Log in, to see whether it can be used; raises as `make_key` does."""
        self._run(lambda _session: None)

    def sign(self, label: str, data: bytes) -> bytes:
        """The signature of a key over data: ECDSA with SHA-256, r and s, 32 bytes each.

        Raises as `signer` does.
        """
        # The plain mechanism on a hash of our own: not every token knows ECDSA with SHA-256 as one.
        digest = hashlib.sha256(data).digest()

        def signed(session: pkcs11.Session) -> bytes:
            signature: bytes = self._key(session, label).sign(digest, mechanism=Mechanism.ECDSA)
            return signature

        return self._run(signed)

    def close(self) -> None:
        """End the session; the next call opens another."""
        with _ALONE:
            self._drop()

    def _make(self, session: pkcs11.Session, label: str) -> None:
        known = session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY, Attribute.LABEL: label})
        if list(known):
            raise Conflict(
                "The token has a key of this name.",
                place=f"{self.place}, key {label}",
                remedy="Name another.",
            )
        curve = session.create_domain_parameters(
            KeyType.EC, {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}, local=True
        )
        curve.generate_keypair(
            id=hashlib.sha256(label.encode()).digest()[:8],
            label=label,
            store=True,
            capabilities=MechanismFlag.SIGN | MechanismFlag.VERIFY,
            private_template={
                Attribute.PRIVATE: True,
                Attribute.SENSITIVE: True,
                Attribute.EXTRACTABLE: False,
            },
        )

    def _point(self, session: pkcs11.Session, label: str) -> bytes:
        # Both halves: a public key whose private one is elsewhere signs nothing.
        self._key(session, label)
        public = session.get_key(ObjectClass.PUBLIC_KEY, KeyType.EC, label)
        point: bytes = public[Attribute.EC_POINT]
        return point

    def _key(self, session: pkcs11.Session, label: str) -> SignMixin:
        if label not in self._private:
            key = session.get_key(ObjectClass.PRIVATE_KEY, KeyType.EC, label)
            assert isinstance(key, SignMixin), "the template asked for a key that signs"
            self._private[label] = key
        return self._private[label]

    def _run(self, work: Callable[[pkcs11.Session], Result]) -> Result:
        with _ALONE:
            for again in (True, False):
                try:
                    return work(self._opened())
                except pkcs11.PKCS11Error as error:
                    row = _row(error)
                    if row.lost:
                        self._drop()
                    if not (row.lost and again):
                        raise self._translated(error) from error
        raise AssertionError("the second time either returns or raises")

    def _opened(self) -> pkcs11.Session:
        if self._session is None:
            pin = self._pin()
            if self._refused is not None and self._refused[0] == pin:
                raise self._refused[1]
            try:
                self._session = self._login(pin)
            except pkcs11.PKCS11Error as error:
                if _row(error).remedy == _PIN_REMEDY:
                    self._refused = (pin, self._translated(error))
                raise
        return self._session

    def _login(self, pin: Secret) -> pkcs11.Session:
        if not self._module.is_file():
            raise SettingsError(
                "The token's module is not there.",
                place=str(self._module),
                remedy="Install it, or name another in pkcs11.module.",
            )
        try:
            library = pkcs11.lib(str(self._module))
        except pkcs11.PKCS11Error as error:
            raise SettingsError(
                f"The token's module does not start ({_detail(error)}).",
                place=str(self._module),
                remedy="Name the right one in pkcs11.module, and set it up as its maker says.",
            ) from error
        token = library.get_token(token_label=self._label)
        try:
            return token.open(rw=True, user_pin=pin.reveal())
        except pkcs11_errors.UserAlreadyLoggedIn:
            # By another session of this process: a login is the whole process's.
            return token.open(rw=True)

    def _drop(self) -> None:
        session, self._session = self._session, None
        self._private = {}
        if session is not None:
            try:
                session.close()
            except pkcs11.PKCS11Error:
                # It was gone already, with the token or its connection.
                return

    def _translated(self, error: pkcs11.PKCS11Error) -> RakeezaError:
        row = _row(error)
        return row.kind(
            row.message.format(detail=_detail(error)),
            place=self.place,
            remedy=row.remedy,
            message_ar="جهاز مفاتيح التوقيع لا يعمل الآن." if row.kind is DeviceUnreachable else "",
        )


@dataclass(frozen=True)
class TokenSigner:
    """A key in a token, as a `Signer`.

    Args:
        public: its public half.
        token: where it lies.
        label: its name there.
    """

    public: PublicKey
    token: Token
    label: str

    @property
    def municipality(self) -> str:
        """Code of the municipality that it signs for."""
        return self.public.municipality

    def sign(self, data: bytes) -> bytes:
        """The signature over the data; see `Token.sign`."""
        return self.token.sign(self.label, data)


def token_of(settings: Settings, secrets: SecretFile) -> Token:
    """The token that the settings name.

    Raises:
        SettingsError: they name none.
    """
    module, label = settings.pkcs11.module, settings.pkcs11.token
    if module is None or label is None:
        raise SettingsError(
            "No token is named.",
            place="pkcs11",
            remedy="Name its module and its label in pkcs11.module and pkcs11.token.",
        )
    return Token(module, label, lambda: secrets.get(settings.pkcs11.pin_secret))


def coordinates(point: bytes) -> tuple[bytes, bytes]:
    """The coordinates of a point on P-256, as a token gives it.

    Args:
        point: as the standard has it, in DER; some tokens give it bare.

    Raises:
        ValueError: it is none.

    Source: OASIS PKCS#11 specification 3.1, section 6.3.3 (CKA_EC_POINT).
    """
    # By its length: a bare point, too, may begin with what is the frame of the other.
    bare = point.removeprefix(_OCTET_STRING) if len(point) == len(_OCTET_STRING) + _POINT else point
    if len(bare) != _POINT or bare[0] != _UNCOMPRESSED:
        raise ValueError("no uncompressed point of a curve of 256 bits")
    return bare[1 : 1 + _COORDINATE], bare[1 + _COORDINATE :]


def _row(error: pkcs11.PKCS11Error) -> _Row:
    return next(ERRORS[kind] for kind in type(error).__mro__ if kind in ERRORS)


def _detail(error: pkcs11.PKCS11Error) -> str:
    return str(error).rstrip(".") or type(error).__name__
