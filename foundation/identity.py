"""Who is calling: people, API clients, their roles, and short-lived signed tokens.

A person has a password, kept as an argon2id hash. A machine has a generated 256-bit secret; only its HMAC
under a key of this platform is kept, so that a stolen table alone lets nobody in. Or it has a key of its own,
which our authority certified; its tokens are then bound to that key, and nobody else can use them. A token
says who and until when, but the records decide: a client that was disabled, or whose certificate was revoked,
is refused although its token still runs.
"""

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property

import argon2
from sqlalchemy import select
from sqlalchemy.orm import Session

from foundation import audit, client_assertion
from foundation import standing as standings
from foundation.caller import Caller, Role, check_name
from foundation.client_keys import held, thumbprint
from foundation.confirmation import BY_CERTIFICATE, BY_KEY, NOTHING, Confirmation, Shown
from foundation.database import Database
from foundation.definitions import Bilingual
from foundation.errors import Conflict, NotFound
from foundation.identity_records import (
    SHORTEST_PASSWORD,
    ApiClient,
    Person,
    action_of,
    check_password,
    checked_places,
    known_roles,
    locked_client,
    named,
    new_secret,
)
from foundation.secret import Secret, SecretFile
from foundation.standing import Standing, Terms, TermsOf, bearer, refusal
from foundation.tokens import AccessToken, Tokens

__all__ = ["SHORTEST_PASSWORD", "ApiClient", "Caller", "Identity", "Person", "Role", "Terms"]

_VERIFIER_KEY = "client-verifier-key"


