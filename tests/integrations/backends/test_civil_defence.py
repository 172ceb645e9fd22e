"""The driver of civil defence's safety reports."""

from tests.integrations.backends.conformance import Conformance, Example


class TestCivilDefence(Conformance):
    driver = "civil_defence"
    examples = (
        Example({"report": "SR-2026-0001", "unified_number": "7001234567"}, "passed"),
        # It says "passed" of one whose last day is over.
        Example(
            {"report": "SR-2024-0002", "unified_number": "7001234567"},
            "expired",
            ("انتهت صلاحية تقرير السلامة.", "The safety report has expired."),
        ),
        Example(
            {"report": "SR-2026-0003", "unified_number": "7001234567"},
            "failed",
            (
                "لا يوجد مخرج طوارئ ثان؛ طفايات الحريق منتهية",
                "There is no second emergency exit; The fire extinguishers have expired",
            ),
        ),
        Example(
            {"report": "SR-2026-0001", "unified_number": "7001234575"},
            "not_found",
            (
                "لا يوجد تقرير سلامة بهذا الرقم لهذه المنشأة.",
                "This establishment has no such safety report.",
            ),
        ),
    )
    wrong = ("report", "../etc")
