"""What the lake holds of one futures history, and how a month's object is completed without losing a row.

One object per month and series, completed in place, as the klines' months are. Its footer has the ranges of time that the venue
answered for: an empty stretch is known too, and the backfill keeps no state beside the lake. Rows of one minute are one row: the
venue's times are some milliseconds late.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

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
from tickhouse_core.timestamps import MINUTE_US, from_datetime

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
class Difference:
    """Values of one instant (microseconds), by column: of the row that stays, and of the one that was offered."""

    at: int
    values: dict[str, dict[str, str | None]]


@dataclass(frozen=True, slots=True)
class LandedHistory:
    """`rows` are new. `empty` are the slots of `rows_grid` known to be empty since this answer, `healed` those that were before.

    `differences` has what was offered beside a row that stays. An object that would not change `is_written` not again.
    """

    key: str
    rows: int
    empty: list[Range]
    healed: list[Range]
    differences: list[Difference]
    is_written: bool = True


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

    def land(self, month: str, rows: pa.Table, asked: list[Range], before: Callable[[list[Range]], None]) -> LandedHistory:
        """Adds rows to the month's object; a row that is there already stays, whatever comes. `asked` are parts of the month.

        `before` gets the slots that are empty: they are written down as gaps before the object says that they were asked for.
        """
        key, time = self._key(month), self._series.dataset.time_column
        for _ in range(_TRIES):
            known = self._read(key)
            merged, differences = _merged(known.rows, rows.sort_by(time), time)
            answered = self._series.grid.joined([*known.asked, *asked])
            empty_before, empty_now = self._empty(known.rows[time], known.asked), self._empty(merged[time], answered)
            empty = self._series.rows_grid.without(empty_now, empty_before)
            new_rows, healed = merged.num_rows - known.rows.num_rows, self._series.rows_grid.without(empty_before, empty_now)
            if not new_rows and answered == known.asked:
                return LandedHistory(key, 0, [], [], differences, is_written=False)
            before(empty)
            footer = {"asked": orjson.dumps([[span.first, span.last] for span in answered]).decode()}
            body = parquet_bytes(merged, self._series.dataset, footer)
            try:
                self._store.write(key, body, replaces=known.etag, must_be_new=known.etag is None)
            except ObjectChanged:
                log.info("somebody else wrote the month, merging again", extra={"key": key})
                continue
            return LandedHistory(key, new_rows, empty, healed, differences)
        raise LakeUnavailable(f"{key} was overwritten by others {_TRIES} times in a row: run again")

    def _empty(self, times: pa.ChunkedArray, answered: list[Range]) -> list[Range]:
        """Slots that have no row, and lie wholly within what is answered."""
        grid = self._series.rows_grid
        present = grid.ranges_of(sorted({grid.floor(at) for at in times.cast(pa.int64()).to_pylist()}))
        return [hole for span in answered if (slots := self._whole_slots(span)) for hole in grid.missing(slots, present)]

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


def _merged(known: pa.Table, offered: pa.Table, time: str) -> tuple[pa.Table, list[Difference]]:
    """The known rows and those of other minutes, each once, by time; and where an offered row is not the one that stays."""
    minutes = [pc.floor_temporal(rows[time], unit="minute") for rows in (known, offered)]
    taken = {_minute(row[time]): row for row in known.filter(pc.is_in(minutes[0], value_set=minutes[1])).to_pylist()}
    new, differences = [], []
    for place, row in enumerate(offered.to_pylist()):
        minute = _minute(row[time])
        stays = taken.setdefault(minute, row)
        if stays is row:
            new.append(place)
        elif values := _differing(stays, row, time):
            differences.append(Difference(minute, values))
    return pa.concat_tables([known, offered.take(pa.array(new, pa.int64()))]).sort_by(time), differences


def _minute(at: datetime) -> int:
    return from_datetime(at) // MINUTE_US * MINUTE_US


def _differing(stays: dict[str, Any], offered: dict[str, Any], time: str) -> dict[str, dict[str, str | None]]:
    """Times and numbers; when a row was received, and from where, may differ."""
    return {
        name: {"in_lake": _text(stays[name]), "offered": _text(value)}
        for name, value in offered.items()
        if value != stays[name] and (name == time or Decimal in (type(value), type(stays[name])))
    }


def _text(value: object) -> str | None:
    return None if value is None else str(value)
