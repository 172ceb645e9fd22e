"""Where signing keys lie: the secrets file or a token; what is said where one is not, or is another's."""

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from foundation.database import Database
from foundation.errors import Damaged, NotFound, SettingsError
from foundation.secret import Secret, SecretFile
from foundation.wire.credential_keys import LICENCE_KEY, SigningKey
from tests.integrations.keyring_house import HOUR, START, House, house_of
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
