"""What a scanned code asks for: a licence's number, typed on it or proven by its QR."""

import re
from collections.abc import Awaitable, Callable
from datetime import datetime

from foundation.calendar import today
from foundation.errors import Damaged
from foundation.wire.credential import (
    PREFIX,
    AnotherMunicipality,
    KeyOutOfPeriod,
    KeySet,
    NotOurs,
    RevokedKey,
    UnknownKey,
    WrongSignature,
    open_credential,
)
from foundation.wire.status_list import StatusLists
from foundation.wire.verification import Verdict, verify
from kiosks.device_classes import BarcodeFault, BarcodeInvalid

_NUMBER = re.compile(r"[A-Z0-9]{1,8}(?:-[A-Z0-9]{1,12}){1,4}|[0-9]{5,20}")
_FORGED = (WrongSignature, UnknownKey, RevokedKey, AnotherMunicipality, KeyOutOfPeriod)


async def licence_number(code: str, keys: Callable[[bool], Awaitable[KeySet]]) -> str:
    """The number of the licence that a code names.

    A licence's QR is opened here with the municipality's public keys: only its number goes to headquarters.

    Args:
        code: printable ASCII from a reader.
        keys: gets the public keys; with true it asks for them afresh.

    Raises:
        BarcodeInvalid: the code is no licence's, or is forged.
        Unavailable: the keys cannot be had.
    """
    if not code.startswith(PREFIX):
        number = code.strip().upper()
        if not _NUMBER.fullmatch(number):
            raise BarcodeInvalid(BarcodeFault.NOT_A_LICENCE)
        return number
    try:
        try:
            return open_credential(code, await keys(False), today=today()).claims.number
        except (UnknownKey, KeyOutOfPeriod):
            # The municipality may have a new key, or one that signs earlier than it was to.
            return open_credential(code, await keys(True), today=today()).claims.number
    except _FORGED as error:
        raise BarcodeInvalid(BarcodeFault.FORGED) from error
    except (Damaged, NotOurs) as error:
        raise BarcodeInvalid(BarcodeFault.NOT_A_LICENCE) from error


def offline_verdict(code: str, keys: KeySet, lists: StatusLists, now: datetime) -> Verdict | None:
    """What a licence's QR is worth by what this terminal holds, while headquarters is away.

    An old list still serves: the verdict tells its age, and says so where it is too old.

    Args:
        code: printable ASCII from a reader.
        keys: the public keys held.
        lists: the status lists held.
        now: the present moment, aware.

    Returns:
        None for a number alone, which proves nothing, and for a code that is not to be believed.
    """
    if not code.startswith(PREFIX):
        return None
    verdict = verify(code, keys, lists, now)
    return None if verdict.claims is None else verdict
