"""Many tiny objects at once: the same rows as one by one, from our own bytes alone."""

import random
import sys
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.transform_process.warehouse_rows import klines, stream_event, trades, us

from extract_process.parquet import parquet_bytes
from tickhouse_core.datasets import DATASETS, DEPTH_DIFFS, KLINES, STREAM_EVENTS, TRADES, Dataset
from tickhouse_core.errors import ObjectRefused
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.lake_keys import hourly_key
from tickhouse_core.reading.object_rows import plain_schema
from tickhouse_core.reading.ranges import request
from tickhouse_core.reading.rows import RowScan
from tickhouse_core.reading.tiny_objects import MANY, TINY_BYTES, are_many_and_tiny, decoded

DAY = us("2024-08-09")
SECOND = 1_000_000
EVENT = stream_event("gap", "trades", 1, None, started_us=DAY)
FLAT = [dataset for dataset in DATASETS if not any(pa.types.is_nested(field.type) for field in dataset.schema)]


def needed(dataset: Dataset) -> pa.Schema:
    return pa.schema([field for field in plain_schema(dataset) if field.name != "venue"])


def of_nulls(dataset: Dataset) -> pa.Table:
    """One row, null wherever the dataset allows it."""
    found = {name: table.column(name) for table in (trades([7]), klines([DAY]), EVENT) for name in table.schema.names}
    columns = []
    for field in dataset.schema:
        same = found.get(field.name)
        known = same if same is not None and same.type == field.type else _any_of(field.type)
        columns.append(pa.nulls(1, field.type) if field.nullable else known)
    return pa.table(columns, schema=dataset.schema)


def _any_of(type_: pa.DataType) -> pa.Array:
    if pa.types.is_list(type_):
        return pa.array([[{"price": 2, "quantity": 1}, {"price": 1, "quantity": 0}]], type_)
    text = pa.types.is_string(type_) or pa.types.is_dictionary(type_)
    return pa.array(["x" if text else DAY if pa.types.is_timestamp(type_) else 1]).cast(type_)


def ours_of(venues: pa.Array) -> bytes:
    """Two trades of these venues."""
    return parquet_bytes(trades([1, 2]).set_column(0, "venue", venues.dictionary_encode()), TRADES)


@pytest.mark.parametrize("dataset", FLAT, ids=lambda dataset: dataset.name)
def test_types_and_values_are_those_of_pyarrow(dataset: Dataset) -> None:
    given = {TRADES: trades(range(5), prices=["0.000000000000000001", "99999999999999999999", "1", "2.5", "0"])}
    given |= {KLINES: klines([DAY, DAY + 60 * SECOND]), STREAM_EVENTS: EVENT}
    bodies = [parquet_bytes(table, dataset) for table in (given.get(dataset, of_nulls(dataset)), of_nulls(dataset))]
    columns = needed(dataset)

    found = decoded(bodies, columns, "binance")

    assert found is not None
    assert found == pa.concat_tables(pq.read_table(pa.BufferReader(body)) for body in bodies).select(columns.names).cast(columns)


def test_levels_and_few_or_larger_objects_are_left_to_pyarrow() -> None:
    columns = needed(TRADES)

    assert are_many_and_tiny([TINY_BYTES] * MANY, columns)
    assert not are_many_and_tiny([TINY_BYTES] * (MANY - 1), columns)
    assert not are_many_and_tiny([TINY_BYTES + 1] * MANY, columns)
    assert not are_many_and_tiny([1] * MANY, needed(DEPTH_DIFFS))


@pytest.mark.parametrize("package", [None, SimpleNamespace(__version__="1.32.9"), SimpleNamespace(__version__="0.20.31")])
def test_without_polars_or_with_an_older_one_pyarrow_reads(package: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "polars", package)  # None: as if it were not installed

    assert not are_many_and_tiny([TINY_BYTES] * MANY, needed(TRADES))
    assert decoded([parquet_bytes(trades([1, 2]), TRADES)], needed(TRADES), "binance") is None


