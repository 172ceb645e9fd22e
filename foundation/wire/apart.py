"""Work on bytes of anybody in a process of its own, with little memory and little time.

A PDF can unpack to terabytes, go round in circles, or bring its reader down: what reads it then ends alone.
"""

import importlib
import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

_MEMORY = 1_000_000_000  # bytes of address space; a scan of ten pages takes a third
_PATIENCE = 6  # seconds by the clock for each of CPU, where others work too
_ROOT = Path(__file__).resolve().parents[2]


class TooMuch(Exception):
    """It took more memory or time than allowed, or brought its process down."""


def apart(work: str, data: bytes, seconds: int) -> Any:
    """What a function makes of bytes.

    Args:
        work: the function, as "package.module:name"; it takes bytes and gives what JSON can say.
        data: the bytes.
        seconds: of CPU that it may take.

    Raises:
        TooMuch: there is no answer within the bounds.
    """
    # Isolated (-I): neither the folder it starts in nor the environment names modules to load.
    worker = [sys.executable, "-I", str(Path(__file__).resolve()), work, str(seconds)]
    try:
        done = subprocess.run(
            worker, input=data, capture_output=True, timeout=seconds * _PATIENCE, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise TooMuch("time") from error
    if done.returncode != 0:
        raise TooMuch(f"status {done.returncode}")
    return json.loads(done.stdout)


def _main(work: str, seconds: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.path.insert(0, str(_ROOT))
    module, _, name = work.partition(":")
    result = getattr(importlib.import_module(module), name)(sys.stdin.buffer.read())
    # The end is ours, and not that of whatever the reader left open.
    sys.stdout.write(json.dumps(result))


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]))
