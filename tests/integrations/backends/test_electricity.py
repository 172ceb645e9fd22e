"""The driver of the electricity utility."""

from tests.integrations.backends.conformance import Conformance, Example


class TestElectricity(Conformance):
    driver = "electricity"
    examples = (
        Example({"approval": "EA-770001", "deed": "310115001234"}, "approved"),
        Example(
            {"approval": "EA-770002", "deed": "310115001234"},
            "refused",
            ("رفضت شركة الكهرباء الطلب.", "The electricity utility has refused."),
        ),
        Example(
            {"approval": "EA-770003", "deed": "310115001234"},
            "expired",
            ("انتهت صلاحية موافقة شركة الكهرباء.", "The electricity utility's approval has expired."),
        ),
        Example({"approval": "EA-770004", "deed": "310115001234"}, None),
        Example(
            {"approval": "EA-770001", "deed": "310115001242"},
            "not_found",
            (
                "لا توجد لدى شركة الكهرباء موافقة بهذا الرقم لهذا الصك.",
                "The electricity utility has no such approval for this deed.",
            ),
        ),
    )
    wrong = ("approval", "770001 OR 1")
