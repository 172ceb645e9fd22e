"""The paper in a definition: which fields it shows, in which parts, and what its holder has to observe."""

from functools import cached_property

from pydantic import Field, model_validator

from foundation.definitions import Strict
from integrations.form import Name, Text, Words


class Section(Strict):
    """A part of the paper under a title of its own: lines, short fields in pairs, or a table.

    Args:
        title: what stands above it; None only where the paper has no other part.
        lines: fields, each in a line of its own with its name in both languages.
        pairs: short fields, two beside each other.
        table: a field of type list, a row of the paper for each of its rows. A long one is an annex.
        columns: fields of the list's rows that the table has, in order; all of them without.
    """

    title: Text | None = None
    lines: Words = ()
    pairs: Words = ()
    table: Name | None = None
    columns: Words = ()

    @model_validator(mode="after")
    def _one(self) -> "Section":
        if sum(map(bool, (self.lines, self.pairs, self.table))) != 1:
            raise ValueError("a section is exactly one of lines, pairs and table")
        if self.columns and not self.table:
            raise ValueError("columns are a table's")
        return self

    @property
    def fields(self) -> tuple[str, ...]:
        """What it shows, by name."""
        return (self.table,) if self.table else self.lines or self.pairs


class Document(Strict):
    """The paper: what it shows of the form, in order; beside fields `applicant.name`, `applicant.identifier`
    and, where the licence hangs on another, `parent.number`.

    Args:
        lines: fields, where the paper has one part without a title.
        sections: its parts otherwise.
        notes: what its holder has to observe, printed below in both languages.
    """

    lines: Words = ()
    sections: tuple[Section, ...] = ()
    notes: tuple[Text, ...] = Field((), max_length=20)

    @model_validator(mode="after")
    def _one(self) -> "Document":
        if bool(self.lines) == bool(self.sections):
            raise ValueError("a document has either lines or sections")
        if any(section.title is None for section in self.sections):
            raise ValueError("each section has a title")
        return self

    @cached_property
    def parts(self) -> tuple[Section, ...]:
        """The sections; lines alone are one without a title."""
        return self.sections or (Section(lines=self.lines),)

    @cached_property
    def fields(self) -> tuple[str, ...]:
        """All that it shows, by name, in order."""
        return tuple(name for section in self.parts for name in section.fields)
