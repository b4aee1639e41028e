"""The youngest klines of the chart, made of what has just been loaded."""

from hypothesis import given
from hypothesis import strategies as st

from status_page.market import Candle, candle, roll_up, with_the_youngest

MINUTE = 60_000_000


def kline(minute: int, price: float, volume: float = 1.0, is_complete: bool = True) -> Candle:
    return Candle(minute * MINUTE, price, price + 1, price - 1, price + 0.5, volume, is_complete, "trades")


def test_a_row_of_the_warehouse_becomes_floats() -> None:
    assert candle((60_000_000, "1.5", "2", "1", "1.7", "3", 1, "klines")) == Candle(
        60_000_000, 1.5, 2.0, 1.0, 1.7, 3.0, True, "klines"
    )


def test_live_minutes_follow_the_stored_ones() -> None:
    shown = with_the_youngest([kline(1, 10), kline(2, 11)], [], [kline(3, 12, is_complete=False)], 60)
    assert [row.opened // MINUTE for row in shown] == [1, 2, 3]


def test_a_running_minute_is_replaced_and_a_complete_one_is_not() -> None:
    running, live = kline(2, 11, 1.0, is_complete=False), kline(2, 11, 5.0, is_complete=False)
    assert with_the_youngest([running], [], [live], 60) == [live]
    done, part = kline(2, 11, 5.0), kline(2, 11, 1.0, is_complete=False)
    assert with_the_youngest([done], [], [part], 60) == [done]


def test_longer_klines_are_made_of_minutes() -> None:
    [hour] = with_the_youngest([], [kline(60, 10), kline(61, 20)], [kline(62, 5, 2.0)], 3_600)
    assert hour == Candle(60 * MINUTE, 10, 21, 4, 5.5, 4.0, False, "trades")


def test_a_longer_kline_of_both_sources_is_mixed() -> None:
    [hour] = roll_up([kline(60, 10)._replace(source="klines"), kline(61, 20), kline(62, 20)], 3_600)
    assert hour.source == "mixed"


@given(st.lists(st.tuples(st.integers(0, 300), st.floats(1, 100)), unique_by=lambda pair: pair[0]))
def test_rolling_up_keeps_volume_and_extremes(parts: list[tuple[int, float]]) -> None:
    minutes = [kline(minute, price) for minute, price in sorted(parts)]
    hours = roll_up(minutes, 3_600)
    assert sum(hour.volume for hour in hours) == len(minutes)
    assert max((hour.high for hour in hours), default=0) == max((row.high for row in minutes), default=0)
    assert [hour.opened for hour in hours] == sorted({row.opened // (60 * MINUTE) * 60 * MINUTE for row in minutes})
