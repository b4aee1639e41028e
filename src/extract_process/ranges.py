"""PURE. The grid of open times an interval has, and sets of open times as ranges on it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from tickhouse_core.timestamps import DAY_US, HOUR_US, MINUTE_US, SECOND_US, from_datetime, to_datetime

_UNITS_US = {"s": SECOND_US, "m": MINUTE_US, "h": HOUR_US, "d": DAY_US, "w": 7 * DAY_US}
_MONDAY_US = 4 * DAY_US  # 1970-01-05, the first Monday


@dataclass(frozen=True, slots=True)
class Range:
    """Open times from `first` to `last`, both included, both on the grid; microseconds."""

    first: int
    last: int

    def __contains__(self, number: int) -> bool:
        return self.first <= number <= self.last


@dataclass(frozen=True, slots=True)
class Grid:
    """The open times of one interval: every `step_us` from `phase_us` on, or calendar months where `step_us` is 0."""

    step_us: int
    phase_us: int = 0

    def floor(self, instant_us: int) -> int:
        """The latest open time at or before the instant."""
        if self.step_us:
            return instant_us - (instant_us - self.phase_us) % self.step_us
        return _month_start(instant_us)

    def ceiling(self, instant_us: int) -> int:
        """The earliest open time at or after the instant."""
        floor = self.floor(instant_us)
        return floor if floor == instant_us else self.after(floor)

    def after(self, open_time: int, steps: int = 1) -> int:
        """The open time `steps` later; also the end of the kline before it."""
        if self.step_us:
            return open_time + steps * self.step_us
        return _add_months(open_time, steps)

    def before(self, open_time: int) -> int:
        return self.after(open_time, -1)

    def count(self, span: Range) -> int:
        """How many open times a range holds."""
        if self.step_us:
            return (span.last - span.first) // self.step_us + 1
        first, last = to_datetime(span.first), to_datetime(span.last)
        return (last.year - first.year) * 12 + last.month - first.month + 1

    def with_phase_of(self, open_time: int) -> "Grid":
        """The same step through a known open time: how the anchor of 3d klines is learned from the venue."""
        return replace(self, phase_us=open_time % self.step_us) if self.step_us else self

    def ranges_of(self, open_times: Sequence[int]) -> list[Range]:
        """Ascending open times as contiguous ranges; those that are not on the grid cover nothing and are left out."""
        if self._is_contiguous(open_times):
            return [Range(open_times[0], open_times[-1])]
        return list(self._contiguous_parts(open_times))

    def _is_contiguous(self, open_times: Sequence[int]) -> bool:
        """The usual case, told at the speed of a comparison of two lists."""
        if not open_times or not self.step_us or self.floor(open_times[0]) != open_times[0]:
            return False
        return list(open_times) == list(range(open_times[0], open_times[-1] + 1, self.step_us))

    def _contiguous_parts(self, open_times: Iterable[int]) -> Iterator[Range]:
        first = last = None
        for open_time in open_times:
            if self.floor(open_time) != open_time or open_time == last:
                continue
            if last is not None and first is not None and open_time != self.after(last):
                yield Range(first, last)
                first = None
            first, last = open_time if first is None else first, open_time
        if first is not None and last is not None:
            yield Range(first, last)

    def missing(self, wanted: Range, covered: Iterable[Range]) -> list[Range]:
        """What of `wanted` no range of `covered` (any order, overlaps allowed) holds."""
        holes, position = [], wanted.first
        for span in sorted(covered, key=lambda span: span.first):
            if span.first > wanted.last:
                break
            if span.first > position:
                holes.append(Range(position, self.before(span.first)))
            position = max(position, self.after(span.last))
        if position <= wanted.last:
            holes.append(Range(position, wanted.last))
        return holes

    def without(self, ranges: Iterable[Range], covered: list[Range]) -> list[Range]:
        """What of `ranges` no range of `covered` holds, joined."""
        return self.joined(hole for span in ranges for hole in self.missing(span, covered))

    def joined(self, ranges: Iterable[Range]) -> list[Range]:
        """Ranges in order, those that touch or overlap as one."""
        joined: list[Range] = []
        for span in sorted(ranges, key=lambda span: span.first):
            if joined and span.first <= self.after(joined[-1].last):
                joined[-1] = Range(joined[-1].first, max(joined[-1].last, span.last))
            else:
                joined.append(span)
        return joined

    def split(self, span: Range, most: int) -> Iterator[Range]:
        """The range in pieces of at most `most` open times."""
        first = span.first
        while first <= span.last:
            last = min(self.after(first, most - 1), span.last)
            yield Range(first, last)
            first = self.after(last)

    def split_by_month(self, span: Range) -> Iterator[tuple[str, Range]]:
        """The range cut at calendar months (of open times, UTC), each with its `YYYY-MM`."""
        first = span.first
        while first <= span.last:
            last = min(self.before(self.ceiling(_add_months(_month_start(first), 1))), span.last)
            yield month_of(first), Range(first, last)
            first = self.after(last)


EVERY_ID = Grid(step_us=1)
"""Ids that count up by one: trades, update ids."""


def grid_of(interval: str) -> Grid:
    """The grid of a venue's interval (`1m`, `4h`, `3d`, `1w`, `1M`). Weeks open on Monday, months on the 1st, UTC.

    Where three-day klines are anchored is said nowhere: `with_phase_of` takes it from the venue's first row.
    """
    if interval == "1M":
        return Grid(step_us=0)
    step_us = int(interval[:-1]) * _UNITS_US[interval[-1]]
    return Grid(step_us, _MONDAY_US if interval.endswith("w") else 0)


def month_of(instant_us: int) -> str:
    """The calendar month of an instant, UTC: `2024-01`."""
    return f"{to_datetime(instant_us):%Y-%m}"


def _month_start(instant_us: int) -> int:
    instant = to_datetime(instant_us)
    return from_datetime(datetime(instant.year, instant.month, 1))


def _add_months(month_start_us: int, months: int) -> int:
    start = to_datetime(month_start_us)
    years, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    return from_datetime(datetime(years, month + 1, 1))
