"""Small objects together: the same rows as one by one, and whatever a loader refuses goes one by one."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.tickhouse.compact.lakes import DAY, HOUR, objects, options, record_all, run, with_doubles
from tests.tickhouse.test_read_api import write
from tests.tickhouse.test_tiny_objects import of_nulls
from tests.transform_process.warehouse_rows import trades

from extract_process.parquet import parquet_bytes
from tickhouse.compact.passes import BY_DAY
from tickhouse.compact.small_objects import SmallObjects
from tickhouse_core.datasets import TRADES, Dataset
from tickhouse_core.folder_store import FolderStore
from tickhouse_core.object_store import StoredObject
from tickhouse_core.parquet_check import read_checked
from tickhouse_core.parquet_columns import plain
from tickhouse_core.parquet_sums import BLANK, KEY, with_sums
from tickhouse_core.reading.object_rows import SMALL_BYTES
from tickhouse_core.reading.tiny_objects import MANY

MB = 1024**2


def small(dataset: Dataset = TRADES, most_bytes: int = 64 * MB) -> SmallObjects:
    return SmallObjects(dataset, "binance", most_bytes)


def stored(body: bytes, number: int = 0) -> StoredObject:
    return StoredObject(f"data_sources/x/{number}.parquet", str(number), body)


def summed(table: pa.Table, version: str = "1", compression: str = "zstd") -> bytes:
    """As our writer writes it, sums and all, but with other columns or another version."""
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, table.schema, compression=compression, use_dictionary=False, store_schema=False) as writer:
        writer.write_table(table)
        metadata = {"dataset": "trades", "schema_version": version, "row_count": str(table.num_rows)}
        writer.add_key_value_metadata({f"tickhouse.{name}": value for name, value in metadata.items()} | {KEY: BLANK})
    return with_sums(memoryview(sink.getvalue()))


@pytest.mark.parametrize("count", [3, MANY + 100], ids=["by pyarrow", "by polars"])
@pytest.mark.parametrize("dataset", BY_DAY, ids=lambda dataset: dataset.name)
def test_objects_as_we_write_them_are_one_table_with_the_rows_of_each(dataset: Dataset, count: int) -> None:
    numbers = trades([3, 1, 2], prices=["0.000000000000000001", "99999999999999999999", "1"])
    body = parquet_bytes(numbers if dataset is TRADES else of_nulls(dataset), dataset)

    ((found, rows),) = small(dataset).groups([stored(body, number) for number in range(count)])

    assert [one.etag for one in found] == [str(number) for number in range(count)]
    plainly = pa.schema([field.with_type(plain(field.type)) for field in dataset.schema])
    assert rows == pa.concat_tables([read_checked(body, dataset)] * count).cast(plainly)


GOOD = trades([1])
OTHERS: dict[str, Callable[[], bytes]] = {
    "a newer version": lambda: summed(GOOD, version="2"),
    "a column more": lambda: summed(GOOD.append_column("note", pa.array(["x"]))),
    "a column less": lambda: summed(GOOD.drop_columns(["event_time"])),
    "another type": lambda: summed(GOOD.set_column(3, "price", pa.array([1.5]))),
    "no sums": lambda: _as_another_tool(GOOD),
    "a flipped bit": lambda: _flipped(parquet_bytes(GOOD, TRADES)),
    "cut short": lambda: parquet_bytes(GOOD, TRADES)[:-100],
    "nothing": lambda: b"",
    "large": lambda: summed(GOOD.take([0] * (SMALL_BYTES // 50)), compression="none"),
}
REFUSED: dict[str, Callable[[], bytes]] = {
    "an instant of no market": lambda: parquet_bytes(trades([1], times_us=[DAY * 1_000]), TRADES),
    "another venue": lambda: parquet_bytes(trades([1], venue="kucoin"), TRADES),
    "a long name": lambda: parquet_bytes(trades([1], symbol="X" * 300), TRADES),
    "a null": lambda: summed(GOOD.set_column(2, pa.field("trade_id", pa.uint64()), pa.array([None], pa.uint64()))),
}


def _as_another_tool(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())


def _flipped(body: bytes) -> bytes:
    return body[:40] + bytes([body[40] ^ 1]) + body[41:]


@pytest.mark.parametrize("name", OTHERS)
def test_what_our_writer_did_not_write_is_looked_at_on_its_own_and_its_neighbours_together(name: str) -> None:
    good = parquet_bytes(GOOD, TRADES)

    groups = list(small().groups([stored(body, at) for at, body in enumerate([good, good, OTHERS[name](), good])]))

    assert [[one.etag for one in found] for found, _ in groups] == [["0", "1"], ["2"], ["3"]]
    assert [None if rows is None else rows.num_rows for _, rows in groups] == [2, None, 1]


@pytest.mark.parametrize("name", REFUSED)
@pytest.mark.parametrize("count", [2, MANY + 100], ids=["by pyarrow", "by polars"])
def test_a_value_that_no_loader_takes_sends_all_of_its_group_one_by_one(name: str, count: int) -> None:
    bodies = [parquet_bytes(GOOD, TRADES)] * (count - 1) + [REFUSED[name]()]

    assert [rows for _, rows in small().groups([stored(body) for body in bodies])] == [None]


def test_what_is_in_memory_together_is_bounded() -> None:
    body = parquet_bytes(trades(range(1_000)), TRADES)

    groups = list(small(most_bytes=250_000).groups([stored(body, number) for number in range(7)]))

    assert [len(found) for found, _ in groups] == [3, 3, 1]
    assert [rows for _, rows in small(most_bytes=50_000).groups([stored(body)])] == [None]


def test_what_a_loader_refuses_among_small_objects_stays_and_all_others_are_merged(tmp_path: Path) -> None:
    store = FolderStore(tmp_path / "lake")
    record_all(store, [one for one in with_doubles() if one[0] is TRADES])
    key = write(store, TRADES, trades([70]), "a", DAY + HOUR)
    store.write(key, REFUSED["an instant of no market"]())
    counts = run(store, options(), TRADES)[0].counts
    assert (counts.refused, counts.sources, counts.rows) == ([key], 12, 124)
    assert len(objects(store, compacted=True)) == 2
