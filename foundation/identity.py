"""Who is calling: people, API clients, their roles, and short-lived signed tokens.

A person has a password, kept as an argon2id hash. A machine has a generated 256-bit secret; only its HMAC
under a key of this platform is kept, so that a stolen table alone lets nobody in. A token says who and until
when, but the client's record decides: a client that was disabled is refused although its token still runs.
"""

import hashlib
import hmac
import secrets
import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

import argon2
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from foundation import audit
from foundation.caller import Caller, Role, check_name
from foundation.database import Database
from foundation.definitions import Bilingual
from foundation.errors import Conflict, InvalidInput, NotAuthenticated, NotFound
from foundation.identity_records import ApiClient, Person, checked_places, locked_client, new_secret
from foundation.secret import Secret, SecretFile
from foundation.tokens import AccessToken, Claims, Tokens

__all__ = ["SHORTEST_PASSWORD", "ApiClient", "Caller", "Identity", "Person", "Role"]

SHORTEST_PASSWORD = 12

_VERIFIER_KEY = "client-verifier-key"
_STANDINGS = {
    "client": text("SELECT roles, places FROM api_client WHERE client_id = :name AND enabled"),
    "person": text("SELECT roles, places FROM person WHERE username = :name AND enabled"),
}


@dataclass(frozen=True)
class _Standing:
    # What the record of somebody says now.
    roles: frozenset[str]
    places: frozenset[str]


