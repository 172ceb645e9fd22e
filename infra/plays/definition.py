"""A playbook as the platform knows it: an Ansible playbook whose first play carries an `about` block.

The block stands under the first play's `vars`, so plain `ansible-playbook` accepts the file as it is and the
play takes its defaults from there (`"{{ about.parameters.minimum_free.default }}"`).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Literal, Self

import yaml
from pydantic import Field, field_validator, model_validator

from foundation.asset_kinds import Kind
from foundation.definitions import Bilingual, Strict, parse_yaml
from foundation.errors import DefinitionError, FieldError, InvalidInput, NotFound
from foundation.registry import definition_files
from infra.plays.revision import playbook_files, revision_of

Value = bool | int | float | str
Risk = Literal["reads", "low", "medium", "high"]
Window = Literal["always", "change"]

_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
# Ansible and the block itself own these names; a parameter of that name would steer the connection.
_RESERVED = re.compile(
    r"about|omit|port|hosts|groups|vars|environment|ansible_.*|play_.*|inventory_.*|role_.*"
)


class _Parameter(Strict):
    title: Bilingual


class BooleanParameter(_Parameter):
    """True or false."""

    type: Literal["boolean"]
    default: bool | None = None

    @property
    def bounds(self) -> str:
        """What a value must be, in words."""
        return "true or false"

    def read(self, given: object) -> Value:
        """The value as Ansible gets it; ValueError if it is none."""
        words = {"true": True, "yes": True, "false": False, "no": False}
        value = words.get(given.lower()) if isinstance(given, str) else given
        if not isinstance(value, bool):
            raise ValueError(f"must be {self.bounds}")
        return value


class NumberParameter(_Parameter):
    """A quantity: whole (`integer`) or not (`number`), with its unit and its bounds.

    Args:
        unit: the unit values are given in, such as "MB"; values carry no unit themselves.
        minimum: least value allowed.
        maximum: greatest value allowed.
    """

    type: Literal["integer", "number"]
    unit: str = Field(min_length=1)
    minimum: Decimal
    maximum: Decimal
    default: Decimal | None = None

    @model_validator(mode="after")
    def _bounds_in_order(self) -> Self:
        if self.minimum > self.maximum:
            raise ValueError("minimum is greater than maximum")
        return self

    @property
    def bounds(self) -> str:
        """What a value must be, in words."""
        kind = "a whole number" if self.type == "integer" else "a number"
        return f"{kind} of {self.unit} from {self.minimum} to {self.maximum}, without the unit"

    def read(self, given: object) -> Value:
        """The value as Ansible gets it; ValueError if it is none."""
        if isinstance(given, bool) or not isinstance(given, str | int | float | Decimal):
            raise ValueError(f"must be {self.bounds}")
        try:
            value = Decimal(str(given))
        except InvalidOperation:
            raise ValueError(f"must be {self.bounds}") from None
        whole = value.is_finite() and value == value.to_integral_value()
        if not value.is_finite() or not self.minimum <= value <= self.maximum:
            raise ValueError(f"must be {self.bounds}")
        if self.type == "integer" and not whole:
            raise ValueError(f"must be {self.bounds}")
        return int(value) if self.type == "integer" else float(value)


class TextParameter(_Parameter):
    """A text.

    Args:
        max_length: most characters allowed.
        pattern: regular expression that the whole text must match.
    """

    type: Literal["text"]
    max_length: int = Field(ge=1, le=10_000)
    pattern: str | None = None
    default: str | None = None

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str | None) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            raise ValueError(f"no regular expression ({error})") from error
        return pattern

    @property
    def bounds(self) -> str:
        """What a value must be, in words."""
        form = f" that matches {self.pattern}" if self.pattern else ""
        return f"a text of at most {self.max_length} characters{form}"

    def read(self, given: object) -> Value:
        """The value as Ansible gets it; ValueError if it is none."""
        fits = isinstance(given, str) and len(given) <= self.max_length
        if not isinstance(given, str) or not fits or not re.fullmatch(self.pattern or ".*", given, re.DOTALL):
            raise ValueError(f"must be {self.bounds}")
        # Ansible would run what stands between these in the engineer's name, on our machine.
        if any(mark in given for mark in ("{{", "{%", "{#")):
            raise ValueError("must not hold a template ({{, {% or {#)")
        return given


class ChoiceParameter(_Parameter):
    """One of several words."""

    type: Literal["choice"]
    choices: tuple[str, ...] = Field(min_length=2)
    default: str | None = None

    @property
    def bounds(self) -> str:
        """What a value must be, in words."""
        return "one of " + ", ".join(self.choices)

    def read(self, given: object) -> Value:
        """The value as Ansible gets it; ValueError if it is none."""
        if given not in self.choices:
            raise ValueError(f"must be {self.bounds}")
        return str(given)


Parameter = Annotated[
    BooleanParameter | NumberParameter | TextParameter | ChoiceParameter, Field(discriminator="type")
]


class About(Strict):
    """What a playbook says of itself.

    Args:
        title: its name for a person.
        purpose: what it does, in a sentence or two.
        risk: `reads` changes nothing; `low` cannot interrupt a service; `medium` may for a moment; `high` may
            for long, or cannot be undone.
        approval: whether a second engineer has to approve what a check showed, before it is done.
        window: `always`, or `change`: only while a change window of its hosts' sites is open.
        slices: whether a run on many hosts may be cut into parts that are played at the same time; not where
            hosts follow one another (`serial`) or one acts for all (`run_once`).
        targets: kinds of asset it may run on.
        parameters: what an engineer may set, by name.
    """

    title: Bilingual
    purpose: Bilingual
    risk: Risk
    approval: Literal["none", "needed"]
    window: Window
    slices: bool = False
    targets: tuple[Kind, ...] = Field(min_length=1)
    parameters: dict[str, Parameter] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _safe(self) -> Self:
        if self.risk == "high" and self.approval == "none":
            raise ValueError("a play of high risk needs an approval")
        if self.risk in ("medium", "high") and self.window == "always":
            raise ValueError(f"a play of {self.risk} risk needs the window `change`")
        return self

    @field_validator("parameters")
    @classmethod
    def _checked(cls, parameters: dict[str, Parameter]) -> dict[str, Parameter]:
        for name, parameter in parameters.items():
            if not _NAME.fullmatch(name) or _RESERVED.fullmatch(name):
                raise ValueError(f"{name!r} is no name for a parameter (small letters, digits, underscores)")
            if parameter.default is not None:
                try:
                    parameter.read(parameter.default)
                except ValueError as error:
                    raise ValueError(f"the default of {name} {error}") from error
        return parameters


@dataclass(frozen=True)
class Playbook:
    """A playbook that may be run.

    Args:
        name: its file name without ending.
        path: the file.
        about: its checked `about` block.
        revision: SHA-256 over the file and everything beside it that takes part, in hexadecimal.
    """

    name: str
    path: Path
    about: About
    revision: str

    def files(self) -> dict[str, bytes]:
        """Every file that takes part, by its path relative to the playbook's folder."""
        return playbook_files(self.path)

    def values(self, given: Mapping[str, object]) -> dict[str, Value]:
        """The parameters of one run: what was given, checked, and the defaults.

        Raises:
            InvalidInput: an unknown parameter, a missing one, or a value outside its bounds; its `fields`
                name each.
        """
        known = self.about.parameters
        wrong = [
            FieldError(f"/parameters/{name}", f"{name} is no parameter of {self.name}")
            for name in given
            if name not in known
        ]
        values: dict[str, Value] = {}
        for name, parameter in known.items():
            value = given.get(name, parameter.default)
            if value is None:
                wrong.append(FieldError(f"/parameters/{name}", f"{name} is missing; it {_must(parameter)}"))
                continue
            try:
                values[name] = parameter.read(value)
            except ValueError as error:
                wrong.append(FieldError(f"/parameters/{name}", f"{name} {error}"))
        if wrong:
            raise InvalidInput(
                "; ".join(field.detail for field in wrong) + ".",
                place=f"play {self.name}",
                remedy=f"Parameters: {', '.join(known) or 'none'}. See: rakeeza play show {self.name}",
                fields=tuple(wrong),
            )
        return values


