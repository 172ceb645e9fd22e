"""The driver of the commercial registry."""

from tests.integrations.backends.conformance import Conformance, Example

EXPIRED = ("انتهت مدة السجل التجاري.", "The commercial registration has expired.")


class TestCommercialRegistry(Conformance):
    driver = "commercial_registry"
    examples = (
        Example({"unified_number": "7001234567"}, "active"),
        Example({"unified_number": "7001234575"}, "active"),
        # It says "active" of one whose last day is over.
        Example({"unified_number": "7001234583"}, "expired", EXPIRED),
        Example({"unified_number": "7001234591"}, "expired", EXPIRED),
        Example(
            {"unified_number": "7001234609"},
            "suspended",
            ("السجل التجاري موقوف.", "The commercial registration is suspended."),
        ),
        Example(
            {"unified_number": "7001234617"},
            "struck_off",
            ("السجل التجاري مشطوب.", "The commercial registration is struck off."),
        ),
        Example(
            {"unified_number": "7009999999"},
            "not_found",
            ("لا يوجد سجل بهذا الرقم الموحد.", "No registration has this unified number."),
        ),
    )
    wrong = ("unified_number", "1010123456")
