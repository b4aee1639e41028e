"""Instants as integer microseconds since the epoch, UTC: the one representation inside Python."""

import time
from datetime import UTC, datetime, timedelta

SECOND_US = 1_000_000
MINUTE_US = 60 * SECOND_US
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
INTERVAL_SECONDS = {"1s": 1, "1m": 60, "5m": 300, "15m": 900, "30m": 1_800, "1h": 3_600, "4h": 14_400, "1d": 86_400}
"""Intervals of gold's candles. Every length divides the next one: each is rolled up from the one before."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def now_us() -> int:
    """The wall clock, microseconds since the epoch."""
    return time.time_ns() // 1_000


def to_datetime(instant_us: int) -> datetime:
    """Exact, unlike `datetime.fromtimestamp`, which goes through a float."""
    return _EPOCH + timedelta(microseconds=instant_us)


def from_datetime(instant: datetime) -> int:
    """A naive datetime is taken as UTC."""
    aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    return (aware - _EPOCH) // timedelta(microseconds=1)


def parse_instant(text: str) -> int:
    """`2024-01-01`, `2024-01-01T12:30`, `…Z`, `…+02:00`; without an offset it is UTC. ValueError if it is none of these."""
    return from_datetime(datetime.fromisoformat(text))


def format_instant(instant_us: int) -> str:
    """ISO 8601 with a Z, no fraction when it is a whole second: `2024-01-01T00:00:00Z`."""
    return to_datetime(instant_us).replace(tzinfo=None).isoformat() + "Z"


def unit_to_us(instant: int) -> int:
    """Milliseconds or microseconds since the epoch, distinguished by magnitude, as microseconds.

    Binance's bulk files changed from 13 digits (ms) to 16 (us) on 2025-01-01; 10^14 us is the year 1973,
    10^14 ms the year 5138.
    """
    return instant if instant >= 100_000_000_000_000 else instant * 1_000
