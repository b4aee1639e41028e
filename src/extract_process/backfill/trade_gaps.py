"""Which trades are missing: from the events of the recorders, without what rows, heals and earlier answers account for."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from extract_process.ranges import EVERY_ID, Range
from tickhouse_core.datasets import TRADES
from tickhouse_core.reading.events import BACKFILL, LACKING, gap_times, gaps_in, joined, missing_ids, touching
from tickhouse_core.reading.objects import LATE_US
from tickhouse_core.reading.ordering import Numbers, whole_numbers
from tickhouse_core.reading.ranges import Request
from tickhouse_core.timestamps import DAY_US

MOST_LEFT_OUT = 10
"""Consecutive ids that a file can leave out because they are no trades of the market; a longer hole is one of the file."""


@dataclass(frozen=True, slots=True)
class OpenGap:
    """Ids of one gap that no event accounts for, and when they came, in microseconds: from the row before to the row after."""

    symbol: str
    ids: list[Range]
    started_at: int
    ended_at: int

    @property
    def days(self) -> range:
        """Days since 1970 that the gap touches."""
        return range(self.started_at // DAY_US, self.ended_at // DAY_US + 1)


def open_gaps(events: pa.Table, request: Request, *, again: bool = False) -> list[OpenGap]:
    """The gaps of trades that touch the range, without those of whole days.

    `events` also has `heal_failed`: what a file lacked counts only if not `again`.
    """
    failed = {} if again else _failed(events)
    events = events.filter(pc.not_equal(events.column("event"), "heal_failed"))
    events = events.filter(pc.invert(pc.starts_with(events.column("instance"), BACKFILL)))
    gaps = gaps_in(events, request, TRADES)
    started, ended = gap_times(gaps, TRADES)
    found = []
    for place, (symbol, spans) in enumerate(zip(gaps.column("symbol").to_pylist(), missing_ids(gaps, events), strict=True)):
        ids = []
        for first, end in spans:
            lacking = [Range(start, after - 1) for start, after in touching(failed.get(symbol, []), first, end)]
            ids += EVERY_ID.without([Range(first, end - 1)], lacking)
        if ids:
            found.append(OpenGap(symbol, ids, int(started[place]), int(ended[place])))
    return found


def stretches(gaps: list[OpenGap]) -> list[tuple[int, int, tuple[int, int]]]:
    """Times and ids around the gaps, those of neighbours together: each is a scan of all objects of its time."""
    found: list[tuple[int, int, tuple[int, int]]] = []
    for gap in sorted(gaps, key=lambda one: one.started_at):
        start, end, (first, last) = gap.started_at - LATE_US, gap.ended_at + LATE_US, (gap.ids[0].first, gap.ids[-1].last)
        if found and start <= found[-1][1]:
            start, before_end, before_ids = found.pop()
            end, first, last = max(end, before_end), min(first, before_ids[0]), max(last, before_ids[1])
        found.append((start, end, (first, last)))
    return found


def _failed(events: pa.Table) -> dict[str, list[tuple[int, int]]]:
    """By symbol, half-open and joined."""
    said = pc.and_(pc.equal(events.column("event"), "heal_failed"), pc.equal(events.column("cause"), LACKING))
    failed: dict[str, list[tuple[int, int]]] = {}
    for row in events.filter(said).to_pylist():
        failed.setdefault(row["symbol"], []).append((row["from_update_id"], row["to_update_id"] + 1))
    return {symbol: joined(ranges) for symbol, ranges in failed.items()}


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Ids that a file leaves out as no trades of the market; `at` is the time of the trade before them, in microseconds."""

    ids: Range
    at: int


