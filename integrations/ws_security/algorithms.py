"""The closed list of algorithms, and the keys that go with them. SHA-1, MD5, DSA and HMAC are not among them.

Source: XML Signature 1.1, section 6; RFC 9231 (identifiers); RFC 6931, section 2.3.6 (form of ECDSA's value).
"""

from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256, SHA384, SHA512, HashAlgorithm

from integrations.ws_security.faults import FailedCheck, UnsupportedAlgorithm

_MORE = "http://www.w3.org/2001/04/xmldsig-more#"
_MORE_2007 = "http://www.w3.org/2007/05/xmldsig-more#"
_XENC = "http://www.w3.org/2001/04/xmlenc#"

DIGESTS: dict[str, str] = {
    f"{_XENC}sha256": "sha256",
    f"{_MORE}sha384": "sha384",
    f"{_XENC}sha512": "sha512",
}
"""Names for hashlib, by identifier."""

LONGEST_SIGNATURE = 1024
"""Octets of a signature: those of an RSA key of 8192 bits."""

_RSA_BITS = range(2048, 8193)
_CURVES = (ec.SECP256R1, ec.SECP384R1)


@dataclass(frozen=True)
class Method:
    """A signature algorithm.

    Args:
        key: kind of key it takes.
        hashed: what the octets are hashed with.
        pss: RSA with MGF1 of the same hash and a salt as long as it, and not PKCS #1 v1.5.
    """

    key: type[rsa.RSAPublicKey] | type[ec.EllipticCurvePublicKey]
    hashed: HashAlgorithm
    pss: bool = False


METHODS: dict[str, Method] = {
    f"{_MORE}rsa-sha256": Method(rsa.RSAPublicKey, SHA256()),
    f"{_MORE}rsa-sha384": Method(rsa.RSAPublicKey, SHA384()),
    f"{_MORE}rsa-sha512": Method(rsa.RSAPublicKey, SHA512()),
    f"{_MORE_2007}sha256-rsa-MGF1": Method(rsa.RSAPublicKey, SHA256(), pss=True),
    f"{_MORE_2007}sha384-rsa-MGF1": Method(rsa.RSAPublicKey, SHA384(), pss=True),
    f"{_MORE_2007}sha512-rsa-MGF1": Method(rsa.RSAPublicKey, SHA512(), pss=True),
    f"{_MORE}ecdsa-sha256": Method(ec.EllipticCurvePublicKey, SHA256()),
    f"{_MORE}ecdsa-sha384": Method(ec.EllipticCurvePublicKey, SHA384()),
}
"""Signature algorithms, by identifier."""


def check_key(method: Method, key: object) -> None:
    """Refuse a key that the algorithm does not take, or that is too weak or too costly.

    Raises:
        UnsupportedAlgorithm: it is of another kind, or not of a size or curve that is taken.
    """
    good = isinstance(key, method.key)
    if isinstance(key, rsa.RSAPublicKey):
        good = good and key.key_size in _RSA_BITS
    if isinstance(key, ec.EllipticCurvePublicKey):
        good = good and isinstance(key.curve, _CURVES)
    if not good:
        raise UnsupportedAlgorithm(
            "key",
            "The certificate's key does not go with the signature's algorithm, or is not taken.",
            "مفتاح الشهادة لا يناسب خوارزمية التوقيع أو غير مقبول.",
            place="ds:SignatureMethod",
            remedy="Take RSA of 2048 to 8192 bits, or the curve P-256 or P-384.",
        )


def check_signature(method: Method, key: object, signature: bytes, octets: bytes) -> None:
    """Verify a signature by a key that `check_key` let pass.

    Args:
        signature: of ECDSA the two numbers one behind the other, each as long as the curve's field.

    Raises:
        FailedCheck: it does not hold.
    """
    try:
        if isinstance(key, rsa.RSAPublicKey):
            key.verify(signature, octets, _padding(method), method.hashed)
        elif isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(_as_der(key, signature), octets, ec.ECDSA(method.hashed))
        else:
            raise InvalidSignature
    except InvalidSignature as error:
        raise FailedCheck(
            "signature",
            "The signature does not hold.",
            "التوقيع غير صحيح.",
            place="ds:SignatureValue",
            remedy="Sign the message as it is sent; nothing may change it after that.",
        ) from error


def _padding(method: Method) -> padding.AsymmetricPadding:
    if method.pss:
        return padding.PSS(padding.MGF1(method.hashed), method.hashed.digest_size)
    return padding.PKCS1v15()


def _as_der(key: ec.EllipticCurvePublicKey, signature: bytes) -> bytes:
    half = (key.curve.key_size + 7) // 8
    if len(signature) != 2 * half:
        raise InvalidSignature
    numbers = (int.from_bytes(part, "big") for part in (signature[:half], signature[half:]))
    return encode_dss_signature(*numbers)
