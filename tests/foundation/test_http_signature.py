"""The messages, keys and signatures of RFC 9421's own appendix, and what must not pass for them."""

import hashlib
import hmac
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from subprocess import run
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
    load_pem_private_key,
)
from hypothesis import given
from hypothesis import strategies as st

from foundation.errors import InvalidInput, Malformed
from foundation.wire.http_signature import (
    ECDSA,
    ED25519,
    PSS,
    RSA,
    Message,
    PrivateKey,
    PublicKey,
    Signed,
    asked,
    holds,
    read_inputs,
    read_signatures,
    sign,
    signature_base,
    signature_of,
)
from tests.foundation.http_signature_vectors import (
    B22,
    B25,
    B26,
    BY_KEY,
    ED25519_PRIVATE,
    ED25519_PUBLIC,
    REQUEST,
    RESPONSE,
    SHARED_SECRET,
    TRANSFORMED,
)

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def key_of(encoded: str) -> PublicKey:
    key = load_der_public_key(b64decode(encoded))
    assert isinstance(key, PublicKey)
    return key


def only(pair: tuple[str, str]) -> tuple[Signed, bytes]:
    ((label, signed),) = read_inputs(pair[0]).items()
    ((same, signature),) = read_signatures(pair[1]).items()
    assert label == same
    return signed, signature


def changed(message: Message, **parts: Any) -> Message:
    return Message(**{**vars(message), **parts})


@pytest.mark.parametrize(("message", "pair", "key", "alg"), BY_KEY)
def test_each_signature_of_the_standards_appendix_holds(
    message: Message, pair: tuple[str, str], key: str, alg: str
) -> None:
    signed, signature = only(pair)
    assert holds(signature_base(message, signed), signature, key_of(key), alg)


def test_the_base_of_the_appendix_signed_by_a_shared_secret_is_made_to_the_byte() -> None:
    signed, signature = only(B25)
    base = signature_base(REQUEST, signed)
    assert hmac.new(b64decode(SHARED_SECRET), base, hashlib.sha256).digest() == signature


def test_the_base_has_the_lines_that_the_standard_shows() -> None:
    assert signature_base(REQUEST, only(B22)[0]).decode().splitlines() == [
        '"@authority": example.com',
        '"content-digest": sha-512=:'
        "WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:",
        '"@query-param";name="Pet": dog',
        '"@signature-params": ("@authority" "content-digest" "@query-param";name="Pet");created=1618884473'
        ';keyid="test-key-rsa-pss";tag="header-example"',
    ]


def test_the_deterministic_signature_of_the_appendix_is_made_to_the_byte() -> None:
    key = load_pem_private_key(ED25519_PRIVATE.encode(), None)
    assert isinstance(key, ed25519.Ed25519PrivateKey)
    created = datetime.fromtimestamp(1618884473, UTC)
    names = ("date", "@method", "@path", "@authority", "content-type", "content-length")
    made = sign(REQUEST, "sig-b26", asked(names, created=created, keyid="test-key-ed25519"), key)
    assert made == {"Signature-Input": B26[0], "Signature": B26[1]}


@pytest.mark.parametrize(
    ("message", "held"),
    [
        (
            Message(
                "GET",
                "https://example.org/demo?name1=Value1&Name2=value2",
                (("Accept", "application/json"), ("Accept", "*/*")),
            ),
            True,
        ),
        (
            Message(
                "GET",
                "https://EXAMPLE.org:443/demo?name1=Value1&Name2=value2&param=added",
                (("accept", " application/json, */* "), ("Accept-Language", "en-US,en;q=0.5")),
            ),
            True,
        ),
        (
            Message("POST", "https://example.com/demo", (("Accept", "application/json"), ("Accept", "*/*"))),
            False,
        ),
        (
            Message("GET", "https://example.org/demo", (("Accept", "*/*"), ("Accept", "application/json"))),
            False,
        ),
    ],
)
def test_a_message_may_be_changed_only_where_nothing_is_covered(message: Message, held: bool) -> None:
    signed, signature = only(TRANSFORMED)
    assert holds(signature_base(message, signed), signature, key_of(ED25519_PUBLIC)) is held


@pytest.mark.parametrize(
    "other",
    [
        changed(REQUEST, method="PUT"),
        changed(REQUEST, method="post"),
        changed(REQUEST, target_uri="https://example.com/foo?Pet=dog&param=Value"),
        changed(REQUEST, target_uri="https://example.com/foo/?param=Value&Pet=dog"),
        changed(REQUEST, target_uri="https://example.com/foo?param=Value&Pet=dog&"),
        changed(REQUEST, target_uri="https://example.org/foo?param=Value&Pet=dog"),
        changed(REQUEST, target_uri="https://example.com:444/foo?param=Value&Pet=dog"),
        changed(REQUEST, target_uri="http://example.com/foo?param=Value&Pet=dog"),
        changed(REQUEST, fields=(*REQUEST.fields, ("date", "Tue, 20 Apr 2021 02:07:55 GMT"))),
    ],
)
def test_no_covered_part_can_be_changed(other: Message) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    signed = asked(("@method", "@target-uri", "date"), created=NOW)
    signature = signature_of(signature_base(REQUEST, signed), key)
    assert holds(signature_base(REQUEST, signed), signature, key.public_key())
    assert not holds(signature_base(other, signed), signature, key.public_key())


