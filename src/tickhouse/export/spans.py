"""PURE. Spans of time, half-open, in microseconds: where every row is there, and what of that several channels share."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from tickhouse_core.reading.ordering import Numbers

Span = tuple[int, int]


class SpanCollector:
    """Times of good rows, one after the other, become spans: one ends where a row is not good, or where something is missing."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self._is_open = False

    def take(self, times: Numbers, is_good: npt.NDArray[np.bool_], is_cut: npt.NDArray[np.bool_]) -> None:
        """Times ascend. `is_cut`: something is missing between this row and the one before."""
        if not len(times):
            return
        goes_on = is_good & ~is_cut & np.r_[self._is_open, is_good[:-1]]
        starts = np.flatnonzero(is_good & ~goes_on)
        ends = np.flatnonzero(is_good & ~np.r_[goes_on[1:], False])
        begins = times[starts].tolist()
        if goes_on[0]:
            begins.insert(0, self.spans.pop()[0])
        self.spans += [(begin, end + 1) for begin, end in zip(begins, times[ends].tolist(), strict=True)]
        self._is_open = bool(is_good[-1])


def widened(spans: Sequence[Span], start: int | None, end: int | None) -> list[Span]:
    """The first span from `start` on and the last up to `end`, where these are given."""
    found = list(spans)
    if found and start is not None:
        found[0] = (min(start, found[0][0]), found[0][1])
    if found and end is not None:
        found[-1] = (found[-1][0], max(end, found[-1][1]))
    return found


def shared(one: Sequence[Span], other: Sequence[Span]) -> list[Span]:
    """What is in both."""
    found, left, right = [], 0, 0
    while left < len(one) and right < len(other):
        start, end = max(one[left][0], other[right][0]), min(one[left][1], other[right][1])
        if start < end:
            found.append((start, end))
        if one[left][1] < other[right][1]:
            left += 1
        else:
            right += 1
    return found


def outside(spans: Sequence[Span], start: int, end: int) -> list[Span]:
    """What of a range is in no span."""
    borders = [start, *(border for span in spans for border in span), end]
    return [(borders[place], borders[place + 1]) for place in range(0, len(borders), 2) if borders[place] < borders[place + 1]]


def is_inside(times: Numbers, spans: Sequence[Span]) -> npt.NDArray[np.bool_]:
    """For each time whether a span has it; spans ascend and do not overlap."""
    borders = np.array([border for span in spans for border in span], dtype=np.int64)
    found: npt.NDArray[np.bool_] = np.searchsorted(borders, times, side="right") % 2 == 1
    return found
