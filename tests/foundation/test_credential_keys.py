"""The keys of credentials: kept sealed, published as a JWK Set, made once."""

import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from foundation.errors import Malformed, SettingsError
from foundation.secret import Secret, SecretFile
from foundation.wire.credential_keys import (
    LICENCE_KEY,
    KeySet,
    PublicKey,
    SigningKey,
    licence_key,
    trusted_keys,
)

KEY = SigningKey.generate("sample")
KEYS = KeySet([KEY.public])
JWK = KEY.public.to_jwk()


def test_a_key_survives_its_pem_and_never_shows_itself() -> None:
    pem = KEY.to_pem()
    assert "PRIVATE KEY" in pem.reveal()
    assert "PRIVATE" not in f"{pem}{KEY!r}"
    again = SigningKey.from_pem(pem, "sample")
    assert again.public == KEY.public
    KEY.public.cose.verify(b"message", again.cose.sign(b"message"))


def pem_of(private: Any) -> Secret:
    return Secret(private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode())


@pytest.mark.parametrize(
    "make",
    [
        lambda: Secret("no key"),
        lambda: pem_of(ec.generate_private_key(ec.SECP384R1())),
        lambda: pem_of(rsa.generate_private_key(65537, 2048)),
    ],
)
def test_a_stored_key_of_another_kind_is_named(make: Callable[[], Secret]) -> None:
    with pytest.raises(SettingsError, match="licence-signing-key"):
        SigningKey.from_pem(make(), "sample")


def test_a_key_set_keeps_when_its_keys_signed_and_that_one_is_revoked() -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    key = replace(
        KEY.public,
        not_before=start,
        not_after=start + timedelta(days=9),
        revoked_at=start + timedelta(days=3),
    )
    (again,) = KeySet.from_json(KeySet([key]).to_json())
    assert again == key
    assert again.kid == KEY.public.kid
    assert key.to_jwk()["revoked_at"] == 1767484800
    assert "revoked_at" not in KEY.public.to_jwk()


@pytest.mark.parametrize("moment", ["2026-01-01", -1, True, 1.5, 10**12])
def test_a_revocation_at_no_moment_is_refused_and_not_forgotten(moment: object) -> None:
    with pytest.raises(Malformed):
        KeySet.from_json(json.dumps({"keys": [{**JWK, "revoked_at": moment}]}))


def test_the_key_set_passes_over_keys_for_another_purpose() -> None:
    rows = json.loads(KEYS.to_json())["keys"]
    rows += [{"kty": "RSA", "n": "AQ", "e": "AQAB"}, {**rows[0], "use": "enc"}, {**rows[0], "alg": "ES384"}]
    keys = KeySet.from_json(json.dumps({"keys": rows}))
    assert [key.kid for key in keys] == [KEY.public.kid]
    assert len(keys) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"keys": 5}',
        '{"keys": ["x"]}',
        '{"keys": []}',
        "[" * 100_000,
        json.dumps({"keys": [{k: v for k, v in JWK.items() if k != "kid"}]}),
        json.dumps({"keys": [{**JWK, "kid": SigningKey.generate("sample").to_pem().reveal()[60:71]}]}),
        json.dumps({"keys": [{**JWK, "x": JWK["y"]}]}),
        json.dumps({"keys": [{**JWK, "x": "AQ"}]}),
        json.dumps({"keys": [{**JWK, "iss": ""}]}),
        json.dumps({"keys": [{**JWK, "nbf": "yesterday"}]}),
        json.dumps({"keys": [{**JWK, "exp": 10**30}]}),
    ],
)
def test_a_broken_key_set_is_named_with_its_place(text: str) -> None:
    with pytest.raises(Malformed, match=r"keys\.json: .*\.well-known") as caught:
        KeySet.from_json(text, "keys.json")
    assert caught.value.remedy


def test_a_point_off_the_curve_is_no_key() -> None:
    with pytest.raises(ValueError, match="not on the curve"):
        PublicKey(KEY.public.x, KEY.public.x, "sample")


def test_the_signing_key_is_made_once_and_kept_sealed(tmp_path: Path) -> None:
    secrets = SecretFile(tmp_path / "secrets.json", tmp_path / "secrets.key")
    first = licence_key(secrets, "sample")
    assert licence_key(secrets, "sample").public == first.public
    assert secrets.names() == [LICENCE_KEY]
    assert b"PRIVATE" not in (tmp_path / "secrets.json").read_bytes()


_MAKE_KEY = """
import sys
from pathlib import Path
from foundation.secret import SecretFile
from foundation.wire.credential import licence_key
folder = Path(sys.argv[1])
print(licence_key(SecretFile(folder / "secrets.json", folder / "secrets.key"), "sample").public.kid.hex())
"""


def test_processes_and_threads_that_start_together_use_one_key(tmp_path: Path) -> None:
    command = [sys.executable, "-c", _MAKE_KEY, str(tmp_path)]
    racers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    secrets = SecretFile(tmp_path / "secrets.json", tmp_path / "secrets.key")
    with ThreadPoolExecutor(8) as pool:
        mine = set(pool.map(lambda _: licence_key(secrets, "sample").public.kid.hex(), range(8)))
    theirs = {racer.communicate(timeout=60)[0].strip() for racer in racers}
    assert len(mine | theirs) == 1
    assert [racer.returncode for racer in racers] == [0, 0, 0, 0]


@pytest.fixture
def secrets(tmp_path: Path) -> SecretFile:
    return SecretFile(tmp_path / "secrets.json", tmp_path / "secrets.key")


def test_without_a_file_our_own_first_key_is_trusted_and_asking_makes_none(
    secrets: SecretFile, tmp_path: Path
) -> None:
    file = tmp_path / "keys.json"
    assert len(trusted_keys(secrets, "sample", file)) == 0
    assert list(tmp_path.iterdir()) == []
    own = licence_key(secrets, "sample").public
    assert set(trusted_keys(secrets, "sample", file)) == {own}
    # Another municipality's file says nothing of ours.
    other = SigningKey.generate("other").public
    file.write_text(KeySet([other]).to_json())
    assert set(trusted_keys(secrets, "sample", file)) == {own, other}


def test_what_the_file_says_of_our_keys_is_all_that_is_trusted_of_them(
    secrets: SecretFile, tmp_path: Path
) -> None:
    file = tmp_path / "keys.json"
    own = licence_key(secrets, "sample").public
    # Made, and its rotation was cut short: nobody has published it.
    unpublished = SigningKey.generate("sample")
    secrets.set(f"{LICENCE_KEY}/{unpublished.public.kid.hex()}", unpublished.to_pem())
    assert set(trusted_keys(secrets, "sample", file)) == {own}
    revoked = replace(own, revoked_at=datetime(2026, 1, 1, tzinfo=UTC))
    file.write_text(KeySet([revoked]).to_json())
    assert set(trusted_keys(secrets, "sample", file)) == {revoked}
    file.write_text(KeySet([KEY.public]).to_json())
    assert set(trusted_keys(secrets, "sample", file)) == {KEY.public}


def test_a_file_of_keys_that_cannot_be_read_is_named(secrets: SecretFile, tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(SettingsError, match="cannot be read"):
        trusted_keys(secrets, "sample", file)
