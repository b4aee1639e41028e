"""One market at two venues: its name, the spread per minute, and who leads, against numpy."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from tickhouse_core.warehouse import Warehouse

from .warehouse_rows import (
    DEPTH_DIFFS,
    DEPTH_SNAPSHOTS,
    KLINES,
    TRADES,
    depth_diff,
    depth_snapshot,
    klines,
    land,
    select,
    trades,
    transform,
    us,
)

START = us("2024-08-09T10:00:00")
SECOND = 1_000_000


def wander(seconds: int = 60, seed: int = 3) -> list[Decimal]:
    """A price that moves every second."""
    steps = np.random.default_rng(seed).integers(-50, 51, seconds)
    return [Decimal(60_000) + Decimal(int(step)) / 100 for step in np.cumsum(steps)]


def second_trades(venue: str, symbol: str, prices: list[Decimal], shift: int = 0) -> pa.Table:
    """A trade a second, the last one of each at half past it; `shift` seconds later than the price was made."""
    times = [START + (place + shift) * SECOND + SECOND // 2 for place in range(len(prices) - shift)]
    texts = [str(price) for price in prices[: len(times)]]
    return trades(range(1, len(times) + 1), times_us=times, prices=texts, symbol=symbol, venue=venue)


@pytest.mark.slow
def test_symbols_of_one_market_have_one_name(warehouse: Warehouse) -> None:
    spot = (("binance", "BTCUSDT"), ("kucoin", "BTC-USDT"), ("kucoin", "KCS-BTC"), ("binance", "XBTUSDC"))
    futures = (
        ("binance-coinm", "BNBUSD_PERP"),
        ("binance-coinm", "BTCUSD_231229"),
        ("binance-usdm", "BTCUSDT"),
        ("binance-usdm", "BTCUSDT_231299"),
    )
    for venue, symbol in (*spot, *futures):
        land(warehouse, KLINES, klines([START], symbol=symbol, venue=venue), key=f"{venue}{symbol}")
    transform(warehouse)
    assert warehouse.query(
        "select venue, symbol, market, base_asset, quote_asset, kind, toString(delivery_time) from gold_symbol_map "
        "order by venue, symbol"
    ) == [
        ("binance", "BTCUSDT", "BTCUSDT", "BTC", "USDT", "spot", None),
        ("binance", "XBTUSDC", "XBTUSDC", "XBT", "USDC", "spot", None),
        ("binance-coinm", "BNBUSD_PERP", "BNBUSDT", "BNB", "USD", "perpetual", None),
        ("binance-coinm", "BTCUSD_231229", "BTCUSDT", "BTC", "USD", "delivery", "2023-12-29 08:00:00"),
        ("binance-usdm", "BTCUSDT", "BTCUSDT", "BTC", "USDT", "perpetual", None),
        ("binance-usdm", "BTCUSDT_231299", "BTCUSDT", "BTC", "USDT", "delivery", None),
        ("kucoin", "BTC-USDT", "BTCUSDT", "BTC", "USDT", "spot", None),
        ("kucoin", "KCS-BTC", "KCSBTC", "KCS", "BTC", "spot", None),
    ]
    warehouse.insert_rows("symbol_aliases", [{"venue": "binance", "symbol": "XBTUSDC", "market": "BTCUSDC"}])
    [named] = warehouse.query("select market, base_asset, quote_asset from gold_symbol_map where symbol = 'XBTUSDC'")
    assert named == ("BTCUSDC", "BTC", "USDC")


@pytest.mark.slow
@pytest.mark.parametrize(("shift", "lead"), [(0, 0), (2, 2)], ids=["together", "two seconds later"])
def test_the_spread_and_the_lead_of_a_minute(shift: int, lead: int, warehouse: Warehouse) -> None:
    prices = wander()
    dearer = [price + 6 for price in prices]
    land(warehouse, TRADES, second_trades("binance", "BTCUSDT", prices), key="a")
    land(warehouse, TRADES, second_trades("kucoin", "BTC-USDT", dearer, shift), key="b")
    built = transform(warehouse)
    assert built > 0
    [row] = select(warehouse, "select * from gold_cross_venue_1m")
    assert (row["basis"], row["market"], row["venue_a"], row["venue_b"]) == ("trades", "BTCUSDT", "binance", "kucoin")
    a, b = np.array(prices, float), np.array(dearer[: 60 - shift], float)
    spreads = (b - a[shift:]) / ((a[shift:] + b) / 2) * 1e4
    assert row["common_seconds"] == 60 - shift
    assert (row["last_price_a"], row["last_price_b"]) == (prices[-1], dearer[59 - shift])
    assert row["last_spread"] == dearer[59 - shift] - prices[-1]
    assert row["average_spread_bps"] == pytest.approx(spreads.mean(), rel=1e-9)
    assert (row["lowest_spread_bps"], row["highest_spread_bps"]) == pytest.approx((spreads.min(), spreads.max()), rel=1e-9)
    assert row["lead_seconds"] == lead
    assert row["lead_correlation"] == pytest.approx(1.0, abs=1e-6)
    [close] = select(warehouse, "select * from gold_spread_1m")
    assert close["spread"] == row["last_spread"]


@pytest.mark.slow
def test_the_other_venue_may_lead(warehouse: Warehouse) -> None:
    prices = wander(seed=8)
    land(warehouse, TRADES, second_trades("binance", "BTCUSDT", prices, shift=3), key="a")
    land(warehouse, TRADES, second_trades("kucoin", "BTC-USDT", prices), key="b")
    transform(warehouse)
    assert warehouse.query("select lead_seconds from gold_cross_venue_1m") == [(-3,)]


@pytest.mark.slow
def test_a_market_at_one_venue_has_no_row_and_one_that_stands_still_no_lead(warehouse: Warehouse) -> None:
    land(warehouse, TRADES, second_trades("binance", "ETHUSDT", wander()), key="alone")
    still = [Decimal(5)] * 60
    land(warehouse, TRADES, second_trades("binance", "AAAUSDT", still), key="a")
    land(warehouse, TRADES, second_trades("kucoin", "AAA-USDT", still), key="b")
    transform(warehouse)
    assert warehouse.query("select market, average_spread_bps, lead_seconds from gold_cross_venue_1m") == [("AAAUSDT", 0.0, None)]


@pytest.mark.slow
def test_contracts_are_compared_with_spot_and_with_contracts_of_their_kind_and_day(warehouse: Warehouse) -> None:
    markets = (
        ("binance", "BTCUSDT"),
        ("binance-coinm", "BTCUSD_PERP"),
        ("binance-coinm", "BTCUSD_241227"),
        ("binance-usdm", "BTCUSDT"),
        ("binance-usdm", "BTCUSDT_241227"),
        ("binance-usdm", "BTCUSDT_250328"),
        ("binance-usdm", "BTCUSDC"),
    )
    for place, (venue, symbol) in enumerate(markets):
        prices = [Decimal(1_000 + place)] * 60
        land(warehouse, TRADES, second_trades(venue, symbol, prices), key=f"{venue}{symbol}")
        land(warehouse, KLINES, klines([START], venue=venue, symbol=symbol, close=str(1_000 + place)), key=f"k{venue}{symbol}")
    transform(warehouse)
    expected = [
        ("binance/BTCUSDT spot", "binance-coinm/BTCUSD_241227 delivery", 2),
        ("binance/BTCUSDT spot", "binance-coinm/BTCUSD_PERP perpetual", 1),
        ("binance/BTCUSDT spot", "binance-usdm/BTCUSDT perpetual", 3),
        ("binance/BTCUSDT spot", "binance-usdm/BTCUSDT_241227 delivery", 4),
        ("binance/BTCUSDT spot", "binance-usdm/BTCUSDT_250328 delivery", 5),
        ("binance-coinm/BTCUSD_241227 delivery", "binance-usdm/BTCUSDT_241227 delivery", 2),
        ("binance-coinm/BTCUSD_PERP perpetual", "binance-usdm/BTCUSDT perpetual", 2),
    ]
    for view, spread in (("gold_cross_venue_1m", "last_spread"), ("gold_spread_1m", "spread")):
        found = warehouse.query(
            f"select venue_a || '/' || symbol_a || ' ' || kind_a as a, venue_b || '/' || symbol_b || ' ' || kind_b as b, "
            f"{spread} from {view} where market = 'BTCUSDT'"
        )
        assert sorted(tuple(row) for row in found) == sorted(expected), view
    assert warehouse.query("select distinct market from gold_cross_venue_1m") == [("BTCUSDT",)]


@pytest.mark.slow
def test_late_trades_and_a_rebuild_give_the_same_rows(warehouse: Warehouse) -> None:
    prices = wander(seed=5)
    early, late = second_trades("binance", "BTCUSDT", prices), second_trades("kucoin", "BTC-USDT", prices, shift=1)
    land(warehouse, TRADES, late.slice(0, 30), key="first")
    transform(warehouse)
    assert warehouse.query("select count() from gold_cross_venue_1m") == [(0,)]
    land(warehouse, TRADES, early, key="second")
    transform(warehouse)
    land(warehouse, TRADES, late.slice(30), key="third")
    transform(warehouse)
    pieces = warehouse.query("select * from gold_cross_venue_1m")
    transform(warehouse, rebuild=True)
    assert warehouse.query("select * from gold_cross_venue_1m") == pieces
    assert len(pieces) == 1


@pytest.mark.slow
def test_books_that_are_proven_are_compared_by_their_middle(warehouse: Warehouse) -> None:
    for venue, symbol, offset in (("binance", "BTCUSDT", 0), ("kucoin", "BTC-USDT", 10)):
        market = (venue, symbol)
        bids, asks = [[str(100 + offset), "1"]], [[str(102 + offset), "1"]]
        snapshot = depth_snapshot(1, receipt_us=START - SECOND, bids=bids, asks=asks, market=market)
        land(warehouse, DEPTH_SNAPSHOTS, snapshot, key=f"{venue}s")
        for number in range(2, 62):
            diff = depth_diff(
                number, number, event_us=START + (number - 2) * SECOND, bids=[[str(100 + offset), str(number)]], market=market
            )
            land(warehouse, DEPTH_DIFFS, diff, key=f"{venue}{number}")
    transform(warehouse)
    rows = select(warehouse, "select * from gold_cross_venue_1m where basis = 'book' and open_time = '2024-08-09 10:00:00'")
    [row] = rows
    assert (row["last_price_a"], row["last_price_b"]) == (Decimal(101), Decimal(111))
    assert row["common_seconds"] >= 58
    assert row["average_spread_bps"] == pytest.approx(10 / 106 * 1e4)
