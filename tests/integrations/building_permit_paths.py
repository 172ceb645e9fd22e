"""What a building permit is asked with, and every path that it can take."""

from typing import Any

from integrations.service import load_services
from tests.integrations.desk import OTHER_APPLICANT

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

STUDIED = "submit utility_approve administrative_approve technical_approve"
PAID = "quote invoice pay issue"
ISSUE = ("issue", f"{STUDIED} {PAID}")
TO_TECHNICAL = "submit utility_approve administrative_approve"
PATHS = [
    ISSUE,
    # Sent back by each, corrected, and seen again by who sent it back.
    ("issue", f"submit utility_send_back resubmit {STUDIED.removeprefix('submit ')} {PAID}"),
    (
        "issue",
        "submit utility_approve administrative_send_back resubmit administrative_approve technical_approve "
        + PAID,
    ),
    ("issue", f"{TO_TECHNICAL} technical_send_back resubmit technical_approve {PAID}"),
    # A new design goes the whole way again.
    (
        "issue",
        f"submit utility_approve administrative_send_back redesign {STUDIED.removeprefix('submit ')} {PAID}",
    ),
    ("issue", f"{TO_TECHNICAL} technical_send_back redesign {STUDIED.removeprefix('submit ')} {PAID}"),
    ("issue", "submit withdraw"),
    ("issue", "submit utility_send_back withdraw"),
    ("issue", "submit utility_send_back lapse"),
    ("issue", "submit utility_approve reject"),
    ("issue", "submit utility_approve withdraw"),
    ("issue", "submit utility_approve administrative_send_back withdraw"),
    ("issue", "submit utility_approve administrative_send_back lapse"),
    ("issue", f"{TO_TECHNICAL} reject"),
    ("issue", f"{TO_TECHNICAL} withdraw"),
    ("issue", f"{TO_TECHNICAL} technical_send_back withdraw"),
    ("issue", f"{TO_TECHNICAL} technical_send_back lapse"),
    ("issue", f"{STUDIED} withdraw"),
    ("issue", f"{STUDIED} lapse"),
    ("issue", f"{STUDIED} quote withdraw"),
    ("issue", f"{STUDIED} quote lapse"),
    ("issue", f"{STUDIED} quote invoice withdraw_billed"),
    ("issue", f"{STUDIED} quote invoice void_bill"),
]
FINISHED = ("issue", "submit refuse_finished")
GRANTED = "quote invoice pay grant"
CERTIFIED = "submit found_complete certify"
PATHS_ON_A_PERMIT = [
    ("amend", f"{STUDIED} {PAID}"),
    ("transfer", f"submit approve {GRANTED}"),
    ("transfer", f"submit send_back resubmit approve {GRANTED}"),
    ("transfer", "submit reject"),
    ("transfer", "submit withdraw"),
    ("transfer", "submit send_back withdraw"),
    ("transfer", "submit send_back lapse"),
    ("transfer", "submit approve withdraw"),
    ("transfer", "submit approve lapse"),
    ("transfer", "submit approve quote withdraw"),
    ("transfer", "submit approve quote lapse"),
    ("transfer", "submit approve quote invoice withdraw_billed"),
    ("transfer", "submit approve quote invoice void_bill"),
    ("complete", f"{CERTIFIED} {PAID}"),
    ("complete", f"submit found_wanting put_right found_complete certify {PAID}"),
    ("complete", f"submit found_complete inspect_again found_complete certify {PAID}"),
    ("complete", "submit found_complete reject"),
    ("complete", "submit withdraw"),
    ("complete", "submit found_wanting withdraw"),
    ("complete", "submit found_wanting lapse"),
    ("complete", f"{CERTIFIED} withdraw"),
    ("complete", f"{CERTIFIED} lapse"),
    ("complete", f"{CERTIFIED} quote withdraw"),
    ("complete", f"{CERTIFIED} quote lapse"),
    ("complete", f"{CERTIFIED} quote invoice withdraw_billed"),
    ("complete", f"{CERTIFIED} quote invoice void_bill"),
    ("copy", f"submit {GRANTED}"),
    ("copy", "submit withdraw"),
    ("copy", "submit lapse"),
    ("copy", "submit quote withdraw"),
    ("copy", "submit quote lapse"),
    ("copy", "submit quote invoice withdraw_billed"),
    ("copy", "submit quote invoice void_bill"),
    ("cancel", "submit approve"),
    ("cancel", "submit reject"),
    ("cancel", "submit send_back resubmit approve"),
    ("cancel", "submit withdraw"),
    ("cancel", "submit send_back withdraw"),
    ("cancel", "submit send_back lapse"),
    ("correct", "propose decide"),
    ("request_correction", "submit approve"),
    ("request_correction", "submit reject"),
    ("void", "propose decide"),
    ("suspend", "propose decide"),
    ("suspend", "propose drop"),
    ("revoke", "propose decide"),
]
AT_ITS_END = [("renew", f"submit approve {GRANTED}")]
OF_A_COMPLETED = [("renew", "submit refuse_finished"), ("transfer", "submit refuse_finished")]
AFTER_A_DECISION = [
    ("suspend", "reinstate", "propose decide"),
    ("suspend", "uphold", "submit approve"),
    ("revoke", "uphold", "submit approve"),
    ("revoke", "uphold", "submit reject"),
]
DONE = ("issued", "granted", "certified", "decided")
COMES_TO = {"cancel": "closed", "void": "void", "suspend": "suspended", "revoke": "revoked"}
NEW_PAPER = ("amend", "transfer", "complete", "correct", "request_correction")
