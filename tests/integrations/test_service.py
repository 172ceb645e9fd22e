import json
from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from foundation.errors import DefinitionError
from integrations.service import Service, load_service, load_services

SHOP = (Path(__file__).parents[2] / "integrations/services/shop_licence.yaml").read_text(encoding="utf-8")


def refused(tmp_path: Path, *changes: tuple[str, str]) -> DefinitionError:
    """The error of the shop licence with some of its text changed."""
    text = SHOP
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path = tmp_path / "shop_licence.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DefinitionError) as caught:
        load_service(path)
    return caught.value


def line_of(text: str, changed: str) -> int:
    return next(n for n, row in enumerate(text.splitlines(), 1) if changed in row)


def test_the_shop_licence_is_a_service() -> None:
    service = load_services([]).get("shop_licence")
    assert service.numbers.licence == "SL"
    assert service.fields["activity"].type == "choice"


def test_a_definition_kept_as_json_is_the_same_definition() -> None:
    service = load_services([]).get("shop_licence")
    kept = Service.model_validate(json.loads(json.dumps(service.content)))
    assert kept == service
    assert kept.fingerprint == service.fingerprint


def test_the_form_is_served_as_a_json_schema_that_its_own_examples_satisfy() -> None:
    schema = load_services([]).get("shop_licence").form_json
    Draft202012Validator.check_schema(schema)
    example = {name: field["examples"][0] for name, field in schema["properties"].items()}
    assert list(Draft202012Validator(schema).iter_errors(example)) == []


def test_an_unknown_key_is_refused_with_its_line(tmp_path: Path) -> None:
    error = refused(tmp_path, ("    max_length: 80\n", "    max_length: 80\n    maxlength: 80\n"))
    assert "unknown key" in str(error)
    assert f":{line_of(SHOP, 'max_length: 80') + 1}:" in str(error)


def test_a_missing_title_is_refused(tmp_path: Path) -> None:
    error = refused(tmp_path, ("title: {ar: قبول, en: Approve}", "title: {en: Approve}"))
    assert "/actions/2/title/ar" in str(error)
    error = refused(tmp_path, ("title: {ar: قبول, en: Approve}", "title: {ar: ' ', en: Approve}"))
    assert "both languages" in str(error)


def test_a_field_of_type_activity_needs_activities(tmp_path: Path) -> None:
    listed = SHOP[SHOP.index("activities:\n") : SHOP.index("\nfees:")]
    assert "need one another" in str(refused(tmp_path, (listed, "")))


def test_an_unreachable_state_is_refused_with_its_line(tmp_path: Path) -> None:
    error = refused(
        tmp_path,
        ("  rejected: {title", "  lost: {title: {ar: مفقود, en: Lost}, final: true}\n  rejected: {title"),
    )
    assert "no way leads to the state 'lost'" in str(error)
    assert error.fields[0].line == line_of(SHOP, "  rejected: {title")


def test_a_dead_end_that_is_not_final_is_refused(tmp_path: Path) -> None:
    error = refused(tmp_path, ("en: Rejected}, final: true}", "en: Rejected}}"))
    assert "dead end: nothing leaves the state 'rejected'" in str(error)
    assert error.fields[0].line == line_of(SHOP, "  rejected: {title")


def test_a_dead_end_that_only_some_forms_reach_is_refused_and_told(tmp_path: Path) -> None:
    error = refused(tmp_path, ("        - {done: approve}\n", ""))
    assert "dead end: nothing leaves the state 'paid' when activity.immediate = False" in str(error)


def test_an_action_without_a_role_is_refused_unless_automatic(tmp_path: Path) -> None:
    error = refused(tmp_path, ("    to: rejected\n    roles: [reviewer]\n", "    to: rejected\n"))
    assert "'reject' names no role" in str(error)
    assert error.fields[0].line == line_of(SHOP, "- name: reject")


def test_an_automatic_action_with_a_role_is_refused(tmp_path: Path) -> None:
    error = refused(tmp_path, ("    automatic: true\n", "    automatic: true\n    roles: [centre]\n"))
    assert "an automatic action has no roles" in str(error)


