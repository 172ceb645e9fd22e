"""The devices of a centre's branches, at which its clerks work. Table: `centre_device`."""

import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from foundation.errors import Conflict, NotFound
from integrations.centres.centre import CHANGED, Centre, tell
from integrations.centres.clerks import check_branch, check_id, check_title

_DEVICE = re.compile(r"[a-z][a-z0-9_-]{0,31}")

_ADD_DEVICE = text(
    """
    INSERT INTO centre_device (centre, code, branch, title, active, added_at)
    VALUES (:centre, :code, :branch, :title, true, :at) ON CONFLICT (centre, code) DO NOTHING RETURNING code
    """
)
_DEVICE_ACTIVE = text(
    "UPDATE centre_device SET active = :active WHERE centre = :centre AND code = :code RETURNING code"
)
_DEVICES = text("SELECT code, branch, title, active FROM centre_device WHERE centre = :centre ORDER BY code")


@dataclass(frozen=True)
class Device:
    """A device of a branch."""

    code: str
    branch: str
    title: str
    active: bool


def add(
    session: Session, centre: Centre, code: str, branch: str, title: str, actor: str, at: datetime
) -> None:
    """Enrol a device of a branch.

    Args:
        centre: locked.

    Raises:
        InvalidInput: a code, branch or title that cannot be.
        Conflict: the code is taken.
    """
    check_id(code, "device", _DEVICE)
    check_title(title)
    check_branch(session, centre, branch)
    words = {"centre": centre.code, "code": code, "branch": branch, "title": title, "at": at}
    if session.execute(_ADD_DEVICE, words).scalar() is None:
        raise Conflict(f"{centre.code} has a device {code!r} already.", remedy="Take another code.")
    tell(session, centre, CHANGED, actor, {"what": "device_added", "device": code, "branch": branch})


def enable(session: Session, centre: Centre, code: str, active: bool, actor: str) -> None:
    """Stop a device, or let it be used again; the centre is locked.

    Raises:
        NotFound: the centre has none of this code.
    """
    words = {"centre": centre.code, "code": code, "active": active}
    if session.execute(_DEVICE_ACTIVE, words).scalar() is None:
        raise NotFound(
            f"{centre.code} has no device {code!r}.", remedy=f"See: rakeeza centre show {centre.code}"
        )
    what = "device_enabled" if active else "device_stopped"
    tell(session, centre, CHANGED, actor, {"what": what, "device": code})


def every(session: Session, centre: str) -> list[Device]:
    """The devices of a centre, by code."""
    return [Device(*row) for row in session.execute(_DEVICES, {"centre": centre})]
