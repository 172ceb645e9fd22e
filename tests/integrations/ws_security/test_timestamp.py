from datetime import UTC, datetime, timedelta, timezone

import pytest

from integrations.ws_security import names, timestamp
from integrations.ws_security.faults import InvalidSecurity, MessageExpired
from integrations.ws_security.timestamp import AHEAD, OLDEST
from tests.integrations.ws_security.messages import NOW, parsed, written

TICK = timedelta(microseconds=1)


def made(created: str, expires: str | None = None) -> timestamp.Timestamp:
    """A Timestamp that says these texts."""
    rest = "" if expires is None else f"<wsu:Expires>{expires}</wsu:Expires>"
    text = (
        f'<wsu:Timestamp xmlns:wsu="{names.WSU}"><wsu:Created>{created}</wsu:Created>{rest}</wsu:Timestamp>'
    )
    return timestamp.read(parsed(text))


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-03-01T08:30:00Z", NOW),
        ("2026-03-01T08:30:00+00:00", NOW),
        ("\n 2026-03-01T08:30:00.5Z ", NOW + timedelta(milliseconds=500)),
        ("2026-03-01T08:30:00.123456789Z", NOW + timedelta(microseconds=123456)),
        ("2024-02-29T23:59:59Z", datetime(2024, 2, 29, 23, 59, 59, tzinfo=UTC)),
    ],
)
def test_a_time_in_utc_is_read(text: str, moment: datetime) -> None:
    assert made(text).created == moment


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-01T08:30:00",
        "2026-03-01T11:30:00+03:00",
        "2026-03-01T08:30:00-00:00",
        "2026-03-01 08:30:00Z",
        "2026-03-01T08:30Z",
        "20260301T083000Z",
        "2026-02-29T08:30:00Z",
        "2026-03-01T24:00:00Z",
        "2026-12-31T23:59:60Z",
        "2026-03-01T08:30:00.Z",
        "٢٠٢٦-03-01T08:30:00Z",
        "-2026-03-01T08:30:00Z",
        "0000-03-01T08:30:00Z",
        "now",
    ],
)
def test_another_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidSecurity) as caught:
        made(text)
    assert caught.value.reason == "not-a-time"


def test_a_message_lives_for_300_seconds_and_60_ahead() -> None:
    for created in (NOW - OLDEST, NOW + AHEAD):
        timestamp.check(made(written(created)), NOW)
    for now, reason in ((NOW + OLDEST + TICK, "too-old"), (NOW - AHEAD - TICK, "from-the-future")):
        with pytest.raises(MessageExpired) as caught:
            timestamp.check(made(written(NOW)), now)
        assert caught.value.reason == reason


def test_a_message_may_expire_sooner_and_not_later() -> None:
    short = made(written(NOW), written(NOW + timedelta(seconds=10)))
    timestamp.check(short, NOW + timedelta(seconds=10) - TICK)
    with pytest.raises(MessageExpired) as caught:
        timestamp.check(short, NOW + timedelta(seconds=10))
    assert caught.value.reason == "expired"
    long = made(written(NOW), written(NOW + timedelta(days=1)))
    with pytest.raises(MessageExpired) as caught:
        timestamp.check(long, NOW + OLDEST + TICK)
    assert caught.value.reason == "too-old"


def test_the_zone_of_our_own_clock_does_not_matter() -> None:
    riyadh = timezone(timedelta(hours=3))
    timestamp.check(made(written(NOW)), NOW.astimezone(riyadh))
