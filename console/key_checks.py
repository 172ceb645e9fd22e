"""What `rakeeza doctor` says of the signing keys of licences."""

from collections.abc import Sequence
from dataclasses import dataclass

from foundation.database import open_database, pending
from foundation.errors import DatabaseUnavailable, SettingsError
from foundation.pkcs11 import token_of
from foundation.settings import Settings
from foundation.wire.credential_keys import KEYS_FILE, LICENCE_KEY, SigningKey, trusted_keys
from integrations.licences.key_stores import KeyStores
from integrations.licences.keyring import Keyring
from integrations.licences.reissue import Progress, progress
from integrations.licences.signing_keys import Key, State


def look_at_keys(settings: Settings) -> tuple[str, str]:
    """The state of the signing keys.

    Returns:
        One sentence, and what to do about it; empty where nothing is to be done.

    Raises:
        SettingsError: a key that signs is not here or cannot be used, or whoever verifies on this machine
            has not heard of what became of a key.
        DeviceUnreachable: the token does not answer.
    """
    ring = _read(settings)
    if ring is None:
        return _before_the_first(settings), ""
    _check_told(settings, ring.keys)
    told = f"{settings.platform.municipality}: {'; '.join(ring.signing)}"
    left = next(((kid, each.failed) for kid, each in ring.retired if each.failed), None)
    if left is not None:
        kid, count = left
        return (
            f"{told}; of the licences of {kid}, {count} could not be signed anew.",
            f"The worker's log names them; mend what it says, then: rakeeza keys reissue {kid} --again",
        )
    names = {(key.store, key.label) for key in ring.keys}
    stray = KeyStores(settings, settings.secrets()).unknown(names)
    if stray:
        store, label = stray[0]
        by = f"rakeeza secret remove {label}" if store == "file" else "the token's own tool"
        return (
            f"{told}; a private key lies under {label} ({store}) that was never published.",
            f"If no rotation is under way and no other platform uses it, remove it with {by}",
        )
    return told, ""


@dataclass(frozen=True)
class _Ring:
    keys: Sequence[Key]
    signing: Sequence[str]
    retired: Sequence[tuple[str, Progress]]


def _read(settings: Settings) -> _Ring | None:
    # None where no table tells: it has no key yet, or the line of the database says why it cannot be read.
    if not settings.has_database():
        return None
    ring = Keyring(settings, settings.secrets())
    try:
        with open_database(settings, role="doctor") as database:
            if pending(database):
                return None
            with database.transaction() as session:
                keys, now = ring.keys(session), ring.now(session)
                retired = [
                    (key.kid, progress(session, key)) for key in keys if key.state(now) is State.RETIRED
                ]
    except DatabaseUnavailable:
        return None
    told = []
    for key in keys:
        state = key.state(now)
        if state in (State.SIGNING, State.NEXT) and key.public.municipality == settings.platform.municipality:
            # Opened, and used: a private half that is not here is found now, not at the next licence.
            ring.open(key).sign(b"doctor")
            since = f" from {key.public.not_before:%Y-%m-%d %H:%M} UTC" if state is State.NEXT else ""
            told.append(f"{key.kid} signs{since} ({key.store})")
    return _Ring(keys, told, retired) if told else None


def _before_the_first(settings: Settings) -> str:
    code, secrets = settings.platform.municipality, settings.secrets()
    if settings.licences.key_store == "pkcs11":
        token_of(settings, secrets).check()
    if not secrets.exists() or LICENCE_KEY not in secrets.names():
        return f"the key of {code} will be made with its first licence"
    key = SigningKey.from_pem(secrets.get(LICENCE_KEY), code)
    return f"{code} signs with key {key.public.kid.hex()}"


def _check_told(settings: Settings, keys: Sequence[Key]) -> None:
    file = settings.platform.folder / KEYS_FILE
    trusted = trusted_keys(settings.secrets(), settings.platform.municipality, file)
    for key in keys:
        if trusted.get(key.public.kid) != key.public:
            raise SettingsError(
                f"Whoever verifies on this machine does not know the key {key.kid} as it is now.",
                place=str(file),
                remedy="Let the worker make its round, or: rakeeza keys export",
            )
