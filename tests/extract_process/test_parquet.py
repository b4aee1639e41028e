from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.dataset
import pyarrow.parquet as pq
import pytest

from extract_process.parquet import parquet_bytes, write_events
from extract_process.records import StreamEvent
from extract_process.venues.binance.klines import parse_klines
from tickhouse_core.datasets import KLINES, STREAM_EVENTS
from tickhouse_core.timestamps import parse_instant

if TYPE_CHECKING:
    from conftest import Lake


BODY = b"""[[1704067200000,"42283.58000000","42298.62000000","42261.02000000","42298.61000000","35.92724000",1704067259999,
"1519032.17423080",1327,"23.18766000","980394.59280420","0"],
[1704067260000,"42298.62000000","42320.00000000","42298.61000000","42320.00000000","21.16779000",1704067319999,
"895580.53114440",1348,"13.01468000","550663.39286720","0"]]"""
ROWS = parse_klines(BODY, symbol="BTCUSDT", interval="1m", receipt_time=1_704_067_400_000_000)


def read(body: bytes) -> pa.Table:
    """As pyarrow alone reads it: names are plain strings."""
    return pq.read_table(pa.BufferReader(body))


def metadata(body: bytes) -> pq.FileMetaData:
    return pq.ParquetFile(pa.BufferReader(body)).metadata


def test_rows_come_back_as_they_were_written() -> None:
    table = read(parquet_bytes(ROWS, KLINES))
    assert table.to_pylist() == ROWS.to_pylist()
    assert table.cast(KLINES.schema).equals(ROWS)
    assert table["quote_volume"].to_pylist() == [Decimal("1519032.17423080"), Decimal("895580.53114440")]


def test_the_footer_says_what_is_inside() -> None:
    body = parquet_bytes(ROWS, KLINES, {"no_data": "[]"})
    footer = {name: value for name, value in metadata(body).metadata.items() if name.startswith(b"tickhouse.")}
    assert int(footer.pop(b"tickhouse.crc32")[:16], 16) == len(body) - 8 - int.from_bytes(body[-8:-4], "little")
    assert footer == {
        b"tickhouse.dataset": b"klines",
        b"tickhouse.schema_version": b"1",
        b"tickhouse.row_count": b"2",
        b"tickhouse.first_id": b"1704067200000000",
        b"tickhouse.last_id": b"1704067260000000",
        b"tickhouse.no_data": b"[]",
    }


def test_a_file_without_rows_has_no_range_of_ids() -> None:
    body = parquet_bytes(KLINES.schema.empty_table(), KLINES)
    footer = {name: value for name, value in metadata(body).metadata.items() if name.startswith(b"tickhouse.")}
    assert int(footer.pop(b"tickhouse.crc32")[:16], 16) == len(body) - 8 - int.from_bytes(body[-8:-4], "little")
    assert footer == {
        b"tickhouse.dataset": b"klines",
        b"tickhouse.schema_version": b"1",
        b"tickhouse.row_count": b"0",
    }
    assert read(body).num_rows == 0


def test_the_file_is_zstd_with_dictionaries_for_names_only() -> None:
    group = metadata(parquet_bytes(ROWS, KLINES)).row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    assert {column.compression for column in columns} == {"ZSTD"}
    with_dictionary = [column.path_in_schema for column in columns if column.has_dictionary_page]
    assert with_dictionary == ["venue", "symbol", "interval", "source"]


def test_names_are_plain_strings_to_a_reader() -> None:
    table = read(parquet_bytes(ROWS, KLINES))
    assert [table.schema.field(name).type for name in ("venue", "symbol", "interval", "source")] == [pa.string()] * 4


def test_a_lake_opens_as_a_hive_partitioned_dataset(tmp_path: Path) -> None:
    folder = tmp_path / "venue=binance" / "symbol=BTCUSDT" / "interval=1m"
    folder.mkdir(parents=True)
    (folder / "2024-01.parquet").write_bytes(parquet_bytes(ROWS, KLINES))
    lake = pyarrow.dataset.dataset(tmp_path, format="parquet", partitioning="hive")
    rows = lake.to_table(filter=pyarrow.dataset.field("symbol") == "BTCUSDT")
    assert rows.select(KLINES.schema.names).cast(KLINES.schema).equals(ROWS)


def test_decimals_and_instants_are_exact_types_for_every_reader() -> None:
    schema = metadata(parquet_bytes(ROWS, KLINES)).schema
    types = {schema.column(number).name: str(schema.column(number).logical_type) for number in range(len(schema.names))}
    assert types["open"] == "Decimal(precision=38, scale=18)"
    assert "isAdjustedToUTC=true, timeUnit=microseconds" in types["open_time"]


@pytest.mark.parametrize("cut", [1, 2])
def test_the_same_rows_are_the_same_bytes_however_they_arrived(cut: int) -> None:
    pieces = pa.concat_tables([ROWS.slice(0, cut), ROWS.slice(cut)])
    assert parquet_bytes(pieces.combine_chunks(), KLINES) == parquet_bytes(ROWS, KLINES)


def test_events_land_as_one_object_of_the_hour(moto_lake: Lake) -> None:
    gap = StreamEvent("binance", "币安人生USDT", "klines", "backfill-1", "gap", 5, 9, 5, None, "venue_has_no_data", "5 klines")
    healed = StreamEvent("binance", "BTCUSDT", "klines", "backfill-1", "healed", None, None, 5, 10, "late", "")
    received = parse_instant("2024-01-01T13:59:59.5")
    key = write_events(moto_lake.store, [gap, healed], received, 3)
    assert key == "data_sources/stream_events/venue=binance/date=2024-01-01/hour=13/1704117599500000-backfill-1-3.parquet"
    table = read(moto_lake.store.read(key).body)
    assert table.cast(STREAM_EVENTS.schema).num_rows == 2
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        ("binance", "币安人生USDT", "klines", "backfill-1", "gap", 5, 9, epoch(5), None, "venue_has_no_data", "5 klines"),
        ("binance", "BTCUSDT", "klines", "backfill-1", "healed", None, None, epoch(5), epoch(10), "late", ""),
    ]


def test_events_written_again_are_the_same_key_and_the_same_bytes(moto_lake: Lake) -> None:
    event = StreamEvent("binance", "BTCUSDT", "klines", "backfill-1", "gap", 5, 9, 5, 10, "venue_has_no_data", "5 klines")
    first = moto_lake.store.read(write_events(moto_lake.store, [event], 7, 1))
    again = moto_lake.store.read(write_events(moto_lake.store, [event], 7, 1))
    assert (first.key, first.etag) == (again.key, again.etag)


def epoch(microseconds: int) -> datetime:
    return datetime(1970, 1, 1, 0, 0, 0, microseconds, tzinfo=UTC)
