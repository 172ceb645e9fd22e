"""`python -m lab`: start the lab and the platform, tell the story, and keep serving. See `script/demo`."""

import argparse
import signal
import sys
from pathlib import Path

from foundation.errors import RakeezaError, exit_code
from lab.demo import demonstrate


def main() -> int:
    """Run the demo; the exit code is 0 only if every step was observed."""
    parser = argparse.ArgumentParser(prog="script/demo", description="Show the platform at its main job.")
    parser.add_argument("--exit", action="store_true", help="stop after the story instead of serving on")
    parser.add_argument("--folder", type=Path, help="keep the lab's files in this folder")
    arguments = parser.parse_args()
    # Being told to end by the system is the same as Ctrl-C: the lab is taken down in order.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return demonstrate(arguments.folder, serve_on=not arguments.exit)
    except RakeezaError as error:
        print(f"script/demo: {error}", file=sys.stderr)
        return exit_code(error)
    except KeyboardInterrupt:
        print("\nStopped; nothing is left running.")
        return 128 + signal.SIGINT


if __name__ == "__main__":
    sys.exit(main())
