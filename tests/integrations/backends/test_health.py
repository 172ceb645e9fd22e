"""The driver of health examinations: one word of a person, and never more."""

from tests.integrations.backends.conformance import Conformance, Example


class TestHealth(Conformance):
    driver = "health"
    examples = (
        Example({"holder": "2345678909"}, "fit"),
        Example({"holder": "2345678917"}, "unfit"),
        Example({"holder": "1058529940"}, "expired"),
        Example({"holder": "1001244019"}, "not_found"),
    )
    wrong = ("holder", "23456789")
