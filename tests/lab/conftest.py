"""What tests of the lab share."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture
def lab_folder() -> Iterator[Path]:
    """An empty folder that a system user of its own (PostgreSQL's) can pass through; pytest's are closed."""
    folder = Path(tempfile.mkdtemp(prefix="rakeeza-test-"))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
