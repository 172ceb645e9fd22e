"""Finds which device models a device is to be read by, from what its agent says."""

import re
from dataclasses import dataclass

from monitoring.catalogue import Catalogue
from monitoring.collectors.snmp_session import Session, text
from monitoring.device_model import AppliesTo

SYS_DESCR = "1.3.6.1.2.1.1.1.0"
SYS_OBJECT_ID = "1.3.6.1.2.1.1.2.0"


@dataclass(frozen=True)
class Identity:
    """What a device says it is.

    Args:
        sys_object_id: the vendor's number for the product; "" when it gives none.
        sys_descr: its description.
        models: the models that apply, most specific first.

    Source: SNMPv2-MIB (RFC 3418), system group.
    """

    sys_object_id: str
    sys_descr: str
    models: tuple[str, ...]


def identify(session: Session, catalogue: Catalogue) -> Identity:
    """Ask a device what it is.

    Raises:
        DeviceUnreachable, Refused, NotSnmp: as Session.get.
    """
    system = session.get([SYS_DESCR, SYS_OBJECT_ID])
    sys_object_id = text(system.get(SYS_OBJECT_ID, ""))
    sys_descr = text(system.get(SYS_DESCR, ""))
    asked: dict[str, bool] = {}
    ranked = []
    for model in catalogue.models():
        if model.applies_to is None:
            continue
        rank = _rank(model.applies_to, sys_object_id, sys_descr, session, asked)
        if rank:
            ranked.append((-rank, model.model))
    return Identity(sys_object_id, sys_descr, tuple(name for _, name in sorted(ranked)))


def _rank(
    applies: AppliesTo, sys_object_id: str, sys_descr: str, session: Session, asked: dict[str, bool]
) -> int:
    # More specific is higher: a sysObjectID by its length, then sysDescr, then an answered subtree, then all.
    prefixes = [one for one in applies.sys_object_id if f"{sys_object_id}.".startswith(f"{one}.")]
    if prefixes:
        return 10 + max(len(one.split(".")) for one in prefixes)
    if any(re.search(pattern, sys_descr) for pattern in applies.sys_descr):
        return 3
    for subtree in applies.answers:
        if subtree not in asked:
            asked[subtree] = session.answers(subtree)
        if asked[subtree]:
            return 2
    return 1 if applies.every_device else 0
