"""Brings the database of some settings up to date, and prints the steps that it lacked: FILE show|apply."""

import sys
from pathlib import Path

from foundation.database import migrate, open_database, pending
from foundation.errors import RakeezaError
from foundation.settings import load

try:
    with open_database(load(Path(sys.argv[1]))) as database:
        print(*pending(database), sep="\n")
        if sys.argv[2] == "apply":
            migrate(database)
except RakeezaError as error:
    sys.exit(f"{error}")
