"""The driver of text messages."""

from tests.integrations.backends.conformance import Conformance, Example

TEXT = "استلمنا طلبك رقم TC-2026-000001.\nWe received your application TC-2026-000001."


class TestSms(Conformance):
    driver = "sms"
    examples = (
        Example({"to": "+966501234567", "text": TEXT}, "accepted"),
        Example(
            {"to": "+966500000001", "text": TEXT},
            "refused",
            ("لا يرغب صاحب الرقم في استلام الرسائل.", "The receiver wants no messages."),
        ),
        Example(
            {"to": "+966500000002", "text": TEXT},
            "unreachable",
            ("رقم الجوال غير مستخدم.", "Nobody has this mobile number."),
        ),
    )
    wrong = ("to", "0501234567")
