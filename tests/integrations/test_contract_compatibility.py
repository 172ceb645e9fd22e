"""Each way to break who holds a released contract is named, and today's contract has none of them."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from integrations import contracts
from integrations.contracts import __main__ as command
from integrations.contracts.compatibility import RELEASED, Release, breaking, gaps, releases
from integrations.contracts.xsd import LICENSING_XSD, XS
from integrations.contracts.xsd_compatibility import breaking_xsd

Change = Callable[[dict[str, Any]], None]
VERSION_1 = releases()[0]


@pytest.mark.parametrize("release", releases(), ids=lambda each: f"version-{each.version}")
def test_todays_contract_breaks_nobody(release: Release) -> None:
    assert breaking(release.openapi, contracts.licensing()) == ()
    assert breaking_xsd(release.xsd, LICENSING_XSD.read_bytes()) == ()


def schema(document: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = document["components"]["schemas"][name]
    return found


def operation(document: dict[str, Any], name: str) -> dict[str, Any]:
    return next(
        said
        for methods in document["paths"].values()
        for said in methods.values()
        if said["operationId"] == name
    )


def moved(document: dict[str, Any]) -> None:
    document["paths"]["/v1/bills/{bill_number}/now"] = document["paths"].pop("/v1/bills/{bill_number}")


def key(part: Any, step: str) -> Any:
    return int(step) if isinstance(part, list) else step


def put(path: str, value: Any) -> Change:
    """A change of one place: keys and positions, joined by spaces."""

    def change(document: dict[str, Any]) -> None:
        *steps, last = path.split()
        part: Any = document
        for step in steps:
            part = operation(document, step[1:]) if step.startswith("@") else part[key(part, step)]
        if value is None:
            del part[key(part, last)]
        elif isinstance(part, list):
            part.append(value)
        else:
            part[last] = value

    return change


STEP = "components schemas Step"
CASE = "components schemas Case"
SUMMARY = "components schemas CaseSummary"
TEXT = {"type": "string"}
CLOSED = {"type": "object", "properties": {}, "additionalProperties": False}
REQUESTS: list[tuple[str, Change, str]] = [
    ("an operation is removed", put("paths /v1/inbox get", None), "inbox: the operation is gone"),
    ("an operation is moved", moved, "get_bill: it was GET /v1/bills/{bill_number}, and is"),
    (
        "an operation asks for a token",
        put("@verify security", [{"OAuth2": []}]),
        "verify: it asks for a token",
    ),
    (
        "a parameter is removed",
        put("@inbox parameters 5", None),
        "inbox request count: the parameter in the query is gone",
    ),
    (
        "a new parameter is required",
        put("@get_balance parameters -", {"name": "x", "in": "query", "required": True, "schema": TEXT}),
        "get_balance request x: the parameter in the query is new and required",
    ),
    (
        "a parameter becomes required",
        put("components parameters until required", True),
        "until: it is required now",
    ),
    (
        "a parameter's bound is lowered",
        put("components parameters limit schema maximum", 100),
        "limit: a request that was right is refused: maximum 200, not 100",
    ),
    (
        "a parameter's pattern is another",
        put("components parameters number schema pattern", "^[0-9]+$"),
        "pattern",
    ),
    (
        "a value of a parameter is taken out",
        put("components parameters whose schema enum 0", None),
        "the value 'all'",
    ),
    ("a body becomes required", put("@take_action requestBody required", True), "its body is required now"),
    (
        "a media type is not taken any more",
        put("@put_document requestBody content image/png", None),
        "a body of image/png",
    ),
    ("a member is taken out", put(f"{STEP} properties comment", None), "take_action request /comment"),
    ("a member becomes required", put(f"{STEP} required", ["comment"]), "take_action request /comment"),
    ("a length is lowered", put(f"{STEP} properties comment maxLength", 1000), "maxLength 2000, not 1000"),
    ("a length is raised", put(f"{STEP} properties comment minLength", 2), "minLength 1, not 2"),
    ("a type is another", put(f"{STEP} properties comment type", "integer"), "the type string, not integer"),
    ("a format is asked for", put(f"{STEP} properties comment format", "date"), "format None, not 'date'"),
    ("a free object is closed", put(f"{STEP} properties form", CLOSED), "take_action request /form"),
    (
        "fewer items are taken",
        put("components schemas Submissions properties cases maxItems", 100),
        "maxItems 200, not 100",
    ),
    (
        "null is not taken any more",
        put("components schemas Assignment properties to", TEXT),
        "assign request /to",
    ),
    (
        "a value is not taken any more",
        put("components schemas PaymentNotice properties status enum 1", None),
        "the value 'refused'",
    ),
    (
        "any text becomes one of some",
        put("components schemas Reason properties reason enum", ["a"]),
        "fail_refund request /reason",
    ),
    ("alternatives are others", put("components schemas Replay oneOf 1", None), "other alternatives"),
]
ANSWERS: list[tuple[str, Change, str]] = [
    ("an answer is removed", put("@get_case responses 404", None), "get_case answer 404: the answer is gone"),
    (
        "the success is another",
        put("@get_case responses 202", {"description": "x"}),
        "get_case answer 202: the answer of success",
    ),
    (
        "a body is taken out",
        put("@get_case responses 200 content", None),
        "get_case answer 200: its body is gone",
    ),
    (
        "a body is of a new type",
        put("@get_document responses 200 content image/png", {"schema": TEXT}),
        "a body of image/png is new",
    ),
    ("a header is taken out", put("@get_case responses 200 headers ETag", None), "ETag: the header is gone"),
    (
        "a header may be missing",
        put("components headers ETag required", False),
        "ETag: the header may be missing",
    ),
    (
        "a header is new",
        put("@get_case responses 200 headers X", {"schema": TEXT}),
        "get_case answer 200 X: the header is new",
    ),
    ("a member is taken out", put(f"{CASE} properties checks", None), "get_case answer 200 /checks"),
    (
        "a member that may be missing is taken out",
        put("components schemas Bill properties refunds", None),
        "get_bill answer 200 /refunds: the member is gone",
    ),
    ("a member may be missing", put(f"{CASE} required 28", None), "is required and may be missing"),
    (
        "a member is new",
        put(f"{SUMMARY} properties extra", TEXT),
        "/extra: an answer may be what it never was: the member",
    ),
    ("a value is new", put("components schemas LicenceStatus enum -", "lost"), "the value 'lost'"),
    (
        "a text is no more one of some",
        put("components schemas LicenceStatus enum", None),
        "LicenceStatus|only 'valid'",
    ),
    (
        "a number may be larger",
        put("components schemas Quote properties fee_class maximum", 9),
        "maximum 9, not 5",
    ),
    (
        "a type is another",
        put("components schemas Definition properties version type", "string"),
        "/definition/version",
    ),
    (
        "a member may be null",
        put(f"{CASE} properties intact type", ["boolean", "null"]),
        "get_case answer 200 /intact",
    ),
    (
        "a format is lost",
        put("components schemas Moment", {"type": "string"}),
        "format None, not 'date-time'",
    ),
    ("a list may be empty", put(f"{CASE} properties journal minItems", 0), "minItems 0, not 1"),
    (
        "names of a map are any",
        put("components schemas ReconciliationTotals properties classes propertyNames", None),
        "propertyNames",
    ),
]


def changed(change: Change) -> dict[str, Any]:
    document: dict[str, Any] = copy.deepcopy(dict(VERSION_1.openapi))
    change(document)
    return document


@pytest.mark.parametrize(
    ("change", "named"),
    [each[1:] for each in REQUESTS + ANSWERS],
    ids=[each[0] for each in REQUESTS + ANSWERS],
)
def test_a_change_that_breaks_is_named(change: Change, named: str) -> None:
    told = [str(each) for each in breaking(VERSION_1.openapi, changed(change))]
    assert any(part in each for each in told for part in named.split("|")), told


@pytest.mark.parametrize(
    "change",
    [
        put("paths /v1/news", {"get": {"operationId": "news", "responses": {"200": {"description": "x"}}}}),
        put("@get_balance parameters -", {"name": "x", "in": "query", "required": False, "schema": TEXT}),
        put(f"{STEP} properties more", TEXT),
        put(f"{STEP} properties comment maxLength", 3000),
        put(f"{STEP} properties comment pattern", None),
        put(f"{STEP} properties comment description", "Other words."),
        put("components schemas Reason required 0", None),
        put("components schemas PaymentNotice properties status enum -", "returned"),
        put("components schemas Outcome enum 0", None),
        put("components schemas Quote properties fee_class maximum", 4),
        put("@get_case responses 409", {"$ref": "#/components/responses/Conflict"}),
        put("@list_cases security", []),
    ],
)
def test_a_change_that_breaks_nobody_is_not_named(change: Change) -> None:
    assert breaking(VERSION_1.openapi, changed(change)) == ()


def test_two_ways_to_say_the_same_are_the_same() -> None:
    nullable = {"type": ["string", "null"]}
    either = {"oneOf": [{"type": "null"}, TEXT]}
    assert list(gaps(nullable, either)) == list(gaps(either, nullable)) == []
    assert list(gaps({"const": "a"}, {"enum": ["a", "b"]})) == []
    assert list(gaps({"enum": ["a", None]}, nullable)) == []
    assert list(gaps({"type": "integer"}, {"type": "number"})) == []
    assert list(gaps({"type": "number"}, {"type": "integer"})) != []


Edit = Callable[[etree._Element], None]


def at(path: str, inside: bool = False) -> Callable[[etree._Element], etree._Element]:
    """An element of the XSD: a global one, or of its type an element in it or (`inside`) that type itself."""

    def find(root: etree._Element) -> etree._Element:
        first, *steps = path.split("/")
        # An element stands before its type, which has its name.
        found = [each for each in root if each.get("name") == first][-1 if steps or inside else 0]
        for step in steps:
            found = next(each for each in found.iter() if each.get("name") == step)
        return found

    return find


def edit(path: str, **attributes: str) -> Edit:
    def change(root: etree._Element) -> None:
        element = at(path)(root)
        for name, value in attributes.items():
            if value:
                element.set(name, value)
            else:
                del element.attrib[name]

    return change


def without(path: str) -> Edit:
    def change(root: etree._Element) -> None:
        element = at(path)(root)
        parent = element.getparent()
        assert parent is not None
        parent.remove(element)

    return change


def last(path: str) -> Edit:
    def change(root: etree._Element) -> None:
        element = at(path)(root)
        parent = element.getparent()
        assert parent is not None
        parent.append(element)

    return change


def facet(path: str, name: str, value: str) -> Edit:
    def change(root: etree._Element) -> None:
        restriction = next(at(path)(root).iter(f"{{{XS}}}restriction"))
        for each in restriction.findall(f"{{{XS}}}{name}"):
            if name != "enumeration":
                restriction.remove(each)
        if value:
            etree.SubElement(restriction, f"{{{XS}}}{name}", {"value": value})

    return change


def new(path: str, **attributes: str) -> Edit:
    def change(root: etree._Element) -> None:
        sequence = next(at(path, inside=True)(root).iter(f"{{{XS}}}sequence"))
        sequence.append(
            etree.Element(f"{{{XS}}}element", {"name": "fresh", "type": "xs:string", **attributes})
        )

    return change


def other_namespace(root: etree._Element) -> None:
    root.set("targetNamespace", "urn:rakeeza:licensing:2")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (other_namespace, "its namespace was urn:rakeeza:licensing:1"),
        (without("Inbox"), "Inbox: the element is gone"),
        (without("Stale"), "Stale: the element is gone"),
        (last("TakeAction/action"), "TakeAction: a request that was valid is refused: the order"),
        (last("CaseSummary/number"), "the order"),
        (without("TakeAction/comment"), "TakeAction/comment"),
        (without("TakeActionResponse/etag"), "TakeActionResponse/etag: an answer may be what it never was"),
        (
            new("TakeAction"),
            "TakeAction/fresh: a request that was valid is refused: the element, which is required",
        ),
        (new("TakeActionResponse", minOccurs="0"), "TakeActionResponse/fresh"),
        (
            edit("TakeAction/ifMatch", minOccurs=""),
            "TakeAction/ifMatch: a request that was valid is refused: at least 0",
        ),
        (edit("TakeActionResponse/final", minOccurs="0"), "TakeActionResponse/final"),
        (edit("SubmissionsCases/item", maxOccurs="100"), "SubmitMany/cases/item"),
        (edit("SubmissionsCases/item", maxOccurs="unbounded"), ""),
        (
            edit("Assign/to", nillable="false"),
            "Assign/to: a request that was valid is refused: nothing (xsi:nil)",
        ),
        (edit("TakeActionResponse/version", nillable="true"), "TakeActionResponse/version"),
        (edit("TakeAction/form", type="xs:string"), "TakeAction/form"),
        (edit("Submit/service", type="l:Number"), "Submit/service"),
        (facet("Name", "pattern", "[a-z]+"), "what the pattern [a-z]+ refuses"),
        (facet("TakeAction/comment", "maxLength", "10"), "maxLength 2000, not 10"),
        (facet("TakeAction/comment", "maxLength", "3000"), ""),
        (facet("LicenceStatus", "enumeration", "lost"), "the value 'lost'"),
        (facet("ListServices/channel", "enumeration", "post"), ""),
        (edit("Field/text", name="words"), "Submit/applicant/field/text"),
        (edit("Fields", name="Fieldz"), "Submit/applicant"),
        (without("Field/name"), "other attributes"),
        (without("ReplayWebhook/since"), "ReplayWebhook"),
        (new("Definition"), "fresh"),
    ],
)
def test_a_change_of_the_xsd_that_breaks_is_named(change: Edit, named: str) -> None:
    root = etree.fromstring(VERSION_1.xsd)
    change(root)
    told = [str(each) for each in breaking_xsd(VERSION_1.xsd, etree.tostring(root))]
    assert any(named in each for each in told) if named else told == [], told


def test_a_version_is_released_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "RELEASED", tmp_path)
    command.main(["release", "2"])
    assert {each.name for each in (tmp_path / "2").iterdir()} == {
        each.name for each in (RELEASED / "1").iterdir()
    }
    assert (tmp_path / "2" / LICENSING_XSD.name).read_bytes() == LICENSING_XSD.read_bytes()
    with pytest.raises(FileExistsError):
        command.main(["release", "2"])
    with pytest.raises(SystemExit, match="usage"):
        command.main(["release", "two"])
