"""Futures' mark prices, funding rates, liquidations and open interest in Python: as the views have them, from a lake of two
instances and from a warehouse, and in a table of the catalogue.
"""

import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.commands import run_here
from tests.tickhouse.catalog.catalogues import register, table_of
from tests.tickhouse.compact.lakes import run
from tests.tickhouse.test_read_api import DAY, DAY_US, HOUR, SECOND, write
from tests.transform_process.warehouse_rows import klines, land, select
from tests.transform_process.warehouse_rows import table_of as rows_of

import tickhouse as th
from extract_process.parquet import parquet_bytes
from tickhouse_core.datasets import FUNDING_RATES, KLINES, LIQUIDATIONS, MARK_PRICES, OPEN_INTEREST, Dataset
from tickhouse_core.errors import UsageError
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lake_keys import klines_month_key
from tickhouse_core.settings import WarehouseSettings
from tickhouse_core.sql_door.serving import serving_sql
from tickhouse_core.warehouse import Warehouse

MARKET = {"venue": "binance", "symbol": "BTCUSDT"}
TIMES = [DAY + number * SECOND for number in range(4)]


def open_interest(times: list[int], values: list[str], period: str = "", latency_us: int = 5_000) -> pa.Table:
    said = {"period": period, "source": "rest" if period else "poll", "open_interest_value": [None] * len(times)}
    received = [at + latency_us for at in times]
    return rows_of(OPEN_INTEREST, {**MARKET, **said, "event_time": times, "open_interest": values, "receipt_time": received})


def mark_prices(latency_us: int = 5_000) -> pa.Table:
    prices = {name: ["1.5", "2.5", "3.5", "4.5"] for name in ("mark_price", "index_price", "settle_price")}
    funding = {"funding_rate": ["-0.0001", "0", "0.0005", None], "next_funding_time": [DAY + HOUR] * 3 + [None]}
    received = [at + latency_us for at in TIMES]
    return rows_of(MARK_PRICES, {**MARKET, **prices, **funding, "event_time": TIMES, "receipt_time": received})


