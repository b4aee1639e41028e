"""All channels beside each other, through sockets, S3, SQS, loader and silver: each once, and exactly the venue's."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import httpx
import orjson
import pytest
from tests.waiting import wait_until
from websockets.sync.client import connect

from simulated_exchange.config import ExchangeConfig
from simulated_exchange.market.generated import Halt
from simulated_exchange.server.socket_limits import SocketLimits
from tickhouse_core.timestamps import DAY_US, HOUR_US, MINUTE_US, format_instant, now_us
from tickhouse_core.warehouse import Warehouse

from .live import capturing, events_of, row_count, rows_of

if TYPE_CHECKING:
    from .conftest import Kline, LakeView, OpenVenue, RunBackfill, Venue

SYMBOLS = ("BTCUSDT", "ETHUSDT")
SCALE = 30.0
"""A minute of the exchange lasts two seconds."""

KEYS = {
    "trades": "symbol, trade_id",
    "depth_diffs": "symbol, last_update_id",
    "depth_snapshots": "symbol, last_update_id",
    "klines": "symbol, interval, open_time",
    "tickers": "symbol, event_time",
    "book_tickers": "symbol, update_id",
}
FOLDERS = {"klines": "klines_pricing"}


@pytest.mark.heart
def test_all_channels_land_once_and_say_what_the_venue_says(
    open_venue: "OpenVenue", lake: "LakeView", warehouse: Warehouse, load: Callable[[], None]
) -> None:
    venue = open_venue(ExchangeConfig(seed=31, time_scale=SCALE))
    with capturing(*SYMBOLS, channels=("trades", "depth", "klines", "ticker", "book_tickers"), snapshot_levels=100):
        wait_until(lambda: all(len(lake.klines(symbol, "1m")) >= 3 for symbol in SYMBOLS), "three closed minutes", 60)
        assert next(symbol for symbol in symbols_in_tickers(venue) if symbol not in SYMBOLS), "the venue tells of all symbols"
    load()

    for symbol in SYMBOLS:
        klines = lake.klines(symbol, "1m")
        assert klines == klines_of(venue, symbol, klines[0].open_time, klines[-1].open_time)
        assert klines == silver_klines(warehouse, symbol)
        assert_tickers_are_the_venues(venue, lake, symbol)
    assert {(row["source"], row["is_closed"]) for row in rows_of(lake.store, "klines_pricing")} == {("stream", True)}
    assert {row["symbol"] for row in rows_of(lake.store, "tickers")} == set(SYMBOLS)
    assert events_of(lake.store, "gap") == []
    assert events_of(lake.store, "mismatch") == [], "neither of a proof nor of the best prices"
    common = "select count() from depth_diffs where (symbol, last_update_id) in (select symbol, update_id from book_tickers)"
    assert warehouse.query(common)[0][0] > 100, "update ids at which the running book was compared with the best prices"
    assert_silver_holds_everything_once(warehouse, lake)


def test_every_symbol_has_klines_of_its_own_interval(open_venue: "OpenVenue", lake: "LakeView") -> None:
    open_venue(ExchangeConfig(seed=3, time_scale=120))
    with capturing(*SYMBOLS, channels=("klines",), intervals={SYMBOLS[1]: "3m"}):
        wait_until(lambda: bool(lake.klines(SYMBOLS[0], "1m") and lake.klines(SYMBOLS[1], "3m")), "a candle of each", 60)
    assert {(row["symbol"], row["interval"]) for row in rows_of(lake.store, "klines_pricing")} == {
        (SYMBOLS[0], "1m"),
        (SYMBOLS[1], "3m"),
    }


def test_klines_of_a_long_interruption_are_healed_over_rest(
    open_venue: "OpenVenue", lake: "LakeView", warehouse: Warehouse, load: Callable[[], None]
) -> None:
    """The venue takes no second connection for more than two of its minutes."""
    venue = open_venue(ExchangeConfig(seed=32, time_scale=2 * SCALE, sockets=SocketLimits(connects_per_five_minutes=1)))
    with capturing("BTCUSDT", channels=("klines",)):
        wait_until(lambda: bool(lake.klines("BTCUSDT", "1m")), "a closed minute")
        venue.exchange.disconnect()
        over = time_of(venue) + 5 * MINUTE_US // 2
        wait_until(lambda: time_of(venue) > over, "the end of the interruption")
        venue.exchange.reset()
        wait_until(lambda: bool(open_times_in(lake, "healed", "BTCUSDT")), "the healing", 60)
    load()

    gaps = open_times_in(lake, "gap", "BTCUSDT")
    assert len(gaps) >= 2
    assert open_times_in(lake, "healed", "BTCUSDT") == gaps
    klines = sorted(lake.klines("BTCUSDT", "1m"))
    assert klines == klines_of(venue, "BTCUSDT", klines[0].open_time, klines[-1].open_time)
    assert klines == silver_klines(warehouse, "BTCUSDT")
    _, rows = warehouse.query_table("select toUnixTimestamp64Micro(open_time) from klines where source = 'rest'")
    assert {open_time for (open_time,) in rows} == gaps
    assert {(row["cause"], row["detail"]) for row in events_of(lake.store, "gap")} == {("disconnect", "1m")}
    refused = events_of(lake.store, "connect_failed")
    assert refused
    assert all("HTTP 429" in row["detail"] for row in refused)
    assert_silver_holds_everything_once(warehouse, lake)


def test_candles_between_a_backfill_and_the_first_live_one_are_healed(
    open_venue: "OpenVenue", lake: "LakeView", backfill: "RunBackfill"
) -> None:
    venue = open_venue(ExchangeConfig(seed=34, time_scale=SCALE, now=(now_us() - HOUR_US) // 1_000))
    end = time_of(venue) // MINUTE_US * MINUTE_US - 7 * MINUTE_US
    backfill("BTCUSDT", start=format_instant(end - 9 * MINUTE_US), end=format_instant(end))
    with capturing("BTCUSDT", channels=("klines",)):
        wait_until(lambda: bool(open_times_in(lake, "healed", "BTCUSDT")), "the healing", 60)
    gaps = open_times_in(lake, "gap", "BTCUSDT")
    assert min(gaps) == end
    assert open_times_in(lake, "healed", "BTCUSDT") == gaps
    klines = sorted(lake.klines("BTCUSDT", "1m"))
    assert klines == klines_of(venue, "BTCUSDT", end - 9 * MINUTE_US, klines[-1].open_time)


def test_minutes_in_which_nobody_could_trade_stay_gaps_with_the_reason(open_venue: "OpenVenue", lake: "LakeView") -> None:
    venue = open_venue(ExchangeConfig(seed=33, time_scale=2 * SCALE))
    with capturing("ETHUSDT", channels=("klines",)):
        wait_until(lambda: bool(lake.klines("ETHUSDT", "1m")), "a closed minute")
        first = time_of(venue) // MINUTE_US * MINUTE_US + 2 * MINUTE_US
        halted = {first, first + MINUTE_US}
        venue.exchange.set_halts([Halt("ETHUSDT", min(halted) // 1_000, (max(halted) + MINUTE_US) // 1_000)])
        wait_until(lambda: bool(open_times_in(lake, "heal_failed", "ETHUSDT")), "the venue's answer", 60)

    assert open_times_in(lake, "gap", "ETHUSDT") == open_times_in(lake, "heal_failed", "ETHUSDT") == halted
    assert {row["cause"] for row in events_of(lake.store, "heal_failed")} == {"venue_has_no_data"}
    assert events_of(lake.store, "healed") == []
    klines = lake.klines("ETHUSDT", "1m")
    assert klines == klines_of(venue, "ETHUSDT", klines[0].open_time, klines[-1].open_time)


def symbols_in_tickers(venue: "Venue") -> Iterator[str]:
    """As another client hears them."""
    with connect(f"{venue.exchange.ws_url}/ws/!miniTicker@arr", proxy=None) as socket:
        while True:
            yield from (ticker["s"] for ticker in orjson.loads(socket.recv(timeout=30)))


def time_of(venue: "Venue") -> int:
    """The exchange's clock, microseconds."""
    answer = httpx.get(f"{venue.exchange.url}/api/v3/time", trust_env=False).raise_for_status()
    return int(answer.json()["serverTime"]) * 1_000