def load_playbook(path: Path) -> Playbook:
    """A playbook from its file.

    Raises:
        DefinitionError: the file cannot be read, is not YAML, is no playbook, or its `about` block is missing
            or wrong; with file and line.
    """
    files = playbook_files(path)
    try:
        text = files[path.name].decode("utf-8")
    except UnicodeDecodeError as error:
        raise DefinitionError(
            "The playbook is not UTF-8.", place=str(path), remedy="Save it as UTF-8."
        ) from error
    try:
        root = yaml.compose(text, Loader=yaml.CSafeLoader)
    except yaml.YAMLError:
        # The same text fails there too, and is said in the house's words.
        parse_yaml(text, str(path), About)
        raise
    block = _about_node(root, str(path))
    start, end = block.start_mark, block.end_mark
    # The block alone, where it stands: lines and columns of errors stay those of the file.
    alone = "\n" * start.line + " " * start.column + text[start.index : end.index]
    return Playbook(path.stem, path, parse_yaml(alone, str(path), About), revision_of(files))


def load_playbooks(extra: Sequence[Path]) -> dict[str, Playbook | DefinitionError]:
    """Every playbook of the product and of further folders, by name.

    A faulty file is a value, its error, so that it does not hide its neighbours. A name that stands in two
    folders is such an error too.
    """
    found: dict[str, Playbook | DefinitionError] = {}
    origins: dict[str, Path] = {}
    for path in definition_files("playbooks", extra, ".yml"):
        if path.stem in found:
            found[path.stem] = _twice(path, origins[path.stem])
            continue
        origins[path.stem] = path
        try:
            found[path.stem] = load_playbook(path)
        except DefinitionError as error:
            found[path.stem] = error
    return found


