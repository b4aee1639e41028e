"""Memory is taken for what pages say they are once unpacked, whatever the footer said of them."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.load_process.conftest import klines

from tickhouse_core.datasets import KLINES
from tickhouse_core.errors import ObjectRefused
from tickhouse_core.parquet_check import CheckedFile
from tickhouse_core.parquet_footer import bytes_of_pages

ROWS = klines(*range(24))
TEXT_BYTES = 4_000_000


def written(table: pa.Table, **options: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    return sink.getvalue()


def number(value: int, length: int = 0) -> bytes:
    """As Thrift writes an i32 or i64 compactly; longer with bytes that say nothing."""
    value, said = value << 1, b""
    while value > 127 or len(said) < length - 1:
        said += bytes([value & 127 | 128])
        value >>= 7
    return said + bytes([value])


def with_a_footer_that_lies(body: bytes) -> bytes:
    """The unpacked size of the largest chunk is 99 bytes there."""
    group = pq.ParquetFile(io.BytesIO(body)).metadata.row_group(0)
    largest = max(group.column(place).total_uncompressed_size for place in range(group.num_columns))
    footer = len(body) - 8 - int.from_bytes(body[-8:-4], "little")
    said = number(largest)
    assert body[footer:].count(said) == 1
    return body[:footer] + body[footer:].replace(said, number(99, len(said)))


def decoded(body: bytes) -> int:
    return CheckedFile(body, KLINES).sizes.decoded


@pytest.mark.parametrize("options", [{"compression": "zstd"}, {"compression": "gzip", "data_page_version": "2.0"}], ids=str)
@pytest.mark.parametrize("use_dictionary", [True, False])
def test_of_footer_and_pages_counts_who_says_more(options: dict[str, object], use_dictionary: bool) -> None:
    place = ROWS.schema.get_field_index("symbol")
    names = pa.array(["x" * TEXT_BYTES, *[""] * (ROWS.num_rows - 1)])
    large = ROWS.set_column(place, "symbol", names)
    sound = written(large, use_dictionary=use_dictionary, **options)
    lying = with_a_footer_that_lies(sound)
    assert len(lying) < TEXT_BYTES / 50
    assert TEXT_BYTES < decoded(lying) <= decoded(sound)
    with pytest.raises(ObjectRefused) as caught:
        CheckedFile(lying, KLINES, most_bytes=TEXT_BYTES)
    assert caught.value.reason == "too_large"


@pytest.mark.parametrize("options", [{}, {"data_page_version": "2.0"}, {"data_page_size": 50}, {"compression": "none"}], ids=str)
def test_pages_of_a_sound_file_say_no_more_than_its_footer(options: dict[str, object]) -> None:
    file = pq.ParquetFile(io.BytesIO(body := written(ROWS, **options)))
    group = file.metadata.row_group(0)
    for column in map(group.column, range(group.num_columns)):
        start = min(column.dictionary_page_offset or column.data_page_offset, column.data_page_offset)
        end = start + column.total_compressed_size
        said, pages = bytes_of_pages(body, start, end, column.num_values)
        assert 0 < said < column.total_uncompressed_size
        assert (said, pages) == bytes_of_pages(body, start, end, 10**9), "the last page ends where the chunk does"


# A page's header, as bytes of Thrift: fields 1 type, 2 unpacked and 3 packed size, then 5 (data) or 7 (dictionary)
SIZES = b"\x15" + number(5_000) + b"\x15\x00"
DATA = b"\x15\x00" + SIZES
AS_I64 = b"\x06\x04" + number(1)  # field 2 once more: Arrow passes over what is no i32


@pytest.mark.parametrize(
    ("header", "says"),
    [
        (DATA + b"\x2c\x15" + number(3) + b"\x00\x00", 5_000),
        (DATA + AS_I64 + b"\x3c\x15" + number(3) + b"\x00\x00", 5_000),
        (b"\x15\x04" + SIZES + b"\x4c\x15" + number(900_000) + b"\x00\x00", 16 * 900_000 + 5_000),
    ],
    ids=["data", "the size again, of another type", "a dictionary of more values than bytes"],
)
def test_a_header_is_read_as_arrow_reads_it(header: bytes, says: int) -> None:
    assert bytes_of_pages(header, 0, len(header), 3) == (says, 1)


@pytest.mark.parametrize(
    "header", [b"", b"\x15", b"\x15\x00\x15\x01\x00", b"\x1c" * 5_000], ids=["none", "cut", "negative", "deep"]
)
def test_a_page_whose_header_cannot_be_read_is_refused(header: bytes) -> None:
    with pytest.raises((ValueError, IndexError, RecursionError)):
        bytes_of_pages(header, 0, 9, 3)
