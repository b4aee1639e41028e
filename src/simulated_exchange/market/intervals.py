"""PURE. The venue's kline intervals: where each kline opens and closes. All times are UTC milliseconds since 1970."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

SECOND = 1_000
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_FIRST_MONDAY = 4 * DAY  # 1970-01-05


@dataclass(frozen=True, slots=True)
class Interval:
    """One interval by the venue's (case-sensitive) name; `length` is 0 for `1M`, the only uneven one."""

    name: str
    length: int
    origin: int = 0

    def floor(self, instant: int) -> int:
        """The open time of the kline that `instant` falls into."""
        if not self.length:
            return month_start(instant)
        return instant - (instant - self.origin) % self.length

    def next_open(self, open_time: int) -> int:
        """The open time after `open_time`, which must be an open time itself."""
        if not self.length:
            return month_start(open_time + 31 * DAY)
        return open_time + self.length

    def opens(self, start: int, end: int) -> Iterator[int]:
        """Every open time in [start, end), ascending."""
        instant = self.floor(start)
        while instant < end:
            if instant >= start:
                yield instant
            instant = self.next_open(instant)

    @property
    def is_within_a_day(self) -> bool:
        return 0 < self.length < DAY


def month_start(instant: int) -> int:
    """The first millisecond of the UTC month that `instant` falls into."""
    date = datetime.fromtimestamp(instant // 1000, UTC)
    return int(datetime(date.year, date.month, 1, tzinfo=UTC).timestamp()) * 1000


INTERVALS = {
    interval.name: interval
    for interval in (
        Interval("1s", SECOND),
        Interval("1m", MINUTE),
        Interval("3m", 3 * MINUTE),
        Interval("5m", 5 * MINUTE),
        Interval("15m", 15 * MINUTE),
        Interval("30m", 30 * MINUTE),
        Interval("1h", HOUR),
        Interval("2h", 2 * HOUR),
        Interval("4h", 4 * HOUR),
        Interval("6h", 6 * HOUR),
        Interval("8h", 8 * HOUR),
        Interval("12h", 12 * HOUR),
        Interval("1d", DAY),
        Interval("3d", 3 * DAY),
        Interval("1w", 7 * DAY, origin=_FIRST_MONDAY),
        Interval("1M", 0),
    )
}