def test_nothing_said_of_a_signature_can_be_changed() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    words = {"created": NOW, "expires": NOW + timedelta(minutes=5), "nonce": "n", "keyid": "k", "tag": "t"}
    signed = asked(("@method", "@path"), **words)  # type: ignore[arg-type] # one value of each kind
    signature = signature_of(signature_base(REQUEST, signed), key)
    spelled = signed.parameters
    others = [
        spelled.replace('"@method" "@path"', '"@path" "@method"'),
        spelled.replace('"@method" "@path"', '"@method" "@path" "@query"'),
        spelled.replace('nonce="n"', 'nonce="m"'),
        spelled.replace('keyid="k"', 'keyid="l"'),
        spelled.replace(';tag="t"', ""),
        spelled.replace(str(int(NOW.timestamp())), str(int(NOW.timestamp()) + 1)),
        spelled.replace(';keyid="k";tag="t"', ';tag="t";keyid="k"'),
    ]
    for other in others:
        assert other != spelled
        changed_input = read_inputs(f"centre={other}")["centre"]
        assert not holds(signature_base(REQUEST, changed_input), signature, key.public_key())
    same = read_inputs(f"centre={spelled}")["centre"]
    assert (same.created, same.expires, same.nonce, same.keyid, same.tag) == tuple(words.values())


@pytest.mark.parametrize(
    ("made", "alg"),
    [
        (lambda: ec.generate_private_key(ec.SECP256R1()), ECDSA),
        (lambda: rsa.generate_private_key(65537, 2048), RSA),
        (lambda: rsa.generate_private_key(65537, 2048), PSS),
        (ed25519.Ed25519PrivateKey.generate, ED25519),
    ],
)
def test_what_one_key_signs_no_other_verifies(made: Any, alg: str) -> None:
    key, other = made(), made()
    signature = signature_of(b"base", key, alg)
    assert holds(b"base", signature, key.public_key(), alg)
    assert not holds(b"base", signature, other.public_key(), alg)
    assert not holds(b"another", signature, key.public_key(), alg)
    for broken in (b"", signature[:-1], signature + b"\0", bytes(len(signature)), b"\xff" * len(signature)):
        assert not holds(b"base", broken, key.public_key(), alg)


def test_an_algorithm_that_the_key_does_not_have_is_refused() -> None:
    curve, modulus = ec.generate_private_key(ec.SECP256R1()), rsa.generate_private_key(65537, 2048)
    short, wide = rsa.generate_private_key(65537, 1024), ec.generate_private_key(ec.SECP384R1())
    wrong: list[tuple[PrivateKey, str | None]] = [
        (curve, RSA),
        (curve, "hmac-sha256"),
        (curve, "ecdsa-p384-sha384"),
        (curve, "none"),
        (curve, ""),
        (modulus, ECDSA),
        (modulus, None),
        (modulus, "rsa-v1_5-sha1"),
        (short, RSA),
        (wide, ECDSA),
        (wide, None),
    ]
    for key, alg in wrong:
        with pytest.raises(InvalidInput):
            signature_of(b"base", key, alg)
        with pytest.raises(InvalidInput):
            holds(b"base", bytes(64), key.public_key(), alg)


def test_one_padding_of_rsa_does_not_pass_for_the_other() -> None:
    key = rsa.generate_private_key(65537, 2048)
    assert not holds(b"base", signature_of(b"base", key, PSS), key.public_key(), RSA)
    assert not holds(b"base", signature_of(b"base", key, RSA), key.public_key(), PSS)


def test_an_ecdsa_signature_in_der_is_no_signature_here() -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    signature = signature_of(b"base", key)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    assert not holds(b"base", encode_dss_signature(r, s), key.public_key())


