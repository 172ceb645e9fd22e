import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from foundation.errors import DefinitionError, NotFound
from integrations.service import Service, load_service, load_services
from tests.integrations.definition_texts import CARD, DEFINITIONS, SHOP, SIGN, line_of, refused


@pytest.fixture(scope="module")
def shop() -> Service:
    return load_services([]).get("shop_licence")


@pytest.fixture(scope="module", params=load_services([DEFINITIONS]).names())
def any_service(request: pytest.FixtureRequest) -> Service:
    return load_services([DEFINITIONS]).get(request.param)


def test_the_product_and_the_definitions_of_the_tests_are_services() -> None:
    assert load_services([DEFINITIONS]).names() == [
        "advertising_licence", "building_permit", "demolition_permit", "digit_trade_licence", "exam_card",
        "excavation_permit", "health_card", "seasonal_card", "shop_licence", "sign_permit",
        "test_permit",
    ]  # fmt: skip


def test_a_definition_kept_as_json_is_the_same_definition(any_service: Service) -> None:
    kept = Service.model_validate(json.loads(json.dumps(any_service.content)))
    assert kept == any_service
    assert kept.fingerprint == any_service.fingerprint


def test_each_procedure_serves_a_json_schema_that_its_own_examples_satisfy(any_service: Service) -> None:
    for procedure in any_service.procedures:
        schema = any_service.form_json(procedure)
        Draft202012Validator.check_schema(schema)
        example = {name: field["examples"][0] for name, field in schema["properties"].items()}
        assert list(Draft202012Validator(schema).iter_errors(example)) == []


def test_labels_hints_and_errors_are_served_in_both_languages(shop: Service) -> None:
    properties = shop.schema_of("issue")["properties"]
    assert properties["area_m2"]["x-title"] == {"ar": "المساحة", "en": "Area"}
    assert properties["postal_code"]["x-error"]["ar"] == "الرمز البريدي خمسة أرقام."
    assert shop.schema_of("void")["properties"]["grounds"]["x-hint"]["en"].startswith("State the facts")


def test_a_procedure_asks_its_own_fields_and_knows_those_of_the_licence(shop: Service) -> None:
    assert list(shop.form_of("renew")) == ["years"]
    assert {"area_m2", "activity", "years"} <= set(shop.known_to("renew"))
    assert "grounds" not in shop.known_to("issue")
    assert shop.default_procedure == "issue"


def test_clients_are_told_what_can_be_asked_and_what_it_needs(shop: Service) -> None:
    told = json.loads(json.dumps(shop.for_clients()))
    assert list(told["procedures"]) == list(shop.procedures)
    issue, suspend = told["procedures"]["issue"], told["procedures"]["suspend"]
    assert issue["channels"] == ["centre", "kiosk"]
    assert issue["capacities"] == ["owner", "manager", "agent"]
    assert issue["states"]["returned"] == {
        "title": {"ar": "معاد لاستكمال النواقص", "en": "Returned for completion"},
        "final": False,
        "applicant": True,
    }
    assert {document["code"]: document["required"] for document in issue["documents"]}[
        "cleaning_contract"
    ] is False
    assert (issue["free"], suspend["free"]) == (False, True)
    assert (suspend["initiator"], suspend["capacities"], suspend["channels"]) == ("office", [], ["office"])
    assert told["procedures"]["uphold"]["on"] == {
        "statuses": ["suspended", "revoked"], "within_days": 60, "same_day": False,
    }  # fmt: skip


def test_an_unknown_procedure_is_answered_with_the_known_ones(shop: Service) -> None:
    with pytest.raises(NotFound, match="Known: issue, renew, amend") as caught:
        shop.procedure("isue")
    assert "isue" in caught.value.message_ar


def test_an_unknown_key_is_refused_with_its_line(tmp_path: Path) -> None:
    error = refused(tmp_path, SHOP, ("    max_length: 80\n", "    max_length: 80\n    maxlength: 80\n"))
    assert "unknown key" in str(error)
    assert f":{line_of(SHOP, 'max_length: 80') + 1}:" in str(error)