def find_playbook(name: str, extra: Sequence[Path]) -> Playbook:
    """The playbook of a name.

    Raises:
        NotFound: there is none; the error names those there are.
        DefinitionError: there is one, and it is faulty.
    """
    # The one file and not all: a run asks several times, and a playbook takes a while to read.
    paths = definition_files("playbooks", extra, ".yml")
    found = [path for path in paths if path.stem == name]
    if not found:
        known = ", ".join(sorted({path.stem for path in paths}))
        raise NotFound(f"There is no playbook {name!r}.", remedy=f"Known: {known}.")
    if len(found) > 1:
        raise _twice(found[1], found[0])
    return load_playbook(found[0])


def _twice(path: Path, first: Path) -> DefinitionError:
    return DefinitionError(
        f"The playbook {path.stem!r} is defined twice, here and in {first}.",
        place=str(path),
        remedy="Rename or remove one of them.",
    )


def _must(parameter: Parameter) -> str:
    return f"must be {parameter.bounds}"


def _about_node(root: yaml.Node | None, name: str) -> yaml.Node:
    line = 1
    if isinstance(root, yaml.SequenceNode) and root.value and isinstance(root.value[0], yaml.MappingNode):
        play = root.value[0]
        line = play.start_mark.line + 1
        variables = _child(play, "vars")
        block = _child(variables, "about") if variables is not None else None
        if block is not None:
            return block
        message = "The first play has no about block under its vars."
    else:
        message = "This is no playbook: it must be a list of plays."
    raise DefinitionError(message, place=f"{name}:{line}", remedy="See docs/playbooks.md.")


def _child(node: yaml.Node, key: str) -> yaml.Node | None:
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)
