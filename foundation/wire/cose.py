"""Signed messages: COSE_Sign1 with ES256, built here so that whatever holds the key can sign.

A COSE library asks for the private key itself; a key in a hardware token never leaves it. So the bytes to be
signed are made here, any `Signer` signs them, and python-cwt verifies what comes out.

Source: RFC 9052, section 4.2 (COSE_Sign1), 4.4 (Sig_structure), 9 (encoding); RFC 9053, section 2.1 (ECDSA).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import cbor2

from foundation.wire.credential_keys import Signer

SIGN1 = 18
"""CBOR tag of a COSE_Sign1 message."""

ALG, KID = 1, 4
ES256 = -7

_SIGNATURE = 64  # bytes: r and s, one after the other, 32 each
_NONE: Mapping[int, Any] = MappingProxyType({})


def sign1(payload: bytes, signer: Signer, headers: Mapping[int, Any] = _NONE) -> bytes:
    """A signed message, its whole header protected.

    Args:
        payload: what is signed, as it is carried.
        signer: the key; its identifier goes into the header.
        headers: further header parameters by label, as `{16: "application/..."}`.

    Returns:
        The message with tag 18, in the one form deterministic CBOR has for it.

    Raises:
        ValueError: a header parameter is one that belongs to the signer (1 or 4), or the signer gave no
            signature of 64 bytes.
        RakeezaError: what the signer raises.
    """
    if {ALG, KID} & headers.keys():
        raise ValueError("The algorithm and the key identifier are the signer's to say.")
    protected = deterministic_map({ALG: ES256, KID: signer.public.kid, **headers})
    signature = signer.sign(sig_structure(protected, payload))
    if len(signature) != _SIGNATURE:
        raise ValueError(f"An ES256 signature has {_SIGNATURE} bytes, not {len(signature)}.")
    return cbor2.dumps(cbor2.CBORTag(SIGN1, [protected, {}, payload, signature]))


def sig_structure(protected: bytes, payload: bytes, external: bytes = b"") -> bytes:
    """The bytes that the signature of a COSE_Sign1 message is over.

    Args:
        protected: the protected header as it stands in the message.
        payload: the payload.
        external: data that both sides know and the message does not carry.

    Source: RFC 9052, section 4.4.
    """
    if protected == b"\xa0":
        # An empty map is signed as no bytes at all.
        protected = b""
    return cbor2.dumps(["Signature1", protected, external, payload])


def deterministic_map(content: Mapping[Any, Any]) -> bytes:
    """A map as deterministic CBOR; maps inside it have to be in that order already.

    Source: RFC 8949, section 4.2.1: keys in the order of their encoded bytes.
    """
    return cbor2.dumps({key: content[key] for key in sorted(content, key=cbor2.dumps)})
