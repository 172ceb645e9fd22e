"""Who sends a message: what its WS-Security header proves, asked of our own records.

The centre signs Body and Timestamp by its certificate; the clerk is named by a UsernameToken as
`amal@centre-7`, whose digest his secret makes. Where he works at a device the token says so, as
`amal@centre-7/counter-1`, and is signed too: nothing else in the message would vouch for the device.

A message without that header is its bearer token's, as over REST; the route looks at it.

Source: OASIS SOAP Message Security 1.1.1, UsernameToken and X.509 Certificate Token Profiles 1.1.1.
"""

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from cryptography import x509
from sqlalchemy.orm import Session
from starlette.types import Scope

from foundation import standing
from foundation.caller import Caller
from foundation.client_keys import ClientCertificate, certificate_for, held, thumbprint
from foundation.confirmation import Shown, shown
from foundation.database import Database
from foundation.personal import Vault
from foundation.standing import Standing, TermsOf
from foundation.wire.http_signature import ECDSA, RSA
from integrations.centres import clerks, replay
from integrations.centres.proof import Proof, has_record
from integrations.entrypoints.soap.envelope import Envelope
from integrations.ws_security.faults import FailedAuthentication
from integrations.ws_security.keys import ByCertificate, BySerial, BySubjectKey, KeyReference
from integrations.ws_security.names import SECURITY, USERNAME_TOKEN, WSSE
from integrations.ws_security.timestamp import Timestamp
from integrations.ws_security.username_token import UsernameToken, check_username
from integrations.ws_security.verification import Announced, Verified, announced, verify

_USERNAME = re.compile(r"([a-z][a-z0-9._-]{0,31})@([A-Za-z0-9._-]{1,64})(?:/([a-z][a-z0-9._-]{0,31}))?")
_METHOD = re.compile(rb'SignatureMethod Algorithm="http://www\.w3\.org/2001/04/xmldsig-more#([a-z0-9-]+)"')
_NAME_PATH = f"{SECURITY}/{USERNAME_TOKEN}/{{{WSSE}}}Username"
# Those whose signature is proven again from the digest that is kept: SHA-256 over SignedInfo.
_ALGORITHMS = {b"ecdsa-sha256": ECDSA, b"rsa-sha256": RSA}


class Authenticator(Protocol):
    """Knows who sends signed messages."""

    def authenticated(self, envelope: Envelope, scope: Scope, /) -> Caller:
        """Who sends a message that has a Security header; called in a thread, once a message.

        What is executed then is `envelope.request`, in the very Body that was verified.

        Args:
            envelope: attachments are in their places.
            scope: of ASGI, with the TLS client certificate where there is one.

        Raises:
            NotAuthenticated: the header does not hold, or proves nobody whom we know.
            PermissionDenied: he is known and may not act now.
            DatabaseUnavailable: nothing is known.
        """

    def announced(self, envelope: Envelope, scope: Scope, /) -> str:
        """Who sends a message whose Security header holds, before its attachments are waited for.

        Nothing is carried out for it, and nothing is remembered: `authenticated` looks at all of it again.

        Returns:
            The id of the API client.

        Raises:
            NotAuthenticated, PermissionDenied, DatabaseUnavailable: as `authenticated`.
        """

    def bearer(self, token: str, scope: Scope, /) -> str:
        """Who bears a token that comes with a message that is not signed; the route asks again.

        Returns:
            His id.

        Raises:
            NotAuthenticated, PermissionDenied, DatabaseUnavailable: as the route would.
        """


def is_signed(envelope: Envelope) -> bool:
    """Whether a message has a Security header, for whomever."""
    return envelope.header is not None and any(block.tag == SECURITY for block in envelope.header)


def said_sender(envelope: Envelope) -> str:
    """The centre that a message calls its sender, which nothing has proven yet; empty where it names none."""
    header = envelope.header
    named = _USERNAME.fullmatch((header.findtext(_NAME_PATH) or "").strip()) if header is not None else None
    return named[2] if named else ""


@dataclass(frozen=True)
class _Clerk:
    # What a UsernameToken says, whose digest holds.
    token: UsernameToken
    clerk: str
    device: str | None


