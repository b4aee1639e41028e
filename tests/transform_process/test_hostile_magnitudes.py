"""Values that fit their columns and whose sums do not: gold is exact or null there, goes on for all, and a check says so."""

from decimal import Decimal

import pytest

from extract_process.records import DepthDiff, DepthSnapshot
from extract_process.spool.row_buffer import ArrowRows
from tickhouse_core.datasets import DEPTH_DIFFS, DEPTH_SNAPSHOTS
from tickhouse_core.timestamps import HOUR_US, MINUTE_US, SECOND_US
from tickhouse_core.warehouse import Warehouse
from transform_process.checks import read_checks, run_checks

from . import warehouse_rows as rows
from .warehouse_rows import KLINES, TRADES, Row, land, select, table_of, transform, us

START = us("2024-08-09")
MOST = "99999999999999999999"
"""20 digits: with 18 decimals the largest number of 38 digits, but for them."""

TRADED = {
    "WIDEUSDT": [(MOST, MOST)] * 7,
    "SUMUSDT": [("1", MOST)] * 20,
    "PRODUCTUSDT": [("100000", "1000000000000000")] * 5,
    "EDGEUSDT": [("1", "49999999999999999999.5")] * 2,
    "SMALLUSDT": [("0.000000000001", "100000000000000")] * 3,
    "TINYUSDT": [("0.000000000000000001", "0.000000000000000001")],
    "BTCUSDT": [("64000.01", "0.25"), ("64000.02", "1.75")],
}
"""Price and quantity of trades of the first seconds of a minute."""


def land_trades(warehouse: Warehouse) -> None:
    for symbol, pairs in TRADED.items():
        prices, quantities = zip(*pairs, strict=True)
        times = [START + number * SECOND_US for number in range(len(pairs))]
        columns: Row = {"venue": "binance", "symbol": symbol, "trade_id": list(range(1, len(pairs) + 1)), "is_buyer_maker": False}
        columns |= {"price": list(prices), "quantity": list(quantities)}
        columns |= {"trade_time": times, "event_time": times, "receipt_time": times}
        land(warehouse, TRADES, table_of(TRADES, columns))


def exact_or_none(total: Decimal) -> Decimal | None:
    """What storage has room for: 38 digits, 18 of them decimals; what is below the last one is cut."""
    cut = Decimal(int(total.scaleb(18))).scaleb(-18)
    return cut if abs(total) < Decimal(10) ** 20 else None


def test_a_sum_is_exact_or_null_and_stops_no_symbol(warehouse: Warehouse) -> None:
    land_trades(warehouse)
    transform(warehouse)
    for interval in ("1m", "5m", "15m", "30m", "1h", "4h", "1d"):
        check_interval(warehouse, interval)
    assert transform(warehouse) == 0, "the watermark has moved"


def check_interval(warehouse: Warehouse, interval: str) -> None:
    found = {row["symbol"]: row for row in select(warehouse, f"select * from gold_ohlcv_{interval}")}
    assert found.keys() == TRADED.keys()
    for symbol, pairs in TRADED.items():
        numbers = [(Decimal(price), Decimal(quantity)) for price, quantity in pairs]
        row = found[symbol]
        volume = exact_or_none(sum((quantity for _, quantity in numbers), Decimal()))
        quote_volume = exact_or_none(sum((price * quantity for price, quantity in numbers), Decimal()))
        assert (row["volume"], row["quote_volume"]) == (volume, quote_volume), symbol
        assert (row["taker_buy_volume"], row["taker_buy_quote_volume"]) == (volume, quote_volume), symbol
        assert (row["high"], row["close"], row["trade_count"]) == (max(numbers)[0], numbers[-1][0], len(numbers)), symbol
    assert found["WIDEUSDT"]["vwap"] is None
    assert found["EDGEUSDT"]["volume"] == Decimal(MOST)


@pytest.mark.slow
def test_the_check_names_symbol_minute_and_sums(warehouse: Warehouse) -> None:
    land_trades(warehouse)
    transform(warehouse)
    [verdict] = run_checks(warehouse, read_checks(only=["sums_without_room"]), START - HOUR_US, START + HOUR_US)
    lines = {(finding.symbol, finding.detail.split(" null, ")[0]) for finding in verdict.findings}
    assert {line for line in lines if "gold_ohlcv_1m:" in line[1]} == {
        ("WIDEUSDT", "gold_ohlcv_1m: volume, quote_volume, taker_buy_volume, taker_buy_quote_volume"),
        ("SUMUSDT", "gold_ohlcv_1m: volume, quote_volume, taker_buy_volume, taker_buy_quote_volume"),
        ("PRODUCTUSDT", "gold_ohlcv_1m: quote_volume, taker_buy_quote_volume"),
    }
    assert ("PRODUCTUSDT", "gold_ohlcv_1s: quote_volume, taker_buy_quote_volume") in lines


@pytest.mark.slow
def test_klines_roll_up_to_null_and_not_to_another_number(warehouse: Warehouse) -> None:
    minutes = [START + number * MINUTE_US for number in range(5)]
    land(warehouse, KLINES, rows.klines(minutes, volume=MOST, trade_count=2**63 - 1))
    transform(warehouse)
    minute = select(warehouse, "select * from gold_ohlcv_1m limit 1")[0]
    assert (minute["volume"], minute["trade_count"]) == (Decimal(MOST), 2**63 - 1)
    for interval in ("5m", "1d"):
        [row] = select(warehouse, f"select * from gold_ohlcv_{interval}")
        assert (row["volume"], row["trade_count"], row["quote_volume"]) == (None, None, Decimal(5 * 201)), interval


