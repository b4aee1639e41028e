"""Sizes of files whose footer says less than their pages have."""

import io
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.load_process.conftest import START, klines

from tickhouse_core.columns import INSTANT, LEVELS
from tickhouse_core.datasets import DEPTH_DIFFS, KLINES, STREAM_EVENTS, Dataset
from tickhouse_core.errors import ObjectRefused
from tickhouse_core.parquet_check import CheckedFile, read_checked
from tickhouse_core.parquet_headers import pages_of

MEGA = 1024**2


def written(table: pa.Table, **options: object) -> bytes:
    """With one page for each column chunk."""
    sink = io.BytesIO()
    pq.write_table(table, sink, compression="zstd", data_page_size=1024 * MEGA, write_batch_size=2**30, **options)
    return sink.getvalue()


def varint(value: int, length: int = 1) -> bytes:
    """A signed integer of Thrift's compact protocol, written longer than it needs to be."""
    value <<= 1
    digits = [value >> 7 * place & 127 for place in range(max(length, (value.bit_length() + 6) // 7))]
    return bytes(digit | 128 for digit in digits[:-1]) + bytes(digits[-1:])


def lying(body: bytes, said: int, instead: int) -> bytes:
    """The file with another number wherever its footer says this one."""
    start = len(body) - 8 - int.from_bytes(body[-8:-4], "little")
    true = varint(said)
    assert true in body[start:]
    return body[:start] + body[start:].replace(true, varint(instead, len(true)))


def uncompressed(body: bytes, name: str) -> int:
    group = pq.ParquetFile(io.BytesIO(body)).metadata.row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    return next(int(column.total_uncompressed_size) for column in columns if column.path_in_schema.startswith(name))


def refusal(body: bytes, dataset: Dataset, most_bytes: int) -> ObjectRefused:
    before = pa.total_allocated_bytes()
    with pytest.raises(ObjectRefused) as caught:
        CheckedFile(body, dataset, most_bytes=most_bytes)
    assert pa.total_allocated_bytes() - before < MEGA  # nothing was decoded
    return caught.value


def test_a_page_that_is_larger_than_the_footer_says_counts_as_what_its_header_says() -> None:
    table = klines(0)
    name = pa.array(["A" * 4 * MEGA])
    body = written(table.set_column(table.schema.names.index("symbol"), "symbol", name), use_dictionary=False)
    assert len(body) < 10_000
    body = lying(body, uncompressed(body, "symbol"), 100)
    assert uncompressed(body, "symbol") == 100
    error = refusal(body, KLINES, MEGA)
    assert error.reason == "too_large"
    assert str(error).startswith("4,19")


def test_a_page_with_more_values_than_the_footer_says_counts_as_what_its_header_says() -> None:
    """One diff with 50,000 equal levels, which are hardly a byte: counted by the column, 1 by the footer."""
    levels = pa.array([[{"price": Decimal("1.5"), "quantity": Decimal(2)}] * 50_000], LEVELS)
    columns = {"venue": ["x"], "symbol": ["x"], "first_update_id": [1], "last_update_id": [1]}
    times = dict.fromkeys(("event_time", "receipt_time"), pa.array([START], INSTANT))
    table = pa.table([({"bids": levels, "asks": levels} | columns | times)[name] for name in DEPTH_DIFFS.schema.names],
                     names=DEPTH_DIFFS.schema.names)  # fmt: skip
    body = written(table)
    assert len(body) < 20_000
    error = refusal(lying(body, 50_000, 1), DEPTH_DIFFS, MEGA)
    assert error.reason == "too_large"


def test_rows_that_only_the_row_group_has_count_too() -> None:
    body = written(klines(*[0] * 20_000))
    footer = body.rfind(varint(20_000))
    lie = lying(body, 20_000, 1)
    counts = lie[:footer] + body[footer : footer + 3] + lie[footer + 3 :]  # the row group's own count is the last one
    metadata = pq.ParquetFile(io.BytesIO(counts)).metadata
    assert (metadata.row_group(0).num_rows, metadata.row_group(0).column(3).num_values) == (20_000, 1)
    assert refusal(counts, KLINES, MEGA).reason == "too_large"


def test_text_that_says_what_it_shares_with_the_one_before_counts_as_long_as_its_page() -> None:
    """DELTA_BYTE_ARRAY: 200 times the same 100 kB are 20 MB in a page of 100 kB."""
    values = {"from_update_id": 1, "to_update_id": 2, "started_at": START, "ended_at": START, "detail": "A" * 100_000}
    columns = [pa.array([values.get(field.name, "x")] * 200).cast(field.type) for field in STREAM_EVENTS.schema]
    table = pa.table(columns, schema=STREAM_EVENTS.schema)
    body = written(table, use_dictionary=False, column_encoding={"detail": "DELTA_BYTE_ARRAY"})
    assert len(body) < 20_000
    assert uncompressed(body, "detail") < 200_000
    error = refusal(body, STREAM_EVENTS, 10 * MEGA)
    assert error.reason == "too_large"
    assert str(error).endswith("write detail in another encoding than DELTA_BYTE_ARRAY")
    few = written(table.slice(0, 3), use_dictionary=False, column_encoding={"detail": "DELTA_BYTE_ARRAY"})
    assert read_checked(few, STREAM_EVENTS, most_bytes=MEGA).equals(table.slice(0, 3))


@pytest.mark.parametrize("options", [{}, {"use_dictionary": False}, {"data_page_version": "2.0"}, {"row_group_size": 7}])
def test_honest_pages_are_what_the_footer_says(options: dict[str, object]) -> None:
    body = written(klines(*range(24)), **options)
    metadata = pq.ParquetFile(io.BytesIO(body)).metadata
    for group in (metadata.row_group(number) for number in range(metadata.num_row_groups)):
        for column in (group.column(number) for number in range(group.num_columns)):
            start = column.dictionary_page_offset or column.data_page_offset
            pages = pages_of(body, start, start + column.total_compressed_size, column.num_values)
            assert (pages.size, pages.values) == (column.total_uncompressed_size, column.num_values)
            assert pages.number == (2 if column.has_dictionary_page else 1)


ENDLESS = b"\x19\xf3\xff\xff\xff\xff\xff\xff\x7f"
"""A list of more bytes than there are in the world."""


@pytest.mark.parametrize("header", [b"", b"\x15", b"\x15\x00\x15\x03\x00", ENDLESS, b"\x1c" * 100_000, b"\x1e", b"\xff" * 50])
def test_a_header_that_is_none_ends_at_once(header: bytes) -> None:
    with pytest.raises((ValueError, IndexError, RecursionError)):
        pages_of(header, 0, 100_000, 1)


def header(kind: int, *structs: bytes) -> bytes:
    """A page's, of 5,000 bytes that are none here."""
    return b"\x15" + varint(kind) + b"\x15" + varint(5_000) + b"\x15\x00" + b"".join(structs) + b"\x00"


def counting(field: int, values: int) -> bytes:
    """A struct whose first field is the number of values, after a field that is told with its whole number."""
    return b"\x0c" + varint(field) + b"\x15" + varint(values) + b"\x00"


AS_I64 = b"\x06" + varint(2) + varint(1)  # the size once more: Arrow passes over what is no i32


@pytest.mark.parametrize(
    ("page", "size", "values"),
    [
        (header(0, counting(5, 3)), 5_000, 3),
        (header(3, counting(8, 3)), 5_000, 3),
        (header(0, AS_I64, counting(5, 3)), 5_000, 3),
        (header(2, counting(7, 900_000)), 16 * 900_000 + 5_000, 0),
        (header(2, counting(7, 1), counting(5, 10**6)), 5_000, 0),
        (header(1, counting(5, 10**6)), 5_000, 0),
    ],
    ids=["data", "data v2", "size again, of another type", "more names than bytes", "another type's header", "an index page"],
)
def test_a_header_is_read_as_arrow_reads_it(page: bytes, size: int, values: int) -> None:
    found = pages_of(page, 0, len(page), 3)
    assert (found.size - len(page), found.values) == (size, values)
