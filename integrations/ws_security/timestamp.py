"""The message's Timestamp: made at most 300 s ago, at most 60 s ahead, and not past its own Expires.

Source: SOAP Message Security 1.1.1, section 10; Basic Security Profile 1.1, section 7.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lxml import etree

from integrations.ws_security.faults import InvalidSecurity, MessageExpired
from integrations.ws_security.names import WSU, WSU_ID
from integrations.ws_security.strict_xml import called, elements, only_attributes, text

OLDEST = timedelta(seconds=300)
AHEAD = timedelta(seconds=60)

_CREATED, _EXPIRES = f"{{{WSU}}}Created", f"{{{WSU}}}Expires"
# xs:dateTime in UTC; a longer fraction is cut, as a datetime knows microseconds.
_MOMENT = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,9}))?(?:Z|\+00:00)"
)
_CHECK_CLOCK = "Set the clock of the machine that signs by a time server, and send the message at once."


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


def read(element: etree._Element) -> Timestamp:
    """Read a Timestamp.

    Raises:
        InvalidSecurity: it is not made of Created, and at most one Expires after it.
    """
    children = elements(element)
    if [child.tag for child in children] not in ([_CREATED], [_CREATED, _EXPIRES]):
        raise InvalidSecurity(
            "timestamp-content",
            "A Timestamp must hold one Created, and may hold one Expires after it.",
            "يجب أن يحتوي Timestamp على Created واحد، ويجوز أن يليه Expires واحد.",
            place=called(element),
        )
    created, *rest = [moment(child) for child in children]
    expires = rest[0] if rest else None
    if expires is not None and expires <= created:
        raise InvalidSecurity(
            "expires-before-created",
            "The Timestamp expires before it was made.",
            "وقت الانتهاء (Expires) ليس بعد وقت الإنشاء (Created).",
            place=called(element),
        )
    return Timestamp(element, created, expires)


def check(timestamp: Timestamp, now: datetime) -> None:
    """Let only a message pass that was made lately and has not expired.

    Raises:
        MessageExpired: it is too old, from the future, or past its Expires.
    """
    check_age(timestamp.created, now, called(timestamp.element))
    if timestamp.expires is not None and timestamp.expires <= now:
        raise MessageExpired(
            "expired",
            "The message has expired.",
            "انتهت صلاحية الرسالة.",
            place=called(timestamp.element),
            remedy=_CHECK_CLOCK,
        )


def check_age(created: datetime, now: datetime, place: str) -> None:
    """Let only what was made lately pass.

    Raises:
        MessageExpired: more than 300 s ago, or more than 60 s ahead.
    """
    if now - created > OLDEST:
        raise MessageExpired(
            "too-old",
            f"It was made more than {OLDEST.seconds} seconds ago.",
            f"مضى على إنشائها أكثر من {OLDEST.seconds} ثانية.",
            place=place,
            remedy=_CHECK_CLOCK,
        )
    if created - now > AHEAD:
        raise MessageExpired(
            "from-the-future",
            f"It was made more than {AHEAD.seconds} seconds from now.",
            f"وقت إنشائها متقدم على وقتنا بأكثر من {AHEAD.seconds} ثانية.",
            place=place,
            remedy=_CHECK_CLOCK,
        )


def moment(element: etree._Element) -> datetime:
    """The time that an element says.

    Returns:
        Aware, in UTC.

    Raises:
        InvalidSecurity: it is no xs:dateTime in UTC.
    """
    only_attributes(element, WSU_ID)
    written = _MOMENT.fullmatch(text(element, 40))
    try:
        if written is None:
            raise ValueError
        found = datetime.fromisoformat(written[1]).replace(tzinfo=UTC)
    except ValueError:
        raise InvalidSecurity(
            "not-a-time",
            "It must be a time in UTC, as 2026-03-01T08:30:00Z.",
            "يجب أن يكون وقتًا بالتوقيت العالمي، مثل 2026-03-01T08:30:00Z.",
            place=called(element),
        ) from None
    return found + timedelta(microseconds=int((written[2] or "0").ljust(6, "0")[:6]))
