from itertools import pairwise
from typing import Any

import orjson
import pytest

from simulated_exchange.market.generated import Halt, Market
from simulated_exchange.market.instruments import listed_instruments
from simulated_exchange.market.intervals import DAY, INTERVALS, MINUTE, SECOND
from simulated_exchange.market.klines import KlineQuery
from simulated_exchange.market.live_market import LiveMarket, SymbolMarket
from simulated_exchange.market.rolling_day import RollingDay

NOW = 1_765_000_012_345
OPENED = NOW - NOW % MINUTE
END = NOW + 7 * MINUTE
SYMBOL = "BTCUSDT"


def running(end: int = END, halts: tuple[Halt, ...] = ()) -> tuple[LiveMarket, SymbolMarket]:
    live = LiveMarket(Market(1, listed_instruments(4), halts), 1)
    market = live.start(SYMBOL, NOW)
    assert market
    for _ in live.advance(end):
        pass
    return live, market


@pytest.fixture(scope="module")
def live() -> LiveMarket:
    return running()[0]


def rows(live: LiveMarket, interval: str, first: int, last: int, limit: int = 1000, newest: bool = False) -> list[list[Any]]:
    query = KlineQuery(SYMBOL, INTERVALS[interval], first, last, limit, newest, END)
    found: list[list[Any]] = orjson.loads(b"[%b]" % live.klines.rows(query))
    return found


def test_rows_before_the_book_started_are_history(live: LiveMarket) -> None:
    query = KlineQuery(SYMBOL, INTERVALS["1m"], OPENED - 60 * MINUTE, OPENED - 1, 1000, False, END)
    assert live.klines.rows(query) == live.klines.history.rows(query)


def test_rows_from_then_on_are_sums_of_the_trades(live: LiveMarket) -> None:
    market = live.markets[SYMBOL]
    whole = rows(live, "1m", OPENED + MINUTE, END)
    assert len(whole) > 1
    for row in whole:
        trades = market.trades.between(row[0] * 1000, (row[6] + 1) * 1000)
        assert row[8] == len(trades)
        assert round(float(row[5]) * 10**5) == sum(trade.quantity for trade in trades)
        assert (round(float(row[1]) * 100), round(float(row[4]) * 100)) == (trades[0].price, trades[-1].price)
        assert round(float(row[2]) * 100) == max(trade.price for trade in trades)
        assert round(float(row[3]) * 100) == min(trade.price for trade in trades)


@pytest.mark.parametrize("interval", ["3m", "5m", "1h", "1d", "1w"])
def test_longer_klines_sum_history_and_trades(live: LiveMarket, interval: str) -> None:
    opened = INTERVALS[interval].floor(END)
    (kline,) = rows(live, interval, opened, END)
    minutes: list[list[Any]] = []
    while page := rows(live, "1m", minutes[-1][0] + 1 if minutes else opened, END):
        minutes += page
    assert kline[8] == sum(minute[8] for minute in minutes)
    assert float(kline[5]) == pytest.approx(sum(float(minute[5]) for minute in minutes))
    assert (kline[1], kline[4]) == (minutes[0][1], minutes[-1][4])


def test_the_first_minute_is_part_history_part_trades(live: LiveMarket) -> None:
    (minute,) = rows(live, "1m", OPENED, OPENED)
    seconds = rows(live, "1s", OPENED, OPENED + MINUTE - 1)
    assert len(seconds) == 60
    assert minute[8] == sum(second[8] for second in seconds)
    assert float(minute[5]) == pytest.approx(sum(float(second[5]) for second in seconds))


@pytest.mark.parametrize("interval", ["1s", "1m"])
@pytest.mark.parametrize("limit", [1, 3, 10, 1000])
def test_pages_meet_where_the_book_started(live: LiveMarket, interval: str, limit: int) -> None:
    length = INTERVALS[interval].length
    first = OPENED - 5 * length
    everything = rows(live, interval, first, END)
    assert [row[0] for row in everything] == list(range(first, first + len(everything) * length, length))
    assert rows(live, interval, first, END, limit) == everything[:limit]
    if interval == "1m":
        assert rows(live, interval, first, END, limit, newest=True) == everything[-limit:]


def test_halted_minutes_have_no_rows() -> None:
    live, _ = running(halts=(Halt(SYMBOL, OPENED + 2 * MINUTE, OPENED + 4 * MINUTE),))
    opens = [row[0] for row in rows(live, "1m", OPENED, OPENED + 6 * MINUTE)]
    assert opens == [OPENED + number * MINUTE for number in (0, 1, 4, 5, 6)]


def test_minutes_nobody_traded_in_are_flat() -> None:
    live, market = running(NOW + 1_000)
    market.skip_to(NOW + 3 * MINUTE)
    flat = rows(live, "1m", OPENED + MINUTE, OPENED + 2 * MINUTE)
    assert len(flat) == 2
    assert all(row[1] == row[2] == row[3] == row[4] and row[8] == 0 for row in flat)


def test_the_mini_ticker_is_the_last_24_hours() -> None:
    live, market = running(NOW + MINUTE)
    day = RollingDay(live.klines, SYMBOL)
    day.at(NOW + MINUTE, market.klines.current)
    for _ in live.advance(END):
        pass
    ticker = day.at(END, market.klines.current)
    assert ticker
    minute = END - END % MINUTE
    minutes = live.klines.minutes(SYMBOL, minute - DAY, minute + MINUTE)
    assert len(minutes) == 1441
    assert ticker.volume == sum(kline.volume for kline in minutes)
    assert ticker.quote_volume == sum(kline.quote_volume for kline in minutes)
    assert (ticker.high, ticker.low) == (max(kline.high for kline in minutes), min(kline.low for kline in minutes))
    assert (ticker.open, ticker.close) == (minutes[0].open, market.trades.latest(1)[0].price)


def test_a_symbol_without_a_book_has_a_ticker_too() -> None:
    live, _ = running(NOW)
    ticker = RollingDay(live.klines, "ETHUSDT").at(NOW, None)
    history = live.klines.history.minutes("ETHUSDT", OPENED - DAY, OPENED)
    assert ticker
    assert ticker.volume == sum(kline.volume for kline in history)
    assert ticker.close == history[-1].close


def test_seconds_without_trades_repeat_the_price(live: LiveMarket) -> None:
    seconds = rows(live, "1s", OPENED + MINUTE, OPENED + 2 * MINUTE - 1)
    quiet = [(before[4], row) for before, row in pairwise(seconds) if not row[8]]
    assert quiet
    assert [(close, row) for close, row in quiet if not close == row[1] == row[4]] == []
    assert seconds[1][0] - seconds[0][0] == SECOND
