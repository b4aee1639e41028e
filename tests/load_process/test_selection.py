from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.load_process.conftest import FOLDER, KEY, klines, parquet
from tests.load_process.operating import counts, land, redrive, statuses

from load_process.on_demand import Outcome
from load_process.redrive import Selection
from load_process.selection import GapName, parse_gap
from tickhouse_core.datasets import KLINES, TICKERS, TRADES
from tickhouse_core.errors import UsageError
from tickhouse_core.timestamps import HOUR_US, parse_instant
from tickhouse_core.warehouse import Warehouse

if TYPE_CHECKING:
    from conftest import Lake

LOADED = Outcome.LOADED


def test_a_prefix_means_the_parquet_objects_of_datasets(moto_lake: Lake, warehouse: Warehouse) -> None:
    land(moto_lake, 1, 2)
    land(moto_lake, 3, dataset=TICKERS)
    for key in (f"{TRADES.prefix}_SUCCESS", "data_sources/other/x.parquet", "quarantine/x.parquet"):
        moto_lake.store.write(key, b"")
    assert redrive(Selection(prefix="data_sources/")) == {LOADED: 3}
    assert (counts(warehouse), counts(warehouse, TICKERS)) == ((4, 4), (2, 2))
    with pytest.raises(UsageError, match="nothing selected"):
        redrive(Selection(prefix="quarantine/"))


def test_a_time_range_means_its_hours(moto_lake: Lake, warehouse: Warehouse) -> None:
    for hour in (5, 6, 7, 8):
        land(moto_lake, hour, hour=hour)
    span = (parse_instant("2026-11-21T06:30"), parse_instant("2026-11-21T08:00"))
    assert redrive(Selection(dataset=TRADES, span=span)) == {LOADED: 2}
    assert [name for name, _ in statuses(warehouse)] == ["0006-main-1.parquet", "0007-main-1.parquet"]


def test_a_time_range_of_klines_goes_by_when_they_were_written(moto_lake: Lake, warehouse: Warehouse) -> None:
    moto_lake.store.write(KEY, parquet(klines(0)))
    with pytest.raises(UsageError, match="nothing selected"):
        redrive(Selection(dataset=KLINES, span=(0, parse_instant("2024-06-01"))))
    assert redrive(Selection(dataset=KLINES, span=(0, parse_instant("2999-01-01")))) == {LOADED: 1}
    assert counts(warehouse, KLINES) == (1, 1)


def note_gap(warehouse: Warehouse, event: str, start: str, end: str, *, symbol: str = "BTCUSDT", channel: str = "trades") -> None:
    row = {"venue": "binance", "symbol": symbol, "channel": channel, "instance": "main", "event": event, "cause": "disconnect"}
    instants = {"started_at": parse_instant(start), "ended_at": parse_instant(end)}
    warehouse.command(
        "insert into bronze_stream_events (venue, symbol, channel, instance, event, cause, from_update_id, to_update_id, "
        "started_at, ended_at, detail, object_key) select {venue:String}, {symbol:String}, {channel:String}, {instance:String}, "
        "{event:String}, {cause:String}, 100, 199, fromUnixTimestamp64Micro({started_at:Int64}), "
        "fromUnixTimestamp64Micro({ended_at:Int64}), '', 'k'",
        row | instants,
    )


def test_a_gap_means_what_was_recorded_in_its_hours_and_in_those_of_its_healing(moto_lake: Lake, warehouse: Warehouse) -> None:
    for hour in range(3, 15):
        land(moto_lake, hour, hour=hour)
    land(moto_lake, 99, dataset=TICKERS)
    note_gap(warehouse, "gap", "2026-11-21T06:30", "2026-11-21T07:10")
    note_gap(warehouse, "healed", "2026-11-21T12:10", "2026-11-21T12:11")
    note_gap(warehouse, "gap", "2026-11-21T03:00", "2026-11-21T04:00", symbol="ETHUSDT")
    assert redrive(Selection(gap=parse_gap("BTCUSDT:trades:150-160"))) == {LOADED: 5}
    assert [name[:4] for name, _ in statuses(warehouse)] == ["0005", "0006", "0007", "0011", "0012"]


def test_a_gap_of_klines_means_the_months_and_the_live_objects_of_its_symbol(moto_lake: Lake, warehouse: Warehouse) -> None:
    at = parse_instant("2024-01-31T23:30")
    other = FOLDER.replace("BTCUSDT", "ETHUSDT")
    names = ("2023-12", "2024-01", "2024-02", "2024-03", f"stream-{at}-main-1", f"stream-{at + 3 * HOUR_US}-main-2")
    for number, name in enumerate(names):
        moto_lake.store.write(f"{FOLDER}/{name}.parquet", parquet(klines(number)))
    moto_lake.store.write(f"{other}/2024-01.parquet", parquet(klines(9)))
    note_gap(warehouse, "gap", "2024-01-31T23:00", "2024-02-01T00:10", channel="klines")
    assert redrive(Selection(gap=GapName("BTCUSDT", "klines", 100, 100))) == {LOADED: 3}
    loaded = [name for name, _ in statuses(warehouse)]
    assert loaded == ["2024-01.parquet", "2024-02.parquet", f"stream-{at}-main-1.parquet"]


def test_a_gap_that_nobody_wrote_down_is_bad_usage(moto_lake: Lake, warehouse: Warehouse) -> None:
    land(moto_lake, 1)
    note_gap(warehouse, "gap", "2026-11-21T06:30", "2026-11-21T07:10")
    for gap in ("BTCUSDT:trades:200-300", "ETHUSDT:trades:100-199", "BTCUSDT:depth:100-199"):
        with pytest.raises(UsageError, match=r"stream_events has no gap"):
            redrive(Selection(gap=parse_gap(gap)))


@pytest.mark.parametrize(
    ("text", "gap"),
    [
        ("BTCUSDT:trades:1-2", GapName("BTCUSDT", "trades", 1, 2)),
        ("BTC-USDT:depth:7-7", GapName("BTC-USDT", "depth", 7, 7)),
        ("币安:klines:1704067200000000-1704067260000000", GapName("币安", "klines", 1704067200000000, 1704067260000000)),
    ],
)
def test_a_gap_is_named_by_symbol_channel_and_ids(text: str, gap: GapName) -> None:
    assert parse_gap(text) == gap


@pytest.mark.parametrize(
    "text", ["", "BTCUSDT", "BTCUSDT:trades", "BTCUSDT:trades:1", "BTCUSDT:candles:1-2", ":trades:1-2", "B:trades:2-1"]
)
def test_what_is_no_gap_is_bad_usage(text: str) -> None:
    with pytest.raises(UsageError, match=r"^--gap "):
        parse_gap(text)
