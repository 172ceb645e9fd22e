"""Definitions are data: YAML files read strictly, with file, line and reason for whatever is wrong.

A municipal service, a device model, a playbook's `about` block: each is one file, checked by one pydantic
model. An unknown key, a wrong type or a rule that the model states are refused at load.
"""

import re
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from foundation.errors import DefinitionError, FieldError

Model = TypeVar("Model", bound=BaseModel)

# The core schema of YAML 1.2. PyYAML follows 1.1, where 0501234567 is octal, 08:30 is 510 and `no` is false.
_WHOLE_NUMBER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
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
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DefinitionError(
            f"The definition cannot be read ({error}).", place=str(path), remedy="Keep it as a UTF-8 file."
        ) from error
    return parse_yaml(text, str(path), model)


def parse_yaml(text: str, name: str, model: type[Model]) -> Model:
    """One definition from text; `name` is what errors call it. Raises as `load_yaml` does."""
    try:
        node = yaml.compose(text, Loader=yaml.CSafeLoader)
        data = _plain(node, name, set())
    except RecursionError as error:
        raise DefinitionError(
            "It is nested too deeply.", place=name, remedy="A definition needs no such depth; correct it."
        ) from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DefinitionError(
            f"This is not YAML: {error.problem or error.context}.",
            place=f"{name}:{line}",
            remedy="Correct the line; check indentation and quotes.",
        ) from error
    except yaml.YAMLError as error:
        raise DefinitionError(
            f"This is not YAML: {error}.", place=name, remedy="Keep only printable UTF-8 text."
        ) from error
    try:
        return model.model_validate(data)
    except ValidationError as error:
        fields = tuple(_field(item["loc"], item["type"], item["msg"], node) for item in error.errors())
        first = fields[0]
        more = f" ({len(fields) - 1} more)" if len(fields) > 1 else ""
        raise DefinitionError(
            f"{first.pointer or 'The document'}: {first.detail}{more}.",
            place=f"{name}:{first.line}",
            remedy="Correct the definition; nothing was loaded from it.",
            fields=fields,
        ) from error


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
        raise DefinitionError(
            f"{node.value!r} is no {kind} ({error}).", place=place, remedy="Correct it or quote it."
        ) from error
    finally:
        loader.dispose()


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
