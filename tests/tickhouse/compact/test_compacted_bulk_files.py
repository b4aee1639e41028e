"""Days of bulk files are compacted as recorded ones are: with what was recorded, each row once, and registered as tables."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from tests.commands import run_here
from tests.extract_process.test_day_writer import DAY, START, File, aggregates, trades
from tests.tickhouse.catalog.catalogues import register
from tests.tickhouse.compact.lakes import objects, run, run_and_retire

import tickhouse as th
from extract_process.backfill.day_writer import DayWriter, HistoryReport, Market
from extract_process.backfill.recorded_trades import RecordedTrades
from extract_process.parquet import parquet_bytes
from extract_process.venues import venue_named
from tickhouse_core.datasets import AGG_TRADES, TRADES, Dataset
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lake_keys import compacted_name, hourly_key
from tickhouse_core.timestamps import DAY_US, SECOND_US


def write(store: FolderStore, dataset: Dataset) -> None:
    rows = {number: START + number * SECOND_US for number in range(10)}
    spans = {(2 * number, 2 * number + 1): at for number, at in rows.items()}
    market = Market(venue_named("binance"), "BTCUSDT", dataset, [], frozenset(), {})
    writer = DayWriter(store, market, File(), [DAY], HistoryReport(), part_rows=4)
    writer.take(trades(rows) if dataset is TRADES else aggregates(spans))
    writer.finish()


@pytest.mark.parametrize("dataset", [TRADES, AGG_TRADES], ids=lambda dataset: dataset.name)
def test_each_row_is_there_once_and_the_day_stays_complete(dataset: Dataset, tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "data" / "lake")
    write(store, dataset)
    if dataset is TRADES:
        live = trades({number: START + number * SECOND_US for number in (3, 4)})
        store.write(hourly_key(TRADES, "binance", START, "capture", 1), parquet_bytes(live, TRADES))
    days = RecordedTrades(store, "binance", "BTCUSDT", dataset)
    assert days.is_there(DAY)

    run_and_retire(store)

    (one,) = objects(store, dataset)
    assert compacted_name(one.key) is not None, "the parts are gone"
    assert days.is_there(DAY)
    assert not days.is_there(DAY + 1)
    rows = getattr(th.open(tmp_path / "data"), dataset.name)("BTCUSDT", START, START + DAY_US)
    assert rows.arrow()[dataset.id_column].to_pylist() == list(range(10))
    assert rows.is_complete
    assert register(store)[dataset.name].files == 1
    assert run(store) == []
    span = ("--symbol", "BTCUSDT", "--from", "2024-03-09", "--to", "2024-03-10", "--channel", dataset.name)
    done = run_here("tickhouse.cli", "export", "parquet", "--data", f"{tmp_path}/data", "--out", f"{tmp_path}/out", *span)
    assert done.returncode == 0, done.stderr
    assert pq.read_table(tmp_path / "out" / f"BTCUSDT_{dataset.name}.parquet").num_rows == 10
    assert "; complete" in done.stdout
