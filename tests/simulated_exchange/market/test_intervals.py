from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulated_exchange.market.intervals import DAY, HOUR, INTERVALS, Interval

VENUE_INTERVALS = ["1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"]
instants = st.integers(1_400_000_000_000, 2_000_000_000_000)
intervals = st.sampled_from(list(INTERVALS.values()))


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000)


def test_every_interval_of_the_venue_is_known() -> None:
    assert list(INTERVALS) == VENUE_INTERVALS


@given(intervals, instants)
def test_an_instant_lies_between_its_open_time_and_the_next(interval: Interval, instant: int) -> None:
    opened = interval.floor(instant)
    assert opened <= instant < interval.next_open(opened)
    assert interval.floor(opened) == opened
    assert interval.floor(interval.next_open(opened)) == interval.next_open(opened)


@pytest.mark.parametrize(
    ("name", "instant", "opened"),
    [
        ("1w", "2025-06-15T15:00", "2025-06-09"),
        ("1w", "2025-06-16", "2025-06-16"),
        ("1M", "2025-06-30T23:59:59", "2025-06-01"),
        ("1M", "2024-02-29", "2024-02-01"),
        ("1d", "2025-06-15T15:00", "2025-06-15"),
        ("8h", "2025-06-15T15:59", "2025-06-15T08:00"),
    ],
)
def test_weeks_open_on_monday_and_months_on_the_first(name: str, instant: str, opened: str) -> None:
    assert INTERVALS[name].floor(ms(instant)) == ms(opened)


def test_three_days_are_multiples_since_the_epoch() -> None:
    assert INTERVALS["3d"].floor(ms("2025-06-15")) % (3 * DAY) == 0


def test_only_intervals_shorter_than_a_day_lie_within_one() -> None:
    within = [name for name, interval in INTERVALS.items() if interval.is_within_a_day]
    assert within == VENUE_INTERVALS[:12]
    assert INTERVALS["12h"].length == 12 * HOUR