def test_openssl_verifies_what_is_signed_and_signs_what_is_verified(tmp_path: Path) -> None:
    key = rsa.generate_private_key(65537, 2048)
    (tmp_path / "base").write_bytes(b"base")
    (tmp_path / "signature").write_bytes(signature_of(b"base", key, PSS))
    (tmp_path / "public.pem").write_bytes(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    verified = ["openssl", "dgst", "-sha512", "-verify", "public.pem", "-signature", "signature"]
    padded = ["-sigopt", "rsa_padding_mode:pss", "-sigopt", "rsa_pss_saltlen:64", "base"]
    told = run([*verified, *padded], cwd=tmp_path, capture_output=True, check=True, timeout=60)
    assert told.stdout == b"Verified OK\n"


@pytest.mark.parametrize(
    "value",
    [
        'centre=("@method" "@method");created=1',
        'centre=("Date")',
        'centre=("")',
        "centre=(date)",
        'centre=("@query-param")',
        'centre=("@query-param";name="a";req)',
        'centre=("date";sf)',
        'centre=("date";bs)',
        'centre=("date";key="a")',
        'centre=("@method";req)',
        'centre=("date";tr)',
        'centre="@method"',
        "centre=:AAAA:",
        "centre",
        'centre=("@method");created="1"',
        'centre=("@method");created=-1',
        'centre=("@method");created=999999999999999',
        'centre=("@method");created=?1',
        'centre=("@method");created=1.0',
        'centre=("@method");keyid=abc',
        'centre=("@method");nonce=1',
        'centre=("@method");alg=:AAAA:',
        'centre=("@method");unknown="x"',
    ],
)
def test_an_input_that_is_not_understood_whole_is_refused(value: str) -> None:
    with pytest.raises(Malformed):
        read_inputs(value)


@pytest.mark.parametrize("value", ['centre="AAAA"', "centre=(:AAAA:)", "centre=AAAA", "centre=:AAAA:;x=1"])
def test_a_signature_is_a_byte_sequence_and_nothing_else(value: str) -> None:
    with pytest.raises(Malformed):
        read_signatures(value)


@pytest.mark.parametrize(
    ("message", "component"),
    [
        (REQUEST, "x-missing"),
        (REQUEST, "@status"),
        (REQUEST, "@request-response"),
        (REQUEST, "@signature-params"),
        (RESPONSE, "@method"),
        (RESPONSE, "@target-uri"),
        (changed(REQUEST, fields=(("x", "a\nb"),)), "x"),
        (changed(REQUEST, fields=(("x", "é"),)), "x"),
        (changed(REQUEST, target_uri="https://example.com/a\nb"), "@target-uri"),
    ],
)
def test_a_part_that_is_not_there_or_cannot_be_covered_is_refused(message: Message, component: str) -> None:
    with pytest.raises(Malformed):
        signature_base(message, asked((component,)))


def test_a_query_parameter_that_stands_twice_is_refused() -> None:
    signed = read_inputs('sig=("@query-param";name="a")')["sig"]
    twice = changed(REQUEST, target_uri="https://example.com/?a=1&a=2")
    with pytest.raises(Malformed):
        signature_base(twice, signed)
    once = changed(REQUEST, target_uri="https://example.com/?a=b%20c+d~&b=2")
    assert signature_base(once, signed).startswith(b'"@query-param";name="a": b%20c%20d%7E\n')


@pytest.mark.parametrize(
    ("target", "path", "query", "authority"),
    [
        ("https://example.com", "/", "?", "example.com"),
        ("http://Example.com:80/?", "/", "?", "example.com"),
        ("http://example.com:8080/a%2Fb?x=%20", "/a%2Fb", "?x=%20", "example.com:8080"),
        ("https://[::1]:443/", "/", "?", "[::1]"),
    ],
)
def test_parts_of_the_target_are_as_the_standard_has_them(
    target: str, path: str, query: str, authority: str
) -> None:
    base = signature_base(Message("GET", target, ()), asked(("@path", "@query", "@authority")))
    lines = [f'"@path": {path}', f'"@query": {query}', f'"@authority": {authority}']
    assert base.decode().splitlines()[:3] == lines


_VALUES = st.text(st.characters(codec="latin-1"), max_size=30)


@given(
    st.lists(st.sampled_from(["@method", "@path", "x-a", "x-b"]), unique=True),
    st.lists(st.tuples(st.sampled_from(["x-a", "X-B"]), _VALUES), max_size=3),
    _VALUES,
)
def test_two_messages_that_differ_in_what_is_covered_have_two_bases(
    names: list[str], fields: list[tuple[str, str]], path: str
) -> None:
    signed = asked(names)
    message = Message("GET", f"https://example.com/{path}", fields)
    try:
        base = signature_base(message, signed)
    except Malformed:
        return
    # One line for each part and one for the whole, whatever a stranger wrote into them.
    lines = base.decode().split("\n")
    assert len(lines) == len(names) + 1
    for name, line in zip(names, lines, strict=False):
        assert line.startswith(f'"{name}": ')


def test_the_remedy_of_a_refusal_is_told_in_both_languages() -> None:
    with pytest.raises(Malformed) as refused:
        read_inputs("centre")
    assert refused.value.remedy
    assert refused.value.message_ar
