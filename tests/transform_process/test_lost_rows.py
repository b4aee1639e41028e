"""Gold after an object that no longer says what it said: the next pass has what a rebuild would have."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from tests.load_process.conftest import land, load_objects, parquet

from tickhouse_core.datasets import Dataset
from tickhouse_core.timestamps import MINUTE_US, SECOND_US
from tickhouse_core.warehouse import Warehouse
from transform_process.catalog import TRANSFORMS

from . import warehouse_rows as rows
from .warehouse_rows import BOOK_TICKERS, DEPTH_DIFFS, DEPTH_SNAPSHOTS, KLINES, TRADES, Row, select, transform, us

if TYPE_CHECKING:
    from conftest import Lake

pytestmark = pytest.mark.slow

START = us("2024-08-09 10:00:00")
TABLES = {step.target for made in TRANSFORMS for step in made.steps}


def put(lake: Lake, warehouse: Warehouse, dataset: Dataset, table: pa.Table, name: str = "x") -> None:
    load_objects(lake, warehouse, land(lake, parquet(table), f"{dataset.prefix}venue=binance/{name}.parquet"))


def gold(warehouse: Warehouse) -> dict[str, list[Row]]:
    """Everything that is stored, but for who built it."""
    return {
        table: select(warehouse, f"select * except build_version from {table} final order by all settings final = 1")
        for table in sorted(TABLES)
    }


def passes_like_a_rebuild(warehouse: Warehouse) -> dict[str, list[Row]]:
    transform(warehouse)
    found = gold(warehouse)
    transform(warehouse, rebuild=True)
    assert found == gold(warehouse)
    return found


def test_a_candle_that_an_object_lost_is_gone_and_longer_ones_are_made_of_what_is_left(
    moto_lake: Lake, warehouse: Warehouse
) -> None:
    minutes = rows.klines([START + number * MINUTE_US for number in (0, 1, 7)])
    put(moto_lake, warehouse, KLINES, minutes)
    put(moto_lake, warehouse, KLINES, rows.klines([START], symbol="ETHUSDT"), "eth")
    transform(warehouse)
    put(moto_lake, warehouse, KLINES, minutes.take([0]))
    found = passes_like_a_rebuild(warehouse)
    of_btc = [(row["interval"], row["trade_count"]) for row in found["stored_ohlcv"] if row["symbol"] == "BTCUSDT"]
    (count,) = {count for _, count in of_btc}
    assert len(of_btc) == len({interval for interval, _ in of_btc}) == 7  # one of each, from 1m on
    assert count == minutes.column("trade_count")[0].as_py()
    assert len([row for row in found["stored_ohlcv"] if row["symbol"] == "ETHUSDT"]) == 7


def test_a_candle_that_another_object_says_otherwise_is_as_that_one_says(moto_lake: Lake, warehouse: Warehouse) -> None:
    """The other's row was loaded long ago, and was beaten: nothing is new but that it is seen."""
    put(moto_lake, warehouse, KLINES, rows.klines([START], close="1", receipt_time=START), "other")
    put(moto_lake, warehouse, KLINES, rows.klines([START], close="9", receipt_time=START + 1))
    transform(warehouse)
    put(moto_lake, warehouse, KLINES, rows.klines([START]).slice(0, 0))
    found = passes_like_a_rebuild(warehouse)
    assert {str(row["close"].normalize()) for row in found["stored_ohlcv"]} == {"1"}


def test_a_trade_that_an_object_lost_is_in_no_candle_and_its_neighbours_are_incomplete(
    moto_lake: Lake, warehouse: Warehouse
) -> None:
    times = [START + number * MINUTE_US for number in (0, 0, 1, 2, 3)]
    table = rows.trades([1, 2, 3, 4, 5], times_us=times)
    put(moto_lake, warehouse, TRADES, table)
    put(moto_lake, warehouse, TRADES, rows.trades([1, 2], times_us=times[:2], venue="kucoin", symbol="BTC-USDT"), "other")
    transform(warehouse)
    put(moto_lake, warehouse, TRADES, table.take([0, 1, 3, 4]))
    found = passes_like_a_rebuild(warehouse)
    ours = [row for row in found["stored_ohlcv"] if row["interval"] == "1m" and row["venue"] == "binance"]
    assert [(row["first_trade_id"], row["is_complete"]) for row in ours] == [(1, False), (4, False), (5, False)]


