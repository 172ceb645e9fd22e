"""Tokens of Debian's SoftHSM in a folder of this process: real PKCS#11, without hardware."""

import atexit
import functools
import itertools
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "2468-ab"
_INIT = ("softhsm2-util", "--init-token", "--free")
_OFFICER = "officer-13579"
# The library looks for tokens once, when it is loaded into a process: so all are made before that.
_TOKENS = 40
_taken = itertools.count()


def fresh_token() -> str:
    """The label of a token that no other test of this process has used; its user's PIN is `PIN`.

    The variable SOFTHSM2_CONF is set from then on, also for programs that a test starts.
    """
    _made()
    number = next(_taken)
    assert number < _TOKENS, "make more tokens"
    return f"test-{number}"


@functools.cache
def _made() -> None:
    folder = Path(tempfile.mkdtemp(prefix="rakeeza-softhsm-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    (folder / "tokens").mkdir()
    configuration = folder / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {folder / 'tokens'}\nlog.level = ERROR\n")
    os.environ["SOFTHSM2_CONF"] = str(configuration)
    for number in range(_TOKENS):
        subprocess.run(
            [*_INIT, "--label", f"test-{number}", "--pin", PIN, "--so-pin", _OFFICER],
            check=True,
            capture_output=True,
        )