def klines_of(venue: "Venue", symbol: str, first: int, last: int) -> "list[Kline]":
    """What REST says of these open times, both included."""
    start, end = (datetime.fromtimestamp(at // 1_000_000, UTC).replace(tzinfo=None) for at in (first, last + MINUTE_US))
    return venue.klines(symbol, "1m", start.isoformat(), end.isoformat())


def silver_klines(warehouse: Warehouse, symbol: str) -> list[tuple[Any, ...]]:
    _, rows = warehouse.query_table(
        "select toUnixTimestamp64Micro(open_time), open, high, low, close, volume, toUnixTimestamp64Micro(close_time),"
        " quote_volume, trade_count, taker_buy_volume, taker_buy_quote_volume"
        f" from klines where symbol = '{symbol}' and interval = '1m' order by open_time"
    )
    return [tuple(row) for row in rows]


def open_times_in(lake: "LakeView", event: str, symbol: str) -> set[int]:
    """All open times of these events; one in two of them is one too many."""
    found: set[int] = set()
    for row in events_of(lake.store, event, "klines"):
        if row["symbol"] == symbol:
            span = set(range(row["from_update_id"], row["to_update_id"] + 1, MINUTE_US))
            assert found.isdisjoint(span)
            found |= span
    return found


def assert_tickers_are_the_venues(venue: "Venue", lake: "LakeView", symbol: str) -> None:
    """The open is that of the minute 24 hours ago, the close a price somebody traded at."""
    tickers = [row for row in rows_of(lake.store, "tickers") if row["symbol"] == symbol]
    told_at = [round(row["event_time"].timestamp() * 1_000) * 1_000 for row in tickers]
    assert len(set(told_at)) == len(told_at) > 60
    day_ago = [at // MINUTE_US * MINUTE_US - DAY_US for at in told_at]
    opens = {kline.open_time: kline.open for kline in klines_of(venue, symbol, min(day_ago), max(day_ago))}
    assert [row["open"] for row in tickers] == [opens[at] for at in day_ago]
    prices = {row["price"] for row in rows_of(lake.store, "trades") if row["symbol"] == symbol}
    assert {row["close"] for row in tickers[1:]} <= prices
    assert all(row["low"] <= row["close"] <= row["high"] for row in tickers)
    assert {row["best_bid_price"] for row in tickers} == {None}


def assert_silver_holds_everything_once(warehouse: Warehouse, lake: "LakeView") -> None:
    """Every row of the lake is in bronze, and its key is in silver once."""
    for view, key in KEYS.items():
        _, [(in_silver, keys)] = warehouse.query_table(f"select count(), uniqExact({key}) from {view}")
        _, [(in_bronze, bronze_keys)] = warehouse.query_table(f"select count(), uniqExact({key}) from bronze_{view}")
        assert in_bronze == row_count(lake.store, FOLDERS.get(view, view))
        assert in_silver == keys == bronze_keys == in_bronze, view
