"""The definitions that cases run under: a case keeps its own, whatever the file says later."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from foundation.errors import DefinitionError
from foundation.registry import Registry
from integrations.cases.case import Case, KeptDefinition
from integrations.service import Service


class Definitions:
    """Services of today by code, and any definition a case was opened under by its fingerprint.

    Args:
        services: as the files say now.
    """

    def __init__(self, services: Registry[Service]) -> None:
        self.services = services
        self._known = {service.fingerprint: service for service in services.items()}

    def keep(self, session: Session, service: Service, at: datetime) -> None:
        """Keep a definition, so that cases opened under it can end under it.

        Raises:
            DefinitionError: the file was changed and its version was not.
        """
        kept = select(KeptDefinition.fingerprint).where(
            KeptDefinition.code == service.code, KeptDefinition.version == service.version
        )
        fingerprint = session.scalar(kept)
        if fingerprint is None:
            values = {
                "fingerprint": service.fingerprint,
                "code": service.code,
                "version": service.version,
                "content": service.content,
                "kept_at": at,
            }
            session.execute(insert(KeptDefinition).values(**values).on_conflict_do_nothing())
            fingerprint = session.scalar(kept)
        if fingerprint != service.fingerprint:
            raise DefinitionError(
                f"Version {service.version} of the service {service.code!r} was changed after it got cases.",
                remedy="Give the changed definition the next version.",
            )

    def of(self, session: Session, case: Case) -> Service:
        """The definition a case runs under."""
        if case.definition not in self._known:
            content = session.scalars(
                select(KeptDefinition.content).where(KeptDefinition.fingerprint == case.definition)
            ).one()
            self._known[case.definition] = Service.model_validate(content)
        return self._known[case.definition]
