"""What is posted is signed as the convention says, so that a receiver needs nothing of ours to check it."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime

import pytest

from foundation.errors import SettingsError
from foundation.secret import Secret
from foundation.signed_post import check_secret, headers, new_secret

AT = datetime(2026, 3, 1, 6, 30, 5, 999_999, tzinfo=UTC)


def test_the_example_of_the_convention_is_signed_as_it_says() -> None:
    # Standard Webhooks 1.0.0, the worked example of its "Signature scheme".
    body = b'{"test": 2432232314}'
    at = datetime.fromtimestamp(1614265330, UTC)
    signed = headers("msg_p5jXN8AQM9LWM0D4loKWxJek", body, ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"], at)
    assert signed["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_two_secrets_sign_side_by_side_over_id_moment_and_body() -> None:
    keys = [new_secret(), new_secret()]
    given = headers("msg_1", "نص".encode(), keys, AT)
    stamp = given["webhook-timestamp"]
    assert stamp == str(int(AT.timestamp()))
    expected = [
        base64.b64encode(
            hmac.new(
                base64.b64decode(key.removeprefix("whsec_")),
                f"msg_1.{stamp}.نص".encode(),
                hashlib.sha256,
            ).digest()
        ).decode()
        for key in keys
    ]
    assert given["webhook-signature"] == " ".join(f"v1,{each}" for each in expected)
    assert len(set(expected)) == 2


def test_a_new_secret_can_sign_and_is_never_the_same() -> None:
    found = {new_secret() for _ in range(20)}
    assert len(found) == 20
    for each in found:
        check_secret(Secret(each), "notify-webhook")


@pytest.mark.parametrize(
    "text", ["", "whsec_", "whsec_c2hvcnQ=", "whsec_not base64!", "c" * 44, "whsec_" + "A" * 400]
)
def test_a_secret_that_cannot_sign_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        check_secret(Secret(text), "notify-webhook")
    assert caught.value.place == "notify-webhook"
    assert "whsec_c2hv" not in str(caught.value)
