"""Whether what was kept of a centre's acts still proves them: each signature and the journal, asked anew.

The hash of a proof stands in the journal, which nobody can change unseen (`rakeeza audit verify` reads its
chains); the signatures say more than that. Those of the centre, and on REST the clerk's, were made with keys
that the municipality never had. On SOAP the clerk's is a digest under a secret that the municipality keeps
too: it tells clerks apart, and rests on the centre's signature for all else.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from cryptography.hazmat.primitives.serialization import load_der_public_key
from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation.audit_writing import hash_of
from foundation.client_keys import certificate_for
from foundation.personal import Vault
from foundation.secret import Secret
from foundation.wire.http_signature import PublicKey
from integrations.centres.centre import Centre
from integrations.centres.clerks import secrets_of
from integrations.centres.proof import still_holds
from integrations.centres.rules import proof_digest
from integrations.ws_security.algorithms import METHODS, check_key, check_signature
from integrations.ws_security.faults import SecurityFault

_AT_A_TIME = 500
_METHOD = re.compile(rb'SignatureMethod Algorithm="([^"]+)"')
# One pass over both, in one order: neither fits into memory after some years.
_ALL = text(
    """
    SELECT coalesce(encode(kept.digest, 'hex'), entry.details ->> 'proof') COLLATE "C" AS name, kept.digest,
           kept.clerk, kept.proof, entry.chain, entry.position, entry.at, entry.actor, entry.action,
           entry.details, entry.previous, entry.hash
    FROM (SELECT * FROM act_proof WHERE caller = :caller) AS kept
    FULL JOIN (SELECT * FROM audit WHERE actor = :caller AND details ? 'proof') AS entry
        ON entry.details ->> 'proof' = encode(kept.digest, 'hex')
    ORDER BY 1, entry.chain, entry.position
    """
)
_UNSIGNED = text(
    "SELECT chain, position, action FROM audit "
    "WHERE actor = :caller AND at >= :since AND NOT details ? 'proof' ORDER BY at, chain, position"
)
_CLERK_KEY = text(
    "SELECT public_key FROM clerk_key WHERE thumbprint = :key AND centre = :centre AND clerk = :clerk"
)


@dataclass(frozen=True)
class Unproven:
    """What does not hold.

    Args:
        what: a proof by its hash, as journals have it, or an entry as CHAIN:POSITION.
        why: in one sentence.
    """

    what: str
    why: str


@dataclass
class Examination:
    """What was looked at, and what of it does not hold.

    Args:
        proofs: how many were there.
        entries: how many of the journal's entries name one.
    """

    proofs: int = 0
    entries: int = 0
    unproven: list[Unproven] = field(default_factory=list)


def examine(session: Session, vault: Vault, centre: Centre) -> Examination:
    """Every act of a centre since it has a record, proven again from what is kept alone.

    Keys and secrets that were given up since count: they held when they signed, which was judged then.
    """
    found, keys = Examination(), _Keys(session, vault)
    rows = session.execute(_ALL, {"caller": centre.actor}, execution_options={"yield_per": _AT_A_TIME})
    for name, group in groupby(rows, key=lambda row: str(row.name)):
        entries = list(group)
        found.proofs += entries[0].digest is not None
        found.entries += sum(each.chain is not None for each in entries)
        why = _fault(centre, keys, entries[0]) if entries[0].digest is not None else "The proof is not kept."
        found.unproven += [Unproven(name, why)] if why else []
        found.unproven += [Unproven(_place(row), said) for row in entries if (said := _misfit(row))]
        if entries[0].chain is None:
            found.unproven.append(Unproven(name, "No entry of the journal names the proof."))
    unsigned = session.execute(_UNSIGNED, {"caller": centre.actor, "since": centre.added_at})
    for row in unsigned:
        found.unproven.append(Unproven(_place(row), f"The act {row.action!r} has no proof."))
    return found


class _Keys:
    # The keys and secrets that acts were signed with, whatever became of them since; each is read once.

    def __init__(self, session: Session, vault: Vault) -> None:
        self._session, self._vault = session, vault
        self._known: dict[tuple[str, ...], PublicKey | None] = {}
        self._secrets: dict[tuple[str, str], list[Secret]] = {}

    def of_centre(self, proof: Mapping[str, str]) -> PublicKey | None:
        centre, thumbprint = proof.get("centre", ""), proof.get("centre_key", "")
        if (centre, thumbprint) not in self._known:
            row = certificate_for(self._session, thumbprint)
            good = row is not None and row.client_id == centre
            self._known[centre, thumbprint] = row.public_key() if row is not None and good else None
        return self._known[centre, thumbprint]

    def of_clerk(self, proof: Mapping[str, str]) -> PublicKey | None:
        words = {name: proof.get(f"clerk{part}", "") for name, part in (("clerk", ""), ("key", "_key"))}
        words["centre"] = proof.get("centre", "")
        place = (words["centre"], words["clerk"], words["key"])
        if place not in self._known:
            der = self._session.execute(_CLERK_KEY, words).scalar()
            key = load_der_public_key(der) if der is not None else None
            assert key is None or isinstance(key, PublicKey), "only such keys are enrolled"
            self._known[place] = key
        return self._known[place]

    def secrets(self, centre: str, clerk: str) -> list[Secret]:
        if (centre, clerk) not in self._secrets:
            self._secrets[centre, clerk] = secrets_of(self._session, self._vault, centre, clerk)
        return self._secrets[centre, clerk]


def _fault(centre: Centre, keys: _Keys, row: Any) -> str:
    proof: Mapping[str, str] = row.proof
    if proof_digest(proof) != row.digest:
        return "The proof is not the one of its hash."
    if (proof.get("centre"), proof.get("clerk")) != (centre.code, row.clerk):
        return "The proof is another's."
    key = keys.of_centre(proof)
    if key is None:
        return "The key of the centre is not known."
    if proof.get("face") == "soap":
        return _soap_fault(keys, proof, key)
    if not _signed(proof, "centre", key):
        return "The signature of the centre does not hold."
    clerk_key = keys.of_clerk(proof)
    if clerk_key is None:
        return "The key of the clerk is not known."
    return "" if _signed(proof, "clerk", clerk_key) else "The signature of the clerk does not hold."


def _misfit(row: Any) -> str:
    # An entry whose hash is its own is the chain's, which is verified as a whole elsewhere.
    if row.chain is None:
        return ""
    names = ("chain", "position", "at", "actor", "action", "details")
    if hash_of(row.previous, {name: getattr(row, name) for name in names}) != row.hash:
        return "The entry of the journal was changed."
    if row.digest is not None and row.details.get("clerk") != row.clerk:
        return "The entry names another clerk than the proof."
    return ""


def _signed(proof: Mapping[str, str], label: str, key: PublicKey) -> bool:
    signature, digest = _octets(proof, f"{label}_signature"), _octets(proof, f"{label}_digest")
    return still_holds(signature, digest, proof.get(f"{label}_alg", ""), key)


def _soap_fault(keys: _Keys, proof: Mapping[str, str], key: PublicKey) -> str:
    signed = _octets(proof, "centre_signed")
    named = _METHOD.search(signed)
    method = METHODS.get(named[1].decode("ascii", "replace")) if named else None
    if method is None or hashlib.sha256(signed).digest() != _octets(proof, "centre_digest"):
        return "What the centre signed is not kept."
    try:
        check_key(method, key)
        check_signature(method, key, _octets(proof, "centre_signature"), signed)
    except SecurityFault:
        return "The signature of the centre does not hold."
    token = _octets(proof, "nonce") + proof.get("clerk_created", "").encode()
    # UsernameToken Profile 1.1.1, section 3.1: the profile knows no other hash.
    made = (
        hashlib.sha1(token + secret.reveal().encode(), usedforsecurity=False).digest()
        for secret in keys.secrets(proof.get("centre", ""), proof.get("clerk", ""))
    )
    digest = _octets(proof, "clerk_signature")
    return (
        "" if any(hmac.compare_digest(each, digest) for each in made) else "The clerk's token does not hold."
    )


def _octets(proof: Mapping[str, str], name: str) -> bytes:
    try:
        return base64.b64decode(proof.get(name, ""), validate=True)
    except binascii.Error:
        return b""


def _place(row: Any) -> str:
    return f"{row.chain}:{row.position}"
