"""The API of face.py, served; named by `pytest_plugins` in the modules that use it."""

from collections.abc import Iterator

import pytest

from tests.integrations.desk import Desk
from tests.integrations.face import Face, open_face


@pytest.fixture
def api(desk: Desk) -> Iterator[Face]:
    """The API of the office."""
    with open_face(desk) as opened:
        yield opened
