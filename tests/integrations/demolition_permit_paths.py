"""What a demolition permit is asked with, and every path that it can take."""

from typing import Any

from integrations.service import load_services
from tests.integrations.permit_paths import COPY, DECISIONS, PAID, STUDIED, STUDY

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

PATHS = STUDY
PATHS_ON_A_PERMIT = [
    ("clear", "submit found_clear"),
    ("clear", "submit found_wanting put_right found_clear"),
    ("clear", "submit withdraw"),
    ("clear", "submit found_wanting withdraw"),
    ("clear", "submit found_wanting lapse"),
    *COPY,
    ("cancel", "submit approve"),
    ("cancel", "submit reject"),
    ("cancel", "submit withdraw"),
    *DECISIONS,
]
RENEWED = ("renew", f"{STUDIED} {PAID}")
COMES_TO = {
    "clear": "closed",
    "cancel": "closed",
    "void": "void",
    "suspend": "suspended",
    "revoke": "revoked",
}
DONE = ("cleared", "granted", "decided")
