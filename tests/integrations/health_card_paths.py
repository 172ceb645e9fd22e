"""What a health card is asked with, and every path that it can take."""

from typing import Any

from integrations.service import load_services
from tests.integrations.paths import caller_of, unpaid

CARD = load_services(()).get("health_card")
EXAMINER = caller_of(["examiner"])

FORM: dict[str, Any] = {
    "kind": "ordinary",
    "profession": "cook",
    "city": "khulais",
    "establishment_number": "7001234567",
    "establishment_licence": "SL-2026-000001",
}
RENEWAL = {name: FORM[name] for name in FORM if name != "kind"}
WITH_CENTRE = {**FORM, "city": "jeddah"}
SEASONAL = {**FORM, "kind": "seasonal"}
BORDER = {
    "kind": "border_number",
    "identifier": "3001234567",
    "name": "يوسف إبراهيم",
    "mobile": "+966501234567",
}
PASSPORT = {"nationality": "SDN", "passport_number": "P0123456", "birth_date": "1990-02-28"}
RESIDENT = {
    "kind": "iqama",
    "identifier": "2012345670",
    "name": "محمد رفيق",
    "mobile": "+966507654321",
}
FORMS: dict[str, dict[str, Any]] = {
    "issue": FORM,
    "renew": RENEWAL,
    "amend": {
        "profession": "baker",
        "establishment_number": "7009876543",
        "establishment_licence": "SL-2026-000002",
    },
    "cancel": {"cancelled_for": "left_work"},
    "uphold": {"objects_that": "remedied"},
    "correct": {**RENEWAL, "profession": "waiter"},
    "void": {"decided_for": "our_mistake"},
    "revoke": {"decided_for": "hygiene"},
}

PAID = "quote invoice pay issue"
EXAMINED = "submit confirm fit no_centre"
ISSUE = ("issue", f"{EXAMINED} {PAID}")
PATHS = [
    ISSUE,
    ("issue", f"submit send_back resubmit confirm fit no_centre {PAID}"),
    ("issue", "submit confirm unfit"),
    ("issue", "submit reject"),
    ("issue", "submit withdraw"),
    ("issue", "submit send_back withdraw"),
    ("issue", "submit send_back lapse"),
    ("issue", "submit confirm withdraw"),
    ("issue", "submit confirm lapse"),
    *unpaid("issue", EXAMINED),
]
TAUGHT = "submit confirm fit to_education"
PATHS_WITH_CENTRE = [
    ("issue", f"{TAUGHT} pass_test {PAID}"),
    ("issue", f"{TAUGHT} fail_test fail_test pass_test {PAID}"),
    ("issue", f"{TAUGHT} withdraw"),
    ("issue", f"{TAUGHT} lapse"),
]
PATHS_OF_A_RESIDENT = [("issue", f"submit residency_valid confirm fit to_education pass_test {PAID}")]
PATHS_ON_A_CARD = [
    ("renew", f"{EXAMINED} {PAID}"),
    ("renew", "submit confirm unfit"),
    ("amend", "submit approve"),
    ("amend", "submit send_back resubmit approve"),
    ("amend", "submit reject"),
    ("amend", "submit withdraw"),
    ("amend", "submit send_back withdraw"),
    ("amend", "submit send_back lapse"),
    ("copy", "submit do"),
    ("cancel", "submit do"),
    ("correct", "propose decide"),
    ("void", "propose decide"),
    ("revoke", "propose decide"),
    ("revoke", "propose drop"),
]
PATHS_ON_A_REVOKED_CARD = [
    ("uphold", "submit approve"),
    ("uphold", "submit reject"),
    ("uphold", "submit withdraw"),
]
COMES_TO = {"cancel": "closed", "void": "void", "revoke": "revoked"}
