"""tardis.dev's files of a contract: rows made by hand of mark prices, open interest, trades and liquidations."""

from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.commands import run_here
from tests.tickhouse.test_export import csv_rows
from tests.transform_process.warehouse_rows import table_of, trades, us

from extract_process.parquet import parquet_bytes
from tickhouse.export.derivative_ticker import Ticks, in_order
from tickhouse_core.datasets import LIQUIDATIONS, MARK_PRICES, OPEN_INTEREST, TRADES, Dataset
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lake_keys import ArchivedName, archived_key, hourly_key
from tickhouse_core.timestamps import HOUR_US

VENUE, SYMBOL = "binance-usdm", "BTCUSDT"
MARKET = {"venue": VENUE, "symbol": SYMBOL}
DAY = us("2024-08-09")
NEXT = DAY + 8 * HOUR_US
TICKER = [
    "funding_timestamp",
    "funding_rate",
    "predicted_funding_rate",
    "open_interest",
    "last_price",
    "index_price",
    "mark_price",
]


def at(*seconds: float) -> list[int]:
    return [DAY + round(one * 1_000_000) for one in seconds]


def mark_prices() -> pa.Table:
    times = at(1, 2, 3)
    said: dict[str, Any] = {"mark_price": ["100.5", "100.5", "101"], "index_price": "99", "settle_price": ["7", "8", "9"]}
    said |= {"funding_rate": ["0.0001", "0.0001", "-0.0002"], "next_funding_time": [NEXT] * 3}
    return table_of(MARK_PRICES, {**MARKET, **said, "event_time": times, "receipt_time": [one + 5_000 for one in times]})


def open_interest(period: str, *values: str) -> pa.Table:
    times = at(1.5, 2.5, 3.5)
    said = {
        "period": period,
        "source": "rest" if period else "poll",
        "open_interest": list(values),
        "open_interest_value": [None] * 3,
    }
    return table_of(OPEN_INTEREST, {**MARKET, **said, "event_time": times, "receipt_time": [one + 200_000 for one in times]})


