"""The driver of the registry of deeds."""

from tests.integrations.backends.conformance import Conformance, Example


class TestOwnership(Conformance):
    driver = "ownership"
    examples = (
        Example({"deed": "310115001234", "owner": "1058529940"}, "match"),
        Example({"deed": "310115001259", "owner": "7001234567"}, "match"),
        Example(
            {"deed": "310115001234", "owner": "1001244019"},
            "mismatch",
            ("الصك ليس باسم المتقدم.", "The deed is not in the applicant's name."),
        ),
        Example(
            {"deed": "310115009999", "owner": "1058529940"},
            "suspended",
            ("الصك موقوف.", "The deed is suspended."),
        ),
        Example(
            {"deed": "310115001242", "owner": "1058529940"},
            "several",
            (
                "للعقار عدة ملاك؛ تلزم موافقة بقية الملاك.",
                "The property has several owners; the others have to consent.",
            ),
        ),
        Example(
            {"deed": "310115000000", "owner": "1058529940"},
            "not_found",
            ("لا يوجد صك بهذا الرقم.", "No deed has this number."),
        ),
    )
    wrong = ("deed", "31011500123x")
