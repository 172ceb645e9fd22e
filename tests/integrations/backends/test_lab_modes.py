"""The suite knows every way in which the simulated back-ends misbehave."""

from lab.backends.json_server import MODES
from tests.integrations.backends.conformance import OF_SIGNATURES, REASONS


def test_no_way_to_misbehave_is_forgotten() -> None:
    assert {*REASONS, *OF_SIGNATURES, "answer", "reject", "talkative"} == set(MODES)
