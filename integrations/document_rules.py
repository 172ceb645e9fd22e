"""Rules of the paper in a definition: what it shows is on the licence, and its tables are lists."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from integrations.cases.explore import Fault, Place
from integrations.form import ListField

if TYPE_CHECKING:
    from integrations.document_layout import Section
    from integrations.service import Service


def broken_document(service: "Service") -> Iterator[Fault]:
    """Every fault of `document`, with its place."""
    fields, document = service.licence_fields, service.document
    known = {*fields, "applicant.name", "applicant.identifier"}
    if service.parent is not None:
        known.add("parent.number")
    seen: set[str] = set()
    for number, section in enumerate(document.parts):
        place: Place = ("document", "sections", number) if document.sections else ("document",)
        for key in ("lines", "pairs"):
            for index, name in enumerate(getattr(section, key)):
                if name in seen:
                    yield (*place, key, index), f"{name!r} stands twice"
                elif name not in known:
                    yield (
                        (*place, key, index),
                        f"{name!r} is no field of the form that a licence is issued on",
                    )
                seen.add(name)
        if section.table is not None:
            if section.table in seen:
                yield (*place, "table"), f"{section.table!r} stands twice"
            seen.add(section.table)
            yield from _table(service, section, place)


def _table(service: "Service", section: "Section", place: Place) -> Iterator[Fault]:
    field = service.licence_fields.get(section.table or "")
    if not isinstance(field, ListField):
        yield (*place, "table"), f"{section.table!r} is no list of the form that a licence is issued on"
        return
    for index, name in enumerate(section.columns):
        if name not in field.row:
            yield (*place, "columns", index), f"{name!r} is no field of the rows of {section.table!r}"
        elif name in section.columns[:index]:
            yield (*place, "columns", index), f"{name!r} stands twice"
