"""The municipality that issues, and its office: what the engine needs of the world around a case."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from foundation.definitions import Bilingual
from foundation.jobs import Jobs
from foundation.personal import Vault
from foundation.wire.credential import SigningKey
from foundation.working_time import WorkingTime


@dataclass(frozen=True)
class Municipality:
    """Who issues.

    Args:
        code: as in `platform.municipality`; the issuer in a licence's credential.
        fee_class: 1 to 5, as the fee tables have it.
    """

    code: str
    name: Bilingual
    fee_class: int


@dataclass(frozen=True)
class Office:
    """Who issues, with what keys and by what hours, and where work for later goes.

    Args:
        municipality: reads who issues, in the transaction that asks.
        key: gives the signing key.
        vault: seals personal data.
        working_time: reads the calendar and its closures, in the transaction that asks.
        notices: whether there is a way to send messages to applicants; without one none is ordered.
    """

    municipality: Callable[[Session], Municipality]
    key: Callable[[], SigningKey]
    jobs: Jobs
    vault: Vault
    working_time: Callable[[Session], WorkingTime]
    notices: bool = True
