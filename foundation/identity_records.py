"""The records of people and API clients, and what their names, places and secrets may be."""

import secrets
from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import DateTime, LargeBinary, Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, Session, mapped_column

from foundation.database import Base
from foundation.errors import InvalidInput, NotFound
from foundation.secret import Secret


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


def new_secret() -> Secret:
    """A secret for an API client: 256 bits that nobody chose."""
    return Secret(f"rkz_{secrets.token_urlsafe(32)}")
