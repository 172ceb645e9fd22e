"""The town of signed_town.py, served; named by `pytest_plugins` in the modules that use it."""

from collections.abc import Iterator

import pytest

from tests.integrations.desk import Desk
from tests.integrations.signed_town import CODE, OTHER, Kit, Town, open_town


@pytest.fixture
def town(desk: Desk) -> Iterator[Town]:
    """A town with two private centres."""
    with open_town(desk) as opened:
        opened.add_centre(CODE)
        opened.add_centre(OTHER)
        yield opened


@pytest.fixture
def kit(town: Town) -> Kit:
    """The centre that acts."""
    return town.kits[CODE]
