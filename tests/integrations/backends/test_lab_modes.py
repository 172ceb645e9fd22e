"""No driver is without the suite, and no way in which a simulated back-end misbehaves is without its row."""

import importlib
from pathlib import Path
from typing import get_args

from foundation.registry import driver_modules
from lab.backends import identity_source, json_server, sadad_server
from tests.integrations.backends.conformance import Conformance
from tests.integrations.backends.fault_table import faults

GOOD = {"answer", "talkative"}


def test_every_driver_is_under_the_suite() -> None:
    for file in Path(__file__).parent.glob("test_*.py"):
        importlib.import_module(f"{__package__}.{file.stem}")
    drivers = set(driver_modules("integrations.backends", (), "rakeeza.backends"))
    # It takes what any registry says, in whatever words; tests/integrations/test_backends.py is its own.
    assert {each.driver for each in Conformance.__subclasses__()} == drivers - {"rest_registry"}
    assert len(drivers) == 9


def test_every_fault_of_a_simulated_back_end_has_its_row() -> None:
    assert faults("registry") - {"down"} == {*json_server.MODES} - GOOD
    assert faults("identity") - {"down"} == {*get_args(identity_source.Mode)} - GOOD
    payment_system = faults("uploads") | faults("settlements") | faults("registry")
    assert payment_system - {"down"} == {*get_args(sadad_server.Mode)} - GOOD
