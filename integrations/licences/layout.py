"""The layout of a paper: what stands on it and where, as the definition's `document` says.

It is made with the licence's version and kept with it, sealed: a paper that is made later, or once more,
shows what was licensed, however definition or form read by then.
"""

from collections.abc import Mapping
from typing import Any

from foundation.definitions import Bilingual
from integrations.document_layout import Section
from integrations.form import ListField, NumberField
from integrations.licences.document import Line, Part, TablePart
from integrations.licences.sealing import HOLDER
from integrations.service import Service

_IDENTIFIER = Bilingual(ar="رقم الهوية", en="Identity number")
_PARENT = Bilingual(ar="تابعة للرخصة رقم", en="Under the licence")


def laid_out(
    service: Service, form: Mapping[str, Any], holder: Mapping[str, str], parent: str | None
) -> dict[str, Any]:
    """The layout of a licence's paper as JSON: `parts` in order, `notes`.

    Args:
        form: with its personal fields, all of values that the service knows.
        holder: name and identifier.
        parent: number of the licence it hangs on.
    """
    parts = [_part(service, section, form, holder, parent) for section in service.document.parts]
    return {
        "parts": [part for part in parts if part is not None],
        "notes": [note.model_dump() for note in service.document.notes],
    }


def parts_of(layout: Mapping[str, Any]) -> tuple[Part | TablePart, ...]:
    """The parts of a kept layout."""
    return tuple(_read(part) for part in layout["parts"])


def notes_of(layout: Mapping[str, Any]) -> tuple[Bilingual, ...]:
    """The notes of a kept layout."""
    return tuple(Bilingual(**note) for note in layout["notes"])


def _part(
    service: Service, section: Section, form: Mapping[str, Any], holder: Mapping[str, str], parent: str | None
) -> dict[str, Any] | None:
    title = {"title": section.title.model_dump() if section.title else None}
    if section.table is not None:
        rows = form.get(section.table) or []
        return {**title, **_table(service, section, rows)} if rows else None
    beside = {
        "applicant.name": (HOLDER, holder["name"]),
        "applicant.identifier": (_IDENTIFIER, holder["identifier"]),
        "parent.number": (_PARENT, parent),
    }
    lines = []
    for name in section.fields:
        if name in beside:
            label, text = beside[name]
            value = Bilingual(ar=text, en=text) if text else None
        else:
            field = service.fields[name]
            label, value = field.label, None if form.get(name) is None else field.show(form[name])
        if value is not None:
            lines.append({"label": label.model_dump(), "value": value.model_dump()})
    # What was left empty leaves no title behind.
    return {**title, "paired": bool(section.pairs), "lines": lines} if lines else None


def _table(service: Service, section: Section, rows: list[Mapping[str, Any]]) -> dict[str, Any]:
    assert section.table is not None
    field = service.fields[section.table]
    assert isinstance(field, ListField), "the definition was checked"
    columns = [field.row[name] for name in section.columns or field.row]
    heads, cells = [], []
    for column in columns:
        label = column.label
        if isinstance(column, NumberField):
            # A measure is read down its column: the unit stands once, above.
            unit = column.unit
            label = Bilingual(ar=f"{label.ar} ({unit.ar})", en=f"{label.en} ({unit.en})")
        heads.append(label.model_dump())
    for row in rows:
        cells.append([_cell(column, row.get(column.name)) for column in columns])
    return {"columns": heads, "rows": cells}


def _cell(column: Any, value: Any) -> dict[str, str]:
    if value is None:
        return {"ar": "–", "en": "–"}
    if isinstance(column, NumberField):
        return {"ar": str(value), "en": str(value)}
    shown: Bilingual = column.show(value)
    return shown.model_dump()


def _read(part: Mapping[str, Any]) -> Part | TablePart:
    title = Bilingual(**part["title"]) if part["title"] else None
    if "rows" in part:
        return TablePart(
            title,
            tuple(Bilingual(**column) for column in part["columns"]),
            tuple(tuple(Bilingual(**cell) for cell in row) for row in part["rows"]),
        )
    lines = tuple(Line(Bilingual(**line["label"]), Bilingual(**line["value"])) for line in part["lines"])
    return Part(title, lines, paired=part["paired"])
