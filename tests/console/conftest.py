"""What tests of the whole platform share."""

from collections.abc import Iterator

import httpx
import pytest

from tests.console.serving import Served, served


@pytest.fixture(scope="session")
def platform() -> Iterator[Served]:
    """A served platform; whoever kills a part of it waits until it is back."""
    with served() as platform:
        yield platform


@pytest.fixture(scope="session")
def centre(platform: Served) -> Iterator[httpx.Client]:
    """A service centre's client of its API."""
    with platform.client("test-centre", "centre") as client:
        yield client
