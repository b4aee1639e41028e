"""Files in Arrow's own memory, which its threads may decode: none of them then calls Python, or frees what is Python's.

A scan of Arrow returns before its threads have let go of what they read. If that is a Python file or Python's bytes, such a
thread needs the interpreter. If the interpreter is ending by then, the process aborts: "terminate called without an active
exception" (https://github.com/apache/arrow/issues/34314).
"""

from collections.abc import Collection, Iterable, Iterator

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from tickhouse_core.errors import ObjectRefused
from tickhouse_core.object_store import ObjectStore, ObjectSummary
from tickhouse_core.parquet_check import read_footer, refuse_damaged, refuse_unaskable

_FRAME = b"PAR1"
_HOLE_BYTES = 64 * 1024
"""Between two wanted parts: to read it too is quicker than another request."""

_PADDING_BYTES = 100
"""Behind a column chunk: old writers said too few bytes, and Arrow then reads so many more."""


def in_arrow(body: bytes | memoryview) -> pa.Buffer:
    """A copy."""
    buffer = pa.allocate_buffer(len(body))
    _view(buffer)[:] = body
    return buffer


def wanted_parts(
    store: ObjectStore,
    summary: ObjectSummary,
    file_format: ds.ParquetFileFormat,
    schema: pa.Schema,
    rows: ds.Expression,
    columns: Collection[str],
) -> ds.ParquetFileFragment:
    """An object's row groups that may have such rows; of these only the columns are read. Memory is taken for these parts only.

    Raises ObjectRefused for a damaged file, ArrowException for what is none.
    """
    with store.open(summary) as file:
        footer = read_footer(file)
    has_sums = refuse_damaged(footer, summary.size)
    buffer = pa.allocate_buffer(summary.size)
    view = _view(buffer)
    tail = footer + len(footer).to_bytes(4, "little") + _FRAME
    if len(tail) + len(_FRAME) > summary.size:
        raise ObjectRefused("not_parquet", f"{summary.key}: not a Parquet file")
    view[: len(_FRAME)] = _FRAME
    view[summary.size - len(tail) :] = tail
    opened = pq.ParquetFile(pa.BufferReader(buffer))
    if not has_sums:
        refuse_unaskable(opened, footer)
    fragment = file_format.make_fragment(pa.BufferReader(buffer)).subset(rows, schema=schema)
    numbers = [group.id for group in fragment.row_groups]
    for start, stop in _joined(_chunks(opened.metadata, numbers, columns, summary.size)):
        view[start:stop] = store.read_range(summary, start, stop)
    return fragment


def _view(buffer: pa.Buffer) -> memoryview:
    return memoryview(buffer).cast("B")


def _chunks(metadata: pq.FileMetaData, groups: Iterable[int], columns: Collection[str], size: int) -> Iterator[tuple[int, int]]:
    """Where the column chunks are. Raises ObjectRefused where there can be none."""
    for number in groups:
        group = metadata.row_group(number)
        for place in range(group.num_columns):
            chunk = group.column(place)
            if chunk.path_in_schema.partition(".")[0] not in columns:
                continue
            first = chunk.data_page_offset
            if chunk.has_dictionary_page and 0 < (chunk.dictionary_page_offset or 0) < first:
                first = chunk.dictionary_page_offset
            last = first + chunk.total_compressed_size
            if not 0 < first <= last <= size:
                raise ObjectRefused("broken_pages", "its footer says that pages are outside of the file: it is read on its own")
            yield first, min(last + _PADDING_BYTES, size)


def _joined(parts: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Neighbours together."""
    start = stop = 0
    for first, last in sorted(parts):
        if stop and first > stop + _HOLE_BYTES:
            yield start, stop
            stop = 0
        start, stop = (start, max(stop, last)) if stop else (first, last)
    if stop:
        yield start, stop
