"""Who makes a request, and what he may do; `foundation.identity` finds out who it is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from foundation.errors import InvalidInput, PermissionDenied

_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


class Role(StrEnum):
    """The roles of the platform itself; service definitions declare more. No role includes another."""

    ADMINISTRATOR = "administrator"  # people, clients, settings
    ENGINEER = "engineer"  # plays, devices, monitoring
    CENTRE = "centre"  # a service centre: opens cases, reads its own
    REVIEWER = "reviewer"  # the municipality's officer: decides cases
    INSPECTOR = "inspector"  # the municipality's officer: suspends and closes
    FINANCE = "finance"  # refunds, reconciliation, the ledger
    PRIVACY = "privacy"  # a person's own copy of his data, and its erasure
    PAYMENT = "payment"  # a bank or payment system: notifies payments
    KIOSK = "kiosk"  # a terminal: reads what its visitor may see
    AUDITOR = "auditor"  # reads everything, changes nothing


@dataclass(frozen=True)
class Caller:
    """Who makes a request.

    Args:
        name: client id, user name, or the part of the platform that acts.
        kind: what that name is.
        roles: what it may do.
        places: where it may do so; none means everywhere.
        clerk: who acts for a service centre: his id within it, as "amal".
        proof: the signatures of what is asked for, as text (base64 where they are bytes); see
            `integrations.centres.rules`.
    """

    name: str
    kind: Literal["person", "client", "system"]
    roles: frozenset[str]
    places: frozenset[str] = frozenset()
    clerk: str | None = None
    proof: Mapping[str, str] | None = field(default=None, repr=False, compare=False)

    @property
    def actor(self) -> str:
        """As the audit trail names it: "client/centre-7"."""
        return f"{self.kind}/{self.name}"

    def require(self, *roles: str) -> None:
        """Let only callers with one of these roles pass.

        Raises:
            PermissionDenied: it has none of them.
        """
        if not self.roles.intersection(roles):
            needed = " or ".join(roles)
            raise PermissionDenied(
                f"{self.name} does not have the role {needed}.", remedy="Ask an administrator for it."
            )


def check_name(name: str, what: str) -> None:
    """Refuse a name that cannot be one.

    Args:
        what: what it would be the name of.

    Raises:
        InvalidInput: it is empty, too long, or has other characters than it may.
    """
    # No colon: HTTP's Basic scheme could not carry it (RFC 7617, section 2).
    if not 1 <= len(name) <= 64 or not _NAME_CHARACTERS.issuperset(name):
        raise InvalidInput(
            f"{name!r} cannot be a {what}.",
            remedy="Take up to 64 Latin letters, digits, dots, hyphens and underscores.",
        )
