import asyncio
import random
import string
from datetime import UTC, datetime

import pytest

from foundation.definitions import Bilingual
from foundation.errors import Unavailable
from foundation.wire.credential import KeySet, LicenceClaims, SigningKey, seal
from kiosks.codes import licence_number
from kiosks.device_classes import BarcodeFault, BarcodeInvalid
from kiosks.licence import Licence
from tests.kiosks.conftest import ANSWERS


def number_of(code: str, *key_sets: KeySet) -> tuple[str, int]:
    """The number, and how often fresh keys were asked for; the last set is what headquarters has now."""
    fresh_asked = 0

    async def keys(fresh: bool) -> KeySet:
        nonlocal fresh_asked
        fresh_asked += fresh
        return key_sets[-1] if fresh else key_sets[0]

    return asyncio.run(licence_number(code, keys)), fresh_asked


@pytest.fixture
def published() -> KeySet:
    return KeySet.from_json((ANSWERS / "keys.json").read_text(encoding="utf-8"))


def test_a_plain_number_is_taken_as_it_is() -> None:
    assert number_of("SL-2026-004512", KeySet([])) == ("SL-2026-004512", 0)
    assert number_of(" sl-2026-004512 ", KeySet([])) == ("SL-2026-004512", 0)


def test_a_licence_code_is_opened_with_the_published_keys(licence: Licence, published: KeySet) -> None:
    assert number_of(licence.credential, published) == (licence.number, 0)


def test_a_new_key_is_asked_for_once(licence: Licence, published: KeySet) -> None:
    assert number_of(licence.credential, KeySet([]), published) == (licence.number, 1)


def test_a_code_signed_by_another_is_forged(published: KeySet) -> None:
    forged = (ANSWERS / "forged.txt").read_text(encoding="utf-8").rstrip("\n")
    with pytest.raises(BarcodeInvalid) as caught:
        number_of(forged, published)
    assert caught.value.fault is BarcodeFault.FORGED


def test_every_changed_character_is_refused(licence: Licence, published: KeySet) -> None:
    noise = random.Random(12)
    for _ in range(60):
        place = noise.randrange(5, len(licence.credential))
        other = noise.choice(string.ascii_uppercase + string.digits)
        if licence.credential[place] == other:
            continue
        changed = licence.credential[:place] + other + licence.credential[place + 1 :]
        with pytest.raises(BarcodeInvalid):
            number_of(changed, published)


@pytest.mark.parametrize(
    "code",
    [
        "",
        "<script>alert(1)</script>",
        "../../etc/passwd",
        "SL-2026-004512?x=1",
        "https://example.com/SL-2026-004512",
        "RKZ1:",
        "RKZ1:%%%%",
        "rkz1:abc",
        "A" * 200,
        "-" * 10,
        "RKZ1:" + "A" * 1000,
    ],
)
def test_what_names_no_licence_is_refused(code: str, published: KeySet) -> None:
    with pytest.raises(BarcodeInvalid) as caught:
        number_of(code, published)
    assert caught.value.fault is BarcodeFault.NOT_A_LICENCE


def test_without_keys_a_licence_code_is_not_guessed(licence: Licence) -> None:
    async def keys(_: bool) -> KeySet:
        raise Unavailable("Headquarters does not answer.")

    with pytest.raises(Unavailable):
        asyncio.run(licence_number(licence.credential, keys))


def test_the_number_of_a_code_is_the_signed_one(licence: Licence) -> None:
    key = SigningKey.generate("sample")
    claims = LicenceClaims(
        "SL-2026-777777",
        "shop_licence",
        Bilingual(ar="رخصة", en="Licence"),
        "sample",
        licence.valid_from,
        licence.valid_to,
        datetime(2026, 11, 22, tzinfo=UTC),
    )
    assert number_of(seal(claims, key), KeySet([key.public])) == ("SL-2026-777777", 0)
