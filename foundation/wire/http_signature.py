"""HTTP message signatures: what is signed of a message, and by which key.

A signature covers named parts of a message; each becomes a line of the signature base, and the last line
tells which parts they are, when it was made and by whom. Several signatures stand side by side under labels.

Source: RFC 9421.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final
from urllib.parse import parse_qsl, quote, urlsplit

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from foundation.errors import InvalidInput, Malformed
from foundation.wire.structured_field import (
    Bare,
    InnerList,
    Item,
    Member,
    read_dictionary,
    write_dictionary,
    write_member,
)

ECDSA, RSA, PSS, ED25519 = "ecdsa-p256-sha256", "rsa-v1_5-sha256", "rsa-pss-sha512", "ed25519"
"""Algorithms (RFC 9421, section 3.3); a shared secret proves to nobody else who signed, so no HMAC."""

SHORTEST_RSA = 2048

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey

_PSS: Final = padding.PSS(padding.MGF1(hashes.SHA512()), 64)
_INTEGER = 32  # bytes of each half of an ECDSA signature by P-256
_DEFAULT_PORTS = {"http": 80, "https": 443}
_REMEDY = "Sign as RFC 9421 has it."
_TEXTS = ("nonce", "alg", "keyid", "tag")
_MOMENTS = ("created", "expires")
# datetime knows no year beyond 9999.
_LATEST = 253_402_300_799


@dataclass(frozen=True)
class Message:
    """What of a message can be signed.

    Args:
        method: of a request, as it was sent; None is a response.
        target_uri: of a request, absolute, as the client had it: "https://host/path?query".
        fields: the header's lines, names in any case; a name may stand several times.
        status: of a response.
    """

    method: str | None
    target_uri: str | None
    fields: Sequence[tuple[str, str]]
    status: int | None = None

    def lines(self, name: str) -> list[str]:
        """The values of a field, line by line, without the space around them."""
        return [value.strip(" \t") for field, value in self.fields if field.lower() == name]


@dataclass(frozen=True)
class Signed:
    """What a signature says it covers, and of itself.

    Args:
        components: names of the parts, in their order, with their parameters.
        created: when it was made.
        expires: from when on it does not hold.
        nonce, alg, keyid, tag: as the signer chose them.
        parameters: the whole in its one spelling, as the base's last line has it.
    """

    components: tuple[Item, ...]
    created: datetime | None
    expires: datetime | None
    nonce: str | None
    alg: str | None
    keyid: str | None
    tag: str | None
    parameters: str

    @property
    def names(self) -> frozenset[str]:
        """Names of the parts that it covers whole: those without parameters."""
        return frozenset(str(item.value) for item in self.components if not item.parameters)


def read_inputs(value: str) -> dict[str, Signed]:
    """What `Signature-Input` says of each signature, by label.

    Raises:
        Malformed, TooLarge: it cannot be read, or says something that is not known here.

    Source: RFC 9421, section 4.1.
    """
    return {label: _signed(label, member) for label, member in read_dictionary(value).items()}


def read_signatures(value: str) -> dict[str, bytes]:
    """The signatures in `Signature`, by label.

    Raises:
        Malformed, TooLarge: it cannot be read.

    Source: RFC 9421, section 4.2.
    """
    found: dict[str, bytes] = {}
    for label, member in read_dictionary(value).items():
        if not isinstance(member, Item) or not isinstance(member.value, bytes) or member.parameters:
            raise _wrong(f"The signature {label!r} is no byte sequence.")
        found[label] = member.value
    return found


def signature_base(message: Message, signed: Signed) -> bytes:
    """The bytes that a signature is over.

    Raises:
        Malformed: a part that is covered is not there, or cannot be covered.

    Source: RFC 9421, section 2.5.
    """
    lines = [f"{write_member(item)}: {_value(message, item)}" for item in signed.components]
    lines.append(f'"@signature-params": {signed.parameters}')
    return "\n".join(lines).encode("ascii")


def asked(
    components: Sequence[str],
    *,
    created: datetime | None = None,
    expires: datetime | None = None,
    nonce: str | None = None,
    alg: str | None = None,
    keyid: str | None = None,
    tag: str | None = None,
) -> Signed:
    """What a signature to be made says.

    Args:
        components: names of the parts, each covered whole.
        created, expires: aware; told in whole seconds.
    """
    told: dict[str, Bare | None] = {
        "created": None if created is None else int(created.timestamp()),
        "expires": None if expires is None else int(expires.timestamp()),
        "nonce": nonce,
        "alg": alg,
        "keyid": keyid,
        "tag": tag,
    }
    parameters = {key: value for key, value in told.items() if value is not None}
    return _signed("", InnerList(tuple(Item(name) for name in components), parameters))


def sign(message: Message, label: str, signed: Signed, key: PrivateKey) -> dict[str, str]:
    """Sign a message.

    Args:
        label: names the signature among others.
        signed: what it is to cover and say; where it names no algorithm, the key's own is taken.

    Returns:
        The headers `Signature-Input` and `Signature`; those of several signatures are joined by ", ".

    Raises:
        InvalidInput: the algorithm is not one of the key.
        Malformed: a part that is to be covered is not there.
    """
    signature = signature_of(signature_base(message, signed), key, signed.alg)
    return {
        "Signature-Input": f"{label}={signed.parameters}",
        "Signature": write_dictionary({label: Item(signature)}),
    }


def signature_of(base: bytes, key: PrivateKey, alg: str | None = None) -> bytes:
    """Sign a base.

    Args:
        alg: one of the key; needed where it has several.

    Raises:
        InvalidInput: the algorithm is not one of the key, or is needed.
    """
    chosen = algorithm_of(key.public_key(), alg)
    if isinstance(key, ec.EllipticCurvePrivateKey):
        r, s = decode_dss_signature(key.sign(base, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(_INTEGER, "big") + s.to_bytes(_INTEGER, "big")
    if isinstance(key, rsa.RSAPrivateKey):
        if chosen == PSS:
            return key.sign(base, _PSS, hashes.SHA512())
        return key.sign(base, padding.PKCS1v15(), hashes.SHA256())
    return key.sign(base)


def holds(base: bytes, signature: bytes, key: PublicKey, alg: str | None = None) -> bool:
    """Whether a signature over a base is one by a key.

    Args:
        alg: as the signature names it; the key decides whether it can be.

    Raises:
        InvalidInput: the algorithm is not one of the key, or is needed.

    Source: RFC 9421, section 3.3.
    """
    chosen = algorithm_of(key, alg)
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            if len(signature) != 2 * _INTEGER:
                return False
            r, s = (int.from_bytes(half, "big") for half in (signature[:_INTEGER], signature[_INTEGER:]))
            key.verify(encode_dss_signature(r, s), base, ec.ECDSA(hashes.SHA256()))
        elif isinstance(key, rsa.RSAPublicKey):
            if chosen == PSS:
                key.verify(signature, base, _PSS, hashes.SHA512())
            else:
                key.verify(signature, base, padding.PKCS1v15(), hashes.SHA256())
        else:
            key.verify(signature, base)
    except InvalidSignature:
        return False
    return True


def algorithm_of(key: PublicKey, alg: str | None) -> str:
    """The algorithm that a signature by a key is made with.

    Args:
        alg: as the signature names it; None is the only one of the key.

    Raises:
        InvalidInput: it is not one of the key, or the key has several and none is named.
    """
    possible = _algorithms(key)
    if alg is None and len(possible) == 1:
        return possible[0]
    if alg not in possible:
        what = "No algorithm is named" if alg is None else f"The algorithm {alg!r} is not one of this key"
        raise InvalidInput(
            f"{what}.",
            remedy=f"Take {' or '.join(possible)}." if possible else "Take another key.",
            message_ar="خوارزمية التوقيع لا تناسب المفتاح.",
        )
    return alg


def _algorithms(key: PublicKey) -> tuple[str, ...]:
    if isinstance(key, ec.EllipticCurvePublicKey):
        return (ECDSA,) if isinstance(key.curve, ec.SECP256R1) else ()
    if isinstance(key, rsa.RSAPublicKey):
        return (RSA, PSS) if key.key_size >= SHORTEST_RSA else ()
    return (ED25519,)


def _signed(label: str, member: Member) -> Signed:
    if not isinstance(member, InnerList):
        raise _wrong(f"The input of the signature {label!r} is no list of parts.")
    spelled = [write_member(item) for item in member.items]
    if len(set(spelled)) != len(spelled):
        raise _wrong("A part is covered twice.")
    for item in member.items:
        _check_component(item)
    told: Mapping[str, Bare] = member.parameters
    unknown = [key for key in told if key not in (*_TEXTS, *_MOMENTS)]
    if unknown:
        raise _wrong(f"The parameter {unknown[0]!r} of a signature is not known.")
    texts = {key: _text(key, told[key]) for key in _TEXTS if key in told}
    moments = {key: _moment(key, told[key]) for key in _MOMENTS if key in told}
    return Signed(
        components=member.items,
        created=moments.get("created"),
        expires=moments.get("expires"),
        nonce=texts.get("nonce"),
        alg=texts.get("alg"),
        keyid=texts.get("keyid"),
        tag=texts.get("tag"),
        parameters=write_member(member),
    )


def _text(key: str, value: Bare) -> str:
    if not isinstance(value, str):
        raise _wrong(f"The parameter {key!r} of a signature is no string.")
    return value


def _moment(key: str, value: Bare) -> datetime:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _LATEST:
        raise _wrong(f"The parameter {key!r} of a signature is no time.")
    return datetime.fromtimestamp(value, UTC)


def _check_component(item: Item) -> None:
    name = item.value
    if not isinstance(name, str) or not name or name != name.lower():
        raise _wrong("A part that is covered is no name in small letters.")
    if name == "@query-param":
        if list(item.parameters) != ["name"] or not isinstance(item.parameters["name"], str):
            raise _wrong("@query-param names no parameter.")
    elif item.parameters:
        # sf, key, bs, req and tr: nothing of ours needs a part in another form than the message has it.
        raise _wrong(f"The part {name!r} with parameters cannot be covered here.")


def _value(message: Message, item: Item) -> str:
    name = str(item.value)
    if not name.startswith("@"):
        return _field(message, name)
    if name == "@status" and message.status is not None:
        return f"{message.status:03d}"
    if message.method is None or message.target_uri is None:
        raise _wrong(f"{name} is no part of a response.")
    if name == "@method":
        return _plain(name, message.method)
    if name == "@target-uri":
        return _plain(name, message.target_uri)
    parts = urlsplit(message.target_uri)
    if name == "@authority":
        return _plain(name, _authority(parts.scheme, parts.netloc))
    if name == "@path":
        return _plain(name, parts.path or "/")
    if name == "@query":
        return _plain(name, f"?{parts.query}")
    if name == "@query-param":
        return _query_parameter(parts.query, str(item.parameters["name"]))
    raise _wrong(f"{name} is no part of a message that is known here.")


def _authority(scheme: str, netloc: str) -> str:
    host = netloc.rpartition("@")[2].lower()
    return host.removesuffix(f":{_DEFAULT_PORTS.get(scheme, '')}")


def _query_parameter(query: str, name: str) -> str:
    # RFC 9421, section 2.2.8: by the rules of a browser's form. Two of one name could not be told apart.
    pairs = [(_form(key), _form(value)) for key, value in parse_qsl(query, keep_blank_values=True)]
    values = [value for key, value in pairs if key == name]
    if len(values) != 1:
        raise _wrong(f"The query has {len(values)} parameters {name!r}, not one.")
    return values[0]


def _form(text: str) -> str:
    return quote(text, safe="*-._").replace("~", "%7E")


def _field(message: Message, name: str) -> str:
    lines = message.lines(name)
    if not lines:
        raise _wrong(f"The header {name} is covered and was not sent.")
    return _plain(name, ", ".join(lines))


def _plain(name: str, value: str) -> str:
    # A line break would begin a line of the base that no part of the message has (section 7.5.7).
    if not value.isascii() or any(character < " " and character != "\t" for character in value):
        raise _wrong(f"{name} has a character that no signature can cover.")
    return value


def _wrong(message: str) -> Malformed:
    return Malformed(message, remedy=_REMEDY, message_ar="توقيع الطلب غير مقروء؛ وقّع وفق المعيار RFC 9421.")
