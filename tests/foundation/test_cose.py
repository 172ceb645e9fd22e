"""COSE_Sign1 as we build it: the standard's own answers, and a library that we did not write verifies it."""

import base64
import zlib
from datetime import UTC, date, datetime
from typing import Any

import base45  # type: ignore[import-untyped] # it ships no types
import cbor2
import cwt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from foundation.definitions import Bilingual
from foundation.wire import cose
from foundation.wire.credential import KeySet, LicenceClaims, open_credential, seal
from foundation.wire.credential_keys import PublicKey, SigningKey

KEY = SigningKey.generate("sample")

# The key "11" of the COSE working group's examples, and the messages made with it: file, protected header,
# what is to be signed, signature. Source: github.com/cose-wg/Examples.
GROUP_KEY = PublicKey(
    base64.urlsafe_b64decode("usWxHK2PmfnHKwXPS54m0kTcGJ90UiglWiGahtagnv8="),
    base64.urlsafe_b64decode("IBOL-C3BttVivg-lSreASjpkttcsz-1rb7btKLv8EX4="),
    "sample",
)
CONTENT = b"This is the content."
KNOWN = {
    "sign1-tests/sign-pass-01": (
        "A0",
        "846A5369676E617475726531404054546869732069732074686520636F6E74656E742E",
        "EAE868ECC176883766C5DC5BA5B8DCA25DAB3C2E56A551CE5705B793914348E1"
        "1A02E5F0344BF2D4EE5C7FD75A68A9F5E0B3CC1F1FC1409C189566586FF9D610",
    ),
    "ecdsa-examples/ecdsa-sig-01": (
        "A201260300",
        "846A5369676E61747572653145A2012603004054546869732069732074686520636F6E74656E742E",
        "EAE868ECC176883766C5DC5BA5B8DCA25DAB3C2E56A551CE5705B793914348E1"
        "72727F48461FABBBA2E343492DDECAC3983686250BC68E9F1A7A07D41225B59F",
    ),
}


@pytest.mark.parametrize("file", KNOWN)
def test_what_is_signed_is_what_the_working_group_signs(file: str) -> None:
    protected, to_be_signed, signature = (bytes.fromhex(part) for part in KNOWN[file])
    assert cose.sig_structure(protected, CONTENT) == to_be_signed
    GROUP_KEY.cose.verify(cose.sig_structure(protected, CONTENT), signature)
    with pytest.raises(cwt.VerifyError):
        GROUP_KEY.cose.verify(cose.sig_structure(protected, CONTENT + b" "), signature)


class Recorded:
    """A signer that gives the working group's own signature, and keeps what it was asked to sign."""

    public, municipality = GROUP_KEY, "sample"

    def __init__(self, signature: bytes) -> None:
        self.signature = signature
        self.asked: list[bytes] = []

    def sign(self, data: bytes) -> bytes:
        self.asked.append(data)
        return self.signature


def test_the_message_is_built_as_the_working_group_builds_it_but_for_the_place_of_the_key_identifier() -> (
    None
):
    _, _, signature = KNOWN["ecdsa-examples/ecdsa-sig-01"]
    signer = Recorded(bytes.fromhex(signature))
    message = cose.sign1(CONTENT, signer, {3: 0})
    # Theirs: D2 84 45 A201260300 A1 04 42 3131 54 ... 5840 ...; in ours the identifier is protected.
    protected = "A3012603000448" + GROUP_KEY.kid.hex()
    assert message.hex().upper() == (
        f"D2844F{protected}A054546869732069732074686520636F6E74656E742E5840{signature}".upper()
    )
    assert signer.asked == [cose.sig_structure(bytes.fromhex(protected), CONTENT)]


@settings(max_examples=50, deadline=None)
@given(
    payload=st.binary(max_size=300),
    headers=st.dictionaries(
        st.sampled_from([3, 5, 16, 33, 256, -1, -70000]), st.text(max_size=20) | st.binary(max_size=40)
    ),
)
def test_python_cwt_verifies_whatever_we_sign(payload: bytes, headers: dict[int, Any]) -> None:
    message = cose.sign1(payload, KEY, {**headers, 16: "application/test"})
    protected, unprotected, carried = cwt.COSE.new().decode_with_headers(message, KEY.public.cose)
    assert carried == payload
    assert unprotected == {}
    assert protected == {1: -7, 4: KEY.public.kid, **headers, 16: "application/test"}


def test_python_cwt_refuses_a_changed_message() -> None:
    message = bytearray(cose.sign1(CONTENT, KEY))
    message[-70] ^= 1
    with pytest.raises(cwt.VerifyError):
        cwt.COSE.new().decode(bytes(message), KEY.public.cose)


def test_the_keys_of_the_header_stand_in_the_order_of_their_bytes() -> None:
    # RFC 8949, section 4.2.1, gives this very order: 10, 100, -1, "z"; the older standard put -1 before 100.
    assert (
        cose.deterministic_map({"z": 0, -1: 0, 100: 0, 10: 0}).hex()
        == "a4" + "0a00" + "186400" + "2000" + "617a00"
    )
    one = cose.sign1(b"", Recorded(b"s" * 64), {-1: 0, 16: "b", 3: 0, 100: 0})
    other = cose.sign1(b"", Recorded(b"s" * 64), {100: 0, 3: 0, 16: "b", -1: 0})
    assert one == other
    assert list(cbor2.loads(cbor2.loads(one).value[0])) == [1, 3, 4, 16, 100, -1]


@pytest.mark.parametrize("label", [1, 4])
def test_nobody_but_the_signer_says_the_algorithm_or_the_key(label: int) -> None:
    with pytest.raises(ValueError, match="signer's"):
        cose.sign1(b"", KEY, {label: 0})


def test_a_signature_in_another_form_is_not_passed_on() -> None:
    with pytest.raises(ValueError, match="64 bytes"):
        cose.sign1(b"", Recorded(bytes.fromhex("3045") + bytes(69)))


def test_a_message_of_ours_is_byte_for_byte_what_the_credential_carries() -> None:
    claims = LicenceClaims(
        number="2026-004512",
        service="sample_service",
        title=Bilingual(ar="رخصة", en="Licence"),
        municipality="sample",
        valid_from=date(2026, 11, 22),
        valid_to=date(2027, 11, 21),
        issued_at=datetime(2026, 11, 22, 9, 30, tzinfo=UTC),
    )
    text = seal(claims, KEY)
    sealed = zlib.decompress(base45.b45decode(text.removeprefix("RKZ1:")))
    payload = cbor2.loads(sealed).value[2]
    # ECDSA is not deterministic: all but the signature is compared, and ours opens in its place.
    ours = cose.sign1(payload, KEY)
    assert ours[:-64] == sealed[:-64]
    again = "RKZ1:" + base45.b45encode(zlib.compress(ours, 9)).decode()
    assert open_credential(again, KeySet([KEY.public]), today=date(2026, 12, 1)).claims == claims
