"""The definitions that cases run under: a case keeps its own, whatever the file says later."""

from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select, text
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from foundation.database import Base
from foundation.errors import DefinitionError, NotFound
from foundation.registry import Registry
from integrations.cases.case import MOMENT, Case
from integrations.service import Service


class KeptDefinition(Base):
    """A definition that cases were opened under."""

    __tablename__ = "case_definition"

    fingerprint: Mapped[str] = mapped_column(primary_key=True)
    code: Mapped[str]
    version: Mapped[int]
    content: Mapped[dict[str, Any]] = mapped_column(JSONB)
    kept_at: Mapped[datetime] = mapped_column(MOMENT)


_KEPT = select(KeptDefinition.fingerprint).where(
    KeptDefinition.code == bindparam("code"), KeptDefinition.version == bindparam("version")
)
_CONTENT = select(KeptDefinition.content).where(KeptDefinition.fingerprint == bindparam("fingerprint"))
_KEEP = insert(KeptDefinition).on_conflict_do_nothing()


class Definitions:
    """Services of today by code, and any definition a case was opened under by its fingerprint.

    Args:
        services: as the files say now.
    """

    def __init__(self, services: Registry[Service]) -> None:
        self.services = services
        self._known = {service.fingerprint: service for service in services.items()}
        self._kept: set[str] = set()

    def keep(self, session: Session, service: Service, at: datetime) -> None:
        """Keep a definition, so that cases opened under it can end under it.

        Raises:
            DefinitionError: the file was changed and its version was not.
        """
        if service.fingerprint in self._kept:
            return
        words = {"code": service.code, "version": service.version}
        fingerprint = session.execute(_KEPT, words).scalar()
        if fingerprint is None:
            values = {
                "fingerprint": service.fingerprint,
                "code": service.code,
                "version": service.version,
                "content": service.content,
                "kept_at": at,
            }
            session.execute(_KEEP, values)
            fingerprint = session.execute(_KEPT, words).scalar()
        elif fingerprint == service.fingerprint:
            # Another transaction committed it, and nobody deletes one. What this transaction kept may still
            # be undone, and is asked for once more.
            self._kept.add(fingerprint)
        if fingerprint != service.fingerprint:
            raise DefinitionError(
                f"Version {service.version} of the service {service.code!r} was changed after it got cases.",
                remedy="Give the changed definition the next version.",
            )
        self._known[service.fingerprint] = service

    def of(self, session: Session, case: Case) -> Service:
        """The definition a case runs under."""
        return self.by_fingerprint(session, case.definition)

    def by_fingerprint(self, session: Session, fingerprint: str) -> Service:
        """A definition that was kept, by its fingerprint."""
        if fingerprint not in self._known:
            content = session.execute(_CONTENT, {"fingerprint": fingerprint}).scalar_one()
            self._known[fingerprint] = Service.model_validate(content)
        return self._known[fingerprint]

    def kept(self, session: Session, code: str, version: int) -> Service:
        """The version of a service that cases were opened under.

        Raises:
            NotFound: no case was ever opened under it.
        """
        fingerprint = session.execute(_KEPT, {"code": code, "version": version}).scalar()
        if fingerprint is None:
            versions = session.execute(_VERSIONS, {"code": code}).scalars().all()
            known = ", ".join(map(str, versions)) or "none"
            raise NotFound(
                f"No case was opened under version {version} of the service {code!r}.",
                remedy=f"Versions with cases: {known}.",
            )
        return self.by_fingerprint(session, fingerprint)


_VERSIONS = text("SELECT version FROM case_definition WHERE code = :code ORDER BY version")
