"""One symbol's history on its way: answers that wait until their month is whole, and its landing with every gap recorded.

Each version of a month's object is loaded as a whole, so a month is written once rather than after each answer.
"""

import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from extract_process.backfill.history_files import Difference, HistoryLake, LandedHistory, Series
from extract_process.backfill.plan import NO_DATA
from extract_process.parquet import write_events
from extract_process.ranges import Range
from extract_process.records import StreamEvent
from tickhouse_core.columns import INSTANT
from tickhouse_core.event_kinds import EventKind
from tickhouse_core.object_store import ObjectStore
from tickhouse_core.timestamps import HOUR_US, format_instant, now_us

log = logging.getLogger(__name__)

_LATE_US = HOUR_US
"""Open interest is counted by the venue and may be published late: an empty period that is younger is requested again."""

_SAID: dict[EventKind, str] = {"gap": "nothing", "healed": "rows"}


@dataclass(slots=True)
class WaitingMonth:
    """Answers for parts of a month that are not in the lake yet, the first of them `since` (monotonic seconds)."""

    month: str
    since: float
    tables: list[pa.Table] = field(default_factory=list)
    answered: list[Range] = field(default_factory=list)


class HistorySeries:
    """The months of one venue, symbol and period. `land` blocks: call it from a thread."""

    def __init__(self, store: ObjectStore, series: Series) -> None:
        self.lake = HistoryLake(store, series)
        self._store = store
        self._series = series
        self._waiting: dict[str, WaitingMonth] = {}
        self._told = 0

    def add_answer(self, page: Range, rows: pa.Table, answered_at: int) -> None:
        """All rows of a page, as the venue had them at that instant (microseconds)."""
        grid, times = self._series.grid, rows[self._series.dataset.time_column]
        for month, part in grid.split_by_month(page):
            end = pa.scalar(grid.after(part.last), pa.int64()).cast(INSTANT)
            found = rows.filter(pc.and_(pc.greater_equal(times, pa.scalar(part.first, INSTANT)), pc.less(times, end)))
            if (answered := self._answered(part, found, answered_at)) is not None:
                waiting = self._waiting.setdefault(month, WaitingMonth(month, time.monotonic()))
                waiting.tables.append(found)
                waiting.answered.append(answered)

    def take(self, besides: str = "", longest_wait: float = 0.0) -> Iterator[WaitingMonth]:
        """All months that wait, without one (`YYYY-MM`) of which more is requested, unless it waits for `longest_wait` seconds.

        Each is the caller's once it is drawn, the others stay.
        """
        due = time.monotonic() - longest_wait
        while taken := [name for name, month in self._waiting.items() if name != besides or month.since <= due]:
            yield self._waiting.pop(taken[0])

    def land(self, month: WaitingMonth) -> LandedHistory:
        """Writes the gaps first, then the month's object, then what differed.

        In this order a crash in between repeats an event, which silver collapses, and never loses one.
        """
        rows = pa.concat_tables(month.tables)
        landed = self.lake.land(month.month, rows, month.answered, lambda empty: self._tell("gap", empty))
        self._tell("healed", landed.healed)
        self._tell_differences(landed.differences)
        log.info("month landed", extra={"key": landed.key, "new_rows": landed.rows})
        return landed

    def _answered(self, part: Range, rows: pa.Table, answered_at: int) -> Range | None:
        """The slots of `part` that an answer is final for: those before its last row, and those that are old enough."""
        if not self._series.period:
            return part
        last_row = pc.max(rows[self._series.dataset.time_column].cast(pa.int64())).as_py() if rows.num_rows else 0
        last = min(part.last, self._series.grid.floor(max(answered_at - _LATE_US, last_row)))
        return Range(part.first, last) if part.first <= last else None

    def _tell(self, event: EventKind, spans: list[Range]) -> None:
        """Slots for which the venue was asked: it has nothing in them (`gap`), or has by now (`healed`)."""
        grid, events = self._series.rows_grid, []
        for span in spans:
            end = grid.after(span.last)
            words = f"{_SAID[event]} from {format_instant(span.first)} to {format_instant(end)}"
            events.append(StreamEvent(*self._names, event, span.first, span.last, span.first, end, NO_DATA, words))
        self._write(events)

    def _tell_differences(self, differences: list[Difference]) -> None:
        """One event per row that the venue has otherwise, with every value of both sides."""
        events = []
        for found in differences:
            said = {"symbol": self._series.symbol, "at": format_instant(found.at), "values": found.values}
            log.error("the venue's row differs, the lake's stays", extra=said)
            ids = found.at, found.at, found.at, found.at
            detail = orjson.dumps(found.values).decode()
            events.append(StreamEvent(*self._names, "disagreement", *ids, "rest_differs", detail))
        self._write(events)

    @property
    def _names(self) -> tuple[str, str, str, str]:
        """Venue, symbol, channel and instance of an event."""
        series = self._series
        return series.venue, series.symbol, str(series.dataset.channel), f"backfill-{series.symbol}-{series.period or 'funding'}"

    def _write(self, events: list[StreamEvent]) -> None:
        if events:
            self._told += 1
            write_events(self._store, events, now_us(), self._told)
