"""A municipal service is one definition: who may apply, form, fees, states, what the public may see.

A definition is a YAML file in `integrations/services/` or in a folder of `licences.folders`. Read strictly;
`integrations/cases/explore.py` then walks every way a case can take and refuses what cannot end well.
"""

import hashlib
import json
from collections.abc import Sequence
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from foundation.definitions import Strict, load_yaml
from foundation.errors import DefinitionError, NotFound
from foundation.registry import Registry, definition_files
from integrations.cases.explore import Place
from integrations.document_layout import Document
from integrations.fee_table import Fee
from integrations.flow import Flow
from integrations.form import (
    Activity,
    ActivityField,
    FormField,
    Name,
    PlainField,
    Text,
    Words,
    one_or_more,
    schema_of_fields,
)
from integrations.identifiers import Kind, title
from integrations.procedure import Bar, Check, Parent, Procedure, Requirement, Retention, Validity
from integrations.service_rules import broken_rules

Prefix = Annotated[str, Field(pattern=r"^[A-Z]{2,5}$")]


class Numbers(Strict):
    """Prefixes of the numbers a service gives out, as in SL-2026-000001; each counts by year without gaps."""

    case: Prefix
    licence: Prefix


class Applicant(Strict):
    """Who may apply.

    Args:
        identifiers: kinds of identifier taken.
        notices: whether the applicant is sent a message on each step that concerns him.
    """

    identifiers: Annotated[tuple[Kind, ...], BeforeValidator(one_or_more)] = Field(min_length=1)
    notices: bool = True


class Payment(Strict):
    """How a bill is paid.

    Args:
        due_days: from the invoice to the day it is due.
        late: what becomes of a payment of an open bill after that day.
    """

    due_days: int = Field(ge=0, le=365)
    late: Literal["accept", "refund"] = "accept"


