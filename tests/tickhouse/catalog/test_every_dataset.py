"""Every dataset of every kind of venue, spot and futures, is compacted and registered: nothing lists datasets by hand."""

from pathlib import Path

import pyarrow as pa
import pytest
from tests.tickhouse.catalog.catalogues import register, table_of
from tests.tickhouse.compact.lakes import DAY, LONG_AFTER, SECOND, objects, options, run, run_and_retire
from tests.tickhouse.test_tiny_objects import of_nulls

from extract_process.parquet import parquet_bytes
from tickhouse.compact.passes import BY_DAY
from tickhouse_core.datasets import Dataset
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.iceberg.catalogue import TABLES
from tickhouse_core.lake_keys import hourly_key
from tickhouse_core.parquet_check import read_checked

VENUES = {"binance": "BTCUSDT", "binance-usdm": "BTCUSDT_240927", "binance-coinm": "BTCUSD_PERP", "kucoin": "BTC-USDT"}


def rows_of(dataset: Dataset, venue: str) -> pa.Table:
    """One row, null wherever it may be."""
    found = of_nulls(dataset)
    for name, value in (("venue", venue), ("symbol", VENUES[venue])):
        if name in found.schema.names:
            place = found.schema.get_field_index(name)
            found = found.set_column(place, found.schema.field(name), pa.array([value]).dictionary_encode())
    return found


@pytest.mark.parametrize("dataset", BY_DAY, ids=lambda dataset: dataset.name)
def test_a_row_that_two_instances_recorded_is_there_once_in_the_lake_and_in_its_table(dataset: Dataset, tmp_path: Path) -> None:
    assert dataset in TABLES
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
