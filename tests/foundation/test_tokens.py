"""Tokens that were verified once are believed until they expire, and no longer."""

import time
from pathlib import Path

import jwt
import pytest

from foundation import tokens
from foundation.errors import NotAuthenticated
from foundation.secret import SecretFile
from foundation.tokens import LEEWAY, Claims, Tokens


class _Clock:
    """The time of day, as a test sets it for `foundation.tokens` and not for the library it calls."""

    def __init__(self, now: float) -> None:
        self.now = now

    def time(self) -> float:
        return self.now


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tokens whose signature was looked at."""
    seen: list[str] = []
    decode = jwt.decode

    def counting(token: str, *args: object, **options: object) -> object:
        seen.append(token)
        return decode(token, *args, **options)  # type: ignore[arg-type]  # passed on as it came

    monkeypatch.setattr("foundation.tokens.jwt.decode", counting)
    return seen


@pytest.fixture
def secrets(tmp_path: Path) -> SecretFile:
    return SecretFile(tmp_path / "secrets.json", tmp_path / "secrets.key")


@pytest.fixture
def issuer(secrets: SecretFile) -> Tokens:
    return Tokens(secrets, 600)


def _token(issuer: Tokens) -> str:
    return issuer.issue("client/c", ["centre", "kiosk"]).token.reveal()


def test_a_token_is_verified_once_and_says_the_same_again(issuer: Tokens, checked: list[str]) -> None:
    token = _token(issuer)
    first = issuer.read(token)
    assert first == Claims("client/c", frozenset({"centre", "kiosk"}))
    assert issuer.read(token) == first
    assert checked == [token]


def test_a_token_is_believed_until_it_expires(
    issuer: Tokens, checked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    token = _token(issuer)
    ends = jwt.api_jwt.decode(token, options={"verify_signature": False})["exp"] + LEEWAY
    clock = _Clock(ends - 0.001)
    issuer.read(token)
    monkeypatch.setattr("foundation.tokens.time", clock)
    issuer.read(token)
    assert checked == [token]
    clock.now = ends
    issuer.read(token)
    assert checked == [token, token]


def test_a_token_like_a_believed_one_is_not_believed(issuer: Tokens) -> None:
    token = _token(issuer)
    issuer.read(token)
    for other in (token + "A", token[:-4] + "AAAA", token.upper(), token.partition(".")[2], token + "\ud800"):
        with pytest.raises(NotAuthenticated):
            issuer.read(other)


def test_what_was_refused_is_looked_at_again(issuer: Tokens, secrets: SecretFile, checked: list[str]) -> None:
    old = _token(Tokens(secrets, -600))
    for _ in range(2):
        with pytest.raises(NotAuthenticated, match="expired"):
            issuer.read(old)
    # Twice each: once for its signature, once for its time, which the sentence names.
    assert checked == [old] * 4


def test_room_is_made_by_what_expired_and_the_rest_stays(
    issuer: Tokens, secrets: SecretFile, checked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tokens, "_MOST_VERIFIED", 5)
    longer = Tokens(secrets, 6000)
    short, (kept, new) = [_token(issuer) for _ in range(4)], (_token(longer) for _ in range(2))
    clock = _Clock(time.time())
    monkeypatch.setattr("foundation.tokens.time", clock)
    for token in (*short, kept):
        issuer.read(token)
    clock.now += 1000
    issuer.read(new)
    issuer.read(kept)
    assert checked == [*short, kept, new]
    issuer.read(short[0])
    assert checked[-1] == short[0]


def test_no_more_tokens_are_kept_than_may_be(issuer: Tokens, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "_MOST_VERIFIED", 5)
    for _ in range(12):
        issuer.read(_token(issuer))
        assert 1 <= len(issuer._verified) <= 5
