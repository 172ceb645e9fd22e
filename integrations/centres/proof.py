"""The proof of an act over REST: the signatures of a centre and of its clerk over the request that they sent.

Both sign the same request, side by side under the labels `centre` and `clerk`, each with a nonce of its own.
The centre's key is that of a certificate of ours, the clerk's one that the municipality has enrolled. What is
kept of an act proves it again at any time without the request itself, which may hold personal data: the
signatures, and the digests that they are over.

Source: RFC 9421 (signatures), RFC 9530 (the body's digest).
"""

import base64
import hashlib
import re
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed, encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key
from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation.client_keys import State, certificate_for
from foundation.database import Database
from foundation.errors import InvalidInput
from foundation.wire.content_digest import check_digest
from foundation.wire.http_signature import (
    ECDSA,
    PSS,
    RSA,
    Message,
    PublicKey,
    Signed,
    algorithm_of,
    holds,
    read_inputs,
    read_signatures,
    signature_base,
)
from integrations.centres import replay
from integrations.centres.proof_refusals import (
    AlgorithmNotTaken,
    CentreKeyUnknown,
    ClerkKeyUnknown,
    Label,
    SignatureExpired,
    SignatureFromFuture,
    SignatureInsufficient,
    SignatureReused,
    SignatureUnreadable,
    SignatureWrong,
)
from integrations.centres.refusals import CentreKeyRevoked, ClerkKeyRevoked

CENTRE: Final = "centre"
CLERK: Final = "clerk"
"""Labels of the signatures; others are nobody's here and are passed over."""

DEVICE = "centre-device"
"""Header that names the device at which a clerk acts, where he acts at one."""

ALWAYS = ("@method", "@target-uri", "authorization")
"""Parts of every signed request that a signature covers."""
OF_WRITES = ("content-digest",)
"""Parts that it covers besides, where the request may change something."""
WHERE_SENT = ("idempotency-key", "if-match", DEVICE)
"""Headers that it covers where they are sent: they decide what is done."""

LONGEST = timedelta(seconds=300)
AHEAD = timedelta(seconds=60)
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_NONCE = re.compile(r"[\x21-\x7e]{16,128}")
_TAKEN: dict[Label, tuple[str, ...]] = {CENTRE: (ECDSA, RSA, PSS), CLERK: (ECDSA,)}

_RECORD = text("SELECT true FROM centre WHERE code = :centre")
_CLERK_KEY = text(
    "SELECT centre, clerk, public_key, revoked_at FROM clerk_key WHERE thumbprint = :thumbprint"
)


@dataclass(frozen=True)
class Proof:
    """That a centre, and its clerk, asked for an act.

    Args:
        face: over which it came.
        message: SHA-256 of what was received: on REST of the body, on SOAP of the envelope.
        created: when the centre signed.
        nonce: of the centre's signature; taken once.
        centre_key: SHA-256 of the centre's certificate, hexadecimal.
        clerk_key: SHA-256 of the clerk's public key, hexadecimal.
        centre_alg, clerk_alg: how they signed (RFC 9421, section 3.3).
        centre_digest, clerk_digest: what the signatures are over, by the algorithms' own hash; on SOAP
            SHA-256 over the centre's SignedInfo.
        centre_signed: on SOAP that SignedInfo, canonical; it holds digests, and nothing of a person.
        clerk_created: on SOAP when the clerk's token says that it was made, as it says it.
    """

    face: str
    centre: str
    clerk: str | None
    device: str | None
    message: bytes
    created: datetime
    nonce: str
    centre_key: str
    centre_signature: bytes
    clerk_key: str | None = None
    clerk_signature: bytes | None = None
    centre_alg: str | None = None
    centre_digest: bytes | None = None
    clerk_alg: str | None = None
    clerk_digest: bytes | None = None
    centre_signed: bytes | None = None
    clerk_created: str | None = None

    def values(self) -> dict[str, str]:
        """As text, for `Caller.proof`: bytes in base64; what is None is left out."""
        return {name: _text(value) for name, value in asdict(self).items() if value is not None}


@dataclass(frozen=True)
class Signature:
    """One signature that holds.

    Args:
        key: the keyid.
        digest: of the base, by the algorithm's own hash.
    """

    key: str
    alg: str
    value: bytes
    digest: bytes
    created: datetime
    nonce: str


