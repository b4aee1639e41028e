"""PURE. IdContinuity: whether the ids of one stream follow each other without a hole, and what filled a hole later."""

from collections import deque
from dataclasses import dataclass

from extract_process.kline_grid import Grid, Range

EVERY_ID = Grid(step_us=1)
"""Ids that count up by one: trades, update ids."""

MOST_OPEN_GAPS = 100
"""Holes of one stream that a late message can still fill; of older ones the event `gap` is the last word."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Ids that did not come: first and last missing one, inclusive."""

    from_id: int
    to_id: int
    cause: str


@dataclass(frozen=True, slots=True)
class Healed:
    """Ids of an earlier gap (all of it or a part) that came after all."""

    from_id: int
    to_id: int


class IdContinuity:
    """One stream's ids, in the order of arrival, from one connection at a time.

    `grid` says which ids exist: every integer, or the open times of an interval. What came before is harmless.
    """

    def __init__(self, last_id: int | None = None, grid: Grid = EVERY_ID) -> None:
        """`last_id` is what the process remembers from before a restart: what lies between is a gap."""
        self.last_id: int | None = None
        self._grid = grid
        self._next = 0
        self._cause = "sequence" if last_id is None else "restart"
        self._open: deque[Range] = deque(maxlen=MOST_OPEN_GAPS)
        if last_id is not None:
            self._move_to(last_id)

    def on_break(self, cause: str) -> None:
        """The next hole, if there is one, has this cause (`disconnect`, `spool_full`)."""
        self._cause = cause

    def on_ids(self, first: int, last: int) -> list[Gap | Healed]:
        """A message with these ids came (both included; a trade has first == last)."""
        if self.last_id is None or first <= self._next <= last:
            self._move_to(last)
            self._cause = "sequence"
            return []
        if last < self._next:
            return self._heal(first, last)
        gap = Gap(self._next, self._grid.before(first), self._cause)
        self._open.append(Range(gap.from_id, gap.to_id))
        self._move_to(last)
        self._cause = "sequence"
        return [gap]

    def _move_to(self, last: int) -> None:
        self.last_id, self._next = last, self._grid.after(last)

    def _heal(self, first: int, last: int) -> list[Gap | Healed]:
        healed: list[Gap | Healed] = []
        for hole in [hole for hole in self._open if hole.first <= last and first <= hole.last]:
            self._open.remove(hole)
            part = Range(max(first, hole.first), min(last, hole.last))
            healed.append(Healed(part.first, part.last))
            if hole.first < part.first:
                self._open.append(Range(hole.first, self._grid.before(part.first)))
            if part.last < hole.last:
                self._open.append(Range(self._grid.after(part.last), hole.last))
        return healed