def test_a_trade_that_an_object_has_at_another_time_leaves_nothing_where_it_was(moto_lake: Lake, warehouse: Warehouse) -> None:
    put(moto_lake, warehouse, TRADES, rows.trades([1], times_us=[START]))
    transform(warehouse)
    put(moto_lake, warehouse, TRADES, rows.trades([1], times_us=[START + MINUTE_US]))
    found = passes_like_a_rebuild(warehouse)
    assert {row["open_time"].minute for row in found["stored_ohlcv"] if row["interval"] in ("1s", "1m")} == {1}


@pytest.mark.parametrize("lost", ["diff", "snapshot"])
def test_a_book_that_stood_on_what_an_object_lost_is_not_told(lost: str, moto_lake: Lake, warehouse: Warehouse) -> None:
    snapshot = rows.depth_snapshot(10, receipt_us=START, bids=[["99", "1"]], asks=[["101", "2"]])
    diffs = pa.concat_tables(
        rows.depth_diff(number, number, event_us=START + seconds * SECOND_US, bids=[["98", "1"]], asks=[])
        for number, seconds in ((11, 1), (12, 5), (13, 70), (14, 4_000), (15, 4_010))
    ).unify_dictionaries()
    put(moto_lake, warehouse, DEPTH_SNAPSHOTS, snapshot)
    put(moto_lake, warehouse, DEPTH_DIFFS, diffs)
    transform(warehouse)
    before = gold(warehouse)
    if lost == "diff":
        put(moto_lake, warehouse, DEPTH_DIFFS, diffs.take([0, 2, 3, 4]))
    else:
        put(moto_lake, warehouse, DEPTH_SNAPSHOTS, snapshot.slice(0, 0))
    found = passes_like_a_rebuild(warehouse)
    assert len(found["stored_book_top"]) < len(before["stored_book_top"])


@pytest.mark.parametrize("lost", ["quote", "trade"])
def test_quotes_that_an_object_lost_are_in_no_second_and_those_that_are_left_stay(
    lost: str, moto_lake: Lake, warehouse: Warehouse
) -> None:
    tops = rows.book_tickers([(number, START + number * SECOND_US, "1", "1", "2", "1") for number in (1, 2, 70)])
    trades = rows.trades([1, 2], times_us=[START, START + SECOND_US])
    put(moto_lake, warehouse, BOOK_TICKERS, tops)
    put(moto_lake, warehouse, TRADES, trades)
    transform(warehouse)
    assert len(gold(warehouse)["stored_quotes"]) == 3
    if lost == "quote":
        put(moto_lake, warehouse, BOOK_TICKERS, tops.take([0, 2]))
    else:
        put(moto_lake, warehouse, TRADES, trades.take([0]))
    found = passes_like_a_rebuild(warehouse)["stored_quotes"]
    assert [row["update_id"] for row in found] == ([1, 70] if lost == "quote" else [1, 2, 70])


def test_a_symbol_that_lost_its_last_row_has_no_name_and_one_that_is_loaded_again_has(
    moto_lake: Lake, warehouse: Warehouse
) -> None:
    put(moto_lake, warehouse, TRADES, rows.trades([1], times_us=[START], symbol="GONE"))
    put(moto_lake, warehouse, TRADES, rows.trades([1, 2], times_us=[START, START], symbol="LESS"), "less")
    transform(warehouse)
    put(moto_lake, warehouse, TRADES, rows.trades([1], times_us=[START], symbol="GONE").slice(0, 0))
    put(moto_lake, warehouse, TRADES, rows.trades([1], times_us=[START], symbol="LESS"), "less")
    transform(warehouse)
    assert [row["symbol"] for row in gold(warehouse)["stored_symbol_names"]] == ["LESS"]
    put(moto_lake, warehouse, TRADES, rows.trades([7], times_us=[START], symbol="GONE"))
    transform(warehouse)
    assert [row["symbol"] for row in gold(warehouse)["stored_symbol_names"]] == ["GONE", "LESS"]


def test_lost_minutes_go_once_every_transform_has_long_seen_them(warehouse: Warehouse) -> None:
    def tell(days_ago: int) -> None:
        warehouse.command(
            "insert into ops_lost_minutes select 'trades', 'binance', 'X', now(), now64(6) - toIntervalDay({days:UInt32})",
            {"days": days_ago},
        )

    tell(40)
    tell(20)
    transform(warehouse)
    ages = "select dateDiff('day', load_time, now64(6)) as days from ops_lost_minutes"
    assert select(warehouse, ages) == [{"days": 20}]
