"""The records of people and API clients, and what their names, places and secrets may be."""

import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, LargeBinary, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, Session, mapped_column

from foundation.caller import Role
from foundation.database import Base
from foundation.errors import InvalidInput, NotFound
from foundation.secret import Secret

SHORTEST_PASSWORD = 12


class Person(Base):
    """A person who signs in."""

    __tablename__ = "person"

    username: Mapped[str] = mapped_column(Text, primary_key=True)
    password_hash: Mapped[str] = mapped_column(Text)
    roles: Mapped[list[str]] = mapped_column(ARRAY(Text))
    places: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    enabled: Mapped[bool]
    created: Mapped[datetime] = mapped_column(DateTime(timezone=True))


class ApiClient(Base):
    """A machine that calls us."""

    __tablename__ = "api_client"

    client_id: Mapped[str] = mapped_column(Text, primary_key=True)
    verifier: Mapped[bytes] = mapped_column(LargeBinary)
    roles: Mapped[list[str]] = mapped_column(ARRAY(Text))
    places: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default="{}")
    title: Mapped[str] = mapped_column(Text)
    enabled: Mapped[bool]
    created: Mapped[datetime] = mapped_column(DateTime(timezone=True))


def locked_client(session: Session, client_id: str) -> ApiClient:
    """The record of an API client, which nobody else changes until the transaction ends.

    Raises:
        NotFound: there is none of this id.
    """
    client = session.get(ApiClient, client_id, with_for_update=True)
    if client is None:
        raise NotFound(f"There is no API client {client_id!r}.", remedy="See: rakeeza identity client list")
    return client


def known_roles(roles: Iterable[str], declared: Iterable[str]) -> list[str]:
    """The roles that somebody is given, sorted, each once.

    Args:
        declared: those of service definitions, beside the platform's own.

    Raises:
        InvalidInput: one that there is not, or none at all.
    """
    wanted, known = sorted(set(roles)), [*Role, *sorted(declared)]
    unknown = [role for role in wanted if role not in known]
    if unknown or not wanted:
        raise InvalidInput(
            f"There is no role {unknown[0]!r}." if unknown else "At least one role is needed.",
            remedy=f"Known: {', '.join(known)}.",
        )
    return [str(role) for role in wanted]


def checked_places(places: Iterable[str]) -> list[str]:
    """The places that somebody may act at, sorted, each once.

    Raises:
        InvalidInput: one that cannot be.
    """
    wanted = sorted(set(places))
    for place in wanted:
        # A comma parts them where they are listed.
        if not 1 <= len(place) <= 64 or place != place.strip() or not place.isprintable() or "," in place:
            raise InvalidInput(
                f"{place!r} cannot be a place.",
                remedy="Name it as the cases do: up to 64 characters, no comma, no space around it.",
            )
    return wanted


def check_password(password: Secret) -> None:
    """Refuse a password that is too easy to guess, or too long to be one.

    Raises:
        InvalidInput: it is.
    """
    if not SHORTEST_PASSWORD <= len(password.reveal()) <= 1024:
        raise InvalidInput(
            f"The password has {len(password.reveal())} characters.",
            remedy=f"Choose one of {SHORTEST_PASSWORD} to 1024; several words are good.",
        )


def action_of(enabled: bool) -> str:
    """What the trail calls it when somebody is let in, or shut out."""
    return "enabled" if enabled else "disabled"


def named(places: list[str]) -> dict[str, Any]:
    """Places as the trail has them: none there means everywhere, as in the record."""
    return {"places": places} if places else {}


def new_secret() -> Secret:
    """A secret for an API client: 256 bits that nobody chose."""
    return Secret(f"rkz_{secrets.token_urlsafe(32)}")
