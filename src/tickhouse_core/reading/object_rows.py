"""The rows of some objects that a filter lets through: footers and statistics decide what of a file is read and decoded."""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from pyarrow import fs

from tickhouse_core.datasets import Dataset
from tickhouse_core.errors import ObjectMissing, ObjectRefused
from tickhouse_core.object_store import ObjectStore, ObjectSummary
from tickhouse_core.parquet_check import read_checked, read_footer, refuse_damaged, refuse_unaskable
from tickhouse_core.parquet_sums import footer_of
from tickhouse_core.reading.arrow_memory import in_arrow, wanted_parts
from tickhouse_core.reading.tiny_objects import are_many_and_tiny, decoded

log = logging.getLogger(__name__)

Made = TypeVar("Made")

SMALL_BYTES = 1024 * 1024
"""Smaller objects are read in whole columns once their statistics say that they may hold wanted rows; of larger ones only the
row groups that may."""

WHOLE_BYTES = 4 * 1024 * 1024
"""Smaller objects of a bucket are one request; of larger ones only the bytes that are needed are asked for."""

_REQUESTS, _READERS = 8, 2
"""Objects that are fetched, and decoded, at a time."""

_LOCAL = fs.LocalFileSystem(use_mmap=True)
_FORMAT = ds.ParquetFileFormat(default_fragment_scan_options=ds.ParquetFragmentScanOptions(page_checksum_verification=True))


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows: all for which `rows` is true. `bounds` says the same in part, for statistics: column, least, greatest."""

    rows: ds.Expression
    venue: str
    columns: tuple[str, ...]
    """That `rows` speaks of."""

    bounds: tuple[tuple[str, int, int] | tuple[str, str, str], ...] = ()


class ObjectRows:
    """Reads objects of one dataset. `unreadable` collects keys and why: the loader would quarantine such an object."""

    def __init__(self, store: ObjectStore, dataset: Dataset, columns: Sequence[str] | None = None) -> None:
        """`columns`: only these, in the dataset's order."""
        self._store = store
        self._dataset = dataset
        self._leaves = _leaves(dataset)
        self._whole = plain_schema(dataset)
        self.schema = pa.schema([field for field in self._whole if columns is None or field.name in columns])
        self.unreadable: list[str] = []

    def read(self, summaries: Sequence[ObjectSummary], wanted: Wanted) -> pa.Table:
        """Their rows in the order of the objects; names are plain strings. Raises LakeUnavailable, AccessRefused."""
        try:
            if all(summary.size <= SMALL_BYTES for summary in summaries):
                return self._read_small(summaries, wanted)
            return self._scan(summaries, wanted)
        except (pa.ArrowException, OSError, UnicodeDecodeError, ObjectRefused, ObjectMissing):
            parts = [self._read_one(summary, wanted) for summary in summaries]
        return pa.concat_tables([self.schema.empty_table(), *parts])

    def _read_small(self, summaries: Sequence[ObjectSummary], wanted: Wanted) -> pa.Table:
        """A scan costs more than twice as much for every object. The venue is the key's: statistics say so."""
        named = {*self.schema.names, *wanted.columns} - {"venue"}
        needed = pa.schema([field for field in self._whole if field.name in named])
        rows = None
        if are_many_and_tiny([summary.size for summary in summaries], needed):
            rows = decoded(self._of_each(summaries, lambda one: self._buffer(one).to_pybytes()), needed, wanted.venue)
        if rows is None:
            tables = self._of_each(summaries, lambda one: self._columns(one, needed, wanted))
            found = [table for table in tables if table is not None]
            rows = pa.concat_tables(found).combine_chunks().cast(needed) if found else needed.empty_table()
        if any(rows.column(name).null_count for name in needed.names if not self._dataset.schema.field(name).nullable):
            raise ObjectRefused("null_value", "a value is missing that every row has: each object is read on its own")
        rows = rows.add_column(0, "venue", pa.repeat(pa.scalar(wanted.venue), rows.num_rows))
        return rows.filter(wanted.rows).select(self.schema.names)

    def _of_each(self, summaries: Sequence[ObjectSummary], make: Callable[[ObjectSummary], Made]) -> list[Made]:
        """Several at a time, in their order."""
        readers = _READERS if self._store.is_local else _REQUESTS
        share = -(-len(summaries) // (4 * readers))
        parts = [summaries[start : start + share] for start in range(0, len(summaries), share)]
        with ThreadPoolExecutor(readers) as pool:
            return [made for some in pool.map(lambda part: [make(one) for one in part], parts) for made in some]

    def _columns(self, summary: ObjectSummary, needed: pa.Schema, wanted: Wanted) -> pa.Table | None:
        """None where statistics say that nothing wanted is in it. Raises ObjectRefused for a file that is not as we write it."""
        buffer = self._buffer(summary)
        body = memoryview(buffer)
        footer = footer_of(body)
        is_as_written = refuse_damaged(footer, len(body))
        file = pq.ParquetFile(pa.BufferReader(buffer), page_checksum_verification=not is_as_written)
        if not is_as_written:  # a look at every field of the footer costs as much as four columns
            refuse_unaskable(file, footer)
        bounds = _bounds(file.metadata, self._leaves, ("venue", *(name for name, _, _ in wanted.bounds)))
        if bounds.get("venue") != (wanted.venue, wanted.venue):
            raise ObjectRefused("wrong_value", "of several venues: it is read on its own")
        for name, least, greatest in wanted.bounds:
            first, last = bounds.get(name, (least, greatest))
            if first > greatest or last < least:
                is_here = name in file.schema_arrow.names
                if not is_here or file.schema_arrow.field(name).type != needed.field(name).type:  # statistics in another unit
                    raise ObjectRefused("wrong_type", "written by another tool: it is read on its own")
                return None
        refuse_damaged(footer, len(body), body)  # columns that are not asked for too: rows of theirs would be left out
        table = file.read(columns=needed.names, use_threads=False)
        if table.schema.names != needed.names or table.schema.types != needed.types:
            raise ObjectRefused("wrong_type", "written by another tool: it is read on its own")
        return table

    def _scan(self, summaries: Sequence[ObjectSummary], wanted: Wanted) -> pa.Table:
        names = [name for name in self._dataset.natural_key if pa.types.is_string(self._whole.field(name).type)]
        rows = reduce(or_, (ds.field(name).is_null() for name in names), wanted.rows)
        columns = {*self.schema.names, *names}
        fragments = self._of_each(summaries, lambda one: self._sound(one, rows, columns | {*wanted.columns}))
        table = ds.FileSystemDataset(fragments, self._whole, _FORMAT).to_table(columns=list(columns), filter=rows)
        if any(table.column(name).null_count for name in names):
            raise ObjectRefused("missing_column", "names are in the key: it is read on its own")
        return table.select(self.schema.names)

    def _sound(self, summary: ObjectSummary, rows: ds.Expression, columns: Collection[str]) -> ds.ParquetFileFragment:
        """What a scan reads. Of a small object all sums are right, of a larger one that of its footer; pages have their own."""
        if self._store.is_local:
            if summary.size <= WHOLE_BYTES:
                whole = memoryview(self._buffer(summary))
                refuse_damaged(footer_of(whole), len(whole), whole)
            else:
                with self._store.open(summary) as file:
                    refuse_damaged(read_footer(file), summary.size)
            return _FORMAT.make_fragment(self._store.where(summary.key), _LOCAL)
        if summary.size <= WHOLE_BYTES:
            body = self._store.read(summary.key).body
            refuse_damaged(footer_of(body), len(body), body)
            return _FORMAT.make_fragment(pa.BufferReader(in_arrow(body)))
        return wanted_parts(self._store, summary, _FORMAT, self._whole, rows, columns)

    def _buffer(self, summary: ObjectSummary) -> pa.Buffer:
        """All of an object; a large file is mapped, for a small one that costs more than a copy."""
        if self._store.is_local:
            where = self._store.where(summary.key)
            return (pa.memory_map(where) if summary.size > SMALL_BYTES else pa.OSFile(where)).read_buffer()
        return pa.py_buffer(self._store.read(summary.key).body)

    def _read_one(self, summary: ObjectSummary, wanted: Wanted) -> pa.Table:
        """An object that is not as our writer writes it: what the loader can read, we can."""
        try:
            rows = read_checked(self._store.read(summary.key).body, self._dataset, summary.key)
        except ObjectMissing:
            return self.schema.empty_table()
        except ObjectRefused as refused:
            self.unreadable.append(f"{summary.key}: {refused.reason}: {refused}")
            log.warning("an object is left out", extra={"key": summary.key, "why": refused.reason})
            return self.schema.empty_table()
        return rows.cast(self._whole).filter(wanted.rows).select(self.schema.names)


def _bounds(metadata: pq.FileMetaData, leaves: dict[str, int], names: Iterable[str]) -> dict[str, tuple[Any, Any]]:
    """Least and greatest value of columns of a file of one row group, instants in microseconds; of those that have statistics.

    `leaves`: where our writer has a column.
    """
    if metadata.num_row_groups != 1:
        return {}
    group, bounds = metadata.row_group(0), {}
    for name in names:
        column = group.column(leaves[name]) if leaves[name] < group.num_columns else None
        found = None if column is None or column.path_in_schema != name else column.statistics
        is_text = found is not None and found.physical_type == "BYTE_ARRAY"
        if found is not None and found.has_min_max and not (is_text and found.null_count):  # they leave out rows without a name
            bounds[name] = (found.min, found.max) if is_text else (found.min_raw, found.max_raw)
    return bounds


def _leaves(dataset: Dataset) -> dict[str, int]:
    """The first Parquet column of each field; a side's levels are two."""
    places: dict[str, int] = {}
    place = 0
    for field in dataset.schema:
        places[field.name] = place
        place += 2 if pa.types.is_list(field.type) else 1
    return places


def in_chunks(found: Sequence[ObjectSummary], most_bytes: int, most_objects: int) -> Iterator[Sequence[ObjectSummary]]:
    """Neighbours, as many as fit; an object that is larger is alone."""
    start, size = 0, 0
    for place, summary in enumerate(found):
        if place > start and (size + summary.size > most_bytes or place - start >= most_objects):
            yield found[start:place]
            start, size = place, 0
        size += summary.size
    if start < len(found):
        yield found[start:]


def between(column: str, start: int, end: int) -> ds.Expression:
    """Instants from `start` up to but not including `end`, in microseconds."""
    moment: Callable[[int], pa.Scalar] = lambda instant: pa.scalar(instant, pa.timestamp("us", tz="UTC"))  # noqa: E731
    return (ds.field(column) >= moment(start)) & (ds.field(column) < moment(end))


def plain_schema(dataset: Dataset) -> pa.Schema:
    """A dataset's, with plain strings for names."""
    return pa.schema([pa.field(field.name, _plain(field.type)) for field in dataset.schema])


def _plain(type_: pa.DataType) -> pa.DataType:
    return pa.string() if pa.types.is_dictionary(type_) else type_