@dataclass(frozen=True)
class Checked:
    """Who signed a request; every signature holds, the body was not looked at.

    Args:
        centre: client id of the certificate's holder.
        shown: thumbprint of the centre's key (RFC 7638, base64url), as tokens are bound to it.
        clerk: id of the clerk, where one signed.
        digest: the header that the body has to match; None where the request cannot change anything.
    """

    centre: str
    shown: str
    by_centre: Signature
    clerk: str | None
    by_clerk: Signature | None
    device: str | None
    digest: str | None

    def proof(self, body: bytes) -> Proof:
        """What is kept of the act.

        Args:
            body: as it was received.

        Raises:
            WrongDigest, Malformed: it is another body than was signed.
        """
        if self.digest is not None:
            check_digest(self.digest, body)
        clerk = self.by_clerk
        return Proof(
            face="rest",
            centre=self.centre,
            clerk=self.clerk,
            device=self.device,
            message=hashlib.sha256(body).digest(),
            created=self.by_centre.created,
            nonce=self.by_centre.nonce,
            centre_key=self.by_centre.key,
            centre_signature=self.by_centre.value,
            clerk_key=clerk.key if clerk else None,
            clerk_signature=clerk.value if clerk else None,
            centre_alg=self.by_centre.alg,
            centre_digest=self.by_centre.digest,
            clerk_alg=clerk.alg if clerk else None,
            clerk_digest=clerk.digest if clerk else None,
        )


def writes(method: str) -> bool:
    """Whether a request of a method may change something (RFC 9110, section 9.2.1)."""
    return method not in _SAFE


def has_record(session: Session, client_id: str) -> bool:
    """Whether an API client is a private centre, whose writes have to be signed."""
    return session.execute(_RECORD, {"centre": client_id}).scalar() is not None


def check(session: Session, message: Message, at: datetime) -> Checked | None:
    """Who signed a request.

    Args:
        message: a request, with all of its headers.
        at: the present moment, aware.

    Returns:
        None if nobody signed it as a centre.

    Raises:
        PermissionDenied: a signature does not hold, and why: see `integrations.centres.proof_refusals`,
            `CentreKeyRevoked` and `ClerkKeyRevoked`.
    """
    try:
        inputs = read_inputs(", ".join(message.lines("signature-input")))
        if CENTRE not in inputs:
            return None
        signatures = read_signatures(", ".join(message.lines("signature")))
    except InvalidInput as error:
        raise SignatureUnreadable(error.message) from error
    _refuse_twice(message)
    for label in (CENTRE, CLERK):
        if label in inputs:
            _check_terms(message, label, inputs[label], label in signatures, at)
    centre, shown, key = _centre_key(session, str(inputs[CENTRE].keyid), at)
    by_centre = _signature(message, CENTRE, inputs[CENTRE], signatures[CENTRE], key)
    clerk, by_clerk = None, None
    if CLERK in inputs:
        clerk, clerk_key = _clerk_key(session, centre, str(inputs[CLERK].keyid))
        by_clerk = _signature(message, CLERK, inputs[CLERK], signatures[CLERK], clerk_key)
    digest = message.lines("content-digest")[0] if writes(str(message.method)) else None
    device = message.lines(DEVICE)
    return Checked(centre, shown, by_centre, clerk, by_clerk, device[0] if device else None, digest)


def take(database: Database, checked: Checked) -> None:
    """Take a signed request, for the first and only time.

    Raises:
        SignatureReused: one of its nonces was taken before.
        SignatureExpired: by the database's clock it is too old, or from the future.
        Unavailable: it is not known whether it was taken; it must not be carried out.
    """
    both = (CENTRE, checked.by_centre), (CLERK, checked.by_clerk)
    nonces = [f"{label}:{each.nonce}".encode() for label, each in both if each is not None]
    oldest = min(each.created for _, each in both if each is not None)
    try:
        replay.accept(database, checked.centre, nonces, oldest)
    except replay.Replayed as error:
        raise SignatureReused from error
    except replay.OutOfTime as error:
        raise SignatureExpired(CENTRE) from error


