"""The message's Timestamp: made at most 300 s ago, at most 60 s ahead, and not past its own Expires."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from lxml import etree

OLDEST = timedelta(seconds=300)
AHEAD = timedelta(seconds=60)


@dataclass(frozen=True)
class Timestamp:
    """When a message was made.

    Args:
        element: the Timestamp itself.
        created: aware, in UTC.
        expires: aware, in UTC; None if the message does not say.
    """

    element: etree._Element
    created: datetime
    expires: datetime | None