@pytest.mark.slow
def test_a_kline_of_its_own_stands_where_its_parts_have_no_sum(warehouse: Warehouse) -> None:
    land(warehouse, KLINES, rows.klines([START, START + MINUTE_US], volume=MOST))
    land(warehouse, KLINES, rows.klines([START], interval="5m", minutes=5, volume="7"))
    transform(warehouse)
    [row] = select(warehouse, "select volume, source, is_complete from gold_ohlcv_5m")
    assert row == {"volume": Decimal(7), "source": "klines", "is_complete": True}


def test_averages_of_the_largest_closes_are_right(warehouse: Warehouse) -> None:
    """The sum of 1,000 closes is a hundred times what Decimal(38, 18) holds."""
    minutes = [START + number * MINUTE_US for number in range(1000)]
    land(warehouse, KLINES, rows.klines(minutes, close=[MOST, "10000000000000000000"] * 500))
    transform(warehouse)
    newest = select(
        warehouse, "select sma_20, sma_200, ema_50, bollinger_upper from gold_indicators_1m order by open_time desc limit 1"
    )
    middle = (float(MOST) + 1e19) / 2
    assert newest[0]["sma_20"] == pytest.approx(middle, rel=1e-12)
    assert newest[0]["sma_200"] == pytest.approx(middle, rel=1e-12)
    assert newest[0]["ema_50"] == pytest.approx(middle, rel=0.05)
    assert newest[0]["bollinger_upper"] == pytest.approx(middle + 2 * (float(MOST) - 1e19) / 2, rel=1e-9)


def test_a_book_of_the_largest_numbers_keeps_its_best_prices(warehouse: Warehouse) -> None:
    land_book(warehouse, "binance", "MAXUSDT", bids=[[MOST, MOST], ["99999999999999999998", MOST]], asks=[])
    land_book(warehouse, "binance", "BTCUSDT", bids=[["99", "1"], ["98.9", "2"]], asks=[["101", "3"], ["101.1", MOST]])
    land_book(warehouse, "kucoin", "BTC-USDT", bids=[["98", MOST], ["97.99", MOST]], asks=[["102", "1"]])
    transform(warehouse)
    found = {row["symbol"]: row for row in select(warehouse, "select * from gold_book_top_1s order by open_time")}
    assert found.keys() == {"MAXUSDT", "BTCUSDT", "BTC-USDT"}
    assert (found["MAXUSDT"]["best_bid_price"], found["MAXUSDT"]["best_ask_price"]) == (Decimal(MOST), None)
    assert found["MAXUSDT"]["bid_depth_100bps"] is None
    assert (found["BTCUSDT"]["bid_depth_100bps"], found["BTCUSDT"]["bid_depth_10bps"]) == (Decimal(1), Decimal(0))
    assert found["BTCUSDT"]["spread"] == Decimal(2)
    [verdict] = run_checks(warehouse, read_checks(only=["sums_without_room"]), START - HOUR_US, START + HOUR_US)
    assert {finding.symbol for finding in verdict.findings} == {"MAXUSDT"}
    assert select(warehouse, "select count() as pairs from gold_cross_venue_1m where basis = 'book'") == [{"pairs": 1}]


def land_book(warehouse: Warehouse, venue: str, symbol: str, *, bids: list[list[str]], asks: list[list[str]]) -> None:
    """A snapshot and two diffs that go on from it, three seconds apart."""
    snapshots, diffs = ArrowRows(DEPTH_SNAPSHOTS, venue), ArrowRows(DEPTH_DIFFS, venue)
    snapshots.append(DepthSnapshot(symbol, 10, bids, asks, "start"), START)
    for number in (1, 2):
        at = START + 3 * number * SECOND_US
        diffs.append(DepthDiff(symbol, 10 + number, 10 + number, [["1", str(number)]], [], at), at)
    land(warehouse, DEPTH_SNAPSHOTS, snapshots.table())
    land(warehouse, DEPTH_DIFFS, diffs.table())


@pytest.mark.slow
@pytest.mark.parametrize("scale", [9 * 10**18, 99 * 10**18])
def test_bollinger_bands_of_closes_near_the_end_of_the_range(scale: int, warehouse: Warehouse) -> None:
    """Sums of a block's squares go round in 256 bits: their differences must be right all the same."""
    closes = [scale - (number * number * 7 + number * 3) % 101 * 10**15 for number in range(1_000)]
    opens = [us("2024-08-09") + number * MINUTE_US for number in range(1_000)]
    land(warehouse, KLINES, rows.klines(opens, close=[str(close) for close in closes]))
    transform(warehouse)
    found = warehouse.query("select bollinger_upper, bollinger_lower from gold_indicators_1m order by open_time")
    for last in range(19, 1_000):
        window = closes[last - 19 : last + 1]
        deviation = (20 * sum(close * close for close in window) - sum(window) ** 2) ** 0.5 / 20
        expected = (sum(window) / 20 + 2 * deviation, sum(window) / 20 - 2 * deviation)
        assert found[last] == pytest.approx(expected, rel=1e-14)
