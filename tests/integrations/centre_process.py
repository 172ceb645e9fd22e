"""A process of a centre's API, for tests: opens cases until it is refused, and a few times more.

Prints a line for each: "opened", or the name of the refusal.
"""

import sys
from datetime import datetime
from pathlib import Path

from foundation.database import Database
from foundation.errors import RakeezaError
from tests.integrations.centre_office import CentreOffice
from tests.integrations.desk import message, open_desk

_MOST = 400
_AFTER = 5


def main(url: str, folder: str, code: str, certificate: str, key: str, now: str) -> None:
    """Open cases as the clerk amal.

    Args:
        url: of the database.
        folder: of the platform.
        certificate, key: thumbprints that the centre and amal sign with.
        now: the clock, ISO 8601.
    """
    desk = open_desk(Database(url, role="test"), Path(folder))
    desk.now.append(datetime.fromisoformat(now))
    office = CentreOffice(desk, code, certificate, keys={"amal": key})
    refused = 0
    for _ in range(_MOST):
        try:
            desk.do.submit(office.caller(), message())
            print("opened", flush=True)
        except RakeezaError as error:
            print(type(error).__name__, flush=True)
            refused += 1
            if refused == _AFTER:
                return


if __name__ == "__main__":
    main(*sys.argv[1:])
