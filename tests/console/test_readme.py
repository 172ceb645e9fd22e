"""The first steps of the README, walked as they are written."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.console.serving import served
from tests.processes import PATIENCE, ROOT


@pytest.mark.parametrize("page", ["README.md", "README.ar.md"])
def test_the_first_steps_issue_a_licence(page: str) -> None:
    blocks = re.findall(r"```sh\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    (steps,) = [block for block in blocks if "curl" in block]
    with served() as platform:
        # The platform is started already, on a port and in a folder that nobody else uses.
        steps = steps.replace(".venv/bin/rakeeza serve &\n", "")
        steps = steps.replace("http://127.0.0.1:8080", platform.api)
        walked = _walk(steps, platform.settings_file)
    assert walked.returncode == 0, walked.stdout + walked.stderr
    assert "shop_licence" in walked.stdout
    assert "(Issued)" in walked.stdout
    assert re.search(r"licence +SL-\d{4}-000001", walked.stdout)


def _walk(steps: str, settings_file: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", steps],
        cwd=ROOT,
        env={**os.environ, "RAKEEZA_SETTINGS": str(settings_file), "COLUMNS": "160"},
        capture_output=True,
        text=True,
        timeout=3 * PATIENCE,
        check=False,
    )