class Centres:
    """The authenticator of the API: knows certificates, clerks' secrets, and what was seen before.

    Args:
        database: migrated.
        vault: opens the clerks' secrets.
        terms: what a centre is subject to whenever it comes; see `integrations.centres.terms`.
        bearer: whose a token is, given with what its request showed; see `foundation.identity`.
        clock: the present moment, aware.
    """

    def __init__(
        self,
        database: Database,
        vault: Vault,
        terms: TermsOf,
        bearer: Callable[[str, Shown], Caller],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database, self._vault, self._terms, self._clock = database, vault, terms, clock
        self._bearer = bearer

    def authenticated(self, envelope: Envelope, scope: Scope) -> Caller:
        """See `Authenticator`; what is known is read anew for each message."""
        now = self._clock()
        with self._database.transaction() as session:
            certificates = _Certificates(session, envelope, now)
            verified = verify(envelope.root, certificates, now)
            if envelope.body is not verified.body or envelope.request is not verified.body[0]:
                raise RuntimeError("the element that was verified is not the one that would be executed")
            centre = certificates.holder
            known = self._standing(session, centre, verified.certificate, scope)
            clerk = self._clerk(session, centre, verified, now)
            keeps = clerk is not None and has_record(session, centre)
        nonces = [verified.digest, *([clerk.token.nonce] if clerk else [])]
        # After all else: only what holds is remembered, and it is before anything is done.
        created = verified.timestamp.created if clerk is None else _older(verified.timestamp, clerk.token)
        replay.accept(self._database, centre, nonces, created)
        proof = _proof(envelope, verified, centre, clerk).values() if keeps and clerk else None
        return Caller(
            centre, "client", known.roles, known.places, clerk=clerk.clerk if clerk else None, proof=proof
        )

    def announced(self, envelope: Envelope, scope: Scope) -> str:
        """See `Authenticator`."""
        now = self._clock()
        with self._database.transaction() as session:
            certificates = _Certificates(session, envelope, now)
            said = announced(envelope.root, certificates, now)
            self._standing(session, certificates.holder, said.certificate, scope)
            self._clerk(session, certificates.holder, said, now)
        return certificates.holder

    def bearer(self, token: str, scope: Scope) -> str:
        """See `Authenticator`."""
        return self._bearer(token, shown(scope)).name

    def _standing(self, session: Session, centre: str, certificate: bytes, scope: Scope) -> Standing:
        known = standing.read(session, f"client/{centre}", self._terms)
        if known is None:
            raise standing.disabled(centre)
        if known.terms.shut is not None:
            raise known.terms.shut
        by_tls = shown(scope).certificate
        if thumbprint(certificate) not in known.certificates or (
            by_tls is not None and by_tls not in known.certificates
        ):
            raise standing.not_certified()
        return known

    def _clerk(
        self, session: Session, centre: str, verified: Verified | Announced, now: datetime
    ) -> _Clerk | None:
        token = verified.username_token
        if token is None:
            return None
        named = _USERNAME.fullmatch(token.username)
        # A clerk of another centre, one who was stopped and a stranger are told alike.
        if named is None or named[2] != centre:
            raise _no_clerk()
        secret = clerks.secret_of(session, self._vault, centre, named[1])
        if secret is None:
            raise _no_clerk()
        check_username(token, secret, now)
        if named[3] is not None and not verified.username_signed:
            raise FailedAuthentication(
                "device-not-signed",
                "The UsernameToken names a device, and the signature does not cover it.",
                "يذكر UsernameToken جهازًا ولا يشمله التوقيع.",
                place="wsse:UsernameToken",
                remedy="Sign the UsernameToken too, beside Body and Timestamp.",
            )
        return _Clerk(token, named[1], named[3])


class _Certificates:
    """The look-up of one message; within its transaction."""

    def __init__(self, session: Session, envelope: Envelope, now: datetime) -> None:
        self._session, self._envelope, self._now = session, envelope, now
        self.holder = ""
        """Id of the API client that the certificate is of, once one was found."""

    def __call__(self, reference: KeyReference, /) -> bytes | None:
        match reference:
            case ByCertificate():
                return self._in_force(certificate_for(self._session, reference.sha256.hex()))
            case BySerial():
                return self._in_force(self._session.get(ClientCertificate, f"{reference.serial:x}"))
            case BySubjectKey():
                fits = [each for each in self._of_sender() if _subject_key(each) == reference.identifier]
            case _:
                fits = [each for each in self._of_sender() if _sha_1(each) == reference.sha1]
        if len(fits) != 1:
            return None
        self.holder = said_sender(self._envelope)
        return fits[0]

    def _in_force(self, row: ClientCertificate | None) -> bytes | None:
        if row is None or row.revoked_at is not None:
            return None
        self.holder = row.client_id
        return row.certificate

    def _of_sender(self) -> list[bytes]:
        # Whom the message calls its sender: which certificates are looked through, and nothing more.
        sender = said_sender(self._envelope)
        return [each.certificate for each in held(self._session, sender, self._now)] if sender else []


def _older(timestamp: Timestamp, token: UsernameToken) -> datetime:
    # Either is good for one use, and each may have been used before a crash in another message.
    return min(timestamp.created, token.created)


def _subject_key(der: bytes) -> bytes | None:
    try:
        found = x509.load_der_x509_certificate(der).extensions.get_extension_for_class(
            x509.SubjectKeyIdentifier
        )
    except x509.ExtensionNotFound:
        return None
    return found.value.digest


def _sha_1(der: bytes) -> bytes:
    return hashlib.sha1(der, usedforsecurity=False).digest()


def _no_clerk() -> FailedAuthentication:
    return FailedAuthentication(
        "clerk-not-known",
        "The clerk's name and secret do not hold.",
        "اسم الموظف أو رمزه السري غير صحيح.",
        place="wsse:UsernameToken",
        remedy="Name him CLERK@CENTRE, as the municipality has enrolled him.",
    )


def _proof(envelope: Envelope, verified: Verified, centre: str, clerk: _Clerk | None) -> Proof:
    method = _METHOD.search(verified.signed_info)
    token = clerk.token if clerk else None
    return Proof(
        face="soap",
        centre=centre,
        clerk=clerk.clerk if clerk else None,
        device=clerk.device if clerk else None,
        message=envelope.digest,
        created=verified.timestamp.created,
        nonce=base64.b64encode(token.nonce if token else verified.digest).decode(),
        centre_key=thumbprint(verified.certificate),
        centre_signature=verified.signature,
        clerk_signature=token.digest if token else None,
        centre_alg=_ALGORITHMS.get(method[1]) if method else None,
        centre_digest=verified.digest,
        centre_signed=verified.signed_info,
        clerk_created=token.created_text if token else None,
    )
