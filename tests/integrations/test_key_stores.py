"""Where signing keys lie: the secrets file or a token; what is said where one is not, or is another's."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from foundation.database import Database
from foundation.errors import Damaged, NotFound, SettingsError
from foundation.secret import Secret, SecretFile
from foundation.wire.credential_keys import LICENCE_KEY, SigningKey
from integrations.licences.key_stores import KeyStores
from tests.integrations.keyring_house import HOUR, START, House, house_of
from tests.processes import ROOT
from tests.soft_token import MODULE, PIN, fresh_token


@pytest.fixture
def house(database: Database, tmp_path: Path) -> House:
    return house_of(database, tmp_path)


def test_a_machine_without_the_private_half_says_which_and_what_to_do(house: House, tmp_path: Path) -> None:
    house.kid()
    key = house.rotate(timedelta(0))
    house.now += HOUR
    elsewhere = House(
        house.database, house.settings, SecretFile(tmp_path / "b.json", tmp_path / "b.key"), house.now
    )
    with pytest.raises(SettingsError, match=f"{key.kid} is not in the secrets file") as caught:
        elsewhere.signer()
    assert "secrets.json and secrets.key" in caught.value.remedy
    assert caught.value.message_ar
    # Verifying needs none of it, and a new key signs again.
    assert len(elsewhere.published()) == 2
    again = elsewhere.rotate(timedelta(0))
    assert elsewhere.kid(house.now + HOUR) == again.kid


def test_a_secret_that_is_another_key_is_named(house: House) -> None:
    first = house.kid()
    house.secrets.set(LICENCE_KEY, SigningKey.generate("sample").to_pem())
    with pytest.raises(SettingsError, match=f"Under the name of the signing key {first} lies"):
        house.signer(ring=house.another(0))
    house.secrets.set(LICENCE_KEY, Secret("no key"))
    with pytest.raises(SettingsError, match="secret licence-signing-key"):
        house.signer(ring=house.another(0))


def test_a_table_that_was_tampered_with_is_refused(house: House) -> None:
    first = house.kid()
    stranger = SigningKey.generate("sample").public.to_jwk()
    with house.database.transaction() as session:
        session.execute(
            text("UPDATE licence_key SET jwk = CAST(:jwk AS jsonb)"), {"jwk": json.dumps(stranger)}
        )
    with pytest.raises(Damaged, match=first):
        house.published()


def test_another_municipality_on_the_same_tables_signs_with_a_key_of_its_own(
    house: House, tmp_path: Path
) -> None:
    first = house.kid()
    other = house_of(house.database, tmp_path, PLATFORM_MUNICIPALITY="other")
    assert other.signer().municipality == "other"
    assert other.kid() != first
    # What was issued under the old code verifies on.
    assert {key.municipality for key in other.published()} == {"sample", "other"}
    with pytest.raises(NotFound):
        other.retire(first)
    assert house.kid() == first


@pytest.fixture
def tokened(database: Database, tmp_path: Path) -> Callable[[], House]:
    label = fresh_token()

    def made() -> House:
        variables = {"PKCS11_MODULE": str(MODULE), "PKCS11_TOKEN": label, "LICENCES_KEY_STORE": "pkcs11"}
        house = house_of(database, tmp_path, **variables)
        house.secrets.set("pkcs11-pin", Secret(PIN))
        return house

    return made


def test_a_first_key_in_a_token_leaves_nothing_in_the_secrets_file(tokened: Callable[[], House]) -> None:
    house = tokened()
    house.opens(house.now)
    (key,) = house.listed()
    assert key.store == "pkcs11"
    assert house.secrets.names() == ["pkcs11-pin"]
    # Another process finds it by its name in the token.
    assert tokened().kid() == key.kid


def test_a_rotation_moves_from_the_file_into_a_token_and_back(
    house: House, tokened: Callable[[], House]
) -> None:
    house.kid()
    moved = tokened()
    moved.now = START + HOUR
    inside = moved.rotate(HOUR)
    for hours in (1, 3):
        moved.opens(START + hours * HOUR)
    back = house_of(house.database, house.settings.platform.folder)
    back.now = START + 4 * HOUR
    outside = back.rotate(HOUR)
    assert [key.store for key in back.listed()] == ["file", "pkcs11", "file"]
    # Whose settings name no token cannot sign with the key in it, and says so.
    with pytest.raises(SettingsError, match="No token is named"):
        back.signer()
    assert moved.kid(START + 4 * HOUR) == inside.kid
    assert back.kid(START + 6 * HOUR) == outside.kid


def test_a_key_that_its_token_has_no_more_is_named(tokened: Callable[[], House]) -> None:
    house = tokened()
    kid = house.kid()
    variables = {"PKCS11_MODULE": str(MODULE), "PKCS11_TOKEN": fresh_token(), "LICENCES_KEY_STORE": "pkcs11"}
    other = house_of(house.database, house.settings.platform.folder, **variables)
    with pytest.raises(SettingsError, match=f"{kid} is not in the token"):
        other.signer()


def test_a_first_key_that_failed_again_and_again_is_one_key_in_the_token(
    tokened: Callable[[], House],
) -> None:
    house = tokened()

    def failing() -> None:
        with house.database.transaction() as session:
            house.ring.signer(session, house.now)
            raise RuntimeError("the action fails after it")

    for _ in range(3):
        with pytest.raises(RuntimeError):
            failing()
    token = house.ring._stores._token
    (label,) = token.labels()
    assert house.listed() == []
    house.opens(house.now)
    assert [key.label for key in house.listed()] == [label] == token.labels()


@pytest.fixture(params=["file", "pkcs11"])
def either(request: pytest.FixtureRequest, house: House, tokened: Callable[[], House]) -> House:
    """A machine whose new keys are made in the secrets file, or in a token."""
    return tokened() if request.param == "pkcs11" else house


_CUT_SHORT = """
import os, sys
from datetime import timedelta
from pathlib import Path
from foundation.database import Database
from integrations.licences import keyring
from tests.integrations.keyring_house import house_of

url, folder, *variables = sys.argv[1:]
house = house_of(Database(url), Path(folder), **dict(each.split("=", 1) for each in variables))
keyring.Keyring._add = lambda *_: os.kill(os.getpid(), 9)
house.rotate(timedelta(0))
"""


def test_what_is_killed_between_a_key_and_its_row_signs_nothing_is_found_and_is_repeated(
    either: House, database_url: str, tmp_path: Path
) -> None:
    house = either
    first = house.kid()
    settings = house.settings
    variables = [f"LICENCES_KEY_STORE={settings.licences.key_store}"]
    if settings.pkcs11.token is not None:
        variables += [f"PKCS11_MODULE={MODULE}", f"PKCS11_TOKEN={settings.pkcs11.token}"]
    killed = subprocess.run(
        [sys.executable, "-c", _CUT_SHORT, database_url, str(tmp_path), *variables],
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert house.states() == {first: "signing"}
    assert house.kid(START + HOUR) == first
    assert [key.kid.hex() for key in house.published()] == [first]
    stores = KeyStores(settings, house.secrets)
    known = {(key.store, key.label) for key in house.listed()}
    ((store, label),) = stores.unknown(known)
    assert store == settings.licences.key_store
    assert label.startswith(f"{LICENCE_KEY}/")
    # Again, with another key: one that lies there could have been put there.
    key = house.rotate(timedelta(0))
    assert key.label != label
    assert house.kid(START + HOUR) == key.kid
    assert stores.unknown(known | {(key.store, key.label)}) == [(store, label)]