def test_a_fee_without_an_effective_date_is_refused(tmp_path: Path) -> None:
    error = refused(tmp_path, ("      - effective_from: 2016-01-01\n        by_class", "      - by_class"))
    assert "/fees/0/rates/0/effective_from" in str(error)


def test_a_gap_between_two_rates_is_refused(tmp_path: Path) -> None:
    rate = '{1: "6.00", 2: "4.80", 3: "3.60", 4: "2.40", 5: "1.20"}'
    second = f"\n      - effective_from: 2020-01-02\n        by_class: {rate}\n        source: A list\n"
    error = refused(
        tmp_path,
        ('        by_class: {1: "6.00"', '        effective_until: 2019-12-31\n        by_class: {1: "6.00"'),
        ("        sample: true\n  - code: inspection", f"        sample: true{second}  - code: inspection"),
    )
    assert "a rate starts the day after the one before it ends" in str(error)


def test_a_fee_that_leaves_out_a_class_is_refused(tmp_path: Path) -> None:
    assert "by_class" in str(refused(tmp_path, (', 5: "1.20"}', "}")))


def test_a_rate_written_as_a_float_keeps_its_digits_and_one_of_three_decimals_is_refused(
    tmp_path: Path,
) -> None:
    assert "decimal" in str(refused(tmp_path, ('1: "6.00"', "1: 6.005")))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        (
            "when: {field: activity.immediate, equals: false}",
            "when: {field: immediate, equals: false}",
            "no field",
        ),
        ("- {done: approve}", "- {done: aprove}", "no action"),
        (
            "when: {field: activity.immediate, equals: false}",
            "when: {field: area_m2}",
            "compared by exactly one",
        ),
        ("when: {field: activity.immediate, equals: false}", "when: {field: street, below: 5}", "no number"),
        ("unit: area_m2", "unit: street", "no required number"),
        ("years: years,", "years: area_m2,", "no required integer"),
        ("public: [trade_name,", "public: [manager_name,", "personal"),
        ("lines: [trade_name,", "lines: [tradename,", "no field of the form"),
        ("    to: under_review\n", "    to: in_review\n", "no state"),
        ("- name: street", "- name: district", "stands twice"),
    ],
)
def test_a_name_that_means_nothing_is_refused(tmp_path: Path, old: str, new: str, said: str) -> None:
    error = refused(tmp_path, (old, new))
    assert said in str(error)
    assert error.fields[0].line is not None
    assert error.fields[0].line > 1


def test_a_service_that_could_issue_before_payment_is_refused(tmp_path: Path) -> None:
    error = refused(
        tmp_path, ("    to: approved\n    roles: [reviewer]\n", "    to: paid\n    roles: [reviewer]\n")
    )
    assert any("before anything was able to settle" in field.detail for field in error.fields)


def test_automatic_actions_that_go_round_are_refused(tmp_path: Path) -> None:
    back = "  - name: back\n    title: {ar: رجوع, en: Back}\n    from: [under_review]\n    to: submitted\n"
    error = refused(
        tmp_path,
        ("  - name: approve\n", f"{back}    automatic: true\n  - name: approve\n"),
    )
    assert any("never rest" in field.detail for field in error.fields)


def test_two_automatic_actions_that_compete_are_refused(tmp_path: Path) -> None:
    other = "  - name: other\n    title: {ar: آخر, en: Other}\n    from: [submitted]\n    to: approved\n"
    error = refused(tmp_path, ("  - name: approve\n", f"{other}    automatic: true\n  - name: approve\n"))
    assert any("both automatic and both can apply" in field.detail for field in error.fields)


def test_two_services_with_one_prefix_of_numbers_are_refused(tmp_path: Path) -> None:
    (tmp_path / "stall.yaml").write_text(
        SHOP.replace("code: shop_licence", "code: stall", 1), encoding="utf-8"
    )
    with pytest.raises(DefinitionError, match="prefix of numbers 'SC' is defined twice"):
        load_services([tmp_path])


def test_a_second_service_is_one_file(tmp_path: Path, second_service: Callable[[Path], Path]) -> None:
    second_service(tmp_path)
    assert load_services([tmp_path]).names() == ["health_card", "shop_licence"]
