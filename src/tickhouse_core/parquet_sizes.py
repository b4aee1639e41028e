"""PURE. What a Parquet file takes in memory: what its footer says before anything is decoded, and what its rows say then."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tickhouse_core.datasets import Dataset
from tickhouse_core.errors import ObjectRefused
from tickhouse_core.parquet_columns import plain
from tickhouse_core.parquet_headers import ChunkPages, pages_of

MOST_BYTES = 2 * 1024**3
"""Default limit of an object once decoded."""

MOST_ROW_GROUPS = 32_767
"""Parquet numbers the groups of a file with 16 bits, and each costs half a millisecond however few rows it has."""

MOST_FOOTER_BYTES = 32 * 1024**2
MOST_PAGES = 2 * 1024**2
"""Each costs ten microseconds, however little it holds."""

FOOTER_FACTOR = 16
"""Bytes that one byte of a footer becomes in memory, with what each row group costs once its rows are decoded: 8 and 15
were measured with 20,000 row groups of trades."""

_WIDTHS = {"FIXED_LEN_BYTE_ARRAY": 16, "INT64": 8, "INT32": 4, "BYTE_ARRAY": 4, "BOOLEAN": 1}
"""Bytes in memory of a value of the types that datasets have, at least; of a name its index."""

_TEXT_COPIES = 4
"""Of a page of text while its distinct values are found: 3.9 were measured with one text of 100 MB."""

_LEVEL_BYTES = 32
_LEVEL_COPIES = 3
"""Levels of a row group in memory at once while they are checked; a row with all of them cannot be cut."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes, as footer and page headers say: `decoded` of all rows, and `at_once` of what a row group needs beside the rows
    that are decoded: a page of each column, and its levels.

    `written_out`: columns of text that pyarrow cannot keep as a dictionary (DELTA_BYTE_ARRAY). Each value counts as long as its
    column chunk, which it can be.
    """

    decoded: int
    at_once: int
    written_out: frozenset[str]


def sizes_of(file: pq.ParquetFile, body: bytes, dataset: Dataset) -> Sizes:
    """Of the file's rows in the dataset's columns, those that it lacks and copies that casts make included.

    A page of equal values is a few bytes whatever their number, so the values count, not only what encodes them. Where the footer
    says less than the headers of the pages, these count: they are what a decoder goes by.
    Raises ObjectRefused where they cannot be read.
    """
    metadata, schema = file.metadata, file.schema_arrow
    copied = {field.name: field.type for field in dataset.schema if _is_copied(field, schema)}
    in_columns = [metadata.schema.column(number) for number in range(metadata.num_columns)]
    names, nested = [c.path.partition(".")[0] for c in in_columns], [c.max_repetition_level > 0 for c in in_columns]
    decoded = at_once = number_of_pages = header_bytes = 0
    as_text: dict[str, list[int]] = {}
    written_out = set()
    for group in (metadata.row_group(number) for number in range(metadata.num_row_groups)):
        pages = levels = 0
        for number in range(group.num_columns):
            column = group.column(number)
            pages_say = _pages_of(body, column, names[number])
            number_of_pages += pages_say.number
            header_bytes += pages_say.unusual
            if number_of_pages > MOST_PAGES or header_bytes > MOST_FOOTER_BYTES:
                raise ObjectRefused("too_large", f"{number_of_pages:,} pages or more, or headers too long: write larger pages")
            encoded = max(column.total_uncompressed_size, pages_say.size)
            values = max(column.num_values, pages_say.values, 0 if nested[number] else group.num_rows)
            width = _WIDTHS.get(column.physical_type, 16)
            decoded += max(encoded, values * width)
            pages += encoded
            if column.physical_type == "BYTE_ARRAY":
                pages += encoded * (_TEXT_COPIES - 1)
                as_text.setdefault(names[number], []).append(values * encoded)
                if pages_say.shares:
                    written_out.add(names[number])
            if nested[number]:
                levels += max(encoded, values * width)
                decoded += values * 16 if names[number] in copied else 0
        at_once = max(at_once, pages + _LEVEL_COPIES * levels)
    widths = (width_of(type_) for type_ in copied.values())
    decoded += metadata.num_rows * sum(widths) + sum(sum(as_text[name]) for name in written_out)
    at_once += sum(max(as_text[name]) for name in written_out)
    return Sizes(decoded, at_once, frozenset(written_out))


def _pages_of(body: bytes, column: pq.ColumnChunkMetaData, name: str) -> ChunkPages:
    start, first_dictionary = column.data_page_offset, column.dictionary_page_offset or 0
    if 0 < first_dictionary < start:
        start = first_dictionary
    try:
        return pages_of(body, start, start + column.total_compressed_size, column.num_values)
    except (ValueError, IndexError, RecursionError) as error:
        raise ObjectRefused("broken_pages", f"the file's pages cannot be decoded: a page of {name} has no header") from error


def check_footer(body: bytes) -> int:
    """What the footer takes in memory. Raises ObjectRefused where it is too large to be opened."""
    said = min(int.from_bytes(body[-8:-4], "little"), len(body))
    if said > MOST_FOOTER_BYTES:
        raise ObjectRefused(
            "too_large", f"a footer of {said:,} bytes, {MOST_FOOTER_BYTES:,} are allowed: write fewer and larger row groups"
        )
    return FOOTER_FACTOR * said


def check_row_groups(metadata: pq.FileMetaData) -> None:
    """Raises ObjectRefused for more than a file should have."""
    groups = metadata.num_row_groups
    if groups > MOST_ROW_GROUPS:
        raise ObjectRefused("too_large", f"{groups:,} row groups, {MOST_ROW_GROUPS:,} are allowed: write larger ones")


def width_of(type_: pa.DataType) -> int:
    """Bytes of one value in memory, without its text or levels."""
    has_width = not (pa.types.is_dictionary(type_) or pa.types.is_string(type_) or pa.types.is_list(type_))
    return max(int(type_.bit_width) // 8, 1) if has_width else 4


def row_width(dataset: Dataset) -> int:
    """Bytes of a row in memory, without texts and levels."""
    return sum(width_of(field.type) for field in dataset.schema)


def cut_by_size(table: pa.Table, dataset: Dataset, most_bytes: int) -> Iterator[pa.Table]:
    """The rows in order, in parts of at most `most_bytes` once their texts are written out for every row.

    Raises ObjectRefused for one row that is larger.
    """
    sizes = _bytes_of_rows(table, dataset)
    ends = np.cumsum(sizes)
    if len(sizes) and int(sizes.max()) > most_bytes:
        said = f"one row has {int(sizes.max()):,} bytes, {most_bytes:,} are allowed"
        raise ObjectRefused("too_large", f"{said}: write it as several rows, or raise LOADER_MEMORY_MB")
    start = 0
    while start < len(sizes):
        before = int(ends[start - 1]) if start else 0
        end = int(np.searchsorted(ends, before + most_bytes, "right"))
        yield table.slice(start, end - start)
        start = end


def expanded_bytes(table: pa.Table, dataset: Dataset) -> int:
    """Of all texts that are written out for every row though the file has each of them once."""
    return sum(int(lengths.sum()) for lengths in _text_lengths(table, dataset))


def _bytes_of_rows(table: pa.Table, dataset: Dataset) -> npt.NDArray[np.int64]:
    sizes = np.full(table.num_rows, row_width(dataset), np.int64)
    for lengths in _text_lengths(table, dataset):
        sizes += lengths
    for field in dataset.schema:
        if pa.types.is_list(field.type) and field.name in table.schema.names:
            lengths = pc.fill_null(pc.list_value_length(table.column(field.name)).cast(pa.int64()), 0)
            sizes += lengths.to_numpy() * _LEVEL_BYTES
    return sizes


def _text_lengths(table: pa.Table, dataset: Dataset) -> Iterator[npt.NDArray[np.int64]]:
    """Of each row, for each column of text that the dataset does not encode as a dictionary and the file does."""
    for field in dataset.schema:
        if not pa.types.is_string(field.type) or field.name not in table.schema.names:
            continue
        column = table.column(field.name)
        if not pa.types.is_dictionary(column.type):
            continue
        chunks = [pc.binary_length(chunk.dictionary).cast(pa.int64()).take(chunk.indices) for chunk in column.chunks]
        yield pc.fill_null(pa.chunked_array(chunks, pa.int64()), 0).to_numpy()


def _is_copied(field: pa.Field, schema: pa.Schema) -> bool:
    """Whether the column is made: the file lacks it, or has it in a type that is cast."""
    return field.name not in schema.names or plain(schema.field(field.name).type) != plain(field.type)
