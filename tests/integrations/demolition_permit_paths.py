"""What a demolition permit is asked with, and every path that it can take."""

from typing import Any

from integrations.service import load_services

PERMIT = load_services(()).get("demolition_permit")

FORM: dict[str, Any] = {
    "extent": "whole",
    "district": "حي البلد",
    "plan_number": "505/4",
    "parcel_number": "1284",
    "deed_number": "320215004871",
    "area_m2": 240.5,
    "floors": 2,
    "attached": False,
    "supervision_office": "50213",
    "contractor": "7001234567",
}
PLACE = ("district", "plan_number", "parcel_number")
GROUNDS = {"grounds": "أوقفت الأعمال لعدم تسوير الموقع."}
FORMS: dict[str, dict[str, Any]] = {
    "issue": FORM,
    "renew": {name: value for name, value in FORM.items() if name not in PLACE},
    "correct": {name: FORM[name] for name in (*PLACE, "deed_number", "supervision_office", "contractor")},
    **dict.fromkeys(("cancel", "uphold", "void", "suspend", "reinstate", "revoke"), GROUNDS),
}

STUDIED = "submit utility_approve administrative_approve technical_approve"
TO_TECHNICAL = "submit utility_approve administrative_approve"
PAID = "quote invoice pay issue"
ISSUE = ("issue", f"{STUDIED} {PAID}")
PATHS = [
    ISSUE,
    ("issue", f"submit utility_send_back resubmit {STUDIED.removeprefix('submit ')} {PAID}"),
    (
        "issue",
        "submit utility_approve administrative_send_back resubmit administrative_approve technical_approve "
        + PAID,
    ),
    ("issue", f"{TO_TECHNICAL} technical_send_back resubmit technical_approve {PAID}"),
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
COPIED = "quote invoice pay grant"
PATHS_ON_A_PERMIT = [
    ("clear", "submit found_clear"),
    ("clear", "submit found_wanting put_right found_clear"),
    ("clear", "submit withdraw"),
    ("clear", "submit found_wanting withdraw"),
    ("clear", "submit found_wanting lapse"),
    ("copy", f"submit {COPIED}"),
    ("copy", "submit withdraw"),
    ("copy", "submit lapse"),
    ("copy", "submit quote withdraw"),
    ("copy", "submit quote lapse"),
    ("copy", "submit quote invoice withdraw_billed"),
    ("copy", "submit quote invoice void_bill"),
    ("cancel", "submit approve"),
    ("cancel", "submit reject"),
    ("cancel", "submit withdraw"),
    ("correct", "propose decide"),
    ("void", "propose decide"),
    ("suspend", "propose decide"),
    ("suspend", "propose drop"),
    ("revoke", "propose decide"),
]
RENEWED = ("renew", f"{STUDIED} {PAID}")
AFTER_A_DECISION = [
    ("suspend", "reinstate", "propose decide"),
    ("suspend", "uphold", "submit approve"),
    ("revoke", "uphold", "submit approve"),
    ("revoke", "uphold", "submit reject"),
]
COMES_TO = {
    "clear": "closed",
    "cancel": "closed",
    "void": "void",
    "suspend": "suspended",
    "revoke": "revoked",
}
DONE = ("cleared", "granted", "decided")
