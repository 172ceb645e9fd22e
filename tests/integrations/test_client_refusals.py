"""What a client is told when it is refused: the challenge only where a wider token would help, and Arabic."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from foundation.caller import Caller, Role
from foundation.errors import NotAuthenticated
from foundation.http import create_app
from foundation.secret import SecretFile
from foundation.tokens import Tokens
from integrations.centres.refusals import CentreSuspended, ProofMissing, QuotaExhausted


def _too_few_roles() -> None:
    Caller("p", "client", frozenset({Role.PAYMENT})).require(Role.CENTRE)


def _raise(error: Exception) -> Callable[[], None]:
    def refuse() -> None:
        raise error

    return refuse


def told(refuse: Callable[[], None]) -> httpx.Response:
    """What a route that refuses answers."""
    app = create_app("A town", max_body=1_000)
    app.get("/refused")(refuse)

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://town") as http:
            return await http.get("/refused")

    return asyncio.run(ask())


def test_too_few_roles_are_named_in_the_challenge() -> None:
    answer = told(_too_few_roles)
    assert answer.status_code == 403
    assert answer.headers["www-authenticate"] == 'Bearer realm="rakeeza", error="insufficient_scope"'


@pytest.mark.parametrize(
    "error", [CentreSuspended("c"), ProofMissing("c"), QuotaExhausted("c", "2026-11", 9)], ids=repr
)
def test_what_no_wider_token_would_help_against_has_no_challenge(
    error: Exception,
) -> None:
    answer = told(_raise(error))
    assert answer.status_code in (403, 409)
    assert "www-authenticate" not in answer.headers
    assert answer.json()["detail_ar"]


def _altered(tokens: Tokens, kid: str | None = None, **claims: Any) -> str:
    key, own = tokens._key
    said = jwt.decode(
        tokens.issue("client/c", ["centre"]).token.reveal(), options={"verify_signature": False}
    )
    said = {name: value for name, value in {**said, **claims}.items() if value is not None}
    return jwt.encode(said, key, "ES256", {"kid": kid or own})


@pytest.mark.parametrize(
    ("made", "saying"),
    [
        (lambda _: "كلمة", "is malformed"),
        (lambda _: "x.y.z", "is malformed"),
        (lambda tokens: _altered(tokens, roles="centre"), "is malformed"),
        (lambda tokens: _altered(tokens, cnf={"kid": "x"}), "is malformed"),
        (lambda tokens: _altered(tokens, jti=None), "is malformed"),
        (lambda tokens: _altered(tokens, exp=int(time.time()) - 60), "expired at"),
        (lambda tokens: _altered(tokens, iat=int(time.time()) + 600), "issued in the future"),
        (lambda tokens: _altered(tokens, kid="another"), "was not signed by this platform"),
        (lambda tokens: _altered(tokens, aud="another"), "is not one of this platform"),
    ],
)
def test_why_a_token_does_not_hold_is_said_in_arabic_too(
    tmp_path: Path, made: Callable[[Tokens], str], saying: str
) -> None:
    tokens = Tokens(SecretFile(tmp_path / "secrets.json", tmp_path / "secrets.key"), 600)
    with pytest.raises(NotAuthenticated, match=saying) as caught:
        tokens.read(made(tokens))
    assert any("؀" <= letter <= "ۿ" for letter in caught.value.message_ar)
