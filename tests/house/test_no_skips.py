import sys
from pathlib import Path

import pytest

from tests.house.repository import run


@pytest.mark.parametrize(
    ("text", "passes"),
    [
        ("def test_it(): assert True", True),
        ("import pytest\n@pytest.mark.skip\ndef test_it(): assert True", False),
        ("import pytest\ndef test_it(): pytest.skip('no daemon here')", False),
        ("import pytest\npytest.importorskip('no_such_module')\ndef test_it(): assert True", False),
        ("import pytest\n@pytest.mark.xfail\ndef test_it(): assert False", False),
    ],
    ids=["a test that runs", "a marked test", "a test that gives up", "a module that gives up", "an xfail"],
)
def test_a_run_that_skips_has_not_passed(tmp_path: Path, text: str, passes: bool) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "test_sample.py").write_text(f"{text}\ndef test_another(): assert True\n")
    outcome = run(
        sys.executable, "-m", "pytest", "-p", "tests.no_skips", "-p", "no:cacheprovider", cwd=tmp_path
    )
    assert (outcome.returncode == 0) == passes, outcome.stdout
    assert ("NOT RUN" in outcome.stdout) != passes
