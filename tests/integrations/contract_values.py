"""What the contract's JSON schemas let pass, for hypothesis; read from them, and not from our shapes."""

import json
import re
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from jsonschema import Draft202012Validator

from integrations import contracts
from integrations.contracts.names import Answer, Operation

# What XML can carry (1.0, section 2.2); anything else an element shows as U+FFFD.
CONTROLS = "".join(chr(code) for code in range(32) if chr(code) not in "\t\n\r")
LETTERS = st.characters(codec="utf-8", exclude_characters=CONTROLS + "\ufffe\uffff")
TEXT = st.text(LETTERS, max_size=20)
DATES = st.dates(date(2000, 1, 1), date(2099, 12, 31)).map(date.isoformat)
MOMENTS = st.tuples(
    st.datetimes(datetime(2000, 1, 1), datetime(2099, 12, 31)).map(datetime.isoformat),
    st.sampled_from(["Z", "+03:00", "-11:30"]),
).map("".join)
_FORMATS = {"date": DATES, "date-time": MOMENTS, "uri": st.just("urn:rakeeza:problem:not_found")}
_NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.just(-0.0)
FREE: SearchStrategy[dict[str, Any]] = st.dictionaries(
    TEXT,
    st.recursive(
        st.none() | st.booleans() | _NUMBERS | TEXT,
        lambda held: st.lists(held, max_size=3) | st.dictionaries(TEXT, held, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)


def parameters(operation: Operation) -> SearchStrategy[dict[str, str]]:
    """Right parameters of a request, by element; those that may be missing are there or not."""
    found = {each.element: values(dict(each.schema)).map(_plain) for each in operation.parameters}
    needed = {each.element for each in operation.parameters if each.required}
    return st.fixed_dictionaries(
        {name: strategy for name, strategy in found.items() if name in needed},
        optional={name: strategy for name, strategy in found.items() if name not in needed},
    )


def sent(operation: Operation) -> SearchStrategy[bytes | None]:
    """A right body of a request."""
    if operation.binary:
        return st.binary(max_size=40)
    if operation.body is None:
        return st.none()
    bodies = values({"$ref": f"#/components/schemas/{operation.body}"}).map(_json)
    # None and an empty object say the same by SOAP.
    return bodies if operation.body_required else bodies.map(lambda text: None if text == b"{}" else text)


def answered(answer: Answer) -> SearchStrategy[tuple[dict[str, str], bytes]]:
    """Headers and body of an answer that the contract has."""
    headers = {each.name.lower(): values(dict(each.schema)) for each in answer.headers}
    if answer.binary:
        headers["content-type"] = st.sampled_from(answer.binary.types)
    body = st.just(b"")
    if answer.binary:
        body = st.binary(max_size=40)
    elif answer.body:
        body = values({"$ref": f"#/components/schemas/{answer.body}"}).map(_json)
    return st.tuples(st.fixed_dictionaries(headers), body)


def values(schema: dict[str, Any]) -> SearchStrategy[Any]:
    """What a schema of the contract lets pass."""
    whole = contracts.resolved(schema)
    strategy = _values(whole)
    return strategy.filter(Draft202012Validator(whole).is_valid)


def same(one: bytes, other: bytes) -> bool:
    """Whether two JSON texts say the same, to the last digit."""
    return bool(_exact(one) == _exact(other))


def _exact(text: bytes) -> Any:
    return json.loads(text, parse_float=Decimal, parse_int=Decimal)


def _values(schema: dict[str, Any]) -> SearchStrategy[Any]:
    for key in ("oneOf", "anyOf"):
        if key in schema and "properties" not in schema:
            return st.one_of([_values(each) for each in schema[key]])
    if "const" in schema:
        return st.just(schema["const"])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if isinstance(schema["type"], list):
        return st.one_of([_values({**schema, "type": each}) for each in schema["type"]])
    match schema["type"]:
        case "null":
            return st.none()
        case "boolean":
            return st.booleans()
        case "integer":
            return st.integers(schema.get("minimum", -9), schema.get("maximum", 2**53))
        case "string":
            return _texts(schema)
        case "array":
            most = schema.get("maxItems", schema.get("minItems", 0) + 2)
            return st.lists(
                _values(schema["items"]), min_size=schema.get("minItems", 0), max_size=min(most, 3)
            )
        case _:
            return _objects(schema)


def _texts(schema: dict[str, Any]) -> SearchStrategy[str]:
    if "format" in schema:
        return _FORMATS[schema["format"]]
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    if "pattern" not in schema or "x00" in schema["pattern"]:
        # The filter sees to controls, which few texts hold.
        return st.text(LETTERS, min_size=least, max_size=min(most or 20, 20))
    return st.from_regex(re.compile(schema["pattern"]), fullmatch="$" in schema["pattern"], alphabet=LETTERS)


def _objects(schema: dict[str, Any]) -> SearchStrategy[dict[str, Any]]:
    others = schema.get("additionalProperties", True)
    if "properties" not in schema:
        if others is True:
            return FREE
        names = _values(schema["propertyNames"]) if "propertyNames" in schema else TEXT
        return st.dictionaries(names, _values(others), min_size=schema.get("minProperties", 0), max_size=2)
    members = {name: _values(each) for name, each in schema["properties"].items()}
    required = set(schema.get("required", ()))
    mine = st.fixed_dictionaries(
        {name: each for name, each in members.items() if name in required},
        optional={name: each for name, each in members.items() if name not in required},
    )
    alternatives = [each["required"] for each in schema.get("oneOf", ())]
    if schema.get("maxProperties") == 1:
        alternatives = [[name] for name in members]
    if alternatives:
        mine = st.one_of(
            [
                st.fixed_dictionaries({n: members[n] for n in [*sorted(required), *each]})
                for each in alternatives
            ]
        )
    if others is True:
        # What is known comes last, and so wins where a free name is one of its own.
        return st.tuples(FREE, mine).map(lambda both: {**both[0], **both[1]})
    return mine


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