def test_a_title_in_one_language_is_refused(tmp_path: Path) -> None:
    assert "title/ar" in str(refused(tmp_path, CARD, ("title: {ar: رفض, en: Refuse}", "title: {en: Refuse}")))
    error = refused(tmp_path, CARD, ("title: {ar: رفض, en: Refuse}", "title: {ar: ' ', en: Refuse}"))
    assert "both languages" in str(error)


def test_an_unreachable_state_is_refused_with_its_line(tmp_path: Path) -> None:
    lost = "      lost: {title: {ar: مفقود, en: Lost}, final: true}\n      dropped:"
    error = refused(tmp_path, CARD, ("      dropped:", lost))
    assert "no way leads to the state 'lost'" in str(error)
    assert error.fields[0].line == line_of(CARD, "      dropped:")


def test_an_action_without_a_role_is_refused_unless_automatic_or_timed(tmp_path: Path) -> None:
    error = refused(tmp_path, CARD, ("to: dropped, roles: reviewer}", "to: dropped}"))
    assert "'drop' names no role and is neither automatic nor timed" in str(error)
    assert error.fields[0].line == line_of(CARD, "name: drop,")


def test_a_fee_without_an_effective_date_is_refused(tmp_path: Path) -> None:
    error = refused(
        tmp_path, CARD, ("      - effective_from: 2016-01-01\n        by_class", "      - by_class")
    )
    assert "/fees/0/rates/0/effective_from" in str(error)


def test_a_rate_of_three_decimals_and_one_that_leaves_out_a_class_are_refused(tmp_path: Path) -> None:
    assert "decimal" in str(refused(tmp_path, CARD, ('1: "60.05"', "1: 60.055")))
    assert "by_class" in str(refused(tmp_path, CARD, (', 5: "60.00"}', "}")))


PRICES = '{1: "60.05", 2: "60.00", 3: "60.00", 4: "60.00", 5: "60.00"}'


@pytest.mark.parametrize(
    ("until", "start", "said"),
    [
        ("2019-12-31", "2020-01-02", "a rate starts the day after the one before it ends"),
        ("2019-12-31", "2019-12-31", "a rate starts the day after the one before it ends"),
        ("2015-12-31", "2016-01-01", "the last day is before the first"),
    ],
)
def test_rates_that_overlap_or_leave_a_gap_are_refused(
    tmp_path: Path, until: str, start: str, said: str
) -> None:
    second = f"      - {{effective_from: {start}, by_class: {PRICES}, source: A list}}\n"
    error = refused(
        tmp_path,
        CARD,
        ("        by_class:", f"        effective_until: {until}\n        by_class:"),
        ("        sample: true\n", f"        sample: true\n{second}"),
    )
    assert said in str(error)


def test_one_word_may_lead_on_from_several_states(tmp_path: Path) -> None:
    renamed = CARD.replace("name: drop,", "name: refuse,")
    path = tmp_path / "exam_card.yaml"
    path.write_text(renamed, encoding="utf-8")
    named = [
        action.from_ for action in load_service(path).flows["examined"].actions if action.name == "refuse"
    ]
    assert named == [("asked",), ("billed",)]


def test_two_services_with_one_prefix_of_numbers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "stall.yaml").write_text(
        SHOP.replace("code: shop_licence", "code: stall", 1), encoding="utf-8"
    )
    with pytest.raises(DefinitionError, match="prefix of numbers 'SC' is defined twice"):
        load_services([tmp_path])


def test_a_parent_that_is_not_there_and_one_that_leads_round_are_refused(tmp_path: Path) -> None:
    (tmp_path / "sign_permit.yaml").write_text(
        SIGN.replace("service: shop_licence", "service: stall"), encoding="utf-8"
    )
    with pytest.raises(DefinitionError, match="The parent 'stall' of the service 'sign_permit' is not there"):
        load_services([tmp_path])
    (tmp_path / "stall.yaml").write_text(
        CARD.replace("code: exam_card", "code: stall\nparent: {service: sign_permit}"), encoding="utf-8"
    )
    with pytest.raises(DefinitionError, match="lead round"):
        load_services([tmp_path])


def test_a_file_of_another_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "card.yaml").write_text(CARD, encoding="utf-8")
    with pytest.raises(DefinitionError, match="stands in a file of another name"):
        load_services([tmp_path])
