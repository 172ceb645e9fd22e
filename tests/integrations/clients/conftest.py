from collections.abc import Iterator

import pytest

from tests.conftest import reachable_folder
from tests.integrations.clients.counter import Counter, open_counter
from tests.integrations.clients.programs import INTERPRETED, Program, build_gsoap


@pytest.fixture(scope="session")
def counter(postgres_url: str) -> Iterator[Counter]:
    """A centre's counter, and the API in a process of its own."""
    with reachable_folder() as folder, open_counter(postgres_url, folder) as opened:
        yield opened


@pytest.fixture(scope="session")
def gsoap(counter: Counter, tmp_path_factory: pytest.TempPathFactory) -> Program:
    """gSOAP's client, compiled once."""
    return build_gsoap(counter.environment, tmp_path_factory.mktemp("gsoap"))


@pytest.fixture(params=[*INTERPRETED, "gsoap"])
def program(request: pytest.FixtureRequest) -> Program:
    """Each client of the SOAP face."""
    found: Program = INTERPRETED.get(request.param) or request.getfixturevalue("gsoap")
    return found


@pytest.fixture(params=["1.1", "1.2"])
def told(request: pytest.FixtureRequest, counter: Counter) -> dict[str, str]:
    """What a client is told, in each version of SOAP."""
    return {**counter.environment, "SOAP": request.param}
