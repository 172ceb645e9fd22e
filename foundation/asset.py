"""One asset: as a value, and as the plain data that files and people give."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, create_model

from foundation.asset_kinds import RELATIONS, RULES, Kind, Line, Name, Rule
from foundation.chain import JSON
from foundation.definitions import Bilingual, Strict
from foundation.errors import FieldError, InvalidInput


@dataclass(frozen=True)
class Asset:
    """One asset of the inventory.

    Args:
        name: unique; small Latin letters, digits, hyphens and dots.
        kind: what it is.
        title: what people call it.
        parent: name of the asset it stands in or belongs to.
        attributes: what its kind may say of itself; numbers with a fraction are text.
        links: names of the assets it powers, cools or connects, by relation.
        version: counts its changes, from 1; 0 before it is kept.
    """

    name: str
    kind: Kind
    title: Bilingual
    parent: str | None = None
    attributes: Mapping[str, JSON] = field(default_factory=dict)
    links: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    version: int = 0

    @property
    def address(self) -> str | None:
        """Where it is reached: `address`, or else `ansible_host`."""
        value = self.attributes.get("address") or self.attributes.get("ansible_host")
        return str(value) if value else None

    def plain(self) -> dict[str, Any]:
        """As a file holds it: what is empty is left out."""
        links = {relation: list(names) for relation, names in self.links.items() if names}
        whole = {
            "name": self.name,
            "kind": str(self.kind),
            "title": {"ar": self.title.ar, "en": self.title.en},
            "parent": self.parent,
            "attributes": dict(self.attributes),
            "links": links,
        }
        return {key: value for key, value in whole.items() if value}


class _Links(Strict):
    powers: tuple[Name, ...] = ()
    cools: tuple[Name, ...] = ()
    connects: tuple[Name, ...] = ()


class _Title(Bilingual):
    ar: Line
    en: Line


class _Entry(Strict):
    name: Name
    title: _Title | None = None
    parent: Name | None = None
    links: _Links = _Links()


def _entry_of(kind: Kind, rule: Rule) -> TypeAdapter[Any]:
    # Attributes are checked even where the file has none: a municipality without its class is refused.
    title = (_Title, ...) if rule.titled else (_Title | None, None)
    fields: dict[str, Any] = {
        "kind": (Literal[kind.value], ...),
        "title": title,
        "attributes": (rule.attributes, Field(default_factory=dict, validate_default=True)),
    }
    return TypeAdapter(create_model(f"_{kind.value}_entry", __base__=_Entry, **fields))


_ENTRIES = {kind: _entry_of(kind, rule) for kind, rule in RULES.items()}


def parse_asset(data: Mapping[str, Any]) -> Asset:
    """An asset from plain data, as `Asset.plain` gives it, checked against its kind.

    Raises:
        InvalidInput: an unknown kind or attribute, a missing or wrong value; `fields` names every one.
    """
    given = data.get("kind")
    kind = next((kind for kind in RULES if kind == given), None)
    if kind is None:
        known = ", ".join(RULES)
        detail = f"should be one of {known}, not {given!r}" if given else f"is missing; it is one of {known}"
        raise _wrong(data, (FieldError("/kind", detail),))
    try:
        entry = _ENTRIES[kind].validate_python(dict(data))
    except ValidationError as error:
        fields = (_field(item["loc"], item["type"], item["msg"]) for item in error.errors())
        raise _wrong(data, tuple(fields)) from error
    links = {relation: tuple(sorted(set(getattr(entry.links, relation)))) for relation in RELATIONS}
    return Asset(
        name=entry.name,
        kind=kind,
        title=Bilingual(ar=entry.title.ar, en=entry.title.en)
        if entry.title
        else Bilingual(ar=entry.name, en=entry.name),
        parent=entry.parent,
        attributes=entry.attributes.model_dump(mode="json", exclude_none=True),
        links={relation: names for relation, names in links.items() if names},
    )


def _field(location: tuple[int | str, ...], kind: str, message: str) -> FieldError:
    pointer = "".join(f"/{step}" for step in location)
    if kind == "extra_forbidden":
        return FieldError(pointer, "is unknown for this kind")
    if pointer == "/name" and kind == "string_pattern_mismatch":
        return FieldError(pointer, "should be of small Latin letters, digits, hyphens and dots")
    plain = re.sub(r"^(Value error, |Input )", "", message)
    return FieldError(pointer, "is missing" if kind == "missing" else plain)


def _wrong(data: Mapping[str, Any], fields: tuple[FieldError, ...]) -> InvalidInput:
    more = f" ({len(fields) - 1} more)" if len(fields) > 1 else ""
    return InvalidInput(
        f"{fields[0].pointer} {fields[0].detail}{more}.",
        place=f"asset {data.get('name') or 'without a name'}",
        remedy="Correct it; nothing was changed.",
        fields=fields,
    )