def liquidations(latency_us: int = 5_000) -> pa.Table:
    """The first two are of one millisecond."""
    names = dict(zip(("side", "order_type", "time_in_force", "status"), ("sell", "LIMIT", "IOC", "FILLED"), strict=True))
    amounts = ("quantity", "price", "average_price", "last_filled_quantity", "filled_quantity")
    numbers = {name: ["1", "2", "3", "4"] for name in amounts}
    times = [TIMES[0], *TIMES[:3]]
    ids = {"liquidation_id": [(at // 1_000 << 20) + number for number, at in enumerate(times)]}
    received = [at + latency_us for at in times]
    return rows_of(
        LIQUIDATIONS, {**MARKET, **ids, **names, **numbers, "trade_time": times, "event_time": times, "receipt_time": received}
    )


def funding_rates() -> pa.Table:
    said = {"funding_rate": ["-0.0001", "0.0001", "0", "1"], "mark_price": ["1", None, "2", "3"]}
    return rows_of(FUNDING_RATES, {**MARKET, **said, "funding_time": TIMES, "receipt_time": [at + 5_000 for at in TIMES]})


def recorded() -> Iterator[tuple[Dataset, str, pa.Table]]:
    """By two instances, the second of which was a little earlier."""
    for latency_us, instance in ((5_000, "a"), (4_000, "b")):
        yield MARK_PRICES, instance, mark_prices(latency_us)
        yield LIQUIDATIONS, instance, liquidations(latency_us)
        yield OPEN_INTEREST, instance, open_interest(TIMES, ["1", "2", "3", "4"], latency_us=latency_us)
        yield OPEN_INTEREST, instance, open_interest(TIMES[:2], ["10", "20"], "5m", latency_us)
    yield FUNDING_RATES, "a", funding_rates()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data" / "lake" / "data_sources").mkdir(parents=True)
    return tmp_path / "data" / "lake"


@pytest.fixture
def address(warehouse_settings: WarehouseSettings) -> Iterator[str]:
    listener = socket.create_server(("127.0.0.1", 0))
    with serving_sql(warehouse_settings, listener=listener):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/{warehouse_settings.database}"


def answers(lake: th.Lake) -> dict[str, list[dict[str, Any]]]:
    span = ("BTCUSDT", DAY, DAY + HOUR)
    found = {
        "mark_prices": lake.mark_prices(*span, "binance", exact=True),
        "liquidations": lake.liquidations(*span, "binance", exact=True),
        "funding_rates": lake.funding_rates(*span, "binance", exact=True),
        "open_interest": lake.open_interest(*span, venue="binance", exact=True),
        "open_interest of 5m": lake.open_interest(*span, "5m", "binance", exact=True),
    }
    return {name: rows.arrow().to_pylist() for name, rows in found.items()}


def test_a_lake_and_a_warehouse_say_what_the_views_say(folder: Path, warehouse: Warehouse, address: str) -> None:
    for dataset, instance, table in recorded():
        write(FolderStore(folder), dataset, table, instance)
        land(warehouse, dataset, table)
    found = answers(th.open(folder))
    assert found == answers(th.open(address))
    assert {name: len(rows) for name, rows in found.items()} == {
        "mark_prices": 4, "liquidations": 4, "funding_rates": 4, "open_interest": 4, "open_interest of 5m": 2,
    }  # fmt: skip
    assert [int(row["open_interest"]) for row in found["open_interest of 5m"]] == [10, 20]
    for name, rows in found.items():
        view, _, period = name.partition(" of ")
        of_period = f" where period = '{period}'" if view == "open_interest" else ""
        wanted = select(warehouse, f"select * from {view}{of_period} order by 3, 4")
        assert [str(row[name]) for row in rows for name in row if name.endswith(("price", "rate", "interest"))] == [
            str(row[name]) for row in wanted for name in row if name.endswith(("price", "rate", "interest"))
        ]
        assert len(wanted) == len(rows)


def test_a_replay_has_what_was_recorded_in_order_of_receipt(folder: Path) -> None:
    for dataset, instance, table in recorded():
        write(FolderStore(folder), dataset, table, instance)
    found = list(th.replay(th.open(folder), "BTCUSDT", DAY, DAY + 2 * SECOND))
    first = [*(("mark_price", 0), ("liquidation", 0), ("liquidation", 0), ("open_interest", 0))]
    second = [(kind, SECOND) for kind in ("mark_price", "liquidation", "open_interest")]
    assert [(item.kind, item.receipt_time - DAY - 4_000) for item in found] == [*first, *second]
    assert [item.row["open_interest"] for item in found if item.kind == "open_interest"] == [1.0, 2.0], "polls, no history"


def test_a_parquet_export_has_what_was_recorded_once(folder: Path, tmp_path: Path) -> None:
    store, venue = FolderStore(folder), "binance-usdm"
    for dataset, instance, table in recorded():
        place = table.column_names.index("venue")
        write(store, dataset, table.set_column(place, "venue", pa.array([venue] * table.num_rows)), instance)
    store.write(klines_month_key(venue, "BTCUSDT", "1m", "2024-08"), parquet_bytes(klines([DAY], venue=venue), KLINES))
    span = ("--venue", venue, "--symbol", "BTCUSDT", "--from", "2024-08-09", "--to", "2024-08-09T01:00:00")
    chosen = [word for name in ("klines", "mark_prices", "liquidations", "open_interest") for word in ("--channel", name)]
    place = ("--data", str(tmp_path / "data"), "--out", str(tmp_path / "out"))
    done = run_here("tickhouse.cli", "export", "parquet", *place, *span, *chosen)
    assert done.returncode == 0, done.stderr
    names = {"klines_1m": 1, "mark_prices": 4, "liquidations": 4, "open_interest": 4}
    for name, rows in names.items():
        assert pq.read_table(tmp_path / "out" / f"BTCUSDT_{name}.parquet").num_rows == rows, name


def test_a_period_without_rows_is_empty_whatever_intervals_the_klines_have(folder: Path) -> None:
    store = FolderStore(folder)
    write(store, OPEN_INTEREST, open_interest(TIMES, ["1", "2", "3", "4"]))
    write(store, KLINES, klines([DAY]))
    lake = th.open(folder)
    assert lake.open_interest("BTCUSDT", DAY, DAY + HOUR, "1h", "binance").arrow().num_rows == 0
    with pytest.raises(UsageError, match="did you mean BTCUSDT"):
        lake.open_interest("btcusdt", DAY, DAY + HOUR, "1h", "binance").arrow()


def test_in_the_catalogue_a_poll_and_a_history_of_one_instant_are_both_there(folder: Path) -> None:
    """Filed under two days, as two instances do around midnight: doubles are those of one period only."""
    store, midnight = FolderStore(folder), DAY + DAY_US
    times = [midnight - 2, midnight - 1]
    for instance, received, period, values in (
        ("a", midnight - 1, "", ["1", "2"]),
        ("b", midnight + 1, "", ["1", "2"]),
        ("b", midnight + 1, "5m", ["1", "2"]),
    ):
        write(store, OPEN_INTEREST, open_interest(times, values, period, 1 if instance == "a" else 3), instance, received)
    run(store)
    assert register(store)["open_interest"].doubles == 2
    kept = table_of(folder, OPEN_INTEREST).scan().to_arrow()
    assert sorted(zip(kept["period"].to_pylist(), map(int, kept["open_interest"].to_pylist()), strict=True)) == [
        ("", 1), ("", 2), ("5m", 1), ("5m", 2),
    ]  # fmt: skip
