import random
from datetime import datetime
from decimal import ROUND_DOWN, Decimal, localcontext
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from tickhouse_core.datasets import Dataset
from tickhouse_core.lifecycle import StopRequest
from tickhouse_core.timestamps import HOUR_US, INTERVAL_SECONDS, MINUTE_US, from_datetime
from tickhouse_core.warehouse import Warehouse
from transform_process.transformer import Transformer, TransformOptions

from . import warehouse_rows as rows
from .warehouse_rows import KLINES, TRADES, Row, land, same_after_rebuild, select, transform, us

START = us("2024-08-09")
VALUES = ("open", "high", "low", "close", "volume")


def ohlcv(warehouse: Warehouse, interval: str) -> list[Row]:
    return select(warehouse, f"select * from gold_ohlcv_{interval} order by venue, symbol, open_time")


def gold(warehouse: Warehouse) -> dict[str, list[Row]]:
    return {interval: ohlcv(warehouse, interval) for interval in INTERVAL_SECONDS}


def values(row: Row) -> list[Any]:
    return [row[name] for name in VALUES]


@pytest.mark.slow
def test_recorded_trades_make_the_recorded_klines_of_the_ten_whole_minutes(warehouse: Warehouse, shared_data: Path) -> None:
    land(warehouse, TRADES, rows.recorded_trades(shared_data))
    transform(warehouse)
    found = {row["open_time"]: row for row in ohlcv(warehouse, "1m")}
    minutes = [us("2024-08-08T23:55") + number * MINUTE_US for number in range(10)]
    recorded = {
        row["open_time"]: row
        for row in rows.recorded_klines(shared_data, "BTCUSDT")
        .slice((minutes[0] - us("2024-01-01")) // MINUTE_US, 10)
        .to_pylist()
    }
    assert [from_datetime(instant) for instant in recorded] == minutes
    for instant, kline in recorded.items():
        assert values(found[instant]) == values(kline)
        assert (found[instant]["source"], found[instant]["is_complete"]) == ("trades", True)
    first, last = min(found), max(found)
    assert [found[first]["is_complete"], found[last]["is_complete"]] == [False, False], "the session cuts these minutes"


@pytest.mark.slow
def test_seconds_sum_up_to_minutes(warehouse: Warehouse, shared_data: Path) -> None:
    land(warehouse, TRADES, rows.recorded_trades(shared_data))
    transform(warehouse)
    sums = "sum(volume), sum(quote_volume), sum(trade_count), sum(taker_buy_volume), sum(taker_buy_quote_volume)"
    sums += ", max(high), min(low)"
    expected = "sum(quantity), sum(price * toDecimal256(quantity, 18)), count(), sumIf(quantity, not is_buyer_maker), "
    expected += "sumIf(price * toDecimal256(quantity, 18), not is_buyer_maker), max(price), min(price)"
    of_trades = warehouse.query(f"select {expected} from trades")
    for interval in INTERVAL_SECONDS:
        assert warehouse.query(f"select {sums} from gold_ohlcv_{interval}") == of_trades, interval


@pytest.mark.slow
@pytest.mark.parametrize("symbol", ["BTCUSDT", "ETHUSDT"])
def test_minutes_roll_up_to_the_recorded_rest_klines(symbol: str, warehouse: Warehouse, shared_data: Path) -> None:
    land(warehouse, KLINES, rows.recorded_klines(shared_data, symbol))
    transform(warehouse)
    for interval in ("30m", "1h"):
        recorded = rows.recorded_rest_klines(shared_data, f"binance_rest_klines_{symbol}_{interval}_2024.jsonl.gz")
        found = ohlcv(warehouse, interval)
        assert len(found) == 366 * 24 * HOUR_US // (INTERVAL_SECONDS[interval] * 1_000_000)
        worst = Decimal(0)
        for row in found:
            kline = recorded[from_datetime(row["open_time"])]
            assert values(row)[:4] == [Decimal(text) for text in kline[1:5]]
            worst = max(worst, abs(row["volume"] - Decimal(kline[5])))
            assert (row["source"], row["is_complete"]) == ("klines", True)
        assert worst <= Decimal("0.000001"), interval


@pytest.mark.slow
def test_vwap_is_quote_volume_by_volume(warehouse: Warehouse) -> None:
    land(warehouse, TRADES, rows.trades([1, 2, 3], prices=["100", "110", "111"]))
    transform(warehouse)
    [row] = ohlcv(warehouse, "1d")
    assert row["vwap"] == Decimal("107")
    assert row["taker_buy_volume"] == Decimal("1")
    assert row["taker_buy_quote_volume"] == Decimal("105.5")


@pytest.mark.slow
def test_an_interval_without_volume_has_no_vwap(warehouse: Warehouse) -> None:
    land(warehouse, KLINES, rows.klines([START], volume="0"))
    transform(warehouse)
    assert ohlcv(warehouse, "1m")[0]["vwap"] is None


def minutes_of_trades(*ids: int) -> Any:
    """One trade a minute."""
    return rows.trades(ids, times_us=[START + number * MINUTE_US for number in ids])


def completeness(warehouse: Warehouse, interval: str = "1m") -> list[tuple[int, str, bool]]:
    length = INTERVAL_SECONDS[interval] * 1_000_000
    return [
        ((from_datetime(row["open_time"]) - START) // length, row["source"], row["is_complete"])
        for row in ohlcv(warehouse, interval)
    ]


@pytest.mark.slow
def test_a_row_is_complete_once_the_trades_around_it_are_here(warehouse: Warehouse) -> None:
    land(warehouse, TRADES, minutes_of_trades(1, 2, 4, 5, 6))
    transform(warehouse)
    expected = [(1, False), (2, False), (4, False), (5, True), (6, False)]
    assert completeness(warehouse) == [(minute, "trades", complete) for minute, complete in expected]
    land(warehouse, TRADES, minutes_of_trades(3))
    transform(warehouse)
    expected = [(1, False), (2, True), (3, True), (4, True), (5, True), (6, False)]
    assert completeness(warehouse) == [(minute, "trades", complete) for minute, complete in expected]


@pytest.mark.slow
def test_the_first_trade_of_a_market_has_nothing_before_it(warehouse: Warehouse) -> None:
    land(warehouse, TRADES, minutes_of_trades(0, 1))
    transform(warehouse)
    assert completeness(warehouse) == [(0, "trades", True), (1, "trades", False)]


@pytest.mark.slow
def test_a_kline_stands_in_where_trades_are_missing(warehouse: Warehouse) -> None:
    land(warehouse, TRADES, minutes_of_trades(1, 2, 3, 5))
    land(warehouse, KLINES, rows.klines([START + minute * MINUTE_US for minute in range(5)]))
    transform(warehouse)
    sources = ["klines", "klines", "trades", "klines", "klines"]
    assert completeness(warehouse) == [*((minute, source, True) for minute, source in enumerate(sources)), (5, "trades", False)]
    assert completeness(warehouse, "5m") == [(0, "mixed", True), (1, "trades", False)]


@pytest.mark.slow
def test_an_open_kline_is_not_complete_and_gives_way_to_the_closed_one(warehouse: Warehouse) -> None:
    land(warehouse, KLINES, rows.klines([START], closed=False, close="100.5"))
    transform(warehouse)
    assert completeness(warehouse) == [(0, "klines", False)]
    land(warehouse, KLINES, rows.klines([START]))
    transform(warehouse)
    assert completeness(warehouse) == [(0, "klines", True)]
    assert ohlcv(warehouse, "1m")[0]["close"] == Decimal(101)


@pytest.mark.slow
def test_times_without_a_trade_do_not_make_a_longer_interval_incomplete(warehouse: Warehouse) -> None:
    land(warehouse, TRADES, rows.trades([7, 8, 9, 10], times_us=[START + minute * MINUTE_US for minute in (-1, 0, 3, 7)]))
    transform(warehouse)
    assert completeness(warehouse, "5m") == [(-1, "trades", False), (0, "trades", True), (1, "trades", False)]


@pytest.mark.slow
def test_the_venues_own_hour_stands_in_where_minutes_are_missing(warehouse: Warehouse) -> None:
    land(warehouse, KLINES, rows.klines([START]))
    land(warehouse, KLINES, rows.klines([START], interval="1h", minutes=60, close="77"))
    transform(warehouse)
    assert completeness(warehouse, "30m") == [(0, "klines", False)]
    assert completeness(warehouse, "1h") == [(0, "klines", True)]
    assert ohlcv(warehouse, "1h")[0]["close"] == Decimal(77)
    assert completeness(warehouse, "4h") == [(0, "klines", False)]


@pytest.mark.slow
def test_a_closed_hour_that_another_transformer_saw_loaded_wins_over_incomplete_minutes(warehouse: Warehouse) -> None:
    """Which intervals silver has is asked once a window, of all windows since this process asked last."""
    first, second = (Transformer(warehouse, StopRequest(), TransformOptions(lag_seconds=0)) for _ in range(2))
    land(warehouse, KLINES, rows.klines([START]))
    first.run_pass()
    land(warehouse, KLINES, rows.klines([START], interval="1h", minutes=60, volume="77"))
    second.run_pass()
    land(warehouse, KLINES, rows.klines([START + MINUTE_US]))
    first.run_pass()
    [hour] = ohlcv(warehouse, "1h")
    assert (hour["volume"], hour["is_complete"]) == (Decimal(77), True)


def test_symbols_and_venues_do_not_mix(warehouse: Warehouse) -> None:
    land(warehouse, TRADES, rows.trades([1, 2]))
    land(warehouse, TRADES, rows.trades([1, 2, 3], symbol="ETHUSDT"))
    transform(warehouse)
    assert [(row["symbol"], row["trade_count"]) for row in ohlcv(warehouse, "1d")] == [("BTCUSDT", 2), ("ETHUSDT", 3)]


def damaged(table: Any) -> Any:
    """The object before its repair: every tenth row is missing."""
    return table.take([place for place in range(table.num_rows) if place % 10])


def load_days(warehouse: Warehouse, days: list[int], objects: list[tuple[int, Dataset, Any]], seed: int, pass_every: int) -> None:
    """Every object three times in random order within its day, one of them damaged first, a pass every so many objects."""
    dice = random.Random(seed)
    for day in days:
        of_day = [(dataset, table) for found, dataset, table in objects if found == day] * 3
        dice.shuffle(of_day)
        land(warehouse, of_day[0][0], damaged(of_day[0][1]))
        for place, (dataset, table) in enumerate(of_day):
            if place % pass_every == 1:
                transform(warehouse)
            land(warehouse, dataset, table)
    transform(warehouse)


def empty(warehouse: Warehouse) -> None:
    tables = "select name from system.tables where database = currentDatabase() and engine like '%MergeTree' "
    tables += "and name like {like:String}"
    for like in ("bronze_%", "silver_%", "gold_%", "ops_transform_runs"):
        for (table,) in warehouse.query(tables, {"like": like}):
            warehouse.command("truncate table {table:Identifier}", {"table": table})


@pytest.mark.slow
@pytest.mark.parametrize(
    ("days", "pass_every"),
    [
        pytest.param([8, 9], 15, id="two days"),
        pytest.param([7, 8, 9], 12, id="three days", marks=pytest.mark.long),
    ],
)
def test_gold_does_not_depend_on_order_repetition_or_repair(
    days: list[int], pass_every: int, warehouse: Warehouse, shared_data: Path
) -> None:
    """Acceptance c."""
    trades = rows.by_part(rows.recorded_trades(shared_data), "trade_time", lambda instant: (instant.day, instant.minute))
    first = (us(f"2024-08-0{days[0]}") - us("2024-01-01")) // MINUTE_US
    year = rows.recorded_klines(shared_data, "BTCUSDT")
    klines = rows.by_part(year.slice(first, len(days) * 1440), "open_time", lambda instant: (instant.day, instant.hour // 12))
    objects = [(key[0], TRADES, table) for key, table in trades.items()] + [
        (key[0], KLINES, table) for key, table in klines.items()
    ]
    load_days(warehouse, days, objects, seed=1, pass_every=pass_every)
    forwards = same_after_rebuild(warehouse, gold, ["stored_ohlcv"])
    empty(warehouse)
    load_days(warehouse, days[::-1], objects, seed=2, pass_every=pass_every)
    assert gold(warehouse) == forwards
    assert {interval: len(found) for interval, found in forwards.items() if interval != "1s"} == {
        interval: len(days) * in_a_day
        for interval, in_a_day in {"1m": 1440, "5m": 288, "15m": 96, "30m": 48, "1h": 24, "4h": 6, "1d": 1}.items()
    }
    assert {row["source"] for row in forwards["1m"]} == {"trades", "klines"}
    assert all(row["is_complete"] for row in forwards["1m"])
    [[in_bronze, in_silver]] = warehouse.query("select (select count() from bronze_trades), count() from trades")
    assert in_silver == 19_904
    assert in_bronze >= 3 * in_silver


@pytest.mark.slow
def test_a_transform_run_twice_changes_nothing(warehouse: Warehouse, shared_data: Path) -> None:
    land(warehouse, TRADES, rows.recorded_trades(shared_data))
    assert transform(warehouse) > 0
    before = gold(warehouse)
    assert transform(warehouse) == 0, "nothing was loaded since"
    assert transform(warehouse, rebuild=True) > 0
    assert gold(warehouse) == before


@pytest.mark.slow
def test_small_windows_give_the_same_gold_as_one(warehouse: Warehouse, shared_data: Path) -> None:
    for table in rows.by_part(rows.recorded_trades(shared_data), "trade_time", lambda instant: instant.minute).values():
        land(warehouse, TRADES, table)
    transform(warehouse)
    same_after_rebuild(warehouse, gold, ["stored_ohlcv"], most_rows=3_000)
    windows = warehouse.query("select count() from ops_transform_runs where transform = 'ohlcv' and step = ''")
    assert windows[0][0] > 4


@pytest.mark.slow
def test_every_step_is_written_down(warehouse: Warehouse) -> None:
    land(warehouse, TRADES, rows.trades([1, 2]))
    transform(warehouse)
    runs = select(warehouse, "select * from ops_transform_runs where transform = 'ohlcv' order by run_time, step != ''")
    steps = [run for run in runs if run["step"]]
    assert {run["step"] for run in steps} >= {f"ohlcv_{interval}" for interval in INTERVAL_SECONDS}
    [done] = [run for run in runs if not run["step"]]
    assert (done["loaded_rows"], done["built_rows"]) == (2, sum(run["built_rows"] for run in steps))
    assert done["window_end"] > done["window_start"] == datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@pytest.mark.slow
def test_young_loads_are_left_for_the_next_pass(warehouse: Warehouse) -> None:
    land(warehouse, TRADES, rows.trades([1, 2]))
    assert Transformer(warehouse, StopRequest(), TransformOptions(lag_seconds=60)).run_pass() == 0
    assert transform(warehouse) > 0


@pytest.mark.slow
def test_a_rebuild_leaves_nothing_of_what_silver_no_longer_has(warehouse: Warehouse) -> None:
    """As the loader takes it out of silver when a repaired object no longer says it."""
    land(warehouse, TRADES, minutes_of_trades(1, 2, 3))
    land(warehouse, KLINES, rows.klines([START], symbol="ETHUSDT"))
    land(warehouse, KLINES, rows.klines([START], symbol="NOVAUSDT"))
    transform(warehouse)
    warehouse.command("delete from silver_trades where trade_id = 3")
    warehouse.command("delete from silver_klines where symbol = 'NOVAUSDT'")
    transform(warehouse, rebuild=True)
    transform(warehouse)
    assert sorted(number for number, _, _ in completeness(warehouse)) == [0, 1, 2]
    tables = ("stored_ohlcv", "stored_indicators", "stored_symbol_names")
    for table in tables:
        found = warehouse.query(f"select distinct symbol from {table} final order by symbol")
        assert [str(symbol) for (symbol,) in found] == ["BTCUSDT", "ETHUSDT"], table


@pytest.mark.slow
def test_vwap_is_made_of_sums_with_all_their_digits(warehouse: Warehouse) -> None:
    """A sum that was cut at 18 decimals first would be wrong by 1e-18 / volume: here in the tenth digit."""
    trades = rows.trades([1, 2], prices=["0.123456789012345678", "0.987654321098765432"])
    quantities = pa.array(["0.000000000123456789", "0.000000000987654321"]).cast(TRADES.schema.field("quantity").type)
    land(warehouse, TRADES, trades.set_column(trades.schema.names.index("quantity"), TRADES.schema.field("quantity"), quantities))
    transform(warehouse)
    pairs = zip(trades.column("price").to_pylist(), quantities.to_pylist(), strict=True)
    with localcontext() as digits:
        digits.prec = 60
        exact = sum(price * quantity for price, quantity in pairs) / sum(quantities.to_pylist())
        expected = exact.quantize(Decimal("1e-18"), ROUND_DOWN)
    assert [row["vwap"] for row in (*ohlcv(warehouse, "1m"), *ohlcv(warehouse, "1d"))] == [expected] * 2
