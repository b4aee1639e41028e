"""Every dataset of every kind of venue, spot and futures, is compacted and registered: nothing lists datasets by hand."""

from pathlib import Path

import pyarrow as pa
import pytest
from tests.tickhouse.catalog.catalogues import newest_id, register, table_of
from tests.tickhouse.compact.lakes import DAY, LONG_AFTER, SECOND, objects, options, run, run_and_retire
from tests.tickhouse.test_tiny_objects import of_nulls

import tickhouse as th
from extract_process.parquet import parquet_bytes
from tickhouse.compact.passes import BY_DAY
from tickhouse_core.datasets import FUNDING_RATES, OPEN_INTEREST, TRADES, Dataset
from tickhouse_core.errors import UsageError
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.iceberg.catalogue import TABLES
from tickhouse_core.lake_keys import history_month_key, hourly_key
from tickhouse_core.parquet_check import read_checked
from tickhouse_core.timestamps import HOUR_US

VENUES = {"binance": "BTCUSDT", "binance-usdm": "BTCUSDT_240927", "binance-coinm": "BTCUSD_PERP", "kucoin": "BTC-USDT"}


def rows_of(dataset: Dataset, venue: str) -> pa.Table:
    """One row, null wherever it may be."""
    found = of_nulls(dataset)
    for name, value in (("venue", venue), ("symbol", VENUES[venue])):
        if name in found.schema.names:
            place = found.schema.get_field_index(name)
            found = found.set_column(place, found.schema.field(name), pa.array([value]).dictionary_encode())
    return found


@pytest.mark.parametrize("dataset", TABLES, ids=lambda dataset: dataset.name)
def test_a_row_that_two_instances_recorded_is_there_once_in_the_lake_and_in_its_table(dataset: Dataset, tmp_path: Path) -> None:
    assert dataset in BY_DAY
    folder = tmp_path / "data" / "lake"
    store = FolderStore(folder)
    for venue in VENUES:
        for number, instance in enumerate("ab"):
            key = hourly_key(dataset, venue, DAY + number * SECOND, instance, number)
            store.write(key, parquet_bytes(rows_of(dataset, venue), dataset))
    run_and_retire(store)

    found = [read_checked(store.read(one.key).body, dataset, one.key) for one in objects(store, dataset)]
    names = [name for name in dataset.schema.names if name != "venue"]
    assert {rows["venue"][0].as_py(): rows.select(names).to_pylist() for rows in found} == {
        venue: rows_of(dataset, venue).select(names).to_pylist() for venue in VENUES
    }
    assert register(store)[dataset.name].added == len(found) == len(VENUES)
    in_table = table_of(folder, dataset).scan().to_arrow().select(dataset.schema.names).to_pylist()
    assert sorted(in_table, key=lambda row: row["venue"]) == [rows_of(dataset, venue).to_pylist()[0] for venue in sorted(VENUES)]
    assert run(store, options(at=LONG_AFTER), dataset) == []


def test_requested_histories_are_in_no_table_and_a_snapshot_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "lake"
    store = FolderStore(folder)
    for dataset, period in ((FUNDING_RATES, ""), (OPEN_INTEREST, "1h")):
        key = history_month_key(dataset, "binance-usdm", "BTCUSDT", period, "2024-08")
        store.write(key, parquet_bytes(rows_of(dataset, "binance-usdm"), dataset))
    store.write(hourly_key(TRADES, "binance-usdm", DAY, "a", 0), parquet_bytes(rows_of(TRADES, "binance-usdm"), TRADES))
    run_and_retire(store)

    done = register(store)

    assert done["trades"].files == 1
    assert FUNDING_RATES.name not in done
    lake = th.open(folder, snapshot=newest_id(folder))
    with pytest.raises(UsageError, match="no snapshot has funding_rates: read them without one"):
        lake.funding_rates("BTCUSDT", DAY, DAY + HOUR_US, venue="binance-usdm").arrow()
    with pytest.raises(UsageError, match="no snapshot has open_interest of period 1h: read them without one"):
        lake.open_interest("BTCUSDT", DAY, DAY + HOUR_US, "1h", venue="binance-usdm").arrow()
