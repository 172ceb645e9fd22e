"""What a building permit is asked with, and every path that it can take."""

from typing import Any

from integrations.service import load_services
from tests.integrations.desk import OTHER_APPLICANT
from tests.integrations.paths import unpaid
from tests.integrations.permit_paths import COPY, DECISIONS, GRANTED, PAID, STUDIED, STUDY, TO_TECHNICAL

PERMIT = load_services(()).get("building_permit")

FORM: dict[str, Any] = {
    "use": "residential",
    "stage": "planned",
    "district": "حي الشاطئ",
    "plan_number": "505/4",
    "parcel_number": "1284",
    "deed_number": "320215004871",
    "survey_decision": "4700123",
    "area_m2": 640.5,
    "fence_m": 110,
    "floors": 2,
    "units": 2,
    "electric_load_kva": 120,
    "design_office": "50213",
    "supervision_office": "50213",
    "contractor": "7001234567",
}
CHANGED = (
    "area_m2",
    "fence_m",
    "floors",
    "units",
    "electric_load_kva",
    "design_office",
    "supervision_office",
)
AMENDMENT = {**{name: FORM[name] for name in (*CHANGED, "contractor")}, "area_m2": 720.5, "added_area_m2": 80}
GROUNDS = {"grounds": "أوقفت الأعمال لوجود مخالفة في الارتدادات."}
OFFICES = {"supervision_office": "60071", "contractor": "7009876543"}
CORRECTION = {
    **{
        name: FORM[name]
        for name in ("district", "plan_number", "deed_number", "survey_decision", "design_office")
    },
    "parcel_number": "1285",
    **OFFICES,
}
FORMS: dict[str, dict[str, Any]] = {
    "issue": FORM,
    "renew": OFFICES,
    "amend": AMENDMENT,
    "transfer": {"new_holder": OTHER_APPLICANT},
    "complete": {"stage": "completed"},
    "correct": CORRECTION,
    "request_correction": CORRECTION,
    **dict.fromkeys(("cancel", "uphold", "void", "suspend", "reinstate", "revoke"), GROUNDS),
}

PATHS = [
    *STUDY,
    # A new design goes the whole way again.
    (
        "issue",
        f"submit utility_approve administrative_send_back redesign {STUDIED.removeprefix('submit ')} {PAID}",
    ),
    ("issue", f"{TO_TECHNICAL} technical_send_back redesign {STUDIED.removeprefix('submit ')} {PAID}"),
]
FINISHED = ("issue", "submit refuse_finished")
CERTIFIED = "submit found_complete certify"
PATHS_ON_A_PERMIT = [
    ("amend", f"{STUDIED} {PAID}"),
    ("transfer", f"submit approve {GRANTED}"),
    ("transfer", f"submit send_back resubmit approve {GRANTED}"),
    ("transfer", "submit reject"),
    ("transfer", "submit withdraw"),
    ("transfer", "submit send_back withdraw"),
    ("transfer", "submit send_back lapse"),
    *unpaid("transfer", "submit approve"),
    ("complete", f"{CERTIFIED} {PAID}"),
    ("complete", f"submit found_wanting put_right found_complete certify {PAID}"),
    ("complete", f"submit found_complete inspect_again found_complete certify {PAID}"),
    ("complete", "submit found_complete reject"),
    ("complete", "submit withdraw"),
    ("complete", "submit found_wanting withdraw"),
    ("complete", "submit found_wanting lapse"),
    *unpaid("complete", CERTIFIED),
    *COPY,
    ("cancel", "submit approve"),
    ("cancel", "submit reject"),
    ("cancel", "submit send_back resubmit approve"),
    ("cancel", "submit withdraw"),
    ("cancel", "submit send_back withdraw"),
    ("cancel", "submit send_back lapse"),
    *DECISIONS,
    ("request_correction", "submit approve"),
    ("request_correction", "submit reject"),
]
AT_ITS_END = [("renew", f"submit approve {GRANTED}")]
OF_A_COMPLETED = [("renew", "submit refuse_finished"), ("transfer", "submit refuse_finished")]
DONE = ("issued", "granted", "certified", "decided")
COMES_TO = {"cancel": "closed", "void": "void", "suspend": "suspended", "revoke": "revoked"}
NEW_PAPER = ("amend", "transfer", "complete", "correct", "request_correction")
