"""Rows to Parquet bytes, the same rows always to the same bytes; and small event batches into the lake."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import pyarrow as pa
import pyarrow.parquet as pq

from extract_process.records import StreamEvent
from tickhouse_core.datasets import SCHEMA_VERSION, STREAM_EVENTS, Dataset
from tickhouse_core.lake_keys import hourly_key
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.parquet_sums import BLANK, KEY, with_sums


def parquet_bytes(
    table: pa.Table,
    dataset: Dataset,
    extra: Mapping[str, str] | None = None,
    *,
    level: int = 1,
    group_rows: int | None = None,
    deltas: Sequence[str] = (),
) -> bytes:
    """A Parquet file of the dataset's schema: zstd, exact decimals, and a footer that says what is inside.

    Names are dictionary-encoded in the file and plain strings to every reader, as the partition columns of the key are:
    `pyarrow.dataset.dataset(folder, partitioning="hive")` takes them for one column only if the types agree.

    Footer keys: `tickhouse.dataset`, `.schema_version`, `.row_count`, `.first_id`, `.last_id` of the dataset's
    `id_column` (instants in microseconds, absent when there are no rows), `.crc32` (`parquet_sums`), and `extra`.

    `level` is zstd's, `group_rows` the rows of a row group (None: one group), `deltas` the columns of whole numbers that are
    written as differences: smaller where they ascend.
    """
    footer = {"dataset": dataset.name, "schema_version": SCHEMA_VERSION, "row_count": str(table.num_rows)}
    ids = table.column(dataset.id_column)
    if len(ids):
        raw = ids.cast(pa.int64()) if pa.types.is_timestamp(ids.type) else ids
        footer |= {"first_id": str(raw[0].as_py()), "last_id": str(raw[-1].as_py())}
    metadata = {f"tickhouse.{name}": value for name, value in (footer | dict(extra or {})).items()}
    sink = pa.BufferOutputStream()
    named = [field.name for field in dataset.schema if pa.types.is_dictionary(field.type)]
    with pq.ParquetWriter(
        sink,
        table.schema,
        compression="zstd",
        compression_level=level,
        use_dictionary=named,
        column_encoding=dict.fromkeys(deltas, "DELTA_BINARY_PACKED") or None,
        write_statistics=[field.name for field in dataset.schema if not pa.types.is_nested(field.type)],
        write_page_checksum=True,
        store_schema=False,  # pyarrow's own copy of the schema would make names dictionaries for pyarrow alone
    ) as writer:
        writer.write_table(table.unify_dictionaries(), row_group_size=group_rows)
        writer.add_key_value_metadata(metadata | {KEY: BLANK})
    return with_sums(memoryview(sink.getvalue()))


def write_events(store: ObjectStore, events: Sequence[StreamEvent], receipt_time: int, sequence: int) -> str:
    """Lands the events of one venue and instance as one object and returns its key."""
    table = pa.Table.from_pylist([asdict(event) for event in events], schema=STREAM_EVENTS.schema)
    key = hourly_key(STREAM_EVENTS, events[0].venue, receipt_time, events[0].instance, sequence)
    store.write(key, parquet_bytes(table, STREAM_EVENTS))
    return key