def liquidations() -> pa.Table:
    times = at(4, 5)
    words = {"side": ["sell", "buy"], "order_type": "LIMIT", "time_in_force": "IOC", "status": ["NEW", "FILLED"]}
    numbers = {
        "quantity": "3",
        "price": ["98.5", "102"],
        "average_price": "98",
        "last_filled_quantity": "1",
        "filled_quantity": ["2", "3"],
    }
    ids = {
        "liquidation_id": [(one // 1_000) << 20 for one in times],
        "trade_time": times,
        "event_time": [one + 1_000 for one in times],
    }
    return table_of(LIQUIDATIONS, {**MARKET, **words, **numbers, **ids, "receipt_time": [one + 9_000 for one in times]})


@pytest.fixture
def data(tmp_path: Path) -> Path:
    store = FolderStore(tmp_path / "data" / "lake")

    def write(dataset: Dataset, rows: pa.Table, number: int) -> None:
        store.write(hourly_key(dataset, VENUE, DAY, "a", number), parquet_bytes(rows, dataset))

    deals = trades([1, 2, 3], times_us=at(-0.5, 1.6, 2.9), prices=["100", "100", "101"], venue=VENUE)
    tables = [(TRADES, deals), (MARK_PRICES, mark_prices()), (LIQUIDATIONS, liquidations())]
    tables += [(OPEN_INTEREST, open_interest("", "10", "10", "11")), (OPEN_INTEREST, open_interest("5m", "77", "78", "79"))]
    for number, (dataset, rows) in enumerate(tables, 1):
        write(dataset, rows, number)
    return tmp_path / "data"


def export(data: Path, out: Path, *more: str, code: int = 0) -> Any:
    """The certificate, or what was said on stderr."""
    asked = ("--venue", VENUE, "--symbol", SYMBOL, "--from", "2024-08-08T23:59", "--to", "2024-08-09T00:01", "--out", str(out))
    done = run_here("tickhouse.cli", "export", "tardis-csv", "--data", str(data), *asked, *more)
    assert done.returncode == code, done.stderr
    return done.stderr if code else orjson.loads((out / "certificate.json").read_bytes())


def test_derivative_ticker_has_a_row_per_change_in_the_order_of_receipt(data: Path, tmp_path: Path) -> None:
    certificate = export(data, tmp_path / "out", "--type", "derivative_ticker")
    header, before = csv_rows(tmp_path / "out" / f"{VENUE}_derivative_ticker_2024-08-08_{SYMBOL}.csv.gz")
    assert header == ["exchange", "symbol", "timestamp", "local_timestamp", *TICKER]
    _, rows = csv_rows(tmp_path / "out" / f"{VENUE}_derivative_ticker_2024-08-09_{SYMBOL}.csv.gz")
    first, rate, settled = str(NEXT), "0.0001", "-0.0002"
    assert {tuple(row[:2]) for row in before + rows} == {(VENUE, SYMBOL)}
    assert [[(int(row[2]) - DAY) / 1e6, (int(row[3]) - DAY) / 1e6, *row[4:]] for row in before + rows] == [
        [-0.5, -0.495, "", "", "", "", "100", "", ""],
        [1.0, 1.005, first, rate, "", "", "100", "99", "100.5"],
        [1.5, 1.7, first, rate, "", "10", "100", "99", "100.5"],
        [2.9, 2.905, first, rate, "", "10", "101", "99", "100.5"],
        [3.0, 3.005, first, settled, "", "10", "101", "99", "101"],
        [3.5, 3.7, first, settled, "", "11", "101", "99", "101"],
    ]
    said = certificate["symbols"][SYMBOL]
    assert sorted(said["channels"]) == ["mark_prices", "open_interest", "trades"]
    assert said["rows_written"] == {"mark_prices": 3, "open_interest": 3}
    assert [file["rows"] for file in certificate["files"]] == [1, 5]


def test_liquidations_have_side_order_price_and_what_is_filled(data: Path, tmp_path: Path) -> None:
    certificate = export(data, tmp_path / "out", "--type", "liquidations")
    header, rows = csv_rows(tmp_path / "out" / f"{VENUE}_liquidations_2024-08-09_{SYMBOL}.csv.gz")
    assert header == ["exchange", "symbol", "timestamp", "local_timestamp", "id", "side", "price", "amount"]
    times = at(4, 5)
    assert rows == [
        [VENUE, SYMBOL, str(one), str(one + 9_000), str((one // 1_000) << 20), *words]
        for one, words in zip(times, (["sell", "98.5", "2"], ["buy", "102", "3"]), strict=True)
    ]
    assert certificate["symbols"][SYMBOL]["rows_written"] == {"liquidations": 2}


def test_a_ticker_of_a_contract_without_open_interest_has_none_and_is_not_complete(data: Path, tmp_path: Path) -> None:
    for path in (data / "lake" / "data_sources" / "open_interest").rglob("*.parquet"):
        path.unlink()
    certificate = export(data, tmp_path / "out", "--type", "derivative_ticker", "--type", "trades")
    _, rows = csv_rows(tmp_path / "out" / f"{VENUE}_derivative_ticker_2024-08-09_{SYMBOL}.csv.gz")
    assert [row[7] for row in rows] == ["", "", ""]
    assert not certificate["symbols"][SYMBOL]["channels"]["open_interest"]["is_complete"]
    assert certificate["symbols"][SYMBOL]["rows_written"] == {"mark_prices": 3, "open_interest": 0, "trades": 3}


def test_types_of_futures_are_written_where_they_are_named(data: Path, tmp_path: Path) -> None:
    export(data, tmp_path / "out")
    assert [path.name.split("_2024")[0] for path in (tmp_path / "out").glob("*08-09*.gz")] == [f"{VENUE}_trades"]


@given(st.lists(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=4), max_size=4), min_size=3, max_size=3))
def test_received_rows_of_all_sources_are_in_order_and_none_is_lost(received: list[list[list[int]]]) -> None:
    sources, everything = [], []
    for source, batches in enumerate(received):
        flat = sorted(one for batch in batches for one in batch)
        everything += [(one, source) for one in flat]
        numbers = iter(flat)
        local = [np.array([next(numbers) for _ in batch], np.int64) for batch in batches]
        sources.append([Ticks(one, one, []) for one in local])
    found: list[tuple[int, int]] = []
    for parts in in_order([iter(source) for source in sources]):
        rows = [(int(one), source) for source, part in enumerate(parts) for one in part.local]
        assert rows, "each step goes on"
        found += sorted(rows)
    assert [one for one, _ in found] == sorted(one for one, _ in everything)
    assert sorted(found) == sorted(everything)


def test_trades_that_were_read_from_a_file_weeks_later_have_no_latency_of_their_own(data: Path, tmp_path: Path) -> None:
    """With the time of the download as that of receipt they came after everything that was recorded live."""
    store = FolderStore(data / "lake")
    for found in list(store.list_keys(TRADES.prefix)):
        store.delete(found.key)
    times = at(-0.5, 1.6, 2.9)
    deals = trades([1, 2, 3], times_us=times, prices=["100", "100", "101"], venue=VENUE, latency_us=40 * 24 * HOUR_US)
    name = ArchivedName(SYMBOL, times[0], times[-1])
    store.write(archived_key(TRADES, VENUE, times[0], name, 1), parquet_bytes(deals, TRADES))
    certificate = export(data, tmp_path / "out", "--type", "derivative_ticker", "--type", "trades")
    _, rows = csv_rows(tmp_path / "out" / f"{VENUE}_derivative_ticker_2024-08-09_{SYMBOL}.csv.gz")
    assert [(int(row[3]) - int(row[2]), row[8]) for row in rows] == [
        *((latency, "100") for latency in (5_000, 200_000)),
        *((latency, "101") for latency in (0, 5_000, 200_000)),
    ]
    _, written = csv_rows(tmp_path / "out" / f"{VENUE}_trades_2024-08-09_{SYMBOL}.csv.gz")
    assert [row[2] == row[3] for row in written] == [True, True]
    assert certificate["symbols"][SYMBOL]["rows_with_moved_receipt"] == {"trades": 3}
