import base64
import hashlib
from datetime import timedelta

import pytest

from foundation.secret import Secret
from integrations.ws_security import names, username_token
from integrations.ws_security.faults import InvalidSecurityToken, MessageExpired
from integrations.ws_security.username_token import UsernameToken, check_username
from tests.integrations.ws_security.messages import NOW, SECRET, envelope, parsed
from tests.integrations.ws_security.messages import username_token as token_text


def read(text: str) -> UsernameToken:
    """A token of a text that leaves the declarations out."""
    element = parsed(f'<x xmlns:wsse="{names.WSSE}" xmlns:wsu="{names.WSU}">{text}</x>')[0]
    return username_token.read(element)


def test_the_digest_is_over_nonce_time_and_secret() -> None:
    token = read(token_text())
    check_username(token, Secret(SECRET), NOW)
    assert token.username == "amal@centre-7"
    assert token.digest == hashlib.sha1(token.nonce + token.created_text.encode() + SECRET.encode()).digest()


def test_the_example_that_zeep_makes_holds() -> None:
    from zeep.wsse.username import UsernameToken as Peer

    message = envelope()
    make: type = Peer
    make("amal", "كلمة", use_digest=True, created=NOW, zulu_timestamp=True).apply(message, {})
    token = username_token.read(message[0][0][0])
    check_username(token, Secret("كلمة"), NOW)


@pytest.mark.parametrize("size", [15, 16, 64, 65])
def test_a_nonce_has_16_to_64_octets(size: int) -> None:
    text = token_text(nonce=b"n" * size)
    if 16 <= size <= 64:
        assert read(text).nonce == b"n" * size
        return
    with pytest.raises(Exception, match="octets"):
        read(text)


def test_any_change_of_what_the_digest_is_over_is_noticed() -> None:
    text = token_text()
    changed = [
        text.replace("08:30:00.000Z", "08:30:00.001Z"),
        text.replace("08:30:00.000Z", "08:30:00Z"),
        text.replace(base64.b64encode(b"0123456789abcdef").decode(), base64.b64encode(b"x" * 16).decode()),
    ]
    for other in changed:
        assert other != text
        with pytest.raises(Exception, match="secret do not hold"):
            check_username(read(other), Secret(SECRET), NOW)


def test_a_token_lives_as_long_as_a_message() -> None:
    token = read(token_text())
    for now in (NOW - timedelta(seconds=61), NOW + timedelta(seconds=301)):
        with pytest.raises(MessageExpired):
            check_username(token, Secret(SECRET), now)


def test_a_token_shows_neither_nonce_nor_digest() -> None:
    shown = repr(read(token_text()))
    assert "0123456789abcdef" not in shown
    assert "digest" not in shown


def test_a_part_that_is_missing_is_refused() -> None:
    for part in ("Username", "Password", "Nonce"):
        element = parsed(f'<x xmlns:wsse="{names.WSSE}" xmlns:wsu="{names.WSU}">{token_text()}</x>')[0]
        found = element.find(f"{{{names.WSSE}}}{part}")
        assert found is not None
        element.remove(found)
        with pytest.raises(InvalidSecurityToken):
            username_token.read(element)