class MissingTrades:
    """The missing ids of one symbol, while files fill them. `seen`: the first and last id of the file that is read."""

    def __init__(self, ids: Iterable[Range], *, leaves_out_no_trades: bool = False) -> None:
        self.ids = EVERY_ID.joined(ids)
        self.seen: Range | None = None
        self._last: tuple[int, int] | None = None
        self._holes: list[LeftOut] = []
        self._leaves_out = leaves_out_no_trades
        self._is_ascending = True

    @property
    def count(self) -> int:
        return sum(map(EVERY_ID.count, self.ids))

    def recorded(self, ids: Numbers) -> None:
        """The lake has these rows."""
        self.ids = without(self.ids, EVERY_ID.joined(EVERY_ID.ranges_of(np.sort(ids).tolist())))

    def begin_file(self) -> None:
        self.seen = self._last = None
        self._holes = []
        self._is_ascending = True

    def take(self, table: pa.Table) -> pa.Table:
        """The rows of a block of trades that were missing until now, each id once and in order."""
        ids = whole_numbers(table.column("trade_id"))
        if not len(ids):
            return table
        self._look_for_holes(ids, whole_numbers(table.column("trade_time")))
        rows = by_id(table.filter(pa.array(self._are_missing(ids), pa.bool_())))
        self.ids = without(self.ids, EVERY_ID.joined(EVERY_ID.ranges_of(rows.column("trade_id").to_pylist())))
        first, last = int(ids.min()), int(ids.max())
        self.seen = Range(min(first, self.seen.first), max(last, self.seen.last)) if self.seen else Range(first, last)
        return rows

    def end_file(self) -> list[LeftOut]:
        """Missing ids that the whole file leaves out as no trades: none if its ids do not ascend."""
        holes, self._holes = self._holes if self._is_ascending else [], []
        left_out = [LeftOut(span, hole.at) for hole in holes for span in self.within([hole.ids])]
        self.ids = without(self.ids, EVERY_ID.joined(one.ids for one in left_out))
        return left_out

    def within(self, seen: Iterable[Range]) -> list[Range]:
        """The missing ids that these ranges contain."""
        return common(self.ids, EVERY_ID.joined(seen))

    def _are_missing(self, ids: Numbers) -> "npt.NDArray[np.bool_]":
        if not self.ids:
            return np.zeros(len(ids), bool)
        firsts, lasts = (np.array(ends, np.int64) for ends in zip(*((span.first, span.last) for span in self.ids), strict=True))
        place = np.searchsorted(firsts, ids, side="right") - 1
        return (place >= 0) & (ids <= lasts[place])

    def _look_for_holes(self, ids: Numbers, times: Numbers) -> None:
        """Missing ids in short holes between two rows of the file, where holes are ids that are no trades."""
        if not self._leaves_out:
            return
        if self._last is not None:
            ids, times = np.r_[self._last[0], ids], np.r_[self._last[1], times]
        self._last = int(ids[-1]), int(times[-1])
        steps = np.diff(ids)
        self._is_ascending = self._is_ascending and bool((steps >= 0).all())
        places = np.flatnonzero((steps > 1) & (steps <= MOST_LEFT_OUT + 1))
        holes = [LeftOut(Range(int(ids[place]) + 1, int(ids[place + 1]) - 1), int(times[place])) for place in places]
        self._holes += [hole for hole in holes if self.within([hole.ids])]


def common(ids: list[Range], others: list[Range]) -> list[Range]:
    """What both have. Both in order and apart."""
    return without(ids, without(ids, others))


def without(ids: list[Range], gone: list[Range]) -> list[Range]:
    """What only `ids` have. Both in order and apart: one pass over each, as there may be thousands."""
    left, place = [], 0
    for span in ids:
        first = span.first
        while place < len(gone) and gone[place].last < first:
            place += 1
        at = place
        while at < len(gone) and gone[at].first <= span.last:
            if gone[at].first > first:
                left.append(Range(first, gone[at].first - 1))
            first = max(first, gone[at].last + 1)
            at += 1
        if first <= span.last:
            left.append(Range(first, span.last))
    return left


def by_id(rows: pa.Table, column: str = "trade_id") -> pa.Table:
    """In order of their ids, each once."""
    ids = whole_numbers(rows.column(column))
    if bool((ids[1:] > ids[:-1]).all()):
        return rows
    rows = rows.sort_by(column).combine_chunks()
    ids = whole_numbers(rows.column(column))
    return rows.filter(pa.array(np.r_[True, ids[1:] != ids[:-1]], pa.bool_())) if len(ids) > 1 else rows
