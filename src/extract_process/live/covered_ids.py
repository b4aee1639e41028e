"""PURE. CoveredIds: of one stream, which ids are on disk as rows or as gaps, and which fell out in a crash."""

from extract_process.ranges import Grid, Range
from extract_process.sequence import EVERY_ID, Gap


class CoveredIds:
    """Collects what leftover segments hold, in any order, beyond the last id that was known before them."""

    def __init__(self, last_id: int | None, grid: Grid = EVERY_ID) -> None:
        self._last_id = last_id
        self._grid = grid
        self._ranges: list[Range] = []

    def add(self, first: int, last: int) -> None:
        """Rows, or a recorded gap: both cover their ids."""
        if self._ranges and self._ranges[-1].first <= first <= self._grid.after(self._ranges[-1].last):
            self._ranges[-1] = Range(self._ranges[-1].first, max(last, self._ranges[-1].last))
        else:
            self._ranges.append(Range(first, last))

    def forget(self, first: int, last: int) -> None:
        """Rows with these ids belong to no numbering, or to another one."""
        self._ranges = [span for span in self._ranges if not (first <= span.first and span.last <= last)]

    def settle(self) -> tuple[int | None, list[Gap]]:
        """The last id, and the holes before it without a recorded gap: a process was killed before it could write one."""
        last, gaps = self._last_id, []
        for span in self._grid.joined(self._ranges):
            if last is not None and span.first > self._grid.after(last):
                gaps.append(Gap(self._grid.after(last), self._grid.before(span.first), "restart"))
            last = span.last if last is None else max(last, span.last)
        return last, gaps