class Identity:
    """People, API clients and tokens of one platform.

    Args:
        database: holds people and clients.
        secrets: holds the signing key and the key of the verifiers; both are made on first use.
        lifetime_s: seconds that a token holds.
        roles: that service definitions declare, with their titles, beside those of `Role`.
        cache_s: seconds that a record may be believed before it is read again.
        terms: what a client of an id is subject to beside its record; nothing without it.
    """

    def __init__(
        self,
        database: Database,
        secrets: SecretFile,
        lifetime_s: int,
        *,
        roles: Mapping[str, Bilingual] | None = None,
        cache_s: float = 0.5,
        terms: TermsOf = lambda _session, _client_id: Terms(),
    ) -> None:
        self._database = database
        self._secrets = secrets
        self._tokens = Tokens(secrets, lifetime_s)
        self.declared_roles = dict(roles or {})
        self._cache_s = cache_s
        self._terms = terms
        self._cache: dict[str, tuple[float, Standing | None]] = {}
        self._lock = threading.Lock()
        self._hasher = argon2.PasswordHasher()

    def add_client(
        self,
        session: Session,
        client_id: str,
        roles: Iterable[str],
        title: str,
        *,
        places: Iterable[str] = (),
        actor: str = "system",
    ) -> Secret:
        """Keep a new API client.

        Args:
            roles: of `Role`, or declared by a service definition.
            places: where it may act; none means everywhere.

        Returns:
            Its generated secret, which can never be shown again.

        Raises:
            InvalidInput: a name, role or place that cannot be.
            Conflict: the id is taken.
        """
        known, where = known_roles(roles, self.declared_roles), checked_places(places)
        check_name(client_id, "client id")
        if session.get(ApiClient, client_id):
            raise Conflict(f"There is an API client {client_id!r} already.", remedy="Take another id.")
        secret = new_secret()
        made = ApiClient(
            client_id=client_id,
            verifier=self._verifier(secret),
            roles=known,
            places=where,
            title=title,
            enabled=True,
            created=datetime.now(UTC),
        )
        session.add(made)
        session.flush()
        details = {"roles": known, "title": title, **named(where)}
        audit.record(session, chain=f"client/{client_id}", actor=actor, action="added", details=details)
        return secret

    def enable_client(
        self, session: Session, client_id: str, enabled: bool, *, actor: str = "system"
    ) -> None:
        """Let an API client in, or shut it out with all its tokens.

        Raises:
            NotFound: there is none of this id.
        """
        client = locked_client(session, client_id)
        if client.enabled != enabled:
            client.enabled = enabled
            audit.record(
                session, chain=f"client/{client_id}", actor=actor, action=action_of(enabled), details={}
            )

    def rotate_client(self, session: Session, client_id: str, *, actor: str = "system") -> Secret:
        """Give an API client a new secret; the old one stops when the transaction commits.

        Tokens that were given for the old one hold until they expire; disabling the client stops them too.

        Returns:
            The new secret, which can never be shown again.

        Raises:
            NotFound: there is none of this id.
        """
        client = locked_client(session, client_id)
        secret = new_secret()
        client.verifier = self._verifier(secret)
        audit.record(session, chain=f"client/{client_id}", actor=actor, action="rotated", details={})
        return secret

    def clients(self, session: Session) -> Sequence[ApiClient]:
        """Every API client, by id."""
        return session.scalars(select(ApiClient).order_by(ApiClient.client_id)).all()

    def add_person(
        self,
        session: Session,
        username: str,
        password: Secret,
        roles: Iterable[str],
        *,
        places: Iterable[str] = (),
        actor: str = "system",
    ) -> None:
        """Keep a new person.

        Args:
            roles: of `Role`, or declared by a service definition.
            places: where he may act; none means everywhere.

        Raises:
            InvalidInput: a name, password, role or place that cannot be.
            Conflict: the name is taken.
        """
        known, where = known_roles(roles, self.declared_roles), checked_places(places)
        check_name(username, "user name")
        check_password(password)
        if session.get(Person, username):
            raise Conflict(f"There is a person {username!r} already.", remedy="Take another name.")
        digest = self._hasher.hash(password.reveal())
        made = Person(
            username=username,
            password_hash=digest,
            roles=known,
            places=where,
            enabled=True,
            created=datetime.now(UTC),
        )
        session.add(made)
        session.flush()
        details = {"roles": known, **named(where)}
        audit.record(session, chain=f"person/{username}", actor=actor, action="added", details=details)

    def enable_person(self, session: Session, username: str, enabled: bool, *, actor: str = "system") -> None:
        """Let a person in, or shut him out with all his tokens.

        Raises:
            NotFound: there is none of this name.
        """
        person = session.get(Person, username, with_for_update=True)
        if person is None:
            raise NotFound(f"There is no person {username!r}.", remedy="See: rakeeza identity person list")
        if person.enabled != enabled:
            person.enabled = enabled
            audit.record(
                session, chain=f"person/{username}", actor=actor, action=action_of(enabled), details={}
            )

    def people(self, session: Session) -> Sequence[Person]:
        """Every person, by name."""
        return session.scalars(select(Person).order_by(Person.username)).all()

    def sign_in(self, username: str, password: Secret) -> Caller:
        """The person of this name and password.

        Raises:
            NotAuthenticated: the name, the password, or the person is not good.
        """
        with self._database.transaction() as session:
            person = session.get(Person, username)
            # Somebody unknown costs as much time as somebody known.
            digest = person.password_hash if person else self._nobody
            try:
                self._hasher.verify(digest, password.reveal())
            except argon2.exceptions.VerifyMismatchError:
                person = None
            if person is None or not person.enabled:
                raise standings.wrong_password()
            if self._hasher.check_needs_rehash(digest):
                person.password_hash = self._hasher.hash(password.reveal())
            return Caller(username, "person", frozenset(person.roles), frozenset(person.places))

    def token(self, client_id: str, secret: Secret) -> AccessToken:
        """A token for an API client that sends its secret.

        Raises:
            NotAuthenticated: the id or the secret is wrong, or the client is disabled, or has to prove itself
                by a key.
            RakeezaError: the client is let in nowhere now, and why.
        """
        with self._database.transaction() as session:
            client = session.get(ApiClient, client_id)
            # Always one HMAC and one comparison in constant time, also for an id that nobody has.
            expected = client.verifier if client else bytes(32)
            if not hmac.compare_digest(expected, self._verifier(secret)) or client is None:
                raise standings.wrong_secret()
            return self._issue(session, client, None)

    def token_by_certificate(self, client_id: str, certificate: bytes) -> AccessToken:
        """A token for an API client that came with its certificate; it is bound to that certificate.

        Args:
            certificate: that TLS was made with, DER.

        Raises:
            NotAuthenticated: the certificate is not the client's, or does not count, or the client is
                disabled.
            RakeezaError: the client is let in nowhere now, and why.

        Source: RFC 8705, sections 2.1 and 3.1.
        """
        with self._database.transaction() as session:
            client = session.get(ApiClient, client_id)
            known = {each.thumbprint: each for each in held(session, client_id)} if client else {}
            shown = known.get(thumbprint(certificate))
            if client is None or shown is None:
                raise standings.not_certified()
            return self._issue(session, client, Confirmation(BY_CERTIFICATE, shown.x5t))

    def token_by_assertion(
        self, assertion: str, endpoints: Collection[str], client_id: str | None = None
    ) -> AccessToken:
        """A token for an API client that signed an assertion; it is bound to the key that signed it.

        Args:
            assertion: a JSON Web Token.
            endpoints: URLs of the token endpoint, one of which it has to be for.
            client_id: as it was sent beside the assertion, where it was.

        Raises:
            NotAuthenticated: the assertion does not hold, or the client is disabled.
            RakeezaError: the client is let in nowhere now, and why.

        Source: RFC 7521, section 4.2; RFC 7523, section 3; RFC 7800, section 3.1.
        """
        of = client_assertion.client_of(assertion)
        if client_id not in (None, of):
            raise standings.two_clients()
        with self._database.transaction() as session:
            client = session.get(ApiClient, of)
            keys = held(session, of) if client else []
            key = client_assertion.check(session, assertion, of, keys, endpoints)
            assert client is not None  # it holds a key
            return self._issue(session, client, Confirmation(BY_KEY, key.key_thumbprint))

    def _issue(self, session: Session, client: ApiClient, bound_to: Confirmation | None) -> AccessToken:
        if not client.enabled:
            raise standings.disabled(client.client_id)
        terms = self._terms(session, client.client_id)
        if terms.shut is not None:
            raise terms.shut
        if terms.keyed and bound_to is None:
            raise standings.unbound(client.client_id)
        return self._tokens.issue(f"client/{client.client_id}", client.roles, bound_to)

    def caller(self, token: str, shown: Shown = NOTHING) -> Caller:
        """Who bears a token.

        Args:
            token: as it was sent.
            shown: the certificate and keys that the request was sent with.

        Raises:
            NotAuthenticated: the token is malformed, expired, signed by another key or not ours, or its
                bearer is unknown or disabled by now; or it is bound to what was not shown or does not count
                any more; the sentence says which.
            RakeezaError: the bearer is let in nowhere now, and why.
        """
        claims = self._tokens.read(token)
        standing = self._standing_of(claims.subject)
        if standing is None:
            raise standings.disabled(claims.subject.partition("/")[2])
        refused = refusal(claims, standing, shown)
        if refused is not None:
            # It may be raised many times: each begins its own trace.
            raise refused.with_traceback(None)
        return bearer(claims, standing)

    def believed(self, token: str, shown: Shown = NOTHING) -> Caller | None:
        """Who bears a token, where that is known without asking anybody: an event loop need not wait for it.

        Returns:
            None where `caller` has to be asked.
        """
        claims = self._tokens.verified(token)
        read, standing = self._cache.get(claims.subject, (0.0, None)) if claims else (0.0, None)
        if claims is None or standing is None or time.monotonic() - read >= self._cache_s:
            return None
        return bearer(claims, standing) if refusal(claims, standing, shown) is None else None

    def certified(self, client_id: str, thumbprint: str) -> Caller:
        """The API client that proved itself by its certificate, not by a token: it signed a message.

        Args:
            thumbprint: of the certificate (SHA-256, hexadecimal) under whose key the signature holds.

        Raises:
            NotAuthenticated: the certificate is not the client's, or does not count, or the client is
                disabled.
            RakeezaError: the client is let in nowhere now, and why.
        """
        standing = self._standing_of(f"client/{client_id}")
        if standing is None or thumbprint not in standing.certificates:
            raise standings.not_certified()
        if standing.terms.shut is not None:
            raise standing.terms.shut.with_traceback(None)
        return Caller(client_id, "client", standing.roles, standing.places)

    def person_token(self, caller: Caller) -> AccessToken:
        """A token for a person who has signed in."""
        return self._tokens.issue(caller.actor, caller.roles)

    def _standing_of(self, subject: str) -> Standing | None:
        now = time.monotonic()
        read, standing = self._cache.get(subject, (0.0, None))
        if subject in self._cache and now - read < self._cache_s:
            return standing
        with self._database.transaction() as session:
            standing = standings.read(session, subject, self._terms)
        with self._lock:
            # Names come only from signed tokens; still, nothing grows without end.
            if len(self._cache) > 10_000:
                self._cache.clear()
            self._cache[subject] = (now, standing)
        return standing

    def _verifier(self, secret: Secret) -> bytes:
        return hmac.new(self._verifier_key, secret.reveal().encode(), hashlib.sha256).digest()

    @cached_property
    def _verifier_key(self) -> bytes:
        made = self._secrets.get_or_make(_VERIFIER_KEY, lambda: Secret(secrets.token_hex(32)))
        return bytes.fromhex(made.reveal())

    @cached_property
    def _nobody(self) -> str:
        return self._hasher.hash(secrets.token_urlsafe(32))
