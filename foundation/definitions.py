"""Definitions are data: YAML files read strictly, with file, line and reason for whatever is wrong.

A municipal service, a device model, a playbook's `about` block: each is one file, checked by one pydantic
model. An unknown key, a wrong type or a rule that the model states are refused at load.
"""

import functools
import re
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError
from pydantic_core import ErrorDetails

from foundation.errors import DefinitionError, FieldError

Model = TypeVar("Model", bound=BaseModel)

# The core schema of YAML 1.2. PyYAML follows 1.1, where 0501234567 is octal, 08:30 is 510 and `no` is false.
_WHOLE_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_DEEPEST = 60
_LONGEST = 1_000_000
_TRUTH = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}


class Strict(BaseModel):
    """Base of every definition: unknown keys are refused, and a loaded definition never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Bilingual(Strict):
    """A text that a person reads, in both languages of the platform.

    Args:
        ar: Arabic.
        en: English.
    """

    ar: str
    en: str

    def in_language(self, language: str) -> str:
        """The text in a language, `ar` or `en`."""
        return self.ar if language == "ar" else self.en


def load_yaml(path: Path, model: type[Model]) -> Model:
    """One definition from one file.

    Args:
        path: the YAML file, UTF-8, one document.
        model: what it must be.

    Raises:
        DefinitionError: the file cannot be read, is not YAML, repeats a key, or breaks a rule of the model;
            its `fields` name every wrong place with its line.
    """
    try:
        size = path.stat().st_size
        if size > _LONGEST:
            raise DefinitionError(
                f"The definition has {size:,} bytes; at most {_LONGEST:,} are read.",
                place=str(path),
                remedy="Keep pictures, lists of data and the like apart from it.",
            )
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DefinitionError(
            f"The definition cannot be read ({error}).", place=str(path), remedy="Keep it as a UTF-8 file."
        ) from error
    return _parsed(text, str(path), model)  # type: ignore[return-value] # of a cache, which knows no generics


# The same text is the same definition, and frozen; a service takes a tenth of a second to be judged.
@functools.lru_cache(maxsize=256)
def _parsed(text: str, name: str, model: type[BaseModel]) -> BaseModel:
    return parse_yaml(text, name, model)


def parse_yaml(text: str, name: str, model: type[Model]) -> Model:
    """One definition from text; `name` is what errors call it. Raises as `load_yaml` does."""
    try:
        _check_depth(text, name)
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
        data = _plain(node, name, set())
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DefinitionError(
            f"This is not YAML: {error.problem or error.context}.",
            place=f"{name}:{line}",
            remedy="Correct the line; check indentation and quotes.",
        ) from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise DefinitionError(
            f"This is not YAML: the character {text[error.position : error.position + 1]!r} stands here.",
            place=f"{name}:{line}",
            remedy="Keep only printable UTF-8 text.",
        ) from error
    try:
        return model.model_validate(data)
    except ValidationError as error:
        fields = tuple(_field(item["loc"], item["type"], _said(item), node) for item in _own(error.errors()))
        first = fields[0]
        more = f" ({len(fields) - 1} more)" if len(fields) > 1 else ""
        raise DefinitionError(
            f"{first.pointer or 'The document'}: {first.detail}{more}.",
            place=f"{name}:{first.line}",
            remedy="Correct the definition; nothing was loaded from it.",
            fields=fields,
        ) from error


def _check_depth(text: str, name: str) -> None:
    # Before the tree is made: libyaml makes it by recursion in C, and brackets alone would end the program.
    depth = 0
    for event in yaml.parse(text, Loader=yaml.CSafeLoader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > _DEEPEST:
            raise DefinitionError(
                "It is nested too deeply.",
                place=f"{name}:{event.start_mark.line + 1 if event.start_mark else 1}",
                remedy="A definition needs no such depth; correct it.",
            )


def _plain(node: yaml.Node | None, name: str, seen: set[int]) -> Any:
    if node is None:
        return None
    place = f"{name}:{node.start_mark.line + 1}"
    # A node met twice was named by an alias; a few of those in each other can stand for gigabytes.
    if id(node) in seen:
        raise DefinitionError("An alias (*) stands here.", place=place, remedy="Write the value out.")
    seen.add(id(node))
    if isinstance(node, yaml.CollectionNode) and not node.tag.endswith((":map", ":seq")):
        raise DefinitionError(f"The tag {node.tag} is not used here.", place=place, remedy="Take it away.")
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, name, seen)
    if isinstance(node, yaml.SequenceNode):
        return [_plain(item, name, seen) for item in node.value]
    return _scalar(node, place)


def _mapping(node: yaml.MappingNode, name: str, seen: set[int]) -> dict[str, Any]:
    # PyYAML silently keeps the last of two equal keys; in a fee table that would be a wrong fee.
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        place = f"{name}:{key_node.start_mark.line + 1}"
        if not isinstance(key_node, yaml.ScalarNode):
            raise DefinitionError("This key is not a single word.", place=place, remedy="Write a plain key.")
        key = str(key_node.value)
        if key == "<<":
            raise DefinitionError("A merge key (<<) stands here.", place=place, remedy="Write the keys out.")
        if key in result:
            raise DefinitionError(f"The key {key!r} stands twice.", place=place, remedy="Keep one of them.")
        result[key] = _plain(value_node, name, seen)
    return result


def _scalar(node: yaml.Node, place: str) -> Any:
    kind = node.tag.removeprefix("tag:yaml.org,2002:")
    # A float would round money: a number with a point stays text, and the model reads it as Decimal.
    if kind == "float" or (kind == "int" and not _WHOLE_NUMBER.fullmatch(node.value)):
        return node.value
    if kind == "bool":
        return _TRUTH.get(node.value, node.value)
    loader = yaml.CSafeLoader("")
    try:
        return loader.construct_object(node, deep=True)
    except (ValueError, AttributeError) as error:
        # PyYAML lets int() and date() speak for themselves, without the line.
        what = {"timestamp": "date", "int": "number"}.get(kind, kind)
        raise DefinitionError(
            f"{_short(node.value)} is no {what} ({_short(str(error), 80)}).",
            place=place,
            remedy="Correct it or quote it.",
        ) from error
    finally:
        loader.dispose()


# What pydantic says of its own types, as the author of a file knows them.
_WORDS = {
    "model_type": "keys with values are needed here, as in {key: value}",
    "dict_type": "keys with values are needed here, as in {key: value}",
    "tuple_type": "a list is needed here",
    "list_type": "a list is needed here",
    "union_tag_not_found": "the key {discriminator} is missing; it says what the others mean",
    "decimal_type": 'a number is needed, as in "6.00"',
    "decimal_parsing": 'a number is needed, as in "6.00"',
    "date_type": "a date is needed, as in 2026-11-22",
    "date_parsing": "a date is needed, as in 2026-11-22",
    "date_from_datetime_parsing": "a date is needed, as in 2026-11-22",
    "date_from_datetime_inexact": "a date is needed, as in 2026-11-22",
    "int_type": "a whole number is needed, as in 12",
    "int_parsing": "a whole number is needed, as in 12",
    "int_parsing_size": "a whole number is needed, as in 12",
    "int_from_float": "a whole number is needed, as in 12",
    "bool_type": "true or false is needed",
    "bool_parsing": "true or false is needed",
    "string_type": "text is needed; put what looks like a number, a date or true in quotes",
    "string_pattern_mismatch": "it should match pattern {pattern}",
    "too_short": "too few stand here; at least {min_length}",
}


def _said(item: ErrorDetails) -> str:
    kind, value = item["type"], item["input"]
    if kind not in _WORDS:
        return item["msg"]
    words = _WORDS[kind]
    for name, limit in item.get("ctx", {}).items():
        words = words.replace(f"{{{name}}}", str(limit))
    return f"{words}; here stands {_short(value)}" if isinstance(value, bool | int | float | str) else words


def _own(found: list[ErrorDetails]) -> list[ErrorDetails]:
    # A list whose items are all wrong is then also too short; that says nothing more.
    def repeats(item: ErrorDetails) -> bool:
        place = item["loc"]
        return item["type"] == "too_short" and any(
            len(each["loc"]) > len(place) and each["loc"][: len(place)] == place for each in found
        )

    return [item for item in found if not repeats(item)]


def _short(value: object, longest: int = 40) -> str:
    text = value if isinstance(value, str) and longest > 40 else repr(value)
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _field(location: tuple[int | str, ...], kind: str, message: str, root: yaml.Node | None) -> FieldError:
    pointer = "".join(f"/{step}" for step in location)
    detail = "unknown key" if kind == "extra_forbidden" else message.removeprefix("Value error, ")
    return FieldError(pointer, detail, line_of(location, root))


def line_of(location: tuple[int | str, ...], root: yaml.Node | None) -> int:
    """Line of a place in a document, counted from 1.

    Args:
        location: keys and indices that lead to the place; those that are not there are passed over.
        root: the document, as `yaml.compose` gives it.
    """
    # Follow the error's path down the node tree; a step that is not in the file (a missing key, a union's
    # branch) leaves us at the nearest place that is.
    node, line = root, (root.start_mark.line + 1 if root else 1)
    for step in location:
        if isinstance(node, yaml.MappingNode):
            match = next(((k, v) for k, v in node.value if k.value == str(step)), None)
            if match is not None:
                line, node = match[0].start_mark.line + 1, match[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
    return line
