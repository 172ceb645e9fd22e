"""What the contract's JSON schemas say, in the few shapes that JSON and XML both have.

The XSD and the binding are made from these, so that neither can understand a schema otherwise than the other.
What has no shape is refused when the shapes are made, and never guessed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, TypeAlias

from integrations.contracts import licensing
from integrations.contracts.names import element_of_member, refused, schema_name
from integrations.contracts.patterns import to_xsd

MORE = "more"
"""Element of what an object holds beside its members, where the contract lets it hold more."""

_FORMATS = frozenset({"date", "date-time", "uri"})


@dataclass(frozen=True, slots=True)
class Text:
    """A JSON string.

    Args:
        type: name of its type, where the contract names it.
        format: date, date-time, uri or nothing.
        pattern: of XML Schema; None is any text.
        minimum, maximum: length in characters; None is without end.
        values: the only ones it may have; empty is any.
        description: the contract's words on the type.
    """

    type: str | None = None
    format: str = ""
    pattern: str | None = None
    minimum: int = 0
    maximum: int | None = None
    values: tuple[str, ...] = ()
    description: str = ""


@dataclass(frozen=True, slots=True)
class Whole:
    """A JSON integer between bounds, inclusive, None is without; with `patterns`, as one of them says."""

    type: str | None = None
    minimum: int | None = None
    maximum: int | None = None
    patterns: tuple[str, ...] = ()
    description: str = ""


@dataclass(frozen=True, slots=True)
class Flag:
    """A JSON boolean."""

    type: str | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Nothing:
    """Null, and never anything else."""

    type: str | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Free:
    """A JSON object of which the contract says nothing: `Fields`."""

    type: str | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Use:
    """A shape in its place, where it may also be null."""

    shape: "Shape"
    nullable: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """A member of an object.

    Args:
        name: its name in JSON, and of its element.
        use: its shape.
        required: whether the object is wrong without it.
        description: the contract's words.
    """

    name: str
    use: Use
    required: bool
    description: str


@dataclass(frozen=True, slots=True)
class Record:
    """A JSON object with known members.

    Args:
        type: name of its type.
        members: in the contract's order.
        choice: alternatives, each the names of members that stand together; exactly one alternative is there.
        more: whether it may hold members of any other name.
        description: the contract's words on the type.
    """

    type: str
    members: tuple[Member, ...]
    choice: tuple[tuple[str, ...], ...] = ()
    more: bool = False
    description: str = ""


@dataclass(frozen=True, slots=True)
class ListOf:
    """A JSON array of one kind of item; as many as its bounds say, None is without end."""

    type: str
    item: Use
    minimum: int
    maximum: int | None
    description: str = ""


@dataclass(frozen=True, slots=True)
class MapOf:
    """A JSON object that maps names to values of one kind; at least `minimum` of them."""

    type: str
    key: Text
    value: Use
    minimum: int
    description: str = ""


Shape: TypeAlias = Text | Whole | Flag | Nothing | Free | Record | ListOf | MapOf
_Schema: TypeAlias = Mapping[str, Any]


@cache
def named(name: str) -> Use:
    """The shape of a schema that the contract names.

    Raises:
        DefinitionError: it has no shape.
    """
    use = _read(licensing()["components"]["schemas"][name], name)
    return Use(replace(use.shape, type=name), use.nullable)


def body(name: str) -> Record:
    """The shape of a body, which is an object with known members."""
    use = named(name)
    if not isinstance(use.shape, Record) or use.nullable or use.shape.more:
        raise refused(f"the body {name} is no object whose members are known")
    return use.shape


def of_parameter(schema: _Schema, place: str) -> Use:
    """The shape of a parameter or header: a text, a number or a flag."""
    use = shape_of(schema, place)
    if use.nullable or not isinstance(use.shape, Text | Whole | Flag):
        raise refused(f"{place} is neither text nor number nor flag")
    return use


def shape_of(schema: _Schema, place: str) -> Use:
    """The shape of a schema in its place.

    Args:
        schema: JSON Schema 2020-12, as far as the contract uses it.
        place: names its type where it has no name of its own.

    Raises:
        DefinitionError: it has no shape.
    """
    return named(schema_name(schema)) if "$ref" in schema else _read(schema, place)


def words(schema: _Schema) -> str:
    """What the contract says of a schema, on one line."""
    return " ".join(schema.get("description", "").split())


def _read(schema: _Schema, place: str) -> Use:
    said = {key: value for key, value in schema.items() if key not in ("description", "default")}
    if "properties" in said:
        return Use(_record(said, place, words(schema)))
    for key in ("oneOf", "anyOf"):
        if key in said:
            _only(said, place, key)
            return _alternatives(said[key], place, words(schema))
    if "const" in said:
        said = {key: value for key, value in said.items() if key != "const"} | {"enum": [said["const"]]}
    if "enum" in said:
        return _values(said, place, words(schema))
    kinds = said["type"] if isinstance(said.get("type"), list) else [said.get("type")]
    kind, *others = [each for each in kinds if each != "null"] or ["null"]
    if others:
        raise refused(f"{place} is of several types")
    return Use(_plain(kind, said, place, words(schema)), nullable=kind != "null" and "null" in kinds)


def _plain(kind: str | None, said: _Schema, place: str, description: str) -> Shape:
    match kind:
        case "string":
            _only(said, place, "type", "format", "pattern", "minLength", "maxLength")
            return _text(said, place, description)
        case "integer":
            _only(said, place, "type", "minimum", "maximum")
            return Whole(None, said.get("minimum"), said.get("maximum"), (), description)
        case "boolean":
            _only(said, place, "type")
            return Flag(None, description)
        case "null":
            _only(said, place, "type")
            return Nothing(None, description)
        case "array":
            _only(said, place, "type", "items", "minItems", "maxItems")
            item = shape_of(said["items"], f"{place}Item")
            return ListOf(place, item, said.get("minItems", 0), said.get("maxItems"), description)
        case "object":
            return _open(said, place, description)
        case _:
            raise refused(f"{place} is of the type {kind}")


def _text(said: _Schema, place: str, description: str) -> Text:
    kind = said.get("format", "")
    lengths = {"minLength", "maxLength"} & set(said)
    if kind and (kind not in _FORMATS or lengths):
        raise refused(f"{place} has the format {kind}{' and a length' if lengths else ''}")
    pattern = to_xsd(said["pattern"]) if "pattern" in said else None
    return Text(None, kind, pattern, said.get("minLength", 0), said.get("maxLength"), (), description)


def _open(said: _Schema, place: str, description: str) -> Shape:
    """An object without known members: free, or a map."""
    value = said.get("additionalProperties", True)
    if value is True:
        _only(said, place, "type", "additionalProperties")
        return Free(None, description)
    _only(said, place, "type", "additionalProperties", "propertyNames", "minProperties")
    if value is False:
        raise refused(f"{place} is an object that can hold nothing")
    key = shape_of(said.get("propertyNames", {"type": "string"}), f"{place}Key")
    if not isinstance(key.shape, Text) or key.nullable:
        raise refused(f"{place} has names that are no text")
    return MapOf(
        place, key.shape, shape_of(value, f"{place}Value"), said.get("minProperties", 0), description
    )


def _record(said: _Schema, place: str, description: str) -> Record:
    more = said.get("additionalProperties", True)
    if more not in (True, False) or said.get("type", "object") != "object":
        raise refused(f"{place} has members of its own and others of one kind")
    required = set(said.get("required", ()))
    members = tuple(
        Member(
            element_of_member(name),
            shape_of(schema, f"{place}{_pascal(name)}"),
            name in required,
            words(schema),
        )
        for name, schema in said["properties"].items()
    )
    names = [each.name for each in members]
    if required - set(names) or (more and MORE in names):
        raise refused(f"{place} requires what it does not name, or names {MORE}")
    known = ["type", "properties", "required", "additionalProperties"]
    choice: tuple[tuple[str, ...], ...] = ()
    if "oneOf" in said:
        known.append("oneOf")
        choice = tuple(tuple(each["required"]) for each in said["oneOf"] if set(each) == {"required"})
        if len(choice) != len(said["oneOf"]):
            raise refused(f"{place} is one of several that are not told apart by what they require")
    elif "maxProperties" in said:
        known += ["minProperties", "maxProperties"]
        if (said.get("minProperties"), said["maxProperties"]) != (1, 1) or required or more:
            raise refused(f"{place} counts its members")
        choice = tuple((name,) for name in names)
    _only(said, place, *known)
    return _chosen(Record(place, members, choice, more, description))


def _chosen(record: Record) -> Record:
    """A record whose alternatives stand together, are there once and hold nothing that is always there."""
    chosen = [name for alternative in record.choice for name in alternative]
    names = [each.name for each in record.members]
    if chosen:
        first = names.index(chosen[0])
        always = {each.name for each in record.members if each.required}
        if names[first : first + len(chosen)] != chosen or always & set(chosen):
            raise refused(f"{record.type} has alternatives that do not stand one after the other")
    return record


def _alternatives(said: list[_Schema], place: str, description: str) -> Use:
    uses = [shape_of(each, place) for each in said]
    nullable = any(isinstance(each.shape, Nothing) or each.nullable for each in uses)
    shapes = [each.shape for each in uses if not isinstance(each.shape, Nothing)]
    texts = [each for each in shapes if isinstance(each, Text) and each.values]
    records = [each for each in shapes if isinstance(each, Record)]
    if len(shapes) == 1:
        return Use(shapes[0], nullable)
    if len(texts) == len(shapes):
        values = [value for each in texts for value in each.values]
        if len(set(values)) == len(values):
            return Use(Text(None, values=tuple(values), description=description), nullable)
    if len(records) == len(shapes) == 2:
        return Use(_either(records[0], records[1], place, description), nullable)
    raise refused(f"{place} is one of several that have no shape together")


def _either(one: Record, other: Record, place: str, description: str) -> Record:
    """One of two closed objects that begin with the same members, of which the rest tells which it is."""
    mine, theirs = ({each.name: each for each in record.members} for record in (one, other))
    common = [name for name in mine if name in theirs]
    rests = [tuple(name for name in each if name not in common) for each in (mine, theirs)]
    closed = not (one.more or other.more or one.choice or other.choice)
    required = all(each.required for record in (one, other) for each in record.members)
    if not (closed and required and all(rests)) or list(mine)[: len(common)] != common:
        raise refused(f"{place} is one of two objects that are not told apart by their members")
    shared = tuple(replace(mine[name], use=_both(mine[name].use, theirs[name].use, place)) for name in common)
    rest = tuple(
        replace(each, required=False)
        for record in (one, other)
        for each in record.members
        if each.name not in common
    )
    return _chosen(Record(place, shared + rest, (rests[0], rests[1]), False, description))


def _both(one: Use, other: Use, place: str) -> Use:
    if one == other:
        return one
    if isinstance(one.shape, Whole) and isinstance(other.shape, Whole):
        return Use(Whole(None, patterns=(_digits(one.shape, place), _digits(other.shape, place))))
    raise refused(f"{place} has a member that differs between its alternatives")


def _digits(whole: Whole, place: str) -> str:
    """The numbers of a range as a pattern: a single one, or whole hundreds as 400 to 599."""
    low, high = str(whole.minimum), str(whole.maximum)
    if low == high:
        return low
    if len(low) == len(high) and set(low[1:]) == {"0"} and set(high[1:]) == {"9"}:
        return f"[{low[0]}-{high[0]}]" + "[0-9]" * (len(low) - 1)
    raise refused(f"{place} has the numbers {low} to {high} beside others")


def _values(said: _Schema, place: str, description: str) -> Use:
    _only(said, place, "type", "enum")
    values = [each for each in said["enum"] if each is not None]
    nullable = len(values) < len(said["enum"])
    if all(isinstance(each, str) for each in values):
        return Use(Text(None, values=tuple(values), description=description), nullable)
    if len(values) == 1 and type(values[0]) is int:
        return Use(Whole(None, values[0], values[0], (), description), nullable)
    raise refused(f"{place} has values that are no texts")


def _only(said: _Schema, place: str, *known: str) -> None:
    if unknown := set(said) - set(known):
        raise refused(f"{place} says {', '.join(sorted(unknown))}")


def _pascal(name: str) -> str:
    return "".join(part[:1].upper() + part[1:] for part in name.replace("-", "_").split("_"))
