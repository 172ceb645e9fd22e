"""Where the private half of a signing key lies: in the secrets file, or in a hardware token."""

import secrets as random
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from cwt import CWTError

from foundation.errors import NotFound, SettingsError
from foundation.pkcs11 import Token, token_of
from foundation.secret import SecretFile
from foundation.settings import Settings
from foundation.wire.credential_keys import LICENCE_KEY, PublicKey, Signer, SigningKey, licence_key

Store = Literal["file", "pkcs11"]

_PROBE = b"rakeeza: is this key what it says?"


@dataclass(frozen=True)
class Made:
    """A key that was just made, or found.

    Args:
        signer: signs with it.
        store: where its private half lies.
        label: its name there.
    """

    signer: Signer
    store: Store
    label: str


class KeyStores:
    """The places that signing keys lie in. Nothing is opened before it is needed.

    Args:
        settings: where new keys are made, and which token is ours.
        secrets: the platform's secrets file.
    """

    def __init__(self, settings: Settings, secrets: SecretFile) -> None:
        self._settings = settings
        self._secrets = secrets

    def first(self, municipality: str) -> Made:
        """The key that signed here before keys were kept in a table, or the first one there is.

        Of several processes that ask together, all get the same from the secrets file.

        Raises:
            SettingsError: the secrets file or the token cannot be used.
            DeviceUnreachable: the token does not answer.
        """
        known = self._secrets.exists() and LICENCE_KEY in self._secrets.names()
        if known or self._settings.licences.key_store == "file":
            return Made(licence_key(self._secrets, municipality), "file", LICENCE_KEY)
        return self.make(municipality)

    def make(self, municipality: str) -> Made:
        """A new key where the settings say, and it signs: one that does not must not be published.

        Raises as `first` does.
        """
        made = self._in_token(municipality) if self._in_use_is_token else self._in_file(municipality)
        _check(made)
        return made

    def open(self, public: PublicKey, store: Store, label: str) -> Signer:
        """A key that was made before.

        Raises:
            SettingsError: its private half is not here, or is another's.
            DeviceUnreachable: the token does not answer.
        """
        try:
            if store == "pkcs11":
                signer: Signer = self._token.signer(label, public.municipality)
            else:
                signer = SigningKey.from_pem(self._secrets.get(label), public.municipality, label)
        except NotFound as error:
            where = "the token" if store == "pkcs11" else "the secrets file of this machine"
            raise _not_ours(f"The signing key {public.kid.hex()} is not in {where}.", store, label) from error
        if signer.public.kid != public.kid:
            raise _not_ours(
                f"Under the name of the signing key {public.kid.hex()} lies {signer.public.kid.hex()}.",
                store,
                label,
            )
        return signer

    def unknown(self, known: Collection[tuple[Store, str]]) -> list[tuple[Store, str]]:
        """Private keys of licences that lie here and stand in no table: of a rotation that was cut short.

        They sign nothing and nobody trusts them; whoever reads the store could sign with them all the same.

        Args:
            known: store and name of each key in the table.

        Raises as `first` does.
        """
        kept = self._secrets.names() if self._secrets.exists() else []
        found: list[tuple[Store, str]] = [("file", name) for name in kept]
        if self._in_use_is_token or any(store == "pkcs11" for store, _ in known):
            found += [("pkcs11", name) for name in self._token.labels()]
        return [
            each
            for each in found
            if each not in known and (each[1] == LICENCE_KEY or each[1].startswith(f"{LICENCE_KEY}/"))
        ]

    @property
    def _in_use_is_token(self) -> bool:
        return self._settings.licences.key_store == "pkcs11"

    @cached_property
    def _token(self) -> Token:
        return token_of(self._settings, self._secrets)

    def _in_file(self, municipality: str) -> Made:
        key = SigningKey.generate(municipality)
        label = f"{LICENCE_KEY}/{key.public.kid.hex()}"
        self._secrets.set(label, key.to_pem())
        return Made(key, "file", label)

    def _in_token(self, municipality: str) -> Made:
        # Its identifier is known once it is made, and not every token lets a key be renamed.
        label = f"{LICENCE_KEY}/{random.token_hex(8)}"
        return Made(self._token.make_key(label, municipality), "pkcs11", label)


def _check(made: Made) -> None:
    try:
        made.signer.public.cose.verify(_PROBE, made.signer.sign(_PROBE))
    except (CWTError, ValueError) as error:
        raise SettingsError(
            "The new key's signatures do not hold; it is not used.",
            place=f"{made.store}, key {made.label}",
            remedy="Use another token, or licences.key_store = file.",
        ) from error


def _not_ours(message: str, store: Store, label: str) -> SettingsError:
    here = "secrets.json and secrets.key" if store == "file" else "the token, or its backup,"
    return SettingsError(
        message,
        place=f"{'secret' if store == 'file' else 'token key'} {label}",
        remedy=(
            f"Bring {here} of the machine that made it; if it is lost, sign with a new one: "
            "rakeeza keys rotate --overlap 0"
        ),
        message_ar="مفتاح توقيع الرخص غير موجود في هذا الجهاز.",
    )
