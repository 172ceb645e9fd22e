"""Whether what was kept of the acts of centres still proves them: asked anew of each signature.

The hash of a proof stands in the journal, which nobody can change unseen; the signatures in it say more than
that: they were made with keys that the municipality never had.
"""

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.serialization import load_der_public_key
from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation.client_keys import certificate_for
from foundation.wire.http_signature import PublicKey
from integrations.centres.proof import still_holds
from integrations.centres.rules import proof_digest

_BATCH = 500
_PROOFS = text(
    "SELECT digest, caller, clerk, proof FROM act_proof WHERE digest > :after ORDER BY digest LIMIT :batch"
)
_CLERK_KEY = text(
    "SELECT public_key FROM clerk_key WHERE thumbprint = :key AND centre = :centre AND clerk = :clerk"
)


@dataclass(frozen=True)
class Unproven:
    """A proof that does not hold.

    Args:
        digest: its name in the journals, hexadecimal.
        why: in one sentence.
    """

    digest: str
    why: str


def unproven(session: Session) -> Iterator[Unproven]:
    """Every proof of an act over REST that does not hold; those of SOAP are over messages that are not kept.

    Keys that were revoked since count: they held when they signed, which was judged then.
    """
    after = b""
    while rows := session.execute(_PROOFS, {"after": after, "batch": _BATCH}).all():
        for row in rows:
            why = _fault(session, row)
            if why:
                yield Unproven(row.digest.hex(), why)
        after = rows[-1].digest


def _fault(session: Session, row: Any) -> str:
    proof: Mapping[str, str] = row.proof
    if proof_digest(proof) != row.digest:
        return "The proof is not the one of its digest."
    if proof.get("face") != "rest":
        return ""
    if (f"client/{proof.get('centre')}", proof.get("clerk")) != (row.caller, row.clerk):
        return "The proof is another's."
    for label, key in (("centre", _centre_key(session, proof)), ("clerk", _clerk_key(session, proof))):
        if key is None:
            return f"The key of the {label} is not known."
        if not _holds(proof, label, key):
            return f"The signature of the {label} does not hold."
    return ""


def _holds(proof: Mapping[str, str], label: str, key: PublicKey) -> bool:
    try:
        signature, digest = (
            base64.b64decode(proof.get(f"{label}_{part}", ""), validate=True)
            for part in ("signature", "digest")
        )
    except binascii.Error:
        return False
    return still_holds(signature, digest, proof.get(f"{label}_alg", ""), key)


def _centre_key(session: Session, proof: Mapping[str, str]) -> PublicKey | None:
    row = certificate_for(session, proof.get("centre_key", ""))
    return row.public_key() if row is not None and row.client_id == proof.get("centre") else None


def _clerk_key(session: Session, proof: Mapping[str, str]) -> PublicKey | None:
    words = {"key": proof.get("clerk_key"), "centre": proof.get("centre"), "clerk": proof.get("clerk")}
    der = session.execute(_CLERK_KEY, words).scalar()
    key = load_der_public_key(der) if der is not None else None
    assert key is None or isinstance(key, PublicKey), "only such keys are enrolled"
    return key
