from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulated_exchange.market.generated import Halt, Market
from simulated_exchange.market.instruments import Instrument, listed_instruments
from simulated_exchange.market.intervals import DAY, HOUR, INTERVALS, MINUTE, SECOND, Interval
from simulated_exchange.market.klines import KlineQuery, TimeUnit

NOW = 1_750_000_012_345
DAY_OF_NOVA_LISTING = 1_710_201_600_000
Row = list[Any]

MARKET = Market(1, listed_instruments(10))
minutes_before_now = st.integers(0, 60 * 24 * 365).map(lambda minutes: NOW - NOW % MINUTE - minutes * MINUTE)


def rows(
    interval: str,
    first: int,
    last: int,
    *,
    symbol: str = "BTCUSDT",
    market: Market = MARKET,
    limit: int = 100_000,
    newest: bool = False,
    now: int = NOW,
    unit: TimeUnit = TimeUnit.MILLISECOND,
) -> list[Row]:
    query = KlineQuery(symbol, INTERVALS[interval], first, last, limit, newest, now, unit)
    loaded: list[Row] = orjson.loads(b"[%b]" % market.rows(query))
    return loaded


def merged(parts: list[Row]) -> Row:
    """What the exchange must say about all of `parts` together, counted with decimals."""
    prices = [[Decimal(part[column]) for part in parts] for column in (1, 2, 3, 4)]
    sums = {column: sum(Decimal(part[column]) for part in parts) for column in (5, 7, 8, 9, 10)}
    return [prices[0][0], max(prices[1]), min(prices[2]), prices[3][-1], *sums.values()]


def values(row: Row) -> Row:
    return [Decimal(row[column]) for column in (1, 2, 3, 4, 5, 7, 8, 9, 10)]


@settings(max_examples=60)
@given(st.sampled_from([name for name in INTERVALS if name not in ("1s", "1m", "3d", "1w", "1M")]), minutes_before_now)
def test_every_kline_is_the_exact_sum_of_its_minutes(interval: str, instant: int) -> None:
    opened = INTERVALS[interval].floor(instant)
    end = INTERVALS[interval].next_open(opened)
    (kline,) = rows(interval, opened, opened)
    assert values(kline) == merged(rows("1m", opened, end - 1))
    assert (kline[0], kline[6]) == (opened, end - 1)


@pytest.mark.parametrize("interval", ["3d", "1w", "1M"])
def test_klines_longer_than_a_day_are_the_exact_sums_of_days(interval: str) -> None:
    klines = rows(interval, NOW - 70 * DAY, NOW)
    for kline in klines:
        end = INTERVALS[interval].next_open(kline[0])
        assert values(kline) == merged(rows("1d", kline[0], end - 1))
        assert kline[6] == end - 1
    assert klines[-1][6] > NOW


@settings(max_examples=30)
@given(minutes_before_now)
def test_sixty_seconds_sum_to_their_minute(minute: int) -> None:
    (kline,) = rows("1m", minute, minute)
    assert values(kline) == merged(rows("1s", minute, minute + MINUTE - 1))


@pytest.mark.slow
@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from(["1s", "1m", "1h", "1d"]), minutes_before_now), max_size=6))
def test_rows_do_not_depend_on_what_was_asked_before(asked_before: list[tuple[str, int]]) -> None:
    fresh = Market(1, listed_instruments(10))
    for interval, start in asked_before:
        rows(interval, start, start + DAY, market=fresh, limit=7)
    start = NOW - 3 * DAY
    assert rows("5m", start, NOW, market=fresh, limit=700) == rows("5m", start, NOW, limit=700)


@settings(max_examples=40)
@given(st.sampled_from(["1s", "1m", "15m", "12h"]), minutes_before_now, st.integers(1, 1000), st.booleans())
def test_a_page_is_a_run_of_klines_that_follow_each_other(interval: str, start: int, limit: int, newest: bool) -> None:
    page = rows(interval, start, NOW, limit=limit, newest=newest)
    length = INTERVALS[interval].length
    assert len(page) <= limit
    assert [row[0] for row in page] == [page[0][0] + index * length for index in range(len(page))] if page else True
    assert [row[1] for row in page[1:]] == [row[4] for row in page[:-1]]


@settings(max_examples=20)
@given(minutes_before_now, st.integers(1, 400))
def test_pages_joined_are_the_whole_range(start: int, limit: int) -> None:
    end = min(start + DAY, NOW)
    paged: list[Row] = []
    first = start
    while page := rows("1m", first, end, limit=limit):
        paged += page
        first = page[-1][0] + 1
    assert paged == rows("1m", start, end)


def test_the_newest_rows_are_the_end_of_the_range() -> None:
    everything = rows("1m", NOW - 3 * HOUR, NOW)
    assert rows("1m", NOW - 3 * HOUR, NOW, limit=7, newest=True) == everything[-7:]
    assert rows("1m", NOW - 3 * HOUR, NOW - HOUR, limit=7, newest=True) == everything[-67:-60]


def listed() -> dict[str, Instrument]:
    """Those that were traded for at least two days."""
    found = {symbol: it for symbol, it in MARKET.instruments.items() if it.listed < NOW - 2 * DAY}
    assert len(found) > 1
    return found


