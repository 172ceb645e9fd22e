import pytest

from foundation.errors import Malformed
from foundation.wire.content_digest import WrongDigest, check_digest, content_digest

BODY = b'{"hello": "world"}'
# RFC 9530, appendix D, and RFC 9421, appendix B.2: of the same body.
SHA256 = "sha-256=:X48E9qOokqqrvdts8nOJRJN3OWDUoyWxBf7kbu9DBPE=:"
SHA512 = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"
OTHER = "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"


def test_the_digests_of_the_standards_are_made_and_found_right() -> None:
    assert content_digest(BODY) == SHA256
    assert content_digest(BODY, "sha-512") == SHA512
    assert content_digest(b"") == OTHER
    for value in (SHA256, SHA512, f"{SHA256}, {SHA512}", f"md5=:AAAA:, {SHA256}"):
        check_digest(value, BODY)


@pytest.mark.parametrize(
    "value", [OTHER, f"{OTHER}, {SHA512}", f"{SHA512}, {OTHER}", "sha-256=::", "sha-256=:AAAA:"]
)
def test_one_wrong_digest_is_enough_to_refuse_a_body(value: str) -> None:
    with pytest.raises(WrongDigest) as refused:
        check_digest(value, BODY)
    assert refused.value.message_ar


@pytest.mark.parametrize(
    "value",
    [
        "",
        "md5=:AAAA:",
        "sha-256",
        'sha-256="X48E"',
        "sha-256=(:AAAA:)",
        f"{SHA256};q=1",
        f"{SHA256}, {SHA256}",
        "SHA-256=:AAAA:",
    ],
)
def test_a_header_without_a_digest_that_counts_is_refused(value: str) -> None:
    with pytest.raises(Malformed):
        check_digest(value, BODY)
