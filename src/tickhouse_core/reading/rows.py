"""Rows of a dataset in a range, streamed: each once, in order, in memory only as long as a double may still come."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace

import pyarrow as pa
import pyarrow.dataset as ds

from tickhouse_core.columns import INSTANT
from tickhouse_core.datasets import KLINES, Dataset
from tickhouse_core.object_store import ObjectStore, ObjectSummary
from tickhouse_core.reading.object_rows import ObjectRows, Wanted, between, in_chunks
from tickhouse_core.reading.objects import LATE_US, Candidate, candidates
from tickhouse_core.reading.ordering import Numbers, Ordering
from tickhouse_core.reading.ranges import LATEST_US, Request
from tickhouse_core.timestamps import MINUTE_US

CHUNK_BYTES = 8 * 1024 * 1024
CHUNK_OBJECTS = 400
"""Objects that are read in one go; Parquet becomes about ten times as large in memory."""

APART_US = MINUTE_US
"""Two recordings of one diff may have times so far apart: around the range so much more is read, and cut after deduplication."""


class RowScan:
    """One pass over a range. `unreadable` says which objects were left out, and why; it is whole when the pass is."""

    def __init__(
        self,
        store: ObjectStore,
        dataset: Dataset,
        request: Request,
        healed_at: Collection[int] = (),
        columns: Sequence[str] | None = None,
        id_range: tuple[int, int] | None = None,
        chunk_objects: int = CHUNK_OBJECTS,
        *,
        received_any_time: bool = False,
    ) -> None:
        """`columns`: only these. `id_range`: ids from the first to the last, both included.

        `received_any_time`: the venue's clock was another one than ours, so that keys say nothing about a row's time.
        """
        self._received = replace(request, start=0, end=LATEST_US) if received_any_time else request
        self._chunk_objects = chunk_objects
        self._store, self._dataset, self._request = store, dataset, request
        self._healed_at = healed_at
        self.columns = columns
        needed = None if columns is None else {*columns, *needed_columns(dataset, request)}
        self._rows = ObjectRows(store, dataset, None if needed is None else sorted(needed))
        self._wanted = self._filter(id_range)

    @property
    def unreadable(self) -> list[str]:
        return self._rows.unreadable

    @property
    def schema(self) -> pa.Schema:
        """Of the tables: the columns asked for, in the dataset's order."""
        fields = [field for field in self._rows.schema if self.columns is None or field.name in self.columns]
        return pa.schema(fields)

    def tables(self) -> Iterator[pa.Table]:
        """In order; every table has rows."""
        ordering = Ordering(self._dataset, self._request.symbols)
        pending = self._late()
        for chunk, next_from in self._chunks():
            pending = pa.concat_tables([pending, self._rows.read(chunk, self._wanted)])
            pending, ready = split(pending, ordering, None if next_from is None else next_from - APART_US)
            if (table := self._cut(ready)).num_rows:
                yield table

    def _candidates(self) -> Iterator[Candidate]:
        return candidates(self._store, self._dataset, self._received, self._healed_at)

    def _chunks(self) -> Iterator[tuple[list[ObjectSummary], int | None]]:
        """Neighbours, as many as are read in one go, and from when on the rows behind them are; None behind the last."""
        chunk: list[ObjectSummary] = []
        size = 0
        for candidate in self._candidates():
            if chunk and (size + candidate.summary.size > CHUNK_BYTES or len(chunk) >= self._chunk_objects):
                yield chunk, candidate.from_us
                chunk, size = [], 0
            chunk.append(candidate.summary)
            size += candidate.summary.size
        if chunk:
            yield chunk, None

    def _late(self) -> pa.Table:
        """Rows that were healed: their objects come later than rows of their time, so they are taken first."""
        if self._dataset is KLINES or not self._healed_at:
            return self._rows.schema.empty_table()
        near = [
            candidate.summary
            for candidate in self._candidates()
            if any(abs(candidate.received_us - at) <= LATE_US for at in self._healed_at)
        ]
        age = ds.field("receipt_time") - ds.field(self._dataset.time_column)
        is_late = age > pa.scalar(LATE_US // 2, pa.duration("us"))
        healed = replace(self._wanted, rows=self._wanted.rows & is_late)
        parts = [self._rows.read(chunk, healed) for chunk in in_chunks(near, CHUNK_BYTES, self._chunk_objects)]
        return pa.concat_tables([self._rows.schema.empty_table(), *parts])

    def _filter(self, id_range: tuple[int, int] | None) -> Wanted:
        request, time_column = self._request, self._dataset.time_column
        apart = 0 if time_column in self._dataset.natural_key else APART_US
        start, end = request.start - apart, request.end + apart
        rows = between(time_column, start, end)
        rows &= ds.field("venue") == request.venue
        for name in self._dataset.series_columns:
            rows &= ds.field(name) == request.interval
        bounds: list[tuple[str, int, int] | tuple[str, str, str]] = [(time_column, start, end - 1)]
        if request.symbols:
            rows &= ds.field("symbol").isin(pa.array(request.symbols))
            bounds.append(("symbol", min(request.symbols), max(request.symbols)))
        if id_range is not None:
            first, last = (pa.scalar(one, pa.uint64()) for one in id_range)
            rows &= (ds.field(self._dataset.id_column) >= first) & (ds.field(self._dataset.id_column) <= last)
            bounds.append((self._dataset.id_column, *id_range))
        columns = {time_column, "symbol", "receipt_time", self._dataset.id_column, *self._dataset.series_columns}
        return Wanted(rows, request.venue, tuple(sorted(columns)), tuple(bounds))

    def _cut(self, table: pa.Table) -> pa.Table:
        return cut(table, self._dataset, self._request).select(self.schema.names)


def cut(table: pa.Table, dataset: Dataset, request: Request) -> pa.Table:
    """Without the rows beside the range that were read to find doubles."""
    if table.num_rows and dataset.time_column not in dataset.natural_key:
        times = table.column(dataset.time_column)
        first, last = (pa.scalar(one, INSTANT) for one in (request.start, request.end))
        table = table.filter(pa.compute.and_(pa.compute.greater_equal(times, first), pa.compute.less(times, last)))
    return table


def needed_columns(dataset: Dataset, request: Request) -> set[str]:
    """Without which a row cannot be told apart, chosen and ordered."""
    needed = {dataset.id_column, dataset.time_column, "receipt_time"}
    return needed | ({"is_closed"} if dataset is KLINES else set()) | ({"symbol"} if len(request.symbols) != 1 else set())


def split(pending: pa.Table, ordering: Ordering, until: int | None) -> tuple[pa.Table, pa.Table]:
    """What has to wait, and what is whole: nothing before `until` will come any more."""
    order = ordering.ordered(pending)
    count = len(order.times) if until is None else int((order.times < until).sum())
    ready = _taken(pending, order.places[:count])
    ordering.handed_out(ready)
    return _taken(pending, order.places[count:]).combine_chunks(), ready


def _taken(table: pa.Table, places: Numbers) -> pa.Table:
    """Rows that lie together already are not copied."""
    count = len(places)
    if count and places[-1] - places[0] == count - 1 and bool((places[1:] > places[:-1]).all()):
        return table.slice(places[0], count)
    return table.take(places)