class Identity:
    """People, API clients and tokens of one platform.

    Args:
        database: holds people and clients.
        secrets: holds the signing key and the key of the verifiers; both are made on first use.
        lifetime_s: seconds that a token holds.
        roles: that service definitions declare, with their titles, beside those of `Role`.
        cache_s: seconds that a record may be believed before it is read again.
    """

    def __init__(
        self,
        database: Database,
        secrets: SecretFile,
        lifetime_s: int,
        *,
        roles: Mapping[str, Bilingual] | None = None,
        cache_s: float = 1.0,
    ) -> None:
        self._database = database
        self._secrets = secrets
        self._tokens = Tokens(secrets, lifetime_s)
        self.declared_roles = dict(roles or {})
        self._cache_s = cache_s
        self._cache: dict[str, tuple[float, _Standing | None]] = {}
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
        known, where = self._known_roles(roles), checked_places(places)
        check_name(client_id, "client id")
        if session.get(ApiClient, client_id):
            raise Conflict(f"There is an API client {client_id!r} already.", remedy="Take another id.")
        secret = new_secret()
        now = datetime.now(UTC)
        session.add(
            ApiClient(
                client_id=client_id,
                verifier=self._verifier(secret),
                roles=known,
                places=where,
                title=title,
                enabled=True,
                created=now,
            )
        )
        session.flush()
        details = {"roles": known, "title": title, **_named(where)}
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
                session, chain=f"client/{client_id}", actor=actor, action=_action(enabled), details={}
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
        known, where = self._known_roles(roles), checked_places(places)
        check_name(username, "user name")
        if not SHORTEST_PASSWORD <= len(password.reveal()) <= 1024:
            raise InvalidInput(
                f"The password has {len(password.reveal())} characters.",
                remedy=f"Choose one of {SHORTEST_PASSWORD} to 1024; several words are good.",
            )
        if session.get(Person, username):
            raise Conflict(f"There is a person {username!r} already.", remedy="Take another name.")
        digest = self._hasher.hash(password.reveal())
        now = datetime.now(UTC)
        session.add(
            Person(
                username=username,
                password_hash=digest,
                roles=known,
                places=where,
                enabled=True,
                created=now,
            )
        )
        session.flush()
        details = {"roles": known, **_named(where)}
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
                session, chain=f"person/{username}", actor=actor, action=_action(enabled), details={}
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
                raise NotAuthenticated("The user name or the password is wrong.", remedy="Try again.")
            if self._hasher.check_needs_rehash(digest):
                person.password_hash = self._hasher.hash(password.reveal())
            return Caller(username, "person", frozenset(person.roles), frozenset(person.places))

    def token(self, client_id: str, secret: Secret) -> AccessToken:
        """A token for an API client.

        Raises:
            NotAuthenticated: the id or the secret is wrong, or the client is disabled.
        """
        with self._database.transaction() as session:
            client = session.get(ApiClient, client_id)
        # Always one HMAC and one comparison in constant time, also for an id that nobody has.
        expected = client.verifier if client else bytes(32)
        if not hmac.compare_digest(expected, self._verifier(secret)) or client is None:
            raise NotAuthenticated(
                "The client id or the secret is wrong.",
                remedy="Check both; for a lost secret: rakeeza identity client rotate",
            )
        if not client.enabled:
            raise _disabled(client_id)
        return self._tokens.issue(f"client/{client_id}", client.roles)

    def caller(self, token: str) -> Caller:
        """Who bears a token.

        Raises:
            NotAuthenticated: the token is malformed, expired, signed by another key or not ours, or its
                bearer is unknown or disabled by now; the sentence says which.
        """
        claims = self._tokens.read(token)
        standing = self._standing_of(claims.subject)
        if standing is None:
            raise _disabled(claims.subject.partition("/")[2])
        return _bearer(claims, standing)

    def believed(self, token: str) -> Caller | None:
        """Who bears a token, where that is known without asking anybody: an event loop need not wait for it.

        Returns:
            None where `caller` has to be asked.
        """
        claims = self._tokens.verified(token)
        read, standing = self._cache.get(claims.subject, (0.0, None)) if claims else (0.0, None)
        if claims is None or standing is None or time.monotonic() - read >= self._cache_s:
            return None
        return _bearer(claims, standing)

    def person_token(self, caller: Caller) -> AccessToken:
        """A token for a person who has signed in."""
        return self._tokens.issue(caller.actor, caller.roles)

    def _standing_of(self, subject: str) -> _Standing | None:
        now = time.monotonic()
        read, standing = self._cache.get(subject, (0.0, None))
        if subject in self._cache and now - read < self._cache_s:
            return standing
        kind, _, name = subject.partition("/")
        if kind not in _STANDINGS:
            return None
        with self._database.transaction() as session:
            row = session.execute(_STANDINGS[kind], {"name": name}).one_or_none()
        standing = _Standing(frozenset(row.roles), frozenset(row.places)) if row else None
        with self._lock:
            # Names come only from signed tokens; still, nothing grows without end.
            if len(self._cache) > 10_000:
                self._cache.clear()
            self._cache[subject] = (now, standing)
        return standing

    def _known_roles(self, roles: Iterable[str]) -> list[str]:
        wanted, known = sorted(set(roles)), [*Role, *sorted(self.declared_roles)]
        unknown = [role for role in wanted if role not in known]
        if unknown or not wanted:
            raise InvalidInput(
                f"There is no role {unknown[0]!r}." if unknown else "At least one role is needed.",
                remedy=f"Known: {', '.join(known)}.",
            )
        return [str(role) for role in wanted]

    def _verifier(self, secret: Secret) -> bytes:
        return hmac.new(self._verifier_key, secret.reveal().encode(), hashlib.sha256).digest()

    @cached_property
    def _verifier_key(self) -> bytes:
        made = self._secrets.get_or_make(_VERIFIER_KEY, lambda: Secret(secrets.token_hex(32)))
        return bytes.fromhex(made.reveal())

    @cached_property
    def _nobody(self) -> str:
        return self._hasher.hash(secrets.token_urlsafe(32))


def _bearer(claims: Claims, standing: _Standing) -> Caller:
    kind, _, name = claims.subject.partition("/")
    # What was taken away is gone at once; what was given since waits for the next token.
    known = standing.roles & claims.roles
    return Caller(name, "client" if kind == "client" else "person", known, standing.places)


def _disabled(name: str) -> NotAuthenticated:
    return NotAuthenticated(f"{name} is disabled or no longer known.", remedy="Ask an administrator.")


def _action(enabled: bool) -> str:
    return "enabled" if enabled else "disabled"


def _named(places: list[str]) -> dict[str, Any]:
    # In the trail; none there means everywhere, as in the record.
    return {"places": places} if places else {}