class Service(Strict):
    """One municipal service: what holds for all its procedures, and the procedures.

    Args:
        roles: roles of its own, beside the platform's, with what people call them.
        place: field of the form that says which part of the town a case belongs to; inboxes are by place.
        form: the fields that procedures choose from.
        documents: the checklist that procedures choose from.
        checks: questions to back-ends and to parties, by name.
        bars: what may stand in the way of being given more, by name.
        public: fields that anyone may see on a licence.
        own_words: with "none" nothing is kept that anybody says in words of his own: texts of the form have a
            pattern, comments are chosen among reasons, a file is called as its document is, and no document
            is taken that no action will look at.
        test: for the software of test centres; nothing of it is real (see `integrations.rules_of_tests`).
    """

    code: Name
    version: int = Field(ge=1)
    title: Text
    licence_title: Text
    numbers: Numbers
    roles: dict[Name, Text] = Field(default_factory=dict)
    applicant: Applicant
    place: Name | None = None
    form: tuple[FormField, ...] = Field(min_length=1)
    activities: tuple[Activity, ...] = ()
    documents: tuple[Requirement, ...] = ()
    checks: dict[Name, Check] = Field(default_factory=dict)
    fees: tuple[Fee, ...] = ()
    payment: Payment
    validity: Validity
    parent: Parent | None = None
    # None and not empty: the content of a definition without the key stays what it was.
    bars: dict[Name, Bar] | None = Field(None, min_length=1)
    flows: dict[Name, Flow] = Field(min_length=1)
    procedures: dict[Name, Procedure] = Field(min_length=1)
    public: Words = ()
    document: Document
    retention: Retention
    # None and not a word: the content of a definition without the key stays what it was.
    own_words: Literal["none"] | None = None
    # None and not false, for the same reason.
    test: Literal[True] | None = None

    @model_validator(mode="after")
    def _whole(self) -> "Service":
        if faults := broken_rules(self):
            raise ValidationError.from_exception_data(
                "Service",
                [_broken(place, reason) for place, reason in faults],
            )
        return self

    @property
    def is_test(self) -> bool:
        """Whether it is for the software of test centres, and nothing of it is real."""
        return self.test is True

    @cached_property
    def fields(self) -> dict[str, PlainField]:
        """The form's fields by name; an activity is a choice among the activities."""
        return {
            field.name: field.as_choice(self.activities) if isinstance(field, ActivityField) else field
            for field in self.form
        }

    @cached_property
    def default_procedure(self) -> str | None:
        """The first procedure that makes a licence: what an application without a name asks for."""
        return next((name for name, each in self.procedures.items() if each.outcome == "issue"), None)

    def procedure(self, name: str) -> Procedure:
        """A procedure by its name.

        Raises:
            NotFound: there is none; it says which there are.
        """
        if name not in self.procedures:
            known = ", ".join(self.procedures)
            raise NotFound(
                f"The service {self.code!r} has no procedure {name!r}.",
                remedy=f"Known: {known}.",
                message_ar=f"ليس في الخدمة «{self.title.ar}» إجراء باسم «{name}».",
            )
        return self.procedures[name]

    def form_of(self, procedure: str) -> dict[str, PlainField]:
        """The fields that a procedure asks, by name."""
        return self._forms[procedure]

    def known_to(self, procedure: str) -> dict[str, PlainField]:
        """The fields that a procedure's conditions, fees and checks may name: those it asks, and for a
        procedure on a licence also those that issuing asked, which are then the licence's own."""
        if not self.procedures[procedure].acts_on_licence:
            return self.form_of(procedure)
        return {**self.licence_fields, **self.form_of(procedure)}

    @cached_property
    def licence_fields(self) -> dict[str, PlainField]:
        """The fields that a licence keeps: what the procedures that issue ask."""
        issuing = [name for name, each in self.procedures.items() if each.outcome == "issue"]
        return {name: field for each in issuing for name, field in self.form_of(each).items()}

    @cached_property
    def _forms(self) -> dict[str, dict[str, PlainField]]:
        return {
            code: {
                name: field
                for name, field in self.fields.items()
                if name in procedure.form or "*" in procedure.form
            }
            for code, procedure in self.procedures.items()
        }

    def schema_of(self, procedure: str) -> dict[str, Any]:
        """JSON Schema of a procedure's form (draft 2020-12); bounds are Decimal, so that 0.1 is a tenth."""
        return self._schemas[procedure]

    def form_json(self, procedure: str) -> dict[str, Any]:
        """The schema as it is served: bounds as JSON numbers."""
        return self._served[procedure]

    @cached_property
    def _schemas(self) -> dict[str, dict[str, Any]]:
        draft = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
        return {name: {**draft, **schema_of_fields(self.form_of(name))} for name in self.procedures}

    @cached_property
    def _served(self) -> dict[str, dict[str, Any]]:
        served: dict[str, dict[str, Any]] = json.loads(json.dumps(self._schemas, default=_json_number))
        return served

    def flow_of(self, procedure: str) -> Flow:
        """The flow that a procedure follows."""
        return self.flows[self.procedures[procedure].flow]

    def summary(self) -> dict[str, Any]:
        """The service in a list."""
        return {"code": self.code, "version": self.version, "title": self.title.model_dump()}

    def for_clients(self) -> dict[str, Any]:
        """The service as a client needs it to show what can be asked and to fill in an application."""
        return {
            **self.summary(),
            "licence_title": self.licence_title.model_dump(),
            "applicant": {
                "identifiers": [
                    {"kind": kind, "title": title(kind).model_dump()} for kind in self.applicant.identifiers
                ]
            },
            "parent": self.parent.model_dump(mode="json") if self.parent else None,
            "activities": [
                {"code": a.code, "title": a.title.model_dump(), "immediate": a.immediate}
                for a in self.activities
            ],
            "default_procedure": self.default_procedure,
            "procedures": {name: self._procedure_for_clients(name) for name in self.procedures},
        }

    def _procedure_for_clients(self, name: str) -> dict[str, Any]:
        procedure = self.procedures[name]
        return {
            "title": procedure.title.model_dump(),
            "outcome": procedure.outcome,
            "initiator": procedure.initiator,
            "capacities": list(procedure.capacities),
            "channels": list(procedure.channels),
            "on": procedure.on.model_dump(mode="json", exclude_none=True) if procedure.on else None,
            "promise": procedure.promise.model_dump(exclude_none=True) if procedure.promise else None,
            "free": not procedure.fees,
            "form": self.form_json(name),
            "documents": [
                each.model_dump(mode="json", by_alias=True, exclude_none=True)
                for each in self.documents
                if each.code in procedure.documents
            ],
            "states": {
                state: {
                    "title": each.title.model_dump(),
                    "final": each.final,
                    "applicant": each.applicant,
                }
                for state, each in self.flow_of(name).states.items()
            },
        }

    @cached_property
    def content(self) -> dict[str, Any]:
        """The definition as JSON: what a case keeps, so that a later edit of the file does not touch it."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over the content, in hex; two definitions with one fingerprint are the same."""
        text = json.dumps(self.content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def parties(self) -> frozenset[str]:
        """Roles of the outside bodies that its checks are asked of."""
        return frozenset(role for check in self.checks.values() for role in check.by or ())

    @cached_property
    def activity_field(self) -> str | None:
        """Name of the field that holds the activity."""
        return next((field.name for field in self.form if isinstance(field, ActivityField)), None)


def _json_number(value: object) -> float:
    assert isinstance(value, Decimal)
    return int(value) if value == value.to_integral_value() else float(value)


def _broken(place: Place, reason: str) -> InitErrorDetails:
    # With its place in the definition: the reader of the file is told the line.
    kind = PydanticCustomError("rule", "{reason}", {"reason": reason})
    return InitErrorDetails(type=kind, loc=place, input=None)


def load_service(path: Path) -> Service:
    """The definition in a file.

    Raises:
        DefinitionError: it breaks a rule; with file, line and reason.
    """
    return load_yaml(path, Service)


def load_services(folders: Sequence[Path]) -> Registry[Service]:
    """Every service: the product's own, then those of further folders.

    Raises:
        DefinitionError: a faulty file, two services with one code or one prefix of numbers, or a parent that
            is not there.
    """
    services: Registry[Service] = Registry("service")
    prefixes: Registry[str] = Registry("prefix of numbers")
    for path in definition_files("integrations.services", folders, ".yaml"):
        service = load_service(path)
        if service.code != path.stem:
            raise DefinitionError(
                f"The service {service.code!r} stands in a file of another name.",
                place=str(path),
                remedy=f"Name the file {service.code}.yaml.",
            )
        services.add(service.code, service, str(path))
        # Licences of all services are looked up by number alone.
        for prefix in (service.numbers.case, service.numbers.licence):
            prefixes.add(prefix, service.code, str(path))
    _check_parents(services)
    return services


def _check_parents(services: Registry[Service]) -> None:
    # A licence hangs on one of a service that is there, and no chain of them comes back to its beginning.
    for service in services.items():
        above, seen = service, {service.code}
        while above.parent is not None:
            code = above.parent.service
            if code not in services.names():
                raise DefinitionError(
                    f"The parent {code!r} of the service {above.code!r} is not there.",
                    remedy=f"Add the service {code!r}, or take the parent away.",
                )
            if services.get(code).is_test:
                raise DefinitionError(
                    f"The parent {code!r} of the service {above.code!r} is a test service.",
                    remedy="A licence hangs on a real one.",
                )
            if code in seen:
                raise DefinitionError(
                    f"The parents of the service {service.code!r} lead round to {code!r}.",
                    remedy="Take one of the parents away.",
                )
            seen.add(code)
            above = services.get(code)
