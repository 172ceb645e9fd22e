"""Keys in a token: made in it, used in it, never out of it; and what it says when it cannot be used."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cwt
import pkcs11
import pytest
from pkcs11 import Attribute, ObjectClass
from pkcs11 import exceptions as pkcs11_errors
from pkcs11.util.ec import encode_named_curve_parameters

from foundation.errors import Conflict, NotFound, RakeezaError, SettingsError
from foundation.pkcs11 import ERRORS, Token, coordinates, token_of
from foundation.secret import Secret, SecretFile
from foundation.settings import load
from foundation.wire import cose
from foundation.wire.credential_keys import KeySet, PublicKey
from tests.soft_token import MODULE, PIN, fresh_token


@pytest.fixture
def label() -> str:
    return fresh_token()


@pytest.fixture
def token(label: str) -> Token:
    return Token(MODULE, label, lambda: Secret(PIN))


def is_signed_by(key: PublicKey, data: bytes, signature: bytes) -> bool:
    """Whether a library of others finds that a key made a signature."""
    try:
        key.cose.verify(data, signature)
    except cwt.VerifyError:
        return False
    return True


def test_a_key_in_a_token_signs_what_a_library_of_others_verifies(token: Token) -> None:
    signer = token.make_key("one", "sample")
    assert signer.municipality == "sample"
    message = cose.sign1(b"payload", signer, {16: "application/test"})
    assert cwt.COSE.new().decode(message, signer.public.cose) == b"payload"
    # Its public half is a key like any other.
    (again,) = KeySet.from_json(KeySet([signer.public]).to_json())
    assert again == signer.public


def test_the_private_half_cannot_be_read_out_of_the_token(token: Token, label: str) -> None:
    token.make_key("one", "sample")
    token.close()
    with pkcs11.lib(str(MODULE)).get_token(token_label=label).open(user_pin=PIN) as session:
        (key,) = session.get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY})
        assert (key[Attribute.SENSITIVE], key[Attribute.EXTRACTABLE]) == (True, False)
        assert key[Attribute.NEVER_EXTRACTABLE] is True
        with pytest.raises(pkcs11_errors.AttributeSensitive):
            key[Attribute.VALUE]


def test_a_key_is_found_again_by_its_name_and_by_no_other(token: Token) -> None:
    one, two = token.make_key("one", "sample"), token.make_key("two", "sample")
    assert one.public.kid != two.public.kid
    token.close()
    assert token.signer("one", "sample").public == one.public
    with pytest.raises(NotFound, match=r"token test-\d+: The token has no such key"):
        token.signer("three", "sample")
    with pytest.raises(NotFound):
        token.sign("three", b"data")


def test_a_name_is_given_once(token: Token) -> None:
    made = token.make_key("one", "sample")
    with pytest.raises(Conflict, match="has a key of this name"):
        token.make_key("one", "sample")
    assert token.signer("one", "sample").public == made.public


@pytest.mark.parametrize("first", [0x00, 0x04, 0x41])
def test_a_point_is_read_framed_and_bare_whatever_it_begins_with(first: int) -> None:
    x, y = bytes([first, *range(31)]), bytes(range(32))
    bare = b"\x04" + x + y
    assert coordinates(bare) == (x, y)
    assert coordinates(b"\x04\x41" + bare) == (x, y)


@pytest.mark.parametrize("point", [b"", b"\x04", b"\x02" + bytes(64), bytes(65), b"\x04\x41" + bytes(64)])
def test_what_is_no_point_is_not_read_as_one(point: bytes) -> None:
    with pytest.raises(ValueError, match="no uncompressed point"):
        coordinates(point)


def test_a_key_on_another_curve_is_named(token: Token, label: str) -> None:
    token.check()
    with pkcs11.lib(str(MODULE)).get_token(token_label=label).open(rw=True) as session:
        curve = session.create_domain_parameters(
            pkcs11.KeyType.EC, {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256k1")}, local=True
        )
        curve.generate_keypair(label="one", store=True)
    with pytest.raises(SettingsError, match="key one: The key in the token is not on the curve P-256"):
        token.signer("one", "sample")


def test_a_token_tells_the_names_of_its_keys(token: Token) -> None:
    assert token.labels() == []
    token.make_key("two", "sample")
    token.make_key("one", "sample")
    assert token.labels() == ["one", "two"]


_ELSEWHERE = """
import sys
from pathlib import Path
from foundation.pkcs11 import Token
from foundation.secret import Secret
module, label, pin, name = sys.argv[1:]
print(Token(Path(module), label, lambda: Secret(pin)).make_key(name, "sample").public.kid.hex())
"""


def test_a_key_that_another_process_made_is_used_without_a_restart(token: Token, label: str) -> None:
    token.make_key("here", "sample")
    command = [sys.executable, "-c", _ELSEWHERE, str(MODULE), label, PIN, "there"]
    made = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
    there = token.signer("there", "sample")
    assert there.public.kid.hex() == made
    assert is_signed_by(there.public, b"data", there.sign(b"data"))
    assert not is_signed_by(there.public, b"other data", there.sign(b"data"))


def test_a_session_that_was_lost_is_opened_again(token: Token) -> None:
    signer = token.make_key("one", "sample")
    session = token._session
    assert session is not None
    session.close()
    assert is_signed_by(signer.public, b"data", signer.sign(b"data"))


def test_two_users_of_one_token_in_one_process_do_not_shut_each_other_out(token: Token, label: str) -> None:
    signer = token.make_key("one", "sample")
    other = Token(MODULE, label, lambda: Secret(PIN)).signer("one", "sample")
    assert is_signed_by(signer.public, b"data", other.sign(b"data"))
    assert is_signed_by(signer.public, b"data", signer.sign(b"data"))


def test_threads_may_sign_together(token: Token) -> None:
    signer = token.make_key("one", "sample")
    texts = [str(number).encode() for number in range(64)]
    with ThreadPoolExecutor(8) as pool:
        signatures = list(pool.map(signer.sign, texts))
    for text, signature in zip(texts, signatures, strict=True):
        assert is_signed_by(signer.public, text, signature)


def test_a_wrong_pin_is_tried_once_and_the_right_one_opens_after_it(label: str) -> None:
    pins = [Secret("1357-zz")]
    token = Token(MODULE, label, lambda: pins[-1])
    logins: list[str] = []
    login = token._login

    def counted(pin: Secret) -> pkcs11.Session:
        logins.append(pin.reveal())
        return login(pin)

    token._login = counted  # type: ignore[method-assign]
    for _ in range(20):
        # More often than a token forgives.
        with pytest.raises(SettingsError, match="refuses the PIN") as caught:
            token.check()
    assert logins == ["1357-zz"]
    assert "zz" not in f"{caught.value} {token!r}"
    pins.append(Secret(PIN))
    token.check()
    assert logins == ["1357-zz", PIN]


@pytest.mark.parametrize(
    ("module", "label", "said"),
    [
        (Path("/nowhere/lib.so"), "test-0", "/nowhere/lib.so: The token's module is not there"),
        (Path("/etc/passwd"), "test-0", "/etc/passwd: The token's module does not start"),
        (MODULE, "no such token", "token no such token: No token of this name is there"),
    ],
)
def test_a_token_that_is_not_there_is_named(module: Path, label: str, said: str) -> None:
    fresh_token()
    with pytest.raises(SettingsError, match=said) as caught:
        Token(module, label, lambda: Secret(PIN)).check()
    assert caught.value.remedy


def test_the_settings_name_the_token_and_its_pin(label: str, tmp_path: Path) -> None:
    secrets = SecretFile(tmp_path / "secrets.json", tmp_path / "secrets.key")
    with pytest.raises(SettingsError, match="No token is named") as caught:
        token_of(load(None, {}), secrets)
    assert "pkcs11.module" in caught.value.remedy
    variables = {"RAKEEZA_PKCS11_MODULE": str(MODULE), "RAKEEZA_PKCS11_TOKEN": label}
    token = token_of(load(None, variables), secrets)
    with pytest.raises(NotFound, match="rakeeza secret set pkcs11-pin"):
        token.check()
    secrets.set("pkcs11-pin", Secret(PIN))
    token.check()


def test_every_error_of_the_library_has_its_answer(token: Token) -> None:
    for kind in pkcs11.PKCS11Error.__subclasses__():
        ours = token._translated(kind())
        assert isinstance(ours, RakeezaError)
        assert ours.place == token.place
        assert ours.remedy
    for kind, row in ERRORS.items():
        assert type(token._translated(kind())) is row.kind