def test_strings_have_eight_decimals_and_the_twelfth_column_is_zero() -> None:
    for symbol in listed():
        for interval in ("1s", "1m", "1h", "1d"):
            newest = rows(interval, NOW - 2 * DAY, NOW, symbol=symbol, limit=3, newest=True)
            assert len(newest) == (2 if interval == "1d" else 3)
            for row in newest:
                assert [type(cell) for cell in row] == [int, *[str] * 5, int, str, int, *[str] * 3]
                assert all(len(row[column].partition(".")[2]) == 8 for column in (1, 2, 3, 4, 5, 7, 9, 10))
                assert row[11] == "0"


def test_prices_and_quantities_are_multiples_of_tick_and_step() -> None:
    for symbol, instrument in listed().items():
        tick, step = (Decimal(1).scaleb(-it) for it in (instrument.tick_decimals, instrument.step_decimals))
        hour = rows("1m", NOW - HOUR, NOW, symbol=symbol)
        assert len(hour) == 60
        for row in hour:
            assert all(Decimal(price) % tick == 0 for price in row[1:5])
            assert Decimal(row[5]) % step == Decimal(row[9]) % step == 0


def test_microseconds_change_the_two_times_and_nothing_else() -> None:
    for interval in ("1s", "1m", "1d"):
        milli = rows(interval, NOW - 3 * DAY, NOW, limit=5, newest=True)
        micro = rows(interval, NOW - 3 * DAY, NOW, limit=5, newest=True, unit=TimeUnit.MICROSECOND)
        assert [[row[0] // 1000, *row[1:6], (row[6] + 1) // 1000 - 1, *row[7:]] for row in micro] == milli
        assert micro[0][6] % 1000 == 999


@pytest.mark.parametrize("name", list(INTERVALS))
def test_the_last_row_is_the_open_kline_and_grows(name: str) -> None:
    interval: Interval = INTERVALS[name]
    opened = interval.floor(NOW)
    (early,) = rows(name, opened, opened)
    (late,) = rows(name, opened, opened, now=min(NOW + 5 * SECOND, interval.next_open(opened) - 1))
    assert early[6] >= NOW
    assert Decimal(early[5]) <= Decimal(late[5])
    assert (early[8] < late[8]) == (name != "1s")
    assert rows(name, opened + 1, NOW + 10 * SECOND) == []


def test_an_open_kline_closes_to_what_history_says() -> None:
    opened = NOW - NOW % HOUR
    (almost,) = rows("1h", opened, opened, now=opened + HOUR - 1)
    (closed,) = rows("1h", opened, opened, now=opened + HOUR)
    seconds = rows("1s", opened, opened + HOUR - SECOND - 1, now=opened + HOUR)
    assert values(almost)[4:] == merged(seconds)[4:]
    assert values(closed)[4:] == merged(rows("1s", opened, opened + HOUR - 1, now=opened + HOUR))[4:]


def test_nothing_exists_before_the_listing() -> None:
    listed = MARKET.instruments["NOVAUSDT"].listed
    minutes = rows("1m", 0, listed + 5 * MINUTE - 1, symbol="NOVAUSDT")
    assert [row[0] for row in minutes] == [listed + index * MINUTE for index in range(5)]
    (day,) = rows("1d", 0, listed, symbol="NOVAUSDT")
    assert day[0] == DAY_OF_NOVA_LISTING
    assert values(day) == merged(rows("1m", listed, DAY_OF_NOVA_LISTING + DAY - 1, symbol="NOVAUSDT"))
    assert rows("1h", 0, NOW, symbol="NOVAUSDT", now=listed - 1) == []


def test_a_halt_has_no_klines_and_longer_klines_are_what_is_left() -> None:
    start = NOW - NOW % DAY - DAY + 12 * HOUR
    halt = Halt("BTCUSDT", start + 40 * MINUTE + 1, start + 2 * HOUR - 1)
    market = Market(1, MARKET.instruments, [halt])
    minutes = rows("1m", start, start + 3 * HOUR - 1, market=market)
    assert [row for row in minutes if start + 40 * MINUTE <= row[0] < start + 2 * HOUR] == []
    assert len(minutes) == 100
    hours = rows("1h", start, start + 3 * HOUR - 1, market=market)
    assert [row[0] for row in hours] == [start, start + 2 * HOUR]
    assert values(hours[0]) == merged(rows("1m", start, start + 40 * MINUTE - 1))
    assert len(rows("1s", start, start + 3 * HOUR - 1, market=market)) == 6_000
    assert rows("1m", start, start + 3 * HOUR, symbol="ETHUSDT", market=market) == rows(
        "1m", start, start + 3 * HOUR, symbol="ETHUSDT"
    )


def test_whole_days_and_months_can_be_missing() -> None:
    month = INTERVALS["1M"].floor(NOW - 40 * DAY)
    market = Market(1, MARKET.instruments, [Halt("BTCUSDT", month, INTERVALS["1M"].next_open(month))])
    assert rows("1M", month, month, market=market) == []
    assert rows("1d", month, month + 5 * DAY, market=market) == []
    assert len(rows("1m", month - MINUTE, NOW, market=market, limit=1000)) == 1000


def test_during_a_halt_there_is_no_open_kline() -> None:
    market = Market(1, MARKET.instruments, [Halt("BTCUSDT", NOW - HOUR, NOW + HOUR)])
    assert rows("1m", NOW - HOUR, NOW, market=market) == []
    assert market.is_halted("BTCUSDT", NOW)
    assert not market.is_halted("ETHUSDT", NOW)
