"""What the lake holds of one futures history, and how a month's object is completed without losing a row.

One object per month and series, completed in place, as the klines' months are. Its footer has the ranges of time that the venue
answered for: an empty stretch is known too, and the backfill keeps no state beside the lake.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from extract_process.parquet import parquet_bytes
from extract_process.ranges import Grid, Range
from tickhouse_core.datasets import Dataset
from tickhouse_core.errors import LakeUnavailable, ObjectChanged, ObjectMissing, ObjectRefused
from tickhouse_core.lake_keys import history_month_key
from tickhouse_core.object_store import ObjectStore, quarantine
from tickhouse_core.parquet_check import read_checked

log = logging.getLogger(__name__)

_ASKED = "tickhouse.asked"
_TRIES = 5
_MOST_MONTH_BYTES = 64 * 1024**2
"""Of a month's object, which has 9,000 rows at most."""

_UNREADABLE = (ObjectRefused, pa.ArrowException, OSError, KeyError, ValueError)


@dataclass(frozen=True, slots=True)
class Series:
    """`grid`: which instants can be requested. In each whole slot of `rows_grid` the venue has a row, or there is a gap."""

    dataset: Dataset
    venue: str
    symbol: str
    period: str
    grid: Grid
    rows_grid: Grid


@dataclass(frozen=True, slots=True)
class LandedHistory:
    """`rows` are new; `empty` are the slots of `rows_grid` that are known to be empty since this answer."""

    key: str
    rows: int
    empty: list[Range]


@dataclass(frozen=True, slots=True)
class _Stored:
    etag: str | None
    rows: pa.Table
    asked: list[Range]


class HistoryLake:
    """Blocking: call it from a thread. Errors: LakeUnavailable, UsageError, ObjectTooLarge."""

    def __init__(self, store: ObjectStore, series: Series) -> None:
        self._store = store
        self._series = series

    def read_asked(self, months: Iterable[str]) -> list[Range]:
        """What the venue answered for, of these months."""
        return [span for month in months for span in self._read(self._key(month)).asked]

    def land(self, month: str, rows: pa.Table, asked: Range, before: Callable[[list[Range]], None]) -> LandedHistory:
        """Adds rows to the month's object; a row that is there already stays. `asked` is a part of the month.

        `before` gets the slots that are empty: they are written down as gaps before the object says that they were asked for.
        """
        key, time = self._key(month), self._series.dataset.time_column
        for _ in range(_TRIES):
            known = self._read(key)
            new = rows.filter(pc.invert(pc.is_in(rows[time], value_set=known.rows[time])))
            merged = _each_once(pa.concat_tables([known.rows, new]), time)
            answered = self._series.grid.joined([*known.asked, asked])
            empty = self._empty(merged[time], known.asked, answered)
            before(empty)
            footer = {"asked": orjson.dumps([[span.first, span.last] for span in answered]).decode()}
            body = parquet_bytes(merged, self._series.dataset, footer)
            try:
                self._store.write(key, body, replaces=known.etag, must_be_new=known.etag is None)
            except ObjectChanged:
                log.info("somebody else wrote the month, merging again", extra={"key": key})
                continue
            return LandedHistory(key, merged.num_rows - known.rows.num_rows, empty)
        raise LakeUnavailable(f"{key} was overwritten by others {_TRIES} times in a row: run again")

    def _empty(self, times: pa.ChunkedArray, before: list[Range], answered: list[Range]) -> list[Range]:
        """Slots that have no row, and lie wholly within what is answered now and did not before."""
        grid = self._series.rows_grid
        present = grid.ranges_of(sorted({grid.floor(at) for at in times.cast(pa.int64()).to_pylist()}))
        known = [slot for span in before if (slot := self._whole_slots(span))]
        return [
            hole for span in answered if (slots := self._whole_slots(span)) for hole in grid.missing(slots, [*present, *known])
        ]

    def _whole_slots(self, span: Range) -> Range | None:
        grid = self._series.rows_grid
        first, last = grid.ceiling(span.first), grid.before(grid.floor(self._series.grid.after(span.last)))
        return Range(first, last) if first <= last else None

    def _read(self, key: str) -> _Stored:
        """A month's object; without an etag where there is none yet. What is no such object is quarantined and written anew."""
        dataset = self._series.dataset
        try:
            stored = self._store.read(key, most_bytes=_MOST_MONTH_BYTES)
        except ObjectMissing:
            return _Stored(None, dataset.schema.empty_table(), [])
        try:
            rows = read_checked(stored.body, dataset, key)
            self._refuse_others(rows)
            text = (pq.read_schema(pa.BufferReader(stored.body)).metadata or {}).get(_ASKED.encode(), b"[]")
            return _Stored(stored.etag, rows, [Range(int(first), int(last)) for first, last in orjson.loads(text)])
        except _UNREADABLE as error:
            reason = error.reason if isinstance(error, ObjectRefused) else "broken_footer"
            copy = quarantine(self._store, key, stored.etag, stored.body, reason, str(error))
            log.warning("not a month of this history, writing it anew", extra={"key": key, "copy": copy, "why": str(error)})
            return _Stored(stored.etag, dataset.schema.empty_table(), [])

    def _refuse_others(self, rows: pa.Table) -> None:
        """Raises ValueError for rows of another series: the loader believes columns, not keys."""
        series = self._series
        expected = {"venue": series.venue, "symbol": series.symbol, **({"period": series.period} if series.period else {})}
        for name, value in expected.items():
            if others := [one for one in rows[name].unique().to_pylist() if one != value]:
                raise ValueError(f"it has rows with {name} {others[0]}")

    def _key(self, month: str) -> str:
        series = self._series
        return history_month_key(series.dataset, series.venue, series.symbol, series.period, month)


def _each_once(rows: pa.Table, time: str) -> pa.Table:
    """By time, each time once."""
    rows = rows.sort_by(time)
    times = rows[time]
    if rows.num_rows < 2:
        return rows
    is_first = pc.not_equal(times[1:], times[:-1]).combine_chunks()
    return rows.filter(pa.concat_arrays([pa.array([True]), is_first]))