def test_only_our_own_bytes_of_this_venue_and_dataset_are_decoded(tmp_path: Path) -> None:
    ours, columns = parquet_bytes(trades([1, 2]), TRADES), needed(TRADES)
    pq.write_table(trades([3]), tmp_path / "theirs")

    assert decoded([ours, (tmp_path / "theirs").read_bytes()], columns, "binance") is None
    with pytest.raises(ObjectRefused, match="several venues"):
        decoded([ours], columns, "kucoin")
    with pytest.raises(ObjectRefused, match="another version"):
        decoded([parquet_bytes(klines([DAY]), KLINES)], columns, "binance")
    a_venue = ours_of(pa.array(["binance", None]))
    with pytest.raises(ObjectRefused, match="several venues"):
        decoded([ours, a_venue], columns, "binance")
    other_type = trades([1]).set_column(2, "trade_id", pa.array([1], pa.int32()))
    with pytest.raises(ObjectRefused, match="another version"):
        decoded([parquet_bytes(other_type, TRADES)], columns, "binance")


@pytest.mark.parametrize(("count", "name"), [(5, "venue"), pytest.param(MANY, "price", marks=pytest.mark.slow)])
def test_a_row_without_a_value_that_every_row_has_is_named(tmp_path: Path, count: int, name: str) -> None:
    """Its object is left out: statistics and extremes know nothing of nulls."""
    folder = FolderStore(tmp_path / "lake")
    for number in range(count):
        table = trades([2 * number, 2 * number + 1], times_us=[DAY + number * SECOND] * 2)
        if number == 3:
            place = table.schema.get_field_index(name)
            values = [table.column(name).to_pylist()[0], None]
            type_ = table.schema.types[place]
            table = table.set_column(place, pa.field(name, type_), pa.array(values).cast(type_))
        path = Path(folder.where(hourly_key(TRADES, "binance", DAY + number * SECOND, "a", number)))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(parquet_bytes(table, TRADES))
    scan = RowScan(folder, TRADES, request("binance", "BTCUSDT", DAY, DAY + 10_000 * SECOND), chunk_objects=MANY)

    assert pa.concat_tables(scan.tables()).column("trade_id").to_pylist() == [one for one in range(2 * count) if one // 2 != 3]
    assert [f"null_value: column {name}" in said for said in scan.unreadable] == [True]


def test_no_flipped_bit_is_decoded() -> None:
    dice = random.Random(1)
    bodies = [parquet_bytes(trades(range(20 * number, 20 * number + 20)), TRADES) for number in range(2)]
    columns = needed(TRADES)
    sound = decoded(bodies, columns, "binance")
    for _ in range(400):
        place, bit = dice.randrange(len(bodies[1])), 1 << dice.randrange(8)
        flipped = bodies[1][:place] + bytes([bodies[1][place] ^ bit]) + bodies[1][place + 1 :]
        try:
            found = decoded([bodies[0], flipped], columns, "binance")
        except ObjectRefused:
            continue
        assert found is None or found == sound, (place, bit)  # None: it has no sums any more, and is checked in full


def test_a_lake_of_tiny_objects_gives_the_rows_of_one_by_one(tmp_path: Path) -> None:
    """Two symbols, two instances that overlap, and one object that is damaged later."""
    folder, count = FolderStore(tmp_path / "lake"), MANY // 2 + 30
    paths = []
    times = [DAY + number // 2 * SECOND for number in range(2 * count)]
    both = [trades(range(2 * count), times_us=times, symbol=symbol) for symbol in ("BTCUSDT", "ETHUSDT")]
    for number in range(count):
        body = parquet_bytes(pa.concat_tables(table.slice(2 * number, 2) for table in both), TRADES)
        for instance in ("a", "b"):
            path = Path(folder.where(hourly_key(TRADES, "binance", times[2 * number], instance, number)))
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(body)  # the folder's own write waits for the disk
            paths.append(path)
    asked = request("binance", "BTCUSDT", DAY + 3 * SECOND, DAY + 100 * SECOND)

    one_by_one, at_once = (RowScan(folder, TRADES, asked, chunk_objects=number) for number in (MANY - 1, 10 * MANY))
    rows = pa.concat_tables(one_by_one.tables())

    assert pa.concat_tables(at_once.tables()) == rows
    assert rows.num_rows == 2 * 97
    paths[50].write_bytes(paths[50].read_bytes()[:-300] + b"x" * 300)
    damaged = RowScan(folder, TRADES, asked, chunk_objects=10 * MANY)
    assert pa.concat_tables(damaged.tables()) == rows  # the other instance has them
    assert [paths[50].name in said for said in damaged.unreadable] == [True]