def still_holds(signature: bytes, digest: bytes, alg: str, key: PublicKey) -> bool:
    """Whether a signature that was kept is one of a key, over what was kept of the message.

    Args:
        signature, digest, alg: of a `Proof`: those of the centre or those of the clerk.
        key: of the certificate, or the clerk's.
    """
    try:
        if isinstance(key, ec.EllipticCurvePublicKey) and alg == ECDSA and len(signature) == 64:
            r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
            key.verify(encode_dss_signature(r, s), digest, ec.ECDSA(Prehashed(hashes.SHA256())))
            return True
        if isinstance(key, rsa.RSAPublicKey) and alg == RSA:
            key.verify(signature, digest, padding.PKCS1v15(), Prehashed(hashes.SHA256()))
            return True
        if isinstance(key, rsa.RSAPublicKey) and alg == PSS:
            pss = padding.PSS(padding.MGF1(hashes.SHA512()), 64)
            key.verify(signature, digest, pss, Prehashed(hashes.SHA512()))
            return True
    except (InvalidSignature, ValueError):
        # ValueError: the digest is not one of the hash's length.
        return False
    return False


def _refuse_twice(message: Message) -> None:
    # A program may take the first of two, a signature covers both joined; one reading is left.
    for name in ("authorization", "content-digest", *WHERE_SENT):
        if len(message.lines(name)) > 1:
            raise SignatureUnreadable(f"the header {name} stands twice")


def _check_terms(message: Message, label: Label, signed: Signed, sent: bool, at: datetime) -> None:
    if not sent:
        raise SignatureInsufficient(label, "is announced in Signature-Input and not sent in Signature")
    for name in _needed(message):
        if name not in signed.names:
            raise SignatureInsufficient(label, f"does not cover {name}")
    if signed.created is None or signed.expires is None or signed.keyid is None:
        raise SignatureInsufficient(label, "says not all of created, expires and keyid")
    if signed.nonce is None or not _NONCE.fullmatch(signed.nonce):
        raise SignatureInsufficient(label, "has no nonce of 16 to 128 visible characters")
    if not timedelta() < signed.expires - signed.created <= LONGEST:
        raise SignatureInsufficient(label, f"does not expire within {LONGEST.seconds} seconds of its making")
    if signed.created > at + AHEAD:
        raise SignatureFromFuture(label)
    if at >= signed.expires or signed.created < at - LONGEST:
        raise SignatureExpired(label)
    if signed.alg not in _TAKEN[label]:
        raise AlgorithmNotTaken(label, signed.alg, _TAKEN[label])


def _needed(message: Message) -> list[str]:
    always = [*ALWAYS, *(OF_WRITES if writes(str(message.method)) else ())]
    return [*always, *(name for name in WHERE_SENT if message.lines(name))]


def _centre_key(session: Session, keyid: str, at: datetime) -> tuple[str, str, PublicKey]:
    row = certificate_for(session, keyid)
    if row is None or row.thumbprint != keyid:
        raise CentreKeyUnknown
    if row.state(at) is not State.ACTIVE:
        raise CentreKeyRevoked(row.client_id)
    return row.client_id, row.key_thumbprint, row.public_key()


def _clerk_key(session: Session, centre: str, keyid: str) -> tuple[str, PublicKey]:
    row = session.execute(_CLERK_KEY, {"thumbprint": keyid}).one_or_none()
    # That another centre's clerk has it is nobody's to know.
    if row is None or row.centre != centre:
        raise ClerkKeyUnknown(centre)
    if row.revoked_at is not None:
        raise ClerkKeyRevoked(centre, row.clerk)
    key = load_der_public_key(row.public_key)
    assert isinstance(key, ec.EllipticCurvePublicKey), "only such keys are enrolled"
    return row.clerk, key


def _signature(message: Message, label: Label, signed: Signed, value: bytes, key: PublicKey) -> Signature:
    try:
        base = signature_base(message, signed)
    except InvalidInput as error:
        raise SignatureUnreadable(error.message) from error
    try:
        alg = algorithm_of(key, signed.alg)
    except InvalidInput as error:
        taken = (ECDSA,) if isinstance(key, ec.EllipticCurvePublicKey) else (RSA, PSS)
        raise AlgorithmNotTaken(label, signed.alg, taken) from error
    if not holds(base, value, key, alg):
        raise SignatureWrong(label, message.target_uri)
    digest = (hashlib.sha512 if alg == PSS else hashlib.sha256)(base).digest()
    assert signed.keyid is not None and signed.created is not None and signed.nonce is not None  # noqa: PT018
    return Signature(signed.keyid, alg, value, digest, signed.created, signed.nonce)


def _text(value: str | bytes | datetime) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value.isoformat() if isinstance(value, datetime) else value
