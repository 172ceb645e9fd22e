"""Mistakes in the definition of a test service: each is refused with its line."""

from pathlib import Path

import pytest

from foundation.errors import DefinitionError
from integrations.service import load_services
from tests.integrations.definition_texts import SIGN, changed, line_of, refused
from tests.integrations.proving_ground import (
    FILE,
    PERMIT,
)

TEXT = FILE.read_text(encoding="utf-8")
_PARENT = "parent: {service: shop_licence}\n"
MISTAKES = [
    ("test: true\n", "test: false\n", "test: false", "Input should be True"),
    ("test: true\n", "", "numbers:", "a test service's prefixes begin with TEST, and no other's do"),
    ("case: TESTC", "case: TC", "numbers:", "a test service's prefixes begin with TEST"),
    ("notices: false", "notices: true", "applicant:", "sends nobody messages"),
    ("payment: {due_days: 5}\n", "payment: {due_days: 5}\n" + _PARENT, "parent:", "hangs on no licence"),
    (
        "from: invoiced, to: paid, roles: centre",
        "from: invoiced, to: paid, roles: payment",
        "roles: payment",
        "done by the centre: its action has no other role",
    ),
    (
        "    outcome: copy\n",
        "    outcome: copy\n    channels: [centre, kiosk]\n",
        "channels:",
        "at centres alone",
    ),
    ("    outcome: copy\n", "    outcome: copy\n    capacities: agent\n", "capacities:", "the owner applies"),
    (
        "        title: {ar: مسودة, en: Draft}\n        applicant: true\n"
        "        deadline: {working_days: 10, then: lapse}",
        "        title: {ar: مسودة, en: Draft}\n        applicant: true\n"
        "        deadline: {working_days: 10, escalate: reviewer}",
        "escalate: reviewer",
        "nobody is shown a test",
    ),
]


@pytest.mark.parametrize(("old", "new", "place", "says"), MISTAKES)
def test_a_definition_that_mixes_tests_with_what_is_real_is_refused(
    tmp_path: Path, old: str, new: str, place: str, says: str
) -> None:
    error = refused(tmp_path, TEXT, (old, new))
    found = [field for field in error.fields if says in field.detail]
    assert found, [field.detail for field in error.fields]
    assert found[0].line == line_of(changed(TEXT, (old, new)), place)


def test_a_test_service_asks_no_back_end_and_has_no_roles(tmp_path: Path) -> None:
    checks = "checks:\n  fire: {title: {ar: سلامة, en: Safety}, backend: fire, asks: {area: area_m2}}\n"
    state = "title: {ar: تحت الدراسة, en: Under review}\n"
    error = refused(
        tmp_path, TEXT, ("payment: {", f"{checks}payment: {{"), (state, f"{state}        checks: fire\n")
    )
    assert any("asks no back-end" in field.detail for field in error.fields)
    roles = "roles:\n  judge: {ar: محكم, en: Judge}\n"
    error = refused(
        tmp_path, TEXT, ("place: district\n", f"{roles}place: district\n"), ("roles: centre", "roles: judge")
    )
    assert {"a test service has no roles of its own"} <= {field.detail for field in error.fields}


def test_no_real_licence_hangs_on_a_test(tmp_path: Path) -> None:
    sign = changed(SIGN, ("parent: {service: shop_licence", f"parent: {{service: {PERMIT.code}"))
    (tmp_path / "sign_permit.yaml").write_text(sign, encoding="utf-8")
    with pytest.raises(DefinitionError, match="is a test service"):
        load_services((tmp_path,))
